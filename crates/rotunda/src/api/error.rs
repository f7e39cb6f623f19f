//! What every refusal looks like: the one place that knows HTTP status, code and message of each.

use std::time::Duration;

use axum::Json;
use axum::http::header::{CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::rest::{ErrorBody, ErrorDetails};
use store::StoreError;

use super::path::RequestPath;
use crate::rooms::RoomsError;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// No credentials, or wrong ones.
    #[error("Authentication Error - invalid username")]
    Unauthorized,
    /// The account is suspended.
    #[error("403 Forbidden")]
    Forbidden,
    /// Nothing is there for this account. Holds the path as requested, without `/v1`.
    #[error("The requested resource {0} was not found")]
    NotFound(String),
    /// The resource is there, the method is not.
    #[error("Method not allowed")]
    MethodNotAllowed,
    /// The API has this resource, this server does not.
    #[error("Rotunda does not have {0} yet")]
    NotYet(&'static str),
    /// A parameter without which the request says nothing.
    #[error("Missing required parameter {0} in the post body")]
    Missing(&'static str),
    /// A parameter that cannot be understood.
    #[error("Invalid parameter {name}: {why}")]
    Invalid {
        /// Its name.
        name: &'static str,
        /// What it should be.
        why: &'static str,
    },
    /// The request as a whole cannot be understood.
    #[error("Bad request: {0}")]
    Malformed(&'static str),
    /// The body is too long.
    #[error("Bad request: the body is too long")]
    TooLarge,
    /// The body does not arrive.
    #[error("Bad request: the body took too long")]
    Slow,
    /// The body is no form.
    #[error("Bad request: send application/x-www-form-urlencoded or multipart/form-data")]
    MediaType,
    /// A fault with a number of its own.
    #[error("{}", .0.message())]
    Fault(Fault),
    /// The rules are no valid list; why.
    #[error("{}", Fault::SubscribeRules.message())]
    SubscribeRules(String),
    /// The account asks more often than it may; how long until it may again.
    #[error("Too Many Requests")]
    TooManyRequests(Duration),
    /// Try again.
    #[error("Service Unavailable")]
    Busy,
    /// The store failed; the client is not told how.
    #[error("Internal Server Error")]
    Store(#[source] StoreError),
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $code:literal $message:literal,)+) => {
        /// Faults with a number of their own, all with HTTP status 400 (rest.md section 4).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Fault { $($(#[$doc])* $name),+ }

        impl Fault {
            /// All of them.
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name),+];

            const fn code(self) -> u32 {
                match self { $(Self::$name => $code),+ }
            }

            const fn message(self) -> &'static str {
                match self { $(Self::$name => $message),+ }
            }
        }
    };
}

faults! {
    /// Not issued by this server for this list.
    PageToken = 21481 "Invalid PageToken",
    /// Looks like a SID.
    RoomName = 53100 "Room name is invalid",
    /// Over 128 characters.
    RoomNameTooLong = 53101 "Room name is too long",
    /// Not UTF-8, or with U+0000.
    RoomNameCharacters = 53102 "Room name contains invalid characters",
    /// Outside 1 to the server's bound.
    MaxParticipants = 53107 "MaxParticipants is out of range",
    /// No type of the API.
    RoomType = 53108 "RoomType is not valid",
    /// Outside 1 to 60 minutes.
    Timeout = 53109 "Timeout is out of range",
    /// Neither GET nor POST.
    StatusCallbackMethod = 53110 "StatusCallbackMethod is invalid",
    /// No absolute URL, or too long.
    StatusCallback = 53111 "StatusCallback is invalid",
    /// Not `completed`, or the room is completed already.
    RoomStatus = 53112 "Status is invalid",
    /// The name is that of a room in progress.
    RoomExists = 53113 "Room exists",
    /// A parameter that rooms of this type do not have.
    RoomParameters = 53114 "Room creation parameter(s) incompatible with the Room type",
    /// No region of the API.
    MediaRegion = 53115 "MediaRegion is invalid",
    /// Not the region of this server.
    MediaRegionEmpty = 53116 "There are no media servers available in the MediaRegion",
    /// No recording rules.
    RecordingRules = 53120 "Invalid Recording Rule(s)",
    /// Recording is not there yet.
    Recording = 53122 "The recording operation requested is not supported for the Room type",
    /// Outside 600 seconds to the server's bound.
    MaxParticipantDuration = 53123 "MaxParticipantDuration is out of range",
    /// `AudioOnly` in a room that is no group.
    AudioOnly = 53124 "The AudioOnly flag is not supported for the Room type",
    /// Not `disconnected`.
    ParticipantStatus = 53209 "Participant status is invalid",
    /// No rules.
    SubscribeRules = 53215 "Invalid Subscribe Rule(s)",
}

