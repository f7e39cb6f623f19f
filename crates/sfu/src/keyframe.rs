//! Key-frame requests for one layer: merged over subscribers and throttled, more so while the worker is behind.

use std::time::{Duration, Instant};

use crate::limits;

/// Whether a key frame of this layer is wanted, until one arrives, and when it was last asked for.
#[derive(Debug, Clone)]
pub(crate) struct KeyframeRequests {
    wanted: bool,
    asked: Option<Instant>,
    /// Requests since the last demand: the pauses between them double, so that a silent camera is
    /// not asked twice a second for ever.
    repeats: u32,
    /// Somebody was out of reach when the last one came, and does not wait as long as others.
    urgent: bool,
    /// The last request was for them.
    hurried: bool,
}

impl KeyframeRequests {
    pub(crate) fn new() -> Self {
        Self {
            wanted: false,
            asked: None,
            repeats: 0,
            urgent: false,
            hurried: false,
        }
    }

    /// Somebody new, or somebody's decoder, needs one.
    pub(crate) fn demand(&mut self) {
        self.wanted = true;
        self.repeats = 0;
    }

    /// Who demanded the next was out of reach when the last one came.
    pub(crate) fn hurry(&mut self) {
        self.urgent = true;
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
        self.urgent = false;
        self.hurried = false;
        self.repeats = 0;
    }

    /// When it was asked for last, if one is wanted.
    pub(crate) fn wanted_since(&self) -> Option<Option<Instant>> {
        self.wanted.then_some(self.asked)
    }

    /// Whether to ask now; counts as having asked. What is wanted stays so, since the request may
    /// be lost. While the worker is behind, a key frame is asked for as if nobody answered.
    pub(crate) fn take_due(&mut self, is_behind: bool, now: Instant) -> bool {
        let doubled = limits::KEYFRAME_INTERVAL_MIN * (1 << self.repeats.saturating_sub(1).min(8));
        let pause = match is_behind {
            true => limits::KEYFRAME_INTERVAL_MAX,
            false if self.urgent => limits::KEYFRAME_INTERVAL_URGENT,
            // It may have come too soon after the one before, which Chromium leaves unanswered.
            false if self.hurried => limits::KEYFRAME_IGNORED - limits::KEYFRAME_INTERVAL_URGENT,
            false => doubled.min(limits::KEYFRAME_INTERVAL_MAX),
        };
        let resting = self.asked.is_some_and(|at| now.saturating_duration_since(at) < pause);
        if !self.wanted || resting {
            return false;
        }
        self.hurried = std::mem::take(&mut self.urgent);
        self.repeats = self.repeats.saturating_add(u32::from(!self.hurried));
        self.asked = Some(now);
        true
    }
}

/// Keeps key frames of different tracks apart while the worker is behind: together they are what it cannot carry.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyframePace {
    next: Option<Instant>,
}

