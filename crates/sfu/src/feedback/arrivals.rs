//! When which packet of a transport arrived, until the client is told by transport-wide feedback.

use std::time::{Duration, Instant};

use super::extend;
use crate::limits;
use crate::wire::rtcp::RtcpWriter;
use crate::wire::twcc::{Arrival, FeedbackHead};

/// How long arrivals are gathered. The draft's authors take 50 to 250 ms: less reacts sooner, more costs less.
const INTERVAL: Duration = Duration::from_millis(80);

/// So many arrivals are told of at once: a message stays far below a datagram's size.
const ENOUGH: usize = 128;

/// Arrivals on one transport.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals {
    epoch: Instant,
    /// Not told of yet, by number.
    untold: Vec<Arrival>,
    highest: Option<u64>,
    /// What the last message ended with, plus one.
    next: u64,
    since: Option<Instant>,
    number: u8,
}

impl Arrivals {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            untold: Vec::new(),
            highest: None,
            next: 0,
            since: None,
            number: 0,
        }
    }

    /// A packet with this transport-wide number arrived.
    pub(crate) fn received(&mut self, number: u16, arrival: Instant) {
        // One wrap ahead, so that what is older than the first has a number, too.
        let highest = *self.highest.get_or_insert_with(|| {
            self.next = u64::from(number) + (1 << 16);
            self.next
        });
        let Some(sequence) = extend(highest, number) else {
            return;
        };
        self.highest = Some(highest.max(sequence));
        let place = self.untold.partition_point(|known| known.sequence < sequence);
        if self.untold.get(place).is_some_and(|known| known.sequence == sequence) {
            return;
        }
        if self.untold.len() >= limits::ARRIVALS_MAX {
            // It is not told of at all, neither as there nor as lost.
            let oldest = self.untold.remove(0);
            self.next = self.next.max(oldest.sequence + 1);
            return self.received(number, arrival);
        }
        let at = arrival.saturating_duration_since(self.epoch);
        let at_us = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
        self.untold.insert(place, Arrival { sequence, at_us });
        self.since.get_or_insert(arrival);
    }

    /// When the client is to be told.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        let since = self.since?;
        match self.untold.len() {
            0..ENOUGH => Some(since + INTERVAL),
            _ => Some(since),
        }
    }

    /// Writes a message; true if it had room and there is more to tell. `sender` is an SSRC of ours, `media` one of the
    /// client's.
    pub(crate) fn write(&mut self, sender: u32, media: u32, writer: &mut RtcpWriter<'_>) -> bool {
        let Some(first) = self.untold.first().map(|arrival| arrival.sequence) else {
            self.since = None;
            return false;
        };
        let head = FeedbackHead {
            sender,
            media,
            number: self.number,
        };
        let told = match first < self.next {
            // It was told to be lost. A message of its own: those around it are not to be told lost again.
            true => writer.transport_wide(head, first, &self.untold[..self.run_of_late()]),
            false => match writer.transport_wide(head, self.next, &self.untold) {
                // Too many were lost before it; the client counts what it is not told of as it likes.
                0 => writer.transport_wide(head, first, &self.untold),
                told => told,
            },
        };
        if told == 0 {
            return false;
        }
        self.number = self.number.wrapping_add(1);
        if let Some(last) = self.untold.drain(..told).next_back() {
            self.next = self.next.max(last.sequence + 1);
        }
        if self.untold.is_empty() {
            self.since = None;
        }
        !self.untold.is_empty()
    }

    /// How many of the first are late and follow each other.
    fn run_of_late(&self) -> usize {
        let numbers = self.untold.iter().map(|arrival| arrival.sequence);
        let first = self.untold.first().map_or(0, |arrival| arrival.sequence);
        let run = numbers
            .zip(first..self.next)
            .take_while(|(number, expected)| number == expected);
        run.count()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::wire::rtcp::{Rtcp, packets};

    const MS: Duration = Duration::from_millis(1);

    /// Base, count, and the arrivals in ms.
    type Message = (u16, u16, Vec<(u16, i64)>);

    fn told(arrivals: &mut Arrivals) -> Vec<Message> {
        let mut room = [0; 1200];
        let mut writer = RtcpWriter::new(&mut room);
        while arrivals.write(1, 2, &mut writer) {}
        let length = writer.len();
        let messages = packets(&room[..length]).map(|packet| {
            let Rtcp::TransportWide(feedback) = packet else {
                panic!("{packet:?}")
            };
            let arrivals = feedback.arrivals().map(|(number, at_us)| (number, at_us / 1000));
            (feedback.base, feedback.count, arrivals.collect())
        });
        messages.collect()
    }

    #[test]
    fn arrivals_and_losses_are_told_over_a_wrap() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        assert_eq!((arrivals.due_at(), told(&mut arrivals)), (None, vec![]));
        arrivals.received(65_534, start + 10 * MS);
        arrivals.received(0, start + 12 * MS);
        arrivals.received(65_535, start + 14 * MS);
        assert_eq!(arrivals.due_at(), Some(start + 10 * MS + INTERVAL));
        assert_eq!(
            told(&mut arrivals),
            [(65_534, 3, vec![(65_534, 10), (65_535, 14), (0, 12)])]
        );
        assert_eq!(arrivals.due_at(), None);
        arrivals.received(3, start + 20 * MS);
        assert_eq!(told(&mut arrivals), [(1, 3, vec![(3, 20)])], "1 and 2 are lost");
        // They come after all, and 4.
        for number in [2, 4, 1] {
            arrivals.received(number, start + 30 * MS);
        }
        assert_eq!(
            told(&mut arrivals),
            [(1, 2, vec![(1, 30), (2, 30)]), (4, 1, vec![(4, 30)])]
        );
    }

    #[test]
    fn many_are_told_of_at_once() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        for number in 0..ENOUGH as u16 {
            assert!(arrivals.due_at().is_none_or(|at| at == start + INTERVAL));
            arrivals.received(number, start);
        }
        assert_eq!(arrivals.due_at(), Some(start));
        assert_eq!(told(&mut arrivals).len(), 1);
    }

    #[test]
    fn arrivals_are_bounded() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        for number in 0..limits::ARRIVALS_MAX as u16 + 10 {
            arrivals.received(number, start);
        }
        assert_eq!(arrivals.untold.len(), limits::ARRIVALS_MAX);
        let first = told(&mut arrivals).remove(0);
        assert_eq!((first.0, first.2[0]), (10, (10, 0)));
    }

    #[test]
    fn after_a_long_outage_it_begins_anew() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        arrivals.received(1, start);
        told(&mut arrivals);
        arrivals.received(20_000, start);
        assert_eq!(told(&mut arrivals), [(20_000, 1, vec![(20_000, 0)])]);
    }
}
