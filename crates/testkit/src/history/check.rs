//! All rules, and how a contradiction is told.

use std::fmt;

use super::{History, callbacks, identities, lists, order, rows};

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// What was acknowledged before a read was asked is in its answer, and who is gone stays gone.
    NeverOlder,
    /// A row has one beginning and one end, both consistent, and what ended never changes.
    OneBeginningOneEnd,
    /// A walk over pages loses no row that was there all the time.
    NothingLost,
    /// A walk shows no row twice, each page in order, of the size and the filters that were asked for.
    NothingRepeated,
    /// An identity is in a room once, and a name is in progress once.
    LiveOnce,
    /// Nobody is listed who never asked to come in.
    NothingInvented,
    /// Callbacks are numbered without gaps, arrive in that order, and tell each thing once.
    NoGap,
    /// What callbacks name is what the list knows, all of it.
    CallbacksAgree,
}

/// Facts that cannot all be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What does not hold.
    pub rule: Rule,
    /// Which facts contradict each other.
    pub facts: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.facts)
    }
}

/// All that contradicts, rule by rule; nothing if everything can be true.
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    order::check(history, &mut found);
    rows::check(history, &mut found);
    lists::check(history, &mut found);
    identities::check(history, &mut found);
    callbacks::check(history, &mut found);
    found
}

/// Adds a violation.
pub(super) fn violates(found: &mut Vec<Violation>, rule: Rule, facts: impl fmt::Display) {
    found.push(Violation {
        rule,
        facts: facts.to_string(),
    });
}
