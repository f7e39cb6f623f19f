//! Published tracks and subscribe rules: what they are remembered as.

use room::{ParticipantSid, Priority, RoomSid, Rules, Timestamp, TrackKind, TrackSid};

/// A track that is published now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackRow {
    /// `MT…`
    pub sid: TrackSid,
    /// Who publishes it.
    pub publisher: ParticipantSid,
    /// Their room.
    pub room: RoomSid,
    /// Its name.
    pub name: String,
    /// What it carries.
    pub kind: TrackKind,
    /// False while muted.
    pub enabled: bool,
    /// The publisher's rank for it.
    pub priority: Priority,
    /// When it was published; strictly increasing in the room.
    pub created: Timestamp,
    /// When it was muted, unmuted or ranked last; `None`: never.
    pub updated: Option<Timestamp>,
}

/// What a published track is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackKey {
    /// Its SID.
    Sid(TrackSid),
    /// Its name, unique among what its publisher has.
    Name(String),
}

/// The rules of a participant in any state; of one that is gone those it had last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRulesRow {
    /// All of them.
    pub rules: Rules,
    /// When the participant connected.
    pub created: Timestamp,
    /// When the API replaced them last; `None`: never.
    pub updated: Option<Timestamp>,
}
