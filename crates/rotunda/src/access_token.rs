//! Verifies access tokens, the JWTs that clients connect with (rest.md section 23), and issues them
//! for the command line.
//!
//! Each fault has its own code. The order of the checks follows from what each needs: the header
//! says how to read on, issuer and subject choose the key, the signature makes the rest worth
//! reading, then the times, the grants and the identity.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use room::{AccountSid, ApiKeySid, RoomSid, Timestamp};
use serde_json::{Map, Value, json};

use crate::credentials::{ApiKey, Credentials, KeyEntry, Table};

/// Seconds by which `nbf` may be ahead of our clock: the application's may run fast. `exp` has no
/// leeway, since a token that lives longer than it says would surprise its maker.
pub const NOT_BEFORE_LEEWAY_S: i64 = 60;

/// Seconds a token may live, counted from `nbf`, else `iat`, else now.
pub const LIFETIME_MAX_S: i64 = 24 * 60 * 60;

/// Characters of an identity.
pub const IDENTITY_CHARS_MAX: usize = 128;

/// Bytes of a token; a longer one is refused unread. The longest honest ones have about 2 KiB.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The content type that marks a token as one of these.
const CONTENT_TYPE: &str = "twilio-fpa;v=1";

/// What a verified token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Whose rooms.
    pub account: AccountSid,
    /// The key that signed it.
    pub key: ApiKeySid,
    /// Who its bearer is in a room: 1 to [`IDENTITY_CHARS_MAX`] characters.
    pub identity: String,
    /// The name or SID of the only room it is for; `None`: any room.
    pub room: Option<String>,
}

impl AccessToken {
    /// Whether it is for the room of this name (its SID, if it has no name) and SID. If not, the
    /// answer to the client is [`TokenError::Grants`].
    pub fn permits(&self, name: &str, sid: RoomSid) -> bool {
        self.room
            .as_deref()
            .is_none_or(|granted| granted == name || granted.parse() == Ok(sid))
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a JWT: not three parts of base64url, or not JSON objects.
    #[error("Invalid Access Token")]
    Format,
    /// Another algorithm than HS256, another type or content type.
    #[error("Invalid Access Token header")]
    Header,
    /// No such key, a revoked one, one of another account, or of one that is suspended.
    #[error("Invalid Access Token issuer/subject")]
    Issuer,
    /// `exp` is past, missing, unreadable, or too far ahead.
    #[error("Access Token expired or expiration date invalid")]
    Expired,
    /// `nbf` is ahead of the clock, or unreadable.
    #[error("Access Token not yet valid")]
    NotYetValid,
    /// No video grant, or not for what was asked.
    #[error("Invalid Access Token grants")]
    Grants,
    /// Not signed with the key's secret.
    #[error("Invalid Access Token signature")]
    Signature,
    /// The identity is missing, empty or not a text.
    #[error("Participant identity is invalid")]
    Identity,
    /// The identity has more than [`IDENTITY_CHARS_MAX`] characters.
    #[error("Participant identity is too long")]
    IdentityTooLong,
    /// The identity contains U+0000.
    #[error("Participant identity contains invalid characters")]
    IdentityCharacters,
}

impl TokenError {
    /// The number that the client is told; `Display` gives its message.
    pub const fn code(self) -> u32 {
        match self {
            Self::Format => 20101,
            Self::Header => 20102,
            Self::Issuer => 20103,
            Self::Expired => 20104,
            Self::NotYetValid => 20105,
            Self::Grants => 20106,
            Self::Signature => 20107,
            Self::Identity => 53200,
            Self::IdentityTooLong => 53201,
            Self::IdentityCharacters => 53202,
        }
    }
}

/// Verifies a token at the time `now_s`, seconds since 1970.
///
/// # Errors
/// The first fault, in the order of the module's description.
pub fn verify(token: &str, credentials: &Credentials, now_s: i64) -> Result<AccessToken, TokenError> {
    let (header, claims) = read(token)?;
    check_header(&header)?;
    let table = credentials.table();
    let key = signer(&claims, &table)?;
    check_signature(token, key, now_s)?;
    check_times(&claims, now_s)?;
    let grants = claims
        .get("grants")
        .and_then(Value::as_object)
        .ok_or(TokenError::Grants)?;
    Ok(AccessToken {
        account: key.account,
        key: key.sid,
        room: granted_room(grants)?,
        identity: identity(grants)?,
    })
}

/// Makes a token that is valid from `now_s` (seconds since 1970) for `ttl_s` seconds.
///
/// # Errors
/// If the cryptographic library fails to sign.
pub fn issue(
    key: &ApiKey,
    identity: &str,
    room: Option<&str>,
    ttl_s: i64,
    now_s: i64,
) -> Result<String, jsonwebtoken::errors::Error> {
    let mut header = Header::new(Algorithm::HS256);
    header.cty = Some(CONTENT_TYPE.to_owned());
    let video = room.map_or_else(|| json!({}), |room| json!({ "room": room }));
    let claims = json!({
        "jti": format!("{}-{now_s}", key.sid),
        "iss": key.sid.to_string(),
        "sub": key.account.to_string(),
        "nbf": now_s,
        "exp": now_s.saturating_add(ttl_s),
        "grants": { "identity": identity, "video": video },
    });
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(key.secret.as_bytes()))
}

