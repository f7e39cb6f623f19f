//! Whether the process lives, and whether it can do its work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::app::App;

/// How long an answer of `/readyz` holds. It costs a synced write, and strangers may ask.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// The last check, shared by all who ask.
#[derive(Clone)]
pub(super) struct Readiness {
    app: App,
    last: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl Readiness {
    pub(super) fn new(app: App) -> Self {
        Self {
            app,
            last: Arc::default(),
        }
    }

    /// Whether rows can be read and written, a second old at most.
    async fn store_works(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, works)) = *last
            && at.elapsed() < CHECK_INTERVAL
        {
            return works;
        }
        let checked = self.app.store.check().await;
        if let Err(error) = &checked {
            tracing::error!(error = error as &dyn std::error::Error, "the store failed its check");
        }
        *last = Some((Instant::now(), checked.is_ok()));
        checked.is_ok()
    }
}

/// `GET /readyz`: 200 if rows can be read and written and the media plane works, else 503; the body says
/// which part fails.
pub(super) async fn ready(State(readiness): State<Readiness>) -> (StatusCode, Json<Value>) {
    let store = readiness.store_works().await;
    let media = readiness.app.rooms.media_is_running();
    let status = if store && media {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = |works: bool| if works { "ok" } else { "failed" };
    (status, Json(json!({ "store": word(store), "media": word(media) })))
}
