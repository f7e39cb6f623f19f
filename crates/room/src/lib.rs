//! What a room decides, without I/O, clock, randomness, serde or SQL.

mod change;
mod sid;
mod track;

pub use change::{Change, EventKind, ParticipantStatus, RoomStatus, SessionHash, Timestamp};
pub use sid::{AccountSid, ApiKeySid, InvalidSid, ParticipantSid, RoomSid, TrackSid};
pub use track::{Priority, Track, TrackKind};
