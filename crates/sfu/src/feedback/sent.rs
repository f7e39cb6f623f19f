//! What was sent on a transport under which transport-wide number, until the client tells what became of it.
//!
//! An estimator of bandwidth takes the [`Outcome`]s.

use std::collections::VecDeque;
use std::time::Instant;

use super::extend;
use crate::limits;
use crate::wire::twcc::Feedback;

/// So far behind the end of a message packets that were told lost may still turn out to have arrived.
const LATE_MAX: u64 = 64;

/// Packets on their way to one client.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    epoch: Instant,
    /// The number of the first packet in the record.
    first: u64,
    packets: VecDeque<Packet>,
    /// Bytes of those whose fate is unknown.
    flying_bytes: usize,
}

/// Small, since there are many.
#[derive(Debug, Clone, Copy)]
struct Packet {
    /// µs since the epoch, modulo 2^32: more than an hour.
    at_us: u32,
    size: u16,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Flying,
    Lost,
    Arrived,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Its transport-wide number, extended.
    pub(crate) sequence: u64,
    /// Bytes.
    pub(crate) size: u16,
    /// How long ago it was sent, µs.
    pub(crate) age_us: u32,
    /// µs on the client's clock; `None` if it is lost, unless a later outcome says otherwise.
    pub(crate) arrived_us: Option<i64>,
}

