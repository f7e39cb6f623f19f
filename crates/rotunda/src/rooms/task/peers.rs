//! The peer connections of a room's participants: descriptions to and fro, sessions and routes to
//! the media plane, fresh ones when media is lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use negotiation::{
    Description, DescriptionType, Fingerprint, LocalParameters, MediaKind, Output as PeerOutput, PeerConnection,
    VideoFormats,
};
use protocol::signaling::{Description as WireDescription, PeerConnectionState};
use room::{Announced, Input, ParticipantSid, TrackKind};
use sfu::{Event, TransportId};

use super::super::media::Place;
use super::super::seat::Peer;
use super::super::{Shared, random};
use super::{RoomTask, now};
use crate::config::VIDEO_CODECS;

impl RoomTask {
    /// A description of the client.
    pub(super) fn peer_told(&mut self, participant: ParticipantSid, state: PeerConnectionState) {
        let Some(description) = state.description else { return };
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let Some(peer) = seat.peer.as_mut().filter(|peer| peer.id == state.id) else {
            return;
        };
        if description.kind == "close" {
            self.replace_peer(participant);
            return;
        }
        let Some(description) = read(description) else { return };
        if let Err(error) = peer.connection.handle_description(&description, Instant::now()) {
            tracing::warn!(%participant, ?error, "a client's description was refused");
            self.media_failed(participant);
            return;
        }
        self.describe(participant);
    }

    pub(super) fn media_told(&mut self, event: Event) {
        match event {
            Event::Connected { transport } => tracing::debug!(?transport, "media connected"),
            Event::Interrupted { transport } => tracing::debug!(?transport, "media interrupted"),
            Event::Lost { transport, reason } => {
                let owner = self
                    .seats
                    .values()
                    .find(|seat| seat.peer.as_ref().is_some_and(|peer| peer.transport == transport));
                let Some(participant) = owner.map(|seat| seat.sid) else {
                    return;
                };
                tracing::info!(%participant, ?reason, "media lost");
                self.replace_peer(participant);
            }
        }
    }

    pub(super) fn media_failed(&mut self, participant: ParticipantSid) {
        self.room.handle(Input::MediaFailed { participant }, now());
    }

    /// Tells a peer connection what its client is to receive.
    pub(super) fn desire(&mut self, participant: ParticipantSid) {
        let epoch = self.row.epoch;
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let desired = seat.desired(epoch, |subscription| self.streams.of(subscription));
        if let Some(peer) = &mut seat.peer {
            peer.connection.set_desired(desired, Instant::now());
        }
        self.describe(participant);
    }

    /// Passes on what a peer connection has to say.
    pub(super) fn describe(&mut self, participant: ParticipantSid) {
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let Some(peer) = &mut seat.peer else { return };
        while let Some(state) = first_description(&mut peer.connection, &self.place, peer.transport, &peer.id) {
            seat.update.peer_connections.get_or_insert_default().push(state);
        }
        if seat.has_new_faults() {
            seat.update.subscribed = Some(seat.subscribed(self.row.epoch));
        }
    }

    /// Moves a client to a fresh peer connection, as many times as is sane.
    pub(super) fn replace_peer(&mut self, participant: ParticipantSid) {
        let epoch = self.row.epoch;
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let Some(old) = seat.peer.take() else { return };
        self.place.close(old.transport);
        if seat.socket.is_none() || !seat.admitted {
            return; // the client gets a fresh one when it is back
        }
        if self.fresh_peer(participant, vec![old.id])
            && let Some(seat) = self.seats.get_mut(&participant)
        {
            seat.update.subscribed = Some(seat.subscribed(epoch));
        }
    }

    /// Gives a client a new peer connection, made by `create-offer`, and closes those it has
    /// (signaling.md section 5.5). False if it had too many lately and is out.
    pub(super) fn fresh_peer(&mut self, participant: ParticipantSid, old: Vec<String>) -> bool {
        let parameters = self.local_parameters(self.first_revision());
        let epoch = self.row.epoch;
        let Some(seat) = self.seats.get_mut(&participant) else {
            return false;
        };
        if !seat.may_replace(Instant::now()) {
            self.media_failed(participant);
            return false;
        }
        if let Some(dead) = seat.peer.take() {
            self.place.close(dead.transport);
        }
        let generation = seat.next_generation(epoch);
        let id = format!("{participant}-{epoch}-{generation}");
        let transport = self.place.open(self.facts.clone());
        let mut connection = PeerConnection::new(parameters);
        let desired = seat.desired(epoch, |subscription| self.streams.of(subscription));
        connection.set_desired(desired, Instant::now());
        let say = |id: &str, kind: &str, revision| PeerConnectionState {
            id: id.to_owned(),
            description: Some(WireDescription {
                kind: kind.to_owned(),
                revision,
                sdp: None,
            }),
        };
        let closed = old.iter().map(|old| say(old, "close", 1));
        let states = closed
            .chain([say(&id, "create-offer", connection.request_offer())])
            .collect();
        seat.update.peer_connections = Some(states);
        seat.peer = Some(Peer {
            id,
            connection,
            transport,
        });
        seat.is_stale = true;
        for other in self.seats.values_mut() {
            if other
                .subscriptions
                .iter()
                .any(|subscription| subscription.publisher == participant)
            {
                other.is_stale = true;
            }
        }
        true
    }

