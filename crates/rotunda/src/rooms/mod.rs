//! The registry of live rooms: one task for each owns its `room::Room`.

mod anonymize;
mod lag;
mod limits;
mod media;
mod paths;
mod removal;
mod seat;
pub(crate) mod session;
pub(crate) mod socket;
mod streams;
mod subscriptions;
mod task;
pub(crate) mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::signaling::PeerConnectionState;
use room::{
    AccountSid, Announced, AnnouncedTrack, ApiKeySid, ParticipantSid, Priority, Restored, RestoredParticipant, Room,
    RoomConfig, RoomSid, RoomStatus, Rules, TrackKind, TrackSid,
};
use store::{Audit, CallbackMethod, LiveRoom, NewRoom, RoomRow, Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::config::RoomSettings;
use crate::memory_watch::MemoryWatch;
use crate::store_watch::StoreWatch;
use crate::webhooks::Waker;

use self::lag::StoreLag;
pub use self::media::Media;
use self::seat::Seat;
use self::socket::{Outgoing, Socket};
pub(crate) use self::subscriptions::initial_rules;
pub(crate) use self::task::wall;
use self::task::{Command, JoinCommand, RoomEnd, RoomTask, SyncCommand};

/// How rooms are run.
#[derive(Debug, Clone)]
pub struct RoomsConfig {
    /// How long a lost participant may come back.
    pub session_timeout: Duration,
    /// Where media can reach us.
    pub candidates: Arc<[SocketAddr]>,
    /// What rooms may be made with.
    pub rooms: RoomSettings,
}

/// Handle on the live rooms; cheap to clone.
#[derive(Clone)]
pub struct Rooms {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    watch: StoreWatch,
    memory: MemoryWatch,
    media: Media,
    config: RoomsConfig,
    /// Poked when there may be callbacks to deliver.
    callbacks: Waker,
    live: Mutex<HashMap<RoomSid, LiveHandle>>,
    /// Set while the server waits for its rooms to end: it takes no new ones, nor participants.
    draining: AtomicBool,
    closing: CancellationToken,
    tasks: TaskTracker,
    sockets: AtomicU64,
    lag: StoreLag,
}

#[derive(Clone)]
struct LiveHandle {
    account: AccountSid,
    commands: mpsc::Sender<Command>,
    /// How many participants are in it.
    present: Arc<AtomicUsize>,
}

/// What a room's task takes over of its registration.
struct Inbox {
    commands: mpsc::Receiver<Command>,
    present: Arc<AtomicUsize>,
}

/// How much goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Occupancy {
    /// Connected or reconnecting.
    pub participants: usize,
    /// With at least one participant.
    pub rooms: usize,
}

/// Why a room did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RoomsError {
    /// Code 53113.
    #[error("a room of that name is in progress")]
    RoomExists,
    /// No such room for this account.
    #[error("there is no such room")]
    RoomNotFound,
    /// Codes 53112 and 53118.
    #[error("the room is not in progress")]
    RoomNotInProgress,
    /// No such participant in the room, in any state.
    #[error("there is no such participant")]
    ParticipantNotFound,
    /// Code 53103: joining makes no rooms here.
    #[error("there is no such room, and joining makes none")]
    NotMadeByJoining,
    /// The room's queue is full, the server is about to stop, or the store cannot be written: try
    /// again.
    #[error("the room is busy")]
    Busy,
    /// The store failed.
    #[error("the change could not be stored")]
    Store(#[from] StoreError),
}

/// What a client brings when it joins.
pub(crate) struct Arrival {
    pub(crate) account: AccountSid,
    /// The key of its token.
    pub(crate) key: ApiKeySid,
    pub(crate) identity: String,
    pub(crate) rules: Rules,
    pub(crate) announced: Announced,
    pub(crate) peers: Vec<PeerConnectionState>,
    pub(crate) socket: Socket,
}

/// Why a client is not in the room.
pub(crate) enum NotJoined {
    /// The room ended first; what the client brought is given back.
    Over(Box<Arrival>),
    /// The room's queue stays full, or the server is shutting down.
    Busy,
}

/// A socket's way to its participant's room.
#[derive(Clone)]
pub(crate) struct Attached {
    pub(crate) account: AccountSid,
    participant: ParticipantSid,
    socket: u64,
    commands: mpsc::Sender<Command>,
}

