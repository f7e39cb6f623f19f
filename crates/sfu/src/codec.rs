//! Payload formats: which of a subscriber's fits a publisher's, and what a payload's first bytes say.

use negotiation::{Codec, CodecFormat};

use crate::engine::Vp8Ids;

/// What a packet of one payload type becomes for one subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Target {
    /// The subscriber has no such format: nothing is sent.
    #[default]
    Missing,
    /// The same payload under this payload type.
    Same(u8),
    /// RED for a subscriber without it: its primary block under this payload type.
    Unwrapped(u8),
}

/// A publisher's payload types as one subscriber has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PayloadMap([Target; 128]);

impl PayloadMap {
    /// Matches by format, not by number.
    pub(crate) fn new(publisher: &[Codec], subscriber: &[Codec]) -> Self {
        let mut map = [Target::Missing; 128];
        for codec in publisher {
            let slot = &mut map[usize::from(codec.payload_type & 0x7f)];
            *slot = match codec.format {
                CodecFormat::Red { of } => red_target(of, publisher, subscriber),
                _ => best_match(&codec.format, subscriber).map_or(Target::Missing, Target::Same),
            };
        }
        Self(map)
    }

    pub(crate) fn target(&self, payload_type: u8) -> Target {
        self.0[usize::from(payload_type & 0x7f)]
    }
}

fn red_target(of: u8, publisher: &[Codec], subscriber: &[Codec]) -> Target {
    let Some(inner) = publisher.iter().find(|codec| codec.payload_type == of) else {
        return Target::Missing;
    };
    let Some(plain) = best_match(&inner.format, subscriber) else {
        return Target::Missing;
    };
    let wrapped = |codec: &&Codec| codec.format == CodecFormat::Red { of: plain };
    // The blocks name the publisher's payload type inside; only an equal number can stay wrapped.
    match subscriber.iter().find(wrapped) {
        Some(red) if plain == of => Target::Same(red.payload_type),
        _ => Target::Unwrapped(plain),
    }
}

fn best_match(format: &CodecFormat, subscriber: &[Codec]) -> Option<u8> {
    let scored = subscriber
        .iter()
        .filter_map(|codec| Some((fitness(format, &codec.format)?, codec.payload_type)));
    // The first of equals: most wanted first.
    scored
        .rev()
        .max_by_key(|(score, _)| *score)
        .map(|(_, payload_type)| payload_type)
}

/// How well a decoder of `to` takes a stream of `from`.
fn fitness(from: &CodecFormat, to: &CodecFormat) -> Option<u8> {
    match (from, to) {
        (CodecFormat::Opus { .. }, CodecFormat::Opus { .. }) | (CodecFormat::Vp8, CodecFormat::Vp8) => Some(4),
        (CodecFormat::Vp9 { profile: a }, CodecFormat::Vp9 { profile: b })
        | (CodecFormat::Av1 { profile: a }, CodecFormat::Av1 { profile: b }) => (a == b).then_some(4),
        (
            CodecFormat::H264 {
                packetization_mode: from_mode,
                profile_level_id: from_id,
            },
            CodecFormat::H264 {
                packetization_mode: to_mode,
                profile_level_id: to_id,
            },
        ) => h264_fitness(*from_mode, *from_id, *to_mode, *to_id),
        _ => None,
    }
}

/// RFC 6184 section 8.1: a receiver of packetization mode 1 takes mode 0 as well, and every H.264
/// decoder takes constrained baseline. Levels are left to the encoder.
fn h264_fitness(from_mode: u8, from_id: u32, to_mode: u8, to_id: u32) -> Option<u8> {
    let mode_fits = from_mode == to_mode || (from_mode == 0 && to_mode == 1);
    if !mode_fits {
        return None;
    }
    let same_mode = u8::from(from_mode == to_mode);
    let (from, to) = (H264Profile::of(from_id), H264Profile::of(to_id));
    if from == to {
        return Some(3 + same_mode);
    }
    match (from, to) {
        (H264Profile::ConstrainedBaseline, _) => Some(1 + same_mode),
        (H264Profile::Main, H264Profile::High) | (H264Profile::Baseline, H264Profile::ConstrainedBaseline) => {
            Some(same_mode)
        }
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum H264Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    High,
    Other(u8, u8),
}

impl H264Profile {
    fn of(profile_level_id: u32) -> Self {
        let idc = (profile_level_id >> 16) as u8;
        let constraints = (profile_level_id >> 8) as u8;
        match idc {
            0x42 if constraints & 0x40 != 0 => Self::ConstrainedBaseline,
            0x42 => Self::Baseline,
            0x4d if constraints & 0x80 != 0 => Self::ConstrainedBaseline,
            0x4d => Self::Main,
            0x64 => Self::High,
            _ => Self::Other(idc, constraints),
        }
    }
}

/// Whether a payload starts a picture that needs none before it. Only what the header tells: `false`
/// for anything malformed.
pub(crate) fn starts_keyframe(format: &CodecFormat, payload: &[u8]) -> bool {
    match format {
        CodecFormat::Opus { .. } | CodecFormat::Red { .. } => false,
        CodecFormat::Vp8 => Vp8Header::parse(payload).is_some_and(|header| header.starts_keyframe),
        CodecFormat::Vp9 { .. } => vp9_starts_keyframe(payload),
        CodecFormat::H264 { .. } => h264_starts_keyframe(payload),
        // The N bit of the aggregation header: a new coded video sequence.
        CodecFormat::Av1 { .. } => payload.first().is_some_and(|header| header & 0x08 != 0),
    }
}

/// What a VP8 payload descriptor says (RFC 7741 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vp8Header {
    /// And whether it is one of 15 bits.
    pub(crate) picture_id: Option<(u16, bool)>,
    pub(crate) tl0_pic_idx: Option<u8>,
    pub(crate) starts_keyframe: bool,
}

