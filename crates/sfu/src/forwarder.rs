//! One track towards one subscriber: which layer's packets go through, and under which numbers.

use crate::codec::Vp8Header;
use crate::engine::Vp8Ids;
use crate::rewrite::{Counter, SequenceMap, TimestampMap};

/// A packet as the forwarder sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    /// 0 is the lowest.
    pub(crate) layer: usize,
    /// The layer that subscribers should have: the highest that is alive.
    pub(crate) target: usize,
    /// How many there are.
    pub(crate) layers: usize,
    /// Extended.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    /// Hz of the timestamp.
    pub(crate) clock_rate: u32,
    /// When it was captured, µs on our clock.
    pub(crate) captured_us: i64,
    pub(crate) starts_keyframe: bool,
    /// Of VP8.
    pub(crate) vp8: Option<Vp8Header>,
}

/// The numbers that a packet gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rewritten {
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) vp8: Option<Vp8Ids>,
}

/// The state of one stream towards one subscriber. It outlives its source: numbers go on when the
/// stream is given another one.
#[derive(Debug, Clone)]
pub(crate) struct Forwarder {
    sequence: SequenceMap,
    timestamp: TimestampMap,
    picture_id: Counter<15>,
    short_picture_id: Counter<7>,
    tl0_pic_idx: Counter<8>,
    source: Source,
    saw_keyframe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    None,
    /// Attached; nothing was forwarded yet.
    Waiting,
    Layer(usize),
}

impl Forwarder {
    pub(crate) fn new() -> Self {
        Self {
            sequence: SequenceMap::new(),
            timestamp: TimestampMap::default(),
            picture_id: Counter::default(),
            short_picture_id: Counter::default(),
            tl0_pic_idx: Counter::default(),
            source: Source::None,
            saw_keyframe: false,
        }
    }

    /// Reads what the next packet will need.
    pub(crate) fn touch(&self) -> u64 {
        self.sequence.touch() ^ u64::from(self.saw_keyframe)
    }

    /// A track is forwarded from now on.
    pub(crate) fn attach(&mut self) {
        self.source = Source::Waiting;
        self.saw_keyframe = false;
        self.sequence.stop();
    }

    /// Nothing is forwarded any more.
    pub(crate) fn detach(&mut self) {
        self.source = Source::None;
        self.sequence.stop();
    }

    /// The layer whose key frame is needed for going on as wished.
    pub(crate) fn awaits_keyframe(&self, target: usize) -> Option<usize> {
        match self.source {
            Source::None => None,
            Source::Waiting => Some(target),
            Source::Layer(layer) => (layer != target || !self.saw_keyframe).then_some(target),
        }
    }

    /// The layer that is forwarded now.
    pub(crate) fn layer(&self) -> Option<usize> {
        match self.source {
            Source::Layer(layer) => Some(layer),
            Source::None | Source::Waiting => None,
        }
    }

    /// The packet's numbers towards the subscriber; `None` if it is not for it.
    pub(crate) fn forward(&mut self, packet: &Arrived) -> Option<Rewritten> {
        if !self.takes(packet) {
            return None;
        }
        self.saw_keyframe |= packet.starts_keyframe;
        let sequence = self.sequence.map(packet.sequence)?;
        let timestamp = self.timestamp.map(packet.timestamp, packet.captured_us);
        let vp8 = packet.vp8.and_then(|header| self.rewrite_vp8(&header));
        Some(Rewritten {
            sequence,
            timestamp,
            vp8,
        })
    }

    /// The subscriber cannot have this packet, though the layer is its own: the gap is closed.
    pub(crate) fn skip(&mut self, packet: &Arrived) {
        if self.source == Source::Layer(packet.layer) {
            self.sequence.skip(packet.sequence);
        }
    }

    fn takes(&mut self, packet: &Arrived) -> bool {
        match self.source {
            Source::None => false,
            // A single stream passes untouched from the first packet. With layers, the first
            // picture of any is better than none.
            Source::Waiting if packet.layers == 1 || packet.starts_keyframe => {
                self.switch(packet);
                true
            }
            Source::Waiting => false,
            Source::Layer(layer) if layer == packet.layer => true,
            Source::Layer(_) if packet.layer == packet.target && packet.starts_keyframe => {
                self.switch(packet);
                true
            }
            Source::Layer(_) => false,
        }
    }

