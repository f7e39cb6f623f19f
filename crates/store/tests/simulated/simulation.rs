//! Rooms, their database, those who come and go, and those who look at it, step by step.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use room::{
    AccountSid, Input, Now, ParticipantSid, ParticipantStatus, Restored, RestoredParticipant, Room, RoomConfig,
    RoomSid, RoomType, Timestamp,
};
use store::{Account, CallbackMethod, CallbackOutcome, NewRoom, SqliteStore, Store};
use testkit::history::{Callback, Clock, History, Moment, ParticipantsOf, Said, Touches};

use crate::place::{Book, Client, Clients, Place, Waiting};
use crate::reading::{Over, Walk, room_row};

pub(crate) const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
pub(crate) const NAMES: [&str; 3] = ["daily", "weekly", "monthly"];
pub(crate) const IDENTITIES: u32 = 8;
const LEASE_US: i64 = 30_000_000;
const SESSION_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Simulation {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) book: Book,
    pub(crate) dice: Rng,
    pub(crate) now: Now,
    /// The clock of the callbacks' schedule, which is never set.
    schedule: Timestamp,
    places: BTreeMap<RoomSid, Place>,
    clients: Clients,
    /// Everyone that ever was, and every room.
    pub(crate) participants: Vec<(RoomSid, ParticipantSid)>,
    pub(crate) rooms: Vec<RoomSid>,
    pub(crate) walks: VecDeque<Walk>,
    pub(crate) numbers: u128,
    /// A fault: the room is told that a batch is durable before it is written.
    pub(crate) confirms_early: bool,
    /// A fault: rows are read as they were a while ago.
    pub(crate) reads_late: bool,
    /// What was read a while ago, for that fault.
    pub(crate) read_before: BTreeMap<ParticipantSid, Said>,
}

