//! What was sent on a stream and may be asked for again: the fields of its packets, and their payloads by reference.
//!
//! A payload is shared with all who were sent the packet; it is rewritten and sealed again, on the stream of
//! retransmissions, when it is asked for.

use std::time::{Duration, Instant};

use super::super::{HeaderExtensions, Payload, SendPacket, Vp8Ids};
use crate::limits;

/// A lost packet is asked for again after a round trip; what is asked for sooner is on its way.
const RESEND_INTERVAL_MIN: Duration = Duration::from_millis(15);

/// Places at first; there are twice as many each time they do not suffice for [`limits::RTX_AGE_MAX`].
const PLACES_MIN: usize = 32;

/// A packet as it was sent, but for what its header says of the transport.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// The lower bits of its number.
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) payload_type: u8,
    pub(super) marker: bool,
    pub(super) extensions: HeaderExtensions,
    pub(super) vp8: Option<Vp8Ids>,
    pub(super) payload: Payload,
}

/// Small, since there are hundreds for each receiver, and one is written with each packet. Times are ms since the history's
/// epoch, modulo 2^32 and 2^16.
#[derive(Debug)]
struct Place {
    payload: Payload,
    timestamp: u32,
    at: u32,
    sequence: u16,
    last_resend: u16,
    extensions: HeaderExtensions,
    vp8: Option<Vp8Ids>,
    /// With the marker above, as in a header.
    payload_type: u8,
    resends: u8,
}

const _: () = assert!(size_of::<Option<Place>>() <= 40);

/// The marker in [`Place::payload_type`].
const MARKER: u8 = 0x80;

/// The latest packets of a stream.
#[derive(Debug)]
pub(super) struct History {
    epoch: Instant,
    /// By sequence number modulo their count, a power of two.
    places: Vec<Option<Place>>,
    /// When the last packet was kept.
    latest: u32,
    /// Its number.
    newest: u16,
}

impl History {
    /// Without a packet; none is kept before the epoch.
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            places: Vec::new(),
            latest: 0,
            newest: 0,
        }
    }

    /// Keeps a packet.
    pub(super) fn keep(&mut self, packet: &SendPacket, now: Instant) {
        let (sequence, now) = (packet.sequence as u16, self.millis(now));
        let place = self.places.get(self.place(sequence));
        let is_crowded = place.is_none_or(|place| place.as_ref().is_some_and(|place| !place.is_old(now)));
        if is_crowded && self.places.len() < limits::RTX_PACKETS_MAX {
            self.grow();
        }
        (self.latest, self.newest) = (now, sequence);
        let place = self.place(sequence);
        if let Some(slot) = self.places.get_mut(place) {
            *slot = Some(Place {
                payload: packet.payload.clone(),
                timestamp: packet.timestamp,
                at: now,
                sequence,
                last_resend: 0,
                extensions: packet.extensions,
                vp8: packet.vp8,
                payload_type: packet.payload_type & !MARKER | if packet.marker { MARKER } else { 0 },
                resends: 0,
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
        let (place, now) = (self.place(sequence), self.millis(now));
        let kept = self.places.get_mut(place)?.as_mut()?;
        if kept.sequence != sequence || kept.is_old(now) || !kept.may_be_resent(now) {
            return None;
        }
        kept.resends += 1;
        kept.last_resend = now as u16;
        Some(Sent {
            sequence,
            timestamp: kept.timestamp,
            payload_type: kept.payload_type & !MARKER,
            marker: kept.payload_type & MARKER != 0,
            extensions: kept.extensions,
            vp8: kept.vp8,
            payload: kept.payload.clone(),
        })
    }

    /// Lets go of payloads that are too old to be asked for, once nothing is sent any more.
    pub(super) fn expire(&mut self, now: Instant) {
        if passed(self.latest, self.millis(now)) > limits::RTX_AGE_MAX {
            self.clear();
        }
    }

    /// Nothing that was sent is sent again.
    pub(super) fn clear(&mut self) {
        self.places = Vec::new();
    }

    fn place(&self, sequence: u16) -> usize {
        usize::from(sequence) & self.places.len().saturating_sub(1)
    }

    fn grow(&mut self) {
        let before = std::mem::take(&mut self.places);
        let count = (2 * before.len()).clamp(PLACES_MIN, limits::RTX_PACKETS_MAX);
        self.places.reserve_exact(count);
        self.places.resize_with(count, || None);
        for kept in before.into_iter().flatten() {
            let place = self.place(kept.sequence);
            self.places[place] = Some(kept);
        }
    }

    fn millis(&self, at: Instant) -> u32 {
        at.saturating_duration_since(self.epoch).as_millis() as u32
    }
}

impl Place {
    fn is_old(&self, now: u32) -> bool {
        passed(self.at, now) > limits::RTX_AGE_MAX
    }

    fn may_be_resent(&self, now: u32) -> bool {
        let since = Duration::from_millis((now as u16).wrapping_sub(self.last_resend).into());
        self.resends == 0 || (self.resends < limits::RESENDS_PER_PACKET_MAX && since >= RESEND_INTERVAL_MIN)
    }
}

fn passed(since: u32, now: u32) -> Duration {
    Duration::from_millis(now.wrapping_sub(since).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn packet(sequence: u64) -> SendPacket {
        SendPacket {
            payload_type: 96,
            sequence,
            timestamp: 7,
            marker: sequence % 2 == 1,
            extensions: HeaderExtensions::default(),
            captured: Instant::now(),
            repairable: true,
            rounded: false,
            vp8: None,
            payload: sequence.to_be_bytes().to_vec().into(),
        }
    }

    #[test]
    fn what_was_sent_is_found_a_bounded_number_of_times() {
        let start = Instant::now();
        let mut history = History::new(start);
        assert!(history.take(5, start).is_none());
        history.keep(&packet(65_536 + 5), start);
        for again in 0..u32::from(limits::RESENDS_PER_PACKET_MAX) {
            let now = start + again * RESEND_INTERVAL_MIN;
            let sent = history.take(5, now).unwrap();
            assert_eq!((sent.sequence, sent.payload_type, sent.marker), (5, 96, true));
            assert_eq!(sent.payload[..], 65_541_u64.to_be_bytes());
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
        let mut slow = History::new(start);
        (0..1000).for_each(|sequence| slow.keep(&packet(sequence), at(sequence)));
        assert!((801..1000).all(|sequence| slow.take(sequence, at(999)).is_some()));
        assert!(slow.take(790, at(999)).is_none());
        assert_eq!(slow.places.len(), 256);
        let mut fast = History::new(start);
        (0..5000).for_each(|sequence| fast.keep(&packet(sequence), start));
        assert_eq!(fast.places.len(), limits::RTX_PACKETS_MAX);
        assert!((5000 - limits::RTX_PACKETS_MAX as u16..5000).all(|sequence| fast.take(sequence, start).is_some()));
        fast.expire(start + Duration::from_secs(1));
        assert!(!fast.places.is_empty());
        fast.expire(start + Duration::from_secs(3));
        assert!(fast.places.is_empty());
    }
}
