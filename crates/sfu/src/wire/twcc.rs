//! Transport-wide feedback: which packets of a transport arrived, and when
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

use super::rtcp::{RtcpWriter, TRANSPORT_FEEDBACK, TRANSPORT_WIDE};
use super::{u16_at, u32_at};

/// Unit of the times between arrivals, µs.
const DELTA_US: i64 = 250;

/// Unit of the reference time, µs.
const REFERENCE_US: i64 = 64_000;

/// Statuses that one feedback has at most when we write it: its work and its size are bounded.
const STATUSES_MAX: usize = 1024;

/// Symbols: what is known of a packet.
const LOST: u8 = 0;
const SMALL_DELTA: u8 = 1;
const LARGE_DELTA: u8 = 2;

/// Longest run of equal symbols in a chunk.
const RUN_MAX: usize = 0x1fff;

/// Symbols in a chunk of one bit each, and of two.
const ONE_BIT_SYMBOLS: usize = 14;
const TWO_BIT_SYMBOLS: usize = 7;

/// Bytes before the chunks: header, SSRCs, base, count, reference time and number.
const FIXED_BYTES: usize = 20;

/// A feedback message that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feedback<'a> {
    /// The first sequence number that it speaks of.
    pub(crate) base: u16,
    /// Of how many it speaks; those without an arrival are lost so far.
    pub(crate) count: u16,
    /// Counts messages.
    #[allow(dead_code, reason = "the estimator that asks is still to come")]
    pub(crate) number: u8,
    /// µs on a clock of the receiver's.
    reference_us: i64,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// Reads what is behind the header.
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let (base, count) = (u16_at(body, 8)?, u16_at(body, 10)?);
        let reference = u32_at(body, 12)?;
        let behind = &body[16..];
        let mut statuses = 0;
        let mut end = 0;
        while statuses < usize::from(count) {
            statuses += Chunk::parse(u16_at(behind, end)?).len();
            end += 2;
        }
        let (chunks, deltas) = behind.split_at_checked(end)?;
        Some(Self {
            base,
            count,
            number: reference as u8,
            // 24 bits with a sign.
            reference_us: i64::from(reference as i32 >> 8) * REFERENCE_US,
            chunks,
            deltas,
        })
    }

    /// Sequence numbers that arrived, in their order, and when: µs on the receiver's clock.
    pub(crate) fn arrivals(&self) -> Arrivals<'a> {
        Arrivals {
            left: self.count,
            next: self.base,
            at_us: self.reference_us,
            chunk: Chunk::Run { symbol: LOST, left: 0 },
            chunks: self.chunks,
            deltas: self.deltas,
        }
    }
}

/// Symbols of a chunk that are still to come.
#[derive(Debug, Clone, Copy)]
enum Chunk {
    Run {
        symbol: u8,
        left: u16,
    },
    /// The next symbol is in the highest bits of those left, `width` bits each.
    Vector {
        bits: u16,
        width: u8,
        left: u8,
    },
}

impl Chunk {
    fn parse(word: u16) -> Self {
        match word >> 14 {
            0 | 1 => Self::Run {
                symbol: (word >> 13) as u8 & 0x03,
                left: word & 0x1fff,
            },
            2 => Self::Vector {
                bits: word << 2,
                width: 1,
                left: ONE_BIT_SYMBOLS as u8,
            },
            _ => Self::Vector {
                bits: word << 2,
                width: 2,
                left: TWO_BIT_SYMBOLS as u8,
            },
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Run { left, .. } => usize::from(left),
            Self::Vector { left, .. } => usize::from(left),
        }
    }

    /// The next symbol and how many packets have it; runs of lost ones are one step.
    fn take(&mut self) -> Option<(u8, u16)> {
        match self {
            Self::Run { left: 0, .. } | Self::Vector { left: 0, .. } => None,
            Self::Run { symbol: LOST, left } => Some((LOST, std::mem::take(left))),
            Self::Run { symbol, left } => {
                *left -= 1;
                Some((*symbol, 1))
            }
            Self::Vector { bits, width, left } => {
                let symbol = (*bits >> (16 - *width)) as u8;
                *bits <<= *width;
                *left -= 1;
                Some((symbol, 1))
            }
        }
    }
}