impl Rooms {
    /// Takes over the rooms that an earlier process left, and is ready.
    pub async fn start(
        store: Arc<dyn Store>,
        watch: StoreWatch,
        memory: MemoryWatch,
        media: Media,
        config: RoomsConfig,
        callbacks: Waker,
    ) -> Result<Self, StoreError> {
        let shared = Shared {
            store,
            watch,
            memory,
            media,
            config,
            callbacks,
            live: Mutex::default(),
            draining: AtomicBool::new(false),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            sockets: AtomicU64::new(1),
            lag: StoreLag::default(),
        };
        let rooms = Self {
            shared: Arc::new(shared),
        };
        let shared = Arc::clone(&rooms.shared);
        rooms.shared.tasks.spawn(async move {
            shared.closing.run_until_cancelled(shared.media.watch()).await;
        });
        let left = rooms.shared.store.take_over(task::wall()).await?;
        for room in left {
            let inbox = rooms.register(room.room.account, room.room.new.sid);
            rooms.restore(room, inbox);
        }
        Ok(rooms)
    }

    /// Where the media plane listens.
    pub fn media_addr(&self) -> SocketAddr {
        self.shared.media.local_addr()
    }

    /// Whether the media plane works.
    pub fn media_is_running(&self) -> bool {
        self.shared.media.is_running()
    }

    /// How many rooms are in progress.
    pub fn in_progress(&self) -> usize {
        lock(&self.shared.live).len()
    }

    /// Leaves every participant `reconnecting`, closes every socket with 1012, and waits until
    /// that is written down, for a few seconds at most.
    pub async fn shutdown(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(limits::SHUTDOWN_WAIT, self.shared.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("rooms were still being written at the deadline: the next start will put them right");
        }
    }

    /// Whether new rooms and participants are taken: the store works, there is memory, and the server is to
    /// go on.
    pub fn is_open(&self) -> bool {
        self.shared.is_open()
    }

    /// From now on new rooms and participants are refused as busy, or taken again.
    pub fn set_draining(&self, draining: bool) {
        self.shared.draining.store(draining, Ordering::Relaxed);
    }

    /// Whether [`Rooms::set_draining`] is on.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// The rooms in progress, with the account of each.
    pub fn list(&self) -> Vec<(AccountSid, RoomSid)> {
        let live = lock(&self.shared.live);
        live.iter().map(|(sid, handle)| (handle.account, *sid)).collect()
    }

    /// How many participants are in rooms, and in how many rooms; those that may come back included.
    pub fn occupancy(&self) -> Occupancy {
        let live = lock(&self.shared.live);
        let counts = live.values().map(|handle| handle.present.load(Ordering::Relaxed));
        counts
            .filter(|present| *present > 0)
            .fold(Occupancy::default(), |sum, present| Occupancy {
                participants: sum.participants + present,
                rooms: sum.rooms + 1,
            })
    }

    /// Creates a room. The row as stored.
    ///
    /// Runs to its end also if the caller goes away, so that no room is stored without a task.
    pub async fn create(&self, account: AccountSid, room: NewRoom) -> Result<RoomRow, RoomsError> {
        self.create_audited(account, room, None).await
    }

    /// Creates a room, with a line of the audit log in the same commit.
    pub async fn create_audited(
        &self,
        account: AccountSid,
        room: NewRoom,
        by: Option<Audit>,
    ) -> Result<RoomRow, RoomsError> {
        if !self.is_open() {
            return Err(RoomsError::Busy);
        }
        let rooms = self.clone();
        let created = self
            .shared
            .tasks
            .spawn(async move { rooms.store_and_run(account, room, by).await });
        created.await.unwrap_or(Err(RoomsError::Busy))
    }

    /// The room can be found by its name as soon as it is stored, so it is registered before: who
    /// comes in between waits in its queue.
    async fn store_and_run(
        &self,
        account: AccountSid,
        room: NewRoom,
        by: Option<Audit>,
    ) -> Result<RoomRow, RoomsError> {
        let sid = room.sid;
        let inbox = self.register(account, sid);
        let writing = self.shared.lag.begin(std::time::Instant::now());
        let created = self.shared.store.create_room_audited(account, room, by).await;
        drop(writing);
        let row = match created {
            Ok(row) => row,
            Err(fault) => {
                self.shared.forget(sid);
                return Err(match fault {
                    StoreError::RoomExists => RoomsError::RoomExists,
                    other => other.into(),
                });
            }
        };
        self.shared.callbacks.wake();
        let room = Room::new(self.room_config(&row), now());
        self.run(row.clone(), room, Vec::new(), inbox);
        Ok(row)
    }

