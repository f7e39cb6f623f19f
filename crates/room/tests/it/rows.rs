//! What a store would hold after a room's changes; it refuses any that make no sense.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use room::{
    Change, Dismissal, Input, Now, ParticipantSid, ParticipantStatus, ParticipantView, Restored, RestoredParticipant,
    RoomConfig, Rules, Subscription, Timestamp, Track, TrackKind, TrackSid, View, limits,
};

use crate::rules::select_by_the_book;

/// The rows of one room, and what follows from them.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    config: RoomConfig,
    began: Instant,
    /// When the present process took over: what was due before is due then.
    taken_over: Instant,
    /// When the last one left; `None` before the first came and while somebody is there.
    emptied: Option<Instant>,
    /// In order of arrival.
    pub(crate) live: Vec<Row>,
    pub(crate) gone: BTreeMap<ParticipantSid, Row>,
    pub(crate) completed: bool,
    tracks_ever: BTreeSet<TrackSid>,
}

/// One participant.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) sid: ParticipantSid,
    pub(crate) identity: String,
    pub(crate) rules: Rules,
    pub(crate) status: ParticipantStatus,
    /// Of one that is gone: those it had before it went.
    pub(crate) tracks: Vec<Track>,
    /// Why it is gone.
    pub(crate) reason: Option<Dismissal>,
    joined: Instant,
    lost: Option<Instant>,
}

impl Rows {
    pub(crate) fn new(config: RoomConfig, now: Now) -> Self {
        Self {
            config,
            began: now.mono,
            taken_over: now.mono,
            emptied: None,
            live: Vec::new(),
            gone: BTreeMap::new(),
            completed: false,
            tracks_ever: BTreeSet::new(),
        }
    }

    /// Applies one batch, which was caused by this input at this time.
    pub(crate) fn apply(&mut self, changes: &[Change], cause: &Input, now: Now) {
        assert!(!changes.is_empty(), "a batch holds something");
        let before = self.live.clone();
        for change in changes {
            assert!(!self.completed, "completing is the last change: {change:?}");
            self.apply_one(change, &before, cause, now);
            assert!(
                self.live.len() <= self.config.max_participants,
                "capacity holds at every prefix"
            );
        }
        assert!(
            self.completed || !self.config.ad_hoc || !self.live.is_empty(),
            "ad-hoc rooms end when all left"
        );
    }

    fn apply_one(&mut self, change: &Change, before: &[Row], cause: &Input, now: Now) {
        match change {
            Change::ParticipantConnected { participant, at, .. } => {
                assert_eq!(*at, now.wall);
                self.connect(*participant, change, now);
            }
            Change::ParticipantReconnecting { participant, at } => {
                assert_eq!(*at, now.wall);
                let row = self.row(*participant);
                assert_eq!(row.status, ParticipantStatus::Connected);
                row.status = ParticipantStatus::Reconnecting;
                row.lost = Some(now.mono);
            }
            Change::ParticipantResumed { participant, at } => {
                assert_eq!(*at, now.wall);
                let row = self.row(*participant);
                assert_eq!(row.status, ParticipantStatus::Reconnecting);
                row.status = ParticipantStatus::Connected;
                row.lost = None;
            }
            Change::ParticipantDisconnected {
                participant,
                at,
                duration_s,
            } => {
                assert_eq!(*at, now.wall);
                self.disconnect(*participant, *duration_s, before, cause, now);
            }
            Change::SubscribeRules { participant, rules, at } => {
                assert_eq!(*at, now.wall);
                self.row(*participant).rules = rules.clone();
            }
            Change::TrackPublished { participant, track, at } => self.publish(*participant, track, *at, now),
            Change::TrackEnabled {
                participant,
                track,
                enabled,
                at,
            } => {
                assert_eq!(*at, now.wall);
                let track = self.track(*participant, *track);
                assert_ne!(track.enabled, *enabled, "no change");
                assert_ne!(track.kind, TrackKind::Data, "data is never muted");
                track.enabled = *enabled;
            }
            Change::TrackPriority {
                participant,
                track,
                priority,
                at,
            } => {
                assert_eq!(*at, now.wall);
                let track = self.track(*participant, *track);
                assert_ne!(track.priority, *priority, "no change");
                track.priority = *priority;
            }
            Change::TrackUnpublished { participant, track, at } => {
                assert_eq!(*at, now.wall);
                self.track(*participant, *track);
                self.row(*participant).tracks.retain(|here| here.sid != *track);
            }
            Change::ParticipantAnonymized { participant } => {
                let live = self.live.iter_mut().find(|row| row.sid == *participant);
                if let Some(row) = live.or_else(|| self.gone.get_mut(participant)) {
                    row.identity = participant.to_string();
                }
            }
            Change::RoomCompleted { at, duration_s } => {
                assert_eq!(*at, now.wall);
                let is_due = self.deadline().is_some_and(|deadline| deadline <= now.mono);
                let is_left = self.config.ad_hoc && !before.is_empty();
                assert!(
                    matches!(cause, Input::Complete) || is_left || matches!(cause, Input::Timeout) && is_due,
                    "a room ends when it is completed, when all left it if it is ad hoc, or when its time is up"
                );
                assert!(self.live.is_empty(), "everyone is out before the room is over");
                assert_eq!(*duration_s, (now.mono - self.began).as_secs());
                self.completed = true;
            }
        }
    }

