//! Every fault has its own code: published vectors, then the cases they leave out.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::credentials::Account;

const NOW_S: i64 = 1_760_000_000;
const VECTORS: &str = include_str!("../../tests/data/access-token.json");

fn key() -> ApiKey {
    ApiKey {
        sid: ApiKeySid::from_bytes([2; 16]),
        account: AccountSid::from_bytes([1; 16]),
        secret: "secret".to_owned(),
    }
}

fn credentials() -> Credentials {
    let accounts = [1, 5].map(|byte| Account {
        sid: AccountSid::from_bytes([byte; 16]),
        auth_token: "t".to_owned(),
    });
    Credentials::new(accounts.to_vec(), vec![key()])
}

fn good_header() -> Value {
    json!({ "alg": "HS256", "typ": "JWT", "cty": CONTENT_TYPE })
}

fn good_claims() -> Value {
    json!({
        "iss": key().sid.to_string(), "sub": key().account.to_string(), "exp": NOW_S + 60,
        "grants": { "identity": "alice", "video": {} },
    })
}

/// Signs any header and claims, also such as no honest library makes.
fn signed(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key().secret.as_bytes());
    let signature = aws_lc_rs::hmac::sign(&secret, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap()[name] = new;
    value
}

fn check_claim(pointer: &str, new: Value, expected: Result<(), TokenError>) {
    let token = signed(&good_header(), &with(good_claims(), pointer, new.clone()));
    assert_eq!(
        verify(&token, &credentials(), NOW_S).map(drop),
        expected,
        "{pointer} = {new}"
    );
}

fn check_header(pointer: &str, new: Value, expected: Result<(), TokenError>) {
    let token = signed(&with(good_header(), pointer, new.clone()), &good_claims());
    assert_eq!(
        verify(&token, &credentials(), NOW_S).map(drop),
        expected,
        "{pointer} = {new}"
    );
}

#[test]
fn published_vectors() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let stored = &vectors["stored_api_key"];
    let account = stored["account_sid"].as_str().unwrap().parse().unwrap();
    let sid = stored["sid"].as_str().unwrap().parse().unwrap();
    let secret = stored["secret"].as_str().unwrap().to_owned();
    let others = AccountSid::from_bytes([0xbb; 16]);
    let accounts = [account, others].map(|sid| Account {
        sid,
        auth_token: String::new(),
    });
    let credentials = Credentials::new(accounts.to_vec(), vec![ApiKey { sid, account, secret }]);
    for vector in vectors["vectors"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let at = vector["verify_at"].as_i64().unwrap_or(NOW_S);
        let result = verify(vector["token"].as_str().unwrap(), &credentials, at);
        if name == "room grant names another room" {
            // Only asking for a room shows this fault.
            let sid = RoomSid::from_bytes([7; 16]);
            let token = result.unwrap();
            assert!(!token.permits("Standup", sid) && token.permits("DailyStandup", sid));
        } else if vector["expect"] == "accepted" {
            let token = result.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                (token.account, token.key, token.identity.as_str()),
                (account, sid, "alice"),
                "{name}"
            );
            assert_eq!(
                token.room.as_deref(),
                vector["payload"]["grants"]["video"]["room"].as_str(),
                "{name}"
            );
        } else {
            assert_eq!(
                result.map_err(|e| u64::from(e.code())),
                Err(vector["expect"].as_u64().unwrap()),
                "{name}"
            );
        }
    }
}

#[test]
fn what_is_no_jwt() {
    let good = signed(&good_header(), &good_claims());
    let list = URL_SAFE_NO_PAD.encode("[]");
    let padded = good.replacen('.', "=.", 1);
    for token in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        &format!("{good}.x"),
        &format!("{list}.{list}."),
        &padded,
        "é.é.é",
    ] {
        assert_eq!(verify(token, &credentials(), NOW_S), Err(TokenError::Format), "{token}");
    }
    let long = with(good_claims(), "/jti", "x".repeat(TOKEN_BYTES_MAX).into());
    assert_eq!(
        verify(&signed(&good_header(), &long), &credentials(), NOW_S),
        Err(TokenError::Format)
    );
}

#[test]
fn the_algorithm_is_pinned() {
    check_header("/twr", "us1".into(), Ok(()));
    for algorithm in ["none", "HS384", "HS512", "RS256", "hs256", ""] {
        check_header("/alg", algorithm.into(), Err(TokenError::Header));
    }
    check_header("/alg", Value::Null, Err(TokenError::Header));
    check_header("/typ", "JWS".into(), Err(TokenError::Header));
    check_header("/cty", "twilio-fpa;v=2".into(), Err(TokenError::Header));
    check_header("/cty", Value::Null, Err(TokenError::Header));
}