impl Vp8Header {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let places = Vp8Places::find(payload)?;
        let picture_id = places.picture_id.map(|(at, long)| match long {
            false => (u16::from(payload[at]), false),
            true => (u16::from(payload[at] & 0x7f) << 8 | u16::from(payload[at + 1]), true),
        });
        let frame = *payload.get(places.end)?;
        let starts_frame = first & 0x10 != 0 && first & 0x07 == 0;
        Some(Self {
            picture_id,
            tl0_pic_idx: places.tl0_pic_idx.map(|at| payload[at]),
            starts_keyframe: starts_frame && frame & 1 == 0,
        })
    }
}

/// Where a VP8 payload descriptor has what; all of it lies within the payload.
struct Vp8Places {
    /// And whether it has two bytes.
    picture_id: Option<(usize, bool)>,
    tl0_pic_idx: Option<usize>,
    end: usize,
}

impl Vp8Places {
    fn find(payload: &[u8]) -> Option<Self> {
        let mut places = Self {
            picture_id: None,
            tl0_pic_idx: None,
            end: 1,
        };
        let first = *payload.first()?;
        if first & 0x80 != 0 {
            let extension = *payload.get(1)?;
            let mut at = 2;
            if extension & 0x80 != 0 {
                let long = *payload.get(at)? & 0x80 != 0;
                places.picture_id = Some((at, long));
                at += 1 + usize::from(long);
            }
            if extension & 0x40 != 0 {
                places.tl0_pic_idx = Some(at);
                at += 1;
            }
            places.end = at + usize::from(extension & 0x30 != 0);
        }
        (places.end <= payload.len()).then_some(places)
    }
}

/// Puts new values into a VP8 payload descriptor, in places that are there.
pub(crate) fn replace_vp8_ids(payload: &mut [u8], ids: Vp8Ids) {
    let Some(places) = Vp8Places::find(payload) else { return };
    match (places.picture_id, ids.picture_id) {
        (Some((at, true)), Some(id)) => payload[at..at + 2].copy_from_slice(&(0x8000 | id).to_be_bytes()),
        (Some((at, false)), Some(id)) => payload[at] = id as u8 & 0x7f,
        _ => {}
    }
    if let (Some(at), Some(index)) = (places.tl0_pic_idx, ids.tl0_pic_idx) {
        payload[at] = index;
    }
}

/// RFC 9628 section 4.2: begins a frame, is not predicted from another, in the lowest layer.
fn vp9_starts_keyframe(payload: &[u8]) -> bool {
    let Some(first) = payload.first() else { return false };
    let (has_id, predicted, has_layers, begins) = (
        first & 0x80 != 0,
        first & 0x40 != 0,
        first & 0x20 != 0,
        first & 0x08 != 0,
    );
    if predicted || !begins {
        return false;
    }
    if !has_layers {
        return true;
    }
    let id_bytes = match payload.get(1) {
        Some(id) if has_id => 1 + usize::from(id & 0x80 != 0),
        _ => 0,
    };
    payload
        .get(1 + id_bytes)
        .is_some_and(|layers| (layers >> 1) & 0x07 == 0)
}

