//! Receives callbacks, fails now and then, and records what it accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::routing::post;
use room::{EventKind, RoomSid};
use testkit::history::{Callback, Said};

use crate::world::World;

pub(crate) type Fields = BTreeMap<String, String>;

/// A receiver of callbacks; it stays where it is when the server dies.
pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    world: OnceLock<Arc<World>>,
    state: Mutex<Shift>,
    /// Accepts this one and tells nobody: what a server that loses callbacks looks like.
    swallows: Option<u64>,
}

struct Shift {
    dice: fastrand::Rng,
    /// What was refused once: the next attempt succeeds.
    refused: BTreeSet<(RoomSid, u64)>,
    ended: BTreeSet<RoomSid>,
}

impl Receiver {
    pub(crate) async fn start(seed: u64, swallows: Option<u64>) -> Self {
        let shared = Arc::new(Shared {
            world: OnceLock::new(),
            state: Mutex::new(Shift {
                dice: fastrand::Rng::with_seed(seed),
                refused: BTreeSet::new(),
                ended: BTreeSet::new(),
            }),
            swallows,
        });
        let router = Router::new()
            .route("/events", post(receive))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// A receiver whose ways are somebody else's; it hears by [`Shared::hear`].
    pub(crate) fn of(url: String) -> Self {
        let shared = Shared {
            world: OnceLock::new(),
            state: Mutex::new(Shift {
                dice: fastrand::Rng::new(),
                refused: BTreeSet::new(),
                ended: BTreeSet::new(),
            }),
            swallows: None,
        };
        Self {
            url,
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// From now on it records here.
    pub(crate) fn tells(&self, world: &Arc<World>) {
        assert!(self.shared.world.set(Arc::clone(world)).is_ok(), "told once");
    }

    /// Whether the last callback of this room was received.
    pub(crate) fn has_end_of(&self, room: RoomSid) -> bool {
        self.shared.state.lock().unwrap().ended.contains(&room)
    }
}

impl Shared {
    /// Takes the callback for received.
    pub(crate) fn hear(&self, fields: &Fields) {
        let world = self.world.get().expect("set before the server starts");
        let Some(call) = callback(fields) else {
            world.complain(format!("no callback: {fields:?}"));
            return;
        };
        let mut state = self.state.lock().unwrap();
        if call.event == EventKind::RoomEnded {
            state.ended.insert(call.room);
        }
        world.recorder.told(Said::Callback(call));
    }

    pub(crate) fn complain(&self, text: String) {
        self.world.get().expect("set before the server starts").complain(text);
    }
}

async fn receive(State(shared): State<Arc<Shared>>, Form(fields): Form<Fields>) -> StatusCode {
    let world = shared.world.get().expect("set before the server starts");
    let Some(call) = callback(&fields) else {
        world.complain(format!("no callback: {fields:?}"));
        return StatusCode::OK;
    };
    let mut state = shared.state.lock().unwrap();
    let fails = state.dice.u8(..) < 5 && state.refused.insert((call.room, call.sequence));
    if fails {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    if call.event == EventKind::RoomEnded {
        state.ended.insert(call.room);
    }
    if shared.swallows != Some(call.sequence) {
        world.recorder.told(Said::Callback(call));
    }
    StatusCode::OK
}

fn callback(fields: &Fields) -> Option<Callback> {
    let text = |name: &str| fields.get(name).map(String::as_str);
    let participant = match (text("ParticipantSid"), text("ParticipantIdentity")) {
        (Some(sid), Some(identity)) => Some((sid.parse().ok()?, identity.into())),
        (None, None) => None,
        _ => return None,
    };
    let duration = text("RoomDuration").or_else(|| text("ParticipantDuration"));
    Some(Callback {
        room: text("RoomSid")?.parse().ok()?,
        sequence: text("SequenceNumber")?.parse().ok()?,
        event: EventKind::from_word(text("StatusCallbackEvent")?)?,
        participant,
        track: text("TrackSid").map(str::parse).transpose().ok()?,
        duration_s: duration.map(str::parse).transpose().ok()?,
    })
}
