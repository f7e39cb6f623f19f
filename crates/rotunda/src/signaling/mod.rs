//! One WebSocket: authenticates, then pumps messages between the client and its room.
//!
//! `/signaling` speaks TCMP and RSP (signaling.md sections 2 and 3); `/v1/VideoEvents` takes the
//! SDK's telemetry and drops it (section 14.1).

mod insights;
mod limits;
mod load;
mod socket;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::ws::WebSocketUpgrade;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::door::ClientPlace;

/// Routes of the WebSockets.
pub fn router(app: App) -> Router {
    let listeners = Arc::new(Semaphore::new(limits::INSIGHTS_SOCKETS));
    Router::new()
        .route(
            "/signaling",
            any(move |upgrade: WebSocketUpgrade, place: OfClient| signaling(upgrade, app, place)),
        )
        .route(
            "/v1/VideoEvents",
            any(move |upgrade: WebSocketUpgrade, place: OfClient| telemetry(upgrade, listeners, place)),
        )
}

/// Of a client behind a trusted proxy; held until its socket ends.
type OfClient = Option<Extension<ClientPlace>>;

async fn signaling(upgrade: WebSocketUpgrade, app: App, place: OfClient) -> Response {
    let Some(places) = app.door.socket(Instant::now()) else {
        return full();
    };
    upgrade
        .max_message_size(limits::MESSAGE_BYTES)
        .max_frame_size(limits::MESSAGE_BYTES)
        .read_buffer_size(limits::READ_BYTES)
        .on_upgrade(move |stream| async move {
            let held = app.rooms.held();
            socket::serve(stream, app, places).await;
            drop((held, place));
        })
}

async fn telemetry(upgrade: WebSocketUpgrade, listeners: Arc<Semaphore>, of_client: OfClient) -> Response {
    let Ok(place) = listeners.try_acquire_owned() else {
        return full();
    };
    upgrade
        .max_message_size(limits::INSIGHTS_MESSAGE_BYTES)
        .read_buffer_size(limits::READ_BYTES)
        .on_upgrade(move |stream| async move {
            insights::discard(stream).await;
            drop((place, of_client));
        })
}

fn full() -> Response {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "as many sockets as may are open: try again later\n",
    )
        .into_response()
}
