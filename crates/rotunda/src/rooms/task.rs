//! The task around one live room: it owns the `room::Room` and the seats, writes what the room
//! wants durable, and passes on what it says.

mod arrival;
mod peers;

use self::peers::mark_video;

pub(super) use self::peers::is_answerable;

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use protocol::signaling::{PeerConnectionState, RoomUpdate, RoomUpdateBody, ServerMessage};
use room::{
    Announced, ApiKeySid, Change, Dismissal, Input, Join, Now, Output, ParticipantSid, Room, Rules, SessionHash,
    TrackSid,
};
use sfu::Event;
use store::{Audit, RoomRow, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::joining::Arrival;
use super::media::{Facts, Place};
use super::seat::Seat;
use super::socket::{Outgoing, Sent, Socket};
use super::streams::Streams;
use super::{Shared, limits, now, wire};

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
        /// Who asked for it.
        by: Option<Audit>,
        stored: oneshot::Sender<()>,
    },
    Anonymize {
        participant: ParticipantSid,
        /// What its row says until now.
        identity: String,
        /// Who asked for it.
        by: Option<Audit>,
        stored: oneshot::Sender<()>,
    },
    Rules {
        participant: ParticipantSid,
        rules: Rules,
        /// Who asked for it.
        by: Option<Audit>,
        /// Dropped without an answer if the participant is out.
        stored: oneshot::Sender<()>,
    },
    /// Asks which tracks a participant is to receive; answered once all that led to it is stored.
    Subscriptions {
        participant: ParticipantSid,
        answer: oneshot::Sender<Vec<TrackSid>>,
    },
    /// Removes whoever came with this key, or everybody.
    RemoveAll {
        key: Option<ApiKeySid>,
        /// Told how many, and when that is stored.
        removed: oneshot::Sender<(usize, oneshot::Receiver<()>)>,
    },
    Complete {
        /// Who asked for it.
        by: Option<Audit>,
        stored: oneshot::Sender<()>,
    },
}

pub(super) struct JoinCommand {
    pub(super) participant: ParticipantSid,
    pub(super) arrival: Arrival,
    /// Dropped without an answer if the room is over.
    pub(super) taken: oneshot::Sender<()>,
}

pub(super) struct SyncCommand {
    pub(super) participant: ParticipantSid,
    pub(super) session: SessionHash,
    pub(super) key: Option<ApiKeySid>,
    pub(super) announced: Announced,
    pub(super) peers: Vec<PeerConnectionState>,
    pub(super) socket: Socket,
    /// Dropped without an answer if the session is unknown.
    pub(super) taken: oneshot::Sender<()>,
}

/// How a room's task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RoomEnd {
    /// The room is over, goes on elsewhere, or the server stops.
    Over,
    /// The store refused what the room had become; the room goes on from what is stored.
    Refused,
}

/// Who waits until a batch is stored, and what it is told then.
enum Waiter {
    Stored(oneshot::Sender<()>),
    Subscriptions(oneshot::Sender<Vec<TrackSid>>, Vec<TrackSid>),
}

impl Waiter {
    /// Who asked may be gone.
    fn answer(self) {
        match self {
            Self::Stored(stored) => drop(stored.send(())),
            Self::Subscriptions(answer, tracks) => drop(answer.send(tracks)),
        }
    }
}

type Write = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

pub(super) struct RoomTask {
    shared: Arc<Shared>,
    /// Where its media is.
    place: Place,
    row: RoomRow,
    name: String,
    room: Room,
    seats: BTreeMap<ParticipantSid, Seat>,
    streams: Streams,
    facts: Facts,
    heard: mpsc::UnboundedReceiver<Event>,
    /// Batches not yet handed to the store, and the one that is there with its last number.
    unwritten: VecDeque<(u64, Vec<Change>)>,
    /// Who asked for changes in batches not yet handed to the store; no more than those.
    audits: Vec<Audit>,
    writing: Option<(u64, Write)>,
    waiting: Vec<(u64, Waiter)>,
    /// The last batch that is stored.
    stored_batch: u64,
    ended: bool,
    since: Instant,
    /// Told to the registry: how many are in the room.
    present: Arc<AtomicUsize>,
}

impl RoomTask {
    pub(super) fn new(
        shared: Arc<Shared>,
        place: Place,
        row: RoomRow,
        room: Room,
        seats: Vec<Seat>,
        present: Arc<AtomicUsize>,
    ) -> Self {
        let (facts, heard) = mpsc::unbounded_channel();
        Self {
            name: row.new.unique_name.clone().unwrap_or_else(|| row.new.sid.to_string()),
            shared,
            place,
            row,
            room,
            seats: seats.into_iter().map(|seat| (seat.sid, seat)).collect(),
            streams: Streams::default(),
            facts,
            heard,
            unwritten: VecDeque::new(),
            audits: Vec::new(),
            writing: None,
            waiting: Vec::new(),
            stored_batch: 0,
            ended: false,
            since: Instant::now(),
            present,
        }
    }