/// RFC 6184: a sequence parameter set or an IDR slice, alone, aggregated, or as a first fragment.
fn h264_starts_keyframe(payload: &[u8]) -> bool {
    const IDR: u8 = 5;
    const SPS: u8 = 7;
    let is_key = |unit: u8| matches!(unit & 0x1f, IDR | SPS);
    let Some(first) = payload.first() else { return false };
    match first & 0x1f {
        24 => {
            let mut rest = &payload[1..];
            while let [high, low, unit, ..] = rest {
                if is_key(*unit) {
                    return true;
                }
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(2 + length..).unwrap_or_default();
            }
            false
        }
        28 => payload
            .get(1)
            .is_some_and(|header| header & 0x80 != 0 && is_key(*header)),
        _ => is_key(*first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::codec;
    use proptest::prelude::*;

    fn h264(payload_type: u8, packetization_mode: u8, profile_level_id: u32) -> Codec {
        codec(
            payload_type,
            CodecFormat::H264 {
                packetization_mode,
                profile_level_id,
            },
        )
    }

    const OPUS: CodecFormat = CodecFormat::Opus { inband_fec: true };

    #[test]
    fn numbers_differ_and_formats_decide() {
        let publisher = [codec(111, OPUS), codec(96, CodecFormat::Vp8)];
        let subscriber = [codec(109, OPUS), codec(120, CodecFormat::Vp8)];
        let map = PayloadMap::new(&publisher, &subscriber);
        assert_eq!(map.target(111), Target::Same(109));
        assert_eq!(map.target(96), Target::Same(120));
        assert_eq!(map.target(120), Target::Missing);
    }

    #[test]
    fn red_stays_wrapped_only_if_the_numbers_inside_hold() {
        let publisher = [codec(111, OPUS), codec(63, CodecFormat::Red { of: 111 })];
        let same = [codec(111, OPUS), codec(63, CodecFormat::Red { of: 111 })];
        let moved = [codec(109, OPUS), codec(63, CodecFormat::Red { of: 109 })];
        let without = [codec(109, OPUS)];
        assert_eq!(PayloadMap::new(&publisher, &same).target(63), Target::Same(63));
        assert_eq!(PayloadMap::new(&publisher, &moved).target(63), Target::Unwrapped(109));
        assert_eq!(PayloadMap::new(&publisher, &without).target(63), Target::Unwrapped(109));
    }

    #[test]
    fn h264_goes_to_the_nearest_profile() {
        let publisher = [
            h264(1, 1, 0x42e01f),
            h264(2, 0, 0x42e01f),
            h264(3, 1, 0x64001f),
            h264(4, 1, 0x42001f),
        ];
        let chromium = [h264(10, 1, 0x64001f), h264(11, 0, 0x42e01f), h264(12, 1, 0x42e01f)];
        let map = PayloadMap::new(&publisher, &chromium);
        assert_eq!(map.target(1), Target::Same(12));
        assert_eq!(map.target(2), Target::Same(11));
        assert_eq!(map.target(3), Target::Same(10));
        assert_eq!(map.target(4), Target::Same(12));
        let baseline_only = [h264(11, 0, 0x42e01f)];
        let map = PayloadMap::new(&publisher, &baseline_only);
        assert_eq!(map.target(1), Target::Missing);
        assert_eq!(map.target(3), Target::Missing);
        let high_only = [h264(10, 1, 0x64001f)];
        assert_eq!(PayloadMap::new(&publisher, &high_only).target(1), Target::Same(10));
    }

    #[test]
    fn key_frames_are_seen() {
        assert!(starts_keyframe(&CodecFormat::Vp8, &[0x10, 0x00, 0]));
        assert!(!starts_keyframe(&CodecFormat::Vp8, &[0x10, 0x01, 0]));
        assert!(!starts_keyframe(&CodecFormat::Vp8, &[0x00, 0x00, 0]));
        let extended = [0x90, 0xe0, 0x81, 0x02, 0x07, 0x20, 0x10];
        let header = Vp8Header::parse(&extended);
        let expected = Vp8Header {
            picture_id: Some((0x102, true)),
            tl0_pic_idx: Some(7),
            starts_keyframe: true,
        };
        assert_eq!(header, Some(expected));
        let h264 = CodecFormat::H264 {
            packetization_mode: 1,
            profile_level_id: 0x42e01f,
        };
        assert!(starts_keyframe(&h264, &[0x65, 1]));
        assert!(starts_keyframe(&h264, &[0x78, 0, 1, 0x09, 0, 2, 0x67, 0]));
        assert!(starts_keyframe(&h264, &[0x7c, 0x85]));
        assert!(!starts_keyframe(&h264, &[0x7c, 0x05]));
        assert!(!starts_keyframe(&h264, &[0x41]));
        let vp9 = CodecFormat::Vp9 { profile: 0 };
        assert!(starts_keyframe(&vp9, &[0x88, 0x01]));
        assert!(!starts_keyframe(&vp9, &[0xc8, 0x01]));
    }

    proptest! {
        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            for format in [OPUS, CodecFormat::Vp8, CodecFormat::Vp9 { profile: 0 }, CodecFormat::Av1 { profile: 0 },
                CodecFormat::H264 { packetization_mode: 1, profile_level_id: 0 }] {
                starts_keyframe(&format, &payload);
            }
        }
    }
}
