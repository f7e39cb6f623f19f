//! A room with a clock that stands still, a store that confirms when told to, and an ear for all it says.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use room::{
    Announced, AnnouncedTrack, Change, Input, Join, Now, Output, ParticipantSid, ParticipantView, Priority, Published,
    Restored, Room, RoomConfig, Rules, SessionHash, Subscription, Timestamp, Track, TrackKind, TrackSid, View,
};

/// The calendar's time when a world begins.
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000_000);

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// A room made by REST, for four.
pub(crate) fn config() -> RoomConfig {
    RoomConfig {
        max_participants: 4,
        max_participant_duration: minutes(240),
        unused_timeout: minutes(5),
        empty_timeout: minutes(5),
        max_age: None,
        audio_only: false,
        ad_hoc: false,
        session_timeout: seconds(30),
        first_revision: 0,
    }
}

pub(crate) fn ad_hoc() -> RoomConfig {
    RoomConfig {
        ad_hoc: true,
        ..config()
    }
}

/// The moment zero of every world: the only look at a clock, and its value does not matter.
#[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
pub(crate) fn beginning() -> Now {
    Now {
        mono: Instant::now(),
        wall: START,
    }
}

/// A track in a client's list; media id and name are the same word, the SID is given when it is told.
pub(crate) fn listed(kind: TrackKind, media_id: &str) -> AnnouncedTrack {
    AnnouncedTrack {
        media_id: media_id.to_owned(),
        kind,
        name: media_id.to_owned(),
        enabled: true,
        priority: Priority::Standard,
        has_codec: true,
        fresh: TrackSid::from_bytes([0; 16]),
    }
}

pub(crate) fn audio(media_id: &str) -> AnnouncedTrack {
    listed(TrackKind::Audio, media_id)
}

pub(crate) fn video(media_id: &str) -> AnnouncedTrack {
    listed(TrackKind::Video, media_id)
}

pub(crate) fn data(media_id: &str) -> AnnouncedTrack {
    listed(TrackKind::Data, media_id)
}

pub(crate) fn muted(track: AnnouncedTrack) -> AnnouncedTrack {
    AnnouncedTrack {
        enabled: false,
        ..track
    }
}

pub(crate) fn named(name: &str, track: AnnouncedTrack) -> AnnouncedTrack {
    AnnouncedTrack {
        name: name.to_owned(),
        ..track
    }
}

pub(crate) fn ranked(priority: Priority, track: AnnouncedTrack) -> AnnouncedTrack {
    AnnouncedTrack { priority, ..track }
}

/// A published track, for rooms that are restored.
pub(crate) fn published(number: u8, from: AnnouncedTrack) -> Track {
    Track {
        sid: TrackSid::from_bytes([number; 16]),
        media_id: from.media_id,
        kind: from.kind,
        name: from.name,
        enabled: from.enabled,
        priority: from.priority,
    }
}

/// Runs one room and writes down what it says, one line for each output.
pub(crate) struct World {
    pub(crate) room: Room,
    pub(crate) now: Now,
    /// What was asked for and not confirmed, if the store is slow; else every batch is confirmed at once.
    slow_store: Option<VecDeque<u64>>,
    said: Vec<String>,
    /// Short names of participants: the identity, with a number from the second stay on.
    names: BTreeMap<ParticipantSid, String>,
    stays: BTreeMap<String, usize>,
    revisions: BTreeMap<ParticipantSid, u64>,
    sids: u128,
}

impl World {
    pub(crate) fn new(config: RoomConfig) -> Self {
        let now = beginning();
        Self::with(Room::new(config, now), now)
    }

    /// A room with a past; its participants go by their identities.
    pub(crate) fn restored(config: RoomConfig, restored: Restored) -> Self {
        let now = beginning();
        let names: Vec<_> = restored
            .participants
            .iter()
            .map(|from| (from.sid, from.identity.clone()))
            .collect();
        let mut world = Self::with(Room::restore(config, restored, now), now);
        for (sid, identity) in names {
            world.name(sid, &identity);
        }
        world
    }

    fn with(room: Room, now: Now) -> Self {
        Self {
            room,
            now,
            slow_store: None,
            said: Vec::new(),
            names: BTreeMap::new(),
            stays: BTreeMap::new(),
            revisions: BTreeMap::new(),
            sids: 1 << 64,
        }
    }

    /// A client with these tracks wants in.
    pub(crate) fn join<const N: usize>(&mut self, identity: &str, tracks: [AnnouncedTrack; N]) -> ParticipantSid {
        self.join_and(Rules::everything(), identity, tracks)
    }

