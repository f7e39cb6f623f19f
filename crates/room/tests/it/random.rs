//! Whatever happens in whatever order: rows make sense, nobody hears of what is not stored, and in
//! the end everyone knows what is so.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use room::{
    Announced, AnnouncedTrack, Input, Join, Now, Output, ParticipantSid, ParticipantStatus, Refusal, Room, RoomConfig,
    Rules, SessionHash, TrackSid,
};

use crate::client::{Client, Ear};
use crate::rows::Rows;
use crate::steps::{IDENTITIES, Step, configs, step};
use crate::world::beginning;

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_rows_make_sense_and_everyone_knows_them(
        config in configs(), slow_store in any::<bool>(), steps in vec(step(), 1..=60),
    ) {
        let mut run = Run::new(config, slow_store);
        for step in steps {
            run.step(step);
            if run.rows.completed && run.room.is_none() {
                break;
            }
        }
        run.finish();
    }
}

/// A room, its store and its clients.
struct Run {
    /// `None` once a process died in a room that was over.
    room: Option<Room>,
    config: RoomConfig,
    now: Now,
    slow_store: bool,
    /// All that was asked to be stored.
    rows: Rows,
    /// The rows after each batch of this process, the ones it began with first.
    versions: Vec<Rows>,
    /// How many batches of this process are confirmed.
    stored: usize,
    clients: BTreeMap<ParticipantSid, Client>,
    /// All participants of each identity.
    stays: [Vec<ParticipantSid>; IDENTITIES.len()],
    refusals: VecDeque<(ParticipantSid, Refusal)>,
    has_ended: bool,
    sids: u128,
}

impl Run {
    fn new(config: RoomConfig, slow_store: bool) -> Self {
        let now = beginning();
        let rows = Rows::new(config, now);
        Self {
            room: Some(Room::new(config, now)),
            config,
            now,
            slow_store,
            versions: vec![rows.clone()],
            rows,
            stored: 0,
            clients: BTreeMap::new(),
            stays: Default::default(),
            refusals: VecDeque::new(),
            has_ended: false,
            sids: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Join { who, rules, tracks } => self.join(who, rules, tracks),
            Step::Tracks { who, tracks } => {
                let Some(participant) = self.latest(who) else { return };
                let client = self.clients.get_mut(&participant).unwrap();
                client.change(tracks);
                if client.ear != Ear::Deaf {
                    self.tell_tracks(participant);
                }
            }
            Step::Repeat { who } => {
                let talks = |sid: &ParticipantSid| self.clients[sid].ear != Ear::Deaf;
                if let Some(participant) = self.latest(who).filter(talks) {
                    self.tell_tracks(participant);
                }
            }
            Step::Leave { who } => self.tell(who, |participant| Input::Leave { participant }),
            Step::Lost { who } => {
                self.deafen(who);
                self.tell(who, |participant| Input::SignalingLost { participant });
            }
            Step::Silent { who } => self.deafen(who),
            Step::Resume { who } => self.resume(who),
            Step::Remove { who } => self.tell(who, |participant| Input::Remove { participant }),
            Step::Rules { who, rules } => self.tell(who, |participant| Input::SubscribeRules { participant, rules }),
            Step::MediaFailed { who } => self.tell(who, |participant| Input::MediaFailed { participant }),
            Step::Late { who } => self.late(who),
            Step::Complete => self.handle(Input::Complete),
            Step::Pass { time } => self.pass(time),
            Step::Delay { time } => {
                self.advance(time);
                self.handle(Input::Timeout);
            }
            Step::Calendar { seconds } => self.now.wall.0 += seconds * 1_000_000,
            Step::Confirm { count } => (0..count).for_each(|_| self.confirm()),
            Step::Restart { durable } => self.restart(durable),
        }
    }

    fn join(&mut self, who: usize, rules: Rules, tracks: Vec<AnnouncedTrack>) {
        let participant = ParticipantSid::from_bytes(self.fresh());
        let identity = IDENTITIES[who].to_owned();
        let others = self.rows.live.iter().filter(|row| row.identity != identity).count();
        let refusal = match () {
            () if self.rows.completed => Some(Refusal::RoomCompleted),
            () if others == self.config.max_participants => Some(Refusal::RoomFull),
            () => None,
        };
        self.refusals.extend(refusal.map(|refusal| (participant, refusal)));
        let mut client = Client::new(Announced::default());
        client.change(tracks);
        let announced = client.list(|| fresh_track(&mut self.sids));
        self.clients.insert(participant, client);
        self.stays[who].push(participant);
        self.handle(Input::Join(Join {
            participant,
            identity,
            session: SessionHash([0; 32]),
            rules,
            announced,
        }));
        assert_eq!(
            self.rows.find(participant).is_some(),
            refusal.is_none(),
            "in or refused"
        );
    }

