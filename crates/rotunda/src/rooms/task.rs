//! The task around one live room: it owns the `room::Room` and the seats, writes what the room
//! wants durable, and passes on what it says.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use negotiation::{Description, DescriptionType, LocalParameters, Output as PeerOutput, PeerConnection, VideoFormats};
use protocol::signaling::{
    Connected, Description as WireDescription, Identified, Options, PeerConnectionState, Recording, RoomUpdate,
    RoomUpdateBody, ServerMessage, Synced,
};
use room::{
    Announced, Change, Dismissal, Input, Join, Now, Output, ParticipantSid, Room, SessionHash, Subscription, Timestamp,
    View,
};
use sfu::{Event, TransportId};
use store::{RoomRow, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::media::Facts;
use super::seat::{Peer, Seat};
use super::socket::{Outgoing, Socket};
use super::streams::Streams;
use super::{Shared, limits, random, wire};

/// What a room's task is asked.
pub(super) enum Command {
    Join(Box<JoinCommand>),
    Sync(Box<SyncCommand>),
    Update {
        participant: ParticipantSid,
        socket: u64,
        announced: Option<Announced>,
        peers: Vec<PeerConnectionState>,
    },
    Closed {
        participant: ParticipantSid,
        socket: u64,
        left: bool,
    },
    Remove {
        participant: ParticipantSid,
        stored: oneshot::Sender<()>,
    },
    Complete {
        stored: oneshot::Sender<()>,
    },
}

pub(super) struct JoinCommand {
    pub(super) participant: ParticipantSid,
    pub(super) identity: String,
    pub(super) subscribe_all: bool,
    pub(super) announced: Announced,
    pub(super) peers: Vec<PeerConnectionState>,
    pub(super) socket: Socket,
    /// Dropped without an answer if the room is over.
    pub(super) taken: oneshot::Sender<()>,
}

pub(super) struct SyncCommand {
    pub(super) participant: ParticipantSid,
    pub(super) session: SessionHash,
    pub(super) announced: Announced,
    pub(super) peers: Vec<PeerConnectionState>,
    pub(super) socket: Socket,
    /// Dropped without an answer if the session is unknown.
    pub(super) taken: oneshot::Sender<()>,
}

type Write = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

pub(super) struct RoomTask {
    shared: Arc<Shared>,
    row: RoomRow,
    name: String,
    room: Room,
    seats: BTreeMap<ParticipantSid, Seat>,
    streams: Streams,
    facts: Facts,
    heard: mpsc::UnboundedReceiver<Event>,
    /// Batches not yet handed to the store, and the one that is there with its last number.
    unwritten: VecDeque<(u64, Vec<Change>)>,
    writing: Option<(u64, Write)>,
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    ended: bool,
}

impl RoomTask {
    pub(super) fn new(shared: Arc<Shared>, row: RoomRow, room: Room, seats: Vec<Seat>) -> Self {
        let (facts, heard) = mpsc::unbounded_channel();
        Self {
            name: row.new.unique_name.clone().unwrap_or_else(|| row.new.sid.to_string()),
            shared,
            row,
            room,
            seats: seats.into_iter().map(|seat| (seat.sid, seat)).collect(),
            streams: Streams::default(),
            facts,
            heard,
            unwritten: VecDeque::new(),
            writing: None,
            waiting: Vec::new(),
            ended: false,
        }
    }

    /// Runs until the room is over, or until the server stops: then everyone is left as
    /// `reconnecting` and every socket closed with 1012.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, closing: CancellationToken) {
        let mut stopping = false;
        loop {
            self.turn();
            if (self.ended || stopping) && self.writing.is_none() {
                break;
            }
            let deadline = self.deadline();
            let is_open = !self.ended && !stopping && self.unwritten.len() < limits::UNWRITTEN_BATCHES;
            tokio::select! {
                stored = written(&mut self.writing) => {
                    if !self.stored(stored) {
                        break;
                    }
                }
                Some(event) = self.heard.recv() => self.media_told(event),
                command = commands.recv(), if is_open => match command {
                    Some(command) => self.obey(command),
                    None => stopping = true,
                },
                () = closing.cancelled(), if !stopping && !self.ended => {
                    self.stop();
                    stopping = true;
                }
                () = sleep_until(deadline) => self.expire(),
            }
        }
        for (_, seat) in std::mem::take(&mut self.seats) {
            self.unseat(seat, Outgoing::Close(1012));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let peers = self
            .seats
            .values()
            .filter_map(|seat| seat.peer.as_ref()?.connection.poll_timeout());
        self.room.poll_timeout().into_iter().chain(peers).min()
    }

    fn expire(&mut self) {
        let now = now();
        if self.room.poll_timeout().is_some_and(|due| due <= now.mono) {
            self.room.handle(Input::Timeout, now);
        }
        let due: Vec<ParticipantSid> = self
            .seats
            .values()
            .filter(|seat| {
                let timeout = seat.peer.as_ref().and_then(|peer| peer.connection.poll_timeout());
                timeout.is_some_and(|due| due <= now.mono)
            })
            .map(|seat| seat.sid)
            .collect();
        for participant in due {
            if let Some(peer) = self.seats.get_mut(&participant).and_then(|seat| seat.peer.as_mut()) {
                peer.connection.handle_timeout(now.mono);
            }
            self.describe(participant);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Join(join) => self.join(*join),
            Command::Sync(sync) => self.sync(*sync),
            Command::Update {
                participant,
                socket,
                announced,
                peers,
            } => {
                self.update(participant, socket, announced, peers);
            }
            Command::Closed {
                participant,
                socket,
                left,
            } => self.closed(participant, socket, left),
            Command::Remove { participant, stored } => {
                self.room.handle(Input::Remove { participant }, now());
                self.waiting.push((self.room.last_batch(), stored));
            }
            Command::Complete { stored } => {
                self.room.handle(Input::Complete, now());
                self.waiting.push((self.room.last_batch(), stored));
            }
        }
    }

    fn join(&mut self, join: JoinCommand) {
        if self.room.is_completed() {
            return; // `taken` is dropped: the registry looks again
        }
        let (session_text, session) = super::session::open(self.row.new.sid, join.participant);
        let mut seat = Seat::new(join.participant, join.identity.clone(), session, self.first_revision());
        seat.session_text = session_text;
        seat.socket = Some(join.socket);
        seat.arriving = join.peers;
        self.seats.insert(join.participant, seat);
        // The socket may be gone by now; its end comes as a command of its own.
        let _gone = join.taken.send(());
        let join = Join {
            participant: join.participant,
            identity: join.identity,
            session,
            subscribe_all: join.subscribe_all,
            announced: join.announced,
        };
        self.room.handle(Input::Join(join), now());
    }

    fn sync(&mut self, sync: SyncCommand) {
        if !self.room.contains(sync.participant) {
            return;
        }
        let Some(seat) = self.seats.get_mut(&sync.participant) else {
            return;
        };
        if seat.session != sync.session {
            return;
        }
        if let Some(old) = seat.socket.replace(sync.socket) {
            old.send(Outgoing::Close(4000));
        }
        seat.admitted = false;
        seat.update = RoomUpdateBody::default();
        seat.arriving = sync.peers;
        let _gone = sync.taken.send(());
        self.room.handle(
            Input::Resume {
                participant: sync.participant,
                announced: sync.announced,
            },
            now(),
        );
    }

    fn update(
        &mut self,
        participant: ParticipantSid,
        socket: u64,
        announced: Option<Announced>,
        peers: Vec<PeerConnectionState>,
    ) {
        if !self.is_current(participant, socket) {
            return;
        }
        if let Some(announced) = announced {
            self.room.handle(Input::Tracks { participant, announced }, now());
        }
        for state in peers {
            self.peer_told(participant, state);
        }
    }

    fn is_current(&self, participant: ParticipantSid, socket: u64) -> bool {
        let seat = self.seats.get(&participant);
        seat.is_some_and(|seat| seat.socket.as_ref().is_some_and(|current| current.id == socket))
    }

    fn closed(&mut self, participant: ParticipantSid, socket: u64, left: bool) {
        if !self.is_current(participant, socket) {
            return;
        }
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        seat.socket = None;
        seat.update = RoomUpdateBody::default();
        // Who never heard `connected` or lost it half-way has no session to resume.
        let has_session = seat.admitted || seat.session_text.is_empty() || seat.peer.is_some();
        let input = if left || !has_session {
            Input::Leave { participant }
        } else {
            Input::SignalingLost { participant }
        };
        self.room.handle(input, now());
    }

    /// A description of the client.
    fn peer_told(&mut self, participant: ParticipantSid, state: PeerConnectionState) {
        let Some(description) = state.description else { return };
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let Some(peer) = seat.peer.as_mut().filter(|peer| peer.id == state.id) else {
            return;
        };
        if description.kind == "close" {
            self.replace_peer(participant);
            return;
        }
        let Some(description) = read(description) else { return };
        if let Err(error) = peer.connection.handle_description(&description, Instant::now()) {
            tracing::warn!(%participant, ?error, "a client's description was refused");
            self.media_failed(participant);
            return;
        }
        self.describe(participant);
    }

    fn media_told(&mut self, event: Event) {
        match event {
            Event::Connected { transport } => tracing::debug!(?transport, "media connected"),
            Event::Interrupted { transport } => tracing::debug!(?transport, "media interrupted"),
            Event::Lost { transport, reason } => {
                let owner = self
                    .seats
                    .values()
                    .find(|seat| seat.peer.as_ref().is_some_and(|peer| peer.transport == transport));
                let Some(participant) = owner.map(|seat| seat.sid) else {
                    return;
                };
                tracing::info!(%participant, ?reason, "media lost");
                self.replace_peer(participant);
            }
        }
    }

    fn media_failed(&mut self, participant: ParticipantSid) {
        self.room.handle(Input::MediaFailed { participant }, now());
    }

    /// Does what the room says until it is silent, then tells everyone their news.
    fn turn(&mut self) {
        while let Some(output) = self.room.poll() {
            match output {
                Output::Persist { batch, changes } => self.unwritten.push_back((batch, changes)),
                Output::Admit { participant, view } => self.admit(participant, view),
                Output::Refuse { participant, refusal } => {
                    self.leave_seat(participant, Outgoing::Farewell(Some(wire::refusal(refusal))));
                }
                Output::Welcome { participant, view } => self.welcome(participant, view),
                Output::TellParticipant { to, about } => {
                    if let Some(seat) = self.seats.get_mut(&to) {
                        wire::note_participant(&mut seat.update, wire::remote_participant(&about));
                    }
                }
                Output::TellPublished { to, published } => {
                    if let Some(seat) = self.seats.get_mut(&to) {
                        let earlier = seat.update.published.take();
                        seat.update.published = Some(wire::merge_published(earlier, wire::published(published)));
                    }
                }
                Output::Subscribe { participant, tracks } => self.subscribe(participant, tracks),
                Output::Dismiss { participant, reason } => self.dismiss(participant, reason),
                Output::Ended => self.ended = true,
            }
        }
        self.write();
        self.route();
        self.flush();
        if self.ended {
            self.shared.forget(self.row.new.sid);
        }
    }

    /// Everyone's batches that gathered meanwhile are one transaction.
    fn write(&mut self) {
        if self.writing.is_some() || self.unwritten.is_empty() {
            return;
        }
        let last = self.unwritten.back().map_or(0, |(batch, _)| *batch);
        let changes: Vec<Change> = self.unwritten.drain(..).flat_map(|(_, changes)| changes).collect();
        let (account, room, epoch) = (self.row.account, self.row.new.sid, self.row.epoch);
        let shared = Arc::clone(&self.shared);
        self.writing = Some((
            last,
            Box::pin(async move {
                let mut pause = Duration::from_millis(50);
                loop {
                    match shared.store.write(account, room, epoch, changes.clone()).await {
                        Err(StoreError::Backend(error)) => {
                            tracing::error!(%room, error = %chain(&*error), "the database failed: trying again in {pause:?}");
                            tokio::time::sleep(pause).await;
                            pause = (pause * 2).min(Duration::from_secs(5));
                        }
                        other => return other,
                    }
                }
            }),
        ));
    }

    /// False if the room must not go on here.
    fn stored(&mut self, (batch, result): (u64, Result<(), StoreError>)) -> bool {
        if let Err(error) = result {
            tracing::error!(room = %self.row.new.sid, %error, "the room's changes were refused by the store: its clients will resume");
            self.shared.forget(self.row.new.sid);
            return false;
        }
        self.shared.callbacks.wake();
        self.room.handle(Input::Stored { batch }, now());
        // `extract_if` keeps the order; who asked may be gone.
        for (_, waiter) in self.waiting.extract_if(.., |(wanted, _)| *wanted <= batch) {
            let _gone = waiter.send(());
        }
        true
    }

    fn admit(&mut self, participant: ParticipantSid, view: View) {
        let parameters = self.local_parameters(0);
        let transport = self.shared.media.open(self.facts.clone());
        let epoch = self.row.epoch;
        self.streams.assign(&view.subscriptions);
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        seat.subscriptions = view.subscriptions;
        seat.is_stale = true;
        let arriving = std::mem::take(&mut seat.arriving).into_iter().next();
        let offer = arriving.and_then(|state| Some((state.id, read(state.description?)?)));
        let mut answer = None;
        if let Some((id, offer)) = offer {
            let mut connection = PeerConnection::new(parameters);
            let desired = seat.desired(epoch, |subscription| self.streams.of(subscription));
            connection.set_desired(desired, Instant::now());
            if let Err(error) = connection.handle_description(&offer, Instant::now()) {
                tracing::warn!(%participant, ?error, "a client's offer was refused");
                self.media_failed(participant);
                return;
            }
            answer = first_description(&mut connection, &self.shared, transport, &id);
            seat.peer = Some(Peer {
                id,
                connection,
                transport,
            });
        }
        seat.admitted = true;
        let subscribed = seat.subscribed(epoch);
        let connected = Connected {
            version: wire::VERSION,
            session: seat.session_text.clone(),
            sid: self.row.new.sid.to_string(),
            name: self.name.clone(),
            participant: Identified {
                sid: participant.to_string(),
                identity: seat.identity.clone(),
            },
            options: Options {
                session_timeout: self.shared.config.session_timeout.as_secs(),
                signaling_region: self.shared.config.media_region.clone(),
                media_region: self.shared.config.media_region.clone(),
                audio_processors: Vec::new(),
            },
            state: complete_state(
                view.others.iter().map(wire::remote_participant).collect(),
                wire::published(view.published),
                subscribed,
                answer.into_iter().collect(),
            ),
        };
        self.tell(participant, ServerMessage::Connected(Box::new(connected)));
        self.describe(participant);
    }

    fn welcome(&mut self, participant: ParticipantSid, view: View) {
        let epoch = self.row.epoch;
        self.streams.assign(&view.subscriptions);
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        seat.subscriptions = view.subscriptions;
        seat.is_stale = true;
        let listed = std::mem::take(&mut seat.arriving);
        let kept = seat.peer.as_mut().and_then(|peer| {
            let latest = listed.iter().find(|state| state.id == peer.id)?;
            let latest = latest.description.clone().and_then(read);
            peer.connection.handle_sync(latest.as_ref(), Instant::now()).ok()
        });
        if kept.is_none() && !self.fresh_peer(participant, listed.iter().map(|state| state.id.clone()).collect()) {
            return;
        }
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let states = match (&mut seat.peer, kept) {
            (Some(peer), Some(())) => {
                let bare = PeerConnectionState {
                    id: peer.id.clone(),
                    description: None,
                };
                vec![first_description(&mut peer.connection, &self.shared, peer.transport, &peer.id).unwrap_or(bare)]
            }
            _ => seat.update.peer_connections.take().unwrap_or_default(),
        };
        seat.admitted = true;
        let subscribed = seat.subscribed(epoch);
        seat.update.subscribed = None;
        let synced = Synced {
            version: wire::VERSION,
            participant: Identified {
                sid: participant.to_string(),
                identity: seat.identity.clone(),
            },
            state: complete_state(
                view.others.iter().map(wire::remote_participant).collect(),
                wire::published(view.published),
                subscribed,
                states,
            ),
        };
        self.tell(participant, ServerMessage::Synced(Box::new(synced)));
        self.desire(participant);
    }

    fn subscribe(&mut self, participant: ParticipantSid, tracks: Vec<Subscription>) {
        self.streams.assign(&tracks);
        let epoch = self.row.epoch;
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        seat.subscriptions = tracks;
        seat.is_stale = true;
        if !seat.admitted {
            return; // `connected` or `synced` will say it
        }
        self.desire(participant);
        if let Some(seat) = self.seats.get_mut(&participant) {
            seat.update.subscribed = Some(seat.subscribed(epoch));
        }
    }

    /// Tells a peer connection what its client is to receive.
    fn desire(&mut self, participant: ParticipantSid) {
        let epoch = self.row.epoch;
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let desired = seat.desired(epoch, |subscription| self.streams.of(subscription));
        if let Some(peer) = &mut seat.peer {
            peer.connection.set_desired(desired, Instant::now());
        }
        self.describe(participant);
    }

    /// Passes on what a peer connection has to say.
    fn describe(&mut self, participant: ParticipantSid) {
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let Some(peer) = &mut seat.peer else { return };
        while let Some(state) = first_description(&mut peer.connection, &self.shared, peer.transport, &peer.id) {
            seat.update.peer_connections.get_or_insert_default().push(state);
        }
        if seat.has_new_faults() {
            seat.update.subscribed = Some(seat.subscribed(self.row.epoch));
        }
    }

    /// Moves a client to a fresh peer connection, as many times as is sane.
    fn replace_peer(&mut self, participant: ParticipantSid) {
        let epoch = self.row.epoch;
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let Some(old) = seat.peer.take() else { return };
        self.shared.media.close(old.transport);
        if seat.socket.is_none() || !seat.admitted {
            return; // the client gets a fresh one when it is back
        }
        if self.fresh_peer(participant, vec![old.id])
            && let Some(seat) = self.seats.get_mut(&participant)
        {
            seat.update.subscribed = Some(seat.subscribed(epoch));
        }
    }

    /// Gives a client a new peer connection, made by `create-offer`, and closes those it has
    /// (signaling.md section 5.5). False if it had too many lately and is out.
    fn fresh_peer(&mut self, participant: ParticipantSid, old: Vec<String>) -> bool {
        let parameters = self.local_parameters(self.first_revision());
        let epoch = self.row.epoch;
        let Some(seat) = self.seats.get_mut(&participant) else {
            return false;
        };
        if !seat.may_replace(Instant::now()) {
            self.media_failed(participant);
            return false;
        }
        if let Some(dead) = seat.peer.take() {
            self.shared.media.close(dead.transport);
        }
        seat.generation += 1;
        let id = format!("{participant}-{epoch}-{}", seat.generation);
        let transport = self.shared.media.open(self.facts.clone());
        let mut connection = PeerConnection::new(parameters);
        let desired = seat.desired(epoch, |subscription| self.streams.of(subscription));
        connection.set_desired(desired, Instant::now());
        let say = |id: &str, kind: &str, revision| PeerConnectionState {
            id: id.to_owned(),
            description: Some(WireDescription {
                kind: kind.to_owned(),
                revision,
                sdp: None,
            }),
        };
        let closed = old.iter().map(|old| say(old, "close", 1));
        let states = closed
            .chain([say(&id, "create-offer", connection.request_offer())])
            .collect();
        seat.update.peer_connections = Some(states);
        seat.peer = Some(Peer {
            id,
            connection,
            transport,
        });
        seat.is_stale = true;
        for other in self.seats.values_mut() {
            if other
                .subscriptions
                .iter()
                .any(|subscription| subscription.publisher == participant)
            {
                other.is_stale = true;
            }
        }
        true
    }

    fn dismiss(&mut self, participant: ParticipantSid, reason: Dismissal) {
        tracing::info!(room = %self.row.new.sid, %participant, ?reason, "participant is out");
        self.leave_seat(participant, Outgoing::Farewell(wire::dismissal(reason)));
    }

    fn leave_seat(&mut self, participant: ParticipantSid, last_word: Outgoing) {
        if let Some(seat) = self.seats.remove(&participant) {
            self.unseat(seat, last_word);
        }
        self.streams
            .tidy(self.seats.values().flat_map(|seat| &seat.subscriptions));
    }

    fn unseat(&self, seat: Seat, last_word: Outgoing) {
        if let Some(peer) = seat.peer {
            self.shared.media.close(peer.transport);
        }
        if let Some(socket) = seat.socket {
            socket.send(last_word);
        }
    }

    /// Tells the media plane of routes that changed.
    fn route(&mut self) {
        let epoch = self.row.epoch;
        let transports: BTreeMap<ParticipantSid, TransportId> = self
            .seats
            .values()
            .filter_map(|seat| Some((seat.sid, seat.peer.as_ref()?.transport)))
            .collect();
        for seat in self.seats.values_mut().filter(|seat| seat.is_stale) {
            seat.is_stale = false;
            let Some(peer) = &seat.peer else { continue };
            let routes = seat.routes(epoch, |publisher| transports.get(&publisher).copied());
            self.shared.media.send(sfu::Command::Subscribe {
                transport: peer.transport,
                routes,
            });
        }
    }

    /// Sends what gathered in this turn, one update each.
    fn flush(&mut self) {
        let news: Vec<(ParticipantSid, RoomUpdateBody)> = self
            .seats
            .values_mut()
            .filter(|seat| seat.admitted && seat.socket.is_some() && !wire::is_empty(&seat.update))
            .map(|seat| (seat.sid, std::mem::take(&mut seat.update)))
            .collect();
        for (participant, state) in news {
            self.tell(
                participant,
                ServerMessage::Update(RoomUpdate {
                    version: wire::VERSION,
                    state,
                }),
            );
        }
    }

    /// A client that reads too slowly loses its socket and will resume.
    fn tell(&mut self, participant: ParticipantSid, message: ServerMessage) {
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let Some(socket) = &seat.socket else { return };
        if !socket.send(Outgoing::Message(message)) {
            seat.socket = None;
            seat.update = RoomUpdateBody::default();
            self.room.handle(Input::SignalingLost { participant }, now());
        }
    }

    /// The server stops: everyone is `reconnecting` in the rows and resumes with the next process.
    fn stop(&mut self) {
        let everyone: Vec<ParticipantSid> = self.seats.keys().copied().collect();
        for participant in everyone {
            self.room.handle(Input::SignalingLost { participant }, now());
            if let Some(seat) = self.seats.get_mut(&participant)
                && let Some(socket) = seat.socket.take()
            {
                socket.send(Outgoing::Close(1012));
            }
        }
    }

    fn first_revision(&self) -> u64 {
        self.row.epoch.saturating_sub(1) << 32
    }

    fn local_parameters(&self, first_revision: u64) -> LocalParameters {
        local_parameters(&self.shared, &self.row.new.video_codecs, first_revision)
    }
}

fn local_parameters(shared: &Shared, video_codecs: &[String], first_revision: u64) -> LocalParameters {
    LocalParameters {
        fingerprint: shared.media.fingerprint(),
        candidates: Arc::clone(&shared.config.candidates),
        ice: negotiation::IceCredentials {
            ufrag: token(12),
            pwd: token(32),
        },
        seed: random(),
        video_formats: video_formats(video_codecs),
        first_revision,
    }
}

/// Whether a client's first offer can be answered; no offer can.
pub(super) fn is_answerable(shared: &Shared, states: &[PeerConnectionState]) -> bool {
    let offer = match states {
        [] => return true,
        [state] => state.description.clone().and_then(read),
        _ => return false,
    };
    let mut trial = PeerConnection::new(local_parameters(shared, &[], 0));
    offer.is_some_and(|offer| trial.handle_description(&offer, Instant::now()).is_ok())
}

/// The next description of a peer connection; sessions on the way go to the media plane.
fn first_description(
    connection: &mut PeerConnection,
    shared: &Shared,
    transport: TransportId,
    id: &str,
) -> Option<PeerConnectionState> {
    loop {
        match connection.poll()? {
            PeerOutput::Apply(session) => shared.media.send(sfu::Command::Apply { transport, session }),
            PeerOutput::Describe(description) => {
                let kind = match description.kind {
                    DescriptionType::Offer => "offer",
                    DescriptionType::Answer => "answer",
                };
                let description = WireDescription {
                    kind: kind.to_owned(),
                    revision: description.revision,
                    sdp: Some(description.sdp),
                };
                return Some(PeerConnectionState {
                    id: id.to_owned(),
                    description: Some(description),
                });
            }
        }
    }
}

fn read(description: WireDescription) -> Option<Description> {
    let kind = match description.kind.as_str() {
        "offer" => DescriptionType::Offer,
        "answer" => DescriptionType::Answer,
        _ => return None,
    };
    Some(Description {
        kind,
        revision: description.revision,
        sdp: description.sdp?,
    })
}

fn complete_state(
    participants: Vec<protocol::signaling::RemoteParticipant>,
    published: protocol::signaling::Published,
    subscribed: protocol::signaling::Subscribed,
    peer_connections: Vec<PeerConnectionState>,
) -> RoomUpdateBody {
    RoomUpdateBody {
        participants: Some(participants),
        published: Some(published),
        subscribed: Some(subscribed),
        recording: Some(Recording {
            is_recording: false,
            revision: 1,
        }),
        media_signaling: Some(serde_json::Map::new()),
        peer_connections: Some(peer_connections),
    }
}

/// VP9 and AV1 are passed where a room does not restrict codecs to what the API can name.
fn video_formats(codecs: &[String]) -> VideoFormats {
    let has = |codec: &str| codecs.iter().any(|listed| listed == codec);
    let is_default = has("VP8") && has("H264");
    VideoFormats {
        vp8: has("VP8"),
        h264: has("H264"),
        vp9: is_default,
        av1: is_default,
    }
}

/// Random letters and digits, as ICE credentials are made of (RFC 8839 section 5.4).
fn token(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    random::<32>()
        .iter()
        .take(length)
        .map(|byte| ALPHABET[usize::from(byte % 32)] as char)
        .collect()
}

fn now() -> Now {
    Now {
        mono: Instant::now(),
        wall: wall(),
    }
}

/// The time of the calendar; a clock before 1970 counts as 1970.
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Waits for the write under way; for ever if there is none.
async fn written(writing: &mut Option<(u64, Write)>) -> (u64, Result<(), StoreError>) {
    match writing {
        Some((batch, write)) => {
            let done = (*batch, write.await);
            *writing = None;
            done
        }
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
