//! Everything a room can ask for.

use crate::{Change, ParticipantSid, ParticipantStatus, Track, TrackKind, TrackSid};

/// Everything a room can ask for, in order. What tells anybody of a change comes after the store
/// has confirmed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Make these durable in one transaction, then say [`crate::Input::Stored`]. Batches may be
    /// under way together but are confirmed in order.
    Persist {
        /// Grows by one, from 1.
        batch: u64,
        /// What.
        changes: Vec<Change>,
    },
    /// The participant is in: tell it so, with everything about the room.
    Admit {
        /// Who.
        participant: ParticipantSid,
        /// What it sees.
        view: View,
    },
    /// The client is not let in. No row was made.
    Refuse {
        /// Who would have been.
        participant: ParticipantSid,
        /// Why.
        refusal: Refusal,
    },
    /// The participant is back: tell it so, with everything about the room.
    Welcome {
        /// Who.
        participant: ParticipantSid,
        /// What it sees.
        view: View,
    },
    /// Tell a participant of a change of another one.
    TellParticipant {
        /// Whom.
        to: ParticipantSid,
        /// The other one, as it is now.
        about: ParticipantView,
    },
    /// Tell a participant what became of its tracks.
    TellPublished {
        /// Whom.
        to: ParticipantSid,
        /// Its tracks.
        published: Published,
    },
    /// A participant is to receive these tracks and no others.
    Subscribe {
        /// Who.
        participant: ParticipantSid,
        /// All of them, by the arrival of their publishers.
        tracks: Vec<Subscription>,
    },
    /// The participant is out; its row is final.
    Dismiss {
        /// Who.
        participant: ParticipantSid,
        /// Why.
        reason: Dismissal,
    },
    /// The room is completed and everyone was dismissed: nothing will happen any more.
    Ended,
}

/// What a participant sees when it comes in or back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Everyone else, in order of arrival.
    pub others: Vec<ParticipantView>,
    /// Its own tracks.
    pub published: Published,
    /// What it receives, by the arrival of the publishers.
    pub subscriptions: Vec<Subscription>,
}

/// A participant as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantView {
    /// `PA…`
    pub sid: ParticipantSid,
    /// From its token.
    pub identity: String,
    /// Grows with each change.
    pub revision: u64,
    /// Where it is.
    pub status: ParticipantStatus,
    /// Its tracks, oldest first.
    pub tracks: Vec<Track>,
}

/// What became of a participant's tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Grows with each change.
    pub revision: u64,
    /// Media id and SID of all that are published.
    pub ready: Vec<(String, TrackSid)>,
    /// Media id of those newly refused, and why.
    pub failed: Vec<(String, TrackFault)>,
}

/// One participant's claim on one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Which track.
    pub track: TrackSid,
    /// Whose.
    pub publisher: ParticipantSid,
    /// The id it carries from its publisher.
    pub media_id: String,
    /// What it carries.
    pub kind: TrackKind,
}

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many as may are in: code 53105.
    RoomFull,
    /// The room is over: code 53118.
    RoomCompleted,
}

/// Why a participant is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dismissal {
    /// It left.
    Left,
    /// The same identity joined again: code 53205.
    DuplicateIdentity,
    /// The API removed it: no code (rest.md section 9.4).
    Removed,
    /// The room is over: code 53118.
    RoomCompleted,
    /// It stayed as long as the room allows: code 53216.
    TimeLimit,
    /// It did not come back in time: code 53001, if anybody hears it.
    SessionLost,
    /// Its media cannot be brought up: code 53405.
    MediaFailed,
}

/// Why a track is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackFault {
    /// No media id, or one that is too long or used twice: code 53300.
    Invalid,
    /// Name too long: code 53302.
    NameTooLong,
    /// Name with U+0000: code 53303.
    NameChars,
    /// Name of another track of the same participant: code 53304.
    NameDuplicated,
    /// Too many tracks: code 53203.
    TooMany,
}
