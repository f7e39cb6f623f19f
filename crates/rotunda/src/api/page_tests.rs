//! Tokens open only as they were sealed; URLs are exact.

use proptest::prelude::*;

use super::*;

const KEY: [u8; 32] = [7; 32];
const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);

fn cursor() -> Cursor {
    Cursor {
        account: ACCOUNT,
        list: List::Participants(RoomSid::from_bytes([2; 16])),
        filters: vec![("Identity".to_owned(), "al ice/é".to_owned())],
        status: "connected".to_owned(),
        backwards: true,
        position: Position {
            created: Timestamp(-1_500_000),
            sid: [0xfe; 16],
        },
    }
}

fn read(query: &str) -> Result<PageQuery, ApiError> {
    let params = Params::urlencoded(query.as_bytes()).expect("few parameters");
    PageQuery::read(&params, &KEY, ACCOUNT)
}

#[test]
fn a_token_opens_as_it_was_sealed() {
    let rooms = Cursor {
        list: List::Rooms,
        filters: Filters::new(),
        backwards: false,
        ..cursor()
    };
    let [published, subscribed] = [List::PublishedTracks, List::SubscribedTracks].map(|list| Cursor {
        list: list(ParticipantSid::from_bytes([3; 16])),
        ..cursor()
    });
    for cursor in [cursor(), rooms, published, subscribed] {
        let token = cursor.seal(&KEY);
        assert_eq!(Cursor::open(&token, &KEY), Some(cursor));
        assert!(
            token.len() < PAGE_TOKEN_BYTES_MAX
                && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        );
    }
}

#[test]
fn a_token_of_the_largest_filters_is_within_the_bound() {
    let wide = |name: &str| (name.to_owned(), "\u{10ffff}".repeat(128));
    let cursor = Cursor {
        filters: vec![wide("Identity")],
        ..cursor()
    };
    assert_eq!(Cursor::open(&cursor.seal(&KEY), &KEY), Some(cursor));
}

#[test]
fn what_opens_is_no_longer_when_it_is_sealed_again() {
    // Sealed by us in a way that we do not write: one digit for 32, which is read as the same SID.
    let Position { created, sid: _ } = cursor().position;
    let wire = |sid: &str| {
        let list = cursor().list.text();
        let wire: Wire = (
            ACCOUNT.to_string(),
            list,
            Filters::new(),
            String::new(),
            true,
            created.0,
            sid.to_owned(),
        );
        let body = serde_json::to_vec(&wire).expect("texts and numbers are JSON");
        let tag = hmac::sign(&mac(&KEY), &body);
        URL_SAFE_NO_PAD.encode([&[VERSION], tag.as_ref(), &body[..]].concat())
    };
    assert!(Cursor::open(&wire(&"7".repeat(SID_DIGITS)), &KEY).is_some());
    assert_eq!(Cursor::open(&wire("7"), &KEY), None);
}

#[test]
fn foreign_tokens_do_not_open() {
    let token = cursor().seal(&KEY);
    assert_eq!(Cursor::open(&token, &[8; 32]), None);
    for forged in [
        "",
        "A",
        "PT0123456789abcdef0123456789abcdef",
        &format!("{token}A"),
        &"A".repeat(PAGE_TOKEN_BYTES_MAX + 1),
    ] {
        assert_eq!(Cursor::open(forged, &KEY), None, "{forged}");
    }
    let others = Cursor {
        account: AccountSid::from_bytes([9; 16]),
        ..cursor()
    }
    .seal(&KEY);
    assert!(matches!(
        read(&format!("PageToken={others}")),
        Err(ApiError::Fault(Fault::PageToken))
    ));
    assert!(read(&format!("PageToken={token}")).is_ok());
}

#[test]
fn filters_may_be_left_out_but_not_changed() {
    let filter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert!(cursor().agrees_with(&Filters::new()));
    assert!(cursor().agrees_with(&vec![filter("Identity", "al ice/é")]));
    assert!(!cursor().agrees_with(&vec![filter("Identity", "bob")]));
    assert!(!cursor().agrees_with(&vec![filter("Identity", "al ice/é"), filter("Status", "connected")]));
}

#[test]
fn sizes_and_numbers() {
    let check = |query: &str, expected: Option<(u32, i64)>| {
        assert_eq!(
            read(query).ok().map(|page| (page.size, page.number)),
            expected,
            "{query}"
        );
    };
    check("", Some((50, 0)));
    check("PageSize=&Page=", Some((50, 0)));
    check("PageSize=1&Page=7", Some((1, 7)));
    check("PageSize=1000", Some((1000, 0)));
    check("PageSize=1001", Some((1000, 0)));
    check("PageSize=99999999999999999999999", Some((1000, 0)));
    check("Page=9223372036854775807", Some((50, i64::MAX)));
    for wrong in [
        "PageSize=0",
        "PageSize=00",
        "PageSize=-1",
        "PageSize=1.5",
        "PageSize=ten",
        "PageSize=%2B5",
        "PageSize=5+",
        "Page=-1",
        "Page=one",
        "Page=9223372036854775808",
    ] {
        let name = wrong.split('=').next().expect("split gives one");
        assert!(
            matches!(read(wrong), Err(ApiError::Invalid { name: at, .. }) if at == name),
            "{wrong}"
        );
    }
}

#[test]
fn neighbours_of_a_position() {
    let at = |created, sid: u128| Position {
        created: Timestamp(created),
        sid: sid.to_be_bytes(),
    };
    assert_eq!(before(at(5, 8)), at(5, 7));
    assert_eq!(before(at(5, 0)), at(4, u128::MAX));
    assert_eq!(after(at(5, 7)), at(5, 8));
    assert_eq!(after(at(5, u128::MAX)), at(6, 0));
}

proptest! {
    #[test]
    fn a_changed_token_never_opens(position in 0usize..1000, byte in prop::sample::select(b"ABCabc019-_".to_vec())) {
        let good = cursor().seal(&KEY);
        let mut bytes = good.clone().into_bytes();
        let position = position % bytes.len();
        bytes[position] = byte;
        let changed = String::from_utf8(bytes).expect("it stays ASCII");
        prop_assume!(changed != good);
        prop_assert_eq!(Cursor::open(&changed, &KEY), None);
    }

    #[test]
    fn nothing_else_opens(token in ".{0,200}", base64 in "[A-Za-z0-9_-]{0,400}") {
        prop_assert_eq!(Cursor::open(&token, &KEY), None);
        prop_assert_eq!(Cursor::open(&base64, &KEY), None);
    }
}
