//! The time that rooms go by, on both clocks.

use std::time::{Duration, Instant, SystemTime};

use room::{Now, Timestamp};

/// Between two looks at the monotonic clock there may be so much, and no pause of the thread that counts.
const AT_ONCE: Duration = Duration::from_millis(1);

/// How often the clocks are read again when something came between.
const TRIES: usize = 8;

/// Now, on both clocks, read at one moment: a thread that is stopped between the two would make a stay longer on one of them.
pub(super) fn now() -> Now {
    at_one_moment(|| {
        let before = Instant::now();
        let wall = wall();
        let mono = Instant::now();
        (Now { mono, wall }, mono.saturating_duration_since(before))
    })
}

/// Reads both clocks, with how long that took, until nothing came between; else the reading that took least counts.
fn at_one_moment(mut read: impl FnMut() -> (Now, Duration)) -> Now {
    let (mut now, mut least) = read();
    for _ in 1..TRIES {
        if least <= AT_ONCE {
            break;
        }
        let (other, took) = read();
        if took < least {
            (now, least) = (other, took);
        }
    }
    now
}

/// The time of the calendar; a clock before 1970 counts as 1970.
pub(crate) fn wall() -> Timestamp {
    calendar(SystemTime::now())
}

fn calendar(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What clocks that take so long to be read, one after the other, are taken for: which reading counts, and how many there were.
    fn counted(took_us: &[u64]) -> (i64, usize) {
        let mono = Instant::now();
        let mut readings = 0;
        let now = at_one_moment(|| {
            let took = Duration::from_micros(took_us[readings]);
            let wall = Timestamp(i64::try_from(readings).expect("a few"));
            readings += 1;
            (Now { mono, wall }, took)
        });
        (now.wall.0, readings)
    }

    #[test]
    fn clocks_that_are_read_at_once_are_read_once() {
        assert_eq!(counted(&[0]), (0, 1));
        assert_eq!(counted(&[1_000]), (0, 1));
    }

    #[test]
    fn a_pause_between_the_clocks_is_not_counted() {
        assert_eq!(counted(&[1_001, 3]), (1, 2));
        assert_eq!(counted(&[2_000_000, 70_000, 1_001, 20]), (3, 4));
    }

    #[test]
    fn where_every_reading_is_disturbed_the_least_of_them_counts() {
        let took_us = [9_000, 8_000, 4_000, 5_000, 2_000, 6_000, 2_000, 3_000];
        assert_eq!(took_us.len(), TRIES);
        assert_eq!(counted(&took_us), (4, TRIES));
    }

    #[test]
    fn both_clocks_are_of_the_time_at_which_it_was_asked() {
        let (mono, wall_before) = (Instant::now(), wall());
        let now = now();
        assert!(mono <= now.mono && now.mono <= Instant::now());
        // A calendar may be set meanwhile, but not on a machine that runs tests.
        assert!(wall_before <= now.wall && now.wall <= wall());
    }

    #[test]
    fn a_calendar_before_1970_counts_as_1970() {
        let second = Duration::from_secs(1);
        assert_eq!(calendar(SystemTime::UNIX_EPOCH - second), Timestamp(0));
        assert_eq!(calendar(SystemTime::UNIX_EPOCH + second), Timestamp(1_000_000));
    }
}
