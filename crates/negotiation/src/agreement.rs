//! What both sides agreed on, lines included, and how an offer or an answer of the client's
//! changes it. Nothing here changes anything in place: a refused description leaves no trace.

use std::collections::BTreeMap;

use crate::codecs::{MediaFormats, Numbers};
use crate::derive::Seed;
use crate::receive::receive;
use crate::sdp::{MediaDescription, SessionDescription, Setup};
use crate::sections::{Content, Line, MediaLine};
use crate::session::{DtlsRole, Fingerprint, IceCredentials, MediaKind, NegotiatedSession, Sctp};
use crate::{DescriptionError, LocalParameters};

/// The m= protocol of audio and video (RFC 5764).
pub(crate) const RTP_PROTOCOL: &str = "UDP/TLS/RTP/SAVPF";
/// The m= protocol of data channels (RFC 8841).
pub(crate) const DATA_PROTOCOL: &str = "UDP/DTLS/SCTP";
/// The m= format of data channels.
pub(crate) const DATA_FORMAT: &str = "webrtc-datachannel";

/// `a=max-message-size` if nothing is said (RFC 8841 section 6.1), bytes.
const MESSAGE_SIZE_DEFAULT: u64 = 65_536;

/// The agreed, or proposed, state of a peer connection.
#[derive(Debug, Clone)]
pub(crate) struct Agreement {
    pub(crate) lines: Vec<Line>,
    pub(crate) local_ice: IceCredentials,
    remote_ice: IceCredentials,
    /// ICE restarts so far; the local credentials follow from it.
    restarts: u64,
    remote_fingerprint: Fingerprint,
    pub(crate) dtls_role: DtlsRole,
    pub(crate) extmap_allow_mixed: bool,
}

impl Agreement {
    /// What is agreed once this offer is answered, before tracks are placed. `before` is what the
    /// offer builds on, `known` the formats that the peer connection uses already.
    pub(crate) fn after_offer(
        before: Option<&Self>,
        offer: &SessionDescription,
        local: &LocalParameters,
        seed: &Seed,
        known: &BTreeMap<MediaKind, MediaFormats>,
    ) -> Result<Self, DescriptionError> {
        let old_lines = before.map(|before| before.lines.as_slice()).unwrap_or_default();
        if offer.media.len() < old_lines.len() {
            return Err(malformed("the offer lacks sections that were there"));
        }
        let mut reader = OfferReader {
            bundle: &offer.bundle,
            local,
            numbers: Numbers::known(known),
            has_data: false,
        };
        let lines = offer.media.iter().enumerate();
        let lines = lines.map(|(index, media)| reader.line(media, index, old_lines.get(index)));
        let lines = lines.collect();
        let (remote_ice, remote_fingerprint) = transport(offer)?;
        let remote_ice = remote_ice.ok_or_else(|| malformed("no ICE credentials"))?;
        let remote_fingerprint = remote_fingerprint.ok_or_else(|| malformed("no sha-256 fingerprint"))?;
        let (restarts, local_ice) = match before {
            None => (0, local.ice.clone()),
            Some(before) if before.remote_ice == remote_ice => (before.restarts, before.local_ice.clone()),
            Some(before) => (before.restarts + 1, seed.ice(before.restarts + 1)),
        };
        Ok(Self {
            lines,
            local_ice,
            remote_ice,
            restarts,
            remote_fingerprint,
            dtls_role: before.map_or_else(|| first_role(offer), |before| before.dtls_role),
            extmap_allow_mixed: offer.extmap_allow_mixed,
        })
    }

    /// What is agreed once the client gave this answer to `self`.
    pub(crate) fn after_answer(
        &self,
        answer: &SessionDescription,
        local: &LocalParameters,
    ) -> Result<Self, DescriptionError> {
        if answer.media.len() != self.lines.len() {
            return Err(malformed("the answer has not as many sections as the offer"));
        }
        let mut numbers = Numbers::default();
        let mut lines = Vec::with_capacity(self.lines.len());
        for (line, media) in self.lines.iter().zip(&answer.media) {
            if !media.is_rejected() && media.mid != line.mid {
                return Err(malformed("the answer's mids are not those of the offer"));
            }
            lines.push(answered_line(line, media, local, &mut numbers));
        }
        let (remote_ice, remote_fingerprint) = transport(answer)?;
        Ok(Self {
            lines,
            remote_ice: remote_ice.unwrap_or_else(|| self.remote_ice.clone()),
            remote_fingerprint: remote_fingerprint.unwrap_or_else(|| self.remote_fingerprint.clone()),
            ..self.clone()
        })
    }

    /// The agreement as a value for media engines.
    pub(crate) fn session(&self, number: u64) -> NegotiatedSession {
        let sctp = |line: &Line| match line.content {
            Content::Data { max_message_size } => Some(Sctp {
                mid: line.mid.clone()?,
                max_message_size,
            }),
            _ => None,
        };
        NegotiatedSession {
            number,
            local_ice: self.local_ice.clone(),
            remote_ice: self.remote_ice.clone(),
            remote_fingerprint: self.remote_fingerprint.clone(),
            dtls_role: self.dtls_role,
            sctp: self.lines.iter().find_map(sctp),
            sections: self.lines.iter().filter_map(Line::section).collect(),
        }
    }

