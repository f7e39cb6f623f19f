//! A scripted client of the signaling protocol: speaks TCMP and RSP as the browser SDK does, from
//! the outside, over a real WebSocket.

use std::time::Duration;

pub use load::signaling::{Gone, connect, track};
use load::signaling::{Socket, disconnect, hello, msg, update};
use serde_json::{Value, json};

/// The first offer of Chromium with microphone and camera, as recorded. Its tracks are
/// [`MICROPHONE`] and [`CAMERA`].
pub const OFFER: &str = include_str!("../data/chromium-offer.sdp");
/// Track id of the audio in [`OFFER`].
pub const MICROPHONE: &str = "46145a1c-27c9-41b5-80dc-9fb5aa047116";
/// Track id of the video in [`OFFER`].
pub const CAMERA: &str = "96d02c50-29f4-45e2-b78d-f75704358ac8";

/// How long anything that is waited for may take: longer than the server lets anybody wait, so that it is the one to say no.
const PATIENCE: Duration = Duration::from_secs(40);

/// A socket to the server that says what it is told and remembers nothing of rooms.
pub struct Client {
    socket: Socket,
    /// Of `connected`.
    pub session: String,
    /// The client's own revision of its list of tracks.
    pub revision: u64,
}

impl Client {
    /// Opens a socket and says hello with this first message.
    pub async fn hello(url: &str, body: Option<Value>) -> Self {
        Self::hello_raw(url, hello(body)).await
    }

    /// Opens a socket and sends this as its first frame.
    pub async fn hello_raw(url: &str, hello: Value) -> Self {
        let socket = Socket::open(url, None).await.expect("the server accepts sockets");
        let mut client = Self {
            socket,
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
        drop(self.socket.raw(text).await);
    }

    /// Sends an RSP message.
    pub async fn say(&mut self, body: Value) {
        self.send(msg(&body)).await;
    }

    /// Tells the server the client's tracks anew.
    pub async fn announce(&mut self, tracks: Value) {
        self.revision += 1;
        let (session, revision) = (self.session.clone(), self.revision);
        self.say(update(&session, revision, tracks)).await;
    }

    /// The next TCMP frame.
    pub async fn frame(&mut self) -> Result<Value, Gone> {
        self.socket.frame(PATIENCE).await
    }

    /// The next RSP message.
    pub async fn message(&mut self) -> Result<Value, Gone> {
        self.socket.message(PATIENCE).await
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
        self.say(disconnect(&session)).await;
        self.send(json!({ "type": "bye" })).await;
        self.socket.close().await;
    }

    /// How the server ends this socket, within a minute; what it says until then is left unread.
    pub async fn ends(&mut self) -> Gone {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            match self.frame().await {
                Ok(_) => {}
                Err(Gone::Silent) if tokio::time::Instant::now() < deadline => {}
                Err(gone) => return gone,
            }
        }
    }

    /// Loses the socket without a word.
    pub fn cut(self) {
        drop(self.socket);
    }
}

/// The tracks of [`OFFER`].
pub fn both_tracks() -> Value {
    json!([
        track(MICROPHONE, "audio", "microphone"),
        track(CAMERA, "video", "camera")
    ])
}
