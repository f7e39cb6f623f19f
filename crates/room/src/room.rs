//! The room: `handle` one input, then `poll` until `None`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::input::{Announced, Input, Join, Now};
use crate::output::{Dismissal, Output, ParticipantView, Refusal, TrackFault, View};
use crate::participant::{Participant, Presence};
use crate::{Change, ParticipantSid, ParticipantStatus, Rules, Track, TrackSid, limits};

/// What a room is made with; fixed for its life. A timeout longer than
/// [`crate::limits::WAIT_MAX`] counts as that.
#[derive(Debug, Clone, Copy)]
pub struct RoomConfig {
    /// Participants at once, reconnecting ones included.
    pub max_participants: usize,
    /// How long one may stay, time lost included.
    pub max_participant_duration: Duration,
    /// How long the room waits for the first one (rest.md section 8.6).
    pub unused_timeout: Duration,
    /// How long it stays after the last one left (rest.md section 8.6).
    pub empty_timeout: Duration,
    /// How long the room may live, time before this process included; then it is completed. `None`: as long as it likes.
    pub max_age: Option<Duration>,
    /// Video tracks are refused.
    pub audio_only: bool,
    /// Made by a joining client: ends when the last one leaves, whatever `empty_timeout` says.
    pub ad_hoc: bool,
    /// How long a lost participant may come back.
    pub session_timeout: Duration,
    /// Revisions of everything begin after this one: 0, or `epoch << 32` after a restart, since
    /// clients ignore revisions that are not higher than the last they saw.
    pub first_revision: u64,
}

/// How much of a room's life lies before this process.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// Age of the room.
    pub age: Duration,
    /// For how long it has been empty, if it was joined and is empty.
    pub empty_for: Option<Duration>,
    /// Everyone who may come back, oldest first.
    pub participants: Vec<RestoredParticipant>,
}

/// A participant that was there when the last process ended.
#[derive(Debug, Clone)]
pub struct RestoredParticipant {
    /// `PA…`
    pub sid: ParticipantSid,
    /// From its token.
    pub identity: String,
    /// As they were last.
    pub rules: Rules,
    /// Its tracks, oldest first.
    pub tracks: Vec<Track>,
    /// How long it has been there.
    pub stayed: Duration,
}

/// A room that somebody may join.
#[derive(Debug)]
enum Vacancy {
    /// Nobody came yet.
    Unused { deadline: Instant },
    /// Somebody is there.
    Occupied,
    /// Everybody left.
    Empty { deadline: Instant },
}

#[derive(Debug)]
enum Phase {
    InProgress(Vacancy),
    Completed,
}

/// One room. See the crate's page for the loop.
#[derive(Debug)]
pub struct Room {
    config: RoomConfig,
    phase: Phase,
    /// In order of arrival.
    participants: Vec<Participant>,
    /// How many ever arrived.
    arrivals: u64,
    since: Instant,
    age_before: Duration,
    last_batch: u64,
    stored_batch: u64,
    persists: VecDeque<Output>,
    /// What waits for the batch given to be durable.
    effects: VecDeque<(u64, Output)>,
}

impl Room {
    /// A room that was just created.
    pub fn new(config: RoomConfig, now: Now) -> Self {
        Self::restore(config, Restored::default(), now)
    }

    /// A room that an earlier process left: everyone in it is reconnecting from now on, for at most
    /// the session timeout. What became due meanwhile is due at once. Asks for no changes itself.
    pub fn restore(config: RoomConfig, restored: Restored, now: Now) -> Self {
        let deadline = after(now.mono, config.session_timeout);
        let participants: Vec<Participant> = (1..)
            .zip(restored.participants)
            .map(|(arrival, from)| {
                let mut participant =
                    Participant::new(from.sid, from.identity, from.rules, now.mono, config.first_revision);
                participant.presence = Presence::Reconnecting { deadline };
                participant.arrival = arrival;
                participant.tracks = from.tracks;
                participant.stayed_before = from.stayed;
                participant
            })
            .collect();
        let vacancy = match (participants.is_empty(), restored.empty_for) {
            (false, _) => Vacancy::Occupied,
            (true, Some(empty_for)) => Vacancy::Empty {
                deadline: after(now.mono, empty_timeout(&config).saturating_sub(empty_for)),
            },
            (true, None) => Vacancy::Unused {
                deadline: after(now.mono, config.unused_timeout.saturating_sub(restored.age)),
            },
        };
        let mut room = Self {
            config,
            phase: Phase::InProgress(vacancy),
            arrivals: participants.len() as u64,
            participants,
            since: now.mono,
            age_before: restored.age,
            last_batch: 0,
            stored_batch: 0,
            persists: VecDeque::new(),
            effects: VecDeque::new(),
        };
        for subscriber in 0..room.participants.len() {
            room.consider_all(subscriber);
            // Its welcome says it.
            room.participants[subscriber].new_subscriptions();
        }
        room
    }

