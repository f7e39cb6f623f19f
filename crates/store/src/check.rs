//! What must be true of a database whatever happened to it, and where it is not.
//!
//! Each backend has the queries that find what breaks a [`Rule`]; what the rules are, and in which steps a database is
//! gone through, stands here.

use crate::limits;

/// Something that must be true of every database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invariant {
    /// What it is called: `identity-live-once`.
    pub name: &'static str,
    /// What must be true, as a sentence without a full stop.
    pub holds: &'static str,
}

/// A row of which an invariant does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// [`Invariant::name`].
    pub invariant: &'static str,
    /// The row's SID; where it has none, its table and number.
    pub row: String,
    /// What is true of it instead.
    pub what: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Rooms that were looked at.
    pub rooms: u64,
    /// Participants.
    pub participants: u64,
    /// Events.
    pub events: u64,
    /// At most [`crate::limits::VIOLATIONS_MAX`]; none: all is well.
    pub violations: Vec<Violation>,
}

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckProgress {
    /// It reads every page of the file: the longest part.
    Pages,
    /// It compares rows with each other, room by room.
    Rooms {
        /// Rooms done, about.
        done: u64,
        /// Rooms in all, about.
        of: u64,
    },
}

/// The database itself: before all others.
pub(crate) const INTEGRITY: Invariant = Invariant {
    name: "integrity",
    holds: "the database finds its pages, indexes and constraints whole",
};

/// References: before the others, too.
pub(crate) const REFERENCES: Invariant = Invariant {
    name: "references",
    holds: "every row that another one refers to is there",
};

/// An invariant of rows, which a query checks for a range of rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Epochs,
    RoomTimes,
    RoomOrder,
    ParticipantTimes,
    ParticipantOrder,
    IdentityLiveOnce,
    NobodyInCompletedRooms,
    TrackTimes,
    TracksEnd,
    RulesInOrder,
    EventsWithoutGaps,
    RoomEvents,
    ParticipantEvents,
    TrackEvents,
    EventsOfTheirRoom,
    CallbacksOfEvents,
    CallbacksInOrder,
    AttemptsCounted,
}

impl Rule {
    /// All of them, in the order in which they are checked.
    pub(crate) const ALL: [Self; 18] = [
        Self::Epochs,
        Self::RoomTimes,
        Self::RoomOrder,
        Self::ParticipantTimes,
        Self::ParticipantOrder,
        Self::IdentityLiveOnce,
        Self::NobodyInCompletedRooms,
        Self::TrackTimes,
        Self::TracksEnd,
        Self::RulesInOrder,
        Self::EventsWithoutGaps,
        Self::RoomEvents,
        Self::ParticipantEvents,
        Self::TrackEvents,
        Self::EventsOfTheirRoom,
        Self::CallbacksOfEvents,
        Self::CallbacksInOrder,
        Self::AttemptsCounted,
    ];

    pub(crate) const fn invariant(self) -> Invariant {
        let (name, holds) = match self {
            Self::Epochs => ("epochs", "the epoch of a room is at least 1"),
            Self::RoomTimes => (
                "room-times",
                "a completed room, and only that, has an end not before its beginning and a duration",
            ),
            Self::RoomOrder => (
                "room-order",
                "rooms of an account have times of creation of their own, none after the account's last",
            ),
            Self::ParticipantTimes => (
                "participant-times",
                "a disconnected participant, and only that, has an end not before its beginning and a duration",
            ),
            Self::ParticipantOrder => (
                "participant-order",
                "participants of a room begin in the order of their rows, each at a time of its own, none after the room's last",
            ),
            Self::IdentityLiveOnce => (
                "identity-live-once",
                "an identity is connected or reconnecting once in a room",
            ),
            Self::NobodyInCompletedRooms => (
                "nobody-in-completed-rooms",
                "participants are connected or reconnecting in rooms in progress alone",
            ),
            Self::TrackTimes => (
                "track-times",
                "a track ends not before it begins, and begins not after the last of its room",
            ),
            Self::TracksEnd => ("tracks-end", "the tracks of who is disconnected have ended"),
            Self::RulesInOrder => (
                "rules-in-order",
                "the subscribe rules of a participant are numbered from 0 without a gap, and each has a filter",
            ),
            Self::EventsWithoutGaps => (
                "events-without-gaps",
                "events of a room are numbered without a gap up to the next number, from 0 or, of a completed room, from where \
         retention left them",
            ),
            Self::RoomEvents => (
                "room-events",
                "the first event of a room tells its creation, the last of a completed one its end, and no other tells either",
            ),
            Self::ParticipantEvents => (
                "participant-events",
                "one event tells the beginning of a participant, one its end if it ended, both as its row does",
            ),
            Self::TrackEvents => (
                "track-events",
                "one event tells the beginning of a track, and at most one its end",
            ),
            Self::EventsOfTheirRoom => (
                "events-of-their-room",
                "an event is about a participant of its room, and about a track of that participant",
            ),
            Self::CallbacksOfEvents => ("callbacks-of-events", "a callback tells of an event of its own room"),
            Self::CallbacksInOrder => (
                "callbacks-in-order",
                "callbacks of a room wait behind exactly one that is due, and none behind those that are done, but for those that are delivered again",
            ),
            Self::AttemptsCounted => (
                "attempts-counted",
                "a callback has as many attempts as it counts, and one that is done has at least one",
            ),
        };
        Invariant { name, holds }
    }
}

/// All invariants, in the order in which they are checked.
pub(crate) fn invariants() -> impl Iterator<Item = Invariant> {
    [INTEGRITY, REFERENCES]
        .into_iter()
        .chain(Rule::ALL.into_iter().map(Rule::invariant))
}

/// Rooms that a query looks at, by their rows, so that no sort grows with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl CheckProgress {
    /// How far a check is before the row `next`, of rows up to `last`.
    pub(crate) fn before(next: i64, last: i64) -> Self {
        Self::Rooms {
            done: u64::try_from(next.min(last.saturating_add(1)) - 1).unwrap_or_default(),
            of: u64::try_from(last).unwrap_or_default(),
        }
    }
}

/// The ranges of all rooms.
pub(crate) struct Ranges {
    next: i64,
    last: i64,
}

impl Ranges {
    /// Rooms of a range.
    const LENGTH: i64 = 512;

    /// Those of the rows from 1 to `last`.
    pub(crate) const fn up_to(last: i64) -> Self {
        Self { next: 1, last }
    }
}

impl Iterator for Ranges {
    type Item = Range;

    fn next(&mut self) -> Option<Range> {
        let first = self.next;
        let last = first.saturating_add(Self::LENGTH - 1);
        self.next = last.saturating_add(1);
        (first <= self.last).then_some(Range { first, last })
    }
}

impl Findings {
    /// Notes one more, unless there are too many already.
    pub(crate) fn add(&mut self, invariant: &'static str, row: String, what: String) {
        if self.violations.len() < limits::VIOLATIONS_MAX {
            self.violations.push(Violation { invariant, row, what });
        }
    }
}
