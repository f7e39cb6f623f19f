//! What changes of a room count on, and what follows from it, whichever database keeps the rows.

use room::{EventKind, ParticipantStatus, Timestamp};

use crate::StoreError;

/// A room in progress while changes are made to it: the columns that they count on.
pub(crate) struct OpenRoom {
    pub(crate) id: i64,
    pub(crate) created: Timestamp,
    pub(crate) calls_back: bool,
    pub(crate) next_sequence: u64,
    pub(crate) last_participant: Option<i64>,
    pub(crate) last_track: Option<i64>,
    pub(crate) last_left: Option<i64>,
    pub(crate) completed: bool,
}

/// What there is to know of a participant's row before a change.
pub(crate) struct Participant {
    pub(crate) id: i64,
    pub(crate) status: ParticipantStatus,
    pub(crate) created: Timestamp,
}

/// What there is to know of a track's row before a change.
pub(crate) struct PublishedTrack {
    pub(crate) id: i64,
    pub(crate) participant: i64,
    pub(crate) enabled: bool,
    pub(crate) ended: bool,
    pub(crate) created: Timestamp,
}

/// An event to be written, by the rows it is about.
pub(crate) struct Event {
    pub(crate) room: i64,
    pub(crate) sequence: u64,
    pub(crate) kind: EventKind,
    pub(crate) at: Timestamp,
    pub(crate) participant: Option<i64>,
    pub(crate) track: Option<i64>,
    pub(crate) duration_s: Option<u64>,
}

/// The rows an event is about.
#[derive(Default)]
pub(crate) struct About {
    pub(crate) participant: Option<i64>,
    pub(crate) track: Option<i64>,
    pub(crate) duration_s: Option<u64>,
}

/// The later of a time and the microsecond after the last one.
pub(crate) fn after(at: Timestamp, last: Option<i64>) -> Timestamp {
    Timestamp(last.map_or(at.0, |last| at.0.max(last.saturating_add(1))))
}

impl OpenRoom {
    /// The room as it was found, if it is in progress and its epoch is the one that the changes name.
    pub(crate) fn of_epoch(self, found: u64, epoch: u64) -> Result<Self, StoreError> {
        self.in_progress()?;
        match found == epoch {
            true => Ok(self),
            false => Err(StoreError::Fenced),
        }
    }

    /// Nothing changes in a room that is over.
    pub(crate) fn in_progress(&self) -> Result<(), StoreError> {
        match self.completed {
            true => Err(StoreError::RoomNotInProgress),
            false => Ok(()),
        }
    }

    /// When a participant begins that came at this time: each at a time of its own, in their order.
    pub(crate) fn participant_begins(&mut self, at: Timestamp) -> Timestamp {
        let begins = after(at, self.last_participant);
        self.last_participant = Some(begins.0);
        begins
    }

    /// The same of a track.
    pub(crate) fn track_begins(&mut self, at: Timestamp) -> Timestamp {
        let begins = after(at, self.last_track);
        self.last_track = Some(begins.0);
        begins
    }

    /// Somebody's end.
    pub(crate) fn participant_left(&mut self, ended: Timestamp) {
        self.last_left = self.last_left.max(Some(ended.0));
    }

    /// Ends the room, around nobody: when.
    pub(crate) fn complete(&mut self, at: Timestamp, is_anybody_there: bool) -> Result<Timestamp, StoreError> {
        if is_anybody_there {
            return Err(StoreError::refused(
                "a room was completed with participants still in it",
            ));
        }
        self.completed = true;
        Ok(at.max(self.created))
    }

    /// The room's next event.
    pub(crate) fn event(&mut self, kind: EventKind, at: Timestamp, about: About) -> Event {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        Event {
            room: self.id,
            sequence,
            kind,
            at,
            participant: about.participant,
            track: about.track,
            duration_s: about.duration_s,
        }
    }
}

impl Participant {
    /// Why there is none.
    pub(crate) fn missing() -> StoreError {
        StoreError::refused("a participant changed that never was in the room")
    }

    pub(crate) fn live(self) -> Result<Self, StoreError> {
        match self.status {
            ParticipantStatus::Disconnected => Err(StoreError::refused("a participant changed that is disconnected")),
            _ => Ok(self),
        }
    }
}

impl PublishedTrack {
    /// Why there is none.
    pub(crate) fn missing() -> StoreError {
        StoreError::refused("a track changed that its publisher never had")
    }

    pub(crate) fn live(self) -> Result<Self, StoreError> {
        match self.ended {
            true => Err(StoreError::refused("a track changed that is unpublished")),
            false => Ok(self),
        }
    }

    /// When it changed: after its beginning, so that one which never did can be told from it.
    pub(crate) fn changed(&self, at: Timestamp) -> Timestamp {
        after(at, Some(self.created.0))
    }
}

impl About {
    pub(crate) fn participant(id: i64) -> Self {
        Self {
            participant: Some(id),
            ..Self::default()
        }
    }

    pub(crate) fn track(participant: i64, track: i64) -> Self {
        Self {
            participant: Some(participant),
            track: Some(track),
            duration_s: None,
        }
    }
}