/// Arrivals of a feedback; ends early where its times are cut.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals<'a> {
    left: u16,
    next: u16,
    at_us: i64,
    chunk: Chunk,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl Iterator for Arrivals<'_> {
    type Item = (u16, i64);

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            let Some((symbol, count)) = self.chunk.take() else {
                self.chunk = Chunk::parse(u16_at(self.chunks, 0)?);
                self.chunks = &self.chunks[2..];
                continue;
            };
            let sequence = self.next;
            self.next = self.next.wrapping_add(count);
            self.left = self.left.saturating_sub(count);
            let delta = match symbol {
                SMALL_DELTA => {
                    let (delta, rest) = self.deltas.split_first()?;
                    self.deltas = rest;
                    i64::from(*delta)
                }
                LARGE_DELTA => {
                    let (delta, rest) = self.deltas.split_first_chunk()?;
                    self.deltas = rest;
                    i64::from(i16::from_be_bytes(*delta))
                }
                // Lost; 3 is reserved and has no time.
                _ => continue,
            };
            self.at_us += delta * DELTA_US;
            return Some((sequence, self.at_us));
        }
        None
    }
}

/// A packet that arrived: its transport-wide number, extended, and when, µs on our clock, not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) sequence: u64,
    pub(crate) at_us: i64,
}

/// How a feedback is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeedbackHead {
    /// Our SSRC.
    pub(crate) sender: u32,
    /// Any SSRC of the client's.
    pub(crate) media: u32,
    /// Counts messages.
    pub(crate) number: u8,
}

impl RtcpWriter<'_> {
    /// Tells of arrivals, in the order of their numbers, from number `base` on, which is not above the first; returns how
    /// many it told of: the rest is for another message. Those that would need too long a message are not told of, 0 if
    /// there is no room at all.
    pub(crate) fn transport_wide(&mut self, head: FeedbackHead, base: u64, arrivals: &[Arrival]) -> usize {
        let Some(plan) = Plan::new(base, arrivals, self.room().len()) else {
            return 0;
        };
        let bytes = plan.write(head, base, arrivals, self.room());
        self.advance(bytes);
        plan.arrivals
    }
}

/// What goes into one message.
struct Plan {
    arrivals: usize,
    /// In units of [`REFERENCE_US`].
    reference: i64,
    symbols: [u8; STATUSES_MAX],
    statuses: usize,
}

impl Plan {
    /// As many arrivals as have room; `None` if none has.
    fn new(base: u64, arrivals: &[Arrival], room: usize) -> Option<Self> {
        let first = arrivals.first()?;
        let reference = first.at_us.div_euclid(REFERENCE_US);
        let mut plan = Self {
            arrivals: 0,
            reference,
            symbols: [LOST; STATUSES_MAX],
            statuses: 0,
        };
        let mut before = reference * (REFERENCE_US / DELTA_US);
        let mut delta_bytes = 0;
        for arrival in arrivals {
            let at = usize::try_from(arrival.sequence.checked_sub(base)?).ok()?;
            let now = arrival.at_us.div_euclid(DELTA_US);
            let symbol = match now - before {
                0..=255 => SMALL_DELTA,
                delta if i16::try_from(delta).is_ok() => LARGE_DELTA,
                _ => break,
            };
            delta_bytes += usize::from(symbol);
            // A chunk tells of seven packets at least, but for the last.
            let bytes_max = FIXED_BYTES + 2 * (at + 1).div_ceil(TWO_BIT_SYMBOLS) + delta_bytes;
            if at >= STATUSES_MAX || at < plan.statuses || bytes_max.next_multiple_of(4) > room {
                break;
            }
            plan.symbols[at] = symbol;
            plan.statuses = at + 1;
            plan.arrivals += 1;
            before = now;
        }
        (plan.arrivals > 0).then_some(plan)
    }

