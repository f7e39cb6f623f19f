//! Chooses payload formats, feedback and header extensions out of what a section offers.

use std::collections::{BTreeMap, BTreeSet};

use crate::VideoFormats;
use crate::sdp::{MediaDescription, RtpMap};
use crate::session::{Codec, CodecFormat, Extension, Feedback, MediaKind};

/// The formats and header extensions of a section that we know, in its order.
pub fn formats(media: &MediaDescription) -> (Vec<Codec>, Vec<(u8, Extension)>) {
    let kind = match media.media.as_str() {
        "audio" => MediaKind::Audio,
        _ => MediaKind::Video,
    };
    let all = VideoFormats {
        vp8: true,
        h264: true,
        vp9: true,
        av1: true,
    };
    let formats = MediaFormats::accepted(media, kind, all, &mut Numbers::default());
    let codecs = formats.payloads.into_iter().map(|payload| payload.codec);
    (codecs.collect(), formats.extensions)
}

/// What a section agrees on, or could.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MediaFormats {
    /// Most wanted first, in the client's order.
    pub(crate) payloads: Vec<PayloadFormat>,
    pub(crate) extensions: Vec<(u8, Extension)>,
}

/// A codec and what its lines say beyond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PayloadFormat {
    pub(crate) codec: Codec,
    /// `a=fmtp` parameters to write.
    pub(crate) parameters: Option<String>,
}

/// The numbers of one description: a payload type or extension id must mean the same in all its
/// sections (RFC 8843 section 9.1). A section that gives a number another meaning loses it.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    payload_types: BTreeMap<u8, Meaning>,
    extensions: BTreeMap<u8, Extension>,
    /// Kinds whose numbers are complete.
    fixed: BTreeSet<MediaKind>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    Media(CodecFormat),
    Retransmission { of: u8 },
}

impl Numbers {
    /// The numbers of a peer connection that has used these. Browsers offer more formats in later
    /// descriptions than in the first; of a kind that is known nothing new is taken in, since a
    /// media engine learns its numbers once.
    pub(crate) fn known(formats: &BTreeMap<MediaKind, MediaFormats>) -> Self {
        let mut numbers = Self::default();
        for known in formats.values() {
            for codec in known.payloads.iter().map(|payload| &payload.codec) {
                let of = codec.payload_type;
                numbers.payload_types.insert(of, Meaning::Media(codec.format.clone()));
                if let Some(rtx) = codec.rtx {
                    numbers.payload_types.insert(rtx, Meaning::Retransmission { of });
                }
            }
            numbers.extensions.extend(known.extensions.iter().copied());
        }
        numbers.fixed = formats.keys().copied().collect();
        numbers
    }

    fn means(&mut self, kind: MediaKind, payload_type: u8, meaning: Meaning) -> bool {
        if self.fixed.contains(&kind) {
            return self.payload_types.get(&payload_type) == Some(&meaning);
        }
        *self
            .payload_types
            .entry(payload_type)
            .or_insert_with(|| meaning.clone())
            == meaning
    }

    fn extends(&mut self, kind: MediaKind, id: u8, extension: Extension) -> bool {
        if self.fixed.contains(&kind) {
            return self.extensions.get(&id) == Some(&extension);
        }
        *self.extensions.entry(id).or_insert(extension) == extension
    }
}