impl Simulation {
    pub(crate) fn new(seed: u64, clock: Clock) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        let account = Account::new(ACCOUNT);
        runtime.block_on(store.put_account(account)).unwrap();
        let mut book = Book::default();
        book.history.clock = clock;
        Self {
            runtime,
            store,
            book,
            dice: Rng::with_seed(seed),
            now: Now {
                mono: Instant::now(),
                wall: Timestamp(1_700_000_000_000_000),
            },
            schedule: Timestamp(1_700_000_000_000_000),
            places: BTreeMap::new(),
            clients: Clients::new(),
            participants: Vec::new(),
            rooms: Vec::new(),
            walks: VecDeque::new(),
            numbers: 0,
            confirms_early: false,
            reads_late: false,
            read_before: BTreeMap::new(),
        }
    }

    pub(crate) fn step(&mut self) {
        self.book.now.0 += 1;
        let time = Duration::from_millis(self.dice.u64(0..400));
        self.advance(time);
        match self.dice.u32(0..1000) {
            0..20 => self.create(),
            20..150 => self.join(),
            150..270 => self.tracks(),
            270..310 => self.end(|participant| Input::Leave { participant }),
            310..325 => self.end(|participant| Input::MediaFailed { participant }),
            325..385 => self.lose(),
            385..460 => self.resume(),
            460..475 => self.remove(),
            475..480 => self.complete(),
            480..590 => self.write(),
            590..690 => self.confirm(),
            690..770 => self.fetch(),
            770..800 => self.begin_walk(),
            800..930 => self.page(),
            930..985 => self.callbacks(),
            985..990 => {
                let time = Duration::from_secs(self.dice.u64(1..60));
                self.advance(time);
            }
            990..995 => self.set_calendar(),
            _ => self.restart(),
        }
    }

    fn fresh(&mut self) -> [u8; 16] {
        self.numbers += 1;
        self.numbers.to_be_bytes()
    }

    /// Time passes, and every timer fires that is due.
    fn advance(&mut self, time: Duration) {
        self.now.mono += time;
        let us = i64::try_from(time.as_micros()).unwrap();
        self.now.wall.0 += us;
        self.schedule.0 += us;
        for place in self.places.values_mut() {
            if place.room.poll_timeout().is_some_and(|due| due <= self.now.mono) {
                place.handle(Input::Timeout, self.now, &mut self.clients, &mut self.book);
            }
        }
        self.places
            .retain(|_, place| !(place.has_ended && place.waiting.is_empty()));
    }

    fn set_calendar(&mut self) {
        if self.book.history.clock == Clock::Stepped {
            self.now.wall.0 += self.dice.i64(-7200..7200) * 1_000_000;
        }
    }

    fn config(first_revision: u64, ad_hoc: bool) -> RoomConfig {
        RoomConfig {
            max_participants: 6,
            max_participant_duration: Duration::from_secs(1_000_000),
            unused_timeout: Duration::from_secs(300),
            empty_timeout: Duration::from_secs(300),
            max_age: None,
            audio_only: false,
            ad_hoc,
            session_timeout: SESSION_TIMEOUT,
            first_revision,
        }
    }

    fn create(&mut self) {
        let name = NAMES[self.dice.usize(0..NAMES.len())];
        let asked = self.book.now;
        let new = NewRoom {
            sid: RoomSid::from_bytes(self.fresh()),
            unique_name: Some(name.to_owned()),
            kind: RoomType::Group,
            audio_only: false,
            large_room: false,
            ad_hoc: self.dice.bool(),
            status_callback: Some("https://example.com/events".to_owned()),
            status_callback_method: CallbackMethod::Post,
            max_participants: 6,
            max_participant_duration_s: 1_000_000,
            empty_room_timeout_min: 5,
            unused_room_timeout_min: 5,
            video_codecs: Vec::new(),
            media_region: None,
            at: self.now.wall,
        };
        // Refused while the name is in progress.
        let Ok(row) = self.runtime.block_on(self.store.create_room(ACCOUNT, new)) else {
            return;
        };
        let room = Room::new(Self::config(0, row.new.ad_hoc), self.now);
        self.place(&row, room);
        self.rooms.push(row.new.sid);
        self.book.heard(asked, Said::Room(room_row(&row)));
    }

    fn place(&mut self, row: &store::RoomRow, room: Room) {
        let place = Place {
            sid: row.new.sid,
            name: row.new.unique_name.clone().unwrap().into(),
            epoch: row.epoch,
            room,
            unwritten: VecDeque::new(),
            unconfirmed: VecDeque::new(),
            waiting: Vec::new(),
            has_ended: false,
        };
        self.places.insert(row.new.sid, place);
    }

    fn join(&mut self) {
        let Some(sid) = self.any_place() else { return };
        let participant = ParticipantSid::from_bytes(self.fresh());
        let identity: Arc<str> = format!("guest{}", self.dice.u32(0..IDENTITIES)).into();
        let mut client = Client::new(sid, identity.clone());
        client.change_tracks(&mut self.dice, &mut self.numbers);
        let place = self.places.get_mut(&sid).unwrap();
        let room = place.name.clone();
        let deed = self.book.begins(Touches::Identity { room, identity });
        client.arriving = Some((deed, self.book.now));
        let input = client.join(participant);
        self.clients.insert(participant, client);
        self.participants.push((sid, participant));
        place.handle(input, self.now, &mut self.clients, &mut self.book);
    }

    fn any_place(&mut self) -> Option<RoomSid> {
        let open: Vec<RoomSid> = self
            .places
            .iter()
            .filter(|(_, place)| !place.has_ended)
            .map(|(sid, _)| *sid)
            .collect();
        self.dice.choice(open)
    }

    /// Somebody who may still be in, with its room, and who fits.
    fn somebody(&mut self, fits: impl Fn(&Client) -> bool) -> Option<ParticipantSid> {
        let places = &self.places;
        self.clients
            .retain(|_, client| !client.is_dismissed && places.contains_key(&client.place));
        let fits = self.clients.iter().filter(|(_, client)| fits(client));
        let fits: Vec<ParticipantSid> = fits.map(|(sid, _)| *sid).collect();
        self.dice.choice(fits)
    }

    fn tell(&mut self, participant: ParticipantSid, input: Input) {
        let sid = self.clients[&participant].place;
        if let Some(place) = self.places.get_mut(&sid) {
            place.handle(input, self.now, &mut self.clients, &mut self.book);
        }
    }

    fn tracks(&mut self) {
        let Some(participant) = self.somebody(|client| client.hears) else {
            return;
        };
        let client = self.clients.get_mut(&participant).unwrap();
        client.change_tracks(&mut self.dice, &mut self.numbers);
        let announced = client.announced();
        self.tell(participant, Input::Tracks { participant, announced });
    }

    fn end(&mut self, input: impl Fn(ParticipantSid) -> Input) {
        let Some(participant) = self.somebody(|client| client.hears) else {
            return;
        };
        self.book.begins(Touches::Participant(participant));
        self.tell(participant, input(participant));
    }

    fn lose(&mut self) {
        let Some(participant) = self.somebody(|client| client.hears && client.is_admitted) else {
            return;
        };
        let deed = self.book.begins(Touches::Participant(participant));
        let client = self.clients.get_mut(&participant).unwrap();
        (client.hears, client.lost) = (false, Some(deed));
        self.tell(participant, Input::SignalingLost { participant });
    }

    fn resume(&mut self) {
        let Some(participant) = self.somebody(|client| !client.hears && client.is_admitted) else {
            return;
        };
        let sid = self.clients[&participant].place;
        if !self.places[&sid].room.contains(participant) {
            self.clients.remove(&participant);
            return;
        }
        let deed = self.book.begins(Touches::Participant(participant));
        let client = self.clients.get_mut(&participant).unwrap();
        client.hears = true;
        let arriving = client.arriving.replace((deed, self.book.now));
        let announced = client.announced();
        for earlier in client.lost.take().into_iter().chain(arriving.map(|(deed, _)| deed)) {
            self.book.over(earlier);
        }
        self.tell(participant, Input::Resume { participant, announced });
    }

    fn remove(&mut self) {
        let Some(participant) = self.somebody(|_| true) else {
            return;
        };
        let (asked, deed) = (self.book.now, self.book.begins(Touches::Participant(participant)));
        self.tell(participant, Input::Remove { participant });
        self.wait(self.clients[&participant].place, asked, deed, Some(participant));
    }

    fn complete(&mut self) {
        let Some(sid) = self.any_place() else { return };
        let (asked, deed) = (self.book.now, self.book.begins(Touches::Room(sid)));
        let place = self.places.get_mut(&sid).unwrap();
        place.handle(Input::Complete, self.now, &mut self.clients, &mut self.book);
        self.wait(sid, asked, deed, None);
    }

    /// The answer comes when the batch is durable.
    fn wait(&mut self, sid: RoomSid, asked: Moment, deed: usize, participant: Option<ParticipantSid>) {
        let place = self.places.get_mut(&sid).unwrap();
        let batch = place.room.last_batch();
        place.waiting.push(Waiting {
            batch,
            asked,
            deed,
            participant,
        });
    }

    /// One room's changes go to the disk.
    fn write(&mut self) {
        let waiting: Vec<RoomSid> = self
            .places
            .iter()
            .filter(|(_, place)| !place.unwritten.is_empty())
            .map(|(sid, _)| *sid)
            .collect();
        let Some(sid) = self.dice.choice(waiting) else { return };
        let place = self.places.get_mut(&sid).unwrap();
        if self.confirms_early && self.dice.u8(0..4) == 0 {
            let batch = place.unwritten[0].0;
            place.handle(Input::Stored { batch }, self.now, &mut self.clients, &mut self.book);
            return;
        }
        let (batches, changes): (Vec<u64>, Vec<_>) = place.unwritten.drain(..).unzip();
        place.unconfirmed.extend(batches.last());
        let changes = changes.into_iter().flatten().collect();
        let written = self
            .runtime
            .block_on(self.store.write(ACCOUNT, sid, place.epoch, changes));
        written.expect("the store takes what a room decides");
    }

    /// One room is told what is on the disk.
    fn confirm(&mut self) {
        let written: Vec<RoomSid> = self
            .places
            .iter()
            .filter(|(_, place)| !place.unconfirmed.is_empty())
            .map(|(sid, _)| *sid)
            .collect();
        let Some(sid) = self.dice.choice(written) else { return };
        let place = self.places.get_mut(&sid).unwrap();
        let batch = place.unconfirmed.pop_front().unwrap();
        place.handle(Input::Stored { batch }, self.now, &mut self.clients, &mut self.book);
        let done: Vec<Waiting> = place.waiting.extract_if(.., |waiting| waiting.batch <= batch).collect();
        for waiting in done {
            match waiting.participant {
                Some(participant) => self.read_participant(waiting.asked, sid, participant),
                None => self.read_room(waiting.asked, sid),
            }
            self.book.over(waiting.deed);
        }
    }

    /// Some callbacks are sent; not each receiver answers, and not each answer is noted.
    fn callbacks(&mut self) {
        let until = Timestamp(self.schedule.0 + LEASE_US);
        let due = self
            .runtime
            .block_on(self.store.lease_callbacks(self.schedule, until, 4))
            .unwrap();
        for call in due {
            let outcome = match self.dice.u8(0..20) {
                0 => Some(CallbackOutcome::Retry(Timestamp(self.schedule.0 + 1_000_000))),
                1 => None,
                _ => Some(CallbackOutcome::Delivered),
            };
            if !matches!(outcome, Some(CallbackOutcome::Retry(_))) {
                self.book.told(Said::Callback(Callback {
                    room: call.room,
                    sequence: call.sequence,
                    event: call.event,
                    participant: call.participant.map(|(sid, identity)| (sid, identity.into())),
                    track: call.track.map(|(sid, _)| sid),
                    duration_s: call.duration_s,
                }));
            }
            if let Some(outcome) = outcome {
                let record = self.store.record_callback(call.id, self.schedule, Ok(200), outcome);
                self.runtime.block_on(record).unwrap();
            }
        }
    }

    /// The process dies: what was not written is gone. Another one takes over.
    fn restart(&mut self) {
        let death = self.book.begins(Touches::Everything);
        self.book.now.0 += 1;
        // Nothing that was under way can happen any more.
        let pending = self
            .places
            .values()
            .flat_map(|place| place.waiting.iter().map(|waiting| waiting.deed));
        let arriving = self.clients.values_mut().filter_map(|client| client.arriving.take());
        for deed in pending.chain(arriving.map(|(deed, _)| deed)).collect::<Vec<_>>() {
            self.book.over(deed);
        }
        self.places.clear();
        for left in self.runtime.block_on(self.store.take_over(self.now.wall)).unwrap() {
            let wall = self.now.wall;
            let since = |then: Timestamp| Duration::from_micros(u64::try_from(wall.0 - then.0).unwrap_or(0));
            let restored = Restored {
                age: since(left.room.new.at),
                empty_for: left.empty_since.filter(|_| left.was_joined).map(since),
                participants: left
                    .participants
                    .iter()
                    .map(|from| RestoredParticipant {
                        sid: from.row.sid,
                        identity: from.row.identity.clone(),
                        rules: from.rules.clone(),
                        tracks: from.tracks.clone(),
                        stayed: since(from.row.created),
                    })
                    .collect(),
            };
            let config = Self::config((left.room.epoch - 1) << 32, left.room.new.ad_hoc);
            let room = Room::restore(config, restored, self.now);
            self.place(&left.room, room);
        }
        // Who was never let in has no session to come back with.
        self.clients.retain(|_, client| client.is_admitted);
        for client in self.clients.values_mut() {
            client.hears = false;
        }
        self.book.over(death);
    }

    /// Everybody goes, everything is written and told, and the lists are read. The history.
    pub(crate) fn settle(mut self) -> History {
        self.confirms_early = false;
        self.reads_late = false;
        for sid in self.places.keys().copied().collect::<Vec<_>>() {
            self.book.now.0 += 1;
            let deed = self.book.begins(Touches::Room(sid));
            let asked = self.book.now;
            let place = self.places.get_mut(&sid).unwrap();
            place.handle(Input::Complete, self.now, &mut self.clients, &mut self.book);
            self.wait(sid, asked, deed, None);
        }
        while self
            .places
            .values()
            .any(|place| !(place.unwritten.is_empty() && place.unconfirmed.is_empty()))
        {
            self.book.now.0 += 1;
            self.write();
            self.confirm();
        }
        while self.runtime.block_on(self.store.next_callback()).unwrap().is_some() {
            self.book.now.0 += 1;
            self.schedule.0 += 1_000_000;
            self.callbacks();
        }
        self.walks.clear();
        for room in self.rooms.clone() {
            self.book.now.0 += 1;
            self.read_room(self.book.now, room);
            self.numbers += 1;
            let over = Over::Participants(ParticipantsOf {
                room,
                status: ParticipantStatus::Disconnected,
                identity: None,
                created_after_s: None,
                created_before_s: None,
            });
            let number = u64::try_from(self.numbers).unwrap();
            self.walks.push_back(Walk {
                number,
                over,
                size: 100,
                from: None,
            });
            while !self.walks.is_empty() {
                self.book.now.0 += 1;
                self.page();
            }
        }
        self.book.history.settled = true;
        self.book.history
    }
}