    /// Writes it; the room is as it was when the plan was made. Returns its length.
    fn write(&self, head: FeedbackHead, base: u64, arrivals: &[Arrival], room: &mut [u8]) -> usize {
        let mut at = FIXED_BYTES;
        let mut symbols = &self.symbols[..self.statuses];
        while !symbols.is_empty() {
            let (word, taken) = chunk(symbols);
            room[at..at + 2].copy_from_slice(&word.to_be_bytes());
            at += 2;
            symbols = &symbols[taken..];
        }
        let mut before = self.reference * (REFERENCE_US / DELTA_US);
        for arrival in &arrivals[..self.arrivals] {
            let now = arrival.at_us.div_euclid(DELTA_US);
            let delta = now - before;
            before = now;
            if let 0..=255 = delta {
                room[at] = delta as u8;
                at += 1;
            } else {
                room[at..at + 2].copy_from_slice(&(delta as i16).to_be_bytes());
                at += 2;
            }
        }
        let length = at.next_multiple_of(4);
        let padding = length - at;
        room[at..length].fill(0);
        let mut first = 0x80 | TRANSPORT_WIDE;
        if padding > 0 {
            first |= 0x20;
            room[length - 1] = padding as u8;
        }
        let words = (length / 4 - 1) as u16;
        room[..2].copy_from_slice(&[first, TRANSPORT_FEEDBACK]);
        room[2..4].copy_from_slice(&words.to_be_bytes());
        room[4..8].copy_from_slice(&head.sender.to_be_bytes());
        room[8..12].copy_from_slice(&head.media.to_be_bytes());
        room[12..14].copy_from_slice(&(base as u16).to_be_bytes());
        room[14..16].copy_from_slice(&(self.statuses as u16).to_be_bytes());
        let reference = (self.reference as u32) << 8 | u32::from(head.number);
        room[16..20].copy_from_slice(&reference.to_be_bytes());
        length
    }
}

