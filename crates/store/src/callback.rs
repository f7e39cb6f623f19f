//! Status callbacks: what is due, how attempts ended, and what operators see of them.

use std::fmt;
use std::str::FromStr;

use room::{AccountSid, EventKind, ParticipantSid, RoomSid, RoomType, Timestamp, TrackKind, TrackSid};
use url::Url;

use crate::Audit;

/// HTTP method of status callbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackMethod {
    /// Fields in the query.
    Get,
    /// Fields in a form body.
    Post,
}

/// A callback that is due, rendered from what is true of its event. The identity comes from the
/// participant's row, so that it stands in one place.
#[derive(Debug, Clone)]
pub struct DueCallback {
    /// Key of the outbox entry.
    pub id: i64,
    /// Attempts made before, since it was last asked for.
    pub attempts: u32,
    /// Where to.
    pub url: String,
    /// Host and port of `url` ([`receiver_of`]).
    pub receiver: String,
    /// How.
    pub method: CallbackMethod,
    /// Whose; selects the auth token.
    pub account: AccountSid,
    /// The room.
    pub room: RoomSid,
    /// Its unique name, or its SID.
    pub room_name: String,
    /// What the room is called.
    pub room_type: RoomType,
    /// What happened.
    pub event: EventKind,
    /// `SequenceNumber`, from 0, without gaps in a room.
    pub sequence: u64,
    /// When it happened.
    pub at: Timestamp,
    /// `RoomDuration` or `ParticipantDuration`.
    pub duration_s: Option<u64>,
    /// Who, on participant and track events.
    pub participant: Option<(ParticipantSid, String)>,
    /// What, on track events.
    pub track: Option<(TrackSid, TrackKind)>,
}

/// How an attempt to deliver a callback ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackOutcome {
    /// Delivered: the entry is done.
    Delivered,
    /// Not yet: again at this time.
    Retry(Timestamp),
    /// Never: given up.
    GivenUp,
}

/// An attempt that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedAttempt {
    /// Key of the outbox entry. One that is not there any more is passed over.
    pub id: i64,
    /// When it ended.
    pub at: Timestamp,
    /// HTTP status if there was an answer, else a short error.
    pub answer: Result<u16, String>,
    /// What follows.
    pub outcome: CallbackOutcome,
}

/// What to lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallbackLease {
    /// The moment: what is due by now. Retries of attempts that end with it are counted from here.
    pub now: Timestamp,
    /// Until then the callbacks are nobody else's.
    pub until: Timestamp,
    /// How many at most.
    pub limit: u32,
    /// How many of one receiver at most, with those that are taken.
    pub per_receiver: u32,
    /// Receivers whose places are taken already, and how many of them.
    pub taken: Vec<(String, u32)>,
    /// Receivers behind this one have their turn first.
    pub after: String,
}

/// What was leased.
#[derive(Debug, Clone, Default)]
pub struct LeasedCallbacks {
    /// Of each room only the first that is not done, so that order holds.
    pub due: Vec<DueCallback>,
    /// When the next one is due that is not due yet, ends of leases included.
    pub next: Option<Timestamp>,
    /// The last receiver that had its turn: where the next lease begins.
    pub after: String,
    /// Not all receivers had their turn: some may have callbacks that are due.
    pub is_partial: bool,
}

/// Where a callback stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackState {
    /// The room's next: it is being delivered, or will be tried again.
    Due,
    /// Behind another one of its room.
    Waiting,
    /// The receiver has it.
    Delivered,
    /// It will not be tried again by itself.
    GivenUp,
}

impl CallbackState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Due, Self::Waiting, Self::Delivered, Self::GivenUp];

    /// As it is stored and told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::GivenUp => "given-up",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for CallbackState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CallbackState {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::from_word(word).ok_or_else(|| "one of due, waiting, delivered, given-up".to_owned())
    }
}

/// Which callbacks. All given filters must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallbackFilter {
    /// Those that stand so.
    pub state: Option<CallbackState>,
    /// Those of this room.
    pub room: Option<RoomSid>,
    /// Those of this receiver: a host, or host and port.
    pub receiver: Option<String>,
    /// Those whose event happened not earlier.
    pub since: Option<Timestamp>,
    /// Those whose event happened earlier.
    pub before: Option<Timestamp>,
}

/// A callback as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackRow {
    /// Key of the outbox entry; grows.
    pub id: i64,
    /// The room.
    pub room: RoomSid,
    /// `SequenceNumber`.
    pub sequence: u64,
    /// What happened.
    pub event: EventKind,
    /// When it happened.
    pub at: Timestamp,
    /// Where it stands.
    pub state: CallbackState,
    /// When it is due, or its lease ends; of one that is done, when it was.
    pub due: Timestamp,
    /// Attempts, all together.
    pub attempts: u32,
    /// Host and port; the rest of the URL may be secret.
    pub receiver: String,
    /// How the last attempt ended.
    pub last: Option<Result<u16, String>>,
}

/// An attempt as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// When it ended.
    pub at: Timestamp,
    /// HTTP status if there was an answer, else a short error. Bodies are not kept.
    pub answer: Result<u16, String>,
}

/// What to deliver again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redelivery {
    /// This one, however it stands; one that is due already is due at once.
    One(i64),
    /// Of those that were given up and come behind `after`, the ones that the filter matches. Its state is not looked at.
    GivenUp {
        /// Which.
        filter: CallbackFilter,
        /// The `last` of the call before, 0 at first.
        after: i64,
    },
}

/// What came of a [`Redelivery`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redelivered {
    /// How many are to be delivered again.
    pub count: u64,
    /// Where to go on; `None`: that was all.
    pub last: Option<i64>,
}

/// A request to deliver again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedeliveryRequest {
    /// What.
    pub what: Redelivery,
    /// When they are due.
    pub now: Timestamp,
    /// Is written with it, unless nothing matches.
    pub by: Option<Audit>,
}

/// Host and port of a callback's URL, by which receivers are told apart. It holds no secrets: no userinfo, path or query.
pub fn receiver_of(url: &str) -> String {
    let unknown = || "unknown".to_owned();
    let Ok(url) = Url::parse(url) else { return unknown() };
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        _ => unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_hosts_with_ports() {
        for (url, receiver) in [
            ("https://Hooks.Example.com/rooms?key=1", "hooks.example.com:443"),
            ("http://user:secret@hooks.example.com/", "hooks.example.com:80"),
            ("http://hooks.example.com:8080/a", "hooks.example.com:8080"),
            ("http://0x7f.1/", "127.0.0.1:80"),
            ("http://[::1]:9/", "[::1]:9"),
            ("nonsense", "unknown"),
        ] {
            assert_eq!(receiver_of(url), receiver);
        }
    }
}
