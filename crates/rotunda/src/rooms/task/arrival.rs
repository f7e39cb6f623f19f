//! What a client is told when it comes in, or back: everything about the room, at once.

use std::time::Instant;

use negotiation::PeerConnection;
use protocol::signaling::{
    Connected, Identified, Options, PeerConnectionState, Published, Recording, RemoteParticipant, RoomUpdateBody,
    ServerMessage, Subscribed, Synced,
};
use room::{ParticipantSid, Subscription, View};

use super::super::seat::Peer;
use super::super::wire;
use super::RoomTask;
use super::peers::{first_description, local_parameters, read};

impl RoomTask {
    pub(super) fn admit(&mut self, participant: ParticipantSid, view: View) {
        let epoch = self.row.epoch;
        self.streams.assign(&view.subscriptions);
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        seat.receive(view.subscriptions, epoch);
        let arriving = std::mem::take(&mut seat.arriving).into_iter().next();
        let offer = arriving.and_then(|state| Some((state.id, read(state.description?)?)));
        let mut answer = None;
        if let Some((id, offer)) = offer {
            let parameters = local_parameters(&self.place, &self.row.new.video_codecs, 0);
            let mut connection = PeerConnection::new(parameters);
            let desired = seat.desired(epoch, |subscription| self.streams.of(subscription));
            connection.set_desired(desired, Instant::now());
            if let Err(error) = connection.handle_description(&offer, Instant::now()) {
                tracing::warn!(%participant, ?error, "a client's offer was refused");
                self.media_failed(participant);
                return;
            }
            // Closed with the peer. Without one nobody would close it.
            let transport = self.place.open(self.facts.clone());
            answer = first_description(&mut connection, &self.place, transport, &id);
            seat.peer = Some(Peer {
                id,
                connection,
                transport,
            });
        }
        seat.admitted = true;
        seat.is_untold = false;
        seat.admission_due = None;
        let subscribed = seat.subscribed(epoch);
        let connected = Connected {
            version: wire::VERSION,
            session: seat.session_text.clone(),
            sid: self.row.new.sid.to_string(),
            name: self.name.clone(),
            participant: Identified {
                sid: participant.to_string(),
                identity: seat.identity.clone(),
            },
            options: Options {
                session_timeout: self.shared.config.session_timeout.as_secs(),
                signaling_region: self.shared.config.rooms.media_region.clone(),
                media_region: self.row.new.media_region.clone().unwrap_or_default(),
                audio_processors: Vec::new(),
            },
            state: complete_state(
                view.others.iter().map(wire::remote_participant).collect(),
                wire::published(view.published),
                subscribed,
                answer.into_iter().collect(),
            ),
        };
        self.tell(participant, ServerMessage::Connected(Box::new(connected)));
        self.describe(participant);
    }

    pub(super) fn welcome(&mut self, participant: ParticipantSid, view: View) {
        let epoch = self.row.epoch;
        self.streams.assign(&view.subscriptions);
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        seat.receive(view.subscriptions, epoch);
        let listed = std::mem::take(&mut seat.arriving);
        let kept = seat.peer.as_mut().and_then(|peer| {
            let latest = listed.iter().find(|state| state.id == peer.id)?;
            let latest = latest.description.clone().and_then(read);
            peer.connection.handle_sync(latest.as_ref(), Instant::now()).ok()
        });
        if kept.is_none() && !self.fresh_peer(participant, listed.iter().map(|state| state.id.clone()).collect()) {
            return;
        }
        let Some(seat) = self.seats.get_mut(&participant) else {
            return;
        };
        let states = match (&mut seat.peer, kept) {
            (Some(peer), Some(())) => {
                let bare = PeerConnectionState {
                    id: peer.id.clone(),
                    description: None,
                };
                vec![first_description(&mut peer.connection, &self.place, peer.transport, &peer.id).unwrap_or(bare)]
            }
            _ => seat.update.peer_connections.take().unwrap_or_default(),
        };
        seat.admitted = true;
        seat.is_untold = false;
        let subscribed = seat.subscribed(epoch);
        seat.update.subscribed = None;
        let synced = Synced {
            version: wire::VERSION,
            participant: Identified {
                sid: participant.to_string(),
                identity: seat.identity.clone(),
            },
            state: complete_state(
                view.others.iter().map(wire::remote_participant).collect(),
                wire::published(view.published),
                subscribed,
                states,
            ),
        };
        self.tell(participant, ServerMessage::Synced(Box::new(synced)));
        self.desire(participant);
    }

    /// Notes what a client is to receive; [`Self::tell_received`] says it.
    pub(super) fn subscribe(&mut self, participant: ParticipantSid, tracks: Vec<Subscription>) {
        self.streams.assign(&tracks);
        let epoch = self.row.epoch;
        if let Some(seat) = self.seats.get_mut(&participant) {
            seat.receive(tracks, epoch);
            // Else `connected` or `synced` will say it.
            seat.is_untold = seat.admitted;
        }
    }

    /// Once a turn, however many came and went in it: each time is work for everything that each client receives.
    pub(super) fn tell_received(&mut self) {
        let epoch = self.row.epoch;
        let untold = self.seats.values().filter(|seat| seat.is_untold);
        let untold: Vec<ParticipantSid> = untold.map(|seat| seat.sid).collect();
        for participant in untold {
            self.desire(participant);
            if let Some(seat) = self.seats.get_mut(&participant) {
                seat.is_untold = false;
                seat.update.subscribed = Some(seat.subscribed(epoch));
            }
        }
    }
}

fn complete_state(
    participants: Vec<RemoteParticipant>,
    published: Published,
    subscribed: Subscribed,
    peer_connections: Vec<PeerConnectionState>,
) -> RoomUpdateBody {
    RoomUpdateBody {
        participants: Some(participants),
        published: Some(published),
        subscribed: Some(subscribed),
        recording: Some(Recording {
            is_recording: false,
            revision: 1,
        }),
        media_signaling: Some(serde_json::Map::new()),
        peer_connections: Some(peer_connections),
    }
}
