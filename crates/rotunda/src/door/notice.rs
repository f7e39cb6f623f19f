//! One line in the log for a flood of refusals, not one for each.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::limits;

/// What was told when. Its keys are the sentences of this program.
#[derive(Debug, Default)]
pub(crate) struct Notice(Mutex<BTreeMap<&'static str, Told>>);

#[derive(Debug, Default)]
struct Told {
    at: Option<Instant>,
    /// Refusals since then.
    since: u64,
}

impl Notice {
    /// Something was refused: the first time at once, then at most one line every
    /// [`limits::NOTICE_INTERVAL`], with the count.
    pub(super) fn tell(&self, what: &'static str, now: Instant) {
        if let Some(refused) = self.count(what, now) {
            tracing::warn!(refused, "turned away at the door: {what}");
        }
    }

    /// The number of times since the last line, if another one may be written now.
    pub(crate) fn count(&self, what: &'static str, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = told.entry(what).or_default();
        told.since += 1;
        let recent = told
            .at
            .is_some_and(|at| now.saturating_duration_since(at) < limits::NOTICE_INTERVAL);
        if recent {
            return None;
        }
        told.at = Some(now);
        Some(std::mem::take(&mut told.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_now_and_then() {
        let notice = Notice::default();
        let start = Instant::now();
        assert_eq!(notice.count("one", start), Some(1));
        assert!((0..1000).all(|_| notice.count("one", start).is_none()));
        assert_eq!(notice.count("other", start), Some(1));
        assert_eq!(notice.count("one", start + limits::NOTICE_INTERVAL), Some(1001));
    }
}