    fn connect(&mut self, sid: ParticipantSid, change: &Change, now: Now) {
        let Change::ParticipantConnected { identity, rules, .. } = change else {
            unreachable!("called for this change only")
        };
        assert!(!self.gone.contains_key(&sid), "a participant connects once");
        assert!(
            self.live.iter().all(|row| row.sid != sid && row.identity != *identity),
            "one live participant for each identity"
        );
        self.emptied = None;
        self.live.push(Row {
            sid,
            identity: identity.clone(),
            rules: rules.clone(),
            status: ParticipantStatus::Connected,
            tracks: Vec::new(),
            reason: None,
            joined: now.mono,
            lost: None,
        });
    }

    fn disconnect(&mut self, sid: ParticipantSid, duration_s: u64, before: &[Row], cause: &Input, now: Now) {
        let reason = self.reason(sid, cause, now);
        let row = self.row(sid);
        assert!(
            row.tracks.is_empty(),
            "tracks are unpublished before their publisher goes"
        );
        assert_eq!(duration_s, (now.mono - row.joined).as_secs());
        let index = self.live.iter().position(|row| row.sid == sid).unwrap();
        let mut gone = self.live.remove(index);
        gone.status = ParticipantStatus::Disconnected;
        gone.reason = Some(reason);
        gone.tracks = before.iter().find(|row| row.sid == sid).unwrap().tracks.clone();
        self.gone.insert(sid, gone);
        if self.live.is_empty() {
            self.emptied = Some(now.mono);
        }
    }

    /// Why this input takes this participant out; panics if it may not.
    fn reason(&mut self, sid: ParticipantSid, cause: &Input, now: Now) -> Dismissal {
        match cause {
            Input::Join(join) => {
                assert_eq!(join.identity, self.row(sid).identity);
                Dismissal::DuplicateIdentity
            }
            Input::Complete => Dismissal::RoomCompleted,
            Input::Timeout => {
                let row = self.row(sid).clone();
                let (deadline, reason) = self.deadline_of(&row);
                assert!(deadline <= now.mono, "nobody is out early");
                reason
            }
            Input::Leave { participant } if *participant == sid => Dismissal::Left,
            Input::Remove { participant } if *participant == sid => Dismissal::Removed,
            Input::MediaFailed { participant } if *participant == sid => Dismissal::MediaFailed,
            other => panic!("{other:?} takes {sid} out"),
        }
    }

    fn publish(&mut self, sid: ParticipantSid, track: &Track, at: Timestamp, now: Now) {
        assert_eq!(at, now.wall);
        assert!(self.tracks_ever.insert(track.sid), "a track is published once");
        assert!((1..=limits::MEDIA_ID_BYTES).contains(&track.media_id.len()));
        assert!(track.name.chars().count() <= limits::TRACK_NAME_CHARS && !track.name.contains('\0'));
        assert!(track.enabled || track.kind != TrackKind::Data);
        let row = self.row(sid);
        assert!(
            row.tracks
                .iter()
                .all(|other| other.name != track.name && other.media_id != track.media_id)
        );
        row.tracks.push(track.clone());
        assert!(row.tracks.len() <= limits::TRACKS_PER_PARTICIPANT);
    }

