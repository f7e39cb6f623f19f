//! The client's end of the signaling protocol: frames over a WebSocket, and the messages of a
//! scripted client (signaling.md sections 2 and 3).

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A socket to a server that says what it is told and remembers nothing.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What a client sees that is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// The server closed the socket with this code.
    #[error("the server closed the socket with {0}")]
    Closed(u16),
    /// The socket broke, or what came was no JSON.
    #[error("the socket broke")]
    Broken,
    /// Nothing came in time.
    #[error("the server said nothing in time")]
    Silent,
}

/// The socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("opening a signaling socket at {url}")]
pub struct OpenError {
    url: String,
    #[source]
    source: Box<tungstenite::Error>,
}

impl Socket {
    /// Opens a socket; `protocol` is the subprotocol to ask for, if any.
    pub async fn open(url: &str, protocol: Option<&str>) -> Result<Self, OpenError> {
        let failed = |source| OpenError {
            url: url.to_owned(),
            source: Box::new(source),
        };
        let request = tungstenite::client::ClientRequestBuilder::new(
            url.parse()
                .map_err(|error: tungstenite::http::uri::InvalidUri| failed(error.into()))?,
        );
        let request = match protocol {
            Some(protocol) => request.with_sub_protocol(protocol),
            None => request,
        };
        let (stream, _) = tokio_tungstenite::connect_async_with_config(request, None, true)
            .await
            .map_err(failed)?;
        Ok(Self { stream })
    }

    /// Sends any text.
    pub async fn raw(&mut self, text: String) -> Result<(), Gone> {
        self.stream.send(Message::text(text)).await.map_err(|_| Gone::Broken)
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) -> Result<(), Gone> {
        self.raw(frame.to_string()).await
    }

    /// The next frame.
    pub async fn frame(&mut self, patience: Duration) -> Result<Value, Gone> {
        loop {
            let next = tokio::time::timeout(patience, self.stream.next())
                .await
                .map_err(|_| Gone::Silent)?;
            match next {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).map_err(|_| Gone::Broken),
                Some(Ok(Message::Close(frame))) => {
                    return Err(Gone::Closed(frame.map_or(1005, |frame| frame.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Gone::Broken),
            }
        }
    }

    /// The next message of the room: the body of a `msg` frame.
    pub async fn message(&mut self, patience: Duration) -> Result<Value, Gone> {
        loop {
            let mut frame = self.frame(patience).await?;
            if frame["type"] == "msg" {
                return Ok(frame["body"].take());
            }
        }
    }

    /// Closes as the SDK does, without waiting for the answer.
    pub async fn close(mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        // A server that closed the socket first has what it needs.
        drop(self.stream.close(Some(frame)).await);
    }
}

/// A `hello` frame, with the first message if there is one.
pub fn hello(body: Option<Value>) -> Value {
    let mut hello = json!({ "type": "hello", "id": "scripted", "timeout": 5000, "version": 2 });
    if let Some(body) = body {
        hello["body"] = body;
    }
    hello
}

/// A frame that carries a message.
pub fn msg(body: &Value) -> Value {
    json!({ "type": "msg", "body": body })
}

/// One enabled track of a client's list.
pub fn track(id: &str, kind: &str, name: &str) -> Value {
    json!({ "id": id, "kind": kind, "name": name, "enabled": true, "priority": "standard" })
}

/// A `connect` message. The peer connection is called `pc`.
pub fn connect(token: &str, room: Option<&str>, tracks: Value, offer: Option<&str>) -> Value {
    let mut connect = json!({
        "type": "connect", "version": 2, "name": room, "token": token, "format": "unified", "ice_servers": "acquire",
        "publisher": { "name": "scripted", "sdk_version": "0", "user_agent": "testkit" },
        "participant": { "revision": 1, "tracks": tracks },
        "peer_connections": [],
        "subscribe": { "revision": 1, "rules": [{ "type": "include", "all": true }] },
        "media_signaling": {},
    });
    if let Some(offer) = offer {
        connect["peer_connections"] =
            json!([{ "id": "pc", "description": { "type": "offer", "revision": 1, "sdp": offer } }]);
    }
    connect
}

/// A client's list of tracks, told anew.
pub fn update(session: &str, revision: u64, tracks: Value) -> Value {
    json!({
        "type": "update", "version": 2, "session": session,
        "participant": { "revision": revision, "tracks": tracks },
    })
}

/// A client leaves.
pub fn disconnect(session: &str) -> Value {
    json!({ "type": "disconnect", "version": 2, "session": session })
}