impl MediaFormats {
    /// What we accept of a section of the client's.
    pub(crate) fn accepted(
        media: &MediaDescription,
        kind: MediaKind,
        allowed: VideoFormats,
        numbers: &mut Numbers,
    ) -> Self {
        let mut payloads: Vec<PayloadFormat> = Vec::new();
        for rtpmap in listed(media) {
            let Some(format) = format(media, kind, allowed, rtpmap) else {
                continue;
            };
            if !numbers.means(kind, rtpmap.payload_type, Meaning::Media(format.clone())) {
                continue;
            }
            payloads.push(PayloadFormat {
                parameters: parameters(media, rtpmap.payload_type, &format),
                codec: Codec {
                    payload_type: rtpmap.payload_type,
                    rtx: None,
                    clock_rate: rtpmap.clock_rate,
                    feedback: feedback(media, rtpmap.payload_type),
                    format,
                },
            });
        }
        drop_unwrappable(&mut payloads);
        for rtpmap in listed(media).filter(|rtpmap| is(rtpmap, "rtx")) {
            let of = media.fmtp(rtpmap.payload_type).and_then(|fmtp| parameter(fmtp, "apt"));
            let Some(of) = of.and_then(|of| of.parse().ok()) else {
                continue;
            };
            let mut codecs = payloads.iter_mut().map(|payload| &mut payload.codec);
            let Some(codec) = codecs.find(|codec| codec.payload_type == of && codec.rtx.is_none()) else {
                continue;
            };
            if numbers.means(kind, rtpmap.payload_type, Meaning::Retransmission { of }) {
                codec.rtx = Some(rtpmap.payload_type);
            }
        }
        Self {
            payloads,
            extensions: extensions(media, kind, numbers),
        }
    }

    /// What is left of ours after the client answered with `answer`, in its order.
    pub(crate) fn answered(&self, answer: &Self) -> Self {
        let ours = |codec: &Codec| {
            let mut all = self.payloads.iter().map(|payload| &payload.codec);
            all.find(|our| our.payload_type == codec.payload_type && same(&our.format, &codec.format))
        };
        let both = |payload: &PayloadFormat| {
            let our = ours(&payload.codec)?;
            let mut payload = payload.clone();
            payload.codec.rtx = payload.codec.rtx.filter(|rtx| our.rtx == Some(*rtx));
            payload.codec.feedback = common(our.feedback, payload.codec.feedback);
            Some(payload)
        };
        let mut payloads: Vec<_> = answer.payloads.iter().filter_map(both).collect();
        drop_unwrappable(&mut payloads);
        let extensions = answer.extensions.iter();
        let extensions = extensions
            .filter(|pair| self.extensions.contains(pair))
            .copied()
            .collect();
        Self { payloads, extensions }
    }

    /// Writes m= formats, rtpmap, fmtp, rtcp-fb and extmap lines.
    pub(crate) fn write(&self, media: &mut MediaDescription) {
        media.formats.clear();
        for PayloadFormat { codec, parameters } in &self.payloads {
            let (encoding, channels) = encoding(&codec.format);
            let payload_type = codec.payload_type;
            media.add(payload_type, encoding, codec.clock_rate, channels);
            media
                .fmtps
                .extend(parameters.iter().map(|text| (payload_type, text.clone())));
            let lines = feedback_lines(codec.feedback).into_iter();
            media
                .feedback
                .extend(lines.map(|line| (Some(payload_type), line.to_owned())));
            if let Some(rtx) = codec.rtx {
                media.add(rtx, "rtx", codec.clock_rate, None);
                media.fmtps.push((rtx, format!("apt={payload_type}")));
            }
        }
        let extensions = self.extensions.iter();
        media.extensions = extensions
            .map(|(id, extension)| (u16::from(*id), uri(*extension).to_owned()))
            .collect();
    }

    /// The client resends by RFC 4588 for some format.
    pub(crate) fn has_rtx(&self) -> bool {
        self.payloads.iter().any(|payload| payload.codec.rtx.is_some())
    }
}

impl MediaDescription {
    fn add(&mut self, payload_type: u8, encoding: &str, clock_rate: u32, channels: Option<u8>) {
        self.formats.push(payload_type.to_string());
        let encoding = encoding.to_owned();
        self.rtpmaps.push(RtpMap {
            payload_type,
            encoding,
            clock_rate,
            channels,
        });
    }
}