    fn row(&mut self, sid: ParticipantSid) -> &mut Row {
        self.live
            .iter_mut()
            .find(|row| row.sid == sid)
            .expect("a live participant")
    }

    fn track(&mut self, sid: ParticipantSid, track: TrackSid) -> &mut Track {
        let tracks = self.row(sid).tracks.iter_mut();
        tracks
            .into_iter()
            .find(|here| here.sid == track)
            .expect("a published track")
    }

    pub(crate) fn find(&self, sid: ParticipantSid) -> Option<&Row> {
        self.live.iter().find(|row| row.sid == sid)
    }

    /// When the room has to be told the time.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.completed {
            return None;
        }
        let vacancy = match self.emptied {
            _ if !self.live.is_empty() => None,
            Some(emptied) => Some(emptied + self.config.empty_timeout),
            None => Some(self.began + self.config.unused_timeout),
        };
        let deadlines = self.live.iter().map(|row| self.deadline_of(row).0).chain(vacancy);
        deadlines.min().map(|deadline| deadline.max(self.taken_over))
    }

    fn deadline_of(&self, row: &Row) -> (Instant, Dismissal) {
        let limit = row.joined + self.config.max_participant_duration;
        match row.lost.map(|lost| lost + self.config.session_timeout) {
            Some(session) if session < limit => (session, Dismissal::SessionLost),
            _ => (limit, Dismissal::TimeLimit),
        }
    }

    /// What a participant is to receive.
    pub(crate) fn subscriptions(&self, subscriber: &Row) -> Vec<Subscription> {
        let publishers = self
            .live
            .iter()
            .map(|row| (row.sid, row.identity.as_str(), &row.tracks[..]));
        let selected = select_by_the_book(&subscriber.rules, subscriber.sid, publishers);
        let claims = self.live.iter().flat_map(|publisher| {
            publisher.tracks.iter().map(|track| Subscription {
                track: track.sid,
                publisher: publisher.sid,
                media_id: track.media_id.clone(),
                kind: track.kind,
            })
        });
        claims.filter(|claim| selected.contains(&claim.track)).collect()
    }

    /// Whether this is what the participant sees when these are the rows, whatever the revisions.
    pub(crate) fn shows(&self, sid: ParticipantSid, view: &View) -> bool {
        let others: Vec<_> = self.live.iter().filter(|row| row.sid != sid).collect();
        self.find(sid).is_some_and(|row| {
            row.is_published_as(&view.published.ready)
                && view.subscriptions == self.subscriptions(row)
                && view.others.len() == others.len()
                && view.others.iter().zip(others).all(|(view, row)| row.is_seen_as(view))
        })
    }

    /// Everyone is lost when a process dies.
    pub(crate) fn take_over(&mut self, now: Now) {
        self.taken_over = now.mono;
        for row in &mut self.live {
            row.status = ParticipantStatus::Reconnecting;
            row.lost = Some(now.mono);
        }
    }

    /// What a later process is told of the earlier ones.
    pub(crate) fn restored(&self, now: Now) -> Restored {
        let ago = |then: Instant| -> Duration { now.mono - then };
        let restore = |row: &Row| RestoredParticipant {
            sid: row.sid,
            identity: row.identity.clone(),
            rules: row.rules.clone(),
            tracks: row.tracks.clone(),
            stayed: ago(row.joined),
        };
        Restored {
            age: ago(self.began),
            empty_for: self.emptied.map(ago),
            participants: self.live.iter().map(restore).collect(),
        }
    }
}

impl Row {
    /// Whether others may see it so.
    pub(crate) fn is_seen_as(&self, view: &ParticipantView) -> bool {
        (self.sid, &self.identity, self.status, &self.tracks) == (view.sid, &view.identity, view.status, &view.tracks)
    }

    /// Whether it may be told that these are its tracks.
    pub(crate) fn is_published_as(&self, ready: &[(String, TrackSid)]) -> bool {
        let own = self.tracks.iter().map(|track| (&track.media_id, track.sid));
        own.eq(ready.iter().map(|(media_id, sid)| (media_id, *sid)))
    }
}
