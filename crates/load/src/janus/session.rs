//! A client's session with Janus: transactions over a WebSocket.

use std::time::Duration;

use serde_json::{Value, json};

use crate::limits::ANSWER_TIME_MAX;
use crate::participant::Outside;
use crate::signaling::Socket;

/// A session; it ends with its socket.
pub(crate) struct Session {
    socket: Socket,
    id: Value,
    transactions: u64,
}

impl Session {
    /// Opens a socket and a session on it.
    pub(crate) async fn open(url: &str) -> Result<Self, Outside> {
        let mut session = Self {
            socket: Socket::open(url, Some("janus-protocol")).await?,
            id: Value::Null,
            transactions: 0,
        };
        let created = session.ask(json!({ "janus": "create" })).await?;
        session.id = created["data"]["id"].clone();
        Ok(session)
    }

    /// A handle of the VideoRoom.
    pub(crate) async fn attach(&mut self) -> Result<Value, Outside> {
        let attach = json!({ "janus": "attach", "plugin": "janus.plugin.videoroom" });
        Ok(self.ask(attach).await?["data"]["id"].clone())
    }

    /// Tells the plugin something; its answer's data, and its description if there is one.
    pub(crate) async fn tell(
        &mut self,
        handle: &Value,
        body: Value,
        jsep: Option<Value>,
    ) -> Result<(Value, Option<String>), Outside> {
        let mut message = json!({ "janus": "message", "handle_id": handle, "body": body });
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        let mut answer = self.ask(message).await?;
        let data = answer["plugindata"]["data"].take();
        if data.get("error").is_some() {
            return Err(Outside::Refused(data.to_string()));
        }
        Ok((data, answer["jsep"]["sdp"].as_str().map(str::to_owned)))
    }

    /// Waits until a peer connection is up: before, Janus lets nobody subscribe to it.
    pub(crate) async fn up(&mut self) -> Result<(), Outside> {
        loop {
            let frame = self.socket.frame(ANSWER_TIME_MAX).await?;
            match frame["janus"].as_str() {
                Some("webrtcup") => return Ok(()),
                Some("hangup" | "timeout" | "error") => return Err(Outside::Refused(frame.to_string())),
                _ => {}
            }
        }
    }

    /// Says that we are there, and reads what came meanwhile.
    pub(crate) async fn stay(&mut self, pause: Duration) -> Result<(), Outside> {
        let keepalive = json!({ "janus": "keepalive" });
        self.send(keepalive).await?;
        let until = tokio::time::Instant::now() + pause;
        loop {
            match tokio::time::timeout_at(until, self.socket.frame(ANSWER_TIME_MAX)).await {
                Err(_) => return Ok(()),
                Ok(frame) => {
                    let frame = frame?;
                    if frame["janus"] == "hangup" || frame["janus"] == "timeout" {
                        return Err(Outside::Refused(frame.to_string()));
                    }
                }
            }
        }
    }

    pub(crate) async fn close(self) {
        self.socket.close().await;
    }

    async fn send(&mut self, mut message: Value) -> Result<String, Outside> {
        self.transactions += 1;
        let transaction = self.transactions.to_string();
        message["transaction"] = json!(transaction);
        if !self.id.is_null() {
            message["session_id"] = self.id.clone();
        }
        self.socket.send(&message).await?;
        Ok(transaction)
    }

    /// The answer to a message, past `ack` and what is said in between.
    async fn ask(&mut self, message: Value) -> Result<Value, Outside> {
        let transaction = self.send(message).await?;
        loop {
            let frame = self.socket.frame(ANSWER_TIME_MAX).await?;
            match frame["janus"].as_str() {
                _ if frame["transaction"] != transaction.as_str() => {}
                Some("ack") => {}
                Some("success" | "event") => return Ok(frame),
                _ => return Err(Outside::Refused(frame.to_string())),
            }
        }
    }
}
