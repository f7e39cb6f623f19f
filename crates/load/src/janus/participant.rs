//! A scripted participant of a VideoRoom: one peer connection to publish, one to hear all others.

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use negotiation::NegotiatedSession;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::session::Session;
use crate::description::{Descriptions, NoSession, Wishes};
use crate::engine::{Engine, NewPeer, prepare};
use crate::participant::{DescriptionSizes, Joining, Outside, told};
use crate::peer::Identity;
use crate::source::Source;

/// How often we say that we are there.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// The second peer connection of a participant has its number with this bit.
const HEARS: u32 = 1 << 30;

/// Who publishes in which room, as Janus numbers them. Everybody waits until all are known, so that
/// each subscribes once.
#[derive(Debug)]
pub(crate) struct Feeds {
    wanted: usize,
    of_rooms: watch::Sender<HashMap<u32, Vec<(u32, Value)>>>,
}

impl Feeds {
    /// So many publishers in each room are waited for.
    pub(crate) fn new(wanted: u32) -> Self {
        Self {
            wanted: wanted as usize,
            of_rooms: watch::Sender::new(HashMap::new()),
        }
    }

    fn add(&self, room: u32, number: u32, feed: Value) {
        self.of_rooms
            .send_modify(|rooms| rooms.entry(room).or_default().push((number, feed)));
    }

    /// Those of everybody else in the room.
    async fn others(&self, room: u32, number: u32) -> Vec<Value> {
        let mut rooms = self.of_rooms.subscribe();
        let complete = rooms
            .wait_for(|rooms| rooms.get(&room).map_or(0, Vec::len) >= self.wanted)
            .await;
        let feeds = complete
            .ok()
            .and_then(|rooms| rooms.get(&room).cloned())
            .unwrap_or_default();
        let others = feeds.into_iter().filter(|(publisher, _)| *publisher != number);
        others.map(|(_, feed)| json!({ "feed": feed })).collect()
    }
}

/// A participant that is in.
pub(crate) struct Member {
    session: Session,
    number: u32,
    engine: Engine,
    /// Peer connections.
    pub(crate) peers: u32,
}

/// What both peer connections of a participant have in common.
struct Connecting {
    address: IpAddr,
    engine: Engine,
    identity: Identity,
    room: u32,
    number: u32,
    sizes: Arc<DescriptionSizes>,
}

impl Member {
    /// Makes a room for so many publishers.
    pub(crate) async fn create_room(session: &mut Session, room: u32, publishers: u32) -> Result<(), Outside> {
        let handle = session.attach().await?;
        let create = json!({
            "request": "create", "room": room + 1, "publishers": publishers.max(1), "bitrate": 0, "fir_freq": 0,
            "audiocodec": "opus", "videocodec": "vp8,h264", "transport_wide_cc_ext": true, "audiolevel_event": false,
        });
        session.tell(&handle, create, None).await.map(|_| ())
    }

    /// Publishes, waits for all other publishers, and subscribes to them; how long its own
    /// publishing took.
    pub(crate) async fn join(joining: Joining, address: IpAddr, feeds: &Feeds) -> Result<(Self, Duration), Outside> {
        let began = Instant::now();
        let connecting = Connecting {
            address,
            engine: joining.engine.clone(),
            identity: joining.identity.clone(),
            room: joining.room,
            number: joining.number,
            sizes: joining.sizes.clone(),
        };
        let mut member = Self {
            session: Session::open(&joining.url).await?,
            number: joining.number,
            engine: joining.engine.clone(),
            peers: 0,
        };
        let wishes = joining.media.wishes(&joining.identity, joining.number);
        if joining.media.publishes(joining.number) {
            let feed = member.publish(&connecting, &joining, wishes.clone()).await?;
            feeds.add(joining.room, joining.number, feed);
        }
        let took = began.elapsed();
        let streams = feeds.others(joining.room, joining.number).await;
        if !streams.is_empty() {
            let wishes = Wishes {
                audio: None,
                video: None,
                ..wishes
            };
            member.subscribe(&connecting, &joining, wishes, streams).await?;
        }
        Ok((member, took))
    }

