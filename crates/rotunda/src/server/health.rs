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

/// `GET /readyz`: 200 if rows can be read and written and the media plane works, else 503; the body says
/// which part fails.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let store = app.store.check().await;
    if let Err(error) = &store {
        tracing::error!(error = error as &dyn std::error::Error, "the store failed its check");
    }
    let (store, media) = (store.is_ok(), app.rooms.media_is_running());
    let status = if store && media {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = |works: bool| if works { "ok" } else { "failed" };
    (status, Json(json!({ "store": word(store), "media": word(media) })))
}
