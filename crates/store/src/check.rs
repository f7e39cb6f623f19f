//! What must be true of a database whatever happened to it, and where it is not.

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
