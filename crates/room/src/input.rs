//! Everything a room can be told.

use std::time::Instant;

use crate::{ParticipantSid, Priority, SessionHash, Timestamp, TrackKind, TrackSid};

/// The time, on both clocks. Deadlines and durations use the monotonic one, rows the other.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Monotonic.
    pub mono: Instant,
    /// Of the calendar.
    pub wall: Timestamp,
}

/// Everything a room can be told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A client with a valid token wants in.
    Join(Join),
    /// A client told the whole list of its tracks.
    Tracks {
        /// Who.
        participant: ParticipantSid,
        /// What.
        announced: Announced,
    },
    /// A client left by itself.
    Leave {
        /// Who.
        participant: ParticipantSid,
    },
    /// A client's socket was lost without a word.
    SignalingLost {
        /// Who.
        participant: ParticipantSid,
    },
    /// A client is back with its session.
    Resume {
        /// Who.
        participant: ParticipantSid,
        /// Its tracks, as it knows them now.
        announced: Announced,
    },
    /// The API removes a participant.
    Remove {
        /// Who.
        participant: ParticipantSid,
    },
    /// A participant's media cannot be brought up.
    MediaFailed {
        /// Who.
        participant: ParticipantSid,
    },
    /// The API ends the room.
    Complete,
    /// The store made a batch durable; batches are confirmed in order.
    Stored {
        /// Its number, of [`crate::Output::Persist`].
        batch: u64,
    },
    /// Time passed.
    Timeout,
}

/// A client that wants in.
#[derive(Debug, Clone)]
pub struct Join {
    /// New, random; its own if it is let in.
    pub participant: ParticipantSid,
    /// From its token.
    pub identity: String,
    /// Resumes it.
    pub session: SessionHash,
    /// Whether it subscribes to everything or nothing.
    pub subscribe_all: bool,
    /// Its tracks.
    pub announced: Announced,
}

/// A client's list of its tracks (signaling.md section 4).
#[derive(Debug, Clone, Default)]
pub struct Announced {
    /// The client's revision; a list that is not newer than the last one is a repeat.
    pub revision: u64,
    /// All of them.
    pub tracks: Vec<AnnouncedTrack>,
}

/// One track in a client's list.
#[derive(Debug, Clone)]
pub struct AnnouncedTrack {
    /// The id its media carries.
    pub media_id: String,
    /// What it carries.
    pub kind: TrackKind,
    /// Its name.
    pub name: String,
    /// False while muted.
    pub enabled: bool,
    /// The publisher's rank for it.
    pub priority: Priority,
    /// New, random; the track's own if the track is new.
    pub fresh: TrackSid,
}