    pub(crate) fn has_data(&self) -> bool {
        self.lines
            .iter()
            .any(|line| matches!(line.content, Content::Data { .. }))
    }
}

/// Reads the sections of one offer.
struct OfferReader<'a> {
    bundle: &'a [String],
    local: &'a LocalParameters,
    numbers: Numbers,
    has_data: bool,
}

impl OfferReader<'_> {
    /// A section outside the bundle would need a transport of its own, which we have not.
    fn line(&mut self, media: &MediaDescription, index: usize, old: Option<&Line>) -> Line {
        let bundled = match &media.mid {
            Some(mid) => self.bundle.contains(mid) || (self.bundle.is_empty() && index == 0),
            None => false,
        };
        let content = if media.is_rejected() || !bundled {
            None
        } else if let Some(kind) = kind(media) {
            let old = old.filter(|old| old.mid == media.mid).and_then(Line::media);
            self.media(media, kind, old)
        } else {
            self.data(media)
        };
        Line {
            mid: media.mid.clone(),
            content: content.unwrap_or_else(|| rejected(media)),
        }
    }

    fn media(&mut self, media: &MediaDescription, kind: MediaKind, old: Option<&MediaLine>) -> Option<Content> {
        let allowed = self.local.video_formats;
        let formats = MediaFormats::accepted(media, kind, allowed, &mut self.numbers);
        if formats.payloads.is_empty() {
            return None;
        }
        let mut send = old.and_then(|old| old.send.clone());
        if let Some(send) = &mut send {
            send.layer.rtx = send.layer.rtx.filter(|_| formats.has_rtx());
        }
        Some(Content::Media(MediaLine {
            kind,
            rtcp_rsize: media.rtcp_rsize,
            client_receives: media.direction.receives(),
            client_sends: media.direction.sends(),
            receive: receive(media),
            formats,
            send,
        }))
    }

    fn data(&mut self, media: &MediaDescription) -> Option<Content> {
        let known = media.media == "application"
            && media.protocol == DATA_PROTOCOL
            && media.formats.first().is_some_and(|format| format == DATA_FORMAT);
        if !known || std::mem::replace(&mut self.has_data, true) {
            return None;
        }
        let max_message_size = media.max_message_size.unwrap_or(MESSAGE_SIZE_DEFAULT);
        Some(Content::Data { max_message_size })
    }
}

fn answered_line(line: &Line, media: &MediaDescription, local: &LocalParameters, numbers: &mut Numbers) -> Line {
    let content = match &line.content {
        Content::Rejected { .. } => line.content.clone(),
        _ if media.is_rejected() => rejected(media),
        Content::Data { .. } => Content::Data {
            max_message_size: media.max_message_size.unwrap_or(MESSAGE_SIZE_DEFAULT),
        },
        Content::Media(offered) => {
            let answer = MediaFormats::accepted(media, offered.kind, local.video_formats, numbers);
            let formats = offered.formats.answered(&answer);
            let client_receives = if offered.send.is_some() {
                media.direction.receives()
            } else {
                offered.client_receives
            };
            let client_sends = offered.client_sends && media.direction.sends();
            let mut send = offered.send.clone().filter(|_| client_receives);
            if let Some(send) = &mut send {
                send.layer.rtx = send.layer.rtx.filter(|_| formats.has_rtx());
            }
            if formats.payloads.is_empty() {
                rejected(media)
            } else {
                Content::Media(MediaLine {
                    kind: offered.kind,
                    rtcp_rsize: offered.rtcp_rsize && media.rtcp_rsize,
                    client_receives,
                    client_sends,
                    receive: receive(media).filter(|_| client_sends),
                    formats,
                    send,
                })
            }
        }
    };
    Line {
        mid: line.mid.clone(),
        content,
    }
}

fn kind(media: &MediaDescription) -> Option<MediaKind> {
    match media.media.as_str() {
        _ if media.protocol != RTP_PROTOCOL => None,
        "audio" => Some(MediaKind::Audio),
        "video" => Some(MediaKind::Video),
        _ => None,
    }
}

fn rejected(media: &MediaDescription) -> Content {
    Content::Rejected {
        media: media.media.clone(),
        protocol: media.protocol.clone(),
        format: media.formats.first().cloned().unwrap_or_else(|| "0".to_owned()),
    }
}

/// ICE credentials and fingerprint: those of the first section that is not rejected, since all
/// share its transport (RFC 8843 section 7.1).
fn transport(
    description: &SessionDescription,
) -> Result<(Option<IceCredentials>, Option<Fingerprint>), DescriptionError> {
    let mut sections = description.media.iter().filter(|media| !media.is_rejected()).peekable();
    if sections.peek().is_none() {
        return Err(malformed("no section that is not rejected"));
    }
    let ice = sections.clone().find_map(|media| media.ice.clone());
    Ok((ice, sections.find_map(|media| media.fingerprint.clone())))
}

/// We wait for the ClientHello wherever the client lets us (signaling.md section 6.1).
fn first_role(offer: &SessionDescription) -> DtlsRole {
    match offer.media.iter().find_map(|media| media.setup) {
        Some(Setup::Passive) => DtlsRole::Client,
        _ => DtlsRole::Server,
    }
}

fn malformed(what: &str) -> DescriptionError {
    DescriptionError::Malformed(what.to_owned())
}
