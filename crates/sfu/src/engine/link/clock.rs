//! Our monotonic clock in the time of day that reports carry.

use std::time::{Duration, Instant, SystemTime};

/// From 1900, where NTP begins, to 1970 (RFC 5905 section 6).
const NTP_OFFSET: Duration = Duration::from_secs(2_208_988_800);

/// What the two clocks showed at one moment; the same for all transports, so that their reports agree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    began: Instant,
    /// Since 1900.
    at: Duration,
}

impl Clock {
    /// Reads both clocks.
    pub(super) fn read() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            began: Instant::now(),
            // A clock that stands before 1970 tells no time of day; that differences are right is all that counts.
            at: NTP_OFFSET + since_1970.unwrap_or_default(),
        }
    }

    /// A moment before all others.
    pub(super) fn epoch(&self) -> Instant {
        self.began
    }

    /// NTP format: seconds in the upper half, fractions in the lower.
    pub(super) fn ntp(&self, now: Instant) -> u64 {
        let time = self.since_1900(now);
        let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
        time.as_secs() << 32 | fraction
    }

    /// µs since 1900.
    pub(super) fn micros(&self, now: Instant) -> u64 {
        self.since_1900(now).as_micros() as u64
    }

    fn since_1900(&self, now: Instant) -> Duration {
        match now.checked_duration_since(self.began) {
            Some(since) => self.at + since,
            None => self.at.saturating_sub(self.began.duration_since(now)),
        }
    }
}

/// µs since 1970 of an NTP time.
pub(super) fn unix_us(ntp: u64) -> i64 {
    let fraction_us = ((ntp & 0xffff_ffff) * 1_000_000) >> 32;
    let seconds = (ntp >> 32) as i64 - NTP_OFFSET.as_secs() as i64;
    seconds * 1_000_000 + fraction_us as i64
}

/// The middle of an NTP time, in units of 1/65,536 s (RFC 3550 section 4).
pub(super) fn ntp_middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_in_both() {
        let clock = Clock::read();
        let (now, later) = (clock.began, clock.began + Duration::from_millis(1500));
        assert_eq!(unix_us(clock.ntp(later)) - unix_us(clock.ntp(now)), 1_500_000);
        assert_eq!(clock.micros(later) - clock.micros(now), 1_500_000);
        assert_eq!(
            ntp_middle(clock.ntp(later)).wrapping_sub(ntp_middle(clock.ntp(now))),
            98_304
        );
        let earlier = now.checked_sub(Duration::from_millis(250));
        assert!(earlier.is_none_or(|earlier| clock.micros(now) - clock.micros(earlier) == 250_000));
    }

    #[test]
    fn ntp_begins_in_1900() {
        assert_eq!(unix_us(0), -2_208_988_800_000_000);
        assert_eq!(unix_us(2_208_988_800 << 32 | 0x8000_0000), 500_000);
        assert_eq!(ntp_middle(0x0001_0002_0003_0004), 0x0002_0003);
    }
}
