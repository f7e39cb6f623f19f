//! Who asks for a change, as the audit log names them: by what credential, from where.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use room::{AccountSid, ParticipantSid, RoomSid};
use store::Audit;

use super::auth;
use super::error::ApiError;
use super::limits::REQUEST_ID_CHARS_MAX;
use crate::proxy::Client;
use crate::rooms::wall;

/// Says nothing of whether the credential is right: a handler takes it behind what authenticates.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    credential: String,
    method: String,
    remote: Option<String>,
    request_id: Option<String>,
}

impl Actor {
    /// The line that tells of a change.
    pub(super) fn audit(
        self,
        account: AccountSid,
        operation: &str,
        room: RoomSid,
        participant: Option<ParticipantSid>,
        status: u16,
    ) -> Audit {
        Audit {
            at: wall(),
            account: Some(account),
            credential: self.credential,
            method: Some(self.method),
            operation: operation.to_owned(),
            room: Some(room),
            participant,
            api_key: None,
            status: Some(status),
            remote: self.remote,
            request_id: self.request_id,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let client = parts.extensions.get::<Client>();
        let request_id = parts.headers.get("x-request-id").and_then(|value| value.to_str().ok());
        Ok(Self {
            credential: auth::user(&parts.headers).ok_or(ApiError::Unauthorized)?,
            method: parts.method.to_string(),
            remote: client.map(|client| client.address.to_string()),
            request_id: request_id.map(|id| id.chars().take(REQUEST_ID_CHARS_MAX).collect()),
        })
    }
}
