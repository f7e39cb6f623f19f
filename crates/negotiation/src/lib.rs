//! SDP in and out, revisions, glare: the pure state machine of one peer connection.
//!
//! A [`PeerConnection`] is told what the client said ([`PeerConnection::handle_description`],
//! [`PeerConnection::handle_sync`]), what the client is to receive
//! ([`PeerConnection::set_desired`]) and that time passed ([`PeerConnection::handle_timeout`]).
//! After each of these it is polled until `None`:
//!
//! ```text
//!   client ──description──►┌────────────────┐──Describe──► client
//!   room ───desired tracks►│ PeerConnection │
//!   timer ─────────────────►└───────────────┘──Apply─────► media engine
//! ```
//!
//! The protocol is that of signaling.md sections 5 to 7 and 10: the client always offers first;
//! afterwards either side may, under one counter of revisions, and the client gives way when both
//! do at once. Sections carry both directions, each by itself.
//!
//! ```
//! use std::time::Instant;
//! use negotiation::*;
//!
//! # let fingerprint = Fingerprint([0; 32]);
//! # let ice = IceCredentials { ufrag: "ufragufrag".into(), pwd: "a".repeat(32) };
//! # let hex = ["00"; 32].join(":");
//! # let sdp = format!("v=0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
//! #     a=ice-ufrag:abcd\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {hex}\r\na=setup:actpass\r\n\
//! #     a=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n", "b".repeat(24));
//! # let now = Instant::now();
//! let mut connection = PeerConnection::new(LocalParameters {
//!     fingerprint,
//!     candidates: ["192.0.2.1:8081".parse().unwrap()].into(),
//!     ice,
//!     seed: [7; 32],
//!     video_formats: VideoFormats { vp8: true, h264: true, vp9: true, av1: true },
//!     first_revision: 0,
//! });
//! let offer = Description { kind: DescriptionType::Offer, revision: 1, sdp };
//! connection.handle_description(&offer, now)?;
//! let mut told = Vec::new();
//! while let Some(output) = connection.poll() {
//!     match output {
//!         Output::Apply(session) => assert_eq!(session.sections.len(), 1),
//!         Output::Describe(description) => told.push((description.kind, description.revision)),
//!     }
//! }
//! // The answer, and at once an offer that adds data channels.
//! assert_eq!(told, [(DescriptionType::Answer, 1), (DescriptionType::Offer, 2)]);
//! # Ok::<(), DescriptionError>(())
//! ```

mod agreement;
mod codecs;
mod derive;
mod describe;
mod limits;
mod peer_connection;
mod receive;
pub mod sdp;
mod sections;
mod session;
mod ssrcs;

pub use session::{
    Codec, CodecFormat, DtlsRole, Extension, Feedback, Fingerprint, IceCredentials, Layer, MediaKind,
    NegotiatedSession, Receive, Sctp, Section, Send,
};

pub use peer_connection::PeerConnection;
pub use ssrcs::{STREAMS_MAX, stream_index};

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// What is ours and the same for the whole life of a peer connection.
#[derive(Clone)]
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

impl fmt::Debug for LocalParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalParameters")
            .field("candidates", &self.candidates)
            .field("ice", &self.ice)
            .field("video_formats", &self.video_formats)
            .field("first_revision", &self.first_revision)
            .finish_non_exhaustive()
    }
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

/// Why a client's description was refused. The state is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// Not SDP, or SDP without what a WebRTC description must have; says which line.
    #[error("reading the client's description: {0}")]
    Malformed(String),
    /// Larger than a bound in limits.rs; says which.
    #[error("reading the client's description: it is beyond {0}")]
    TooLarge(&'static str),
}
