//! Key-frame requests for one layer: merged over subscribers and throttled.

use std::time::Instant;

use crate::limits;

/// Whether a key frame of this layer is wanted, until one arrives, and when it was last asked for.
#[derive(Debug, Clone)]
pub(crate) struct KeyframeRequests {
    wanted: bool,
    asked: Option<Instant>,
    /// Requests since the last demand: the pauses between them double, so that a silent camera is
    /// not asked twice a second for ever.
    repeats: u32,
}

impl KeyframeRequests {
    pub(crate) fn new() -> Self {
        Self {
            wanted: false,
            asked: None,
            repeats: 0,
        }
    }

    /// Somebody new, or somebody's decoder, needs one.
    pub(crate) fn demand(&mut self) {
        self.wanted = true;
        self.repeats = 0;
    }

    /// Somebody still waits for one.
    pub(crate) fn remind(&mut self) {
        self.wanted = true;
    }

    /// What was asked for may have been lost with the publisher's old path: nothing holds the next
    /// request back.
    pub(crate) fn path_changed(&mut self) {
        self.asked = None;
        self.repeats = 0;
    }

    /// One arrived: what was wanted is there.
    pub(crate) fn arrived(&mut self) {
        self.wanted = false;
        self.repeats = 0;
    }

    /// Whether to ask now; counts as having asked. What is wanted stays so, since the request may
    /// be lost.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        let doubled = limits::KEYFRAME_INTERVAL_MIN * (1 << self.repeats.saturating_sub(1).min(8));
        let pause = doubled.min(limits::KEYFRAME_INTERVAL_MAX);
        let resting = self.asked.is_some_and(|at| now.saturating_duration_since(at) < pause);
        if !self.wanted || resting {
            return false;
        }
        self.repeats = self.repeats.saturating_add(1);
        self.asked = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn many_demands_are_one_request() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::new();
        assert!(!requests.take_due(start));
        requests.demand();
        requests.demand();
        assert!(requests.take_due(start));
        requests.demand();
        assert!(!requests.take_due(start + Duration::from_millis(499)));
        assert!(requests.take_due(start + Duration::from_millis(500)));
    }

    #[test]
    fn a_request_that_nobody_answers_is_repeated_and_at_once_on_a_new_path() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut requests = KeyframeRequests::new();
        requests.demand();
        assert!(requests.take_due(start));
        assert!(!requests.take_due(at(499)));
        assert!(requests.take_due(at(500)));
        assert!(!requests.take_due(at(1499)), "the pause has doubled");
        requests.path_changed();
        assert!(requests.take_due(at(1499)));
        requests.arrived();
        assert!(!requests.take_due(at(60_000)));
    }

    #[test]
    fn a_key_frame_answers_all() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::new();
        requests.demand();
        requests.arrived();
        assert!(!requests.take_due(start));
    }

    #[test]
    fn reminders_that_nobody_answers_slow_down() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::new();
        requests.demand();
        let mut asked = 0;
        for step in 0..400 {
            asked += u32::from(requests.take_due(start + Duration::from_millis(50) * step));
            requests.remind();
        }
        assert!((4..=9).contains(&asked), "{asked} requests in 20 s");
    }
}