    /// Tells the media plane of routes that changed.
    pub(super) fn route(&mut self) {
        let epoch = self.row.epoch;
        let transports: BTreeMap<ParticipantSid, TransportId> = self
            .seats
            .values()
            .filter_map(|seat| Some((seat.sid, seat.peer.as_ref()?.transport)))
            .collect();
        for seat in self.seats.values_mut().filter(|seat| seat.is_stale) {
            seat.is_stale = false;
            let Some(peer) = &seat.peer else { continue };
            let routes = seat.routes(epoch, |publisher| transports.get(&publisher).copied());
            self.place.send(sfu::Command::Subscribe {
                transport: peer.transport,
                routes,
            });
        }
    }

    /// Whether the offer of a client that comes in with video has none of the codecs that the room was restricted to. With
    /// the usual ones it is not looked at: every client that can send video at all has one of them.
    pub(super) fn lacks_video_codec(&self, announced: &Announced, arriving: &[PeerConnectionState]) -> bool {
        let codecs = &self.row.new.video_codecs;
        let has_video = announced.tracks.iter().any(|track| track.kind == TrackKind::Video);
        if self.row.new.audio_only || !has_video || codecs.len() >= VIDEO_CODECS.len() {
            return false;
        }
        let offer = arriving.first().and_then(|state| read(state.description.clone()?));
        let mut trial = PeerConnection::new(self.local_parameters(0));
        offer.is_some_and(|offer| trial.handle_description(&offer, Instant::now()).is_ok())
            && trial.lacks(MediaKind::Video)
    }

    /// Whether it is known of a participant that it has none of the room's codecs.
    pub(super) fn is_without_video_codec(&self, participant: ParticipantSid) -> bool {
        let peer = self.seats.get(&participant).and_then(|seat| seat.peer.as_ref());
        !self.row.new.audio_only && peer.is_some_and(|peer| peer.connection.lacks(MediaKind::Video))
    }

    pub(super) fn local_parameters(&self, first_revision: u64) -> LocalParameters {
        local_parameters(&self.place, &self.row.new.video_codecs, first_revision)
    }
}

pub(super) fn local_parameters(place: &Place, video_codecs: &[String], first_revision: u64) -> LocalParameters {
    parameters(place.fingerprint(), place.candidates(), video_codecs, first_revision)
}

fn parameters(
    fingerprint: Fingerprint,
    candidates: Arc<[SocketAddr]>,
    video_codecs: &[String],
    first_revision: u64,
) -> LocalParameters {
    LocalParameters {
        fingerprint,
        candidates,
        ice: negotiation::IceCredentials {
            ufrag: token(12),
            pwd: token(32),
        },
        seed: random(),
        video_formats: video_formats(video_codecs),
        first_revision,
    }
}

/// Marks the video of a client that has none of the room's codecs.
pub(super) fn mark_video(announced: &mut Announced) {
    let video = announced
        .tracks
        .iter_mut()
        .filter(|track| track.kind == TrackKind::Video);
    video.for_each(|track| track.has_codec = false);
}

/// Whether a client's first offer can be answered; no offer can.
pub(in crate::rooms) fn is_answerable(shared: &Shared, states: &[PeerConnectionState]) -> bool {
    let offer = match states {
        [] => return true,
        [state] => state.description.clone().and_then(read),
        _ => return false,
    };
    // Nobody is told what comes of it.
    let mut trial = PeerConnection::new(parameters(shared.media.fingerprint(), Arc::default(), &[], 0));
    offer.is_some_and(|offer| trial.handle_description(&offer, Instant::now()).is_ok())
}

/// The next description of a peer connection; sessions on the way go to the media plane.
pub(super) fn first_description(
    connection: &mut PeerConnection,
    place: &Place,
    transport: TransportId,
    id: &str,
) -> Option<PeerConnectionState> {
    loop {
        match connection.poll()? {
            PeerOutput::Apply(session) => place.send(sfu::Command::Apply { transport, session }),
            PeerOutput::Describe(description) => {
                let kind = match description.kind {
                    DescriptionType::Offer => "offer",
                    DescriptionType::Answer => "answer",
                };
                let description = WireDescription {
                    kind: kind.to_owned(),
                    revision: description.revision,
                    sdp: Some(description.sdp),
                };
                return Some(PeerConnectionState {
                    id: id.to_owned(),
                    description: Some(description),
                });
            }
        }
    }
}

pub(super) fn read(description: WireDescription) -> Option<Description> {
    let kind = match description.kind.as_str() {
        "offer" => DescriptionType::Offer,
        "answer" => DescriptionType::Answer,
        _ => return None,
    };
    Some(Description {
        kind,
        revision: description.revision,
        sdp: description.sdp?,
    })
}

/// The room's codecs and no others: whoever subscribes can count on what the room reports.
pub(super) fn video_formats(codecs: &[String]) -> VideoFormats {
    let has = |codec: &str| codecs.iter().any(|listed| listed == codec);
    VideoFormats {
        vp8: has("VP8"),
        h264: has("H264"),
        vp9: false,
        av1: false,
    }
}

/// Random letters and digits, as ICE credentials are made of (RFC 8839 section 5.4).
pub(super) fn token(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    random::<32>()
        .iter()
        .take(length)
        .map(|byte| ALPHABET[usize::from(byte % 32)] as char)
        .collect()
}
