//! What was sent on a stream and may be asked for again: the fields of its packets, and their payloads by reference.
//!
//! A payload is shared with all who were sent the packet; it is rewritten and sealed again, on the stream of
//! retransmissions, when it is asked for.

use std::time::{Duration, Instant};

use super::super::{HeaderExtensions, Payload, Vp8Ids};
use crate::limits;

/// A lost packet is asked for again after a round trip; what is asked for sooner is on its way.
const RESEND_INTERVAL_MIN: Duration = Duration::from_millis(15);

/// Places at first; there are twice as many each time they do not suffice for [`limits::RTX_AGE_MAX`].
const PLACES_MIN: usize = 32;

/// A packet as it was sent, but for what its header says of the transport.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// Extended.
    pub(super) sequence: u64,
    pub(super) timestamp: u32,
    pub(super) payload_type: u8,
    pub(super) marker: bool,
    pub(super) extensions: HeaderExtensions,
    pub(super) vp8: Option<Vp8Ids>,
    pub(super) payload: Payload,
}

#[derive(Debug)]
struct Place {
    sent: Sent,
    at: Instant,
    resends: u8,
    last_resend: Option<Instant>,
}

/// The latest packets of a stream.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By sequence number modulo their count, a power of two.
    places: Vec<Option<Place>>,
    latest: Option<Instant>,
    /// The number of the packet kept last.
    newest: u16,
}

impl History {
    /// Keeps a packet.
    pub(super) fn keep(&mut self, sent: Sent, now: Instant) {
        let place = self.place(sent.sequence as u16);
        let crowded = |place: &Place| now.saturating_duration_since(place.at) < limits::RTX_AGE_MAX;
        let is_crowded = self
            .places
            .get(place)
            .is_none_or(|place| place.as_ref().is_some_and(crowded));
        if is_crowded && self.places.len() < limits::RTX_PACKETS_MAX {
            self.grow();
        }
        let place = self.place(sent.sequence as u16);
        self.latest = Some(now);
        self.newest = sent.sequence as u16;
        if let Some(slot) = self.places.get_mut(place) {
            *slot = Some(Place {
                sent,
                at: now,
                resends: 0,
                last_resend: None,
            });
        }
    }

    /// Reads where the next packet will be kept.
    pub(super) fn touch(&self) -> u64 {
        let place = self.places.get(self.place(self.newest.wrapping_add(1)));
        place.map_or(0, |place| u64::from(place.is_some()))
    }

    /// A packet that is asked for; `None` if it is too old, or was sent again too often or just now.
    pub(super) fn take(&mut self, sequence: u16, now: Instant) -> Option<Sent> {
        let place = self.place(sequence);
        let kept = self.places.get_mut(place)?.as_mut()?;
        let too_soon = |at: Instant| now.saturating_duration_since(at) < RESEND_INTERVAL_MIN;
        if kept.sent.sequence as u16 != sequence
            || now.saturating_duration_since(kept.at) > limits::RTX_AGE_MAX
            || kept.resends >= limits::RESENDS_PER_PACKET_MAX
            || kept.last_resend.is_some_and(too_soon)
        {
            return None;
        }
        kept.resends += 1;
        kept.last_resend = Some(now);
        Some(kept.sent.clone())
    }

    /// Lets go of payloads that are too old to be asked for, once nothing is sent any more.
    pub(super) fn expire(&mut self, now: Instant) {
        if self
            .latest
            .is_some_and(|at| now.saturating_duration_since(at) > limits::RTX_AGE_MAX)
        {
            *self = Self::default();
        }
    }

    fn place(&self, sequence: u16) -> usize {
        usize::from(sequence) & self.places.len().saturating_sub(1)
    }

    fn grow(&mut self) {
        let before = std::mem::take(&mut self.places);
        let count = (2 * before.len()).clamp(PLACES_MIN, limits::RTX_PACKETS_MAX);
        self.places.resize_with(count, || None);
        for kept in before.into_iter().flatten() {
            let place = self.place(kept.sent.sequence as u16);
            self.places[place] = Some(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn sent(sequence: u64) -> Sent {
        Sent {
            sequence,
            timestamp: 7,
            payload_type: 96,
            marker: false,
            extensions: HeaderExtensions::default(),
            vp8: None,
            payload: sequence.to_be_bytes().to_vec().into(),
        }
    }

    #[test]
    fn what_was_sent_is_found_a_bounded_number_of_times() {
        let start = Instant::now();
        let mut history = History::default();
        assert!(history.take(5, start).is_none());
        history.keep(sent(65_536 + 5), start);
        for again in 0..u32::from(limits::RESENDS_PER_PACKET_MAX) {
            let now = start + again * RESEND_INTERVAL_MIN;
            assert_eq!(history.take(5, now).unwrap().sequence, 65_541);
            assert!(history.take(5, now).is_none(), "it is on its way");
        }
        assert!(history.take(5, start + Duration::from_secs(1)).is_none());
        assert!(history.take(6, start).is_none());
        assert!(history.take(5 + PLACES_MIN as u16, start).is_none());
    }

    #[test]
    fn it_holds_two_seconds_and_no_more_than_its_bound() {
        let start = Instant::now();
        let at = |sequence: u64| start + Duration::from_millis(10 * sequence);
        let mut slow = History::default();
        (0..1000).for_each(|sequence| slow.keep(sent(sequence), at(sequence)));
        assert!((801..1000).all(|sequence| slow.take(sequence, at(999)).is_some()));
        assert!(slow.take(790, at(999)).is_none());
        assert_eq!(slow.places.len(), 256);
        let mut fast = History::default();
        (0..5000).for_each(|sequence| fast.keep(sent(sequence), start));
        assert_eq!(fast.places.len(), limits::RTX_PACKETS_MAX);
        assert!((5000 - limits::RTX_PACKETS_MAX as u16..5000).all(|sequence| fast.take(sequence, start).is_some()));
        fast.expire(start + Duration::from_secs(1));
        assert!(!fast.places.is_empty());
        fast.expire(start + Duration::from_secs(3));
        assert!(fast.places.is_empty());
    }
}
