//! The clock of the schedule: the calendar's, but it never goes back.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use room::Timestamp;

/// Goes on with the monotonic clock when the calendar's is set back, so that what was due in a
/// second is due in a second; follows it when it is set forward, so that what it dates is due at once.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Mutex<Option<(Instant, Timestamp)>>,
}

impl Clock {
    pub(super) fn now(&self) -> Timestamp {
        self.read(Instant::now(), wall())
    }

    fn read(&self, mono: Instant, wall: Timestamp) -> Timestamp {
        // A value that is replaced as a whole is whole, whoever panicked.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = last.map_or(wall, |(then, at)| {
            wall.max(later(at, mono.saturating_duration_since(then)))
        });
        *last = Some((mono, now));
        now
    }
}

/// The time of the calendar; a clock before 1970 counts as 1970.
pub(super) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    later(Timestamp(0), since)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp(time.0.saturating_add(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_forward_and_never_goes_back() {
        const HOUR_US: i64 = 3_600_000_000;
        let clock = Clock::default();
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let noon = 1_700_000_000_000_000;
        for (mono_s, wall, expected) in [
            (0, noon, noon),
            (1, noon + 1_000_000, noon + 1_000_000),
            // Set back by an hour.
            (2, noon + 2_000_000 - HOUR_US, noon + 2_000_000),
            (5, noon + 5_000_000 - HOUR_US, noon + 5_000_000),
            // And right again.
            (6, noon + 6_000_000, noon + 6_000_000),
            // Set forward by an hour, and back.
            (7, noon + 7_000_000 + HOUR_US, noon + 7_000_000 + HOUR_US),
            (8, noon + 8_000_000, noon + 8_000_000 + HOUR_US),
        ] {
            assert_eq!(clock.read(at(mono_s), Timestamp(wall)), Timestamp(expected), "{mono_s}");
        }
    }
}
