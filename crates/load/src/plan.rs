//! What a run does: how many, with what, over which network.

use std::time::Duration;

use negotiation::Layer;

use crate::description::VideoCodec;
use crate::link::{Conditions, splitmix};

/// A run. The same plan makes the same clients, media and losses.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rooms.
    pub rooms: u32,
    /// Participants in each.
    pub participants: u32,
    /// How many of these publish.
    pub publishers: u32,
    /// How many of these send anything; the others' tracks are silent.
    pub speakers: u32,
    /// So many more publish and leave again before media flows, [`Plan::PASSING_TOGETHER`] at a time, spread over the rooms.
    pub passing: u32,
    /// How long is measured.
    pub duration: Duration,
    /// Participants that begin to join each second, over all rooms.
    pub join_rate: u32,
    /// Publishers send audio.
    pub audio: bool,
    /// Bytes of an Opus frame, of which there are 50 a second.
    pub audio_bytes: usize,
    /// Publishers send video in these formats by turns; none: no video.
    pub codecs: Vec<VideoCodec>,
    /// Bits a second of a video, of the highest layer if there are several.
    pub video_bits: u64,
    /// Pictures a second.
    pub frames_per_second: u32,
    /// VP8 is sent in three layers.
    pub simulcast: bool,
    /// Of 1000 datagrams of a participant, how many are lost, each way.
    pub lost_per_mille: u32,
    /// How long each takes, each way.
    pub delay: Duration,
    /// Bits a second of a participant's path, each way.
    pub rate: Option<u64>,
    /// Of the participants of a room, each of so many decrypts what it gets; the others count packets by their headers.
    pub decrypt_every: u32,
    /// Of all dice.
    pub seed: u64,
    /// Threads that carry media.
    pub threads: usize,
}

/// Of the highest layer's bit rate, what each layer has, in thousandths.
const LAYERS: [u64; 3] = [100, 300, 1000];

impl Plan {
    /// How many of those who come and go are there at once, in each room.
    pub const PASSING_TOGETHER: u32 = 10;

    /// Participants over all rooms.
    pub fn total(&self) -> u32 {
        self.rooms * self.participants
    }

    /// Tracks of each publisher.
    pub fn kinds(&self) -> u32 {
        u32::from(self.audio) + u32::from(!self.codecs.is_empty())
    }

    /// Streams that arrive when everybody hears everybody.
    pub fn streams(&self) -> u64 {
        let speakers = u64::from(self.speakers.min(self.publishers).min(self.participants));
        let pairs = speakers * u64::from(self.participants.saturating_sub(1));
        u64::from(self.rooms) * pairs * u64::from(self.kinds())
    }

    /// The format of a publisher's video.
    pub fn codec(&self, publisher: u32) -> Option<VideoCodec> {
        let turn = usize::try_from(publisher).unwrap_or_default() % self.codecs.len().max(1);
        self.codecs.get(turn).copied()
    }

    /// The layers that a format is sent in: thousandths of the bit rate, lowest first.
    pub fn layers(&self, codec: VideoCodec) -> &'static [u64] {
        match codec {
            VideoCodec::Vp8 if self.simulcast => &LAYERS,
            VideoCodec::Vp8 | VideoCodec::H264 => &LAYERS[2..],
        }
    }

    /// Whether a participant, by its number over all rooms, publishes: the first of each room, and all who come and go.
    pub fn publishes(&self, participant: u32) -> bool {
        participant >= self.total() || participant % self.participants < self.publishers
    }

    /// Whether it sends something.
    pub fn speaks(&self, participant: u32) -> bool {
        participant < self.total() && participant % self.participants < self.speakers.min(self.publishers)
    }

    /// Whether a participant, by its number over all rooms, leaves what it gets sealed.
    pub fn only_counts(&self, participant: u32) -> bool {
        !(participant % self.participants.max(1)).is_multiple_of(self.decrypt_every.max(1))
    }

    /// A participant's path; none if nothing is to happen to datagrams.
    pub fn conditions(&self, participant: u32) -> Option<(Conditions, Option<u64>)> {
        let untouched = self.lost_per_mille == 0 && self.delay.is_zero() && self.rate.is_none();
        let conditions = Conditions {
            lost_per_mille: self.lost_per_mille,
            delay: self.delay,
            seed: splitmix(self.seed ^ u64::from(participant) << 32),
        };
        (!untouched).then_some((conditions, self.rate))
    }
}

/// SSRCs of a participant's video, unlike those of its audio and of each other.
pub(crate) fn video_layers(count: usize) -> Vec<Layer> {
    let ssrcs = (2000..).step_by(2).take(count);
    ssrcs
        .map(|ssrc| Layer {
            ssrc,
            rtx: Some(ssrc + 1),
        })
        .collect()
}

/// The SSRC of a participant's audio.
pub(crate) const AUDIO: Layer = Layer { ssrc: 1000, rtx: None };
