//! Everything a room can ask for.

use crate::{Change, ParticipantSid, ParticipantStatus, Track, TrackKind, TrackSid};

/// Everything a room can ask for, in order. What tells anybody of a change comes after the store
/// has confirmed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Make these durable in one transaction, then say [`crate::Input::Stored`]. Batches may be
    /// under way together but are confirmed in order. Comes before all that waits for it, and never
    /// waits itself.
    Persist {
        /// Grows by one, from 1.
        batch: u64,
        /// In order; never empty.
        changes: Vec<Change>,
    },
    /// The participant is in: tell it so, with everything about the room.
    Admit {
        /// Who.
        participant: ParticipantSid,
        /// What it sees.
        view: View,
    },
    /// The client is not let in. No row was made. May come after [`Output::Ended`].
    Refuse {
        /// Who would have been.
        participant: ParticipantSid,
        /// Why.
        refusal: Refusal,
    },
    /// The participant is back: tell it so, with everything about the room. Revisions in it may be
    /// those it was told before.
    Welcome {
        /// Who.
        participant: ParticipantSid,
        /// What it sees.
        view: View,
    },
    /// Tell a participant of a change of another one. Only who is connected is told; who is
    /// reconnecting sees it in its [`Output::Welcome`].
    TellParticipant {
        /// Whom.
        to: ParticipantSid,
        /// The other one, as it is now.
        about: ParticipantView,
    },
    /// Tell a participant what became of its tracks, when its list changed that.
    TellPublished {
        /// Whom.
        to: ParticipantSid,
        /// Its tracks.
        published: Published,
    },
    /// A participant, connected or reconnecting, is to receive these tracks and no others. Said when
    /// it differs from the last [`Output::Subscribe`], [`Output::Admit`] or [`Output::Welcome`].
    Subscribe {
        /// Who.
        participant: ParticipantSid,
        /// All of them, by the arrival of their publishers.
        tracks: Vec<Subscription>,
    },
    /// The participant is out; its row is final. Nothing more is said to it.
    Dismiss {
        /// Who.
        participant: ParticipantSid,
        /// Why.
        reason: Dismissal,
    },
    /// The room is completed and everyone was dismissed: nothing will happen any more, and who
    /// still wants in is refused.
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
    /// Grows with each change; the first is [`crate::RoomConfig::first_revision`] + 1.
    pub revision: u64,
    /// Where it is.
    pub status: ParticipantStatus,
    /// Its tracks, oldest first; of one that is gone, those it had at last.
    pub tracks: Vec<Track>,
}

/// What became of a participant's tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Grows with each change; the first is [`crate::RoomConfig::first_revision`] + 1.
    pub revision: u64,
    /// Media id and SID of all that are published, oldest first.
    pub ready: Vec<(String, TrackSid)>,
    /// Media id of those newly refused, and why. In [`Output::Welcome`] of all refused that are still
    /// on the client's list, since it may not have heard: a client waits for an answer to each track.
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

/// Why a track is refused (signaling.md section 11). It stays refused, and is not told of again,
/// until the client has taken it off its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackFault {
    /// No media id, or one longer than [`crate::limits::MEDIA_ID_BYTES`]: code 53300.
    Invalid,
    /// Name longer than [`crate::limits::TRACK_NAME_CHARS`]: code 53302.
    NameTooLong,
    /// Name with U+0000: code 53303.
    NameChars,
    /// Name of another track of the same participant: code 53304.
    NameDuplicated,
    /// More than [`crate::limits::TRACKS_PER_PARTICIPANT`]: code 53203.
    TooMany,
    /// Video in an audio-only room: code 53125.
    KindNotSupported,
    /// The client and the room have no codec for it in common: code 53404.
    NoCodec,
}
