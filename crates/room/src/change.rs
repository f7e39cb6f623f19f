//! What is remembered: the closed set of changes that a room asks the store to make durable.
//!
//! Changes that happen together go in one batch and are one transaction: rows, events and outbox
//! entries. Which change makes which event is said here, once ([`Change::event`]).

use crate::track::words;
use crate::{ParticipantSid, Priority, Rules, Track, TrackSid};

/// Wall-clock time, microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole seconds since 1970, rounded towards the past.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

/// SHA-256 of a session's secret: what the store keeps, so that its copy opens no session.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionHash(pub [u8; 32]);

impl std::fmt::Debug for SessionHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionHash(..)")
    }
}

words!(
    /// The state of a participant (rest.md section 9.5).
    ParticipantStatus {
        /// In the room.
        Connected = "connected",
        /// Its signaling is lost, its session still open.
        Reconnecting = "reconnecting",
        /// Gone; final.
        Disconnected = "disconnected",
    }
);

words!(
    /// The state of a room (rest.md section 8.6). The API's third word, `failed`, never occurs here.
    RoomStatus {
        /// May be joined.
        InProgress = "in-progress",
        /// Over; final.
        Completed = "completed",
    }
);

words!(
    /// What a room is called in the API (rest.md section 8.1). It decides how many it may be made for and which
    /// parameters go with it; the media of all of them takes the same way.
    RoomType {
        /// The usual one.
        Group = "group",
        /// For two.
        Go = "go",
        /// For ten.
        PeerToPeer = "peer-to-peer",
        /// For four.
        GroupSmall = "group-small",
    }
);

words!(
    /// What status callbacks tell (rest.md section 22.2).
    EventKind {
        /// A room was created.
        RoomCreated = "room-created",
        /// A room was completed.
        RoomEnded = "room-ended",
        /// A participant joined.
        ParticipantConnected = "participant-connected",
        /// A participant is gone.
        ParticipantDisconnected = "participant-disconnected",
        /// A track was published.
        TrackAdded = "track-added",
        /// A track was unpublished, or its publisher left.
        TrackRemoved = "track-removed",
        /// A track was unmuted.
        TrackEnabled = "track-enabled",
        /// A track was muted.
        TrackDisabled = "track-disabled",
    }
);

/// One durable change of a room that exists. The creation of a room is the store's own call.
///
/// `at` is what the calendar's clock said, which may step back: later changes may bear earlier
/// times. Durations are of the monotonic clock and do not hang on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A participant joined. Its row begins at the later of `at` and one microsecond after the
    /// room's last row, so that order in the room is strict.
    ParticipantConnected {
        /// New, random.
        participant: ParticipantSid,
        /// From the access token.
        identity: String,
        /// Hash of the secret that resumes the session.
        session: SessionHash,
        /// Its rules when it connects.
        rules: Rules,
        /// When.
        at: Timestamp,
    },
    /// Its signaling was lost.
    ParticipantReconnecting {
        /// Who.
        participant: ParticipantSid,
        /// When.
        at: Timestamp,
    },
    /// Its signaling is back.
    ParticipantResumed {
        /// Who.
        participant: ParticipantSid,
        /// When.
        at: Timestamp,
    },
    /// It is gone, and so are its tracks (each has its own [`Change::TrackUnpublished`] before).
    ParticipantDisconnected {
        /// Who.
        participant: ParticipantSid,
        /// When: the row's `end_time` and `date_updated`.
        at: Timestamp,
        /// Whole seconds of the stay, cut, from monotonic time.
        duration_s: u64,
    },
    /// Its identity is erased: from now on the text of its SID stands in its place. Also of one who is gone.
    ParticipantAnonymized {
        /// Who.
        participant: ParticipantSid,
    },
    /// Its rules were replaced, maybe by the same.
    SubscribeRules {
        /// Whose.
        participant: ParticipantSid,
        /// All of them.
        rules: Rules,
        /// When.
        at: Timestamp,
    },
    /// A track was published.
    TrackPublished {
        /// By whom.
        participant: ParticipantSid,
        /// What.
        track: Track,
        /// When.
        at: Timestamp,
    },
    /// A track was muted or unmuted.
    TrackEnabled {
        /// By whom.
        participant: ParticipantSid,
        /// Which.
        track: TrackSid,
        /// The new value.
        enabled: bool,
        /// When.
        at: Timestamp,
    },
    /// A track's priority changed.
    TrackPriority {
        /// By whom.
        participant: ParticipantSid,
        /// Which.
        track: TrackSid,
        /// The new value.
        priority: Priority,
        /// When.
        at: Timestamp,
    },
    /// A track was unpublished.
    TrackUnpublished {
        /// By whom.
        participant: ParticipantSid,
        /// Which.
        track: TrackSid,
        /// When.
        at: Timestamp,
    },
    /// The room is over. Everyone in it was disconnected by changes before this one.
    RoomCompleted {
        /// When.
        at: Timestamp,
        /// Whole seconds of its life, cut, from monotonic time.
        duration_s: u64,
    },
}

impl Change {
    /// The event that tells of this change, if any.
    pub const fn event(&self) -> Option<EventKind> {
        match self {
            Self::ParticipantConnected { .. } => Some(EventKind::ParticipantConnected),
            Self::ParticipantDisconnected { .. } => Some(EventKind::ParticipantDisconnected),
            Self::TrackPublished { .. } => Some(EventKind::TrackAdded),
            Self::TrackUnpublished { .. } => Some(EventKind::TrackRemoved),
            Self::TrackEnabled { enabled: true, .. } => Some(EventKind::TrackEnabled),
            Self::TrackEnabled { enabled: false, .. } => Some(EventKind::TrackDisabled),
            Self::RoomCompleted { .. } => Some(EventKind::RoomEnded),
            Self::ParticipantReconnecting { .. }
            | Self::ParticipantResumed { .. }
            | Self::ParticipantAnonymized { .. }
            | Self::SubscribeRules { .. }
            | Self::TrackPriority { .. } => None,
        }
    }
}
