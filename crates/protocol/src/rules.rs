//! Subscribe rules as JSON (rest.md section 14): in the API's parameter `Rules`, in its answers, and in `connect`.
//!
//! Read strictly: a member that occurs twice, one that is not known, `all` that is not `true` make the whole list
//! invalid. A member that is null counts as absent, so that what was answered can be sent back.

use std::collections::BTreeSet;
use std::fmt;

use room::{Named, Priority, Rule, RuleEffect, Rules, RulesFault, TrackKind};
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no list of rules.
#[derive(Debug)]
pub enum InvalidRules {
    /// It is not JSON of this shape.
    Json(serde_json::Error),
    /// `all` is false in the rule of this number, from 1.
    NotAll(usize),
    /// The rules cannot be.
    Rules(RulesFault),
}

impl fmt::Display for InvalidRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::NotAll(number) => write!(f, "rule {number}: all is not true"),
            Self::Rules(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for InvalidRules {}

/// Reads the text of a list.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(text: &str) -> Result<Rules, InvalidRules> {
    let rules: Vec<WrittenRule> = serde_json::from_str(text).map_err(InvalidRules::Json)?;
    of(rules)
}

/// A list as it was written in a longer text.
///
/// # Errors
/// As [`read`].
pub fn of(rules: Vec<WrittenRule>) -> Result<Rules, InvalidRules> {
    if let Some(place) = rules.iter().position(|rule| rule.all == Some(false)) {
        return Err(InvalidRules::NotAll(place + 1));
    }
    Rules::new(rules.into_iter().map(|written| written.rule).collect()).map_err(InvalidRules::Rules)
}

/// A rule as it was written; whether it can be is for [`Rules`] to say.
#[derive(Debug)]
pub struct WrittenRule {
    rule: Rule,
    /// Its `all`, if it has one.
    all: Option<bool>,
}

/// Members of a rule.
const MEMBERS: &[&str] = &["type", "all", "publisher", "track", "kind", "priority"];

impl<'de> Deserialize<'de> for WrittenRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RuleVisitor)
    }
}

/// By hand, since a derived one also takes lists for objects and objects for words.
struct RuleVisitor;

impl<'de> Visitor<'de> for RuleVisitor {
    type Value = WrittenRule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule, an object with a type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<WrittenRule, A::Error> {
        let mut seen = BTreeSet::new();
        let mut effect = None;
        let mut all = None;
        // The effect is known at the end.
        let mut rule = Rule::new(RuleEffect::Include);
        while let Some(name) = members.next_key::<String>()? {
            let Some(name) = MEMBERS.iter().copied().find(|member| *member == name) else {
                return Err(Error::unknown_field(&name, MEMBERS));
            };
            if !seen.insert(name) {
                return Err(Error::duplicate_field(name));
            }
            if name == "all" {
                all = members.next_value::<Option<bool>>()?;
                continue;
            }
            let Some(text) = members.next_value::<Option<String>>()? else {
                continue;
            };
            match name {
                "type" => effect = Some(word(&text, RuleEffect::from_word, &["include", "exclude"])?),
                "publisher" => rule.publisher = Some(Named::read(text)),
                "track" => rule.track = Some(Named::read(text)),
                "kind" => rule.kind = Some(word(&text, TrackKind::from_word, &["audio", "video", "data"])?),
                _ => rule.priority = Some(word(&text, Priority::from_word, &["low", "standard", "high"])?),
            }
        }
        rule.effect = effect.ok_or_else(|| Error::missing_field("type"))?;
        rule.all = all == Some(true);
        Ok(WrittenRule { rule, all })
    }
}

fn word<T, E: Error>(text: &str, read: fn(&str) -> Option<T>, words: &'static [&'static str]) -> Result<T, E> {
    read(text).ok_or_else(|| E::unknown_variant(text, words))
}

/// A list as answers have it: every rule with all six members, null where it has no such filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownRules(pub Rules);

impl Serialize for ShownRules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rules = self.0.as_slice();
        let mut list = serializer.serialize_seq(Some(rules.len()))?;
        for rule in rules {
            list.serialize_element(&ShownRule(rule))?;
        }
        list.end()
    }
}

struct ShownRule<'a>(&'a Rule);

