//! A stream that a peer sends: canned media at its own pace.

use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::media::Pt;
use str0m::rtp::{ExtensionValues, RtpWrite, Ssrc};

use crate::frames::{Opus, Playing, Video};

/// One stream, and when its next frame is due.
#[derive(Debug)]
pub struct Source {
    /// Of the stream.
    pub ssrc: u32,
    /// Of its packets.
    pub payload_type: u8,
    /// Of the packet sent last, extended.
    pub sequence: u64,
    /// Of the frame sent last, RTP clock.
    pub timestamp: u32,
    /// When the next frame is due.
    pub next: Instant,
    /// Frames are counted, not sent.
    pub silent: bool,
    /// How loud its packets say that they are, dBov (RFC 6464).
    pub level: i8,
    /// What is in it.
    pub media: Media,
}

/// What is in a stream.
#[derive(Debug)]
pub enum Media {
    /// A frame every 20 ms.
    Audio {
        /// The frames.
        opus: Opus,
        /// Payload type of Opus, if it is sent in RED.
        red_of: Option<u8>,
        /// The frame before, for RED.
        before: Option<Vec<u8>>,
    },
    /// 30 frames a second.
    Video {
        /// The frames.
        video: Video,
        /// The next one is a key frame.
        key: bool,
    },
    /// As many frames a second as the clip has.
    Clip {
        /// The frames.
        playing: Playing,
        /// The next one is a key frame.
        key: bool,
    },
}

/// The level of speech.
pub const SPEECH_DBOV: i8 = -30;

impl Source {
    /// The next frame is a key frame, if there are such.
    pub fn ask_for_keyframe(&mut self) {
        match &mut self.media {
            Media::Video { key, .. } | Media::Clip { key, .. } => *key = true,
            Media::Audio { .. } => {}
        }
    }

    /// Sends the frame that is due, each payload as `finish` leaves it; says how many packets.
    pub fn advance(&mut self, rtc: &mut Rtc, now: Instant, mut finish: impl FnMut(&mut Vec<u8>)) -> u64 {
        let (payloads, every, ticks) = match &mut self.media {
            Media::Audio { opus, red_of, before } => {
                let frame = opus.frame();
                let payload = match red_of {
                    Some(of) => red_payload(*of, before.replace(frame.clone()), &frame),
                    None => frame,
                };
                (vec![payload], Duration::from_millis(20), 960)
            }
            Media::Video { video, key } => {
                let frame = if self.silent {
                    Vec::new()
                } else {
                    video.frame(std::mem::take(key))
                };
                (frame, Duration::from_micros(33_333), 3000)
            }
            Media::Clip { playing, key } => {
                let rate = playing.frames_per_second();
                let frame = playing.frame(std::mem::take(key));
                (frame, Duration::from_secs(1) / rate, 90_000 / rate)
            }
        };
        let captured = self.next.min(now);
        self.next += every;
        self.timestamp = self.timestamp.wrapping_add(ticks);
        if self.silent {
            return 0;
        }
        let last = payloads.len().saturating_sub(1);
        let mut api = rtc.direct_api();
        let Some(stream) = api.stream_tx(&Ssrc::from(self.ssrc)) else {
            return 0;
        };
        for (index, mut payload) in payloads.into_iter().enumerate() {
            self.sequence += 1;
            finish(&mut payload);
            let values = ExtensionValues {
                audio_level: Some(self.level),
                voice_activity: Some(true),
                ..ExtensionValues::default()
            };
            let write = RtpWrite::new(
                Pt::from(self.payload_type),
                self.sequence.into(),
                self.timestamp,
                captured,
                payload,
            )
            .marker(index == last)
            .ext_vals(values)
            .nackable(true);
            stream.write_rtp(write);
        }
        last as u64 + 1
    }
}

/// RFC 2198 with one redundant block 20 ms old.
fn red_payload(of: u8, before: Option<Vec<u8>>, frame: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    if let Some(before) = &before {
        let offset_and_length = 960_u32 << 10 | before.len() as u32;
        payload.push(0x80 | of);
        payload.extend_from_slice(&offset_and_length.to_be_bytes()[1..]);
    }
    payload.push(of);
    payload.extend_from_slice(&before.unwrap_or_default());
    payload.extend_from_slice(frame);
    payload
}