/// The chunk that tells of most of the next symbols, and of how many.
fn chunk(symbols: &[u8]) -> (u16, usize) {
    let first = symbols[0];
    let run = symbols.iter().take(RUN_MAX).take_while(|symbol| **symbol == first);
    let run = run.count();
    let narrow = symbols
        .iter()
        .take(ONE_BIT_SYMBOLS)
        .all(|symbol| *symbol != LARGE_DELTA);
    let (width, capacity) = match narrow {
        true => (1, ONE_BIT_SYMBOLS),
        false => (2, TWO_BIT_SYMBOLS),
    };
    if run >= capacity.min(symbols.len()) {
        return (u16::from(first) << 13 | run as u16, run);
    }
    let taken = capacity.min(symbols.len());
    let bits = symbols[..taken]
        .iter()
        .fold(0, |bits, symbol| bits << width | u16::from(*symbol));
    let bits = bits << (width * (capacity - taken));
    let kind: u16 = if narrow { 2 } else { 3 };
    (kind << 14 | bits, taken)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::rtcp::{Rtcp, packets};
    use super::*;
    use proptest::prelude::*;

    const HEAD: FeedbackHead = FeedbackHead {
        sender: 1,
        media: 2,
        number: 3,
    };

    fn read(bytes: &[u8]) -> Feedback<'_> {
        let Some(Rtcp::TransportWide(feedback)) = packets(bytes).next() else {
            panic!("no feedback in {bytes:?}");
        };
        feedback
    }

    #[test]
    fn runs_and_vectors_are_read() {
        // Two lost; three close together; of seven the first early and the last late.
        let chunks = [0x00, 0x02, 0x20, 0x03, 0xe0, 0x01];
        let deltas = [4, 0, 255, 0xff, 0xfc, 0x01];
        let fixed = [0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe, 0, 12, 0, 0, 1, 9];
        let body = [&fixed[..], &chunks, &deltas].concat();
        let bytes = [&[0x8f, 205, 0, 7][..], &body].concat();
        let feedback = read(&bytes);
        assert_eq!((feedback.base, feedback.count, feedback.number), (65_534, 12, 9));
        let arrivals: Vec<_> = feedback.arrivals().collect();
        let start = 64_000;
        let third = start + 259 * 250;
        let early = third - 4 * 250;
        let expected = [
            (0, start + 1000),
            (1, start + 1000),
            (2, third),
            (3, early),
            (9, early + 250),
        ];
        assert_eq!(arrivals, expected);
    }

    #[test]
    fn claims_cost_nothing() {
        // 65535 packets, all of them lost, in 16 bytes of runs; and as many that have no times.
        for symbol in [0x1f, 0x3f] {
            let chunks = [symbol, 0xff].repeat(9);
            let fixed = [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xff, 0xff, 0, 0, 1, 9];
            let bytes = [&[0x8f, 205, 0, 9][..], &fixed, &chunks, &[0, 0]].concat();
            assert!(read(&bytes).arrivals().count() <= 2);
        }
        let cut = [
            0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 1, 9, 0x20, 1, 0, 0,
        ];
        assert_eq!(packets(&cut).count(), 0, "chunks for fewer packets than claimed");
    }

    #[test]
    fn what_does_not_fit_is_for_the_next() {
        let arrivals = [
            Arrival { sequence: 10, at_us: 0 },
            Arrival {
                sequence: 11,
                at_us: 9_000_000,
            },
            Arrival {
                sequence: 5000,
                at_us: 9_000_000,
            },
        ];
        let mut room = [0; 100];
        assert_eq!(
            RtcpWriter::new(&mut room).transport_wide(HEAD, 10, &arrivals),
            1,
            "9 s later"
        );
        assert_eq!(
            RtcpWriter::new(&mut room).transport_wide(HEAD, 11, &arrivals[1..]),
            1,
            "a gap"
        );
        assert_eq!(
            RtcpWriter::new(&mut room).transport_wide(HEAD, 12, &arrivals[2..]),
            0,
            "too long a gap"
        );
        assert_eq!(
            RtcpWriter::new(&mut room[..20]).transport_wide(HEAD, 10, &arrivals),
            0,
            "no room"
        );
        assert_eq!(RtcpWriter::new(&mut room).transport_wide(HEAD, 10, &[]), 0);
    }

    fn journey() -> impl Strategy<Value = Vec<Arrival>> {
        let step = prop_oneof![
            20 => (1_u64..3, -3000_i64..60_000),
            1 => (1_u64..300, -500_000_i64..500_000),
            1 => (1_u64..2, 0_i64..20_000_000),
        ];
        (
            0_u64..200_000,
            0_i64..i64::from(u32::MAX),
            prop::collection::vec(step, 1..120),
        )
            .prop_map(|(first, start, steps)| {
                let (mut sequence, mut at_us) = (first, start);
                let arrive = |(ahead, later): (u64, i64)| {
                    sequence += ahead;
                    at_us = (at_us + later).max(0);
                    Arrival { sequence, at_us }
                };
                steps.into_iter().map(arrive).collect()
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(arrivals in journey(), space in 30_usize..1200) {
            let mut rest = &arrivals[..];
            let mut base = arrivals[0].sequence;
            while !rest.is_empty() {
                let mut room = vec![0xff; space];
                let mut writer = RtcpWriter::new(&mut room);
                let told = writer.transport_wide(HEAD, base, rest);
                if told == 0 {
                    // The gap before it is too long for the room: as the recorder does, begin at the arrival.
                    prop_assert!(base < rest[0].sequence);
                    base = rest[0].sequence;
                    continue;
                }
                let length = writer.len();
                prop_assert!(length <= space && length.is_multiple_of(4));
                let feedback = read(&room[..length]);
                prop_assert_eq!(feedback.base, base as u16);
                prop_assert_eq!(u64::from(feedback.count), rest[told - 1].sequence - base + 1);
                let found: Vec<_> = feedback.arrivals().collect();
                prop_assert_eq!(found.len(), told);
                // 24 bits of 64 ms wrap after some twelve days.
                let offset = found[0].1 - rest[0].at_us.div_euclid(DELTA_US) * DELTA_US;
                prop_assert_eq!(offset % (REFERENCE_US << 24), 0);
                for (arrival, (sequence, at_us)) in rest.iter().zip(found) {
                    prop_assert_eq!(sequence, arrival.sequence as u16);
                    prop_assert_eq!(at_us - offset, arrival.at_us.div_euclid(DELTA_US) * DELTA_US);
                }
                base = rest[told - 1].sequence + 1;
                rest = &rest[told..];
            }
        }
    }
}
