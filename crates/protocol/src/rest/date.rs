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

impl Date {
    /// The text. Times outside the years 0 to 9999, which no clock gives, are written as the nearest
    /// one inside.
    ///
    /// Pages of lists are full of dates: digits are placed, not formatted one number at a time.
    pub(super) fn text(self) -> [u8; TEXT_LEN] {
        const FIRST_S: i64 = -62_167_219_200;
        const LAST_S: i64 = 253_402_300_799;
        let mut text = *b"0000-00-00T00:00:00Z";
        let at = UtcDateTime::from_unix_timestamp(self.0.clamp(FIRST_S, LAST_S)).unwrap_or(UtcDateTime::UNIX_EPOCH);
        let (hour, minute, second) = at.as_hms();
        let year = u16::try_from(at.year()).unwrap_or_default();
        let parts = [(0, (year / 100) as u8), (2, (year % 100) as u8)];
        let rest = [
            (5, u8::from(at.month())),
            (8, at.day()),
            (11, hour),
            (14, minute),
            (17, second),
        ];
        for (place, number) in parts.into_iter().chain(rest) {
            text[place] += number / 10;
            text[place + 1] += number % 10;
        }
        text
    }
}

/// Bytes of `2015-07-30T20:00:00Z`.
pub(super) const TEXT_LEN: usize = 20;

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.text();
        serializer.serialize_str(str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
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
