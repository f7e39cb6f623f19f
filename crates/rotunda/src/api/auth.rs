//! Who asks: HTTP Basic with an account's or an API key's secret (rest.md section 3).

use std::time::Instant;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use room::AccountSid;

use super::error::ApiError;
use super::limits::AUTHORIZATION_BYTES_MAX;
use crate::app::App;
use crate::credentials::Denied;
use crate::rooms::wall;

/// The account that the credentials belong to. A handler that takes one cannot run without.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(pub(super) AccountSid);

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (user, password) = header.and_then(basic).ok_or(ApiError::Unauthorized)?;
        let app = App::from_ref(state);
        let account = app
            .credentials
            .authenticate(&user, &password, wall())
            .map_err(|denied| match denied {
                Denied::Unknown => ApiError::Unauthorized,
                Denied::Suspended => ApiError::Forbidden,
            })?;
        app.door
            .request(account, Instant::now())
            .map_err(ApiError::TooManyRequests)?;
        Ok(Self(account))
    }
}

/// The user of the Basic header, whether or not the password is right.
pub(super) fn user(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    basic(header).map(|(user, _)| user)
}

/// User and password of a Basic header (RFC 7617 section 2).
fn basic(header: &str) -> Option<(String, String)> {
    if header.len() > AUTHORIZATION_BYTES_MAX {
        return None;
    }
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Option<(&str, &str)>) {
        let found = basic(header);
        assert_eq!(
            found.as_ref().map(|(user, password)| (&**user, &**password)),
            expected,
            "{header}"
        );
    }

    #[test]
    fn reads_basic_pairs_only() {
        let encoded = STANDARD.encode("user:pass:word");
        check(&format!("Basic {encoded}"), Some(("user", "pass:word")));
        check(&format!("basic  {encoded}"), Some(("user", "pass:word")));
        check(&format!("Bearer {encoded}"), None);
        check(&encoded, None);
        check("Basic", None);
        check("Basic !", None);
        check(&format!("Basic {}", STANDARD.encode("no colon")), None);
        check(&format!("Basic {}", STANDARD.encode([b'a', b':', 0xff])), None);
        check(
            &format!(
                "Basic {}",
                STANDARD.encode("u:".to_owned() + &"p".repeat(AUTHORIZATION_BYTES_MAX))
            ),
            None,
        );
    }
}
