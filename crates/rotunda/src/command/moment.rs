//! Moments as operators write and read them.

use std::time::{SystemTime, UNIX_EPOCH};

use room::Timestamp;
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, format_description};

/// A moment as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    At(Timestamp),
    Ago { seconds: i64 },
}

impl Moment {
    /// When that is, if it is `now`.
    pub(super) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago { seconds } => Timestamp(now.0.saturating_sub(seconds.saturating_mul(1_000_000))),
        }
    }
}

/// In UTC, to the millisecond.
pub(super) fn time_text(at: Timestamp) -> String {
    let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1000) else {
        return at.0.to_string();
    };
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.millisecond()
    )
}

/// Reads a time, or how long ago it was.
pub(super) fn parse(text: &str) -> Result<Moment, String> {
    let at = |time: OffsetDateTime| {
        let micros = i64::try_from(time.unix_timestamp_nanos() / 1000).ok()?;
        Some(Moment::At(Timestamp(micros)))
    };
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| {
        let day = format_description::parse_borrowed::<2>("[year]-[month]-[day]").ok()?;
        Some(Date::parse(text, &day).ok()?.midnight().assume_utc())
    });
    moment
        .and_then(at)
        .or_else(|| ago(text))
        .ok_or_else(|| "a time such as 2026-02-28 or 2026-02-28T09:30:00Z, or so long ago: 90s, 30m, 4h, 7d".to_owned())
}

fn ago(text: &str) -> Option<Moment> {
    let (end, unit) = text.char_indices().last()?;
    let unit_s = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let number = text[..end].parse::<u32>().ok()?;
    Some(Moment::Ago {
        seconds: i64::from(number) * unit_s,
    })
}

/// By the calendar.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_moments_and_spans() {
        let at = |seconds: i64| Ok(Moment::At(Timestamp(seconds * 1_000_000)));
        assert_eq!(parse("1970-01-02"), at(86_400));
        assert_eq!(parse("1970-01-01T01:00:00Z"), at(3600));
        assert_eq!(parse("1970-01-01T01:00:00+01:00"), at(0));
        assert_eq!(parse("7d"), Ok(Moment::Ago { seconds: 604_800 }));
        assert_eq!(
            parse("90s").map(|since| since.before(Timestamp(100_000_000))),
            Ok(Timestamp(10_000_000))
        );
        for text in ["", "d", "yesterday", "-1h", "1970-13-01", "7 d", "99999999999d", "é"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(time_text(Timestamp(1_772_271_000_123_456)), "2026-02-28T09:30:00.123Z");
        assert_eq!(time_text(Timestamp(i64::MAX)), i64::MAX.to_string());
    }
}
