//! A scripted client of the signaling protocol: speaks TCMP and RSP as the browser SDK does, from
//! the outside, over a real WebSocket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The first offer of Chromium with microphone and camera, as recorded. Its tracks are
/// [`MICROPHONE`] and [`CAMERA`].
pub const OFFER: &str = include_str!("../data/chromium-offer.sdp");
/// Track id of the audio in [`OFFER`].
pub const MICROPHONE: &str = "46145a1c-27c9-41b5-80dc-9fb5aa047116";
/// Track id of the video in [`OFFER`].
pub const CAMERA: &str = "96d02c50-29f4-45e2-b78d-f75704358ac8";

/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket to the server that says what it is told and remembers nothing of rooms.
pub struct Client {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Of `connected`.
    pub session: String,
    /// The client's own revision of its list of tracks.
    pub revision: u64,
}

/// What a client sees that is not a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// The server closed the socket with this code.
    Closed(u16),
    /// The socket broke.
    Broken,
    /// Nothing came in time.
    Silent,
}

impl Client {
    /// Opens a socket and says hello with this first message.
    pub async fn hello(url: &str, body: Option<Value>) -> Self {
        let mut hello = json!({ "type": "hello", "id": "scripted", "timeout": 5000, "version": 2 });
        if let Some(body) = body {
            hello["body"] = body;
        }
        Self::hello_raw(url, hello).await
    }

    /// Opens a socket and sends this as its first frame.
    pub async fn hello_raw(url: &str, hello: Value) -> Self {
        let (stream, _) = tokio_tungstenite::connect_async(url)
            .await
            .expect("the server accepts sockets");
        let mut client = Self {
            stream,
            session: String::new(),
            revision: 1,
        };
        client.send(hello).await;
        client
    }

    /// Joins a room with [`OFFER`] and both of its tracks; the `connected` message.
    pub async fn join(url: &str, token: &str, room: Option<&str>) -> Result<(Self, Value), Value> {
        Self::join_with(url, token, room, both_tracks(), Some(OFFER)).await
    }

    /// Joins a room with these tracks and this offer; the `connected` message, or the refusal.
    pub async fn join_with(
        url: &str,
        token: &str,
        room: Option<&str>,
        tracks: Value,
        offer: Option<&str>,
    ) -> Result<(Self, Value), Value> {
        let mut client = Self::hello(url, Some(connect(token, room, tracks, offer))).await;
        let answer = client.message().await.expect("an answer to connect");
        if answer["type"] != "connected" {
            return Err(answer);
        }
        client.session = answer["session"].as_str().expect("a session").to_owned();
        Ok((client, answer))
    }

    /// Resumes a session on a new socket; the `synced` message, or the refusal.
    pub async fn resume(
        url: &str,
        session: &str,
        tracks: Value,
        revision: u64,
        peer_connections: Value,
    ) -> Result<(Self, Value), Value> {
        let sync = json!({
            "type": "sync", "version": 2, "session": session, "token": "expired", "name": "any",
            "participant": { "revision": revision, "tracks": tracks },
            "peer_connections": peer_connections,
        });
        let mut client = Self::hello(url, Some(sync)).await;
        client.session = session.to_owned();
        client.revision = revision;
        let answer = client.message().await.expect("an answer to sync");
        if answer["type"] == "synced" {
            Ok((client, answer))
        } else {
            Err(answer)
        }
    }

    /// Sends a TCMP frame.
    pub async fn send(&mut self, frame: Value) {
        self.raw(frame.to_string()).await;
    }

    /// Sends any text.
    pub async fn raw(&mut self, text: String) {
        // A server that closed the socket is seen when reading.
        drop(self.stream.send(Message::text(text)).await);
    }

    /// Sends an RSP message.
    pub async fn say(&mut self, body: Value) {
        self.send(json!({ "type": "msg", "body": body })).await;
    }

    /// Tells the server the client's tracks anew.
    pub async fn announce(&mut self, tracks: Value) {
        self.revision += 1;
        let (session, revision) = (self.session.clone(), self.revision);
        self.say(json!({ "type": "update", "version": 2, "session": session, "participant": { "revision": revision, "tracks": tracks } })).await;
    }

    /// The next TCMP frame.
    pub async fn frame(&mut self) -> Result<Value, Gone> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.stream.next())
                .await
                .map_err(|_| Gone::Silent)?;
            match next {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("frames are JSON")),
                Some(Ok(Message::Close(frame))) => {
                    return Err(Gone::Closed(frame.map_or(1005, |frame| frame.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Gone::Broken),
            }
        }
    }

    /// The next RSP message.
    pub async fn message(&mut self) -> Result<Value, Gone> {
        loop {
            let mut frame = self.frame().await?;
            if frame["type"] == "msg" {
                return Ok(frame["body"].take());
            }
        }
    }

    /// The next message for which `wanted` has an answer.
    pub async fn until<T>(&mut self, mut wanted: impl FnMut(&Value) -> Option<T>) -> Result<T, Gone> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < deadline {
            if let Some(found) = wanted(&self.message().await?) {
                return Ok(found);
            }
        }
        Err(Gone::Silent)
    }

    /// The state that somebody else is next told to be in.
    pub async fn sees(&mut self, identity: &str) -> Result<String, Gone> {
        self.until(|message| {
            let other = message["participants"]
                .as_array()?
                .iter()
                .find(|other| other["identity"] == identity)?;
            Some(other["state"].as_str()?.to_owned())
        })
        .await
    }

    /// How the server ends this socket: the code of the last message, if any.
    pub async fn dismissal(&mut self) -> Result<Value, Gone> {
        self.until(|message| (message["type"] == "error" || message["type"] == "disconnected").then(|| message.clone()))
            .await
    }

    /// Leaves as the SDK does.
    pub async fn leave(mut self) {
        let session = self.session.clone();
        self.say(json!({ "type": "disconnect", "version": 2, "session": session }))
            .await;
        self.send(json!({ "type": "bye" })).await;
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        drop(self.stream.close(Some(frame)).await);
    }

    /// Loses the socket without a word.
    pub fn cut(self) {
        drop(self.stream);
    }
}

/// The tracks of [`OFFER`].
pub fn both_tracks() -> Value {
    json!([
        track(MICROPHONE, "audio", "microphone"),
        track(CAMERA, "video", "camera")
    ])
}

/// One enabled track of a client's list.
pub fn track(id: &str, kind: &str, name: &str) -> Value {
    json!({ "id": id, "kind": kind, "name": name, "enabled": true, "priority": "standard" })
}

/// A `connect` message.
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
