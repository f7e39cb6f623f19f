//! The live rooms: one task for each owns its `room::Room`.

mod anonymize;
mod clock;
mod joining;
mod lag;
mod limits;
mod media;
mod paths;
mod placement;
mod registry;
mod removal;
mod seat;
pub(crate) mod session;
pub(crate) mod socket;
mod streams;
mod subscriptions;
mod task;
pub(crate) mod wire;

use std::cmp::Reverse;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use room::{AccountSid, Room, RoomSid, RoomStatus};
use store::{Audit, NewRoom, RoomRow, Store, StoreError};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::config::RoomSettings;
use crate::memory_watch::MemoryWatch;
use crate::store_watch::StoreWatch;
use crate::webhooks::Waker;

use self::clock::now;
pub(crate) use self::clock::wall;
pub(crate) use self::joining::{Arrival, Attached, NotJoined, announced};
use self::lag::StoreLag;
pub use self::media::Media;
pub use self::placement::WorkerLoad;
use self::registry::{Live, LiveHandle};
pub(crate) use self::subscriptions::initial_rules;
use self::task::Command;

/// How rooms are run.
#[derive(Debug, Clone)]
pub struct RoomsConfig {
    /// How long a lost participant may come back.
    pub session_timeout: Duration,
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
    live: Mutex<Live>,
    /// Set while the server waits for its rooms to end: it takes no new ones, nor participants.
    draining: AtomicBool,
    closing: CancellationToken,
    tasks: TaskTracker,
    sockets: AtomicU64,
    lag: StoreLag,
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
            shared.closing.run_until_cancelled(shared.media.run()).await;
        });
        let mut left = rooms.shared.store.take_over(wall()).await?;
        // Large ones first: small ones even out what they leave.
        left.sort_by_key(|room| Reverse(room.participants.len()));
        for room in left {
            let inbox = rooms.register(room.room.account, room.room.new.sid);
            rooms.restore(room, inbox);
        }
        Ok(rooms)
    }

    /// Whether all of the media plane works.
    pub fn media_is_running(&self) -> bool {
        self.shared.media.is_running()
    }

    /// The media plane.
    pub fn media(&self) -> &Media {
        &self.shared.media
    }

    /// How many rooms are in progress.
    pub fn in_progress(&self) -> usize {
        lock(&self.shared.live).rooms.len()
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
        live.rooms.iter().map(|(sid, handle)| (handle.account, *sid)).collect()
    }

    /// How many participants are in rooms, and in how many rooms; those that may come back included.
    pub fn occupancy(&self) -> Occupancy {
        let live = lock(&self.shared.live);
        let counts = live.rooms.values().map(|handle| handle.present.load(Ordering::Relaxed));
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
        if row.new.status_callback.is_some() {
            self.shared.callbacks.wake();
        }
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
}

/// Waits until a change is stored; false if the room was over before. A change that is not stored in
/// time is stored later.
async fn is_stored(wait: oneshot::Receiver<()>) -> Result<bool, RoomsError> {
    match tokio::time::timeout(limits::STORED_WAIT, wait).await {
        Ok(stored) => Ok(stored.is_ok()),
        Err(_) => Err(RoomsError::Busy),
    }
}

impl Shared {
    fn is_open(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
            && !self.closing.is_cancelled()
            && self.watch.is_fit()
            && self.memory.is_fit()
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
