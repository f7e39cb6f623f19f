//! What a server acknowledged, and whether it can all be true: a [`Recorder`] collects facts with
//! their times, [`check`] finds those that contradict each other.
//!
//! A fact is true at some moment between when it was asked for and when the answer was there. So
//! what was answered before something else was asked lies before it, and of what overlaps nothing is
//! known. Besides facts there are deeds: what was asked of the server that may change something. From
//! a deed's beginning until it is known to be over nobody it may touch is known to be anywhere.
//!
//! [`Rule`] names what must hold.

mod callbacks;
mod check;
mod identities;
mod json;
mod lists;
mod order;
mod recorder;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use room::{EventKind, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus, TrackSid};

pub use check::{Rule, Violation, check};
pub use json::{page_rows, participant_row, room_row};
pub use recorder::Recorder;

/// A point in the history's own time: microseconds since it began, or steps of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// Later than everything.
    pub const NEVER: Self = Self(u64::MAX);
}

/// Everything that was recorded.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// In the order of their answers.
    pub facts: Vec<Fact>,
    /// In any order.
    pub deeds: Vec<Deed>,
    /// Rooms that end only by a deed: neither when they are empty nor when they were never used.
    pub lasting: BTreeSet<RoomSid>,
    /// What the times of rows can be held against.
    pub clock: Clock,
    /// True when at the end everybody was gone, every callback was delivered and each room's list of
    /// the gone was read: then nothing may be missing.
    pub settled: bool,
}

/// The calendar's clock of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// It was never set: a duration is the time between beginning and end, within two seconds.
    #[default]
    Steady,
    /// It was set back and forth: durations cannot be held against times.
    Stepped,
}

/// Something that the server said.
#[derive(Debug, Clone)]
pub struct Fact {
    /// When it was asked for; the beginning of time for what came by itself.
    pub asked: Moment,
    /// When it was there.
    pub answered: Moment,
    /// What.
    pub said: Said,
}

/// What a fact says.
#[derive(Debug, Clone)]
pub enum Said {
    /// A participant's row, fetched or in the answer to a change.
    Participant(ParticipantRow),
    /// A room's row, the same.
    Room(RoomRow),
    /// There is no such participant.
    NoParticipant(ParticipantSid),
    /// There is no such room.
    NoRoom(RoomSid),
    /// A page of a room's participants.
    Participants(Page<ParticipantRow, ParticipantsOf>),
    /// A page of rooms.
    Rooms(Page<RoomRow, RoomsOf>),
    /// A client is in, for the first time or again, and who else it sees.
    Present(Present),
    /// A client was told of another participant. It came by itself.
    Told {
        /// Who heard it.
        to: ParticipantSid,
        /// Of whom.
        about: ParticipantSid,
        /// Where that one is.
        status: ParticipantStatus,
    },
    /// A client was told that it is out. It came by itself.
    Dismissed(ParticipantSid),
    /// A callback was received and accepted. It came by itself.
    Callback(Callback),
}

/// A client's `connected` or `synced`.
#[derive(Debug, Clone)]
pub struct Present {
    /// Its room.
    pub room: RoomSid,
    /// The name that it joined by.
    pub name: Arc<str>,
    /// Itself.
    pub participant: ParticipantSid,
    /// By its token.
    pub identity: Arc<str>,
    /// Everyone else.
    pub others: Vec<(ParticipantSid, ParticipantStatus)>,
    /// The deed by which it came in, or came back.
    pub deed: usize,
}

/// A participant as a list or a fetch shows it. Times are in the unit of [`RowTime`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantRow {
    /// `PA…`
    pub sid: ParticipantSid,
    /// Its room.
    pub room: RoomSid,
    /// Its identity.
    pub identity: Arc<str>,
    /// Where it is.
    pub status: ParticipantStatus,
    /// Beginning, last change, end.
    pub times: Times,
}

/// A room as a list or a fetch shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    /// `RM…`
    pub sid: RoomSid,
    /// Its name.
    pub name: Arc<str>,
    /// In progress or completed.
    pub status: RoomStatus,
    /// Whether its callbacks come to the receiver of this history.
    pub calls_back: bool,
    /// Beginning, last change, end.
    pub times: Times,
}

/// Microseconds of the calendar since 1970; of the API they are whole seconds.
pub type RowTime = i64;

/// The times of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When it began.
    pub created: RowTime,
    /// When it last changed.
    pub updated: RowTime,
    /// When it ended, if it did.
    pub ended: Option<RowTime>,
    /// Seconds from beginning to end, if it did.
    pub duration_s: Option<u64>,
}

/// One page of a walk over a list.
#[derive(Debug, Clone)]
pub struct Page<Row, Of> {
    /// Numbers the walk; its pages bear it all.
    pub walk: u64,
    /// Of what list.
    pub of: Of,
    /// Most rows that it may have.
    pub size: usize,
    /// Newest first.
    pub rows: Vec<Row>,
    /// Whether another page follows.
    pub has_next: bool,
}

