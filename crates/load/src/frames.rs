//! Canned media: payloads that look right to a forwarder, and that a test can tell apart.
//!
//! No encoder is needed. Headers say what an encoder's would (key frames, picture ids, parameter
//! sets, sizes); behind them there is no picture.

use std::sync::Arc;

use crate::description::VideoCodec;
use crate::link::splitmix;
use crate::stamp::STAMP_BYTES;

/// Bytes of a payload: what Chromium puts into one.
const PAYLOAD_BYTES: usize = 1170;
/// Least bytes of a packet: headers and a stamp.
const PAYLOAD_BYTES_MIN: usize = 24 + STAMP_BYTES;
/// A key frame has as many bytes as so many others.
const KEY_FRAME_WEIGHT: usize = 5;
/// A VP8 payload descriptor with a picture id of 15 bits, TL0PICIDX and TID.
const VP8_DESCRIPTOR_BYTES: usize = 6;

/// Opus frames: a counter in noise-like bytes.
#[derive(Debug, Clone)]
pub struct Opus {
    /// Bytes of a frame.
    pub bytes: usize,
    count: u32,
}

impl Opus {
    /// Frames of this size, at least 8 bytes.
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes: bytes.max(8),
            count: 0,
        }
    }

    /// The next 20 ms: a TOC byte, the counter, filling.
    pub fn frame(&mut self) -> Vec<u8> {
        self.count += 1;
        let mut frame = vec![0xf8];
        frame.extend_from_slice(&self.count.to_be_bytes());
        frame.resize(self.bytes, self.count as u8);
        frame
    }
}

/// VP8 frames with picture ids of 15 bits, TL0PICIDX and a frame header; no picture in them.
#[derive(Debug, Clone)]
pub struct Video {
    /// Packets of a frame.
    pub packets: usize,
    /// Bytes of a packet's payload.
    pub bytes: usize,
    picture_id: u16,
    tl0_pic_idx: u8,
}

impl Video {
    /// Frames of so many packets of so many bytes; `first_picture` sets the ids apart.
    pub fn new(packets: usize, bytes: usize, first_picture: u16) -> Self {
        Self {
            packets,
            bytes: bytes.max(16),
            picture_id: first_picture & 0x7fff,
            tl0_pic_idx: first_picture as u8,
        }
    }

    /// The payloads of the next frame.
    pub fn frame(&mut self, key: bool) -> Vec<Vec<u8>> {
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        self.tl0_pic_idx = self.tl0_pic_idx.wrapping_add(1);
        (0..self.packets).map(|index| self.payload(index, key)).collect()
    }

    fn payload(&self, index: usize, key: bool) -> Vec<u8> {
        let start = if index == 0 { 0x10 } else { 0 };
        let [high, low] = (self.picture_id | 0x8000).to_be_bytes();
        let mut payload = vec![0x80 | start, 0xe0, high, low, self.tl0_pic_idx, 0x20];
        // The first bit of the frame header is 0 for a key frame.
        payload.push(u8::from(!key));
        payload.resize(self.bytes, index as u8);
        payload
    }
}

/// Whether a payload of [`Video`] starts a key frame.
pub fn is_keyframe(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| first & 0x10 != 0) && payload.get(6).is_some_and(|header| header & 1 == 0)
}

/// Seconds of video, made once and sent by many.
#[derive(Debug)]
pub struct Clip {
    codec: VideoCodec,
    frames_per_second: u32,
    key: Vec<Vec<u8>>,
    others: Vec<Vec<Vec<u8>>>,
}

