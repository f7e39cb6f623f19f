//! How far the store is behind: the age of the oldest write that is under way.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Writes under way. There are as many as rooms, at most.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreLag {
    under_way: Arc<Mutex<BTreeSet<(Instant, u64)>>>,
    next: Arc<AtomicU64>,
}

/// A write under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    lag: StoreLag,
    since: (Instant, u64),
}

impl StoreLag {
    /// A write begins.
    pub(super) fn begin(&self, now: Instant) -> UnderWay {
        let since = (now, self.next.fetch_add(1, Ordering::Relaxed));
        self.lock().insert(since);
        UnderWay {
            lag: self.clone(),
            since,
        }
    }

    /// The age of the oldest; nothing if none is under way.
    pub(super) fn at(&self, now: Instant) -> Duration {
        self.lock()
            .first()
            .map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(*since))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(Instant, u64)>> {
        // A holder inserts or removes one: the set is whole after a panic too.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.lag.lock().remove(&self.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_write_counts_until_it_ends() {
        let lag = StoreLag::default();
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let first = lag.begin(start);
        let second = lag.begin(at(2));
        assert_eq!(lag.at(at(3)), Duration::from_secs(3));
        drop(first);
        assert_eq!(lag.at(at(3)), Duration::from_secs(1));
        drop(second);
        assert_eq!(lag.at(at(3)), Duration::ZERO);
    }
}
