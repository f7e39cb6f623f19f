//! A scripted client that stays: it hears everything that is said to it, and does as it is told.

use std::sync::Arc;
use std::time::Duration;

use load::signaling::{Gone, Socket, connect, disconnect, hello, msg, track, update};
use room::{ParticipantSid, ParticipantStatus, RoomSid};
use serde_json::{Value, json};
use testkit::history::{Moment, Present, Said, Touches};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::world::World;

/// How long the answer to `connect` may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The server lets three of 5 s pass.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// A participant, as its client sees it.
pub(crate) struct Guest {
    world: Arc<World>,
    pub(crate) room: RoomSid,
    pub(crate) sid: ParticipantSid,
    name: Arc<str>,
    identity: Arc<str>,
    session: String,
    revision: u64,
    tracks: Value,
    ear: Option<Ear>,
    /// What took its socket, if something did.
    lost: Option<usize>,
}

struct Ear {
    orders: mpsc::Sender<Order>,
    task: JoinHandle<(Ending, Moment)>,
}

enum Order {
    Say(Value),
    Leave(Value),
    Cut,
}

/// How a socket came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The client left, or cut it.
    Own,
    /// The client was told that it is out.
    Dismissed,
    /// It broke, or the server closed it.
    Lost,
}

impl Guest {
    /// Joins; nothing if it was refused, or nobody knows.
    pub(crate) async fn join(world: &Arc<World>, room: &str, identity: &str, tracks: usize) -> Option<Self> {
        let (name, identity): (Arc<str>, Arc<str>) = (room.into(), identity.into());
        let deed = world.recorder.begins(Touches::Identity {
            room: name.clone(),
            identity: identity.clone(),
        });
        let asked = world.recorder.now();
        let tracks = listed(0..tracks);
        let first = connect(&world.token(&identity), Some(room), tracks.clone(), None);
        let answer = first_words(world, first).await;
        let Some((socket, connected)) = answer else {
            world.recorder.unknown(deed);
            return None;
        };
        if connected["type"] != "connected" {
            if !matches!(connected["code"].as_u64(), Some(53118 | 53104 | 53105 | 53006)) {
                world.complain(format!("{identity} was refused: {connected}"));
            }
            world.recorder.over(deed);
            return None;
        }
        let mut guest = Self {
            world: Arc::clone(world),
            room: connected["sid"].as_str()?.parse().ok()?,
            sid: connected["participant"]["sid"].as_str()?.parse().ok()?,
            name,
            identity,
            session: connected["session"].as_str()?.to_owned(),
            revision: 1,
            tracks,
            ear: None,
            lost: None,
        };
        world.was_in(guest.room, &guest.name);
        guest.is_in(asked, deed, &connected);
        guest.listen(socket);
        Some(guest)
    }

    /// Comes back after its socket was lost. False if it is out.
    pub(crate) async fn resume(&mut self) -> bool {
        let world = Arc::clone(&self.world);
        let deed = world.recorder.begins(Touches::Participant(self.sid));
        if let Some(lost) = self.lost.take() {
            world.recorder.over(lost);
        }
        let asked = world.recorder.now();
        let sync = json!({
            "type": "sync", "version": 2, "session": self.session, "token": "expired", "name": "any",
            "participant": { "revision": self.revision, "tracks": self.tracks }, "peer_connections": [],
        });
        let Some((socket, answer)) = first_words(&world, sync).await else {
            world.recorder.unknown(deed);
            return true;
        };
        if answer["type"] != "synced" {
            if answer["code"] != 53001 {
                world.complain(format!("{} could not resume: {answer}", self.identity));
            }
            world.recorder.over(deed);
            return false;
        }
        if answer["participant"]["sid"] != self.sid.to_string() {
            world.complain(format!("{} resumed as somebody else: {answer}", self.sid));
        }
        self.is_in(asked, deed, &answer);
        self.listen(socket);
        true
    }

    fn is_in(&self, asked: Moment, deed: usize, said: &Value) {
        let others = said["participants"].as_array().map_or(&[][..], Vec::as_slice);
        let present = Present {
            room: self.room,
            name: self.name.clone(),
            participant: self.sid,
            identity: self.identity.clone(),
            others: others.iter().filter_map(other).collect(),
            deed,
        };
        self.world.recorder.heard(asked, Said::Present(present));
        self.world.recorder.over(deed);
    }

    fn listen(&mut self, socket: Socket) {
        let (orders, ordered) = mpsc::channel(8);
        let task = tokio::spawn(listen(Arc::clone(&self.world), self.sid, socket, ordered));
        self.ear = Some(Ear { orders, task });
    }

    /// Whether its socket is up, as far as it knows; a socket that ended is noted.
    pub(crate) async fn is_there(&mut self) -> bool {
        if self.ear.as_ref().is_some_and(|ear| ear.task.is_finished()) {
            self.hang_up().await;
        }
        self.ear.is_some()
    }