impl Clip {
    /// Three seconds at a bit rate and a frame rate. The seed decides how sizes vary, by a third
    /// either way as they do in a video call.
    pub fn new(codec: VideoCodec, bits_per_second: u64, frames_per_second: u32, seed: u64) -> Self {
        let frames_per_second = frames_per_second.max(1);
        let mean = usize::try_from(bits_per_second / 8 / u64::from(frames_per_second)).unwrap_or(usize::MAX);
        let mean = mean.clamp(PAYLOAD_BYTES_MIN, 1 << 20);
        let others = (0..u64::from(frames_per_second) * 3).map(|number| {
            let dice = splitmix(seed ^ number) % 1000;
            let bytes = mean * 2 / 3 + mean * 2 / 3 * dice as usize / 1000;
            packets(codec, false, bytes, seed ^ number)
        });
        Self {
            codec,
            frames_per_second,
            key: packets(codec, true, mean * KEY_FRAME_WEIGHT, seed),
            others: others.collect(),
        }
    }
}

/// A clip being sent over and over.
#[derive(Debug, Clone)]
pub struct Playing {
    clip: Arc<Clip>,
    next: usize,
    picture_id: u16,
    tl0_pic_idx: u8,
}

impl Playing {
    /// From somewhere in the clip, so that not all publishers send their large frames at once.
    pub fn new(clip: Arc<Clip>, seed: u64) -> Self {
        let dice = splitmix(seed);
        Self {
            next: dice as usize % clip.others.len().max(1),
            picture_id: dice as u16 & 0x7fff,
            tl0_pic_idx: (dice >> 16) as u8,
            clip,
        }
    }

    /// Pictures a second.
    pub fn frames_per_second(&self) -> u32 {
        self.clip.frames_per_second
    }

    /// The payloads of the next frame.
    pub fn frame(&mut self, key: bool) -> Vec<Vec<u8>> {
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        self.tl0_pic_idx = self.tl0_pic_idx.wrapping_add(1);
        let mut payloads = if key {
            self.clip.key.clone()
        } else {
            self.next = (self.next + 1) % self.clip.others.len().max(1);
            self.clip.others.get(self.next).cloned().unwrap_or_default()
        };
        if self.clip.codec == VideoCodec::Vp8 {
            let [high, low] = (self.picture_id | 0x8000).to_be_bytes();
            for payload in &mut payloads {
                payload[2..5].copy_from_slice(&[high, low, self.tl0_pic_idx]);
            }
        }
        payloads
    }
}

/// The payloads of one frame, cut as browsers cut: evenly, and where that leaves a remainder, the last ones are a byte longer.
fn packets(codec: VideoCodec, key: bool, bytes: usize, seed: u64) -> Vec<Vec<u8>> {
    let bytes = bytes.max(PAYLOAD_BYTES_MIN);
    let count = bytes.div_ceil(PAYLOAD_BYTES);
    let mut payloads: Vec<Vec<u8>> = (0..count)
        .map(|index| {
            let mut payload = match codec {
                VideoCodec::Vp8 => vp8_header(index == 0, key),
                VideoCodec::H264 => fragment_header(index == 0, index + 1 == count, key),
            };
            let is_longer = index >= count - bytes % count;
            let length = (bytes / count + usize::from(is_longer)).max(PAYLOAD_BYTES_MIN);
            let filling = (0..).map(|place| splitmix(seed.wrapping_add(index as u64) ^ place) as u8);
            let missing = length.saturating_sub(payload.len());
            payload.extend(filling.take(missing));
            payload
        })
        .collect();
    if codec == VideoCodec::H264 && key {
        payloads.insert(0, parameter_sets());
    }
    payloads
}

/// RFC 7741: the descriptor, and before a frame's first bytes its frame tag; a key frame goes on
/// with its start code and 640 by 480 (RFC 6386 section 9.1).
fn vp8_header(first: bool, key: bool) -> Vec<u8> {
    let mut header = vec![if first { 0x90 } else { 0x80 }, 0xe0, 0x80, 0, 0, 0x20];
    debug_assert_eq!(header.len(), VP8_DESCRIPTOR_BYTES);
    if first {
        // Shown, with a first partition of 100 bytes; the lowest bit is 0 for a key frame.
        let tag = u32::from(!key) | 1 << 4 | 100 << 5;
        header.extend_from_slice(&tag.to_le_bytes()[..3]);
        if key {
            header.extend_from_slice(&[0x9d, 0x01, 0x2a]);
            header.extend_from_slice(&640_u16.to_le_bytes());
            header.extend_from_slice(&480_u16.to_le_bytes());
        }
    }
    header
}