/// The rtpmaps of the payload types in the m= line, in that order, each once. Payload types 64 to
/// 95 cannot be told from RTCP when both share a port (RFC 5761 section 4).
fn listed(media: &MediaDescription) -> impl Iterator<Item = &RtpMap> {
    let mut seen = [false; 128];
    media.formats.iter().filter_map(move |format| {
        let payload_type: u8 = format.parse().ok().filter(|pt| matches!(pt, 0..=63 | 96..=127))?;
        if std::mem::replace(&mut seen[usize::from(payload_type)], true) {
            return None;
        }
        media.rtpmaps.iter().find(|rtpmap| rtpmap.payload_type == payload_type)
    })
}

fn is(rtpmap: &RtpMap, encoding: &str) -> bool {
    rtpmap.encoding.eq_ignore_ascii_case(encoding)
}

fn format(media: &MediaDescription, kind: MediaKind, allowed: VideoFormats, rtpmap: &RtpMap) -> Option<CodecFormat> {
    let fmtp = media.fmtp(rtpmap.payload_type).unwrap_or_default();
    match kind {
        MediaKind::Audio if rtpmap.clock_rate == 48_000 && rtpmap.channels == Some(2) => {
            if is(rtpmap, "opus") {
                return Some(CodecFormat::Opus {
                    inband_fec: parameter(fmtp, "useinbandfec") == Some("1"),
                });
            }
            let of = fmtp.split('/').next()?.trim().parse().ok()?;
            is(rtpmap, "red").then_some(CodecFormat::Red { of })
        }
        MediaKind::Video if rtpmap.clock_rate == 90_000 => video_format(fmtp, allowed, rtpmap),
        _ => None,
    }
}

/// The defaults of absent parameters are those of RFC 6184, RFC 9628 and the AV1 payload
/// specification.
fn video_format(fmtp: &str, allowed: VideoFormats, rtpmap: &RtpMap) -> Option<CodecFormat> {
    let value = |name, default| match parameter(fmtp, name) {
        Some(text) => text.parse::<u8>().ok(),
        None => Some(default),
    };
    if is(rtpmap, "VP8") && allowed.vp8 {
        Some(CodecFormat::Vp8)
    } else if is(rtpmap, "VP9") && allowed.vp9 {
        Some(CodecFormat::Vp9 {
            profile: value("profile-id", 0)?,
        })
    } else if is(rtpmap, "AV1") && allowed.av1 {
        Some(CodecFormat::Av1 {
            profile: value("profile", 0)?,
        })
    } else if is(rtpmap, "H264") && allowed.h264 {
        let packetization_mode = value("packetization-mode", 0).filter(|mode| *mode <= 1)?;
        let digits = parameter(fmtp, "profile-level-id").unwrap_or("42000a");
        let profile_level_id = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 6)?;
        Some(CodecFormat::H264 {
            packetization_mode,
            profile_level_id,
        })
    } else {
        None
    }
}

/// RED is of no use without the format it wraps.
fn drop_unwrappable(payloads: &mut Vec<PayloadFormat>) {
    let opus: Vec<u8> = payloads
        .iter()
        .filter(|payload| matches!(payload.codec.format, CodecFormat::Opus { .. }))
        .map(|payload| payload.codec.payload_type)
        .collect();
    payloads.retain(|payload| match payload.codec.format {
        CodecFormat::Red { of } => opus.contains(&of),
        _ => true,
    });
}

/// Parameters say what the writer takes, so ours are the client's own, which whoever it hears from
/// offers too. Opus is said anew: its others (stereo, bit rates) are wishes of the client's alone.
fn parameters(media: &MediaDescription, payload_type: u8, format: &CodecFormat) -> Option<String> {
    let offered = media.fmtp(payload_type)?;
    let CodecFormat::Opus { inband_fec } = format else {
        return Some(offered.to_owned());
    };
    let minptime = parameter(offered, "minptime").and_then(|text| text.parse::<u8>().ok());
    let minptime = minptime.map(|ms| format!("minptime={ms}"));
    let fec = inband_fec.then(|| "useinbandfec=1".to_owned());
    let text = [minptime, fec].into_iter().flatten().collect::<Vec<_>>().join(";");
    (!text.is_empty()).then_some(text)
}

fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = fmtp.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn feedback(media: &MediaDescription, payload_type: u8) -> Feedback {
    let mut feedback = Feedback::default();
    let lines = media
        .feedback
        .iter()
        .filter(|(of, _)| of.is_none_or(|of| of == payload_type));
    for (_, line) in lines {
        match line.as_str() {
            "nack" => feedback.nack = true,
            "nack pli" => feedback.pli = true,
            "ccm fir" => feedback.fir = true,
            "transport-cc" => feedback.transport_cc = true,
            _ => {}
        }
    }
    feedback
}

fn feedback_lines(feedback: Feedback) -> Vec<&'static str> {
    let Feedback {
        nack,
        pli,
        fir,
        transport_cc,
    } = feedback;
    let lines = [
        (transport_cc, "transport-cc"),
        (fir, "ccm fir"),
        (nack, "nack"),
        (pli, "nack pli"),
    ];
    lines
        .into_iter()
        .filter(|(agreed, _)| *agreed)
        .map(|(_, line)| line)
        .collect()
}

fn common(one: Feedback, other: Feedback) -> Feedback {
    Feedback {
        nack: one.nack && other.nack,
        pli: one.pli && other.pli,
        fir: one.fir && other.fir,
        transport_cc: one.transport_cc && other.transport_cc,
    }
}

/// H264 levels may differ between offer and answer (RFC 6184 section 8.2.2).
fn same(one: &CodecFormat, other: &CodecFormat) -> bool {
    match (one, other) {
        (
            CodecFormat::H264 {
                packetization_mode: a,
                profile_level_id: x,
            },
            CodecFormat::H264 {
                packetization_mode: b,
                profile_level_id: y,
            },
        ) => a == b && x >> 16 == y >> 16,
        (CodecFormat::Opus { .. }, CodecFormat::Opus { .. }) => true,
        _ => one == other,
    }
}

fn encoding(format: &CodecFormat) -> (&'static str, Option<u8>) {
    match format {
        CodecFormat::Opus { .. } => ("opus", Some(2)),
        CodecFormat::Red { .. } => ("red", Some(2)),
        CodecFormat::Vp8 => ("VP8", None),
        CodecFormat::Vp9 { .. } => ("VP9", None),
        CodecFormat::H264 { .. } => ("H264", None),
        CodecFormat::Av1 { .. } => ("AV1", None),
    }
}

/// Ids above 14 need two-byte headers (RFC 8285 section 4.3), which no browser uses for these.
/// The playout delay is left out: agreeing would let publishers set the subscribers' buffers.
fn extensions(media: &MediaDescription, kind: MediaKind, numbers: &mut Numbers) -> Vec<(u8, Extension)> {
    let mut extensions: Vec<(u8, Extension)> = Vec::new();
    for (id, offered) in &media.extensions {
        let known = wanted(kind)
            .iter()
            .copied()
            .find(|extension| uri(*extension) == offered);
        let id = u8::try_from(*id).ok().filter(|id| (1..=14).contains(id));
        let (Some(extension), Some(id)) = (known, id) else {
            continue;
        };
        let free = extensions
            .iter()
            .all(|(other, known)| *other != id && *known != extension);
        if free && numbers.extends(kind, id, extension) {
            extensions.push((id, extension));
        }
    }
    extensions
}

fn wanted(kind: MediaKind) -> &'static [Extension] {
    use Extension::{AbsSendTime, AudioLevel, Mid, TransportWideCc, VideoOrientation};
    match kind {
        MediaKind::Audio => &[AudioLevel, AbsSendTime, TransportWideCc, Mid],
        MediaKind::Video => &[AbsSendTime, TransportWideCc, Mid, VideoOrientation],
    }
}

fn uri(extension: Extension) -> &'static str {
    match extension {
        Extension::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        Extension::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        Extension::TransportWideCc => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        Extension::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
        Extension::VideoOrientation => "urn:3gpp:video-orientation",
        Extension::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    }
}
