//! Who gets how much of what callbacks share: places on their way, and connections that are kept open.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::limits;

/// How many callbacks may be on their way to one receiver while so many places are free. It shrinks with them, so that
/// slow receivers, however many, leave some for the next one.
pub(super) fn places_of_one(free: usize) -> usize {
    limits::CALLBACKS_PER_RECEIVER_MAX.min(free / 2).max(1)
}

/// Receivers that did not answer last, and have only a few callbacks on their way until they do.
#[derive(Debug, Default)]
pub(super) struct Ailing(HashSet<String>);

impl Ailing {
    /// An attempt at this receiver ended, with an answer or without.
    pub(super) fn note(&mut self, receiver: &str, has_answered: bool) {
        if has_answered {
            self.0.remove(receiver);
        } else if self.0.len() < limits::CALLBACK_RECEIVERS_AILING_MAX {
            self.0.insert(receiver.to_owned());
        }
    }

    /// Who they are.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Receivers whose connections are kept open.
#[derive(Debug, Default)]
pub(super) struct Kept(HashMap<String, Instant>);

impl Kept {
    /// Whether the connection of a callback that is sent now is kept: the first few receivers have theirs, until they had no
    /// callback for a while.
    pub(super) fn keeps(&mut self, receiver: &str, now: Instant) -> bool {
        /// After the last attempt has ended, a connection is kept so long.
        const KEPT: Duration = limits::CALLBACK_IDLE_TIME_MAX.saturating_add(limits::CALLBACK_TIME_MAX);
        if let Some(last) = self.0.get_mut(receiver) {
            *last = now;
            return true;
        }
        self.0.retain(|_, last| now.saturating_duration_since(*last) < KEPT);
        let has_place = self.0.len() < limits::CALLBACK_RECEIVERS_KEPT;
        if has_place {
            self.0.insert(receiver.to_owned(), now);
        }
        has_place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_receivers_leave_places_for_the_next() {
        // Each takes all that it may, for ever.
        let mut free = limits::CALLBACKS_IN_FLIGHT_MAX;
        let mut taken = Vec::new();
        while free > 0 {
            let places = places_of_one(free);
            free -= places;
            taken.push(places);
        }
        assert_eq!(taken, [32, 32, 32, 16, 8, 4, 2, 1, 1]);
    }

    #[test]
    fn who_does_not_answer_is_ailing_until_it_does() {
        let mut ailing = Ailing::default();
        ailing.note("a", false);
        ailing.note("b", false);
        ailing.note("c", true);
        ailing.note("a", true);
        assert_eq!(ailing.names().collect::<Vec<_>>(), ["b"]);
        for number in 0..2 * limits::CALLBACK_RECEIVERS_AILING_MAX {
            ailing.note(&number.to_string(), false);
        }
        assert_eq!(ailing.0.len(), limits::CALLBACK_RECEIVERS_AILING_MAX);
    }

    #[test]
    fn a_few_receivers_have_their_connections_kept() {
        let mut kept = Kept::default();
        let start = Instant::now();
        let names: Vec<String> = (0..limits::CALLBACK_RECEIVERS_KEPT)
            .map(|number| number.to_string())
            .collect();
        assert!(names.iter().all(|name| kept.keeps(name, start)));
        assert!(!kept.keeps("one more", start));
        assert!(kept.keeps("0", start));
        let later = start + limits::CALLBACK_IDLE_TIME_MAX + limits::CALLBACK_TIME_MAX;
        assert!(kept.keeps("0", later));
        assert!(kept.keeps("one more", later));
        assert_eq!(kept.0.len(), 2);
    }
}
