//! When a callback that failed is tried again.

use std::time::{Duration, SystemTime};

use room::Timestamp;
use store::CallbackOutcome;

use super::deliver::Answer;
use crate::limits;

/// Seconds to wait after the first, second, … failed attempt; after one more it is given up, 3 h 43 min after the first.
/// The room's later events, which keep their order, wait as long.
const WAITS_S: [u64; 9] = [1, 5, 30, 120, 600, 1800, 3600, 3600, 3600];

/// What part of a wait is added to it at most, by `jitter`, so that what failed together is not tried together.
const JITTER: f64 = 0.25;

/// The moment of a decision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// By the clock of the schedule.
    pub(super) now: Timestamp,
    /// By the calendar, which receivers refer to.
    pub(super) calendar: SystemTime,
    /// From 0 to 1.
    pub(super) jitter: f64,
}

/// What follows from an answer. `attempts` were made before this one.
pub(super) fn outcome(attempts: u32, answer: &Answer, moment: Moment) -> CallbackOutcome {
    let asked = match answer {
        Answer::Status { status: 200..300, .. } => return CallbackOutcome::Delivered,
        Answer::Status { status, .. } if is_final(*status) => return CallbackOutcome::GivenUp,
        Answer::Impossible(_) => return CallbackOutcome::GivenUp,
        Answer::Status { status, retry_after } => retry_after
            .as_deref()
            .filter(|_| is_later(*status))
            .and_then(|text| wait_asked_for(text, moment.calendar)),
        Answer::Failed(_) => None,
    };
    let planned = usize::try_from(attempts).ok().and_then(|index| WAITS_S.get(index));
    let Some(planned_s) = planned else {
        return CallbackOutcome::GivenUp;
    };
    let asked = asked.unwrap_or_default().min(limits::CALLBACK_RETRY_AFTER_MAX);
    let wait = Duration::from_secs(*planned_s).max(asked);
    let wait = wait + wait.mul_f64(JITTER * moment.jitter.clamp(0.0, 1.0));
    let wait_us = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    CallbackOutcome::Retry(Timestamp(moment.now.0.saturating_add(wait_us)))
}

/// Whether the same request would get the same answer: what the receiver calls the sender's fault, but
/// for "later"; and redirects that lead nowhere.
fn is_final(status: u16) -> bool {
    const REQUEST_TIMEOUT: u16 = 408;
    const TOO_EARLY: u16 = 425;
    (300..500).contains(&status) && ![REQUEST_TIMEOUT, TOO_EARLY, TOO_MANY_REQUESTS].contains(&status)
}

const TOO_MANY_REQUESTS: u16 = 429;

/// Whether `Retry-After` counts with it.
fn is_later(status: u16) -> bool {
    const UNAVAILABLE: u16 = 503;
    status == TOO_MANY_REQUESTS || status == UNAVAILABLE
}

/// What `Retry-After` says: seconds, or a date (RFC 9110 section 10.2.3). A date that has passed is no wait.
fn wait_asked_for(text: &str, calendar: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are more than the bound, too.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(calendar).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(5_000_000);

    fn decided(attempts: u32, answer: &Answer, jitter: f64) -> CallbackOutcome {
        let calendar = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let moment = Moment {
            now: NOW,
            calendar,
            jitter,
        };
        outcome(attempts, answer, moment)
    }

    fn status(status: u16) -> Answer {
        Answer::Status {
            status,
            retry_after: None,
        }
    }

    fn after(wait_ms: i64) -> CallbackOutcome {
        CallbackOutcome::Retry(Timestamp(NOW.0 + wait_ms * 1000))
    }

    #[test]
    fn success_is_final() {
        for code in [200, 204, 299] {
            assert_eq!(decided(0, &status(code), 0.0), CallbackOutcome::Delivered);
        }
    }

    #[test]
    fn refusals_and_what_cannot_be_asked_are_final() {
        for code in [301, 304, 307, 400, 401, 404, 410] {
            assert_eq!(decided(0, &status(code), 0.0), CallbackOutcome::GivenUp, "{code}");
        }
        let impossible = Answer::Impossible("refused".to_owned());
        assert_eq!(decided(0, &impossible, 0.0), CallbackOutcome::GivenUp);
    }

    #[test]
    fn everything_else_is_tried_again_ever_later_and_then_given_up() {
        let answers = [408, 425, 429, 500, 503, 100].map(status);
        for answer in answers.into_iter().chain([Answer::Failed("no answer".to_owned())]) {
            for (attempts, wait_s) in [1, 5, 30, 120, 600, 1800, 3600, 3600, 3600].into_iter().enumerate() {
                let attempts = attempts as u32;
                assert_eq!(decided(attempts, &answer, 0.0), after(wait_s * 1000), "{answer:?}");
                assert_eq!(decided(attempts, &answer, 1.0), after(wait_s * 1250), "{answer:?}");
            }
            assert_eq!(decided(9, &answer, 0.0), CallbackOutcome::GivenUp);
            assert_eq!(decided(u32::MAX, &answer, 0.0), CallbackOutcome::GivenUp);
        }
    }

    #[test]
    fn a_receiver_that_says_when_is_heard_within_bounds() {
        let asks = |status, text: &str| Answer::Status {
            status,
            retry_after: Some(text.to_owned()),
        };
        for (code, text, wait_s) in [
            (429, "7", 7),
            (503, " 120 ", 120),
            (503, "Sun, 06 Nov 1994 08:50:37 GMT", 60),
            // Never sooner than planned, never later than an hour.
            (429, "0", 1),
            (503, "Sun, 06 Nov 1994 08:00:00 GMT", 1),
            (429, "86400", 3600),
            (429, "99999999999999999999999", 3600),
            (503, "Sat, 06 Nov 2094 08:50:37 GMT", 3600),
            // Not with other answers, and not what is neither.
            (500, "7", 1),
            (429, "soon", 1),
            (429, "-5", 1),
            (429, "", 1),
        ] {
            assert_eq!(
                decided(0, &asks(code, text), 0.0),
                after(wait_s * 1000),
                "{code} {text}"
            );
        }
        assert_eq!(decided(9, &asks(429, "7"), 0.0), CallbackOutcome::GivenUp);
    }
}
