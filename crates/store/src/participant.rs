//! Participants: what they are remembered as, listed by and restored from.

use room::{AccountSid, ParticipantSid, ParticipantStatus, RoomSid, Rules, SessionHash, Timestamp, Track};

use crate::Page;

/// A participant as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantRow {
    /// `PA…`
    pub sid: ParticipantSid,
    /// Its room.
    pub room: RoomSid,
    /// Whose.
    pub account: AccountSid,
    /// From its token.
    pub identity: String,
    /// Where it is.
    pub status: ParticipantStatus,
    /// When it connected; strictly increasing in its room.
    pub created: Timestamp,
    /// Time of the last change of its state.
    pub updated: Timestamp,
    /// When it was disconnected.
    pub ended: Option<Timestamp>,
    /// Seconds of its stay, once disconnected.
    pub duration_s: Option<u64>,
}

/// A participant to be restored.
#[derive(Debug, Clone)]
pub struct LiveParticipant {
    /// Its row.
    pub row: ParticipantRow,
    /// Resumes it.
    pub session: SessionHash,
    /// As they were last.
    pub rules: Rules,
    /// Its tracks, oldest first.
    pub tracks: Vec<Track>,
}

/// Which participants of a room to list. All given filters must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParticipantFilter {
    /// Only this state.
    pub status: Option<ParticipantStatus>,
    /// Only this identity.
    pub identity: Option<String>,
    /// `created`, cut to whole seconds, is greater than this many seconds (rest.md 26.4).
    pub created_after_s: Option<i64>,
    /// `created`, cut to whole seconds, is less than this many seconds.
    pub created_before_s: Option<i64>,
}

/// A page of the participants of a room that was asked for by a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantsOf {
    /// The room that was found.
    pub room: RoomSid,
    /// The status in effect.
    pub status: ParticipantStatus,
    /// Those of this status that match the other filters.
    pub page: Page<ParticipantRow>,
}
