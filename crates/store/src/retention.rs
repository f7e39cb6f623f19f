//! Forgetting: which rows are old enough to go, and which went.

use room::Timestamp;

/// What happened before these times is old enough to go; `None`: it is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Rooms that ended before, with their participants, tracks, events and callbacks.
    pub rooms: Option<Timestamp>,
    /// Events, with their callbacks, of rooms that ended before.
    pub events: Option<Timestamp>,
    /// Callbacks that were delivered or given up before, with their attempts, of any room.
    pub callbacks: Option<Timestamp>,
    /// Lines of the audit log of before.
    pub audit: Option<Timestamp>,
}

/// How many rows went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Rooms that are in no answer any more, though rows of them may still wait to go.
    pub rooms: u64,
    /// Participants.
    pub participants: u64,
    /// Tracks.
    pub tracks: u64,
    /// Events.
    pub events: u64,
    /// Entries of the outbox, with their attempts.
    pub callbacks: u64,
    /// Lines of the audit log.
    pub audit: u64,
    /// Whether there may be more to go.
    pub more: bool,
}

impl std::ops::AddAssign for Forgotten {
    /// Sums the counts; `more` is that of the later one.
    fn add_assign(&mut self, later: Self) {
        self.rooms += later.rooms;
        self.participants += later.participants;
        self.tracks += later.tracks;
        self.events += later.events;
        self.callbacks += later.callbacks;
        self.audit += later.audit;
        self.more = later.more;
    }
}
