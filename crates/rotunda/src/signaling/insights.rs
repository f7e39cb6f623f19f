//! Takes the SDK's telemetry and drops it: it holds addresses of people and belongs to nobody.

use axum::extract::ws::{Message, WebSocket};

use super::limits;

/// Greets each `connect` as the SDK wants it, reads on, and keeps nothing.
pub(super) async fn discard(mut stream: WebSocket) {
    loop {
        let Ok(Some(Ok(message))) = tokio::time::timeout(limits::INSIGHTS_IDLE, stream.recv()).await else {
            return;
        };
        let Message::Text(text) = message else { continue };
        let is_connect = serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value["type"] == "connect");
        if is_connect {
            let greeting = r#"{"type":"connected","version":1,"session":"discarded"}"#;
            if stream.send(Message::Text(greeting.into())).await.is_err() {
                return;
            }
        }
    }
}