    /// The same, with these rules.
    pub(crate) fn join_and<const N: usize>(
        &mut self,
        rules: Rules,
        identity: &str,
        tracks: [AnnouncedTrack; N],
    ) -> ParticipantSid {
        let participant = ParticipantSid::from_bytes(self.fresh());
        self.name(participant, identity);
        self.revisions.insert(participant, 1);
        let announced = self.announced(1, tracks.into());
        self.tell(Input::Join(Join {
            participant,
            identity: identity.to_owned(),
            session: SessionHash([0; 32]),
            rules,
            announced,
        }));
        participant
    }

    /// A client tells a new list of its tracks.
    pub(crate) fn tracks(&mut self, participant: ParticipantSid, tracks: impl Into<Vec<AnnouncedTrack>>) {
        let revision = self.revisions[&participant] + 1;
        self.tracks_at(revision, participant, tracks);
    }

    /// A client tells a list of its tracks with the revision given.
    pub(crate) fn tracks_at(
        &mut self,
        revision: u64,
        participant: ParticipantSid,
        tracks: impl Into<Vec<AnnouncedTrack>>,
    ) {
        self.revisions.insert(participant, revision);
        let announced = self.announced(revision, tracks.into());
        self.tell(Input::Tracks { participant, announced });
    }

    pub(crate) fn lose(&mut self, participant: ParticipantSid) {
        self.tell(Input::SignalingLost { participant });
    }

    /// A client is back, its list unchanged in revision.
    pub(crate) fn resume<const N: usize>(&mut self, participant: ParticipantSid, tracks: [AnnouncedTrack; N]) {
        let revision = self.revisions.get(&participant).copied().unwrap_or(1);
        self.revisions.insert(participant, revision);
        let announced = self.announced(revision, tracks.into());
        self.tell(Input::Resume { participant, announced });
    }

    /// The API replaces a participant's rules.
    pub(crate) fn rules(&mut self, participant: ParticipantSid, rules: Rules) {
        self.tell(Input::SubscribeRules { participant, rules });
    }

    pub(crate) fn leave(&mut self, participant: ParticipantSid) {
        self.tell(Input::Leave { participant });
    }

    /// Tells the room one thing, and does what it says until it is silent.
    pub(crate) fn tell(&mut self, input: Input) {
        self.room.handle(input, self.now);
        self.listen();
    }

