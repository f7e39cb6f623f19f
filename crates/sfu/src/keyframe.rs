//! Key-frame requests for one layer: merged over subscribers and throttled.

use std::time::{Duration, Instant};

use crate::limits;

/// Who wants a key frame of this layer, as one bit, and when it was last asked for.
#[derive(Debug, Clone)]
pub(crate) struct KeyframeRequests {
    wanted: bool,
    asked: Option<Instant>,
    /// Doubles while nothing answers, so that a silent camera is not asked twice a second for ever.
    interval: Duration,
}

impl KeyframeRequests {
    pub(crate) fn new() -> Self {
        Self {
            wanted: false,
            asked: None,
            interval: limits::KEYFRAME_INTERVAL_MIN,
        }
    }

    /// Somebody new, or somebody's decoder, needs one.
    pub(crate) fn demand(&mut self) {
        self.wanted = true;
        self.interval = limits::KEYFRAME_INTERVAL_MIN;
    }

    /// Somebody still waits for one.
    pub(crate) fn remind(&mut self) {
        self.wanted = true;
    }

    /// One arrived: what was wanted is there.
    pub(crate) fn arrived(&mut self) {
        self.wanted = false;
        self.interval = limits::KEYFRAME_INTERVAL_MIN;
    }

    /// Whether to ask now; counts as having asked.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        let resting = self
            .asked
            .is_some_and(|at| now.saturating_duration_since(at) < self.interval);
        if !self.wanted || resting {
            return false;
        }
        if self.asked.is_some() {
            self.interval = (self.interval * 2).min(limits::KEYFRAME_INTERVAL_MAX);
        }
        self.asked = Some(now);
        self.wanted = false;
        true
    }
}

#[cfg(test)]
mod tests {
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
