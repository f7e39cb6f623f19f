//! A room (rest.md section 8.1).

use serde::Serialize;

use super::Date;

/// A room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomResource {
    /// `RM…`
    pub sid: String,
    /// `in-progress` or `completed`.
    pub status: &'static str,
    /// When it was created.
    pub date_created: Date,
    /// When its state changed last.
    pub date_updated: Date,
    /// `AC…`
    pub account_sid: String,
    /// Always true.
    pub enable_turn: bool,
    /// The given name, else the room's own SID.
    pub unique_name: String,
    /// Where callbacks go.
    pub status_callback: Option<String>,
    /// `POST` or `GET`.
    pub status_callback_method: &'static str,
    /// When it was completed.
    pub end_time: Option<Date>,
    /// Whole seconds of its life, once it is completed.
    pub duration: Option<u64>,
    /// `group`, `go`, `peer-to-peer` or `group-small`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Participants at once, at most.
    pub max_participants: u32,
    /// Seconds a participant may stay.
    pub max_participant_duration: u32,
    /// Tracks at once, at most; 0 means no bound.
    pub max_concurrent_published_tracks: Option<u32>,
    /// Whether everything is recorded.
    pub record_participants_on_connect: bool,
    /// `VP8`, `H264`.
    pub video_codecs: Vec<String>,
    /// Where its media is handled.
    pub media_region: Option<String>,
    /// Whether video is refused.
    pub audio_only: bool,
    /// Minutes it stays after the last one left.
    pub empty_room_timeout: u32,
    /// Minutes it waits for the first one.
    pub unused_room_timeout: u32,
    /// Whether it was asked to be large.
    pub large_room: bool,
    /// The absolute address of this resource, made of its SID.
    pub url: String,
    /// What belongs to it.
    pub links: RoomLinks,
}

/// Absolute addresses below a room's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomLinks {
    /// Who is and was there.
    pub participants: String,
    /// What was recorded.
    pub recordings: String,
    /// What should be recorded.
    pub recording_rules: String,
    /// What was said.
    pub transcriptions: String,
}

impl RoomLinks {
    /// The links of the room at `url`.
    pub fn of(url: &str) -> Self {
        Self {
            participants: format!("{url}/Participants"),
            recordings: format!("{url}/Recordings"),
            recording_rules: format!("{url}/RecordingRules"),
            transcriptions: format!("{url}/Transcriptions"),
        }
    }
}
