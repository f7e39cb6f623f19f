//! Reads the dates of filters (rest.md 26.5).

use time::{Date, Month, Time, UtcDateTime, UtcOffset};

use super::error::ApiError;
use super::limits::DATE_BYTES_MAX;

/// A point in time, told from its neighbours in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    seconds: i64,
    has_fraction: bool,
}

impl Moment {
    /// The date in the filter `name`.
    ///
    /// # Errors
    /// It is no date.
    pub(super) fn read(name: &'static str, text: &str) -> Result<Self, ApiError> {
        Self::parse(text).ok_or(ApiError::Invalid {
            name,
            why: "it is no date like 2017-07-30T20:00:00Z",
        })
    }

    /// Reads `YYYY-MM-DD` (its first moment in UTC) or `YYYY-MM-DDThh:mm:ss`, with a fraction or
    /// not, then nothing or `Z` (UTC) or `±hh:mm`. The `+` may be a space: that is what becomes of
    /// a `+` that a client did not encode.
    fn parse(text: &str) -> Option<Self> {
        if text.len() > DATE_BYTES_MAX || !text.is_ascii() {
            return None;
        }
        let (day, rest) = text.split_at_checked(10)?;
        let day = parse_day(day)?;
        if rest.is_empty() {
            return Some(Self {
                seconds: day.midnight().as_utc().unix_timestamp(),
                has_fraction: false,
            });
        }
        let (clock, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
        let clock = parse_clock(clock)?;
        let (has_fraction, rest) = parse_fraction(rest)?;
        let offset = parse_offset(rest)?;
        let seconds = UtcDateTime::new(day, clock).unix_timestamp() - i64::from(offset.whole_seconds());
        Some(Self { seconds, has_fraction })
    }

    /// The last whole second that is not after it.
    pub(super) const fn floor_s(self) -> i64 {
        self.seconds
    }

    /// The first whole second that is not before it.
    pub(super) const fn ceil_s(self) -> i64 {
        self.seconds + self.has_fraction as i64
    }
}

/// `text` split at the `separators`, as numbers of two digits (the first one: of any number).
fn numbers<const N: usize>(text: &str, separator: char) -> Option<[u16; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (index, number) in numbers.iter_mut().enumerate() {
        let part = parts.next()?;
        if !part.bytes().all(|byte| byte.is_ascii_digit()) || (index > 0 && part.len() != 2) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn parse_day(text: &str) -> Option<Date> {
    let [year, month, day] = numbers(text, '-')?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()
}

fn parse_clock(text: &str) -> Option<Time> {
    let [hour, minute, second] = numbers::<3>(text, ':')?.map(|number| number as u8);
    Time::from_hms(hour, minute, second).ok()
}

/// Whether there is a fraction that is not zero, and what follows it.
fn parse_fraction(text: &str) -> Option<(bool, &str)> {
    let Some(digits) = text.strip_prefix(['.', ',']) else {
        return Some((false, text));
    };
    let end = digits.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = digits.split_at(end);
    (end > 0).then(|| (digits.bytes().any(|digit| digit != b'0'), rest))
}

fn parse_offset(text: &str) -> Option<UtcOffset> {
    if matches!(text, "" | "Z" | "z") {
        return Some(UtcOffset::UTC);
    }
    let (sign, clock) = text.split_at_checked(1)?;
    let [hours, minutes] = numbers::<2>(clock, ':')?.map(|number| number as i8);
    if clock.len() != 5 || hours > 23 {
        return None;
    }
    match sign {
        "+" | " " => UtcOffset::from_hms(hours, minutes, 0).ok(),
        "-" => UtcOffset::from_hms(-hours, -minutes, 0).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2017-01-01T00:00:00Z.
    const START_S: i64 = 1_483_228_800;

    fn check(text: &str, expected: Option<(i64, i64)>) {
        assert_eq!(
            Moment::parse(text).map(|at| (at.floor_s(), at.ceil_s())),
            expected,
            "{text}"
        );
    }

    #[test]
    fn reads_every_form() {
        for text in [
            "2017-01-01",
            "2017-01-01T00:00:00Z",
            "2017-01-01t00:00:00z",
            "2017-01-01 00:00:00Z",
            "2017-01-01T00:00:00",
            "2017-01-01T00:00:00.000Z",
            "2017-01-01T02:00:00+02:00",
            "2017-01-01T02:00:00 02:00",
            "2016-12-31T22:30:00-01:30",
            "2017-01-01T00:00:00-00:00",
        ] {
            check(text, Some((START_S, START_S)));
        }
        check("2017-01-01T00:00:00.5Z", Some((START_S, START_S + 1)));
        check("2017-01-01T00:00:00,000001+00:00", Some((START_S, START_S + 1)));
        check("1969-12-31T23:59:58.5Z", Some((-2, -1)));
        check("2024-02-29", Some((1_709_164_800, 1_709_164_800)));
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "yesterday",
            "2017",
            "2017-1-1",
            "2017-13-01",
            "2017-02-29",
            "20170-1-01",
            "+017-01-01",
            "2017-01-01T",
            "2017-01-01T00:00",
            "2017-01-01T24:00:00Z",
            "2017-01-01T00:60:00Z",
            "2017-01-01T00:00:60Z",
            "2017-01-01T0:000:00Z",
            "2017-01-01T00:00:00.Z",
            "2017-01-01T00:00:00ZZ",
            "2017-01-01T00:00:00+2:00",
            "2017-01-01T00:00:00+02:00:00",
            "2017-01-01T00:00:00+24:00",
            "2017-01-01T00:00:00+02:60",
            "2017-01-01T00:00:00*02:00",
            "2017-01-01T00:00:00+0200",
            "2017-01-01T00:00:00+-2:00",
            "2017-01-0é",
            "1483228800",
        ] {
            check(text, None);
        }
        check(&format!("2017-01-01T00:00:00.{}Z", "0".repeat(DATE_BYTES_MAX)), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,40}", digits in "[0-9:TZ+. -]{0,30}") {
            Moment::parse(&text);
            Moment::parse(&digits);
        }
    }
}
