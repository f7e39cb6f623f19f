//! What a client knows, by the rules of signaling.md section 4: only higher revisions count.

use std::collections::{BTreeMap, BTreeSet};

use room::{
    Announced, AnnouncedTrack, ParticipantSid, ParticipantStatus, ParticipantView, Published, Subscription, TrackKind,
    TrackSid, View,
};

use crate::rows::{Row, Rows};

/// A client that was let in or wants in.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) ear: Ear,
    pub(crate) is_admitted: bool,
    pub(crate) is_dismissed: bool,
    /// Its own list of tracks.
    list: Announced,
    others: BTreeMap<ParticipantSid, ParticipantView>,
    published_revision: u64,
    ready: Vec<(String, TrackSid)>,
    failed: BTreeSet<String>,
    /// What its media is told to carry, which does not hang on the socket.
    subscriptions: Vec<Subscription>,
    /// Highest revisions that were sent to it, heard or not.
    sent: BTreeMap<ParticipantSid, u64>,
    sent_published: u64,
    /// Who was said to be gone.
    gone: BTreeSet<ParticipantSid>,
}

/// The state of a client's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ear {
    /// Up.
    Open,
    /// Up again, but what comes before the welcome is not for it.
    Waiting,
    /// Down, whether the room knows it or not.
    Deaf,
}

impl Client {
    pub(crate) fn new(list: Announced) -> Self {
        Self {
            ear: Ear::Open,
            is_admitted: false,
            is_dismissed: false,
            list,
            others: BTreeMap::new(),
            published_revision: 0,
            ready: Vec::new(),
            failed: BTreeSet::new(),
            subscriptions: Vec::new(),
            sent: BTreeMap::new(),
            sent_published: 0,
            gone: BTreeSet::new(),
        }
    }

    /// Its list as it would tell it now; the SIDs are for tracks that the room does not know.
    pub(crate) fn list(&self, mut fresh: impl FnMut() -> TrackSid) -> Announced {
        let mut list = self.list.clone();
        for track in &mut list.tracks {
            track.fresh = fresh();
        }
        list
    }

    pub(crate) fn change(&mut self, tracks: Vec<AnnouncedTrack>) {
        self.list = Announced {
            revision: self.list.revision + 1,
            tracks,
        };
        // A track that is taken off the list settles anew when it is put on it again.
        self.failed
            .retain(|media_id| self.list.tracks.iter().any(|track| track.media_id == *media_id));
    }

    /// Another process serves it from now on: what it receives is known without being said.
    pub(crate) fn restart(&mut self, subscriptions: Vec<Subscription>) {
        self.subscriptions = subscriptions;
    }

    pub(crate) fn admitted(&mut self, view: &View) {
        assert!(!self.is_admitted, "a client is admitted once");
        self.is_admitted = true;
        self.see(view);
    }

    pub(crate) fn welcomed(&mut self, view: &View) {
        assert!(self.is_admitted);
        if self.ear == Ear::Waiting {
            self.ear = Ear::Open;
        }
        self.see(view);
    }

    fn see(&mut self, view: &View) {
        assert!(!self.is_dismissed, "who is out is told nothing");
        for other in &view.others {
            assert!(!self.gone.contains(&other.sid));
            let sent = self.sent.entry(other.sid).or_default();
            assert!(other.revision >= *sent, "revisions never fall");
            *sent = other.revision;
        }
        assert!(view.published.revision >= self.sent_published);
        self.sent_published = view.published.revision;
        self.subscriptions.clone_from(&view.subscriptions);
        if self.ear == Ear::Open {
            self.others
                .retain(|sid, _| view.others.iter().any(|other| other.sid == *sid));
            for other in &view.others {
                self.hear_of(other);
            }
            self.hear_published(&view.published);
        }
    }

    pub(crate) fn told_of(&mut self, about: &ParticipantView) {
        assert!(self.is_admitted && !self.is_dismissed, "only who is in is told");
        assert!(!self.gone.contains(&about.sid), "nothing is told of who is gone");
        let sent = self.sent.insert(about.sid, about.revision).unwrap_or_default();
        assert!(about.revision > sent, "each telling has a higher revision");
        if about.status == ParticipantStatus::Disconnected {
            self.gone.insert(about.sid);
        }
        if self.ear == Ear::Open {
            self.hear_of(about);
        }
    }

    pub(crate) fn told_published(&mut self, published: &Published) {
        assert!(self.is_admitted && !self.is_dismissed, "only who is in is told");
        assert!(
            published.revision > self.sent_published,
            "each telling has a higher revision"
        );
        self.sent_published = published.revision;
        if self.ear == Ear::Open {
            self.hear_published(published);
        }
    }

    pub(crate) fn subscribed(&mut self, tracks: &[Subscription]) {
        assert!(self.is_admitted && !self.is_dismissed, "only who is in receives");
        assert_ne!(self.subscriptions, tracks, "no change");
        self.subscriptions = tracks.to_vec();
    }

    fn hear_of(&mut self, about: &ParticipantView) {
        let known = self.others.get(&about.sid).map_or(0, |known| known.revision);
        if about.status == ParticipantStatus::Disconnected {
            self.others.remove(&about.sid);
        } else if about.revision > known {
            self.others.insert(about.sid, about.clone());
        }
    }

    fn hear_published(&mut self, published: &Published) {
        if published.revision <= self.published_revision {
            return;
        }
        self.published_revision = published.revision;
        self.ready.clone_from(&published.ready);
        for (media_id, _) in &published.failed {
            assert!(
                self.ready.iter().all(|(ready, _)| ready != media_id),
                "ready and failed"
            );
            self.failed.insert(media_id.clone());
        }
    }

    /// Compares what it knows with what is so, when all was told.
    pub(crate) fn agrees(&self, rows: &Rows, row: &Row) {
        assert!(self.is_admitted && !self.is_dismissed);
        assert_eq!(self.subscriptions, rows.subscriptions(row), "receives all it should");
        if self.ear != Ear::Open {
            return;
        }
        assert_eq!(row.status, ParticipantStatus::Connected);
        assert_eq!(self.others.len(), rows.live.len() - 1);
        for other in rows.live.iter().filter(|other| other.sid != row.sid) {
            assert!(other.is_seen_as(&self.others[&other.sid]), "sees {other:?}");
        }
        assert!(row.is_published_as(&self.ready), "knows its tracks: {:?}", row.tracks);
        self.is_settled(row);
    }

    /// Each track of its list is published as it says, or refused with its knowledge.
    fn is_settled(&self, row: &Row) {
        let mut seen = BTreeSet::new();
        for listed in &self.list.tracks {
            if !seen.insert(&listed.media_id) {
                continue;
            }
            match row.tracks.iter().find(|track| track.media_id == listed.media_id) {
                Some(track) => {
                    assert_eq!(track.enabled, listed.enabled || track.kind == TrackKind::Data);
                    assert_eq!(track.priority, listed.priority);
                }
                None => assert!(self.failed.contains(&listed.media_id), "{listed:?} is settled"),
            }
        }
        assert!(
            row.tracks.iter().all(|track| seen.contains(&track.media_id)),
            "no track that is not listed"
        );
    }
}