/// A JSON object: the header, or the claims.
type Object = Map<String, Value>;

/// Header and claims, not believed yet.
fn read(token: &str) -> Result<(Object, Object), TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Format);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Format);
    };
    URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Format)?;
    Ok((object(header)?, object(claims)?))
}

fn object(part: &str) -> Result<Object, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Format)?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Format)
}

/// The algorithm is pinned: a header that names another one, `none` included, is refused.
fn check_header(header: &Object) -> Result<(), TokenError> {
    let is = |name: &str, value: &str| header.get(name).and_then(Value::as_str) == Some(value);
    if is("alg", "HS256") && is("typ", "JWT") && is("cty", CONTENT_TYPE) {
        Ok(())
    } else {
        Err(TokenError::Header)
    }
}

/// The key that `iss` names, if it belongs to the account that `sub` names.
fn signer<'a>(claims: &Object, table: &'a Table) -> Result<&'a KeyEntry, TokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).ok_or(TokenError::Issuer);
    let key: ApiKeySid = text("iss")?.parse().map_err(|_| TokenError::Issuer)?;
    let account: AccountSid = text("sub")?.parse().map_err(|_| TokenError::Issuer)?;
    let key = table.active_key(key).ok_or(TokenError::Issuer)?;
    if key.account == account {
        Ok(key)
    } else {
        Err(TokenError::Issuer)
    }
}

/// Any secret that is valid may have signed it. Header and claims are read already, so nothing of the token is read again.
fn check_signature(token: &str, key: &KeyEntry, now_s: i64) -> Result<(), TokenError> {
    let now = Timestamp(now_s.saturating_mul(1_000_000));
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Format)?;
    let is_by = |secret: &str| {
        let secret = DecodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &secret, Algorithm::HS256).unwrap_or(false)
    };
    match key.valid(now).any(is_by) {
        true => Ok(()),
        false => Err(TokenError::Signature),
    }
}

fn check_times(claims: &Object, now_s: i64) -> Result<(), TokenError> {
    let expires_s = claims.get("exp").and_then(seconds).ok_or(TokenError::Expired)?;
    if expires_s <= now_s {
        return Err(TokenError::Expired);
    }
    let not_before_s = match claims.get("nbf") {
        None | Some(Value::Null) => None,
        Some(value) => Some(seconds(value).ok_or(TokenError::NotYetValid)?),
    };
    if not_before_s.is_some_and(|from_s| from_s > now_s.saturating_add(NOT_BEFORE_LEEWAY_S)) {
        return Err(TokenError::NotYetValid);
    }
    // A start in the future would let a token live longer than the bound says.
    let latest_start_s = now_s.saturating_add(NOT_BEFORE_LEEWAY_S);
    let start_s = not_before_s
        .or_else(|| claims.get("iat").and_then(seconds))
        .unwrap_or(now_s)
        .min(latest_start_s);
    if expires_s.saturating_sub(start_s) > LIFETIME_MAX_S {
        Err(TokenError::Expired)
    } else {
        Ok(())
    }
}

/// A NumericDate (RFC 7519 section 2), cut to whole seconds.
fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

/// The presence of the video grant is the permission.
fn granted_room(grants: &Object) -> Result<Option<String>, TokenError> {
    let video = grants
        .get("video")
        .and_then(Value::as_object)
        .ok_or(TokenError::Grants)?;
    match video.get("room") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(room)) => Ok(Some(room.clone())),
        Some(_) => Err(TokenError::Grants),
    }
}

fn identity(grants: &Object) -> Result<String, TokenError> {
    let identity = grants
        .get("identity")
        .and_then(Value::as_str)
        .ok_or(TokenError::Identity)?;
    if identity.is_empty() {
        Err(TokenError::Identity)
    } else if identity.chars().count() > IDENTITY_CHARS_MAX {
        Err(TokenError::IdentityTooLong)
    } else if identity.contains('\0') {
        Err(TokenError::IdentityCharacters)
    } else {
        Ok(identity.to_owned())
    }
}

#[cfg(test)]
#[path = "access_token/tests.rs"]
mod tests;
