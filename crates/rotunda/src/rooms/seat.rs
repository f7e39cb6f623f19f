//! A participant's seat in a room's task: its socket, its peer connection and what it receives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use negotiation::{DesiredTrack, MediaKind, PeerConnection};
use protocol::signaling::{PeerConnectionState, RoomUpdateBody, Subscribed, SubscribedTrack, TrackError};
use room::{ApiKeySid, ParticipantSid, SessionHash, Subscription, TrackKind, TrackSid};
use sfu::{Route, RouteMedia, TransportId};

use super::limits;
use super::socket::Socket;

/// The peer connection of a participant with the transport behind it.
pub(super) struct Peer {
    /// The id that both sides call it.
    pub(super) id: String,
    /// Its descriptions.
    pub(super) connection: PeerConnection,
    /// Its media.
    pub(super) transport: TransportId,
}

pub(super) struct Seat {
    pub(super) sid: ParticipantSid,
    pub(super) identity: String,
    pub(super) session: SessionHash,
    /// The key of the token it came with; `None` of a restored participant until it resumes.
    pub(super) key: Option<ApiKeySid>,
    /// The text for `connected`; empty for a restored participant, which has it.
    pub(super) session_text: String,
    pub(super) socket: Option<Socket>,
    /// Whether it was told that it is in.
    pub(super) admitted: bool,
    /// Of one that wants in: until when it waits for its row.
    pub(super) admission_due: Option<Instant>,
    pub(super) peer: Option<Peer>,
    /// Peer connections it had; part of the ids of what it receives, since the SDK keeps dead
    /// track objects when ids return (signaling.md section 5.5).
    generation: u32,
    /// What waits for [`room::Output::Admit`] or [`room::Output::Welcome`].
    pub(super) arriving: Vec<PeerConnectionState>,
    pub(super) subscriptions: Vec<Subscription>,
    received: BTreeMap<TrackSid, Received>,
    last_number: u64,
    pub(super) subscribed_revision: u64,
    /// Whether `subscriptions` changed since the client was told what it receives.
    pub(super) is_untold: bool,
    /// Ids that the last `subscribed` list told as impossible.
    unplaceable: Vec<Arc<str>>,
    /// Whether `subscriptions` or a source's transport changed since routes were last told.
    pub(super) is_stale: bool,
    /// What is to be said at the end of this turn.
    pub(super) update: RoomUpdateBody,
    replacements: Replacements,
}

/// A track on its way to this participant.
struct Received {
    /// A track that was not received for a while gets another, and so another id: the SDK keeps dead track objects, and
    /// browsers tell of a track only when a section starts to send it.
    number: u64,
    /// Made once, since each turn of a room asks every seat for all of them.
    media_id: Arc<str>,
}

#[derive(Default)]
struct Replacements {
    count: u32,
    since: Option<Instant>,
}

impl Seat {
    pub(super) fn new(sid: ParticipantSid, identity: String, session: SessionHash, first_revision: u64) -> Self {
        Self {
            sid,
            identity,
            session,
            key: None,
            session_text: String::new(),
            socket: None,
            admitted: false,
            admission_due: None,
            peer: None,
            generation: 0,
            arriving: Vec::new(),
            subscriptions: Vec::new(),
            received: BTreeMap::new(),
            last_number: 0,
            subscribed_revision: first_revision,
            is_untold: false,
            unplaceable: Vec::new(),
            is_stale: false,
            update: RoomUpdateBody::default(),
            replacements: Replacements::default(),
        }
    }

    /// From now on it receives these. `epoch` is the room's, as everywhere here.
    pub(super) fn receive(&mut self, subscriptions: Vec<Subscription>, epoch: u64) {
        let mut known = std::mem::take(&mut self.received);
        for subscription in &subscriptions {
            let track = subscription.track;
            let received = known.remove(&track).unwrap_or_else(|| {
                self.last_number += 1;
                let number = self.last_number;
                let media_id = media_id(track, epoch, self.generation, number);
                Received { number, media_id }
            });
            self.received.insert(track, received);
        }
        self.subscriptions = subscriptions;
        self.is_stale = true;
    }

