//! One participant: its tracks, its session, and what it was last told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::input::{Announced, AnnouncedTrack, Now};
use crate::limits;
use crate::output::{ParticipantView, Published, Subscription, TrackFault};
use crate::{Change, ParticipantSid, ParticipantStatus, Publisher, Rules, Timestamp, Track, TrackKind, TrackSid};

/// Where a live participant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Its signaling is up.
    Connected,
    /// Its signaling is lost; it is out at the deadline.
    Reconnecting {
        /// When.
        deadline: Instant,
    },
}

#[derive(Debug)]
pub(crate) struct Participant {
    pub(crate) sid: ParticipantSid,
    pub(crate) identity: String,
    pub(crate) rules: Rules,
    pub(crate) presence: Presence,
    pub(crate) tracks: Vec<Track>,
    /// When its stay, or the part of it in this process, began.
    pub(crate) since: Instant,
    /// The part of its stay before this process.
    pub(crate) stayed_before: Duration,
    /// Revision towards the others.
    pub(crate) revision: u64,
    pub(crate) published_revision: u64,
    /// Its place in the order of arrivals: larger than that of whoever was there before. Set by the room.
    pub(crate) arrival: u64,
    /// What it is to receive: for each publisher it receives anything of, by the publisher's arrival, the tracks in order.
    claims: BTreeMap<u64, Vec<Subscription>>,
    /// Whether that differs from what was last said.
    has_new_claims: bool,
    /// Revision of the client's own list, as last seen.
    announced_revision: Option<u64>,
    /// Media ids of listed tracks that were refused, and why. Of at most
    /// [`limits::TRACKS_PER_PARTICIPANT`]: what is not announced any more is dropped, and what is
    /// beyond is refused anew with each list.
    refused: BTreeMap<String, TrackFault>,
}

/// What a client's list changed.
#[derive(Debug, Default)]
pub(crate) struct TrackChanges {
    pub(crate) changes: Vec<Change>,
    pub(crate) failed: Vec<(String, TrackFault)>,
}

impl Participant {
    pub(crate) fn new(
        sid: ParticipantSid,
        identity: String,
        rules: Rules,
        since: Instant,
        first_revision: u64,
    ) -> Self {
        Self {
            sid,
            identity,
            rules,
            presence: Presence::Connected,
            tracks: Vec::new(),
            since,
            stayed_before: Duration::ZERO,
            revision: first_revision + 1,
            published_revision: first_revision + 1,
            arrival: 0,
            claims: BTreeMap::new(),
            has_new_claims: false,
            announced_revision: None,
            refused: BTreeMap::new(),
        }
    }

    pub(crate) fn stay(&self, now: Instant) -> Duration {
        self.stayed_before
            .saturating_add(now.saturating_duration_since(self.since))
    }

    pub(crate) fn status(&self) -> ParticipantStatus {
        match self.presence {
            Presence::Connected => ParticipantStatus::Connected,
            Presence::Reconnecting { .. } => ParticipantStatus::Reconnecting,
        }
    }

    pub(crate) fn view(&self) -> ParticipantView {
        ParticipantView {
            sid: self.sid,
            identity: self.identity.clone(),
            revision: self.revision,
            status: self.status(),
            tracks: self.tracks.clone(),
        }
    }

    pub(crate) fn published(&self, failed: Vec<(String, TrackFault)>) -> Published {
        Published {
            revision: self.published_revision,
            ready: self
                .tracks
                .iter()
                .map(|track| (track.media_id.clone(), track.sid))
                .collect(),
            failed,
        }
    }

    /// Everything refused that is still listed, `failed` included: for a client that is back, since
    /// what it was told before may have gone to a dead socket.
    pub(crate) fn refused_and(&self, failed: Vec<(String, TrackFault)>) -> Vec<(String, TrackFault)> {
        let mut all = self.refused.clone();
        all.extend(failed);
        all.into_iter().collect()
    }

