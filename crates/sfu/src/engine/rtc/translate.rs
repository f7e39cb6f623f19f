//! Our values in str0m's types, and back.

use std::time::SystemTime;

use negotiation::{Codec, CodecFormat, Extension, MediaKind, NegotiatedSession};
use str0m::format::{CodecSpec, FormatParams, PayloadParams};
use str0m::media::{Frequency, MediaTime, Pt};
use str0m::rtp::{self, ExtensionMap, ExtensionValues, VideoOrientation, Vp8Descriptor};
use str0m::{IceCreds, RtcError};

use super::super::{EngineError, HeaderExtensions, Vp8Ids};
use super::{INNER_PWD, INNER_UFRAG};

pub(super) fn failed(error: RtcError) -> EngineError {
    match error {
        RtcError::Dtls(error) => EngineError::Dtls(error.to_string()),
        // How str0m says that the certificate is not the one announced.
        RtcError::RemoteSdp(message) => EngineError::Dtls(message),
        other => EngineError::Failed(other.to_string()),
    }
}

pub(super) fn inner_credentials() -> IceCreds {
    IceCreds {
        ufrag: INNER_UFRAG.into(),
        pass: INNER_PWD.into(),
    }
}

/// Whether the client takes NACK but no RTX for a video format: Firefox through the SDK.
pub(super) fn takes_plain_resends(session: &NegotiatedSession) -> bool {
    let video = session
        .sections
        .iter()
        .filter(|section| section.kind == MediaKind::Video);
    video
        .flat_map(|section| &section.codecs)
        .any(|codec| codec.feedback.nack && codec.rtx.is_none())
}

pub(super) fn extension_map(session: &NegotiatedSession) -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    for (id, extension) in session.sections.iter().flat_map(|section| &section.extensions) {
        let extension = match extension {
            Extension::AudioLevel => rtp::Extension::AudioLevel,
            Extension::AbsSendTime => rtp::Extension::AbsoluteSendTime,
            Extension::TransportWideCc => rtp::Extension::TransportSequenceNumber,
            Extension::Mid => rtp::Extension::RtpMid,
            Extension::VideoOrientation => rtp::Extension::VideoOrientation,
            Extension::PlayoutDelay => rtp::Extension::PlayoutDelay,
        };
        map.set(*id, extension);
    }
    map
}

pub(super) fn payload_params(session: &NegotiatedSession) -> Vec<PayloadParams> {
    let mut params: Vec<PayloadParams> = Vec::new();
    for codec in session.sections.iter().flat_map(|section| &section.codecs) {
        if params.iter().any(|known| *known.pt() == codec.payload_type) {
            continue;
        }
        let mut param = PayloadParams::new(Pt::from(codec.payload_type), codec.rtx.map(Pt::from), codec_spec(codec));
        param.set_fb_nack(codec.feedback.nack);
        param.set_fb_pli(codec.feedback.pli);
        param.set_fb_fir(codec.feedback.fir);
        param.set_fb_transport_cc(codec.feedback.transport_cc);
        param.set_fb_remb(false);
        params.push(param);
    }
    params
}

/// In RTP mode the format only names the clock; RED stands as a payload type of its own, so that it
/// passes through unopened.
pub(super) fn codec_spec(codec: &Codec) -> CodecSpec {
    let (format, clock_rate, channels) = match codec.format {
        CodecFormat::Opus { .. } | CodecFormat::Red { .. } => {
            (str0m::format::Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2))
        }
        CodecFormat::Vp8 => (str0m::format::Codec::Vp8, Frequency::NINETY_KHZ, None),
        CodecFormat::Vp9 { .. } => (str0m::format::Codec::Vp9, Frequency::NINETY_KHZ, None),
        CodecFormat::H264 { .. } => (str0m::format::Codec::H264, Frequency::NINETY_KHZ, None),
        CodecFormat::Av1 { .. } => (str0m::format::Codec::Av1, Frequency::NINETY_KHZ, None),
    };
    CodecSpec {
        codec: format,
        clock_rate,
        channels,
        format: FormatParams::default(),
    }
}

pub(super) fn extension_values(extensions: HeaderExtensions) -> ExtensionValues {
    let mut values = ExtensionValues::default();
    if let Some((level, voice)) = extensions.audio_level {
        values.audio_level = Some(level);
        values.voice_activity = Some(voice.unwrap_or(false));
    }
    values.video_orientation = extensions.rotation.map(VideoOrientation::from);
    if let Some((min, max)) = extensions.playout_delay {
        values.play_delay_min = Some(MediaTime::from_hundredths(u64::from(min)));
        values.play_delay_max = Some(MediaTime::from_hundredths(u64::from(max)));
    }
    values
}

/// Puts in the ids for which the descriptor has room.
pub(super) fn vp8_patch(payload: &[u8], ids: Vp8Ids) -> Option<rtp::Vp8Patch> {
    let descriptor = Vp8Descriptor::parse(payload).ok()?;
    let mut patch = descriptor.patch();
    if let (Some(_), Some(id)) = (descriptor.picture_id(), ids.picture_id) {
        patch = patch.picture_id(id);
    }
    if let (Some(_), Some(index)) = (descriptor.tl0_pic_idx(), ids.tl0_pic_idx) {
        patch = patch.tl0_pic_idx(index);
    }
    patch.build().ok()
}

pub(super) fn media_kind(kind: MediaKind) -> str0m::media::MediaKind {
    match kind {
        MediaKind::Audio => str0m::media::MediaKind::Audio,
        MediaKind::Video => str0m::media::MediaKind::Video,
    }
}

pub(super) fn tens_of_ms(time: MediaTime) -> u16 {
    time.rebase(Frequency::HUNDREDTHS).numer().min(0xfff) as u16
}

pub(super) fn unix_us(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_micros() as i64,
        Err(before) => -(before.duration().as_micros() as i64),
    }
}