impl Sent {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            first: 1,
            packets: VecDeque::new(),
            flying_bytes: 0,
        }
    }

    /// A packet of `size` bytes is being sent: the number that it carries. At the bound the oldest is forgotten.
    pub(crate) fn send(&mut self, size: usize, now: Instant) -> u16 {
        if self.packets.len() >= limits::SENT_PACKETS_MAX {
            self.forget_first();
        }
        let sequence = self.next();
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        self.flying_bytes += usize::from(size);
        self.packets.push_back(Packet {
            at_us: self.micros(now),
            size,
            fate: Fate::Flying,
        });
        sequence as u16
    }

    /// Reads where the next packet will be recorded.
    pub(crate) fn touch(&self) -> u64 {
        self.packets.back().map_or(0, |packet| u64::from(packet.at_us))
    }

    /// The client told; every packet that it told something new of, in the order of their numbers.
    pub(crate) fn feedback(&mut self, feedback: &Feedback<'_>, now: Instant, mut outcome: impl FnMut(Outcome)) {
        let Some(base) = extend(self.next(), feedback.base) else {
            return;
        };
        let end = (base + u64::from(feedback.count)).min(self.next());
        let now_us = self.micros(now);
        let mut arrivals = feedback.arrivals().peekable();
        for sequence in base.max(self.first)..end {
            let ahead = |number: u16| number.wrapping_sub(feedback.base) < (sequence - base) as u16;
            while arrivals.next_if(|(number, _)| ahead(*number)).is_some() {}
            let arrived_us = arrivals
                .next_if(|(number, _)| *number == sequence as u16)
                .map(|(_, at)| at);
            let Some(packet) = self.packets.get_mut((sequence - self.first) as usize) else {
                return;
            };
            let fate = if arrived_us.is_some() {
                Fate::Arrived
            } else {
                Fate::Lost
            };
            let is_news = packet.fate == Fate::Flying || (packet.fate, fate) == (Fate::Lost, Fate::Arrived);
            if !is_news {
                continue;
            }
            if packet.fate == Fate::Flying {
                self.flying_bytes -= usize::from(packet.size);
            }
            packet.fate = fate;
            outcome(Outcome {
                sequence,
                size: packet.size,
                age_us: now_us.wrapping_sub(packet.at_us),
                arrived_us,
            });
        }
        let settled = end.saturating_sub(LATE_MAX);
        while let Some(packet) = self.packets.front()
            && (packet.fate == Fate::Arrived || (packet.fate == Fate::Lost && self.first < settled))
        {
            self.forget_first();
        }
    }

    /// Bytes whose fate is unknown.
    #[allow(dead_code, reason = "the estimator that asks is still to come")]
    pub(crate) fn flying_bytes(&self) -> usize {
        self.flying_bytes
    }

    fn forget_first(&mut self) {
        if let Some(packet) = self.packets.pop_front() {
            self.first += 1;
            if packet.fate == Fate::Flying {
                self.flying_bytes -= usize::from(packet.size);
            }
        }
    }

    fn next(&self) -> u64 {
        self.first + self.packets.len() as u64
    }

    fn micros(&self, at: Instant) -> u32 {
        at.saturating_duration_since(self.epoch).as_micros() as u32
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::wire::rtcp::{Rtcp, RtcpWriter, packets};
    use crate::wire::twcc::{Arrival, FeedbackHead};
    use std::time::Duration;

    const HEAD: FeedbackHead = FeedbackHead {
        sender: 1,
        media: 2,
        number: 0,
    };

    /// Tells that these arrived, 1 ms each after the other, and gives the outcomes: number and whether it arrived.
    fn tell(sent: &mut Sent, base: u64, arrived: &[u64], now: Instant) -> Vec<(u64, bool)> {
        let arrivals: Vec<Arrival> = (1..)
            .zip(arrived)
            .map(|(at, sequence)| Arrival {
                sequence: *sequence,
                at_us: at * 1000,
            })
            .collect();
        let mut room = [0; 500];
        let mut writer = RtcpWriter::new(&mut room);
        assert_eq!(writer.transport_wide(HEAD, base, &arrivals), arrivals.len());
        let length = writer.len();
        let Some(Rtcp::TransportWide(feedback)) = packets(&room[..length]).next() else {
            panic!("no feedback");
        };
        let mut outcomes = Vec::new();
        sent.feedback(&feedback, now, |outcome| {
            assert_eq!(outcome.age_us, 30_000);
            outcomes.push((outcome.sequence, outcome.arrived_us.is_some()));
        });
        outcomes
    }

    #[test]
    fn each_packet_has_an_outcome() {
        let start = Instant::now();
        let mut sent = Sent::new(start);
        let numbers: Vec<u16> = (0..70_000).map(|_| sent.send(100, start)).collect();
        assert_eq!((numbers[0], numbers[69_999]), (1, 70_000_u64 as u16));
        let now = start + Duration::from_millis(30);
        let outcomes = tell(&mut sent, 69_990, &[69_990, 69_991, 69_993], now);
        assert_eq!(
            outcomes,
            [(69_990, true), (69_991, true), (69_992, false), (69_993, true)]
        );
        // Told again; and one that was lost was only late.
        assert_eq!(tell(&mut sent, 69_992, &[69_992, 69_993], now), [(69_992, true)]);
        assert_eq!(tell(&mut sent, 69_990, &[69_993], now), []);
    }

    #[test]
    fn claims_of_what_was_never_sent_are_nothing() {
        let start = Instant::now();
        let now = start + Duration::from_millis(30);
        let mut sent = Sent::new(start);
        assert_eq!(tell(&mut sent, 500, &[500, 501], now), []);
        sent.send(100, start);
        assert_eq!(tell(&mut sent, 1, &[1, 2, 9], now), [(1, true)]);
        assert_eq!(tell(&mut sent, 60_000, &[60_000], now), []);
    }

    #[test]
    fn the_record_is_bounded_and_settled_packets_leave_it() {
        let start = Instant::now();
        let mut sent = Sent::new(start);
        for _ in 0..2 * limits::SENT_PACKETS_MAX {
            sent.send(100, start);
        }
        assert_eq!(sent.flying_bytes(), 100 * limits::SENT_PACKETS_MAX);
        let now = start + Duration::from_millis(30);
        let last = sent.next() - 1;
        let mut told = sent.first;
        while told <= last {
            let until = last.min(told + 100);
            let arrived: Vec<u64> = (told..=until)
                .filter(|sequence| *sequence == until || sequence % 2 == 0)
                .collect();
            tell(&mut sent, told, &arrived, now);
            told = until + 1;
        }
        assert_eq!(sent.flying_bytes(), 0);
        assert!(sent.packets.len() as u64 <= LATE_MAX + 1, "{}", sent.packets.len());
    }
}
