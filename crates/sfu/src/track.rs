//! A published track: its layers, and who receives it.

use std::time::Instant;

use negotiation::{Codec, MediaKind};

use crate::TransportId;
use crate::clock::StreamClock;
use crate::engine::{ReceiveBinding, RecvHandle, SendHandle};
use crate::keyframe::KeyframeRequests;
use crate::limits;
use crate::loudest::Loudness;

/// Names a track in the plane; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TrackKey(pub(crate) u64);

/// A published track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) owner: TransportId,
    pub(crate) kind: MediaKind,
    pub(crate) codecs: Vec<Codec>,
    /// Lowest first.
    pub(crate) layers: Vec<Layer>,
    /// The layer that subscribers should have.
    pub(crate) target: usize,
    pub(crate) subscribers: Vec<(TransportId, SendHandle)>,
    /// Of sound.
    pub(crate) loudness: Loudness,
    /// In which sending there is the beginning of a frame whose end has not come.
    open_in: Option<u64>,
}

/// Frames of which something waits for the next sending and the end has not come.
#[derive(Debug, Default)]
pub(crate) struct OpenFrames {
    pub(crate) open: usize,
    /// Packets that were not the first of their frame in a sending.
    pub(crate) continued: u64,
    sending: u64,
}

impl OpenFrames {
    /// What waited was sent.
    pub(crate) fn flushed(&mut self) {
        self.sending += 1;
        self.open = 0;
    }

    /// A packet of a video is about to be sent; whether its frame has others.
    pub(crate) fn packet(&mut self, track: &mut Track, ends_frame: bool) -> bool {
        let is_open = track.open_in == Some(self.sending);
        self.continued += u64::from(is_open);
        match (is_open, ends_frame) {
            (false, false) => self.open += 1,
            (true, true) => self.open -= 1,
            (false, true) | (true, false) => {}
        }
        track.open_in = (!ends_frame).then_some(self.sending);
        is_open || !ends_frame
    }
}

/// One layer of it.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) stream: RecvHandle,
    pub(crate) clock: StreamClock,
    pub(crate) keyframes: KeyframeRequests,
    last_packet: Option<Instant>,
}

impl Track {
    pub(crate) fn new(owner: TransportId, binding: &ReceiveBinding) -> Self {
        let layer = |stream: &RecvHandle| Layer {
            stream: *stream,
            clock: StreamClock::default(),
            keyframes: KeyframeRequests::new(),
            last_packet: None,
        };
        Self {
            owner,
            kind: binding.kind,
            codecs: binding.codecs.clone(),
            layers: binding.layers.iter().map(layer).collect(),
            target: 0,
            subscribers: Vec::new(),
            loudness: Loudness::default(),
            open_in: None,
        }
    }

    /// Whether it is still the same streams.
    pub(crate) fn matches(&self, binding: &ReceiveBinding) -> bool {
        self.kind == binding.kind
            && self
                .layers
                .iter()
                .map(|layer| layer.stream)
                .eq(binding.layers.iter().copied())
    }

    pub(crate) fn codec(&self, payload_type: u8) -> Option<&Codec> {
        self.codecs.iter().find(|codec| codec.payload_type == payload_type)
    }

    /// A packet of a layer arrived.
    pub(crate) fn heard(&mut self, layer: usize, now: Instant) {
        self.layers[layer].last_packet = Some(now);
    }

    /// When a key frame that is wanted was asked for last; `None` if none is wanted.
    pub(crate) fn keyframe_wanted_since(&self) -> Option<Option<Instant>> {
        self.layers
            .iter()
            .filter_map(|layer| layer.keyframes.wanted_since())
            .min()
    }

    /// Chooses the layer for subscribers: the highest that is alive, else the one there was.
    pub(crate) fn choose_target(&mut self, now: Instant) {
        let alive = |layer: &Layer| {
            layer
                .last_packet
                .is_some_and(|at| now.saturating_duration_since(at) < limits::LAYER_SILENT_AFTER)
        };
        if let Some(highest) = self.layers.iter().rposition(alive) {
            self.target = highest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn the_highest_living_layer_is_the_target() {
        let binding = ReceiveBinding {
            track_id: Arc::from("camera"),
            kind: MediaKind::Video,
            layers: vec![RecvHandle(0), RecvHandle(1), RecvHandle(2)],
            codecs: Vec::new(),
        };
        let start = Instant::now();
        let mut track = Track::new(TransportId(1), &binding);
        track.heard(2, start);
        track.heard(0, start + Duration::from_millis(900));
        track.choose_target(start + Duration::from_millis(900));
        assert_eq!(track.target, 2);
        track.choose_target(start + Duration::from_millis(1100));
        assert_eq!(track.target, 0);
        track.choose_target(start + Duration::from_secs(10));
        assert_eq!(track.target, 0);
    }
}
