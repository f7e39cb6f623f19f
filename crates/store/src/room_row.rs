//! Rooms: what they are created with, remembered as, listed by and restored from.

use room::{AccountSid, RoomSid, RoomStatus, RoomType, Timestamp};

use crate::{CallbackMethod, LiveParticipant};

/// What a room is created with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// New, random.
    pub sid: RoomSid,
    /// Its name; `None`: its SID is its name.
    pub unique_name: Option<String>,
    /// What it is called.
    pub kind: RoomType,
    /// Whether video is refused.
    pub audio_only: bool,
    /// Whether it was asked to be large; reported only.
    pub large_room: bool,
    /// Whether a joining client made it: then it ends when it is empty.
    pub ad_hoc: bool,
    /// Where callbacks go.
    pub status_callback: Option<String>,
    /// How.
    pub status_callback_method: CallbackMethod,
    /// Bound on participants at once.
    pub max_participants: u32,
    /// Seconds a participant may stay.
    pub max_participant_duration_s: u32,
    /// Minutes it stays after the last one left.
    pub empty_room_timeout_min: u32,
    /// Minutes it waits for the first one.
    pub unused_room_timeout_min: u32,
    /// `VP8`, `H264`: in the order given.
    pub video_codecs: Vec<String>,
    /// `MediaRegion`, as reported.
    pub media_region: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A room as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    /// Whose.
    pub account: AccountSid,
    /// What it was created with. `new.at` is its time of creation as ordered.
    pub new: NewRoom,
    /// In progress or completed.
    pub status: RoomStatus,
    /// Time of the last change of its state.
    pub updated: Timestamp,
    /// When it was completed.
    pub ended: Option<Timestamp>,
    /// Seconds of its life, once completed.
    pub duration_s: Option<u64>,
    /// Fencing: each process that takes the room over raises it.
    pub epoch: u64,
}

/// What a room is restored from after a restart.
#[derive(Debug, Clone)]
pub struct LiveRoom {
    /// The row, with the epoch of the new owner.
    pub room: RoomRow,
    /// Everyone not disconnected, oldest first, all `reconnecting`.
    pub participants: Vec<LiveParticipant>,
    /// Whether anybody ever joined.
    pub was_joined: bool,
    /// When the last participant left, if it is empty and was joined.
    pub empty_since: Option<Timestamp>,
}

/// How a room is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomKey {
    /// In any state.
    Sid(RoomSid),
    /// In progress, of this name.
    Name(String),
}

/// Which rooms to list. All given filters must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomFilter {
    /// This state.
    pub status: RoomStatus,
    /// Only this name (a room without a name has its SID as name).
    pub unique_name: Option<String>,
    /// `created`, cut to whole seconds, is at least this.
    pub created_from_s: Option<i64>,
    /// `created`, cut to whole seconds, is less than this.
    pub created_before_s: Option<i64>,
}
