//! Token buckets: a rate that may be saved up for a short while.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::limits;

/// How fast a bucket fills; `None`: without bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate(Option<f64>);

impl Rate {
    /// 0 is no bound.
    pub(super) fn per_s(rate: u32) -> Self {
        Self((rate > 0).then_some(f64::from(rate)))
    }
}

/// One bucket. It holds what [`limits::BURST_S`] seconds bring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    rate: Rate,
    level: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            level: capacity(rate),
            at: now,
        }
    }

    /// How long until there is one to take.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let Some(per_s) = self.rate.0 else {
            return Duration::ZERO;
        };
        // The thousandth forgives what floating numbers lose.
        let missing = 0.999 - self.level_at(now);
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((missing + 0.001) / per_s)
    }

    /// Takes one.
    ///
    /// # Errors
    /// How long until there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let wait = self.wait(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.promise(now);
        Ok(())
    }

    /// Takes one that will be there after [`Bucket::wait`]: those behind wait longer.
    pub(super) fn promise(&mut self, now: Instant) {
        if self.rate.0.is_some() {
            self.level = self.level_at(now) - 1.0;
            self.at = self.at.max(now);
        }
    }

    fn level_at(&self, now: Instant) -> f64 {
        let brought = self.rate.0.unwrap_or(0.0) * now.saturating_duration_since(self.at).as_secs_f64();
        (self.level + brought).min(capacity(self.rate))
    }
}

fn capacity(rate: Rate) -> f64 {
    (rate.0.unwrap_or(0.0) * f64::from(limits::BURST_S)).max(1.0)
}

/// A bucket for each key. Keys are accounts, which this server has issued, so they are few.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    rate: Rate,
    of: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            of: HashMap::new(),
        }
    }

    pub(super) fn wait(&self, key: K, now: Instant) -> Duration {
        self.of.get(&key).map_or(Duration::ZERO, |bucket| bucket.wait(now))
    }

    /// The bucket of a key, made full when it is first used.
    pub(super) fn of(&mut self, key: K, now: Instant) -> &mut Bucket {
        let rate = self.rate;
        self.of.entry(key).or_insert_with(|| Bucket::full(rate, now))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waiting_as_long_as_told_is_enough() {
        let mut now = Instant::now();
        let mut bucket = Bucket::full(Rate::per_s(3), now);
        for _ in 0..100 {
            if let Err(wait) = bucket.take(now) {
                now += wait;
                bucket.take(now).unwrap();
            }
        }
    }

    #[test]
    fn who_is_promised_one_does_not_wait_again() {
        let now = Instant::now();
        let mut bucket = Bucket::full(Rate::per_s(10), now);
        while bucket.take(now).is_ok() {}
        for waiting in 1..=5_u64 {
            let wait = bucket.wait(now);
            assert!(wait.abs_diff(Duration::from_millis(100 * waiting)) < Duration::from_millis(1));
            bucket.promise(now);
        }
        assert!(bucket.take(now + Duration::from_millis(500)).is_err());
        assert!(bucket.take(now + Duration::from_millis(600)).is_ok());
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_what_was_saved(
            rate in 1_u32..1000, pauses_ms in prop::collection::vec(0_u64..50, 1..400),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut bucket = Bucket::full(Rate::per_s(rate), start);
            let mut taken = 0;
            for pause in pauses_ms {
                now += Duration::from_millis(pause);
                taken += u32::from(bucket.take(now).is_ok());
            }
            let most = f64::from(rate) * ((now - start).as_secs_f64() + f64::from(limits::BURST_S)) + 1.0;
            prop_assert!(f64::from(taken) <= most * 1.01 + 1.0, "{taken} of {most}");
        }
    }
}