    fn tell_tracks(&mut self, participant: ParticipantSid) {
        let announced = self.clients[&participant].list(|| fresh_track(&mut self.sids));
        self.handle(Input::Tracks { participant, announced });
    }

    fn resume(&mut self, who: usize) {
        let Some(participant) = self.latest(who) else { return };
        let client = self.clients.get_mut(&participant).unwrap();
        // A client has no session to resume before it was admitted.
        if !client.is_admitted {
            return;
        }
        client.ear = Ear::Waiting;
        let announced = client.list(|| fresh_track(&mut self.sids));
        self.handle(Input::Resume { participant, announced });
    }

    fn late(&mut self, who: usize) {
        let Some((_, [.., participant])) = self.stays[who].split_last() else {
            return;
        };
        let participant = *participant;
        let batches = self.versions.len();
        self.tell_tracks(participant);
        let announced = self.clients[&participant].list(|| fresh_track(&mut self.sids));
        self.handle(Input::Resume { participant, announced });
        self.handle(Input::SignalingLost { participant });
        self.handle(Input::Leave { participant });
        let is_in = self.rows.find(participant).is_some();
        assert!(self.versions.len() == batches || is_in, "who is gone changes nothing");
    }

    fn deafen(&mut self, who: usize) {
        if let Some(participant) = self.latest(who) {
            self.clients.get_mut(&participant).unwrap().ear = Ear::Deaf;
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now.mono + time;
        while let Some(deadline) = self.rows.deadline().filter(|deadline| *deadline <= until) {
            self.advance(deadline.saturating_duration_since(self.now.mono));
            self.handle(Input::Timeout);
        }
        self.advance(until - self.now.mono);
    }

    fn advance(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall.0 += i64::try_from(time.as_micros()).unwrap();
    }

    fn confirm(&mut self) {
        if self.stored + 1 < self.versions.len() {
            self.stored += 1;
            let batch = self.stored as u64;
            self.handle(Input::Stored { batch });
        }
    }

    /// Another process takes over what is durable.
    fn restart(&mut self, durable: usize) {
        let durable = (self.stored + durable).min(self.versions.len() - 1);
        self.rows = self.versions.swap_remove(durable);
        self.refusals.clear();
        self.clients.retain(|_, client| client.is_admitted);
        for (sid, client) in &mut self.clients {
            client.ear = Ear::Deaf;
            let is_live = self.rows.find(*sid).is_some();
            assert!(is_live || self.rows.gone.contains_key(sid), "an admitted one has a row");
            assert!(!(is_live && client.is_dismissed), "a dismissed one has a final row");
            // Who is out and was not told finds out when it tries to come back.
            client.is_dismissed = !is_live;
        }
        for stays in &mut self.stays {
            stays.retain(|sid| self.clients.contains_key(sid));
        }
        // A client that was never admitted knows no session: nobody comes back for it.
        for row in &self.rows.live {
            self.clients.entry(row.sid).or_insert_with(|| {
                let mut client = Client::new(Announced::default());
                (client.ear, client.is_admitted) = (Ear::Deaf, true);
                client
            });
        }
        if self.rows.completed {
            self.room = None;
            return;
        }
        assert!(!self.has_ended);
        self.rows.take_over(self.now);
        self.config.first_revision += 1 << 32;
        let mut room = Room::restore(self.config, self.rows.restored(self.now), self.now);
        assert_eq!(room.poll(), None, "a restored room waits for its participants");
        assert_eq!(room.poll_timeout(), self.rows.deadline());
        self.room = Some(room);
        self.versions = vec![self.rows.clone()];
        self.stored = 0;
        for row in &self.rows.live {
            let subscriptions = self.rows.subscriptions(row);
            self.clients.get_mut(&row.sid).unwrap().restart(subscriptions);
        }
    }

    fn tell(&mut self, who: usize, input: impl FnOnce(ParticipantSid) -> Input) {
        if let Some(participant) = self.latest(who) {
            self.handle(input(participant));
        }
    }

    /// Tells the room, applies and hears all it says, and compares it with the rows.
    fn handle(&mut self, input: Input) {
        let Some(mut room) = self.room.take() else { return };
        room.handle(input.clone(), self.now);
        while let Some(output) = room.poll() {
            match output {
                Output::Persist { batch, changes } => {
                    assert_eq!(batch, self.versions.len() as u64, "batches count from 1");
                    self.rows.apply(&changes, &input, self.now);
                    self.versions.push(self.rows.clone());
                }
                effect => self.hear(effect),
            }
        }
        assert_eq!(room.last_batch(), self.versions.len() as u64 - 1);
        assert_eq!(room.len(), self.rows.live.len());
        assert!(self.rows.live.iter().all(|row| room.contains(row.sid)));
        assert_eq!(room.poll_timeout(), self.rows.deadline());
        assert!(
            room.poll_timeout().is_some() || self.rows.completed,
            "a room in progress has a timer"
        );
        if matches!(input, Input::Timeout) {
            assert!(
                room.poll_timeout().is_none_or(|next| next > self.now.mono),
                "a timer fires once"
            );
        }
        self.room = Some(room);
        if self.stored + 1 == self.versions.len() {
            self.agree();
        } else if !self.slow_store {
            self.confirm();
        }
    }

    /// Whenever all is stored, all is told, and everyone knows what is so.
    fn agree(&self) {
        for row in &self.rows.live {
            self.clients[&row.sid].agrees(&self.rows, row);
        }
        assert!(self.refusals.is_empty(), "every refusal is told");
        assert_eq!(self.has_ended, self.rows.completed, "the end is told");
        for sid in self.rows.gone.keys() {
            // None: it came and went before a process died that never admitted it.
            let client = self.clients.get(sid);
            assert!(
                client.is_none_or(|client| client.is_dismissed),
                "everyone who is out is told"
            );
        }
    }

    fn hear(&mut self, effect: Output) {
        assert!(
            !self.has_ended || matches!(effect, Output::Refuse { .. }),
            "after the end: {effect:?}"
        );
        let is_durable = |is_so: &dyn Fn(&Rows) -> bool| {
            assert!(
                self.versions[..=self.stored].iter().any(is_so),
                "told and not stored: {effect:?}"
            );
        };
        match &effect {
            Output::Persist { .. } => unreachable!("handled by the caller"),
            Output::Admit { participant, view } => {
                is_durable(&|rows| rows.shows(*participant, view));
                self.client(*participant).admitted(view);
            }
            Output::Welcome { participant, view } => {
                is_durable(&|rows| rows.shows(*participant, view));
                self.client(*participant).welcomed(view);
            }
            Output::Refuse { participant, refusal } => {
                assert_eq!(self.refusals.pop_front(), Some((*participant, *refusal)));
            }
            Output::TellParticipant { to, about } => {
                let sid = about.sid;
                is_durable(&|rows| {
                    let row = rows.find(sid).or(rows.gone.get(&sid));
                    let hearer = rows.find(*to);
                    row.is_some_and(|row| row.is_seen_as(about))
                        && hearer.is_some_and(|hearer| hearer.status == ParticipantStatus::Connected)
                });
                assert_ne!(*to, sid);
                self.client(*to).told_of(about);
            }
            Output::TellPublished { to, published } => {
                is_durable(&|rows| rows.find(*to).is_some_and(|row| row.is_published_as(&published.ready)));
                self.client(*to).told_published(published);
            }
            Output::Subscribe { participant, tracks } => {
                let sid = *participant;
                is_durable(&|rows| rows.find(sid).is_some_and(|row| rows.subscriptions(row) == *tracks));
                self.client(sid).subscribed(tracks);
            }
            Output::Dismiss { participant, reason } => {
                let sid = *participant;
                is_durable(&|rows| rows.gone.get(&sid).is_some_and(|row| row.reason == Some(*reason)));
                let client = self.client(sid);
                assert!(client.is_admitted && !client.is_dismissed);
                client.is_dismissed = true;
            }
            Output::Ended => {
                is_durable(&|rows| rows.completed);
                self.has_ended = true;
            }
        }
    }

    /// The store catches up.
    fn finish(mut self) {
        while self.room.is_some() && self.stored + 1 < self.versions.len() {
            self.confirm();
        }
    }

    fn latest(&self, who: usize) -> Option<ParticipantSid> {
        self.stays[who].last().copied()
    }

    fn client(&mut self, participant: ParticipantSid) -> &mut Client {
        self.clients.get_mut(&participant).unwrap()
    }

    fn fresh(&mut self) -> [u8; 16] {
        self.sids += 1;
        self.sids.to_be_bytes()
    }
}

fn fresh_track(sids: &mut u128) -> TrackSid {
    *sids += 1;
    TrackSid::from_bytes(sids.to_be_bytes())
}
