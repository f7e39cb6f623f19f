//! Session descriptions (RFC 8866) as values: the subset that WebRTC writes (RFC 9429).
//!
//! What we do not use is dropped when reading. Reading what was written gives the same value.

mod parse;
mod write;

use std::net::SocketAddr;

use crate::session::{Fingerprint, IceCredentials};

pub(crate) use parse::parse;

/// A whole description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SessionDescription {
    /// `sess-id` of the `o=` line.
    pub(crate) id: u64,
    /// `sess-version` of the `o=` line.
    pub(crate) version: u64,
    /// `a=ice-lite`.
    pub(crate) ice_lite: bool,
    /// `a=extmap-allow-mixed` (RFC 8285) at session level.
    pub(crate) extmap_allow_mixed: bool,
    /// Mids of the first `a=group:BUNDLE`.
    pub(crate) bundle: Vec<String>,
    /// The m= sections in order.
    pub(crate) media: Vec<MediaDescription>,
}

/// One m= section. Attributes of the session level that apply to sections are copied into each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaDescription {
    /// `audio`, `video`, `application` or anything else.
    pub(crate) media: String,
    /// 0 with `bundle_only` unset: rejected.
    pub(crate) port: u16,
    /// `UDP/TLS/RTP/SAVPF` and the like.
    pub(crate) protocol: String,
    /// Payload types, or `webrtc-datachannel`.
    pub(crate) formats: Vec<String>,
    /// `a=mid`; only a rejected section may lack it.
    pub(crate) mid: Option<String>,
    /// `a=bundle-only`: port 0 does not mean rejected.
    pub(crate) bundle_only: bool,
    /// `a=ice-ufrag` and `a=ice-pwd`.
    pub(crate) ice: Option<IceCredentials>,
    /// The `sha-256` one.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// `a=setup`.
    pub(crate) setup: Option<Setup>,
    /// Host candidates to write, all there are; never read.
    pub(crate) candidates: Vec<SocketAddr>,
    /// `sendrecv` if nothing is said.
    pub(crate) direction: Direction,
    /// `a=rtcp-mux`.
    pub(crate) rtcp_mux: bool,
    /// `a=rtcp-rsize`.
    pub(crate) rtcp_rsize: bool,
    /// `a=msid`.
    pub(crate) msid: Option<Msid>,
    /// `a=rtpmap` in order.
    pub(crate) rtpmaps: Vec<RtpMap>,
    /// `a=fmtp`: payload type and parameters.
    pub(crate) fmtps: Vec<(u8, String)>,
    /// `a=rtcp-fb`: payload type, `None` for `*`, and what.
    pub(crate) feedback: Vec<(Option<u8>, String)>,
    /// `a=extmap` without direction: id and URI.
    pub(crate) extensions: Vec<(u16, String)>,
    /// `a=ssrc` in order.
    pub(crate) ssrcs: Vec<SsrcAttribute>,
    /// `a=ssrc-group`: semantics and members.
    pub(crate) ssrc_groups: Vec<(String, Vec<u32>)>,
    /// `a=sctp-port`.
    pub(crate) sctp_port: Option<u16>,
    /// `a=max-message-size`, bytes.
    pub(crate) max_message_size: Option<u64>,
}

impl MediaDescription {
    /// A section with nothing but its m= line.
    pub(crate) fn new(media: &str, port: u16, protocol: &str, formats: Vec<String>) -> Self {
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
    pub(crate) fn is_rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }

    /// `a=fmtp` parameters of a payload type.
    pub(crate) fn fmtp(&self, payload_type: u8) -> Option<&str> {
        self.fmtps
            .iter()
            .find(|(of, _)| *of == payload_type)
            .map(|(_, parameters)| parameters.as_str())
    }
}

/// `a=setup` (RFC 5763 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    Active,
    Passive,
    ActPass,
}

/// Direction from the writer's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub(crate) fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    pub(crate) fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub(crate) fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// `a=msid` (RFC 8830).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Msid {
    /// Stream id, `-` for none.
    pub(crate) stream: String,
    /// Track id: the second token.
    pub(crate) track: Option<String>,
}

/// `a=rtpmap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RtpMap {
    pub(crate) payload_type: u8,
    /// As written; compare without case.
    pub(crate) encoding: String,
    /// Hz.
    pub(crate) clock_rate: u32,
    pub(crate) channels: Option<u8>,
}

/// One `a=ssrc` line (RFC 5576).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SsrcAttribute {
    pub(crate) ssrc: u32,
    /// `cname`, `msid`.
    pub(crate) name: String,
    pub(crate) value: String,
}

#[cfg(test)]
mod tests;
