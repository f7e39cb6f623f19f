//! Reads a description that a stranger wrote: bounded, and without panics.

use std::collections::BTreeSet;

use super::{Direction, MediaDescription, Msid, RtpMap, SessionDescription, Setup, SsrcAttribute};
use crate::DescriptionError;
use crate::limits::{ATTRIBUTES_MAX, LINE_BYTES_MAX, SDP_BYTES_MAX, SECTIONS_MAX, SSRCS_MAX, TOKEN_BYTES_MAX};
use crate::session::{Fingerprint, IceCredentials};

/// Reads a description. Lines end in CRLF or LF.
///
/// # Errors
/// What is no SDP, or beyond a bound in limits.rs.
pub fn parse(text: &str) -> Result<SessionDescription, DescriptionError> {
    if text.len() > SDP_BYTES_MAX {
        return Err(DescriptionError::TooLarge("SDP_BYTES_MAX"));
    }
    if !text.starts_with("v=0") {
        return Err(DescriptionError::Malformed("line 1: v=0 expected".to_owned()));
    }
    let mut parser = Parser::new();
    for (index, line) in text.lines().enumerate() {
        if line.len() > LINE_BYTES_MAX {
            return Err(DescriptionError::TooLarge("LINE_BYTES_MAX"));
        }
        parser.line(line).map_err(|fault| match fault {
            Fault::Bound(name) => DescriptionError::TooLarge(name),
            Fault::Syntax(what) => DescriptionError::Malformed(format!("line {}: {what}", index + 1)),
        })?;
    }
    parser.finish()
}

