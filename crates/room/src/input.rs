//! Everything a room can be told.

use std::time::Instant;

use crate::{ParticipantSid, Priority, Rules, SessionHash, Timestamp, TrackKind, TrackSid};

/// The time, on both clocks. Deadlines and durations use the monotonic one, which must not step
/// back; rows bear the other, which may.
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
    /// A client with a valid token wants in. Answered by [`crate::Output::Admit`] or
    /// [`crate::Output::Refuse`].
    Join(Join),
    /// A client told the whole list of its tracks. Answered by [`crate::Output::TellPublished`] if
    /// it changes anything or something in it is newly refused.
    Tracks {
        /// Who.
        participant: ParticipantSid,
        /// The list.
        announced: Announced,
    },
    /// A client left by itself.
    Leave {
        /// Who.
        participant: ParticipantSid,
    },
    /// A client's socket was lost without a word: it may come back within the session timeout
    /// (signaling.md section 10). The late close of a socket that was already replaced is not this.
    SignalingLost {
        /// Who.
        participant: ParticipantSid,
    },
    /// A client is back with its session, whether or not its old socket was seen to go. Answered
    /// by [`crate::Output::Welcome`]; nothing if the participant is out.
    Resume {
        /// Who.
        participant: ParticipantSid,
        /// Its tracks, as it knows them now: often a repeat.
        announced: Announced,
    },
    /// The API removes a participant (rest.md section 9.4). Nothing if it is out already.
    Remove {
        /// Who.
        participant: ParticipantSid,
    },
    /// The API erases the identity of a participant of the room, of one who is gone too. Who is told of one that is there
    /// after that is told its SID in the place of its identity; who knows the identity already is told nothing.
    Anonymize {
        /// Who.
        participant: ParticipantSid,
        /// What its row says until now.
        identity: String,
    },
    /// The API replaces a participant's rules (rest.md section 12), be it connected or reconnecting. Nothing if
    /// it is out.
    SubscribeRules {
        /// Whose.
        participant: ParticipantSid,
        /// All of them.
        rules: Rules,
    },
    /// A participant's media cannot be brought up.
    MediaFailed {
        /// Who.
        participant: ParticipantSid,
    },
    /// The API ends the room. Nothing if it is over already.
    Complete,
    /// The store made a batch, and all before it, durable.
    Stored {
        /// Its number, of [`crate::Output::Persist`].
        batch: u64,
    },
    /// Time passed: [`crate::Room::poll_timeout`] is reached. Too early, it does nothing.
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
    /// What it receives until other rules replace them.
    pub rules: Rules,
    /// Its tracks; may be none.
    pub announced: Announced,
}

/// A client's list of its tracks (signaling.md section 4).
#[derive(Debug, Clone, Default)]
pub struct Announced {
    /// The client's revision; a list that is not newer than the last one is a repeat and ignored.
    pub revision: u64,
    /// All of them: what is missing is unpublished. Of several with one media id the first counts.
    pub tracks: Vec<AnnouncedTrack>,
}

/// One track in a client's list.
#[derive(Debug, Clone)]
pub struct AnnouncedTrack {
    /// The id its media carries.
    pub media_id: String,
    /// What it carries. Fixed when the track is published.
    pub kind: TrackKind,
    /// Its name, at most [`crate::limits::TRACK_NAME_CHARS`] characters, none of them U+0000,
    /// unique among the client's tracks. Fixed when the track is published.
    pub name: String,
    /// False while muted. Ignored for data.
    pub enabled: bool,
    /// The publisher's rank for it.
    pub priority: Priority,
    /// False if it is known that its client and the room have no codec for it in common.
    pub has_codec: bool,
    /// New, random; the track's own if the track is new.
    pub fresh: TrackSid,
}
