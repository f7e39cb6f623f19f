//! SDP in and out, revisions, glare: the pure state machine of one peer connection.

mod session;

pub use session::{
    Codec, CodecFormat, DtlsRole, Extension, Feedback, Fingerprint, IceCredentials, Layer,
    MediaKind, NegotiatedSession, Receive, Sctp, Section, Send,
};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What is ours and the same for the whole life of a peer connection.
#[derive(Debug, Clone)]
pub struct LocalParameters {
    /// Hash of our DTLS certificate.
    pub fingerprint: Fingerprint,
    /// Where media can reach us; written as host candidates into every description.
    pub candidates: Arc<[SocketAddr]>,
    /// ICE credentials of the first exchange.
    pub ice: IceCredentials,
    /// Seed for later ICE credentials, SSRCs and the SDP session id: 32 bytes that nobody can
    /// guess. What is derived from it is deterministic.
    pub seed: [u8; 32],
    /// Video formats allowed in the room.
    pub video_formats: VideoFormats,
    /// Revision from which ours go on: 0, or `epoch << 32` after a restart.
    pub first_revision: u64,
}

/// Video formats that may be agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoFormats {
    /// VP8
    pub vp8: bool,
    /// H264
    pub h264: bool,
    /// VP9
    pub vp9: bool,
    /// AV1
    pub av1: bool,
}

/// A track that this client is to receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredTrack {
    /// The msid track id towards this client; unique for ever in this peer connection.
    pub track_id: Arc<str>,
    /// The msid stream id.
    pub stream_id: Arc<str>,
    /// Audio or video.
    pub kind: MediaKind,
}

/// `offer` or `answer` of a description (signaling.md section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptionType {
    /// `offer`
    Offer,
    /// `answer`
    Answer,
}

/// A description, from or to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Which.
    pub kind: DescriptionType,
    /// signaling.md section 5.2.
    pub revision: u64,
    /// CRLF lines.
    pub sdp: String,
}

/// What a peer connection asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this to the client.
    Describe(Description),
    /// Hand this to the media engine.
    Apply(Arc<NegotiatedSession>),
}

/// One peer connection of one client. `handle_*`, then `poll` until `None`.
#[derive(Debug)]
pub struct PeerConnection;

/// Why a client's description was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DescriptionError {
    /// Not SDP, or SDP without what a WebRTC description must have; says which line.
    Malformed(String),
    /// Larger than a bound in limits.rs; says which.
    TooLarge(&'static str),
}

#[allow(unused_variables, clippy::unimplemented)]
impl PeerConnection {
    /// A peer connection that has seen nothing yet.
    pub fn new(local: LocalParameters) -> Self {
        unimplemented!()
    }

    /// Says which tracks this client is to receive from now on, all of them, in order of age.
    pub fn set_desired(&mut self, tracks: Vec<DesiredTrack>, now: Instant) {
        unimplemented!()
    }

    /// A description arrived. Stale ones are ignored without an error.
    pub fn handle_description(&mut self, description: &Description, now: Instant) -> Result<(), DescriptionError> {
        unimplemented!()
    }

    /// The client resumed its session and told its latest local description (signaling.md
    /// section 10): repeats what may have been lost.
    pub fn handle_sync(&mut self, latest: Option<&Description>, now: Instant) -> Result<(), DescriptionError> {
        unimplemented!()
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        unimplemented!()
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        unimplemented!()
    }

    /// When `handle_timeout` wants to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }
}
