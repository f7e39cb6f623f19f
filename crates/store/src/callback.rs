//! Status callbacks: what is due, and how an attempt ended.

use room::{AccountSid, EventKind, ParticipantSid, RoomSid, RoomType, Timestamp, TrackKind, TrackSid};

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
    /// Attempts made before.
    pub attempts: u32,
    /// Where to.
    pub url: String,
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