/// A list of participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantsOf {
    /// Of this room.
    pub room: RoomSid,
    /// In this state.
    pub status: ParticipantStatus,
    /// Of this identity.
    pub identity: Option<Arc<str>>,
    /// `DateCreatedAfter`: whole seconds, exclusive.
    pub created_after_s: Option<i64>,
    /// `DateCreatedBefore`: whole seconds, exclusive.
    pub created_before_s: Option<i64>,
}

/// A list of rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomsOf {
    /// In this state.
    pub status: RoomStatus,
    /// Of this name.
    pub name: Option<Arc<str>>,
}

/// A status callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// `RoomSid`.
    pub room: RoomSid,
    /// `SequenceNumber`.
    pub sequence: u64,
    /// `StatusCallbackEvent`.
    pub event: EventKind,
    /// `ParticipantSid` and `ParticipantIdentity`.
    pub participant: Option<(ParticipantSid, Arc<str>)>,
    /// `TrackSid`.
    pub track: Option<TrackSid>,
    /// `RoomDuration` or `ParticipantDuration`.
    pub duration_s: Option<u64>,
}

/// Something that was asked of the server and may change something.
#[derive(Debug, Clone)]
pub struct Deed {
    /// When it began.
    pub began: Moment,
    /// From when on it cannot change anything any more.
    pub over: Moment,
    /// What it may touch.
    pub touches: Touches,
}

/// Whom a deed may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touches {
    /// An identity that wants into a room of this name: the participant that has it is out.
    Identity {
        /// The room's name.
        room: Arc<str>,
        /// The identity.
        identity: Arc<str>,
    },
    /// One participant: it leaves, is removed, loses its socket, comes back.
    Participant(ParticipantSid),
    /// A room, and everyone in it: it is completed.
    Room(RoomSid),
    /// Everyone: the server dies and comes back.
    Everything,
}

impl History {
    /// The rooms whose callbacks come to the receiver of this history.
    pub fn rooms_that_call(&self) -> BTreeSet<RoomSid> {
        let rows = self.facts.iter().flat_map(|fact| rows::rows(&fact.said).1);
        rows.filter(|row| row.calls_back).map(|row| row.sid).collect()
    }

    /// The names of rooms, by all that was said of them.
    pub(crate) fn room_names(&self) -> BTreeMap<RoomSid, Arc<str>> {
        let mut names = BTreeMap::new();
        for fact in &self.facts {
            match &fact.said {
                Said::Room(row) => drop(names.insert(row.sid, row.name.clone())),
                Said::Rooms(page) => names.extend(page.rows.iter().map(|row| (row.sid, row.name.clone()))),
                Said::Present(present) => drop(names.insert(present.room, present.name.clone())),
                _ => {}
            }
        }
        names
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (asked, answered) = (self.asked.0, self.answered.0);
        write!(f, "[{asked}..{answered}] ")?;
        match &self.said {
            Said::Participant(row) => write!(f, "row of {row}"),
            Said::Room(row) => write!(f, "row of {row}"),
            Said::NoParticipant(sid) => write!(f, "no participant {sid}"),
            Said::NoRoom(sid) => write!(f, "no room {sid}"),
            Said::Participants(page) => {
                let ParticipantsOf { room, status, .. } = &page.of;
                write!(
                    f,
                    "page of walk {} over the {} of {room} with {} rows",
                    page.walk,
                    status.as_str(),
                    page.rows.len()
                )
            }
            Said::Rooms(page) => {
                write!(
                    f,
                    "page of walk {} over {} rooms with {} rows",
                    page.walk,
                    page.of.status.as_str(),
                    page.rows.len()
                )
            }
            Said::Present(present) => write!(
                f,
                "{} is in {} as {}",
                present.identity, present.room, present.participant
            ),
            Said::Told { to, about, status } => write!(f, "{to} heard that {about} is {}", status.as_str()),
            Said::Dismissed(sid) => write!(f, "{sid} heard that it is out"),
            Said::Callback(call) => {
                write!(
                    f,
                    "callback {} of {}: {}",
                    call.sequence,
                    call.room,
                    call.event.as_str()
                )?;
                match &call.participant {
                    Some((sid, _)) => write!(f, " {sid}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for ParticipantRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({} in {}): {}, {}",
            self.sid,
            self.identity,
            self.room,
            self.status.as_str(),
            self.times
        )
    }
}

impl fmt::Display for RoomRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}): {}, {}",
            self.sid,
            self.name,
            self.status.as_str(),
            self.times
        )
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "created {}, updated {}", self.created, self.updated)?;
        match (self.ended, self.duration_s) {
            (None, None) => Ok(()),
            (ended, duration) => write!(f, ", ended {ended:?} after {duration:?} s"),
        }
    }
}