    /// Stays until `leave` says otherwise.
    pub(crate) async fn stay(mut self, mut leave: watch::Receiver<bool>) -> Result<(), Outside> {
        loop {
            tokio::select! {
                () = told(&mut leave) => break,
                ended = self.session.stay(KEEPALIVE) => ended?,
            }
        }
        self.session.close().await;
        self.engine.remove(self.number)?;
        Ok(self.engine.remove(self.number | HEARS)?)
    }

    async fn publish(&mut self, connecting: &Connecting, joining: &Joining, wishes: Wishes) -> Result<Value, Outside> {
        let (socket, wishes) = connecting.socket(Wishes {
            receives: false,
            ..wishes
        })?;
        let handle = self.session.attach().await?;
        let mut descriptions = Descriptions::new(wishes);
        let offer = descriptions.offer()?;
        let join = json!({ "request": "joinandconfigure", "room": connecting.room + 1, "ptype": "publisher" });
        let jsep = json!({ "type": "offer", "sdp": offer, "trickle": false });
        let (data, answer) = self.session.tell(&handle, join, Some(jsep)).await?;
        let answer = answer.ok_or(Outside::Lacks("the answer"))?;
        connecting.sizes.ours(&offer);
        connecting.sizes.theirs(&answer);
        let session = descriptions.accept(&answer)?;
        let sources = joining.media.sources(connecting.number, &session, Instant::now());
        connecting.add(connecting.number, joining, socket, &descriptions, session, sources)?;
        self.peers += 1;
        self.session.up().await?;
        Ok(data["id"].clone())
    }

    async fn subscribe(
        &mut self,
        connecting: &Connecting,
        joining: &Joining,
        wishes: Wishes,
        streams: Vec<Value>,
    ) -> Result<(), Outside> {
        let (socket, wishes) = connecting.socket(wishes)?;
        let handle = self.session.attach().await?;
        let room = connecting.room + 1;
        let join =
            json!({ "request": "join", "room": room, "ptype": "subscriber", "use_msid": true, "streams": streams });
        let (_, offer) = self.session.tell(&handle, join, None).await?;
        let offer = offer.ok_or(Outside::Lacks("the offer"))?;
        let mut descriptions = Descriptions::new(wishes);
        let (answer, session) = descriptions.answer(&offer)?;
        connecting.sizes.theirs(&offer);
        connecting.sizes.ours(&answer);
        // The peer is there before Janus hears the answer, so that nothing comes too early.
        let number = connecting.number | HEARS;
        connecting.add(number, joining, socket, &descriptions, session, Vec::new())?;
        let jsep = json!({ "type": "answer", "sdp": answer, "trickle": false });
        self.session
            .tell(&handle, json!({ "request": "start", "room": room }), Some(jsep))
            .await?;
        self.peers += 1;
        Ok(())
    }
}

impl Connecting {
    /// A socket of our own, and wishes that name it: Janus wants candidates.
    fn socket(&self, wishes: Wishes) -> Result<(UdpSocket, Wishes), Outside> {
        let socket = UdpSocket::bind((self.address, 0)).map_err(Outside::Socket)?;
        let candidate = socket.local_addr().map_err(Outside::Socket)?;
        Ok((
            socket,
            Wishes {
                candidates: vec![candidate],
                ..wishes
            },
        ))
    }

    fn add(
        &self,
        number: u32,
        joining: &Joining,
        socket: UdpSocket,
        descriptions: &Descriptions,
        session: Arc<NegotiatedSession>,
        sources: Vec<Source>,
    ) -> Result<(), Outside> {
        let far = descriptions.far().cloned().ok_or(NoSession::Lacks("address"))?;
        socket.connect(far.address).map_err(Outside::Socket)?;
        prepare(&socket).map_err(Outside::Socket)?;
        self.engine.add(NewPeer {
            number,
            room: self.room,
            publisher: self.number,
            socket,
            identity: self.identity.clone(),
            far,
            session,
            sources,
            only_counts: joining.media.only_counts(self.number),
            conditions: joining.media.conditions(number),
        })?;
        Ok(())
    }
}