    /// Completes a room in progress: everyone is disconnected. The row as it is then.
    pub async fn complete(&self, account: AccountSid, room: RoomSid) -> Result<RoomRow, RoomsError> {
        self.complete_audited(account, room, None).await
    }

    /// Completes a room, with a line of the audit log in the same commit; no line if nothing changes.
    pub async fn complete_audited(
        &self,
        account: AccountSid,
        room: RoomSid,
        by: Option<Audit>,
    ) -> Result<RoomRow, RoomsError> {
        let row = self
            .shared
            .store
            .room(account, room)
            .await?
            .ok_or(RoomsError::RoomNotFound)?;
        if row.status != RoomStatus::InProgress {
            return Err(RoomsError::RoomNotInProgress);
        }
        let handle = self.live(account, room).ok_or(RoomsError::RoomNotInProgress)?;
        let (stored, wait) = oneshot::channel();
        self.ask(&handle, Command::Complete { by, stored }).await?;
        // False if the room ended by itself meanwhile.
        if !is_stored(wait).await? {
            return Err(RoomsError::RoomNotInProgress);
        }
        self.shared
            .store
            .room(account, room)
            .await?
            .ok_or(RoomsError::RoomNotFound)
    }

    /// Whether a client's first offer can be answered; tried before it is let in, so that no row
    /// is made for garbage.
    pub(crate) fn is_answerable(&self, peers: &[PeerConnectionState]) -> bool {
        task::is_answerable(&self.shared, peers)
    }

    /// A new socket's end of its queue, and what its room gets of it.
    pub(crate) fn socket(&self) -> (Socket, mpsc::Receiver<Outgoing>) {
        let (queue, outgoing) = mpsc::channel(limits::OUTGOING);
        let socket = Socket {
            id: self.shared.sockets.fetch_add(1, Ordering::Relaxed),
            queue,
            given_up: CancellationToken::new(),
        };
        (socket, outgoing)
    }

    /// How far the store is behind with what rooms write.
    pub(crate) fn store_lag(&self) -> Duration {
        self.shared.lag.at(std::time::Instant::now())
    }

    /// Held by a socket's task, so that a shutdown waits for it.
    pub(crate) fn held(&self) -> TaskTrackerToken {
        self.shared.tasks.token()
    }

