//! The time that rooms go by, on both clocks.

use std::time::{Duration, Instant, SystemTime};

use room::{Now, Timestamp};

/// Between two looks at the monotonic clock there may be so much, and no pause of the thread that counts.
const AT_ONCE: Duration = Duration::from_millis(1);

/// How often the clocks are read again when something came between.
const TRIES: usize = 8;

/// Now, on both clocks, read at one moment: a thread that is stopped between the two would make a stay longer on one of them.
pub(super) fn now() -> Now {
    let read = || {
        let before = Instant::now();
        let wall = wall();
        let mono = Instant::now();
        (Now { mono, wall }, mono.saturating_duration_since(before))
    };
    let (mut now, mut took) = read();
    for _ in 1..TRIES {
        if took <= AT_ONCE {
            break;
        }
        (now, took) = read();
    }
    now
}

/// The time of the calendar; a clock before 1970 counts as 1970.
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
