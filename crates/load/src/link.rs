//! A link that loses, delays and slows down, the same in every run. It does no I/O.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::limits::LINK_QUEUE_MAX;

/// What happens to datagrams. Seeded: the same sequence of datagrams meets the same fate.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// Of 1000 datagrams, how many are lost, each way.
    pub lost_per_mille: u32,
    /// How long each takes.
    pub delay: Duration,
    /// Of the dice.
    pub seed: u64,
}

/// What is under way on one link.
#[derive(Debug)]
pub struct Link<T> {
    conditions: Conditions,
    rate: Option<u64>,
    /// When the last datagram has left at that rate.
    free_at: Option<Instant>,
    in_flight: BinaryHeap<InFlight<T>>,
    count: u64,
}

#[derive(Debug)]
struct InFlight<T> {
    at: Instant,
    number: u64,
    datagram: T,
}

impl<T> Link<T> {
    /// A link with nothing on it, as fast as can be.
    pub fn new(conditions: Conditions) -> Self {
        Self {
            conditions,
            rate: None,
            free_at: None,
            in_flight: BinaryHeap::new(),
            count: 0,
        }
    }

    /// Lets so many bits a second through. What would wait for longer than
    /// [`LINK_QUEUE_MAX`] is lost.
    pub fn with_rate(mut self, bits: u64) -> Self {
        self.rate = Some(bits.max(1));
        self
    }

    /// Changes the loss.
    pub fn set_loss(&mut self, lost_per_mille: u32) {
        self.conditions.lost_per_mille = lost_per_mille;
    }

    /// Sends a datagram of so many bytes; says whether it will arrive.
    pub fn send(&mut self, datagram: T, bytes: usize, now: Instant) -> bool {
        self.count += 1;
        let dice = splitmix(self.conditions.seed ^ self.count.wrapping_mul(0x9e37)) % 1000;
        let Some(leaves) = self.leaves(bytes, now) else {
            return false;
        };
        if dice < u64::from(self.conditions.lost_per_mille) {
            return false;
        }
        self.in_flight.push(InFlight {
            at: leaves + self.conditions.delay,
            number: self.count,
            datagram,
        });
        true
    }

    /// The next datagram that has arrived by now.
    pub fn arrived(&mut self, now: Instant) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        Some(self.in_flight.pop()?.datagram)
    }

    /// When the next one arrives.
    pub fn next(&self) -> Option<Instant> {
        Some(self.in_flight.peek()?.at)
    }

    /// When the last bit of a datagram has left, if there is room for it.
    fn leaves(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let Some(rate) = self.rate else { return Some(now) };
        let begins = self.free_at.map_or(now, |free| free.max(now));
        if begins - now > LINK_QUEUE_MAX {
            return None;
        }
        let nanos = (bytes as u64).saturating_mul(8_000_000_000) / rate;
        let leaves = begins + Duration::from_nanos(nanos);
        self.free_at = Some(leaves);
        Some(leaves)
    }
}

// The first to arrive is the greatest: a heap gives that one first.
impl<T> Ord for InFlight<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for InFlight<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for InFlight<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for InFlight<T> {}

/// A well-mixed number out of any other.
pub fn splitmix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn link(lost_per_mille: u32, delay_ms: u64, seed: u64) -> Link<u32> {
        Link::new(Conditions {
            lost_per_mille,
            delay: Duration::from_millis(delay_ms),
            seed,
        })
    }

    fn fate(mut link: Link<u32>) -> Vec<u32> {
        let now = Instant::now();
        for number in 0..10_000 {
            link.send(number, 100, now);
        }
        std::iter::from_fn(|| link.arrived(now)).collect()
    }

    #[test]
    fn loses_as_many_as_told_and_the_same_ones_with_the_same_seed() {
        let kept = fate(link(20, 0, 7));
        assert!((9700..9900).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept, fate(link(20, 0, 7)));
        assert_ne!(kept, fate(link(20, 0, 8)));
        assert!(kept.is_sorted(), "nothing overtakes");
        assert_eq!(fate(link(0, 0, 7)).len(), 10_000);
    }

    #[test]
    fn delays_by_its_delay() {
        let (mut link, now) = (link(0, 30, 1), Instant::now());
        assert!(link.send(1, 100, now));
        assert_eq!(link.next().unwrap() - now, Duration::from_millis(30));
        assert_eq!(link.arrived(now + Duration::from_millis(29)), None);
        assert_eq!(link.arrived(now + Duration::from_millis(30)), Some(1));
    }

    #[test]
    fn lets_no_more_through_than_its_rate_and_has_a_bounded_queue() {
        let (mut link, now) = (link(0, 0, 1).with_rate(1_000_000), Instant::now());
        // 1250 bytes take 10 ms each.
        let sent = (0..1000).filter(|number| link.send(*number, 1250, now)).count();
        let full = LINK_QUEUE_MAX.as_millis() as usize / 10 + 1;
        assert_eq!(sent, full);
        let within = |ms: u64| now + Duration::from_millis(ms);
        assert_eq!(std::iter::from_fn(|| link.arrived(within(100))).count(), 10);
        assert!(link.send(0, 1250, within(100)), "there is room again");
    }
}