impl KeyframePace {
    /// Whether one may be asked for.
    pub(crate) fn may(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// One was asked for that goes to so many.
    pub(crate) fn asked(&mut self, subscribers: usize, now: Instant) {
        let subscribers = u32::try_from(subscribers).unwrap_or(u32::MAX);
        let pause = limits::KEYFRAME_PAUSE_PER_SUBSCRIBER.saturating_mul(subscribers);
        self.next = now.checked_add(pause.min(Duration::from_secs(1)));
    }
}

/// What one subscriber may still ask for of one track.
#[derive(Debug, Clone)]
pub(crate) struct KeyframeBudget {
    left: u32,
    /// Up to when it was filled.
    filled: Instant,
}

impl KeyframeBudget {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            left: limits::KEYFRAME_DEMANDS_MAX,
            filled: now,
        }
    }

    /// Whether a request counts.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled);
        let earned = passed.as_millis() / limits::KEYFRAME_DEMAND_INTERVAL.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(limits::KEYFRAME_DEMANDS_MAX);
            // The remainder counts on. A long time is one that filled it.
            self.filled = limits::KEYFRAME_DEMAND_INTERVAL
                .checked_mul(earned)
                .and_then(|time| self.filled.checked_add(time))
                .unwrap_or(now);
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
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
        assert!(!requests.take_due(false, start));
        requests.demand();
        requests.demand();
        assert!(requests.take_due(false, start));
        requests.demand();
        assert!(!requests.take_due(false, start + Duration::from_millis(499)));
        assert!(requests.take_due(false, start + Duration::from_millis(500)));
    }

    #[test]
    fn a_request_that_nobody_answers_is_repeated_and_at_once_on_a_new_path() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut requests = KeyframeRequests::new();
        requests.demand();
        assert!(requests.take_due(false, start));
        assert!(!requests.take_due(false, at(499)));
        assert!(requests.take_due(false, at(500)));
        assert!(!requests.take_due(false, at(1499)), "the pause has doubled");
        requests.path_changed();
        assert!(requests.take_due(false, at(1499)));
        requests.arrived();
        assert!(!requests.take_due(false, at(60_000)));
    }

    #[test]
    fn who_was_out_of_reach_waits_less_long() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut requests = KeyframeRequests::new();
        requests.demand();
        assert!(requests.take_due(false, start));
        requests.arrived();
        requests.demand();
        requests.hurry();
        assert!(!requests.take_due(false, at(99)) && requests.take_due(false, at(100)));
        requests.demand();
        assert!(!requests.take_due(false, at(309)), "once");
        assert!(
            requests.take_due(false, at(310)),
            "the publisher may have left it unanswered"
        );
        assert!(!requests.take_due(false, at(809)) && requests.take_due(false, at(810)));
    }

    #[test]
    fn who_always_asks_is_heard_now_and_then() {
        let start = Instant::now();
        let mut budget = KeyframeBudget::new(start);
        let heard = |budget: &mut KeyframeBudget, from_s: u64| {
            let asked = (0..1000).map(|step| start + Duration::from_secs(from_s) + Duration::from_millis(20) * step);
            asked.filter(|at| budget.take(*at)).count()
        };
        // 20 s of requests, fifty a second: the first few, then one every two seconds.
        assert_eq!(heard(&mut budget, 0), limits::KEYFRAME_DEMANDS_MAX as usize + 9);
        assert_eq!(heard(&mut budget, 20), 10);
        // A subscriber that is content for a while may ask several times again.
        assert_eq!(heard(&mut budget, 1000), limits::KEYFRAME_DEMANDS_MAX as usize + 9);
    }

    #[test]
    fn while_the_worker_is_behind_key_frames_are_rare_and_apart() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut requests = KeyframeRequests::new();
        requests.demand();
        assert!(requests.take_due(true, start));
        requests.demand();
        assert!(!requests.take_due(true, at(3999)), "however often it is demanded");
        assert!(requests.take_due(true, at(4000)));
        let mut pace = KeyframePace::default();
        assert!(pace.may(start));
        pace.asked(100, start);
        assert!(
            !pace.may(at(99)) && pace.may(at(100)),
            "the key frame goes to a hundred"
        );
        // However many there are, somebody is heard each second.
        pace.asked(usize::MAX, at(100));
        assert!(!pace.may(at(1099)) && pace.may(at(1100)));
    }

    #[test]
    fn a_key_frame_answers_all() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::new();
        requests.demand();
        requests.arrived();
        assert!(!requests.take_due(false, start));
    }

    #[test]
    fn reminders_that_nobody_answers_slow_down() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::new();
        requests.demand();
        let mut asked = 0;
        for step in 0..400 {
            asked += u32::from(requests.take_due(false, start + Duration::from_millis(50) * step));
            requests.remind();
        }
        assert!((4..=9).contains(&asked), "{asked} requests in 20 s");
    }
}
