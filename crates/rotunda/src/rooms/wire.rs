//! From what a room says to what the client reads.

use protocol::signaling::{
    Published, PublishedTrack, RemoteParticipant, RemoteTrack, RoomUpdateBody, ServerMessage, TrackError,
};
use room::{Dismissal, ParticipantView, Refusal, TrackFault};

/// Version of RSP in all messages.
pub(super) const VERSION: u8 = 2;

pub(super) fn remote_participant(view: &ParticipantView) -> RemoteParticipant {
    RemoteParticipant {
        sid: view.sid.to_string(),
        identity: view.identity.clone(),
        revision: view.revision,
        state: view.status.as_str(),
        tracks: view
            .tracks
            .iter()
            .map(|track| RemoteTrack {
                sid: track.sid.to_string(),
                name: track.name.clone(),
                kind: track.kind.as_str(),
                enabled: track.enabled,
                priority: track.priority.as_str(),
            })
            .collect(),
    }
}

pub(super) fn published(published: room::Published) -> Published {
    let ready = published.ready.into_iter().map(|(id, sid)| PublishedTrack::Ready {
        id,
        sid: sid.to_string(),
    });
    let failed = published.failed.into_iter().map(|(id, fault)| PublishedTrack::Failed {
        id,
        error: fault_error(fault),
    });
    Published {
        revision: published.revision,
        tracks: ready.chain(failed).collect(),
    }
}

fn fault_error(fault: TrackFault) -> TrackError {
    let (code, message) = match fault {
        TrackFault::KindNotSupported => (53125, "The track kind is not supported by the Room"),
        TrackFault::NoCodec => (53404, "No supported codec"),
        TrackFault::Invalid => (53300, "Track is invalid"),
        TrackFault::NameTooLong => (53302, "Track name is too long"),
        TrackFault::NameChars => (53303, "Track name contains invalid characters"),
        TrackFault::NameDuplicated => (53304, "Track name is duplicated"),
        TrackFault::TooMany => (
            53203,
            "The maximum number of published tracks allowed in the Room at the same time has been reached",
        ),
    };
    TrackError {
        code,
        message: message.to_owned(),
    }
}

/// An `error` message.
pub(crate) fn error(code: u32, message: &str) -> ServerMessage {
    ServerMessage::Error {
        version: VERSION,
        code,
        message: message.to_owned(),
    }
}

/// What a client is told that may come again.
pub(crate) fn busy() -> ServerMessage {
    error(53006, "Video server is busy")
}

pub(super) fn refusal(refusal: Refusal) -> ServerMessage {
    match refusal {
        Refusal::RoomFull => error(53105, "Room contains too many Participants"),
        Refusal::RoomCompleted => error(53118, "Room completed"),
    }
}

/// What a participant that is out is told; nothing if it left by itself.
pub(super) fn dismissal(reason: Dismissal) -> Option<ServerMessage> {
    match reason {
        Dismissal::Left => None,
        Dismissal::DuplicateIdentity => Some(error(53205, "Participant disconnected because of duplicate identity")),
        Dismissal::Removed => Some(ServerMessage::Disconnected {
            version: VERSION,
            status: "disconnected",
        }),
        Dismissal::RoomCompleted => Some(ServerMessage::Disconnected {
            version: VERSION,
            status: "completed",
        }),
        Dismissal::TimeLimit => Some(error(53216, "Participant session length exceeded")),
        Dismissal::SessionLost => Some(error(53001, "Signaling connection disconnected")),
        Dismissal::MediaFailed => Some(error(53405, "Media connection failed or Media activity ceased")),
    }
}

/// Puts a participant's news into an update, in place of older news of the same one.
pub(super) fn note_participant(update: &mut RoomUpdateBody, participant: RemoteParticipant) {
    let list = update.participants.get_or_insert_default();
    list.retain(|other| other.sid != participant.sid);
    list.push(participant);
}

/// One `published` of two: entries of the earlier one that the later does not repeat come first.
pub(super) fn merge_published(earlier: Option<Published>, later: Published) -> Published {
    let failed = earlier.into_iter().flat_map(|earlier| earlier.tracks);
    let failed = failed.filter(|track| matches!(track, PublishedTrack::Failed { .. }));
    Published {
        revision: later.revision,
        tracks: failed.chain(later.tracks).collect(),
    }
}

/// Whether an update says nothing.
pub(super) fn is_empty(update: &RoomUpdateBody) -> bool {
    update.participants.is_none()
        && update.published.is_none()
        && update.subscribed.is_none()
        && update.peer_connections.is_none()
}
