//! When a callback that failed is tried again.

use room::Timestamp;
use store::CallbackOutcome;

/// Seconds to wait after the first, second, … failed attempt; after one more it is given up. Longer
/// waits would hold up the room's later events, which keep their order.
const WAITS_S: [i64; 6] = [1, 5, 30, 120, 600, 3600];

/// What follows from an answer. `attempts` were made before this one; `answer` is the HTTP status, or
/// `None` if there was no answer.
pub(super) fn outcome(attempts: u32, answer: Option<u16>, now: Timestamp) -> CallbackOutcome {
    if answer.is_some_and(|status| (200..300).contains(&status)) {
        return CallbackOutcome::Delivered;
    }
    if answer.is_some_and(is_final) {
        return CallbackOutcome::GivenUp;
    }
    let wait_s = usize::try_from(attempts).ok().and_then(|index| WAITS_S.get(index));
    wait_s.map_or(CallbackOutcome::GivenUp, |wait_s| {
        CallbackOutcome::Retry(Timestamp(now.0.saturating_add(wait_s * 1_000_000)))
    })
}

/// Whether the same request would get the same answer: redirects, which are not followed, and what
/// the receiver calls the sender's fault, but for "later".
fn is_final(status: u16) -> bool {
    const REQUEST_TIMEOUT: u16 = 408;
    const TOO_MANY_REQUESTS: u16 = 429;
    (300..500).contains(&status) && status != REQUEST_TIMEOUT && status != TOO_MANY_REQUESTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(5_000_000);

    #[test]
    fn success_is_final() {
        for status in [200, 204, 299] {
            assert_eq!(outcome(0, Some(status), NOW), CallbackOutcome::Delivered);
        }
    }

    #[test]
    fn refusals_and_redirects_are_final() {
        for status in [301, 307, 400, 401, 404, 410] {
            assert_eq!(outcome(0, Some(status), NOW), CallbackOutcome::GivenUp, "{status}");
        }
    }

    #[test]
    fn everything_else_is_tried_again_ever_later_and_then_given_up() {
        for answer in [None, Some(408), Some(429), Some(500), Some(503), Some(100)] {
            for (attempts, wait_s) in [1, 5, 30, 120, 600, 3600].into_iter().enumerate() {
                assert_eq!(
                    outcome(attempts as u32, answer, NOW),
                    CallbackOutcome::Retry(Timestamp(5_000_000 + wait_s * 1_000_000)),
                    "{answer:?}"
                );
            }
            assert_eq!(outcome(6, answer, NOW), CallbackOutcome::GivenUp);
            assert_eq!(outcome(u32::MAX, answer, NOW), CallbackOutcome::GivenUp);
        }
    }
}
