//! Long answers as JSON.

use axum::Json;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use protocol::rest::ParticipantPage;

/// A page of participants.
pub(super) fn page(page: &ParticipantPage) -> Response {
    match page.to_json() {
        Ok(body) => {
            let mut response = Response::new(Body::from(body));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response
        }
        // Nothing of ours fails to be JSON; if it ever does, it is answered as everywhere else.
        Err(_) => Json(page).into_response(),
    }
}
