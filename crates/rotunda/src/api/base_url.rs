//! Where this server is, as the client sees it: the beginning of every URL in an answer.

use std::fmt::Write as _;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::request::Parts;
use room::{ParticipantSid, RoomSid};

use super::error::ApiError;
use super::limits::HOST_BYTES_MAX;
use crate::app::App;
use crate::proxy::Client;

/// Scheme and authority without a slash at the end: the set public URL, else what a trusted proxy
/// says, else what the request names.
#[derive(Debug, Clone)]
pub(super) struct BaseUrl(String);

impl BaseUrl {
    /// The URL of a path of this server.
    pub(super) fn of(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The URL of a room.
    pub(super) fn room(&self, room: RoomSid) -> String {
        format!("{}/v1/Rooms/{room}", self.0)
    }

    /// The URL of a participant.
    pub(super) fn participant(&self, room: RoomSid, participant: ParticipantSid) -> String {
        // As long as it gets, at once: one for each row of a page.
        let mut url = String::with_capacity(self.0.len() + 100);
        for part in [&self.0, "/v1/Rooms/"] {
            url.push_str(part);
        }
        write!(url, "{room}/Participants/{participant}").expect("texts can be written");
        url
    }
}

impl<S: Send + Sync> FromRequestParts<S> for BaseUrl
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let settings = App::from_ref(state).settings;
        if let Some(url) = &settings.public_url {
            return Ok(Self(url.clone()));
        }
        let client = parts.extensions.get::<Client>();
        let scheme = client.and_then(|client| client.scheme).unwrap_or(settings.scheme());
        let forwarded = client.and_then(|client| client.host.as_deref());
        let named = forwarded.or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
        let host = named.or_else(|| host(&parts.headers)).filter(|host| is_authority(host));
        let host = host.ok_or(ApiError::Malformed("it has no valid Host header"))?;
        Ok(Self(format!("{scheme}://{host}")))
    }
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
}

/// Host and port and nothing else, so that an answer's URLs cannot be bent.
fn is_authority(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !host.is_empty() && host.len() <= HOST_BYTES_MAX && host.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for host in ["localhost", "127.0.0.1:8080", "[::1]:8080", "video.example.com"] {
            assert!(is_authority(host), "{host}");
        }
        for host in [
            "",
            "a/b",
            "user@host",
            "a b",
            "a?b",
            "a#b",
            &"a".repeat(HOST_BYTES_MAX + 1),
        ] {
            assert!(!is_authority(host), "{host}");
        }
    }
}
