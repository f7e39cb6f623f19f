//! What a request's path addresses: rooms by SID or name, participants by SID or identity.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use room::{AccountSid, RoomStatus};
use store::{ParticipantRow, RoomKey, RoomRow, Store};

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;

/// The path as it was requested: percent-encoding, names and a slash at the end are kept.
#[derive(Debug, Clone)]
pub(super) struct RequestPath(String);

impl RequestPath {
    /// All of it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Without `/v1`, as messages name it.
    pub(super) fn below_v1(&self) -> &str {
        self.0.strip_prefix("/v1").unwrap_or(&self.0)
    }

    /// The decoded segment behind `/v1/Rooms/`.
    ///
    /// # Errors
    /// As [`RequestPath::segment`].
    pub(super) fn room(&self) -> Result<String, ApiError> {
        self.segment(3, "RoomSid")
    }

    /// What that segment asks for: a SID in any state, or a name in progress.
    ///
    /// # Errors
    /// As [`RequestPath::segment`].
    pub(super) fn room_key(&self) -> Result<RoomKey, ApiError> {
        let segment = self.room()?;
        Ok(segment.parse().map_or(RoomKey::Name(segment), RoomKey::Sid))
    }

    /// The decoded segment behind `/v1/Rooms/{Room}/Participants/`.
    ///
    /// # Errors
    /// As [`RequestPath::segment`].
    pub(super) fn participant(&self) -> Result<String, ApiError> {
        self.segment(5, "Sid")
    }

    /// The decoded segment behind `…/Participants/{Participant}/PublishedTracks/` and its like.
    ///
    /// # Errors
    /// As [`RequestPath::segment`].
    pub(super) fn track(&self) -> Result<String, ApiError> {
        self.segment(7, "Sid")
    }

    /// # Errors
    /// What is not UTF-8 names nothing: not found. U+0000 is refused (rest.md 26.6).
    fn segment(&self, index: usize, name: &'static str) -> Result<String, ApiError> {
        let encoded = self.0.split('/').nth(index).unwrap_or_default();
        let segment = percent_decode_str(encoded)
            .decode_utf8()
            .map_err(|_| ApiError::not_found(self))?;
        if segment.contains('\0') {
            return Err(ApiError::Invalid {
                name,
                why: "it contains U+0000",
            });
        }
        Ok(segment.into_owned())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestPath {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.uri.path().to_owned()))
    }
}

/// The room that the path addresses, of the account that asks for it.
pub(super) struct RoomOf {
    /// The room.
    pub(super) room: RoomRow,
    /// How it was addressed.
    pub(super) path: RequestPath,
}

impl RoomOf {
    /// The room that `path` addresses: a SID in any state, or a name in progress.
    ///
    /// # Errors
    /// Not found, or the store failed.
    async fn resolve(store: &dyn Store, account: AccountSid, path: &RequestPath) -> Result<RoomRow, ApiError> {
        let room = match path.room_key()? {
            RoomKey::Sid(sid) => store.room(account, sid).await?,
            RoomKey::Name(name) => store.room_in_progress(account, &name).await?,
        };
        room.ok_or_else(|| ApiError::not_found(path))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RoomOf
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Caller(account) = Caller::from_request_parts(parts, state).await?;
        let path = RequestPath(parts.uri.path().to_owned());
        let room = Self::resolve(&*App::from_ref(state).store, account, &path).await?;
        Ok(Self { room, path })
    }
}

/// The participant that the path addresses: a SID in any state, or the identity of one who is
/// connected or reconnecting (rest.md 26.3).
pub(super) struct ParticipantOf {
    /// The participant.
    pub(super) participant: ParticipantRow,
    /// How it was addressed.
    pub(super) path: RequestPath,
}

impl<S: Send + Sync> FromRequestParts<S> for ParticipantOf
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let RoomOf { room, path } = RoomOf::from_request_parts(parts, state).await?;
        let store = App::from_ref(state).store;
        let segment = path.participant()?;
        let participant = match segment.parse() {
            Ok(sid) => store.participant(room.account, room.new.sid, sid).await?,
            Err(_) if room.status == RoomStatus::Completed => None,
            Err(_) => store.participant_live(room.account, room.new.sid, &segment).await?,
        };
        let participant = participant.ok_or_else(|| ApiError::not_found(&path))?;
        Ok(Self { participant, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RequestPath {
        RequestPath(text.to_owned())
    }

    #[test]
    fn segments_are_decoded_one_by_one() {
        let path = path("/v1/Rooms/a%2Fb%20c+d/Participants/%C3%A9%25/");
        assert_eq!(path.room().expect("it is UTF-8"), "a/b c+d");
        assert_eq!(path.participant().expect("it is UTF-8"), "é%");
        assert_eq!(path.below_v1(), "/Rooms/a%2Fb%20c+d/Participants/%C3%A9%25/");
    }

    #[test]
    fn what_is_no_text_is_not_found_and_a_nul_is_refused() {
        assert!(matches!(path("/v1/Rooms/%FF").room(), Err(ApiError::NotFound(path)) if path == "/Rooms/%FF"));
        assert!(matches!(
            path("/v1/Rooms/a%00").room(),
            Err(ApiError::Invalid { name: "RoomSid", .. })
        ));
    }
}