    /// Time passes; the room's timer fires whenever it is due.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now.mono + time;
        while let Some(deadline) = self.room.poll_timeout().filter(|deadline| *deadline <= until) {
            self.step(deadline.saturating_duration_since(self.now.mono));
            self.tell(Input::Timeout);
            assert!(
                self.room.poll_timeout().is_none_or(|next| next > self.now.mono),
                "a timer that was told of is not due again at once"
            );
        }
        self.step(until - self.now.mono);
    }

    /// Time passes and nobody tells the room.
    pub(crate) fn step(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall.0 += i64::try_from(time.as_micros()).unwrap();
    }

    /// From now on the store confirms only when [`Self::confirm`] says so.
    pub(crate) fn slow_store(&mut self) {
        self.slow_store = Some(VecDeque::new());
    }

    /// The slow store confirms its oldest batch.
    pub(crate) fn confirm(&mut self) {
        let batch = self.slow_store.as_mut().and_then(VecDeque::pop_front).unwrap();
        self.tell(Input::Stored { batch });
    }

    /// Compares what the room said since the last check, line by line.
    #[track_caller]
    pub(crate) fn check(&mut self, expected: &[&str]) {
        let said = std::mem::take(&mut self.said);
        assert_eq!(said, expected, "left: what the room said");
    }

    /// What was said until now is another test's affair.
    pub(crate) fn skip(&mut self) {
        self.said.clear();
    }

    fn listen(&mut self) {
        while let Some(output) = self.room.poll() {
            self.said.push(self.line(&output));
            if let Output::Persist { batch, .. } = output {
                match &mut self.slow_store {
                    Some(waiting) => waiting.push_back(batch),
                    None => self.room.handle(Input::Stored { batch }, self.now),
                }
            }
        }
    }

    fn name(&mut self, participant: ParticipantSid, identity: &str) {
        let stay = self.stays.entry(identity.to_owned()).or_default();
        *stay += 1;
        let name = if *stay == 1 {
            identity.to_owned()
        } else {
            format!("{identity}#{stay}")
        };
        self.names.insert(participant, name);
    }

    fn fresh(&mut self) -> [u8; 16] {
        self.sids += 1;
        self.sids.to_be_bytes()
    }

    fn announced(&mut self, revision: u64, mut tracks: Vec<AnnouncedTrack>) -> Announced {
        for track in &mut tracks {
            track.fresh = TrackSid::from_bytes(self.fresh());
        }
        Announced { revision, tracks }
    }

    fn who(&self, participant: ParticipantSid) -> &str {
        &self.names[&participant]
    }

    fn line(&self, output: &Output) -> String {
        match output {
            Output::Persist { batch, changes } => {
                format!("persist {batch}: {}", list(changes, |change| self.change(change)))
            }
            Output::Admit { participant, view } => format!("admit {}: {}", self.who(*participant), self.view(view)),
            Output::Refuse { participant, refusal } => format!("refuse {}: {refusal:?}", self.who(*participant)),
            Output::Welcome { participant, view } => format!("welcome {}: {}", self.who(*participant), self.view(view)),
            Output::TellParticipant { to, about } => format!("tell {}: {}", self.who(*to), self.participant(about)),
            Output::TellPublished { to, published } => format!("tell {}: {}", self.who(*to), state(published)),
            Output::Subscribe { participant, tracks } => {
                format!("subscribe {}: [{}]", self.who(*participant), self.subscriptions(tracks))
            }
            Output::Dismiss { participant, reason } => format!("dismiss {}: {reason:?}", self.who(*participant)),
            Output::Ended => "ended".to_owned(),
        }
    }

    fn change(&self, change: &Change) -> String {
        match change {
            Change::ParticipantConnected { participant, .. } => format!("{} connects", self.who(*participant)),
            Change::ParticipantReconnecting { participant, .. } => format!("{} is lost", self.who(*participant)),
            Change::ParticipantResumed { participant, .. } => format!("{} is back", self.who(*participant)),
            Change::ParticipantDisconnected {
                participant,
                duration_s,
                ..
            } => format!("{} is gone after {duration_s} s", self.who(*participant)),
            Change::SubscribeRules { participant, .. } => format!("{} gets rules", self.who(*participant)),
            Change::TrackPublished { participant, track, .. } => {
                format!("{} publishes {}", self.who(*participant), track_words(track))
            }
            Change::TrackEnabled {
                participant, enabled, ..
            } => format!(
                "{} {}",
                self.who(*participant),
                if *enabled { "unmutes" } else { "mutes" }
            ),
            Change::TrackPriority {
                participant, priority, ..
            } => format!("{} ranks {}", self.who(*participant), priority.as_str()),
            Change::TrackUnpublished { participant, .. } => format!("{} unpublishes", self.who(*participant)),
            Change::ParticipantAnonymized { participant } => format!("{} is anonymized", self.who(*participant)),
            Change::RoomCompleted { duration_s, .. } => format!("room over after {duration_s} s"),
        }
    }

    fn view(&self, view: &View) -> String {
        format!(
            "others [{}], {}, receives [{}]",
            list(&view.others, |other| self.participant(other)),
            state(&view.published),
            self.subscriptions(&view.subscriptions)
        )
    }

    fn participant(&self, about: &ParticipantView) -> String {
        assert!(
            self.who(about.sid).starts_with(&about.identity) || about.identity == about.sid.to_string(),
            "the SID's own identity"
        );
        let tracks = list(&about.tracks, track_words);
        let status = about.status.as_str();
        let anonymous = if about.identity == about.sid.to_string() {
            " (anonymous)"
        } else {
            ""
        };
        format!(
            "{}@{}{anonymous} {status} [{tracks}]",
            self.who(about.sid),
            about.revision
        )
    }

    fn subscriptions(&self, tracks: &[Subscription]) -> String {
        list(tracks, |track| {
            format!("{}/{}", self.who(track.publisher), track.media_id)
        })
    }
}

fn state(published: &Published) -> String {
    let ready = list(&published.ready, |(media_id, _)| media_id.clone());
    let failed = list(&published.failed, |(media_id, fault)| {
        format!(", {} {fault:?}", if media_id.len() > 9 { "long" } else { media_id })
    });
    format!("published@{} [{ready}]{failed}", published.revision)
}

fn track_words(track: &Track) -> String {
    let mut words = track.media_id.clone();
    if track.name != track.media_id {
        words += &format!("={}", track.name);
    }
    if !track.enabled {
        words += " muted";
    }
    if track.priority != Priority::Standard {
        words += &format!(" {}", track.priority.as_str());
    }
    words
}

fn list<T>(items: &[T], words: impl Fn(&T) -> String) -> String {
    items.iter().map(words).collect::<Vec<_>>().join(", ")
}