    /// Runs until the room is over, or until the server stops: then everyone is left as
    /// `reconnecting` and every socket closed with 1012.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, closing: CancellationToken) -> RoomEnd {
        let mut stopping = false;
        let end = loop {
            self.turn();
            if (self.ended || stopping) && self.writing.is_none() {
                break RoomEnd::Over;
            }
            let deadline = self.deadline();
            let is_open = !self.ended && !stopping && self.unwritten.len() < limits::UNWRITTEN_BATCHES;
            tokio::select! {
                stored = written(&mut self.writing) => {
                    if let Some(end) = self.stored(stored) {
                        break end;
                    }
                }
                Some(event) = self.heard.recv() => self.media_told(event),
                command = commands.recv(), if is_open => match command {
                    Some(command) => self.obey_all(command, &mut commands),
                    None => stopping = true,
                },
                () = closing.cancelled(), if !stopping && !self.ended => {
                    self.stop();
                    stopping = true;
                }
                () = sleep_until(deadline) => self.expire(),
            }
        };
        for (_, seat) in std::mem::take(&mut self.seats) {
            self.unseat(seat, Outgoing::Close(1012));
        }
        end
    }

    fn deadline(&self) -> Option<Instant> {
        let peers = self
            .seats
            .values()
            .filter_map(|seat| seat.peer.as_ref()?.connection.poll_timeout());
        let admissions = self.seats.values().filter_map(|seat| seat.admission_due);
        self.room
            .poll_timeout()
            .into_iter()
            .chain(peers)
            .chain(admissions)
            .min()
    }

    fn expire(&mut self) {
        let now = now();
        if self.room.poll_timeout().is_some_and(|due| due <= now.mono) {
            self.room.handle(Input::Timeout, now);
        }
        self.turn_away(now);
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

    /// Whoever waited too long for its row is told to come again.
    fn turn_away(&mut self, now: Now) {
        let due = self
            .seats
            .values_mut()
            .filter(|seat| seat.admission_due.is_some_and(|due| due <= now.mono));
        let mut late = Vec::new();
        for seat in due {
            seat.admission_due = None;
            if let Some(socket) = seat.socket.take() {
                socket.send(Outgoing::Farewell(Some(wire::busy())));
            }
            late.push(seat.sid);
        }
        for participant in late {
            self.room.handle(Input::Leave { participant }, now);
        }
    }

    /// What waits is heard in one turn: what follows from each, for all who are there, is told once for all of it.
    fn obey_all(&mut self, first: Command, commands: &mut mpsc::Receiver<Command>) {
        self.obey(first);
        for _ in 1..limits::COMMANDS_PER_TURN {
            self.hear();
            if self.ended || self.unwritten.len() >= limits::UNWRITTEN_BATCHES {
                return;
            }
            let Ok(command) = commands.try_recv() else { return };
            self.obey(command);
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
            Command::Remove {
                participant,
                by,
                stored,
            } => self.change(Input::Remove { participant }, by, stored),
            Command::Anonymize {
                participant,
                identity,
                by,
                stored,
            } => {
                if let Some(seat) = self.seats.get_mut(&participant) {
                    seat.identity = participant.to_string();
                }
                self.change(Input::Anonymize { participant, identity }, by, stored);
            }
            Command::Rules {
                participant,
                rules,
                by,
                stored,
            } => {
                if self.room.contains(participant) {
                    self.change(Input::SubscribeRules { participant, rules }, by, stored);
                }
            }
            Command::Subscriptions { participant, answer } => {
                let tracks = self.room.subscriptions(participant);
                self.wait(Waiter::Subscriptions(answer, tracks));
            }
            Command::RemoveAll { key, removed } => self.remove_all(key, removed),
            Command::Complete { by, stored } => self.change(Input::Complete, by, stored),
        }
    }

    /// A change that somebody asked for, who waits until it is stored. It is audited if it makes a difference.
    fn change(&mut self, input: Input, by: Option<Audit>, stored: oneshot::Sender<()>) {
        let before = self.room.last_batch();
        self.room.handle(input, now());
        if self.room.last_batch() > before {
            self.audits.extend(by);
        }
        self.wait(Waiter::Stored(stored));
    }

    /// Answers once everything that was decided until now is stored: at once, if it is.
    fn wait(&mut self, waiter: Waiter) {
        let batch = self.room.last_batch();
        if batch > self.stored_batch {
            self.waiting.push((batch, waiter));
        } else {
            waiter.answer();
        }
    }

    fn remove_all(&mut self, key: Option<ApiKeySid>, removed: oneshot::Sender<(usize, oneshot::Receiver<()>)>) {
        let there = self.seats.values().filter(|seat| key.is_none() || seat.key == key);
        let out: Vec<ParticipantSid> = there.map(|seat| seat.sid).collect();
        for participant in &out {
            self.room.handle(
                Input::Remove {
                    participant: *participant,
                },
                now(),
            );
        }
        let (stored, wait) = oneshot::channel();
        self.wait(Waiter::Stored(stored));
        let _gone = removed.send((out.len(), wait));
    }

    fn join(&mut self, join: JoinCommand) {
        if self.room.is_completed() {
            return; // `taken` is dropped: the registry looks again
        }
        let JoinCommand {
            participant,
            arrival,
            taken,
        } = join;
        if !self.shared.is_open() {
            arrival.socket.send(Outgoing::Farewell(Some(wire::busy())));
            let _gone = taken.send(());
            return;
        }
        let mut announced = arrival.announced;
        if self.lacks_video_codec(&announced, &arrival.peers) {
            mark_video(&mut announced);
        }
        let (session_text, session) = super::session::open(self.row.new.sid, participant, arrival.key);
        let mut seat = Seat::new(participant, arrival.identity.clone(), session, self.first_revision());
        seat.session_text = session_text;
        seat.key = Some(arrival.key);
        seat.socket = Some(arrival.socket);
        seat.arriving = arrival.peers;
        seat.admission_due = Some(Instant::now() + limits::ADMISSION_WAIT);
        self.seats.insert(participant, seat);
        // The socket may be gone by now; its end comes as a command of its own.
        let _gone = taken.send(());
        let join = Join {
            participant,
            identity: arrival.identity,
            session,
            rules: arrival.rules,
            announced,
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
        seat.key = sync.key;
        seat.admitted = false;
        seat.update = RoomUpdateBody::default();
        seat.arriving = sync.peers;
        let _gone = sync.taken.send(());
        let (participant, mut announced) = (sync.participant, sync.announced);
        if self.is_without_video_codec(participant) {
            mark_video(&mut announced);
        }
        self.room.handle(Input::Resume { participant, announced }, now());
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
        if let Some(mut announced) = announced {
            if self.is_without_video_codec(participant) {
                mark_video(&mut announced);
            }
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

    /// Does what the room says until it is silent, then tells everyone their news.
    fn turn(&mut self) {
        self.hear();
        self.tell_received();
        self.present.store(self.room.len(), Ordering::Relaxed);
        self.write();
        self.route();
        self.flush();
        if self.ended {
            self.shared.forget(self.row.new.sid);
        }
    }

    /// Takes what the room decided.
    fn hear(&mut self) {
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
    }

    /// Everyone's batches that gathered meanwhile are one transaction.
    fn write(&mut self) {
        if self.writing.is_some() || self.unwritten.is_empty() {
            return;
        }
        let last = self.unwritten.back().map_or(0, |(batch, _)| *batch);
        let changes: Vec<Change> = self.unwritten.drain(..).flat_map(|(_, changes)| changes).collect();
        let audits = std::mem::take(&mut self.audits);
        let (account, room, epoch) = (self.row.account, self.row.new.sid, self.row.epoch);
        let shared = Arc::clone(&self.shared);
        let under_way = shared.lag.begin(Instant::now());
        self.writing = Some((
            last,
            Box::pin(async move {
                let _until_it_ends = under_way;
                let mut pause = Duration::from_millis(50);
                loop {
                    match shared
                        .store
                        .write_audited(account, room, epoch, changes.clone(), audits.clone())
                        .await
                    {
                        // Whoever watches the store tells of it, once for all rooms.
                        Err(error @ StoreError::Unavailable { .. }) => {
                            tracing::debug!(%room, error = %chain(&error), "not written: trying again in {pause:?}");
                            tokio::time::sleep(pause).await;
                            pause = (pause * 2).min(limits::WRITE_PAUSE_MAX);
                        }
                        other => return other,
                    }
                }
            }),
        ));
    }

    /// How the room ends, if it must not go on as it is.
    fn stored(&mut self, (batch, result): (u64, Result<(), StoreError>)) -> Option<RoomEnd> {
        if let Err(error) = result {
            self.shared.forget(self.row.new.sid);
            return Some(self.refused(&error));
        }
        // Without an address nothing was put into the outbox, and a look into it is a write and a read of its own.
        if self.row.new.status_callback.is_some() {
            self.shared.callbacks.wake();
        }
        self.stored_batch = batch;
        self.room.handle(Input::Stored { batch }, now());
        // `extract_if` keeps the order.
        for (_, waiter) in self.waiting.extract_if(.., |(wanted, _)| *wanted <= batch) {
            waiter.answer();
        }
        None
    }

    fn refused(&self, error: &StoreError) -> RoomEnd {
        let is_elsewhere = matches!(error, StoreError::Fenced | StoreError::RoomNotInProgress);
        let end = if is_elsewhere || self.since.elapsed() < limits::REOPEN_AGE {
            RoomEnd::Over
        } else {
            RoomEnd::Refused
        };
        tracing::error!(room = %self.row.new.sid, error = %chain(error), ?end, "the store refused the room's changes: clients resume from what is stored");
        end
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
            self.place.close(peer.transport);
        }
        if let Some(socket) = seat.socket {
            socket.send(last_word);
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
                ServerMessage::Update(Box::new(RoomUpdate {
                    version: wire::VERSION,
                    state,
                })),
            );
        }
    }

    /// A client that reads too slowly loses its socket and will resume.
    fn tell(&mut self, participant: ParticipantSid, message: ServerMessage) {
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let Some(socket) = &seat.socket else { return };
        if socket.send(Outgoing::Message(message)) == Sent::GivenUp {
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