    /// Whether it may still come back.
    pub(crate) fn is_lost(&self) -> bool {
        self.ear.is_none() && self.lost.is_some()
    }

    /// Announces other tracks, or mutes and unmutes.
    pub(crate) async fn change_tracks(&mut self, dice: &mut fastrand::Rng) {
        self.tracks = listed(dice.usize(0..2)..dice.usize(2..4));
        for track in self.tracks.as_array_mut().into_iter().flatten() {
            track["enabled"] = dice.bool().into();
        }
        self.revision += 1;
        let update = update(&self.session, self.revision, self.tracks.clone());
        if let Some(ear) = &self.ear {
            // An ear that is gone is noticed elsewhere.
            drop(ear.orders.send(Order::Say(msg(&update))).await);
        }
    }

    pub(crate) async fn leave(mut self) {
        let deed = self.world.recorder.begins(Touches::Participant(self.sid));
        if let Some(ear) = &self.ear {
            drop(ear.orders.send(Order::Leave(msg(&disconnect(&self.session)))).await);
        }
        self.hang_up().await;
        // Nobody says when the server has heard it.
        self.world.recorder.unknown(deed);
    }

    /// Loses its socket without a word.
    pub(crate) async fn cut(&mut self) {
        let deed = self.world.recorder.begins(Touches::Participant(self.sid));
        if let Some(ear) = &self.ear {
            drop(ear.orders.send(Order::Cut).await);
        }
        self.hang_up().await;
        self.lost = Some(deed);
    }

    async fn hang_up(&mut self) {
        let Some(ear) = self.ear.take() else { return };
        drop(ear.orders);
        let (ending, last_heard) = ear.task.await.unwrap();
        if ending == Ending::Lost {
            self.lost = Some(self.world.recorder.began(last_heard, Touches::Participant(self.sid)));
        }
    }
}

/// Opens a socket and sends this; the answer. Nothing if the server is gone.
async fn first_words(world: &World, body: Value) -> Option<(Socket, Value)> {
    let mut socket = tokio::time::timeout(PATIENCE, Socket::open(&world.signaling(), None))
        .await
        .ok()?
        .ok()?;
    socket.send(&hello(Some(body))).await.ok()?;
    let answer = socket.message(PATIENCE).await.ok()?;
    Some((socket, answer))
}

/// Hears until the socket ends or an order ends it; with when the last word was heard.
async fn listen(
    world: Arc<World>,
    me: ParticipantSid,
    mut socket: Socket,
    mut orders: mpsc::Receiver<Order>,
) -> (Ending, Moment) {
    let mut last_heard = world.recorder.now();
    let mut beat = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            frame = socket.frame(PATIENCE) => match frame {
                Ok(frame) => {
                    if hear(&world, me, &frame) {
                        socket.close().await;
                        return (Ending::Dismissed, last_heard);
                    }
                    last_heard = world.recorder.now();
                }
                Err(Gone::Closed(_) | Gone::Broken | Gone::Silent) => return (Ending::Lost, last_heard),
            },
            order = orders.recv() => match order {
                // A socket that broke is seen when reading.
                Some(Order::Say(frame)) => drop(socket.send(&frame).await),
                Some(Order::Leave(frame)) => {
                    drop(socket.send(&frame).await);
                    drop(socket.send(&json!({ "type": "bye" })).await);
                    socket.close().await;
                    return (Ending::Own, last_heard);
                }
                Some(Order::Cut) => return (Ending::Own, last_heard),
                None => return (Ending::Lost, last_heard),
            },
            _ = beat.tick() => drop(socket.send(&json!({ "type": "heartbeat" })).await),
        }
    }
}

/// Records what a frame says; true if it is the last.
fn hear(world: &World, me: ParticipantSid, frame: &Value) -> bool {
    let body = &frame["body"];
    match body["type"].as_str() {
        Some("update") => {
            for (about, status) in body["participants"].as_array().into_iter().flatten().filter_map(other) {
                world.recorder.told(Said::Told { to: me, about, status });
            }
            false
        }
        Some("disconnected") => {
            world.recorder.told(Said::Dismissed(me));
            true
        }
        Some("error") => {
            match body["code"].as_u64() {
                Some(53205 | 53216 | 53405) => world.recorder.told(Said::Dismissed(me)),
                _ => world.complain(format!("{me} heard {body}")),
            }
            true
        }
        _ => false,
    }
}

fn other(json: &Value) -> Option<(ParticipantSid, ParticipantStatus)> {
    let sid = json["sid"].as_str()?.parse().ok()?;
    Some((sid, ParticipantStatus::from_word(json["state"].as_str()?)?))
}

fn listed(numbers: std::ops::Range<usize>) -> Value {
    let kinds = ["audio", "video", "data", "data"];
    numbers
        .map(|number| track(&format!("track{number}"), kinds[number], &format!("name{number}")))
        .collect()
}