    /// Whether the server is on its way out.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.shared.closing.clone()
    }

    /// Brings a client into a room in progress. What becomes of it is said over its socket.
    pub(crate) async fn join(&self, room: RoomSid, arrival: Arrival) -> Result<Attached, NotJoined> {
        let Some(handle) = self.live(arrival.account, room) else {
            return Err(NotJoined::Over(Box::new(arrival)));
        };
        let participant = ParticipantSid::from_bytes(random());
        let (taken, wait) = oneshot::channel();
        let Arrival {
            account,
            key,
            identity,
            rules,
            announced,
            peers,
            socket,
        } = arrival;
        let command = JoinCommand {
            participant,
            key,
            identity: identity.clone(),
            rules: rules.clone(),
            announced: announced.clone(),
            peers: peers.clone(),
            socket: socket.clone(),
            taken,
        };
        let attached = Attached {
            account,
            participant,
            socket: socket.id,
            commands: handle.commands.clone(),
        };
        match self.ask(&handle, Command::Join(Box::new(command))).await {
            Ok(()) if wait.await.is_ok() => return Ok(attached),
            Err(RoomsError::Busy) => return Err(NotJoined::Busy),
            _ => {}
        }
        handle.commands.closed().await;
        Err(NotJoined::Over(Box::new(Arrival {
            account,
            key,
            identity,
            rules,
            announced,
            peers,
            socket,
        })))
    }

    /// Resumes a session on a new socket; `None` if there is no such session any more.
    pub(crate) async fn sync(
        &self,
        session: &str,
        announced: Announced,
        peers: Vec<PeerConnectionState>,
        socket: Socket,
    ) -> Option<Attached> {
        let key = session::parse(session)?;
        let handle = lock(&self.shared.live).get(&key.room).cloned()?;
        let (taken, wait) = oneshot::channel();
        let attached = Attached {
            account: handle.account,
            participant: key.participant,
            socket: socket.id,
            commands: handle.commands.clone(),
        };
        let command = SyncCommand {
            participant: key.participant,
            session: key.hash,
            key: key.key,
            announced,
            peers,
            socket,
            taken,
        };
        handle.commands.send(Command::Sync(Box::new(command))).await.ok()?;
        wait.await.ok()?;
        Some(attached)
    }

    /// The room that a name stands for, made if there is none: the `connect` of a client makes
    /// rooms ad hoc.
    pub(crate) async fn find_or_create(&self, account: AccountSid, name: Option<&str>) -> Result<RoomRow, RoomsError> {
        if let Some(sid) = name.and_then(|name| name.parse::<RoomSid>().ok()) {
            let row = self
                .shared
                .store
                .room(account, sid)
                .await?
                .ok_or(RoomsError::RoomNotFound)?;
            return if row.status == RoomStatus::InProgress {
                Ok(row)
            } else {
                Err(RoomsError::RoomNotInProgress)
            };
        }
        loop {
            if let Some(name) = name
                && let Some(row) = self.shared.store.room_in_progress(account, name).await?
            {
                return Ok(row);
            }
            if !self.shared.config.rooms.ad_hoc.allowed {
                return Err(RoomsError::NotMadeByJoining);
            }
            match self.create(account, self.ad_hoc_room(name)).await {
                Err(RoomsError::RoomExists) => tokio::task::yield_now().await, // another client was faster
                other => return other,
            }
        }
    }

    fn ad_hoc_room(&self, name: Option<&str>) -> NewRoom {
        let rooms = &self.shared.config.rooms;
        let kind = rooms.ad_hoc.kind;
        NewRoom {
            sid: RoomSid::from_bytes(random()),
            unique_name: name.map(ToOwned::to_owned),
            kind,
            audio_only: false,
            large_room: false,
            ad_hoc: true,
            status_callback: None,
            status_callback_method: CallbackMethod::Post,
            max_participants: rooms
                .ad_hoc
                .max_participants
                .unwrap_or_else(|| rooms.participants_default(kind)),
            max_participant_duration_s: rooms.participant_duration_default_s(),
            empty_room_timeout_min: 5,
            unused_room_timeout_min: 5,
            video_codecs: rooms.ad_hoc.video_codecs.clone(),
            media_region: Some(rooms.media_region.clone()),
            at: task::wall(),
        }
    }

    fn restore(&self, left: LiveRoom, inbox: Inbox) {
        let wall = task::wall();
        let row = left.room;
        let config = self.room_config(&row);
        let since = |then: room::Timestamp| Duration::from_micros(u64::try_from(wall.0 - then.0).unwrap_or(0));
        let mut seats = Vec::new();
        let mut participants = Vec::new();
        for from in left.participants {
            seats.push(Seat::new(
                from.row.sid,
                from.row.identity.clone(),
                from.session,
                config.first_revision,
            ));
            participants.push(RestoredParticipant {
                sid: from.row.sid,
                identity: from.row.identity,
                rules: from.rules,
                tracks: from.tracks,
                stayed: since(from.row.created),
            });
        }
        let empty_for = left.empty_since.filter(|_| left.was_joined).map(since);
        let restored = Restored {
            age: since(row.new.at),
            empty_for,
            participants,
        };
        let room = Room::restore(config, restored, now());
        self.run(row, room, seats, inbox);
    }

    /// Restores a room from what is stored, since the store refused what it had become. Who asks for
    /// it meanwhile waits in its queue.
    async fn reopen(&self, account: AccountSid, sid: RoomSid) {
        let inbox = self.register(account, sid);
        let left = loop {
            match self.shared.store.take_over_room(account, sid, task::wall()).await {
                Err(StoreError::Unavailable { .. }) => tokio::time::sleep(limits::WRITE_PAUSE_MAX).await,
                other => break other,
            }
        };
        match left {
            Ok(Some(left)) => self.restore(left, inbox),
            Ok(None) => self.shared.forget(sid),
            Err(error) => {
                tracing::error!(room = %sid, error = &error as &dyn std::error::Error, "the room could not be restored: the next start tries again");
                self.shared.forget(sid);
            }
        }
    }

    fn register(&self, account: AccountSid, room: RoomSid) -> Inbox {
        let (commands, inbox) = mpsc::channel(limits::COMMANDS);
        let present = Arc::<AtomicUsize>::default();
        let handle = LiveHandle {
            account,
            commands,
            present: Arc::clone(&present),
        };
        lock(&self.shared.live).insert(room, handle);
        Inbox {
            commands: inbox,
            present,
        }
    }

    fn run(&self, row: RoomRow, room: Room, seats: Vec<Seat>, inbox: Inbox) {
        let (account, sid) = (row.account, row.new.sid);
        let task = RoomTask::new(Arc::clone(&self.shared), row, room, seats, inbox.present);
        let rooms = self.clone();
        self.shared.tasks.spawn(async move {
            if task.run(inbox.commands, rooms.shared.closing.clone()).await == RoomEnd::Refused {
                rooms.reopen(account, sid).await;
            }
        });
    }

    fn room_config(&self, row: &RoomRow) -> RoomConfig {
        let new = &row.new;
        RoomConfig {
            max_participants: new.max_participants as usize,
            max_participant_duration: Duration::from_secs(new.max_participant_duration_s.into()),
            unused_timeout: Duration::from_secs(60 * u64::from(new.unused_room_timeout_min)),
            empty_timeout: Duration::from_secs(60 * u64::from(new.empty_room_timeout_min)),
            max_age: self.shared.config.rooms.max_room_duration,
            audio_only: new.audio_only,
            ad_hoc: new.ad_hoc,
            session_timeout: self.shared.config.session_timeout,
            first_revision: row.epoch.saturating_sub(1) << 32,
        }
    }

    fn live(&self, account: AccountSid, room: RoomSid) -> Option<LiveHandle> {
        lock(&self.shared.live)
            .get(&room)
            .filter(|handle| handle.account == account)
            .cloned()
    }

    async fn ask(&self, handle: &LiveHandle, command: Command) -> Result<(), RoomsError> {
        if !self.shared.watch.is_fit() {
            return Err(RoomsError::Busy);
        }
        match handle.commands.send_timeout(command, limits::COMMAND_WAIT).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(RoomsError::Busy),
            Err(mpsc::error::SendTimeoutError::Closed(_)) if self.shared.closing.is_cancelled() => {
                Err(RoomsError::Busy)
            }
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(RoomsError::RoomNotInProgress),
        }
    }
}

