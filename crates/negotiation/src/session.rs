//! The negotiated session: what both sides agreed on, as a value without SDP text.
//!
//! It is the seam between signaling and media. A [`NegotiatedSession`] is immutable; a later one
//! of the same peer connection has a higher [`NegotiatedSession::number`]. An engine applies it by
//! comparing with the one before.

use std::fmt;
use std::sync::Arc;

/// What both sides of one peer connection agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiatedSession {
    /// Grows with each session of the same peer connection, from 1.
    pub number: u64,
    /// Ours. They change when the client restarts ICE.
    pub local_ice: IceCredentials,
    /// The client's.
    pub remote_ice: IceCredentials,
    /// Hash of the client's DTLS certificate.
    pub remote_fingerprint: Fingerprint,
    /// Our role in the DTLS handshake; never changes.
    pub dtls_role: DtlsRole,
    /// Data channels, once `m=application` is agreed.
    pub sctp: Option<Sctp>,
    /// Audio and video sections in SDP order; stopped and rejected ones left out.
    pub sections: Vec<Section>,
}

/// ICE user name fragment and password (RFC 8445 section 5.3).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IceCredentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub pwd: String,
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceCredentials({}, ..)", self.ufrag)
    }
}

/// SHA-256 hash of a DTLS certificate (`a=fingerprint:sha-256`, RFC 8122).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))?;
        f.write_str(")")
    }
}

/// Who starts the DTLS handshake (`a=setup`, RFC 5763).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsRole {
    /// We send the ClientHello (`active`).
    Client,
    /// We wait for it (`passive`).
    Server,
}

/// The data-channel association (RFC 8841).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sctp {
    /// `mid` of `m=application`.
    pub mid: String,
    /// Largest message the client takes, bytes; 0 means any.
    pub max_message_size: u64,
}

/// One audio or video section. Its two directions are independent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `a=mid`.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// Payload formats agreed, most wanted first. Payload types are the same in both directions
    /// and mean the same in all sections of a bundle.
    pub codecs: Vec<Codec>,
    /// Header extensions agreed.
    pub extensions: Vec<(u8, Extension)>,
    /// What the client sends here.
    pub receive: Option<Receive>,
    /// What we send here.
    pub send: Option<Send>,
}

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaKind {
    /// `m=audio`
    Audio,
    /// `m=video`
    Video,
}

/// A payload format with its numbers in this peer connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Payload type of its retransmissions (RFC 4588), if agreed.
    pub rtx: Option<u8>,
    /// Which format.
    pub format: CodecFormat,
    /// RTP clock, Hz.
    pub clock_rate: u32,
    /// Feedback agreed.
    pub feedback: Feedback,
}

/// Which payload format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CodecFormat {
    /// RFC 7587.
    Opus {
        /// `useinbandfec=1`
        inband_fec: bool,
    },
    /// RFC 2198, wrapping the payload type given.
    Red {
        /// Payload type of the wrapped format.
        of: u8,
    },
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9 {
        /// `profile-id`
        profile: u8,
    },
    /// RFC 6184.
    H264 {
        /// `packetization-mode`
        packetization_mode: u8,
        /// `profile-level-id`: profile_idc, profile-iop, level_idc.
        profile_level_id: u32,
    },
    /// AV1 RTP payload specification.
    Av1 {
        /// `profile`
        profile: u8,
    },
}

/// RTCP feedback of a codec (RFC 4585, RFC 5104).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Feedback {
    /// `nack`
    pub nack: bool,
    /// `nack pli`
    pub pli: bool,
    /// `ccm fir`
    pub fir: bool,
    /// `transport-cc`
    pub transport_cc: bool,
}

/// Header extensions we know (RFC 8285).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extension {
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    AudioLevel,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`
    AbsSendTime,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`
    TransportWideCc,
    /// `urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 9143).
    Mid,
    /// `urn:3gpp:video-orientation`
    VideoOrientation,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`
    PlayoutDelay,
}

/// What the client sends on a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receive {
    /// The msid track id: names the published track (signaling.md section 6.2).
    pub track_id: String,
    /// One layer, or several for simulcast in the order of the `SIM` group. Empty if the
    /// description names no SSRC (then RTP is matched by the mid extension).
    pub layers: Vec<Layer>,
}

/// One RTP stream and the stream of its retransmissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layer {
    /// Of the media.
    pub ssrc: u32,
    /// Of its retransmissions, from the `FID` group.
    pub rtx: Option<u32>,
}

/// What we send on a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// The msid track id towards this client, as in `subscribed[].id`.
    pub track_id: Arc<str>,
    /// The msid stream id: tracks with the same one are played in sync.
    pub stream_id: Arc<str>,
    /// RTCP CNAME.
    pub cname: Arc<str>,
    /// Ours; the retransmission stream is there if the client takes RTX. Each SSRC tells the index of its stream
    /// ([`stream_index`](crate::stream_index)) and lies above all that this index had before: who sends with it can tell
    /// those that are over without keeping them.
    pub layer: Layer,
}
