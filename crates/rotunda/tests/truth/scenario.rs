//! What people and applications do with a server, at random and all at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use room::{ParticipantStatus, RoomSid, RoomStatus};
use testkit::history::{History, ParticipantsOf, RoomsOf, check};

use crate::guest::Guest;
use crate::receiver::Receiver;
use crate::world::World;

/// The names of rooms that everybody uses.
const ROOMS: [&str; 4] = ["daily", "weekly", "monthly", "yearly"];
/// Guests of one worker at most; more make the oldest leave.
const GUESTS: usize = 6;
/// How long everybody may take to be gone in the end, and every callback to be there. A callback that
/// was on its way when the server died is leased for 30 s.
pub(crate) const SETTLED_WITHIN: Duration = Duration::from_secs(120);

/// Does random things until it has done this many, or is told to stop. How many it did.
pub(crate) async fn work(world: Arc<World>, seed: u64, steps: u64, stop: Arc<AtomicBool>) -> u64 {
    let rooms = ROOMS.map(str::to_owned).into();
    work_in(rooms, world, seed, steps, stop).await
}

/// The same in these rooms.
pub(crate) async fn work_in(
    rooms: Arc<[String]>,
    world: Arc<World>,
    seed: u64,
    steps: u64,
    stop: Arc<AtomicBool>,
) -> u64 {
    let mut worker = Worker {
        rooms,
        world,
        dice: Rng::with_seed(seed),
        guests: Vec::new(),
        walks: Vec::new(),
    };
    let mut done = 0;
    while done < steps && !stop.load(Ordering::Relaxed) {
        worker.world.up().await;
        worker.step().await;
        done += 1;
    }
    for guest in worker.guests {
        guest.leave().await;
    }
    for walk in worker.walks {
        walk.await.unwrap();
    }
    done
}

struct Worker {
    rooms: Arc<[String]>,
    world: Arc<World>,
    dice: Rng,
    guests: Vec<Guest>,
    walks: Vec<tokio::task::JoinHandle<usize>>,
}

impl Worker {
    async fn step(&mut self) {
        match self.dice.u32(0..100) {
            0..4 => {
                let room = self.name();
                self.world.create(&room).await;
            }
            4..26 => self.join().await,
            26..41 => self.with_guest(Deed::Tracks).await,
            41..49 => self.with_guest(Deed::Leave).await,
            49..55 => self.with_guest(Deed::Cut).await,
            55..67 => self.resume().await,
            67..71 => self.with_guest(Deed::Remove).await,
            71..72 => self.complete().await,
            72..80 => self.with_guest(Deed::Fetch).await,
            80..84 => {
                if let Some((room, _)) = self.room() {
                    self.world.fetch_room(room).await;
                }
            }
            84..97 => self.walk(),
            _ => self.walk_rooms(),
        }
        self.walks.retain(|walk| !walk.is_finished());
    }

    async fn join(&mut self) {
        if self.guests.len() >= GUESTS {
            self.guests.remove(0).leave().await;
        }
        let (room, identity) = (self.name(), format!("guest{}", self.dice.u32(0..12)));
        let tracks = self.dice.usize(0..3);
        let world = Arc::clone(&self.world);
        self.guests.extend(Guest::join(&world, &room, &identity, tracks).await);
    }

    fn name(&mut self) -> String {
        self.rooms[self.dice.usize(0..self.rooms.len())].clone()
    }

    async fn with_guest(&mut self, deed: Deed) {
        if self.guests.is_empty() {
            return;
        }
        let index = self.dice.usize(0..self.guests.len());
        let guest = &mut self.guests[index];
        let (room, sid) = (guest.room, guest.sid);
        match deed {
            Deed::Fetch => self.world.fetch(room, sid).await,
            Deed::Remove => self.world.remove(room, sid).await,
            _ if !guest.is_there().await => {
                if !guest.is_lost() {
                    self.guests.remove(index);
                }
            }
            Deed::Tracks => guest.change_tracks(&mut self.dice).await,
            Deed::Cut => guest.cut().await,
            Deed::Leave => self.guests.remove(index).leave().await,
        }
    }

    /// Brings back everybody who lost its socket, or one of them.
    async fn resume(&mut self) {
        for index in (0..self.guests.len()).rev() {
            let guest = &mut self.guests[index];
            if !guest.is_there().await && (!guest.is_lost() || !guest.resume().await) {
                self.guests.remove(index);
            } else if self.dice.bool() {
                break;
            }
        }
    }

    async fn complete(&mut self) {
        let in_use = self.guests.first().map(|guest| guest.room);
        if let Some(room) = in_use.or_else(|| self.room().map(|(room, _)| room)) {
            self.world.complete(room).await;
        }
    }

    /// A room that was seen, more often one that was seen lately.
    fn room(&mut self) -> Option<(RoomSid, Arc<str>)> {
        let rooms = self.world.rooms.lock().unwrap();
        let lately = rooms.len().saturating_sub(6);
        let from = if self.dice.u8(0..4) == 0 { 0 } else { lately };
        (!rooms.is_empty()).then(|| rooms[self.dice.usize(from..rooms.len())].clone())
    }