/// Waits until a change is stored; false if the room was over before. A change that is not stored in
/// time is stored later.
async fn is_stored(wait: oneshot::Receiver<()>) -> Result<bool, RoomsError> {
    match tokio::time::timeout(limits::STORED_WAIT, wait).await {
        Ok(stored) => Ok(stored.is_ok()),
        Err(_) => Err(RoomsError::Busy),
    }
}

impl Attached {
    /// Passes on a client's update.
    pub(crate) async fn update(&self, announced: Option<Announced>, peers: Vec<PeerConnectionState>) {
        let command = Command::Update {
            participant: self.participant,
            socket: self.socket,
            announced,
            peers,
        };
        // A room that is over has said so over the socket.
        let _over = self.commands.send(command).await;
    }

    /// The socket is at its end; `left` if the client said so.
    pub(crate) async fn closed(self, left: bool) {
        let command = Command::Closed {
            participant: self.participant,
            socket: self.socket,
            left,
        };
        let _over = self.commands.send(command).await;
    }
}

impl Shared {
    fn is_open(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
            && !self.closing.is_cancelled()
            && self.watch.is_fit()
            && self.memory.is_fit()
    }

    fn forget(&self, room: RoomSid) {
        lock(&self.live).remove(&room);
    }
}

/// A client's list of tracks as the room knows it; `None` if it is no valid list.
pub(crate) fn announced(participant: protocol::signaling::LocalParticipant) -> Option<Announced> {
    if participant.tracks.len() > limits::ANNOUNCED_TRACKS {
        return None;
    }
    let tracks: Option<Vec<AnnouncedTrack>> = participant
        .tracks
        .into_iter()
        .map(|track| {
            Some(AnnouncedTrack {
                kind: TrackKind::from_word(&track.kind)?,
                name: track
                    .name
                    .filter(|name| !name.is_empty())
                    .unwrap_or_else(|| track.id.clone()),
                media_id: track.id,
                enabled: track.enabled,
                priority: track
                    .priority
                    .as_deref()
                    .and_then(Priority::from_word)
                    .unwrap_or(Priority::Standard),
                has_codec: true,
                fresh: TrackSid::from_bytes(random()),
            })
        })
        .collect();
    Some(Announced {
        revision: participant.revision,
        tracks: tracks?,
    })
}

fn now() -> room::Now {
    room::Now {
        mono: std::time::Instant::now(),
        wall: task::wall(),
    }
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the kernel's random source never fails once the process runs");
    bytes
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holder does a single insert, remove or get, so a panic leaves the map whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
