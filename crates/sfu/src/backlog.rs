//! Media that waits for a later turn of the worker: bounded, and dropped before anything else is.
//!
//! Checks, handshakes and feedback are small and are handled as they arrive; what a processor cannot keep up with is
//! the forwarding of media. So the socket is always read, and media is kept here in its stead: sound before
//! pictures, the oldest dropped when there is too much, and what is too old to be of use.

use std::collections::VecDeque;
use std::time::Instant;

use crate::TransportId;
use crate::limits;

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    sound: VecDeque<Waiting>,
    pictures: VecDeque<Waiting>,
    dropped: u64,
}

/// A datagram of a client.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) transport: TransportId,
    pub(crate) datagram: Box<[u8]>,
    arrived: Instant,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.sound.is_empty() && self.pictures.is_empty()
    }

    /// Keeps a datagram until it is its turn; at the bound the oldest of its kind goes.
    pub(crate) fn push(&mut self, transport: TransportId, datagram: &[u8], is_sound: bool, now: Instant) {
        let queue = if is_sound { &mut self.sound } else { &mut self.pictures };
        if queue.len() >= limits::BACKLOG_MAX {
            queue.pop_front();
            self.dropped += 1;
        }
        queue.push_back(Waiting {
            transport,
            datagram: datagram.into(),
            arrived: now,
        });
    }

    /// The next one that is young enough.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Waiting> {
        for queue in [&mut self.sound, &mut self.pictures] {
            while let Some(waiting) = queue.pop_front() {
                if now.saturating_duration_since(waiting.arrived) <= limits::BACKLOG_AGE_MAX {
                    return Some(waiting);
                }
                self.dropped += 1;
            }
        }
        None
    }

    /// How many were dropped since this was asked last.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

/// Whether the worker is behind: media waits for longer than a moment, or is dropped.
///
/// It is told at the end of every turn, and is slow to call an overload over, since what was put off comes then.
#[derive(Debug, Default)]
pub(crate) struct Strain {
    waiting_since: Option<Instant>,
    last: Option<Instant>,
}

impl Strain {
    /// A turn ended; whether media waits and whether some was dropped in it.
    pub(crate) fn turn_ended(&mut self, is_waiting: bool, has_dropped: bool, now: Instant) {
        self.waiting_since = match is_waiting {
            true => self.waiting_since.or(Some(now)),
            false => None,
        };
        let long = |since| now.saturating_duration_since(since) >= limits::BEHIND_AFTER;
        if has_dropped || self.waiting_since.is_some_and(long) {
            self.last = Some(now);
        }
    }

    pub(crate) fn is_behind(&self, now: Instant) -> bool {
        self.last
            .is_some_and(|at| now.saturating_duration_since(at) < limits::CAUGHT_UP_AFTER)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    fn mark(waiting: Option<Waiting>) -> Option<u64> {
        waiting.map(|waiting| waiting.transport.0)
    }

    #[test]
    fn the_oldest_pictures_go_and_sound_comes_first() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        for number in 0..=limits::BACKLOG_MAX as u64 {
            backlog.push(TransportId(number), b"picture", false, now);
        }
        backlog.push(TransportId(9999), b"sound", true, now);
        assert_eq!(backlog.take_dropped(), 1);
        assert_eq!(mark(backlog.pop(now)), Some(9999));
        assert_eq!(mark(backlog.pop(now)), Some(1), "the first was the oldest");
        let left = std::iter::from_fn(|| backlog.pop(now)).count();
        assert_eq!((left, backlog.is_empty()), (limits::BACKLOG_MAX - 1, true));
    }

    #[test]
    fn what_has_waited_too_long_is_of_no_use() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        backlog.push(TransportId(1), b"old", false, now);
        let later = now + limits::BACKLOG_AGE_MAX + Duration::from_millis(1);
        backlog.push(TransportId(2), b"new", false, later);
        assert_eq!(mark(backlog.pop(later)), Some(2));
        assert_eq!(backlog.take_dropped(), 1);
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_moment_is_no_overload_and_its_end_is_waited_for() {
        let start = Instant::now();
        let mut strain = Strain::default();
        strain.turn_ended(true, false, start);
        assert!(!strain.is_behind(start), "a burst");
        let long = start + limits::BEHIND_AFTER;
        strain.turn_ended(true, false, long);
        assert!(strain.is_behind(long));
        strain.turn_ended(false, false, long + Duration::from_millis(1));
        assert!(strain.is_behind(long + limits::CAUGHT_UP_AFTER - Duration::from_millis(1)));
        assert!(!strain.is_behind(long + limits::CAUGHT_UP_AFTER));
        strain.turn_ended(false, true, start + Duration::from_secs(60));
        assert!(
            strain.is_behind(start + Duration::from_secs(60)),
            "something was dropped"
        );
    }
}