/// RFC 6184 section 5.8: an FU-A of a slice.
fn fragment_header(first: bool, last: bool, key: bool) -> Vec<u8> {
    let (kind, importance) = if key { (5, 0x60) } else { (1, 0x40) };
    vec![importance | 28, u8::from(first) << 7 | u8::from(last) << 6 | kind]
}

/// RFC 6184 section 5.7.1: a STAP-A of a sequence and a picture parameter set (constrained
/// baseline, 640 by 480), and of a filler unit that has room for a stamp.
fn parameter_sets() -> Vec<u8> {
    const SEQUENCE: [u8; 10] = [0x67, 0x42, 0xe0, 0x1f, 0xda, 0x02, 0x80, 0xf6, 0x80, 0x40];
    const PICTURE: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];
    let mut filler = vec![0x0c];
    filler.resize(1 + STAMP_BYTES, 0xff);
    let mut payload = vec![0x60 | 24];
    for unit in [&SEQUENCE[..], &PICTURE[..], &filler[..]] {
        payload.extend_from_slice(&(unit.len() as u16).to_be_bytes());
        payload.extend_from_slice(unit);
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(clip: &Clip) -> usize {
        let bytes: usize = clip.others.iter().flatten().map(Vec::len).sum();
        bytes * 8 / 3
    }

    #[test]
    fn a_clip_has_its_bit_rate_and_the_same_bytes_with_the_same_seed() {
        for codec in [VideoCodec::Vp8, VideoCodec::H264] {
            let clip = Clip::new(codec, 800_000, 30, 5);
            assert!((720_000..880_000).contains(&rate(&clip)), "{}", rate(&clip));
            assert_eq!(clip.others, Clip::new(codec, 800_000, 30, 5).others);
            assert_ne!(clip.others, Clip::new(codec, 800_000, 30, 6).others);
            let lengths = clip.others.iter().chain([&clip.key]).flatten().map(Vec::len);
            assert!(lengths.clone().max().is_some_and(|length| length <= PAYLOAD_BYTES + 10));
            assert!(lengths.min().is_some_and(|length| length > STAMP_BYTES + 14));
        }
    }

    #[test]
    fn vp8_frames_say_what_they_are_and_count_on() {
        let clip = Arc::new(Clip::new(VideoCodec::Vp8, 1_000_000, 30, 5));
        let mut playing = Playing::new(clip, 9);
        let (key, next) = (playing.frame(true), playing.frame(false));
        assert!(key.len() > next.len() && is_keyframe(&key[0]) && !is_keyframe(&next[0]));
        assert!(!is_keyframe(&key[1]), "only its first packet starts it");
        let picture = |payload: &[u8]| u16::from_be_bytes([payload[2], payload[3]]) & 0x7fff;
        assert_eq!(picture(&next[0]), (picture(&key[0]) + 1) & 0x7fff);
        assert!(key.iter().all(|payload| picture(payload) == picture(&key[0])));
    }

    #[test]
    fn h264_key_frames_begin_with_parameter_sets() {
        let clip = Arc::new(Clip::new(VideoCodec::H264, 1_000_000, 30, 5));
        let mut playing = Playing::new(clip, 9);
        let key = playing.frame(true);
        assert_eq!((key[0][0] & 0x1f, key[0][3] & 0x1f), (24, 7));
        assert_eq!((key[1][0] & 0x1f, key[1][1]), (28, 0x80 | 5));
        assert_eq!(key.last().map(|last| last[1]), Some(0x40 | 5));
    }
}
