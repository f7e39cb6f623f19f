//! A scripted participant of a Rotunda room: joins, answers every offer, stays until told to leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::description::{Descriptions, NoSession, Wishes};
use crate::engine::{Engine, EngineGone, NewPeer, socket_to};
use crate::limits::ANSWER_TIME_MAX;
use crate::media::Media;
use crate::peer::Identity;
use crate::signaling::{self, Gone, OpenError, Socket, connect, disconnect, hello, msg, track};

/// How often we say that we are there; the server is told to wait for 5 s.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Why a participant is not, or no more, in its room.
#[derive(Debug, thiserror::Error)]
pub enum Outside {
    /// The socket could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The socket is gone.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// The server said no.
    #[error("the server refused: {0}")]
    Refused(String),
    /// It made no sense.
    #[error("the server's message lacks {0}")]
    Lacks(&'static str),
    /// There is no session.
    #[error(transparent)]
    Session(#[from] NoSession),
    /// There is no socket for media.
    #[error("opening a socket for media")]
    Socket(#[source] std::io::Error),
    /// The generator failed.
    #[error(transparent)]
    Engine(#[from] EngineGone),
}

/// Bytes of descriptions, over all participants.
#[derive(Debug, Default)]
pub struct DescriptionSizes {
    /// Descriptions, both ways.
    pub count: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// The largest of the server's.
    pub largest_theirs: AtomicU64,
    /// The largest of a client's.
    pub largest_ours: AtomicU64,
    /// Sections of the server's that has most of them.
    pub most_sections: AtomicU64,
}

impl DescriptionSizes {
    pub(crate) fn ours(&self, sdp: &str) {
        self.note(sdp, &self.largest_ours);
    }

    pub(crate) fn theirs(&self, sdp: &str) {
        self.note(sdp, &self.largest_theirs);
        let sections = sdp.lines().filter(|line| line.starts_with("m=")).count();
        self.most_sections.fetch_max(sections as u64, Ordering::Relaxed);
    }

    fn note(&self, sdp: &str, largest: &AtomicU64) {
        let bytes = sdp.len() as u64;
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        largest.fetch_max(bytes, Ordering::Relaxed);
    }
}

/// What a participant needs to join.
pub(crate) struct Joining {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) room_name: String,
    pub(crate) number: u32,
    pub(crate) room: u32,
    pub(crate) identity: Identity,
    pub(crate) engine: Engine,
    pub(crate) media: Media,
    pub(crate) sizes: Arc<DescriptionSizes>,
}

/// A participant that is in.
pub(crate) struct Participant {
    socket: Socket,
    session: String,
    tracks: Value,
    descriptions: Descriptions,
    number: u32,
    engine: Engine,
    sizes: Arc<DescriptionSizes>,
}

impl Participant {
    /// Joins; also how long the server took from `connect` to `connected`.
    pub(crate) async fn join(joining: Joining) -> Result<(Self, Duration), Outside> {
        let Joining { number, sizes, .. } = joining;
        let wishes = joining.media.wishes(&joining.identity, number);
        let tracks = track_list(&wishes);
        let mut descriptions = Descriptions::new(wishes);
        let offer = descriptions.offer()?;
        sizes.ours(&offer);
        let mut socket = Socket::open(&joining.url, None).await?;
        let began = Instant::now();
        let mut body = connect(&joining.token, Some(&joining.room_name), tracks.clone(), Some(&offer));
        body["ice_servers"] = json!("overrode");
        socket.send(&hello(Some(body))).await?;
        let connected = connected(&mut socket).await?;
        let took = began.elapsed();
        let text = |value: &Value, what| Ok::<_, Outside>(value.as_str().ok_or(Outside::Lacks(what))?.to_owned());
        let answer = text(&connected["peer_connections"][0]["description"]["sdp"], "the answer")?;
        sizes.theirs(&answer);
        let session = descriptions.accept(&answer)?;
        let far = descriptions.far().cloned().ok_or(NoSession::Lacks("address"))?;
        joining.engine.add(NewPeer {
            number,
            room: joining.room,
            publisher: number,
            socket: socket_to(far.address).map_err(Outside::Socket)?,
            identity: joining.identity,
            sources: joining.media.sources(number, &session, Instant::now()),
            only_counts: joining.media.only_counts(number),
            conditions: joining.media.conditions(number),
            far,
            session,
        })?;
        let participant = Self {
            socket,
            session: text(&connected["session"], "the session")?,
            tracks,
            descriptions,
            number,
            engine: joining.engine,
            sizes,
        };
        Ok((participant, took))
    }

    /// Stays until `leave` says otherwise, then leaves as the SDK does.
    pub(crate) async fn stay(mut self, mut leave: watch::Receiver<bool>) -> Result<(), Outside> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            tokio::select! {
                () = told(&mut leave) => break,
                _ = heartbeat.tick() => self.socket.send(&json!({ "type": "heartbeat" })).await?,
                message = self.socket.message(ANSWER_TIME_MAX) => self.handle(&message?).await?,
            }
        }
        self.socket.send(&msg(&disconnect(&self.session))).await?;
        self.socket.send(&json!({ "type": "bye" })).await?;
        self.socket.close().await;
        self.engine.remove(self.number)?;
        Ok(())
    }

    async fn handle(&mut self, message: &Value) -> Result<(), Outside> {
        if message["type"] == "error" || message["type"] == "disconnected" {
            return Err(Outside::Refused(message.to_string()));
        }
        let Some(all) = message["peer_connections"].as_array() else {
            return Ok(());
        };
        for description in all.iter().map(|one| &one["description"]) {
            if description["type"] == "offer" {
                self.answer(description).await?;
            }
        }
        Ok(())
    }

    async fn answer(&mut self, offer: &Value) -> Result<(), Outside> {
        let sdp = offer["sdp"].as_str().ok_or(Outside::Lacks("the offer's text"))?;
        self.sizes.theirs(sdp);
        let (answer, session) = self.descriptions.answer(sdp)?;
        self.sizes.ours(&answer);
        self.engine.apply(self.number, session)?;
        let mut update = signaling::update(&self.session, 1, self.tracks.clone());
        update["peer_connections"] = json!([{
            "id": "pc",
            "description": { "type": "answer", "revision": offer["revision"], "sdp": answer },
        }]);
        Ok(self.socket.send(&msg(&update)).await?)
    }
}

/// The first message of the room, or why there is none.
async fn connected(socket: &mut Socket) -> Result<Value, Outside> {
    loop {
        let mut frame = socket.frame(ANSWER_TIME_MAX).await?;
        match frame["type"].as_str() {
            Some("msg") if frame["body"]["type"] == "connected" => return Ok(frame["body"].take()),
            Some("msg") => return Err(Outside::Refused(frame["body"].to_string())),
            Some("busy" | "bad") => return Err(Outside::Refused(frame.to_string())),
            _ => {}
        }
    }
}

/// Whoever holds the other end has said so, or is gone.
pub(crate) async fn told(leave: &mut watch::Receiver<bool>) {
    leave.wait_for(|leave| *leave).await.ok();
}

fn track_list(wishes: &Wishes) -> Value {
    let audio = wishes.audio.iter().map(|audio| track(&audio.id, "audio", "microphone"));
    let video = wishes.video.iter().map(|video| track(&video.id, "video", "camera"));
    audio.chain(video).collect()
}