    fn switch(&mut self, packet: &Arrived) {
        self.source = Source::Layer(packet.layer);
        self.sequence.start(packet.sequence);
        self.timestamp
            .start(packet.timestamp, packet.captured_us, packet.clock_rate);
        if let Some(header) = packet.vp8 {
            match header.picture_id {
                Some((id, true)) => self.picture_id.start(id),
                Some((id, false)) => self.short_picture_id.start(id),
                None => {}
            }
            if let Some(index) = header.tl0_pic_idx {
                self.tl0_pic_idx.start(u16::from(index));
            }
        }
    }

    /// `None` if they stay as they are.
    fn rewrite_vp8(&mut self, header: &Vp8Header) -> Option<Vp8Ids> {
        let ids = Vp8Ids {
            picture_id: header.picture_id.map(|(id, long)| match long {
                true => self.picture_id.map(id),
                false => self.short_picture_id.map(id),
            }),
            tl0_pic_idx: header
                .tl0_pic_idx
                .map(|index| self.tl0_pic_idx.map(u16::from(index)) as u8),
        };
        let before = Vp8Ids {
            picture_id: header.picture_id.map(|(id, _)| id),
            tl0_pic_idx: header.tl0_pic_idx,
        };
        (ids != before).then_some(ids)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn packet(layer: usize, target: usize, sequence: u64, starts_keyframe: bool) -> Arrived {
        let header = Vp8Header {
            picture_id: Some((sequence as u16 & 0x7fff, true)),
            tl0_pic_idx: Some(sequence as u8),
            starts_keyframe,
        };
        Arrived {
            layer,
            target,
            layers: 3,
            sequence,
            timestamp: (sequence * 3000) as u32,
            clock_rate: 90_000,
            captured_us: (sequence % 1000 * 33_333) as i64,
            starts_keyframe,
            vp8: Some(header),
        }
    }

    #[test]
    fn nothing_flows_before_a_source_is_attached() {
        let mut forwarder = Forwarder::new();
        assert_eq!(forwarder.forward(&packet(0, 0, 1, true)), None);
        assert_eq!(forwarder.awaits_keyframe(0), None);
    }

    #[test]
    fn layers_switch_at_key_frames_of_the_target_only() {
        let mut forwarder = Forwarder::new();
        forwarder.attach();
        assert_eq!(forwarder.awaits_keyframe(2), Some(2));
        assert_eq!(forwarder.forward(&packet(0, 2, 10_000, false)), None);
        let first = forwarder.forward(&packet(0, 2, 10_001, true)).unwrap();
        assert_eq!(forwarder.awaits_keyframe(2), Some(2));
        assert_eq!(forwarder.forward(&packet(2, 2, 50_001, false)), None);
        let second = forwarder.forward(&packet(0, 2, 10_002, false)).unwrap();
        let third = forwarder.forward(&packet(2, 2, 50_003, true)).unwrap();
        assert_eq!(forwarder.awaits_keyframe(2), None);
        assert_eq!(
            [second.sequence, third.sequence],
            [first.sequence + 1, first.sequence + 2]
        );
        assert!(third.timestamp.wrapping_sub(second.timestamp) < 90_000);
        assert_eq!(second.vp8, None);
        assert_eq!(
            third.vp8,
            Some(Vp8Ids {
                picture_id: Some(10_003),
                tl0_pic_idx: Some(10_003_u64 as u8)
            })
        );
        assert_eq!(forwarder.forward(&packet(0, 2, 10_003, false)), None);
    }

    #[test]
    fn a_single_layer_passes_from_its_first_packet() {
        let mut forwarder = Forwarder::new();
        forwarder.attach();
        let single = |sequence, key| Arrived {
            layers: 1,
            vp8: None,
            ..packet(0, 0, sequence, key)
        };
        let first = forwarder.forward(&single(7, false)).unwrap();
        assert_eq!(first.timestamp, 21_000);
        assert_eq!(forwarder.awaits_keyframe(0), Some(0));
        forwarder.forward(&single(8, true)).unwrap();
        assert_eq!(forwarder.awaits_keyframe(0), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_no_sequence_number_is_used_twice(
            packets in prop::collection::vec((0_usize..3, 0_usize..3, 0_u64..200, any::<bool>(), 0_u8..40), 1..300)
        ) {
            let mut forwarder = Forwarder::new();
            forwarder.attach();
            let mut seen = HashSet::new();
            for (layer, target, sequence, key, action) in packets {
                if action == 0 {
                    forwarder.detach();
                    forwarder.attach();
                }
                let arrived = packet(layer, target, 100_000 * layer as u64 + 1000 + sequence, key);
                if action == 1 {
                    forwarder.skip(&arrived);
                } else if let Some(out) = forwarder.forward(&arrived) {
                    prop_assert!(seen.insert(out.sequence));
                }
            }
        }
    }
}
