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

/// How long a check may take; longer counts as failed.
const CHECK_TIME_MAX: Duration = Duration::from_secs(5);

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
        // A store that stands still is not waited for: the probe is asked for an answer.
        let works = self.app.watch.is_fit()
            && matches!(
                tokio::time::timeout(CHECK_TIME_MAX, self.app.store.check()).await,
                Ok(Ok(()))
            );
        *last = Some((Instant::now(), works));
        works
    }
}

/// `GET /readyz`: 200 if rows can be read and written, the media plane works and new rooms are taken, else
/// 503; the body says which part fails.
pub(super) async fn ready(State(readiness): State<Readiness>) -> (StatusCode, Json<Value>) {
    let store = readiness.store_works().await;
    let media = readiness.app.rooms.media_is_running();
    let drains = readiness.app.rooms.is_draining();
    let status = if store && media && !drains {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = |works: bool| if works { "ok" } else { "failed" };
    let mut body = json!({ "store": word(store), "media": word(media) });
    if drains {
        body["rooms"] = "draining".into();
    }
    (status, Json(body))
}
