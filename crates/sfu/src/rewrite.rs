//! Numbers towards a subscriber: sequence numbers, timestamps and VP8 counters that stay continuous.
//!
//! Rule: out = extended in − offset. Late and retransmitted packets take their own slot; only
//! deliberate drops and switches of the source move the offset. No number is given out twice, since
//! the same number sealed with other bytes would break the cipher.

use std::collections::VecDeque;

use crate::limits;

/// The first number of a stream: small, so that the receiver's rollover counter is 0 (RFC 3711
/// section 3.3.1), and with room below for packets that arrive late.
const FIRST_OUT: u64 = 1024;

/// How far before the first packet late ones are let in.
const BACKFILL: u64 = 256;

/// Numbers remembered as used; later ones than this are refused, as by the sealer. A power of two.
const WINDOW: u64 = 64 * limits::SRTP_WINDOW_WORDS as u64;

/// Offsets remembered for late packets of before a drop.
const SEGMENTS_MAX: usize = 32;

/// Sequence numbers of one stream towards one subscriber.
#[derive(Debug, Clone)]
pub(crate) struct SequenceMap {
    latest: Option<Segment>,
    /// Those before, newest last.
    earlier: VecDeque<Segment>,
    highest_out: Option<u64>,
    used: [u64; limits::SRTP_WINDOW_WORDS],
}

/// From `first_in` on, `first_in` becomes `first_out`; up to where the next one begins.
#[derive(Debug, Clone, Copy)]
struct Segment {
    first_in: u64,
    first_out: u64,
}

impl SequenceMap {
    pub(crate) fn new() -> Self {
        Self {
            latest: None,
            earlier: VecDeque::new(),
            highest_out: None,
            used: [0; limits::SRTP_WINDOW_WORDS],
        }
    }

    /// Reads what the next packet will need.
    pub(crate) fn touch(&self) -> u64 {
        let next = self.highest_out.map_or(0, |highest| highest + 1);
        let segment = self.latest.map_or(0, |segment| segment.first_in);
        segment ^ self.used[(next % WINDOW / 64) as usize]
    }

    /// Another source begins, with this packet; numbers go on behind the highest given out.
    pub(crate) fn start(&mut self, first_in: u64) {
        self.stop();
        let segment = match self.highest_out {
            Some(highest) => Segment {
                first_in,
                first_out: highest + 1,
            },
            None => {
                let backfill = BACKFILL.min(first_in);
                Segment {
                    first_in: first_in - backfill,
                    first_out: FIRST_OUT - backfill,
                }
            }
        };
        self.latest = Some(segment);
    }

    /// No source any more.
    pub(crate) fn stop(&mut self) {
        self.latest = None;
        self.earlier.clear();
    }

    /// The number of a packet, each once; `None` if it comes too late or was there before.
    pub(crate) fn map(&mut self, sequence: u64) -> Option<u64> {
        let mut next = self.latest?;
        if next.first_in <= sequence {
            let out = next.first_out + (sequence - next.first_in);
            return self.claim(out).then_some(out);
        }
        for segment in self.earlier.iter().rev() {
            if segment.first_in <= sequence {
                let out = segment.first_out + (sequence - segment.first_in);
                return (out < next.first_out && self.claim(out)).then_some(out);
            }
            next = *segment;
        }
        None
    }

    /// A packet is dropped on purpose: those behind it close the gap. A late one is only left out,
    /// as its successors may have been sent.
    pub(crate) fn skip(&mut self, sequence: u64) {
        let Some(last) = self.latest else { return };
        let out = last.first_out + sequence.saturating_sub(last.first_in);
        if sequence < last.first_in || self.highest_out.is_some_and(|highest| out <= highest) {
            return;
        }
        if self.earlier.len() + 1 == SEGMENTS_MAX {
            self.earlier.pop_front();
        }
        self.earlier.push_back(last);
        self.latest = Some(Segment {
            first_in: sequence + 1,
            first_out: out,
        });
    }

    fn claim(&mut self, out: u64) -> bool {
        match self.highest_out {
            Some(highest) if out <= highest => {
                if highest - out >= WINDOW || self.is_used(out) {
                    return false;
                }
            }
            highest => {
                let from = highest
                    .map_or(out, |highest| highest + 1)
                    .max(out.saturating_sub(WINDOW - 1));
                for number in from..=out {
                    self.used[(number % WINDOW / 64) as usize] &= !(1 << (number % 64));
                }
                self.highest_out = Some(out);
            }
        }
        self.used[(out % WINDOW / 64) as usize] |= 1 << (out % 64);
        true
    }

    fn is_used(&self, out: u64) -> bool {
        self.used[(out % WINDOW / 64) as usize] & (1 << (out % 64)) != 0
    }
}

/// Timestamps of one stream towards one subscriber: in + offset, where a switch moves the offset by
/// the time that passed.
#[derive(Debug, Clone, Default)]
pub(crate) struct TimestampMap {
    offset: u32,
    last: Option<(u32, i64)>,
}