    /// Everything that it is to receive, by the arrival of the publishers.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        self.claims.values().flatten().cloned().collect()
    }

    /// The tracks of these.
    pub(crate) fn subscribed_tracks(&self) -> Vec<TrackSid> {
        self.claims.values().flatten().map(|claim| claim.track).collect()
    }

    /// Everything that it is to receive, if it changed since it was last asked for here: what is asked for counts as said.
    pub(crate) fn new_subscriptions(&mut self) -> Option<Vec<Subscription>> {
        std::mem::take(&mut self.has_new_claims).then(|| self.subscriptions())
    }

    /// Applies its rules to everything that one other participant publishes now.
    pub(crate) fn consider(&mut self, other: &Self) {
        let publisher = Publisher {
            sid: other.sid,
            identity: &other.identity,
        };
        let claim = |track: &&Track| self.rules.select(self.sid, publisher, track);
        let claims: Vec<Subscription> = other
            .tracks
            .iter()
            .filter(claim)
            .map(|track| Subscription {
                track: track.sid,
                publisher: other.sid,
                media_id: track.media_id.clone(),
                kind: track.kind,
            })
            .collect();
        let known = self.claims.get(&other.arrival);
        if known.map_or(&[][..], |known| known) == claims {
            return;
        }
        self.has_new_claims = true;
        if claims.is_empty() {
            self.claims.remove(&other.arrival);
        } else {
            self.claims.insert(other.arrival, claims);
        }
    }

    /// Whoever arrived then is gone.
    pub(crate) fn forget(&mut self, arrival: u64) {
        self.has_new_claims |= self.claims.remove(&arrival).is_some();
    }

    /// Takes over the client's list. Unpublishes come first, so that a name is free for its heir.
    pub(crate) fn announce(&mut self, announced: Announced, audio_only: bool, now: Now) -> TrackChanges {
        if self.announced_revision.is_some_and(|seen| announced.revision <= seen) {
            return TrackChanges::default();
        }
        self.announced_revision = Some(announced.revision);
        let listed: BTreeSet<String> = announced.tracks.iter().map(|track| track.media_id.clone()).collect();
        let mut result = TrackChanges {
            changes: self.unpublish(|track| !listed.contains(&track.media_id), now.wall),
            failed: Vec::new(),
        };
        self.refused.retain(|media_id, _| listed.contains(media_id));
        let mut seen = BTreeSet::new();
        for track in announced.tracks {
            if !seen.insert(track.media_id.clone()) {
                continue;
            }
            match self
                .tracks
                .iter()
                .position(|published| published.media_id == track.media_id)
            {
                Some(index) => self.update(index, &track, now.wall, &mut result.changes),
                None => self.publish(track, audio_only, now.wall, &mut result),
            }
        }
        result
    }

    /// Unpublishes the tracks that `gone` says.
    pub(crate) fn unpublish(&mut self, gone: impl Fn(&Track) -> bool, at: Timestamp) -> Vec<Change> {
        let participant = self.sid;
        let mut changes = Vec::new();
        self.tracks.retain(|track| {
            let leaves = gone(track);
            if leaves {
                changes.push(Change::TrackUnpublished {
                    participant,
                    track: track.sid,
                    at,
                });
            }
            !leaves
        });
        changes
    }

    fn update(&mut self, index: usize, to: &AnnouncedTrack, at: Timestamp, changes: &mut Vec<Change>) {
        let participant = self.sid;
        let track = &mut self.tracks[index];
        let enabled = to.enabled || track.kind == TrackKind::Data;
        if track.enabled != enabled {
            track.enabled = enabled;
            changes.push(Change::TrackEnabled {
                participant,
                track: track.sid,
                enabled,
                at,
            });
        }
        if track.priority != to.priority {
            track.priority = to.priority;
            changes.push(Change::TrackPriority {
                participant,
                track: track.sid,
                priority: to.priority,
                at,
            });
        }
    }

    fn publish(&mut self, new: AnnouncedTrack, audio_only: bool, at: Timestamp, result: &mut TrackChanges) {
        if self.refused.contains_key(&new.media_id) {
            return;
        }
        if let Some(fault) = self.fault(&new, audio_only) {
            if self.refused.len() < limits::TRACKS_PER_PARTICIPANT {
                self.refused.insert(new.media_id.clone(), fault);
            }
            result.failed.push((new.media_id, fault));
            return;
        }
        let track = Track {
            sid: new.fresh,
            media_id: new.media_id,
            kind: new.kind,
            name: new.name,
            enabled: new.enabled || new.kind == TrackKind::Data,
            priority: new.priority,
        };
        self.tracks.push(track.clone());
        result.changes.push(Change::TrackPublished {
            participant: self.sid,
            track,
            at,
        });
    }

    fn fault(&self, new: &AnnouncedTrack, audio_only: bool) -> Option<TrackFault> {
        if new.media_id.is_empty() || new.media_id.len() > limits::MEDIA_ID_BYTES {
            Some(TrackFault::Invalid)
        } else if new.name.chars().count() > limits::TRACK_NAME_CHARS {
            Some(TrackFault::NameTooLong)
        } else if new.name.contains('\0') {
            Some(TrackFault::NameChars)
        } else if self.tracks.iter().any(|track| track.name == new.name) {
            Some(TrackFault::NameDuplicated)
        } else if self.tracks.len() >= limits::TRACKS_PER_PARTICIPANT {
            Some(TrackFault::TooMany)
        } else if audio_only && new.kind == TrackKind::Video {
            Some(TrackFault::KindNotSupported)
        } else if !new.has_codec {
            Some(TrackFault::NoCodec)
        } else {
            None
        }
    }
}