    /// Walks over a list on the side, slowly, with random filters.
    fn walk(&mut self) {
        let Some((room, _)) = self.room() else { return };
        let dice = &mut self.dice;
        let now_s = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs()
            .cast_signed();
        let status = [
            ParticipantStatus::Connected,
            ParticipantStatus::Disconnected,
            ParticipantStatus::Reconnecting,
        ];
        let of = ParticipantsOf {
            room,
            status: status[[0, 0, 0, 1, 1, 2][dice.usize(0..6)]],
            identity: (dice.u8(0..3) == 0).then(|| format!("guest{}", dice.u32(0..12)).into()),
            created_after_s: (dice.u8(0..4) == 0).then(|| now_s - dice.i64(0..20)),
            created_before_s: (dice.u8(0..4) == 0).then(|| now_s - dice.i64(-2..10)),
        };
        let (size, pause) = (dice.usize(1..6), Duration::from_millis(dice.u64(0..30)));
        let world = Arc::clone(&self.world);
        self.walks
            .push(tokio::spawn(async move { world.walk(of, size, pause).await }));
    }

    fn walk_rooms(&mut self) {
        let dice = &mut self.dice;
        let of = RoomsOf {
            status: if dice.bool() {
                RoomStatus::InProgress
            } else {
                RoomStatus::Completed
            },
            name: dice
                .bool()
                .then(|| self.rooms[dice.usize(0..self.rooms.len())].as_str().into()),
        };
        let (size, pause) = (dice.usize(1..8), Duration::from_millis(dice.u64(0..30)));
        let world = Arc::clone(&self.world);
        self.walks
            .push(tokio::spawn(async move { world.walk_rooms(of, size, pause).await }));
    }
}

/// The same few things each time, so that every lie has its occasion: three come, one is removed, and
/// the lists are walked before and after.
pub(crate) async fn rehearsed(world: &Arc<World>) {
    world.create("stage").await;
    let mut guests = Vec::new();
    for number in 0..3 {
        guests.extend(Guest::join(world, "stage", &format!("guest{number}"), 0).await);
    }
    for _ in 0..2 {
        let Some(last) = guests.last() else { return };
        let (room, sid) = (last.room, last.sid);
        for status in [ParticipantStatus::Connected, ParticipantStatus::Disconnected] {
            for _ in 0..2 {
                world.walk(of_all(room, status), 1, Duration::ZERO).await;
            }
        }
        world.remove(room, sid).await;
    }
    for guest in guests {
        guest.leave().await;
    }
}

#[derive(Clone, Copy)]
enum Deed {
    Tracks,
    Leave,
    Cut,
    Remove,
    Fetch,
}

/// Waits until everybody is gone, ends all rooms, waits for the callbacks and reads all lists of the gone.
/// The whole history.
pub(crate) async fn settle(world: &Arc<World>, receiver: &Receiver, patience: Duration) -> History {
    let deadline = tokio::time::Instant::now() + patience;
    let mut is_settled = true;
    let all = |status| RoomsOf { status, name: None };
    for status in [RoomStatus::InProgress, RoomStatus::Completed] {
        world.walk_rooms(all(status), 100, Duration::ZERO).await;
    }
    let rooms = world.rooms.lock().unwrap().clone();
    for (room, _) in &rooms {
        while live(world, *room).await > 0 {
            if tokio::time::Instant::now() > deadline {
                world.complain(format!("somebody never leaves {room}"));
                is_settled = false;
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if world.fetch_room(*room).await == Some(RoomStatus::InProgress) {
            world.complete(*room).await;
        }
    }
    for room in world.recorder.history().rooms_that_call() {
        while !receiver.has_end_of(room) {
            if tokio::time::Instant::now() > deadline {
                world.complain(format!("the end of {room} was never called back"));
                is_settled = false;
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    for (room, _) in &rooms {
        let of = of_all(*room, ParticipantStatus::Disconnected);
        world.walk(of, 1000, Duration::ZERO).await;
        world.fetch_room(*room).await;
    }
    world.walk_rooms(all(RoomStatus::Completed), 100, Duration::ZERO).await;
    let mut history = world.recorder.history();
    history.settled = is_settled;
    history
}

async fn live(world: &World, room: RoomSid) -> usize {
    let mut live = 0;
    for status in [ParticipantStatus::Connected, ParticipantStatus::Reconnecting] {
        live += world.walk(of_all(room, status), 1000, Duration::ZERO).await;
    }
    live
}

fn of_all(room: RoomSid, status: ParticipantStatus) -> ParticipantsOf {
    ParticipantsOf {
        room,
        status,
        identity: None,
        created_after_s: None,
        created_before_s: None,
    }
}

/// Everything that is wrong, in words.
pub(crate) fn faults(world: &World, history: &History) -> Vec<String> {
    let mut faults = world.complaints.lock().unwrap().clone();
    faults.extend(check(history).iter().map(ToString::to_string));
    faults
}