impl TimestampMap {
    /// Another source begins at `timestamp`, captured at `captured_us` on our clock.
    pub(crate) fn start(&mut self, timestamp: u32, captured_us: i64, clock_rate: u32) {
        let Some((last_out, last_us)) = self.last else { return };
        // At least one frame at 60 a second, at most an hour: clocks of sources may disagree.
        let passed_us = (captured_us - last_us).clamp(1_000_000 / 60, 3_600_000_000);
        let passed = (passed_us as i128 * i128::from(clock_rate) / 1_000_000) as u32;
        self.offset = last_out.wrapping_add(passed).wrapping_sub(timestamp);
    }

    pub(crate) fn map(&mut self, timestamp: u32, captured_us: i64) -> u32 {
        let out = timestamp.wrapping_add(self.offset);
        if self.last.is_none_or(|(last, _)| (out.wrapping_sub(last) as i32) > 0) {
            self.last = Some((out, captured_us));
        }
        out
    }
}

/// VP8's picture id or TL0PICIDX: a counter of `BITS` bits that goes on over a switch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter<const BITS: u32> {
    offset: u16,
    last_out: Option<u16>,
}

impl<const BITS: u32> Counter<BITS> {
    const MASK: u16 = ((1_u32 << BITS) - 1) as u16;

    /// Another source begins at `value`.
    pub(crate) fn start(&mut self, value: u16) {
        if let Some(last) = self.last_out {
            self.offset = last.wrapping_add(1).wrapping_sub(value) & Self::MASK;
        }
    }

    pub(crate) fn map(&mut self, value: u16) -> u16 {
        let out = value.wrapping_add(self.offset) & Self::MASK;
        let ahead = |last: u16| out.wrapping_sub(last) & Self::MASK;
        if self.last_out.is_none_or(|last| ahead(last) <= Self::MASK / 2) {
            self.last_out = Some(out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn loss_and_reordering_keep_their_slots() {
        let mut map = SequenceMap::new();
        map.start(70_000);
        let first = map.map(70_000);
        assert_eq!(first, Some(FIRST_OUT));
        assert_eq!(map.map(70_003), Some(FIRST_OUT + 3));
        assert_eq!(map.map(70_001), Some(FIRST_OUT + 1));
        assert_eq!(map.map(70_001), None);
        assert_eq!(map.map(69_999), Some(FIRST_OUT - 1));
        assert_eq!(map.map(70_000 - BACKFILL - 1), None);
    }

    #[test]
    fn a_deliberate_drop_leaves_no_gap() {
        let mut map = SequenceMap::new();
        map.start(10);
        assert_eq!(map.map(10), Some(FIRST_OUT));
        map.skip(11);
        assert_eq!(map.map(13), Some(FIRST_OUT + 2));
        assert_eq!(map.map(12), Some(FIRST_OUT + 1));
        assert_eq!(map.map(11), None);
    }

    #[test]
    fn another_source_goes_on_behind() {
        let mut map = SequenceMap::new();
        map.start(10);
        map.map(10);
        map.start(5_000_000);
        assert_eq!(map.map(5_000_000), Some(FIRST_OUT + 1));
        assert_eq!(map.map(4_999_999), None);
        assert_eq!(map.map(5_000_001), Some(FIRST_OUT + 2));
    }

    #[test]
    fn timestamps_advance_by_the_time_that_passed() {
        let mut map = TimestampMap::default();
        map.start(1000, 0, 90_000);
        assert_eq!(map.map(1000, 0), 1000);
        map.start(77, 100_000, 90_000);
        assert_eq!(map.map(77, 100_000), 10_000);
        map.start(5, 50_000, 90_000);
        assert_eq!(map.map(5, 50_000), 11_499);
    }

    #[test]
    fn counters_wrap() {
        let mut ids = Counter::<15>::default();
        ids.start(0x7fff);
        assert_eq!(ids.map(0x7fff), 0x7fff);
        assert_eq!(ids.map(0), 0);
        ids.start(500);
        assert_eq!(ids.map(500), 1);
        assert_eq!(ids.map(501), 2);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Packet(i64),
        Skip,
        Switch(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => (-300_i64..40).prop_map(Step::Packet),
            2 => Just(Step::Skip),
            1 => any::<u32>().prop_map(Step::Switch),
        ]
    }

    proptest! {
        #[test]
        fn no_number_is_given_out_twice(steps in prop::collection::vec(step(), 1..400)) {
            let mut map = SequenceMap::new();
            let mut highest = 100_000_u64;
            map.start(highest);
            let mut seen = HashSet::new();
            for step in steps {
                match step {
                    Step::Packet(ahead) => {
                        let sequence = highest.saturating_add_signed(ahead);
                        highest = highest.max(sequence);
                        if let Some(out) = map.map(sequence) {
                            prop_assert!(seen.insert(out), "{out} twice");
                        }
                    }
                    Step::Skip => {
                        highest += 1;
                        map.skip(highest);
                    }
                    Step::Switch(to) => {
                        highest = u64::from(to);
                        map.start(highest);
                    }
                }
            }
        }

        #[test]
        fn order_in_is_order_out(mut sequences in prop::collection::btree_set(1000_u64..2000, 2..200).prop_map(|s| s.into_iter().collect::<Vec<_>>())) {
            let mut map = SequenceMap::new();
            map.start(sequences[0]);
            let outs: Vec<_> = sequences.drain(..).filter_map(|s| map.map(s).map(|out| (s, out))).collect();
            for pair in outs.windows(2) {
                prop_assert_eq!(pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
            }
        }
    }
}