impl Serialize for ShownRule<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(rule) = self;
        let mut shown = serializer.serialize_struct("Rule", 6)?;
        shown.serialize_field("type", rule.effect.as_str())?;
        shown.serialize_field("all", &rule.all.then_some(true))?;
        shown.serialize_field("publisher", &rule.publisher.as_ref().map(ToString::to_string))?;
        shown.serialize_field("track", &rule.track.as_ref().map(ToString::to_string))?;
        shown.serialize_field("kind", &rule.kind.map(TrackKind::as_str))?;
        shown.serialize_field("priority", &rule.priority.map(Priority::as_str))?;
        shown.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_of_texts_that_are_lists_and_texts_that_are_not() {
        let include_audio = r#"{"type":"include","kind":"audio"}"#;
        let many = |count| format!("[{}]", vec![include_audio; count].join(","));
        let named = |member: &str, length| format!(r#"[{{"type":"include","{member}":"{}"}}]"#, "é".repeat(length));
        let valid = [
            r#"[{"type":"include","all":true}]"#.to_owned(),
            r#"[{"type":"exclude", "all": true}]"#.to_owned(),
            r#" [ { "all" : true , "type" : "include" } ] "#.to_owned(),
            r#"[{"type":"include","kind":"audio"},{"type":"include","kind":"video"},{"type":"include","kind":"data"}]"#
                .to_owned(),
            r#"[{"type":"exclude","publisher":"alice"}]"#.to_owned(),
            r#"[{"type":"include","publisher":"PA00000000000000000000000000000001"}]"#.to_owned(),
            r#"[{"type":"include","track":"MT00000000000000000000000000000001","kind":"video"}]"#.to_owned(),
            r#"[{"type":"include","publisher":"alice","track":"screen","kind":"video","priority":"high"}]"#.to_owned(),
            r#"[{"type":"include","priority":"low"},{"type":"include","priority":"standard"}]"#.to_owned(),
            r#"[{"type":"include","all":true,"publisher":null,"track":null,"kind":null,"priority":null}]"#.to_owned(),
            r#"[{"type":"include","all":null,"kind":"audio"}]"#.to_owned(),
            "[{\"type\":\"include\",\"track\":\"\\u00e9\\\"\\\\\"}]".to_owned(),
            many(1),
            many(20),
            named("publisher", 128),
            named("track", 128),
        ];
        for text in valid {
            let rules = read(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let shown = serde_json::to_string(&ShownRules(rules.clone())).expect("rules are JSON");
            assert_eq!(read(&shown).expect("what is shown can be sent back"), rules);
        }
        let invalid = [
            // No list.
            "".to_owned(),
            "all".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"type":"include","all":true}"#.to_owned(),
            r#""[]""#.to_owned(),
            "[1]".to_owned(),
            "[null]".to_owned(),
            "[[]]".to_owned(),
            r#"["include"]"#.to_owned(),
            r#"[["include",true,null,null,null,null]]"#.to_owned(),
            r#"[{"type":"include","all":true}"#.to_owned(),
            r#"[{"type":"include","all":true}] x"#.to_owned(),
            r#"[{"type":"include","all":true},]"#.to_owned(),
            "%5B%7B%22type%22%3A%22exclude%22%2C%22all%22%3A%20true%7D%5D".to_owned(),
            many(21),
            "[".repeat(10_000),
            // The type.
            "[{}]".to_owned(),
            r#"[{"all":true}]"#.to_owned(),
            r#"[{"type":"Include","all":true}]"#.to_owned(),
            r#"[{"type":"add","all":true}]"#.to_owned(),
            r#"[{"type":null,"all":true}]"#.to_owned(),
            r#"[{"type":{"include":null},"all":true}]"#.to_owned(),
            r#"[{"type":"include"}]"#.to_owned(),
            r#"[{"type":"include","all":true},{"type":"exclude"}]"#.to_owned(),
            r#"[{"type":"include","kind":null}]"#.to_owned(),
            // `all`.
            r#"[{"type":"include","all":false}]"#.to_owned(),
            r#"[{"type":"include","all":false,"kind":"audio"}]"#.to_owned(),
            r#"[{"type":"include","all":"true"}]"#.to_owned(),
            r#"[{"type":"include","all":1}]"#.to_owned(),
            r#"[{"type":"include","all":true,"kind":"audio"}]"#.to_owned(),
            r#"[{"type":"exclude","publisher":"alice","all":true}]"#.to_owned(),
            // A member twice.
            r#"[{"type":"include","kind":"audio","kind":"video"}]"#.to_owned(),
            r#"[{"type":"include","kind":"audio","kind":"audio"}]"#.to_owned(),
            r#"[{"type":"include","publisher":"alice","publisher":"bob"}]"#.to_owned(),
            r#"[{"type":"include","track":"a","\u0074rack":"a"}]"#.to_owned(),
            r#"[{"type":"include","all":true,"all":true}]"#.to_owned(),
            r#"[{"type":"include","type":"include","all":true}]"#.to_owned(),
            r#"[{"type":"include","kind":null,"kind":"audio"}]"#.to_owned(),
            r#"[{"type":"include","priority":"low","priority":"high"}]"#.to_owned(),
            // Values.
            r#"[{"type":"include","kind":"screen"}]"#.to_owned(),
            r#"[{"type":"include","kind":"Audio"}]"#.to_owned(),
            r#"[{"type":"include","kind":["audio"]}]"#.to_owned(),
            r#"[{"type":"include","priority":"highest"}]"#.to_owned(),
            r#"[{"type":"include","publisher":1}]"#.to_owned(),
            r#"[{"type":"include","publisher":["alice"]}]"#.to_owned(),
            r#"[{"type":"include","publisher":""}]"#.to_owned(),
            r#"[{"type":"include","track":""}]"#.to_owned(),
            r#"[{"type":"include","track":"a\u0000"}]"#.to_owned(),
            named("publisher", 129),
            named("track", 129),
            // Members that are not known.
            r#"[{"type":"include","all":true,"identity":"alice"}]"#.to_owned(),
            r#"[{"type":"include","Kind":"audio"}]"#.to_owned(),
            r#"[{"type":"include","all":true,"":null}]"#.to_owned(),
        ];
        for text in invalid {
            assert!(read(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn all_six_members_are_shown() {
        let text = r#"[{"type":"include","all":true},{"type":"exclude","publisher":"bob","kind":"video"}]"#;
        let shown = serde_json::to_value(ShownRules(read(text).expect("a list"))).expect("rules are JSON");
        let expected = json!([
            { "type": "include", "all": true, "publisher": null, "track": null, "kind": null, "priority": null },
            { "type": "exclude", "all": null, "publisher": "bob", "track": null, "kind": "video", "priority": null },
        ]);
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            (r#"[{"type":"include","all":false}]"#, "rule 1: all is not true"),
            ("[]", "there are 0 rules, not 1 to 20"),
            (
                r#"[{"type":"include","kind":"audio","kind":"video"}]"#,
                "duplicate field `kind` at line 1 column 41",
            ),
        ] {
            assert_eq!(read(text).expect_err("it is none").to_string(), said);
        }
    }
}