    /// Begins with another peer connection, in which everything it receives has another id.
    pub(super) fn next_generation(&mut self, epoch: u64) -> u32 {
        self.generation += 1;
        for (track, received) in &mut self.received {
            received.media_id = media_id(*track, epoch, self.generation, received.number);
        }
        self.generation
    }

    /// The id that a track carries towards this participant.
    pub(super) fn media_id(&self, track: TrackSid, epoch: u64) -> Arc<str> {
        self.received.get(&track).map_or_else(
            || media_id(track, epoch, self.generation, 0),
            |received| Arc::clone(&received.media_id),
        )
    }

    /// The next complete `subscribed` list. What the client has no format for is told as such.
    pub(super) fn subscribed(&mut self, epoch: u64) -> Subscribed {
        self.subscribed_revision += 1;
        self.unplaceable = self.unplaceable_now();
        let tracks = self.subscriptions.iter().map(|subscription| {
            let sid = subscription.track.to_string();
            let id = self.media_id(subscription.track, epoch);
            if self.unplaceable.contains(&id) {
                let error = TrackError {
                    code: 53404,
                    message: "No supported codec".to_owned(),
                };
                SubscribedTrack::Failed { sid, error }
            } else {
                SubscribedTrack::Ready {
                    sid,
                    id: id.to_string(),
                }
            }
        });
        Subscribed {
            revision: self.subscribed_revision,
            tracks: tracks.collect(),
        }
    }

    /// Whether the last `subscribed` list no longer says what the client can take.
    pub(super) fn has_new_faults(&self) -> bool {
        self.admitted && self.unplaceable != self.unplaceable_now()
    }

    fn unplaceable_now(&self) -> Vec<Arc<str>> {
        self.peer
            .as_ref()
            .map_or_else(Vec::new, |peer| peer.connection.unplaceable())
    }

    /// The sections that this participant needs. `stream` names the stream of a track.
    pub(super) fn desired(&self, epoch: u64, stream: impl Fn(&Subscription) -> Arc<str>) -> Vec<DesiredTrack> {
        self.subscriptions
            .iter()
            .filter_map(|subscription| {
                let kind = media_kind(subscription.kind)?;
                let track_id = self.media_id(subscription.track, epoch);
                Some(DesiredTrack {
                    track_id,
                    stream_id: stream(subscription),
                    kind,
                })
            })
            .collect()
    }

    /// The ways of its subscriptions through the media plane. `transport` tells a publisher's.
    pub(super) fn routes(&self, epoch: u64, transport: impl Fn(ParticipantSid) -> Option<TransportId>) -> Vec<Route> {
        self.subscriptions
            .iter()
            .filter_map(|subscription| {
                Some(Route {
                    source: transport(subscription.publisher)?,
                    source_id: subscription.media_id.as_str().into(),
                    id: self.media_id(subscription.track, epoch),
                    media: media_kind(subscription.kind).map_or(RouteMedia::Data, RouteMedia::Rtp),
                })
            })
            .collect()
    }

    /// Counts a fresh peer connection; false if there were too many lately.
    pub(super) fn may_replace(&mut self, now: Instant) -> bool {
        let recent = self
            .replacements
            .since
            .is_some_and(|since| now.duration_since(since) < limits::REPLACEMENT_WINDOW);
        if !recent {
            self.replacements = Replacements {
                count: 0,
                since: Some(now),
            };
        }
        self.replacements.count += 1;
        self.replacements.count <= limits::REPLACEMENTS
    }
}

fn media_id(track: TrackSid, epoch: u64, generation: u32, number: u64) -> Arc<str> {
    format!("{track}-{epoch}-{generation}-{number}").into()
}

fn media_kind(kind: TrackKind) -> Option<MediaKind> {
    match kind {
        TrackKind::Audio => Some(MediaKind::Audio),
        TrackKind::Video => Some(MediaKind::Video),
        TrackKind::Data => None,
    }
}
