//! Times as the REST API writes them.

use std::fmt;

use room::Timestamp;
use serde::{Serialize, Serializer};
use time::UtcDateTime;

/// A time in UTC, cut to whole seconds: `2015-07-30T20:00:00Z`. Never a fraction, since clients
/// parse exactly this form (rest.md section 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(
    /// Seconds since 1970-01-01T00:00:00Z.
    pub i64,
);

impl From<Timestamp> for Date {
    fn from(at: Timestamp) -> Self {
        Self(at.seconds())
    }
}

impl fmt::Display for Date {
    /// Times outside the years 0 to 9999, which no clock gives, are written as the nearest one
    /// inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FIRST_S: i64 = -62_167_219_200;
        const LAST_S: i64 = 253_402_300_799;
        let at = UtcDateTime::from_unix_timestamp(self.0.clamp(FIRST_S, LAST_S)).map_err(|_| fmt::Error)?;
        let (hour, minute, second) = at.as_hms();
        write!(
            f,
            "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
            at.year(),
            u8::from(at.month()),
            at.day()
        )
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: i64, expected: &str) {
        assert_eq!(Date(seconds).to_string(), expected);
    }

    #[test]
    fn writes_whole_seconds_in_utc() {
        check(0, "1970-01-01T00:00:00Z");
        check(1_501_444_800, "2017-07-30T20:00:00Z");
        check(1_709_164_800, "2024-02-29T00:00:00Z");
        check(-1, "1969-12-31T23:59:59Z");
    }

    #[test]
    fn cuts_towards_the_past() {
        assert_eq!(Date::from(Timestamp(1_999_999)), Date(1));
        assert_eq!(Date::from(Timestamp(-1)), Date(-1));
    }

    #[test]
    fn stays_in_four_digit_years() {
        check(i64::MAX, "9999-12-31T23:59:59Z");
        check(i64::MIN, "0000-01-01T00:00:00Z");
    }
}
