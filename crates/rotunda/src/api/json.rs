//! Long answers as JSON.

use axum::Json;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Bytes that a participant's resource takes, about; more only costs a copy.
const ROW_BYTES: usize = 1200;
/// Bytes of what stands around the rows.
const REST_BYTES: usize = 2048;

/// A page with so many rows: written at once into memory that holds all of it.
pub(super) fn page<T: Serialize>(page: &T, rows: usize) -> Response {
    let mut body = Vec::with_capacity(REST_BYTES + rows * ROW_BYTES);
    match serde_json::to_writer(&mut body, page) {
        Ok(()) => {
            let mut response = Response::new(Body::from(body));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response
        }
        // Nothing of ours fails to be JSON; if it ever does, it is answered as everywhere else.
        Err(_) => Json(page).into_response(),
    }
}
