//! Subscribe rules: which of the others' tracks a participant receives (rest.md section 14).
//!
//! A list is read from the front over an empty set: `include` adds the tracks that match, `exclude` takes them away. So
//! for each track the last rule that matches it decides, which is how [`Rules::select`] finds out, with work of one look
//! at each rule.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::{RULE_TEXT_CHARS, RULES_MAX};
use crate::track::words;
use crate::{ParticipantSid, Priority, Track, TrackKind, TrackSid};

words!(
    /// What a rule does with the tracks that match it: the `type` of the API.
    RuleEffect {
        /// Adds them.
        Include = "include",
        /// Takes them away.
        Exclude = "exclude",
    }
);

/// Somebody or something by its SID, or by its name. What looks like a SID is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named<S> {
    /// Of any participant or track, there or not.
    Sid(S),
    /// In letters of the same case.
    Name(String),
}

impl<S: FromStr> Named<S> {
    /// Reads either.
    pub fn read(text: String) -> Self {
        text.parse().map_or_else(|_| Self::Name(text), Self::Sid)
    }
}

impl<S: PartialEq> Named<S> {
    fn is(&self, sid: &S, name: &str) -> bool {
        match self {
            Self::Sid(wanted) => wanted == sid,
            Self::Name(wanted) => wanted == name,
        }
    }
}

impl<S: fmt::Display> fmt::Display for Named<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sid(sid) => sid.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// One rule as it was written. All filters that it has must match; valid in a [`Rules`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What happens to the tracks that match.
    pub effect: RuleEffect,
    /// Every track; stands alone.
    pub all: bool,
    /// Only tracks of this participant, by SID or identity.
    pub publisher: Option<Named<ParticipantSid>>,
    /// Only this track, by SID; or all of this name, whoever publishes them.
    pub track: Option<Named<TrackSid>>,
    /// Only tracks of this kind.
    pub kind: Option<TrackKind>,
    /// Only tracks that their publisher ranks so at the moment.
    pub priority: Option<Priority>,
}

impl Rule {
    /// A rule without a filter, to be given some.
    pub const fn new(effect: RuleEffect) -> Self {
        Self {
            effect,
            all: false,
            publisher: None,
            track: None,
            kind: None,
            priority: None,
        }
    }

    /// A rule about every track.
    pub fn all(effect: RuleEffect) -> Self {
        Self {
            all: true,
            ..Self::new(effect)
        }
    }

    fn fault(&self) -> Option<RuleFault> {
        let publisher = self.publisher.as_ref();
        let track = self.track.as_ref();
        let has_filter = publisher.is_some() || track.is_some() || self.kind.is_some() || self.priority.is_some();
        let names = [
            publisher.and_then(|publisher| name(publisher)),
            track.and_then(|track| name(track)),
        ];
        if self.all && has_filter {
            Some(RuleFault::AllNotAlone)
        } else if !self.all && !has_filter {
            Some(RuleFault::NoFilter)
        } else if names.into_iter().flatten().any(is_no_name) {
            Some(RuleFault::Name)
        } else {
            None
        }
    }

    fn matches(&self, publisher: Publisher<'_>, track: &Track) -> bool {
        let by = |wanted: &Named<ParticipantSid>| wanted.is(&publisher.sid, publisher.identity);
        self.all
            || (self.publisher.as_ref().is_none_or(by)
                && self
                    .track
                    .as_ref()
                    .is_none_or(|wanted| wanted.is(&track.sid, &track.name))
                && self.kind.is_none_or(|kind| kind == track.kind)
                && self.priority.is_none_or(|priority| priority == track.priority))
    }
}

fn name<S>(named: &Named<S>) -> Option<&str> {
    match named {
        Named::Sid(_) => None,
        Named::Name(name) => Some(name),
    }
}

fn is_no_name(name: &str) -> bool {
    name.is_empty() || name.contains('\0') || name.chars().count() > RULE_TEXT_CHARS
}

/// Who publishes the tracks in question.
#[derive(Debug, Clone, Copy)]
pub struct Publisher<'a> {
    /// `PA…`
    pub sid: ParticipantSid,
    /// From its token.
    pub identity: &'a str,
}

/// A valid list of rules; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules(Arc<[Rule]>);

impl Rules {
    /// A list as it was written.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn new(rules: Vec<Rule>) -> Result<Self, RulesFault> {
        if rules.is_empty() || rules.len() > RULES_MAX {
            return Err(RulesFault::Count(rules.len()));
        }
        let fault = |(place, rule): (usize, &Rule)| {
            rule.fault().map(|fault| RulesFault::Rule {
                number: place + 1,
                fault,
            })
        };
        match rules.iter().enumerate().find_map(fault) {
            Some(fault) => Err(fault),
            None => Ok(Self(rules.into())),
        }
    }

    /// Include all: what a client has that subscribes automatically.
    pub fn everything() -> Self {
        Self([Rule::all(RuleEffect::Include)].into())
    }

    /// Exclude all.
    pub fn nothing() -> Self {
        Self([Rule::all(RuleEffect::Exclude)].into())
    }

    /// All of them, in order: 1 to [`RULES_MAX`].
    pub fn as_slice(&self) -> &[Rule] {
        &self.0
    }

    /// The same with a SID in the place of an identity that is erased; `None` if no rule names it.
    pub fn with_publisher_renamed(&self, old: &str, sid: ParticipantSid) -> Option<Self> {
        let names_it = |rule: &Rule| matches!(&rule.publisher, Some(Named::Name(name)) if name == old);
        if !self.0.iter().any(names_it) {
            return None;
        }
        let renamed = self.0.iter().map(|rule| Rule {
            publisher: if names_it(rule) {
                Some(Named::Sid(sid))
            } else {
                rule.publisher.clone()
            },
            ..rule.clone()
        });
        Some(Self(renamed.collect()))
    }

    /// Whether a participant with these rules receives a track. Never one of its own.
    pub fn select(&self, subscriber: ParticipantSid, publisher: Publisher<'_>, track: &Track) -> bool {
        let last = self.0.iter().rev().find(|rule| rule.matches(publisher, track));
        subscriber != publisher.sid && last.is_some_and(|rule| rule.effect == RuleEffect::Include)
    }
}

/// What is wrong with a list of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulesFault {
    /// None, or more than [`RULES_MAX`].
    Count(usize),
    /// One rule of them.
    Rule {
        /// Which, from 1.
        number: usize,
        /// Its fault.
        fault: RuleFault,
    },
}

/// What is wrong with one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleFault {
    /// `all` beside another filter.
    AllNotAlone,
    /// No filter.
    NoFilter,
    /// An identity or a name that is empty, longer than [`RULE_TEXT_CHARS`], or has U+0000.
    Name,
}

impl fmt::Display for RulesFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "there are {count} rules, not 1 to {RULES_MAX}"),
            Self::Rule { number, fault } => write!(f, "rule {number}: {fault}"),
        }
    }
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllNotAlone => f.write_str("all stands beside another filter"),
            Self::NoFilter => f.write_str("it has no filter: give all, publisher, track, kind or priority"),
            Self::Name => write!(
                f,
                "publisher or track is empty, longer than {RULE_TEXT_CHARS} characters, or contains U+0000"
            ),
        }
    }
}

impl std::error::Error for RulesFault {}
