//! Which packets of a stream are missing, and when to ask for them (RFC 4585 NACK).
//!
//! A packet may come late by itself, so the first request waits a moment. Each further one waits for as long as an
//! answer takes, and later ones for longer, however it comes: on the stream itself or as its retransmission (RFC 4588).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::extend;
use crate::limits;

/// How long a gap may be mere reordering. Longer asks for less that comes anyway, and repairs later.
const REORDERING: Duration = Duration::from_millis(10);

/// Shortest time between two requests for one packet.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(20);

/// The gaps of one stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Missing {
    highest: Option<u64>,
    /// By sequence number.
    gaps: VecDeque<Gap>,
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    sequence: u64,
    since: Instant,
    asked: u8,
    ask_at: Instant,
}

/// What a packet is for the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// The newest.
    Newest,
    /// It was missing.
    Awaited,
    /// It was there, or is missed no more.
    Unexpected,
}

impl Missing {
    /// A packet is there, in whatever way.
    pub(crate) fn received(&mut self, sequence: u64, now: Instant) -> Arrived {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return Arrived::Newest;
        };
        if sequence <= highest {
            return match self.gaps.binary_search_by_key(&sequence, |gap| gap.sequence) {
                Ok(place) => {
                    self.gaps.remove(place);
                    Arrived::Awaited
                }
                Err(_) => Arrived::Unexpected,
            };
        }
        self.highest = Some(sequence);
        // After an outage nothing of before it is of use: a key frame will be wanted.
        if sequence - highest > limits::NACK_GAP_MAX {
            self.gaps.clear();
            return Arrived::Newest;
        }
        for missing in highest + 1..sequence {
            if self.gaps.len() >= limits::NACK_MISSING_MAX {
                self.gaps.pop_front();
            }
            self.gaps.push_back(Gap {
                sequence: missing,
                since: now,
                asked: 0,
                ask_at: now + REORDERING,
            });
        }
        Arrived::Newest
    }

    /// The extended number of a packet that is named by its lower 16 bits, as a retransmission names what it repairs.
    pub(crate) fn extended(&self, sequence: u16) -> Option<u64> {
        extend(self.highest?, sequence)
    }

    /// Adds the numbers that are to be asked for now, in their order, and forgets what is beyond hope. `round_trip` is the
    /// time an answer takes, as far as it is known.
    pub(crate) fn take_due(&mut self, now: Instant, round_trip: Option<Duration>, due: &mut Vec<u16>) {
        self.gaps.retain(|gap| {
            let age = now.saturating_duration_since(gap.since);
            age < limits::NACK_AGE_MAX && (gap.asked < limits::NACK_ASKS_MAX || now < gap.ask_at)
        });
        let again = round_trip.unwrap_or_default().max(ASK_AGAIN_MIN);
        for gap in self.gaps.iter_mut().filter(|gap| gap.ask_at <= now) {
            gap.asked += 1;
            // A client that had no time to answer at all, or a burst of loss, is not over in a few round trips.
            gap.ask_at = now + again * (1 << (gap.asked / 3).min(4));
            due.push(gap.sequence as u16);
        }
    }

    /// When to ask next.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.gaps.iter().map(|gap| gap.ask_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn due(missing: &mut Missing, now: Instant) -> Vec<u16> {
        let mut due = Vec::new();
        missing.take_due(now, Some(50 * MS), &mut due);
        due
    }

    #[test]
    fn a_gap_is_asked_for_until_it_is_filled() {
        let start = Instant::now();
        let mut missing = Missing::default();
        assert_eq!(missing.received(65_534, start), Arrived::Newest);
        assert_eq!(missing.received(65_538, start), Arrived::Newest);
        assert_eq!(missing.due_at(), Some(start + REORDERING));
        assert_eq!(due(&mut missing, start + 9 * MS), Vec::<u16>::new());
        // One was only late.
        assert_eq!(missing.received(65_536, start + 9 * MS), Arrived::Awaited);
        assert_eq!(due(&mut missing, start + 10 * MS), [65_535, 1]);
        assert_eq!(
            due(&mut missing, start + 59 * MS),
            Vec::<u16>::new(),
            "an answer takes 50 ms"
        );
        assert_eq!(missing.extended(65_535), Some(65_535));
        assert_eq!(missing.received(65_535, start + 59 * MS), Arrived::Awaited);
        assert_eq!(due(&mut missing, start + 60 * MS), [1]);
        assert_eq!(missing.received(65_537, start + 61 * MS), Arrived::Awaited);
        assert_eq!(missing.received(65_537, start + 61 * MS), Arrived::Unexpected);
        assert_eq!(missing.due_at(), None);
    }

    #[test]
    fn what_never_comes_is_asked_for_so_often_and_so_long() {
        let start = Instant::now();
        let mut missing = Missing::default();
        missing.received(1, start);
        missing.received(3, start);
        let asked: usize = (0..5000).map(|ms| due(&mut missing, start + MS * ms).len()).sum();
        // At 10, 60, 110, 210, 310, 410, 610 and 810 ms.
        assert_eq!(asked, 8);
        missing.received(5, start);
        let mut quick = Vec::new();
        for ms in 0..5000 {
            missing.take_due(start + MS * ms, None, &mut quick);
        }
        assert_eq!(quick.len(), usize::from(limits::NACK_ASKS_MAX));
        // A slow path: age ends it.
        missing.received(7, start);
        let mut numbers = Vec::new();
        for ms in 0..5000 {
            missing.take_due(start + MS * ms, Some(400 * MS), &mut numbers);
        }
        assert_eq!(numbers, [6, 6, 6]);
        assert_eq!(missing.due_at(), None);
    }

    #[test]
    fn so_many_are_missed_and_after_an_outage_none() {
        let start = Instant::now();
        let mut missing = Missing::default();
        for i in 0..4 {
            missing.received(i * (limits::NACK_GAP_MAX - 1), start);
        }
        assert_eq!(due(&mut missing, start + REORDERING).len(), limits::NACK_MISSING_MAX);
        missing.received(1_000_000, start);
        assert_eq!(missing.due_at(), None);
    }
}
