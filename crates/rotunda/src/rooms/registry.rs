//! The rooms that have a task: how each gets its own, and how it is found.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use room::{AccountSid, Restored, RestoredParticipant, Room, RoomConfig, RoomSid};
use store::{LiveRoom, RoomRow, StoreError};
use tokio::sync::mpsc;

use super::seat::Seat;
use super::task::{Command, RoomEnd, RoomTask};
use super::{Rooms, RoomsError, Shared, limits, lock, now, wall};

/// The rooms that have a task, or are about to.
#[derive(Default)]
pub(super) struct Live {
    pub(super) rooms: HashMap<RoomSid, LiveHandle>,
    /// Rooms in progress by account and name: what a client that joins asks for. In it is only what is stored, so that
    /// whoever finds a room here would find it in the store.
    pub(super) names: HashMap<(AccountSid, String), RoomSid>,
}

#[derive(Clone)]
pub(super) struct LiveHandle {
    pub(super) account: AccountSid,
    pub(super) commands: mpsc::Sender<Command>,
    /// Its key among [`Live::names`], if it is there.
    name: Option<String>,
    /// How many participants are in it.
    pub(super) present: Arc<AtomicUsize>,
}

/// What a room's task takes over of its registration.
pub(super) struct Inbox {
    commands: mpsc::Receiver<Command>,
    present: Arc<AtomicUsize>,
}

impl Rooms {
    pub(super) fn restore(&self, left: LiveRoom, inbox: Inbox) {
        let wall = wall();
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
    pub(super) async fn reopen(&self, account: AccountSid, sid: RoomSid) {
        let inbox = self.register(account, sid);
        let left = loop {
            match self.shared.store.take_over_room(account, sid, wall()).await {
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

    pub(super) fn register(&self, account: AccountSid, room: RoomSid) -> Inbox {
        let (commands, inbox) = mpsc::channel(limits::COMMANDS);
        let present = Arc::<AtomicUsize>::default();
        let handle = LiveHandle {
            account,
            commands,
            name: None,
            present: Arc::clone(&present),
        };
        lock(&self.shared.live).rooms.insert(room, handle);
        Inbox {
            commands: inbox,
            present,
        }
    }

    pub(super) fn run(&self, row: RoomRow, room: Room, seats: Vec<Seat>, inbox: Inbox) {
        let (account, sid) = (row.account, row.new.sid);
        if let Some(name) = &row.new.unique_name {
            self.shared.name(account, sid, name);
        }
        // Somebody will come into a new room; of one that is restored it is known who.
        let place = self.shared.media.place(seats.len().max(1));
        let task = RoomTask::new(Arc::clone(&self.shared), place, row, room, seats, inbox.present);
        let rooms = self.clone();
        self.shared.tasks.spawn(async move {
            if task.run(inbox.commands, rooms.shared.closing.clone()).await == RoomEnd::Refused {
                rooms.reopen(account, sid).await;
            }
        });
    }

    pub(super) fn room_config(&self, row: &RoomRow) -> RoomConfig {
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

    pub(super) fn live(&self, account: AccountSid, room: RoomSid) -> Option<LiveHandle> {
        lock(&self.shared.live)
            .rooms
            .get(&room)
            .filter(|handle| handle.account == account)
            .cloned()
    }

    pub(super) async fn ask(&self, handle: &LiveHandle, command: Command) -> Result<(), RoomsError> {
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

impl Shared {
    pub(super) fn forget(&self, room: RoomSid) {
        let mut live = lock(&self.live);
        if let Some(handle) = live.rooms.remove(&room)
            && let Some(name) = handle.name
        {
            let key = (handle.account, name);
            // Another one may have the name by now.
            if live.names.get(&key) == Some(&room) {
                live.names.remove(&key);
            }
        }
    }

    /// A room is stored, and can be found by its name.
    pub(super) fn name(&self, account: AccountSid, room: RoomSid, name: &str) {
        let mut live = lock(&self.live);
        if let Some(handle) = live.rooms.get_mut(&room) {
            handle.name = Some(name.to_owned());
            live.names.insert((account, name.to_owned()), room);
        }
    }

    /// The room in progress of this name, if it is known without asking the store.
    pub(super) fn named(&self, account: AccountSid, name: &str) -> Option<RoomSid> {
        lock(&self.live).names.get(&(account, name.to_owned())).copied()
    }
}