impl ApiError {
    /// Nothing is at this path.
    pub(super) fn not_found(path: &RequestPath) -> Self {
        Self::NotFound(path.below_v1().to_owned())
    }

    /// A room did not do what it was asked by a request for `path`.
    pub(super) fn of_rooms(error: RoomsError, path: &RequestPath) -> Self {
        match error {
            RoomsError::RoomExists => Fault::RoomExists.into(),
            RoomsError::RoomNotFound | RoomsError::ParticipantNotFound | RoomsError::NotMadeByJoining => {
                Self::not_found(path)
            }
            RoomsError::RoomNotInProgress => Fault::RoomStatus.into(),
            RoomsError::Busy => Self::Busy,
            RoomsError::Store(error) => error.into(),
        }
    }

    /// HTTP status and code.
    const fn numbers(&self) -> (StatusCode, u32) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, 20003),
            Self::Forbidden => (StatusCode::FORBIDDEN, 20403),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, 20404),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, 20004),
            Self::NotYet(_) => (StatusCode::NOT_IMPLEMENTED, 20501),
            Self::Missing(_) | Self::Invalid { .. } | Self::Malformed(_) => (StatusCode::BAD_REQUEST, 20001),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 20001),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, 20001),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, 20001),
            Self::Fault(fault) => (StatusCode::BAD_REQUEST, fault.code()),
            Self::SubscribeRules(_) => (StatusCode::BAD_REQUEST, Fault::SubscribeRules.code()),
            Self::TooManyRequests(_) => (StatusCode::TOO_MANY_REQUESTS, 20429),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, 20503),
            Self::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, 20500),
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            // The rest of the body would be taken for the next request.
            Self::Slow => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Self::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Rotunda\""));
            }
            Self::Busy => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::TooManyRequests(wait) => {
                // Whole seconds (RFC 9110 section 10.2.3), and never 0.
                let seconds = wait.as_millis().div_ceil(1000).max(1);
                headers.insert(
                    RETRY_AFTER,
                    HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
                );
            }
            _ => {}
        }
        headers
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::RoomExists => Fault::RoomExists.into(),
            StoreError::RoomNotInProgress => Fault::RoomStatus.into(),
            // Whoever watches the store tells of it, once.
            StoreError::Unavailable { .. } => Self::Busy,
            error => Self::Store(error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            tracing::error!(error = %chain(error), "a request failed in the store");
        }
        let (status, code) = self.numbers();
        let mut body = ErrorBody::new(status.as_u16(), code, self.to_string());
        if matches!(self, Self::Unauthorized) {
            body.detail = Some("Your AccountSid or AuthToken was incorrect.");
        }
        if let Self::SubscribeRules(reason) = &self {
            body.details = Some(ErrorDetails { reason: reason.clone() });
        }
        (status, self.headers(), Json(body)).into_response()
    }
}

/// The answer to who asks too often, before it is known what for.
pub fn too_many_requests(wait: Duration) -> Response {
    ApiError::TooManyRequests(wait).into_response()
}

/// An error and all its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_have_messages() {
        let codes: std::collections::BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.code()).collect();
        assert_eq!(codes.len(), Fault::ALL.len());
        assert!(Fault::ALL.iter().all(|fault| !fault.message().is_empty()));
    }

    #[test]
    fn the_log_gets_the_causes_and_the_client_does_not() {
        let error = StoreError::Backend(Box::new(std::io::Error::other("disk full")));
        assert_eq!(chain(&error), "the database failed: disk full");
        assert_eq!(ApiError::from(error).to_string(), "Internal Server Error");
    }

    /// Passes without the published table; holds ours against it where it is there.
    #[test]
    fn messages_are_the_published_ones_where_the_published_table_is_there() {
        let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/api/error_codes.json");
        let Ok(table) = std::fs::read_to_string(table) else {
            println!("the published table of error codes is not there: nothing to compare with");
            return;
        };
        let table: serde_json::Value = serde_json::from_str(&table).expect("the table is JSON");
        let codes = table["codes"].as_array().expect("a list of codes");
        for fault in Fault::ALL {
            let row = codes
                .iter()
                .find(|row| row["code"] == fault.code())
                .expect("the code is published");
            assert_eq!(row["message"], fault.message(), "{fault:?}");
        }
    }
}