#[test]
fn the_issuer_is_a_known_key_of_the_subject() {
    for wrong in [
        Value::Null,
        1.into(),
        "".into(),
        ApiKeySid::from_bytes([9; 16]).to_string().into(),
    ] {
        check_claim("/iss", wrong, Err(TokenError::Issuer));
    }
    let another = AccountSid::from_bytes([5; 16]).to_string();
    for wrong in [
        Value::Null,
        "".into(),
        another.into(),
        AccountSid::from_bytes([9; 16]).to_string().into(),
    ] {
        check_claim("/sub", wrong, Err(TokenError::Issuer));
    }
}

#[test]
fn times() {
    check_claim("/exp", (NOW_S + 1).into(), Ok(()));
    check_claim("/exp", ((NOW_S + 1) as f64 + 0.5).into(), Ok(()));
    check_claim("/exp", (NOW_S + LIFETIME_MAX_S).into(), Ok(()));
    for wrong in [
        NOW_S.into(),
        0.into(),
        Value::Null,
        "1760003600".into(),
        (NOW_S + LIFETIME_MAX_S + 1).into(),
    ] {
        check_claim("/exp", wrong, Err(TokenError::Expired));
    }
    check_claim("/exp", i64::MAX.into(), Err(TokenError::Expired));
    check_claim("/exp", 1e300.into(), Err(TokenError::Expired));
    check_claim("/nbf", (NOW_S + NOT_BEFORE_LEEWAY_S).into(), Ok(()));
    check_claim("/nbf", Value::Null, Ok(()));
    for wrong in [(NOW_S + NOT_BEFORE_LEEWAY_S + 1).into(), i64::MAX.into(), "now".into()] {
        check_claim("/nbf", wrong, Err(TokenError::NotYetValid));
    }
    // A start far ahead or far back neither stretches nor shortens more than it should.
    let late = with(good_claims(), "/exp", (NOW_S + LIFETIME_MAX_S + 3600).into());
    let token = signed(&good_header(), &with(late, "/iat", (NOW_S + 7200).into()));
    assert_eq!(verify(&token, &credentials(), NOW_S), Err(TokenError::Expired));
}

#[test]
fn grants_and_identity() {
    for wrong in [Value::Null, "video".into(), json!([])] {
        check_claim("/grants", wrong.clone(), Err(TokenError::Grants));
        check_claim("/grants/video", wrong, Err(TokenError::Grants));
    }
    check_claim("/grants/video/room", Value::Null, Ok(()));
    check_claim("/grants/video/room", 1.into(), Err(TokenError::Grants));
    for wrong in [Value::Null, "".into(), 1.into()] {
        check_claim("/grants/identity", wrong, Err(TokenError::Identity));
    }
    check_claim("/grants/identity", "é".repeat(128).into(), Ok(()));
    check_claim(
        "/grants/identity",
        "é".repeat(129).into(),
        Err(TokenError::IdentityTooLong),
    );
    check_claim("/grants/identity", "a\0b".into(), Err(TokenError::IdentityCharacters));
}

#[test]
fn a_room_is_granted_by_name_or_by_sid() {
    let sid = RoomSid::from_bytes([7; 16]);
    let permits = |room: Option<&str>| {
        let room = room.map(str::to_owned);
        AccessToken {
            account: key().account,
            key: key().sid,
            identity: "a".to_owned(),
            room,
        }
        .permits("daily", sid)
    };
    assert!(permits(None) && permits(Some("daily")) && permits(Some(&sid.to_string())));
    assert!(!permits(Some("Daily")) && !permits(Some("")) && !permits(Some(&RoomSid::from_bytes([8; 16]).to_string())));
}

#[test]
fn an_issued_token_verifies_until_it_ends() {
    let token = issue(&key(), "alice", Some("daily"), 60, NOW_S).unwrap();
    let expected = AccessToken {
        account: key().account,
        key: key().sid,
        identity: "alice".into(),
        room: Some("daily".into()),
    };
    assert_eq!(verify(&token, &credentials(), NOW_S + 59), Ok(expected));
    assert_eq!(verify(&token, &credentials(), NOW_S + 60), Err(TokenError::Expired));
    let token = issue(&key(), "alice", None, 60, NOW_S).unwrap();
    assert_eq!(verify(&token, &credentials(), NOW_S).unwrap().room, None);
}

proptest! {
    #[test]
    fn a_changed_token_is_never_accepted(position in 0usize..400, byte in prop::sample::select(b"Az09-_.=".to_vec())) {
        let good = issue(&key(), "alice", Some("daily"), 60, NOW_S).unwrap();
        let mut bytes = good.clone().into_bytes();
        let position = position % bytes.len();
        bytes[position] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assume!(changed != good);
        prop_assert!(verify(&changed, &credentials(), NOW_S).is_err());
    }

    #[test]
    fn nothing_panics(token in ".{0,80}", claims in "\\PC{0,40}") {
        prop_assert!(verify(&token, &credentials(), NOW_S).is_err());
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.{}", part(&good_header().to_string()), part(&claims), part("x"));
        prop_assert!(verify(&token, &credentials(), NOW_S).is_err());
    }
}