enum Fault {
    Bound(&'static str),
    Syntax(&'static str),
}

type Parsed<T> = Result<T, Fault>;

/// Attributes at session level go into `defaults`, which every later section starts as.
struct Parser {
    session: SessionDescription,
    defaults: MediaDescription,
    attributes: usize,
}

impl Parser {
    fn new() -> Self {
        Self {
            session: SessionDescription::default(),
            defaults: MediaDescription::new("", 0, "", Vec::new()),
            attributes: 0,
        }
    }

    fn line(&mut self, line: &str) -> Parsed<()> {
        if line.is_empty() {
            return Ok(());
        }
        if line.chars().any(char::is_control) {
            return Err(Fault::Syntax("control character"));
        }
        let (kind, value) = line.split_once('=').ok_or(Fault::Syntax("no `=`"))?;
        match kind {
            "m" => self.media_line(value),
            "a" => {
                self.attributes += 1;
                if self.attributes > ATTRIBUTES_MAX {
                    return Err(Fault::Bound("ATTRIBUTES_MAX"));
                }
                let (name, value) = value.split_once(':').unwrap_or((value, ""));
                if self.session.media.is_empty() && self.session_attribute(name, value)? {
                    return Ok(());
                }
                let media = self.session.media.last_mut().unwrap_or(&mut self.defaults);
                attribute(media, name, value)
            }
            "o" => {
                let mut words = value.split(' ').skip(1).map(str::parse);
                if let (Some(Ok(id)), Some(Ok(version))) = (words.next(), words.next()) {
                    (self.session.id, self.session.version) = (id, version);
                }
                Ok(())
            }
            _ if kind.len() == 1 => Ok(()),
            _ => Err(Fault::Syntax("a line starts with one letter")),
        }
    }

    fn session_attribute(&mut self, name: &str, value: &str) -> Parsed<bool> {
        match name {
            "ice-lite" => self.session.ice_lite = true,
            "extmap-allow-mixed" => self.session.extmap_allow_mixed = true,
            "group" => {
                let mut words = value.split(' ');
                if words.next() == Some("BUNDLE") && self.session.bundle.is_empty() {
                    self.session.bundle = words
                        .filter(|word| !word.is_empty())
                        .map(token)
                        .collect::<Parsed<_>>()?;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn media_line(&mut self, value: &str) -> Parsed<()> {
        if self.session.media.len() == SECTIONS_MAX {
            return Err(Fault::Bound("SECTIONS_MAX"));
        }
        let mut words = value.split(' ');
        let (Some(media), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
            return Err(Fault::Syntax("m= needs media, port, protocol and formats"));
        };
        let mut section = self.defaults.clone();
        section.media = token(media)?;
        section.port = number(port)?;
        section.protocol = token(protocol)?;
        section.formats = words
            .filter(|word| !word.is_empty())
            .map(token)
            .collect::<Parsed<_>>()?;
        if section.formats.is_empty() {
            return Err(Fault::Syntax("m= without formats"));
        }
        self.session.media.push(section);
        self.attributes = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<SessionDescription, DescriptionError> {
        let mut mids = BTreeSet::new();
        for (index, media) in self.session.media.iter_mut().enumerate() {
            if media
                .ice
                .as_ref()
                .is_some_and(|ice| ice.ufrag.is_empty() || ice.pwd.is_empty())
            {
                media.ice = None;
            }
            let fault = match &media.mid {
                Some(mid) if !mids.insert(mid.clone()) => "its mid is used twice",
                None if !media.is_rejected() => "no a=mid",
                _ => continue,
            };
            return Err(DescriptionError::Malformed(format!("section {index}: {fault}")));
        }
        Ok(self.session)
    }
}

fn attribute(media: &mut MediaDescription, name: &str, value: &str) -> Parsed<()> {
    match name {
        "mid" => media.mid = Some(token(value)?),
        "bundle-only" => media.bundle_only = true,
        "ice-ufrag" => credentials(media).ufrag = token(value)?,
        "ice-pwd" => credentials(media).pwd = token(value)?,
        "fingerprint" => {
            if let Some(fingerprint) = fingerprint(value)? {
                media.fingerprint = Some(fingerprint);
            }
        }
        "setup" => media.setup = Some(setup(value)?),
        "sendrecv" => media.direction = Direction::SendRecv,
        "sendonly" => media.direction = Direction::SendOnly,
        "recvonly" => media.direction = Direction::RecvOnly,
        "inactive" => media.direction = Direction::Inactive,
        "rtcp-mux" => media.rtcp_mux = true,
        "rtcp-rsize" => media.rtcp_rsize = true,
        "msid" => media.msid = Some(msid(value)?),
        "rtpmap" => media.rtpmaps.push(rtpmap(value)?),
        "fmtp" => {
            let (payload_type, parameters) = pair(value)?;
            media.fmtps.push((number(payload_type)?, parameters.to_owned()));
        }
        "rtcp-fb" => {
            let (payload_type, what) = pair(value)?;
            let payload_type = if payload_type == "*" {
                None
            } else {
                Some(number(payload_type)?)
            };
            media.feedback.push((payload_type, what.to_owned()));
        }
        "extmap" => extension(media, value)?,
        "ssrc" => ssrc(media, value)?,
        "ssrc-group" => ssrc_group(media, value)?,
        "sctp-port" => media.sctp_port = Some(number(value)?),
        "max-message-size" => media.max_message_size = Some(number(value)?),
        _ => {}
    }
    Ok(())
}

/// The two halves arrive on two lines; `Parser::finish` drops what stayed half.
fn credentials(media: &mut MediaDescription) -> &mut IceCredentials {
    media.ice.get_or_insert_with(|| IceCredentials {
        ufrag: String::new(),
        pwd: String::new(),
    })
}

fn fingerprint(value: &str) -> Parsed<Option<Fingerprint>> {
    let (hash, digits) = pair(value)?;
    if !hash.eq_ignore_ascii_case("sha-256") {
        return Ok(None);
    }
    let mut bytes = [0; 32];
    let mut pairs = digits.split(':');
    for byte in &mut bytes {
        let digits = pairs.next().filter(|digits| digits.len() == 2);
        let parsed = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        *byte = parsed.ok_or(Fault::Syntax("a=fingerprint: 32 bytes in hex expected"))?;
    }
    match pairs.next() {
        None => Ok(Some(Fingerprint(bytes))),
        Some(_) => Err(Fault::Syntax("a=fingerprint: 32 bytes in hex expected")),
    }
}

fn setup(value: &str) -> Parsed<Setup> {
    match value {
        "active" => Ok(Setup::Active),
        "passive" => Ok(Setup::Passive),
        "actpass" => Ok(Setup::ActPass),
        _ => Err(Fault::Syntax("a=setup: active, passive or actpass expected")),
    }
}

fn msid(value: &str) -> Parsed<Msid> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let stream = token(words.next().unwrap_or_default())?;
    let track = words.next().map(token).transpose()?;
    Ok(Msid { stream, track })
}

fn rtpmap(value: &str) -> Parsed<RtpMap> {
    let (payload_type, format) = pair(value)?;
    let mut parts = format.split('/');
    let encoding = token(parts.next().unwrap_or_default())?;
    let clock_rate = number(parts.next().ok_or(Fault::Syntax("a=rtpmap without clock rate"))?)?;
    let channels = parts.next().map(number).transpose()?;
    Ok(RtpMap {
        payload_type: number(payload_type)?,
        encoding,
        clock_rate,
        channels,
    })
}

fn extension(media: &mut MediaDescription, value: &str) -> Parsed<()> {
    let (id, uri) = pair(value)?;
    let (id, direction) = id.split_once('/').unwrap_or((id, "sendrecv"));
    let uri = uri.split(' ').next().unwrap_or_default();
    let id = number(id)?;
    if direction == "sendrecv" {
        media.extensions.push((id, uri.to_owned()));
    }
    Ok(())
}

fn ssrc(media: &mut MediaDescription, value: &str) -> Parsed<()> {
    let (ssrc, attribute) = value.split_once(' ').unwrap_or((value, ""));
    let ssrc = number(ssrc)?;
    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
    media.ssrcs.push(SsrcAttribute {
        ssrc,
        name: name.to_owned(),
        value: value.to_owned(),
    });
    let different: BTreeSet<u32> = media.ssrcs.iter().map(|line| line.ssrc).collect();
    if different.len() > SSRCS_MAX {
        return Err(Fault::Bound("SSRCS_MAX"));
    }
    Ok(())
}

fn ssrc_group(media: &mut MediaDescription, value: &str) -> Parsed<()> {
    let (semantics, members) = pair(value)?;
    let members = members.split(' ').filter(|word| !word.is_empty());
    let members = members.map(number).collect::<Parsed<Vec<u32>>>()?;
    if members.len() > SSRCS_MAX || media.ssrc_groups.len() == SSRCS_MAX {
        return Err(Fault::Bound("SSRCS_MAX"));
    }
    media.ssrc_groups.push((semantics.to_owned(), members));
    Ok(())
}

fn pair(value: &str) -> Parsed<(&str, &str)> {
    let (first, rest) = value.split_once(' ').ok_or(Fault::Syntax("two words expected"))?;
    Ok((first, rest.trim()))
}

fn token(word: &str) -> Parsed<String> {
    if word.is_empty() || word.contains(char::is_whitespace) {
        return Err(Fault::Syntax("a word expected"));
    }
    if word.len() > TOKEN_BYTES_MAX {
        return Err(Fault::Bound("TOKEN_BYTES_MAX"));
    }
    Ok(word.to_owned())
}

fn number<T: std::str::FromStr>(word: &str) -> Parsed<T> {
    if !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Syntax("a number expected"));
    }
    word.parse()
        .map_err(|_| Fault::Syntax("a number in its range expected"))
}