    /// Tells the room one thing. What names a participant that is not in the room does nothing.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Join(join) => self.join(join, now),
            Input::Tracks { participant, announced } => self.announce(participant, announced, now),
            Input::Leave { participant } => self.dismiss(participant, Dismissal::Left, now),
            Input::SignalingLost { participant } => self.signaling_lost(participant, now),
            Input::Resume { participant, announced } => self.resume(participant, announced, now),
            Input::Remove { participant } => self.dismiss(participant, Dismissal::Removed, now),
            Input::Anonymize { participant, identity } => self.anonymize(participant, &identity, now),
            Input::SubscribeRules { participant, rules } => self.replace_rules(participant, rules, now),
            Input::MediaFailed { participant } => self.dismiss(participant, Dismissal::MediaFailed, now),
            Input::Complete => self.complete(now),
            // Not beyond what was asked for: a wrong number must not open the barrier for later batches.
            Input::Stored { batch } => self.stored_batch = self.stored_batch.max(batch.min(self.last_batch)),
            Input::Timeout => self.expire(now),
        }
    }

    /// The next thing to do; `None` until the next [`Room::handle`].
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(persist) = self.persists.pop_front() {
            return Some(persist);
        }
        self.effects
            .pop_front_if(|(after, _)| *after <= self.stored_batch)
            .map(|(_, output)| output)
    }

    /// When [`Input::Timeout`] is due, at the latest. `None` only when the room is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let vacancy = match &self.phase {
            Phase::Completed => return None,
            Phase::InProgress(Vacancy::Unused { deadline } | Vacancy::Empty { deadline }) => Some(*deadline),
            Phase::InProgress(Vacancy::Occupied) => None,
        };
        self.participants
            .iter()
            .map(|participant| self.deadline(participant).0)
            .chain(vacancy)
            .chain(self.end_of_life())
            .min()
    }

    /// Number of the last batch that was asked to be made durable; 0 before the first.
    pub fn last_batch(&self) -> u64 {
        self.last_batch
    }

    /// Whether the participant is in the room, connected or reconnecting.
    pub fn contains(&self, participant: ParticipantSid) -> bool {
        self.index(participant).is_some()
    }

    /// What a participant is to receive, whether or not that is stored yet; nothing if it is not in the room.
    pub fn subscriptions(&self, participant: ParticipantSid) -> Vec<TrackSid> {
        let index = self.index(participant);
        index.map_or_else(Vec::new, |index| self.participants[index].subscribed_tracks())
    }

    /// Whether the room is over.
    pub fn is_completed(&self) -> bool {
        matches!(self.phase, Phase::Completed)
    }

    /// How many are in the room.
    pub fn len(&self) -> usize {
        self.participants.len()
    }

    /// Whether nobody is in the room.
    pub fn is_empty(&self) -> bool {
        self.participants.is_empty()
    }

    fn join(&mut self, join: Join, now: Now) {
        let refusal = match self.phase {
            Phase::Completed => Some(Refusal::RoomCompleted),
            Phase::InProgress(_) => {
                let others = self
                    .participants
                    .iter()
                    .filter(|other| other.identity != join.identity)
                    .count();
                (others >= self.config.max_participants).then_some(Refusal::RoomFull)
            }
        };
        if let Some(refusal) = refusal {
            self.effect(Output::Refuse {
                participant: join.participant,
                refusal,
            });
            return;
        }
        let mut changes = Vec::new();
        let older = self
            .participants
            .iter()
            .position(|other| other.identity == join.identity);
        let older = older.map(|index| self.take_out(index, now, &mut changes));
        changes.push(Change::ParticipantConnected {
            participant: join.participant,
            identity: join.identity.clone(),
            session: join.session,
            rules: join.rules.clone(),
            at: now.wall,
        });
        let mut newcomer = Participant::new(
            join.participant,
            join.identity,
            join.rules,
            now.mono,
            self.config.first_revision,
        );
        self.arrivals += 1;
        newcomer.arrival = self.arrivals;
        let tracks = newcomer.announce(join.announced, self.config.audio_only, now);
        changes.extend(tracks.changes);
        self.phase = Phase::InProgress(Vacancy::Occupied);
        self.participants.push(newcomer);
        self.persist(changes);
        if let Some(gone) = older {
            self.effect(Output::Dismiss {
                participant: gone.sid,
                reason: Dismissal::DuplicateIdentity,
            });
            self.tell_others(join.participant, &gone);
        }
        let index = self.participants.len() - 1;
        self.consider_all(index);
        self.participants[index].new_subscriptions();
        let view = self.view(index, tracks.failed);
        self.effect(Output::Admit {
            participant: join.participant,
            view,
        });
        let newcomer = self.participants[index].view();
        self.tell_others(join.participant, &newcomer);
        self.reconsider(index);
    }

    fn announce(&mut self, participant: ParticipantSid, announced: Announced, now: Now) {
        let Some(index) = self.index(participant) else { return };
        let tracks = self.participants[index].announce(announced, self.config.audio_only, now);
        if tracks.changes.is_empty() && tracks.failed.is_empty() {
            return;
        }
        self.participants[index].published_revision += 1;
        // What was only refused is no business of the others.
        let is_news = !tracks.changes.is_empty();
        if is_news {
            self.participants[index].revision += 1;
            self.persist(tracks.changes);
        }
        let published = self.participants[index].published(tracks.failed);
        self.effect(Output::TellPublished {
            to: participant,
            published,
        });
        if is_news {
            let view = self.participants[index].view();
            self.tell_others(participant, &view);
            self.reconsider(index);
        }
    }

    fn signaling_lost(&mut self, participant: ParticipantSid, now: Now) {
        let Some(index) = self.index(participant) else { return };
        if self.participants[index].presence != Presence::Connected {
            return;
        }
        self.participants[index].presence = Presence::Reconnecting {
            deadline: after(now.mono, self.config.session_timeout),
        };
        self.participants[index].revision += 1;
        self.persist(vec![Change::ParticipantReconnecting {
            participant,
            at: now.wall,
        }]);
        let view = self.participants[index].view();
        self.tell_others(participant, &view);
    }

    fn resume(&mut self, participant: ParticipantSid, announced: Announced, now: Now) {
        let Some(index) = self.index(participant) else { return };
        let mut changes = Vec::new();
        let here = &mut self.participants[index];
        if here.presence != Presence::Connected {
            here.presence = Presence::Connected;
            changes.push(Change::ParticipantResumed {
                participant,
                at: now.wall,
            });
        }
        let tracks = here.announce(announced, self.config.audio_only, now);
        changes.extend(tracks.changes);
        if !tracks.failed.is_empty() || !changes.is_empty() {
            here.published_revision += 1;
        }
        let is_news = !changes.is_empty();
        if is_news {
            here.revision += 1;
            self.persist(changes);
        }
        let failed = self.participants[index].refused_and(tracks.failed);
        let view = self.view(index, failed);
        // The answer to an earlier resume has lost its socket, and would tell this one what is no more.
        self.effects.retain(
            |(_, effect)| !matches!(effect, Output::Welcome { participant: earlier, .. } if *earlier == participant),
        );
        self.effect(Output::Welcome { participant, view });
        if is_news {
            let view = self.participants[index].view();
            self.tell_others(participant, &view);
            self.reconsider(index);
        }
    }

    /// The others see nothing of it. A repeat is remembered, and changes nothing that anybody receives.
    fn replace_rules(&mut self, participant: ParticipantSid, rules: Rules, now: Now) {
        let Some(index) = self.index(participant) else { return };
        self.participants[index].rules = rules.clone();
        self.persist(vec![Change::SubscribeRules {
            participant,
            rules,
            at: now.wall,
        }]);
        self.consider_all(index);
        self.resubscribe();
    }

    /// Takes one participant out, for any reason but a duplicate or the end of the room.
    fn dismiss(&mut self, participant: ParticipantSid, reason: Dismissal, now: Now) {
        let Some(index) = self.index(participant) else { return };
        let mut changes = Vec::new();
        let gone = self.take_out(index, now, &mut changes);
        let ends = self.participants.is_empty() && self.config.ad_hoc;
        if self.participants.is_empty() {
            self.phase = if ends {
                changes.push(self.completed(now));
                Phase::Completed
            } else {
                Phase::InProgress(Vacancy::Empty {
                    deadline: after(now.mono, self.config.empty_timeout),
                })
            };
        }
        self.persist(changes);
        self.effect(Output::Dismiss { participant, reason });
        self.tell_others(participant, &gone);
        self.resubscribe();
        if ends {
            self.effect(Output::Ended);
        }
    }

    fn complete(&mut self, now: Now) {
        if matches!(self.phase, Phase::Completed) {
            return;
        }
        let mut changes = Vec::new();
        let mut dismissed = Vec::new();
        while !self.participants.is_empty() {
            dismissed.push(self.take_out(0, now, &mut changes).sid);
        }
        changes.push(self.completed(now));
        self.phase = Phase::Completed;
        self.persist(changes);
        for participant in dismissed {
            self.effect(Output::Dismiss {
                participant,
                reason: Dismissal::RoomCompleted,
            });
        }
        self.effect(Output::Ended);
    }

    /// Whoever bears the SID as its identity gives way to the one whose SID it is, as to a newcomer.
    fn anonymize(&mut self, participant: ParticipantSid, old: &str, now: Now) {
        if matches!(self.phase, Phase::Completed) {
            return;
        }
        let identity = participant.to_string();
        let mut changes = Vec::new();
        let mut squatter = None;
        if let Some(index) = self.index(participant) {
            if self.participants[index].identity == identity {
                return;
            }
            let other = self.participants.iter().position(|other| other.identity == identity);
            squatter = other.map(|other| self.take_out(other, now, &mut changes));
        }
        // One who is gone is only in the rows.
        changes.push(Change::ParticipantAnonymized { participant });
        self.persist(changes);
        if let Some(index) = self.index(participant) {
            self.participants[index].identity = identity;
        }
        self.rename_in_rules(old, participant);
        if let Some(gone) = squatter {
            self.effect(Output::Dismiss {
                participant: gone.sid,
                reason: Dismissal::DuplicateIdentity,
            });
            self.tell_others(gone.sid, &gone);
            self.resubscribe();
        }
    }

    /// Puts the SID in the place of an identity that nobody here bears any more, in everyone's rules. What they select
    /// stays the same, so nobody is told.
    fn rename_in_rules(&mut self, old: &str, participant: ParticipantSid) {
        if self.participants.iter().any(|here| here.identity == old) {
            return;
        }
        for here in &mut self.participants {
            if let Some(rules) = here.rules.with_publisher_renamed(old, participant) {
                here.rules = rules;
            }
        }
    }

    fn expire(&mut self, now: Now) {
        if self.end_of_life().is_some_and(|deadline| deadline <= now.mono) {
            self.complete(now);
            return;
        }
        if let Phase::InProgress(Vacancy::Unused { deadline } | Vacancy::Empty { deadline }) = self.phase
            && deadline <= now.mono
        {
            self.complete(now);
            return;
        }
        let due: Vec<(ParticipantSid, Dismissal)> = self
            .participants
            .iter()
            .map(|participant| (participant.sid, self.deadline(participant)))
            .filter(|(_, (deadline, _))| *deadline <= now.mono)
            .map(|(sid, (_, reason))| (sid, reason))
            .collect();
        for (participant, reason) in due {
            self.dismiss(participant, reason, now);
        }
    }

    /// When the room is completed whoever is in it; `None` if never.
    fn end_of_life(&self) -> Option<Instant> {
        let max_age = self.config.max_age?;
        Some(after(self.since, max_age.saturating_sub(self.age_before)))
    }

    /// When this participant is out if nothing happens, and why.
    fn deadline(&self, participant: &Participant) -> (Instant, Dismissal) {
        let left = self
            .config
            .max_participant_duration
            .saturating_sub(participant.stayed_before);
        let limit = (after(participant.since, left), Dismissal::TimeLimit);
        match participant.presence {
            Presence::Reconnecting { deadline } if deadline < limit.0 => (deadline, Dismissal::SessionLost),
            Presence::Reconnecting { .. } | Presence::Connected => limit,
        }
    }

    /// Removes a participant from the state; its view is what the others are told.
    fn take_out(&mut self, index: usize, now: Now, changes: &mut Vec<Change>) -> ParticipantView {
        let mut gone = self.participants.remove(index);
        for other in &mut self.participants {
            other.forget(gone.arrival);
        }
        gone.revision += 1;
        let view = ParticipantView {
            status: ParticipantStatus::Disconnected,
            ..gone.view()
        };
        changes.extend(gone.unpublish(|_| true, now.wall));
        changes.push(Change::ParticipantDisconnected {
            participant: gone.sid,
            at: now.wall,
            duration_s: gone.stay(now.mono).as_secs(),
        });
        view
    }

    fn completed(&self, now: Now) -> Change {
        let life = self
            .age_before
            .saturating_add(now.mono.saturating_duration_since(self.since));
        Change::RoomCompleted {
            at: now.wall,
            duration_s: life.as_secs(),
        }
    }

    fn view(&self, index: usize, failed: Vec<(String, TrackFault)>) -> View {
        let participant = &self.participants[index];
        View {
            others: self
                .participants
                .iter()
                .filter(|other| other.sid != participant.sid)
                .map(Participant::view)
                .collect(),
            published: participant.published(failed),
            subscriptions: participant.subscriptions(),
        }
    }

    /// Applies a participant's rules to what everyone else publishes: for who comes in, and for new rules.
    fn consider_all(&mut self, subscriber: usize) {
        let (before, rest) = self.participants.split_at_mut(subscriber);
        let Some((subscriber, after)) = rest.split_first_mut() else {
            return;
        };
        for publisher in before.iter().chain(after.iter()) {
            subscriber.consider(publisher);
        }
    }

    /// Applies everyone's rules to what one participant publishes, since that changed, and says whose subscriptions did.
    fn reconsider(&mut self, publisher: usize) {
        let (before, rest) = self.participants.split_at_mut(publisher);
        if let Some((publisher, after)) = rest.split_first_mut() {
            for subscriber in before.iter_mut().chain(after) {
                subscriber.consider(publisher);
            }
        }
        self.resubscribe();
    }

    /// Tells what everyone is to receive, where that differs from what was said last.
    fn resubscribe(&mut self) {
        for index in 0..self.participants.len() {
            let participant = &mut self.participants[index];
            if let Some(tracks) = participant.new_subscriptions() {
                let output = Output::Subscribe {
                    participant: participant.sid,
                    tracks,
                };
                self.effect(output);
            }
        }
    }

    /// Tells all connected ones but `except`; who is reconnecting sees everything when it is back.
    fn tell_others(&mut self, except: ParticipantSid, about: &ParticipantView) {
        let whom: Vec<ParticipantSid> = self
            .participants
            .iter()
            .filter(|other| other.sid != except && other.sid != about.sid && other.presence == Presence::Connected)
            .map(|other| other.sid)
            .collect();
        for to in whom {
            self.effect(Output::TellParticipant {
                to,
                about: about.clone(),
            });
        }
    }

    fn index(&self, participant: ParticipantSid) -> Option<usize> {
        self.participants.iter().position(|here| here.sid == participant)
    }

    fn persist(&mut self, changes: Vec<Change>) {
        self.last_batch += 1;
        self.persists.push_back(Output::Persist {
            batch: self.last_batch,
            changes,
        });
    }

    fn effect(&mut self, output: Output) {
        self.effects.push_back((self.last_batch, output));
    }
}

/// A deadline; what is too far away for the clock is brought near enough.
fn after(start: Instant, wait: Duration) -> Instant {
    start + wait.min(limits::WAIT_MAX)
}

fn empty_timeout(config: &RoomConfig) -> Duration {
    if config.ad_hoc {
        Duration::ZERO
    } else {
        config.empty_timeout
    }
}
