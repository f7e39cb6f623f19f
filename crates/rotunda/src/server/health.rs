//! Whether the process lives, and whether it can do its work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 if rows can be read and written, else 503; the body says which part fails.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let store = app.store.check().await;
    if let Err(error) = &store {
        tracing::error!(error = error as &dyn std::error::Error, "the store failed its check");
    }
    let word = |works: bool| if works { "ok" } else { "failed" };
    let status = if store.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "store": word(store.is_ok()) })))
}
