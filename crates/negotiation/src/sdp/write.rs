//! Writes a description, CRLF after every line (signaling.md section 6.1).

use std::fmt;

use super::{Direction, MediaDescription, RtpMap, SessionDescription, Setup};
use crate::session::Fingerprint;

impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "v=0\r\no=- {} {} IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
            self.id, self.version
        )?;
        if self.ice_lite {
            write!(f, "a=ice-lite\r\n")?;
        }
        if !self.bundle.is_empty() {
            write!(f, "a=group:BUNDLE")?;
            for mid in &self.bundle {
                write!(f, " {mid}")?;
            }
            write!(f, "\r\n")?;
        }
        if self.extmap_allow_mixed {
            write!(f, "a=extmap-allow-mixed\r\n")?;
        }
        write!(f, "a=msid-semantic: WMS *\r\n")?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

impl fmt::Display for MediaDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {}", self.media, self.port, self.protocol)?;
        for format in &self.formats {
            write!(f, " {format}")?;
        }
        write!(f, "\r\nc=IN IP4 0.0.0.0\r\n")?;
        self.write_transport(f)?;
        if let Some(mid) = &self.mid {
            write!(f, "a=mid:{mid}\r\n")?;
        }
        if self.bundle_only {
            write!(f, "a=bundle-only\r\n")?;
        }
        for (id, uri) in &self.extensions {
            write!(f, "a=extmap:{id} {uri}\r\n")?;
        }
        write!(f, "a={}\r\n", self.direction)?;
        if let Some(msid) = &self.msid {
            write!(f, "a=msid:{}", msid.stream)?;
            if let Some(track) = &msid.track {
                write!(f, " {track}")?;
            }
            write!(f, "\r\n")?;
        }
        if self.rtcp_mux {
            write!(f, "a=rtcp-mux\r\n")?;
        }
        if self.rtcp_rsize {
            write!(f, "a=rtcp-rsize\r\n")?;
        }
        self.write_formats(f)?;
        self.write_ssrcs(f)?;
        if let Some(port) = self.sctp_port {
            write!(f, "a=sctp-port:{port}\r\n")?;
        }
        if let Some(size) = self.max_message_size {
            write!(f, "a=max-message-size:{size}\r\n")?;
        }
        Ok(())
    }
}

impl MediaDescription {
    fn write_transport(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, candidate) in self.candidates.iter().enumerate() {
            let address = candidate.ip().to_canonical();
            let foundation = index + 1;
            let priority = host_priority(index);
            let port = candidate.port();
            write!(
                f,
                "a=candidate:{foundation} 1 udp {priority} {address} {port} typ host\r\n"
            )?;
        }
        if !self.candidates.is_empty() {
            write!(f, "a=end-of-candidates\r\n")?;
        }
        if let Some(ice) = &self.ice {
            write!(f, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", ice.ufrag, ice.pwd)?;
        }
        if let Some(fingerprint) = &self.fingerprint {
            write_fingerprint(f, fingerprint)?;
        }
        match self.setup {
            Some(Setup::Active) => write!(f, "a=setup:active\r\n"),
            Some(Setup::Passive) => write!(f, "a=setup:passive\r\n"),
            Some(Setup::ActPass) => write!(f, "a=setup:actpass\r\n"),
            None => Ok(()),
        }
    }

    /// Keeps the lines of a payload type together, as browsers do.
    fn write_formats(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, what) in self.feedback.iter().filter(|(of, _)| of.is_none()) {
            write!(f, "a=rtcp-fb:* {what}\r\n")?;
        }
        for RtpMap {
            payload_type,
            encoding,
            clock_rate,
            channels,
        } in &self.rtpmaps
        {
            write!(f, "a=rtpmap:{payload_type} {encoding}/{clock_rate}")?;
            if let Some(channels) = channels {
                write!(f, "/{channels}")?;
            }
            write!(f, "\r\n")?;
            for (_, what) in self.feedback.iter().filter(|(of, _)| *of == Some(*payload_type)) {
                write!(f, "a=rtcp-fb:{payload_type} {what}\r\n")?;
            }
            for (_, parameters) in self.fmtps.iter().filter(|(of, _)| of == payload_type) {
                write!(f, "a=fmtp:{payload_type} {parameters}\r\n")?;
            }
        }
        Ok(())
    }

    fn write_ssrcs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (semantics, members) in &self.ssrc_groups {
            write!(f, "a=ssrc-group:{semantics}")?;
            for member in members {
                write!(f, " {member}")?;
            }
            write!(f, "\r\n")?;
        }
        for line in &self.ssrcs {
            write!(f, "a=ssrc:{} {}:{}\r\n", line.ssrc, line.name, line.value)?;
        }
        Ok(())
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        })
    }
}

/// RFC 8445 section 5.1.2.1 with the type preference of host candidates, component 1, and a local
/// preference that falls with the place in the list.
fn host_priority(index: usize) -> u32 {
    let local = u16::MAX - u16::try_from(index).unwrap_or(u16::MAX);
    (126 << 24) | (u32::from(local) << 8) | 255
}

fn write_fingerprint(f: &mut fmt::Formatter<'_>, fingerprint: &Fingerprint) -> fmt::Result {
    write!(f, "a=fingerprint:sha-256 ")?;
    for (index, byte) in fingerprint.0.iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        write!(f, "{colon}{byte:02X}")?;
    }
    write!(f, "\r\n")
}
