//! Session descriptions (RFC 8866) as values: the subset that WebRTC writes (RFC 9429).
//!
//! What we do not use is dropped when reading. Reading what was written gives the same value.

mod parse;
mod write;

use std::net::SocketAddr;

use crate::session::{Fingerprint, IceCredentials};

pub use crate::codecs::formats;
pub use crate::receive::receive;
pub use parse::parse;

/// A whole description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionDescription {
    /// `sess-id` of the `o=` line.
    pub id: u64,
    /// `sess-version` of the `o=` line.
    pub version: u64,
    /// `a=ice-lite`.
    pub ice_lite: bool,
    /// `a=extmap-allow-mixed` (RFC 8285) at session level.
    pub extmap_allow_mixed: bool,
    /// Mids of the first `a=group:BUNDLE`.
    pub bundle: Vec<String>,
    /// The m= sections in order.
    pub media: Vec<MediaDescription>,
}

/// One m= section. Attributes of the session level that apply to sections are copied into each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaDescription {
    /// `audio`, `video`, `application` or anything else.
    pub media: String,
    /// 0 with `bundle_only` unset: rejected.
    pub port: u16,
    /// `UDP/TLS/RTP/SAVPF` and the like.
    pub protocol: String,
    /// Payload types, or `webrtc-datachannel`.
    pub formats: Vec<String>,
    /// `a=mid`; only a rejected section may lack it.
    pub mid: Option<String>,
    /// `a=bundle-only`: port 0 does not mean rejected.
    pub bundle_only: bool,
    /// `a=ice-ufrag` and `a=ice-pwd`.
    pub ice: Option<IceCredentials>,
    /// The `sha-256` one.
    pub fingerprint: Option<Fingerprint>,
    /// `a=setup`.
    pub setup: Option<Setup>,
    /// Host candidates to write, all there are; never read.
    pub candidates: Vec<SocketAddr>,
    /// `sendrecv` if nothing is said.
    pub direction: Direction,
    /// `a=rtcp-mux`.
    pub rtcp_mux: bool,
    /// `a=rtcp-rsize`.
    pub rtcp_rsize: bool,
    /// `a=msid`.
    pub msid: Option<Msid>,
    /// `a=rtpmap` in order.
    pub rtpmaps: Vec<RtpMap>,
    /// `a=fmtp`: payload type and parameters.
    pub fmtps: Vec<(u8, String)>,
    /// `a=rtcp-fb`: payload type, `None` for `*`, and what.
    pub feedback: Vec<(Option<u8>, String)>,
    /// `a=extmap` without direction: id and URI.
    pub extensions: Vec<(u16, String)>,
    /// `a=ssrc` in order.
    pub ssrcs: Vec<SsrcAttribute>,
    /// `a=ssrc-group`: semantics and members.
    pub ssrc_groups: Vec<(String, Vec<u32>)>,
    /// `a=sctp-port`.
    pub sctp_port: Option<u16>,
    /// `a=max-message-size`, bytes.
    pub max_message_size: Option<u64>,
}

impl MediaDescription {
    /// A section with nothing but its m= line.
    pub fn new(media: &str, port: u16, protocol: &str, formats: Vec<String>) -> Self {
        Self {
            media: media.to_owned(),
            port,
            protocol: protocol.to_owned(),
            formats,
            mid: None,
            bundle_only: false,
            ice: None,
            fingerprint: None,
            setup: None,
            candidates: Vec::new(),
            direction: Direction::SendRecv,
            rtcp_mux: false,
            rtcp_rsize: false,
            msid: None,
            rtpmaps: Vec::new(),
            fmtps: Vec::new(),
            feedback: Vec::new(),
            extensions: Vec::new(),
            ssrcs: Vec::new(),
            ssrc_groups: Vec::new(),
            sctp_port: None,
            max_message_size: None,
        }
    }

    /// The writer gave this section up (RFC 9429 section 5.3.1).
    pub fn is_rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }

    /// `a=fmtp` parameters of a payload type.
    pub fn fmtp(&self, payload_type: u8) -> Option<&str> {
        self.fmtps
            .iter()
            .find(|(of, _)| *of == payload_type)
            .map(|(_, parameters)| parameters.as_str())
    }
}

/// `a=setup` (RFC 5763 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// `active`: sends the ClientHello.
    Active,
    /// `passive`: waits for it.
    Passive,
    /// `actpass`: the answerer chooses.
    ActPass,
}

/// Direction from the writer's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `sendrecv`
    SendRecv,
    /// `sendonly`
    SendOnly,
    /// `recvonly`
    RecvOnly,
    /// `inactive`
    Inactive,
}

impl Direction {
    /// The direction of a writer that does these.
    pub fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// The writer receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// `a=msid` (RFC 8830).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Msid {
    /// Stream id, `-` for none.
    pub stream: String,
    /// Track id: the second token.
    pub track: Option<String>,
}

/// `a=rtpmap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpMap {
    /// Of the format.
    pub payload_type: u8,
    /// As written; compare without case.
    pub encoding: String,
    /// Hz.
    pub clock_rate: u32,
    /// Of audio, if said.
    pub channels: Option<u8>,
}

/// One `a=ssrc` line (RFC 5576).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcAttribute {
    /// Which stream.
    pub ssrc: u32,
    /// `cname`, `msid`.
    pub name: String,
    /// After the colon.
    pub value: String,
}

#[cfg(test)]
mod tests;
