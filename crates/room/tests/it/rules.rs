//! What rules select (rest.md section 14): a table, and a model that follows the text word by word.

use std::collections::BTreeSet;

use proptest::prelude::*;
use room::{
    Named, ParticipantSid, Priority, Publisher, Rule, RuleEffect, RuleFault, Rules, RulesFault, Track, TrackKind,
    TrackSid, limits,
};

use crate::steps::IDENTITIES;
use crate::world::{audio, data, named, published, ranked, video};

/// Reads `include publisher=alice kind=audio`; the value is the rest up to the next filter.
fn rule(text: &str) -> Rule {
    let mut words = text.split_whitespace();
    let mut rule = Rule::new(RuleEffect::from_word(words.next().unwrap()).unwrap());
    for word in words {
        let (filter, value) = word.split_once('=').unwrap_or((word, ""));
        match filter {
            "all" => rule.all = true,
            "publisher" => rule.publisher = Some(Named::read(value.to_owned())),
            "track" => rule.track = Some(Named::read(value.to_owned())),
            "kind" => rule.kind = TrackKind::from_word(value),
            "priority" => rule.priority = Priority::from_word(value),
            _ => panic!("{word}"),
        }
    }
    rule
}

fn rules(texts: &[&str]) -> Result<Rules, RulesFault> {
    Rules::new(texts.iter().map(|text| rule(text)).collect())
}

/// A valid list.
pub(crate) fn list(texts: &[&str]) -> Rules {
    rules(texts).unwrap()
}

/// The text of section 14, step by step: the empty set, each rule in order adds or takes away.
pub(crate) fn select_by_the_book<'a>(
    rules: &Rules,
    subscriber: ParticipantSid,
    publishers: impl Iterator<Item = (ParticipantSid, &'a str, &'a [Track])>,
) -> BTreeSet<TrackSid> {
    let candidates: Vec<_> = publishers
        .filter(|(sid, ..)| *sid != subscriber)
        .flat_map(|(sid, identity, tracks)| tracks.iter().map(move |track| (sid, identity, track)))
        .collect();
    let mut selected = BTreeSet::new();
    for rule in rules.as_slice() {
        for (sid, identity, track) in &candidates {
            let mut matches = true;
            if let Some(publisher) = &rule.publisher {
                matches &= publisher.to_string() == sid.to_string() || publisher.to_string() == *identity;
            }
            if let Some(name) = &rule.track {
                matches &= name.to_string() == track.sid.to_string() || name.to_string() == track.name;
            }
            if let Some(kind) = rule.kind {
                matches &= kind == track.kind;
            }
            if let Some(priority) = rule.priority {
                matches &= priority == track.priority;
            }
            match (matches, rule.effect) {
                (false, _) => {}
                (true, RuleEffect::Include) => {
                    selected.insert(track.sid);
                }
                (true, RuleEffect::Exclude) => {
                    selected.remove(&track.sid);
                }
            }
        }
    }
    selected
}

const ALICE: ParticipantSid = ParticipantSid::from_bytes([0xa1; 16]);
const BOB: ParticipantSid = ParticipantSid::from_bytes([0xb0; 16]);
const ME: ParticipantSid = ParticipantSid::from_bytes([0x3e; 16]);

fn people() -> Vec<(ParticipantSid, &'static str, Vec<Track>)> {
    vec![
        (
            ALICE,
            "alice",
            vec![
                published(0x11, audio("mic")),
                published(0x12, ranked(Priority::High, video("cam"))),
                published(0x13, video("screen")),
                published(0x14, data("chat")),
            ],
        ),
        (
            BOB,
            "bob",
            vec![
                published(0x21, audio("mic")),
                published(0x22, ranked(Priority::Low, video("cam"))),
                published(0x23, ranked(Priority::High, named("screen", video("display")))),
            ],
        ),
        (
            ME,
            "me",
            vec![published(0x31, audio("mic")), published(0x32, video("cam"))],
        ),
    ]
}

/// What `ME` receives, `publisher/name` in order.
fn received(rules: &Rules) -> String {
    let people = people();
    let book = select_by_the_book(
        rules,
        ME,
        people
            .iter()
            .map(|(sid, identity, tracks)| (*sid, *identity, &tracks[..])),
    );
    let mut words = Vec::new();
    for (sid, identity, tracks) in &people {
        for track in tracks {
            let publisher = Publisher { sid: *sid, identity };
            let is_selected = rules.select(ME, publisher, track);
            assert_eq!(is_selected, book.contains(&track.sid), "{identity}/{}", track.name);
            if is_selected {
                words.push(format!("{identity}/{}", track.name));
            }
        }
    }
    words.join(" ")
}

const ALL: &str = "alice/mic alice/cam alice/screen alice/chat bob/mic bob/cam bob/screen";
const ALICES: &str = "alice/mic alice/cam alice/screen alice/chat";
const BOBS: &str = "bob/mic bob/cam bob/screen";

#[test]
fn a_table_of_lists_and_what_they_select() {
    let alice = format!("include publisher={ALICE}");
    let alice_in_capitals = format!("include publisher=PA{}", ALICE.to_string()[2..].to_uppercase());
    let me = format!("include publisher={ME}");
    let nobody = format!("include publisher={}", ParticipantSid::from_bytes([0; 16]));
    let screen_of_bob = format!("include track={}", TrackSid::from_bytes([0x23; 16]));
    let screen_of_bob_by_alice = format!("include publisher=alice track={}", TrackSid::from_bytes([0x23; 16]));
    let own_mic = format!("include track={}", TrackSid::from_bytes([0x31; 16]));
    let cases: &[(&[&str], &str)] = &[
        // `all`, and lists of one.
        (&["include all"], ALL),
        (&["exclude all"], ""),
        (&["include kind=audio"], "alice/mic bob/mic"),
        (&["include kind=video"], "alice/cam alice/screen bob/cam bob/screen"),
        (&["include kind=data"], "alice/chat"),
        (&["include publisher=alice"], ALICES),
        (&["include publisher=bob"], BOBS),
        (&["include track=mic"], "alice/mic bob/mic"),
        (&["include priority=high"], "alice/cam bob/screen"),
        (&["include priority=low"], "bob/cam"),
        (
            &["include priority=standard"],
            "alice/mic alice/screen alice/chat bob/mic",
        ),
        // A lone exclude takes from nothing.
        (&["exclude kind=audio"], ""),
        (&["exclude publisher=alice"], ""),
        (&["exclude track=nothing"], ""),
        (&["exclude kind=audio", "exclude kind=video"], ""),
        // By SID, in any case of letters.
        (&[&alice], ALICES),
        (&[&alice_in_capitals], ALICES),
        (&[&nobody], ""),
        (&[&screen_of_bob], "bob/screen"),
        (&[&screen_of_bob_by_alice], ""),
        // Names and identities are case-sensitive, and whole.
        (&["include publisher=Alice"], ""),
        (&["include publisher=ali"], ""),
        (&["include track=Mic"], ""),
        (&["include track=mi"], ""),
        // Names that publishers share; the media's own id is no name.
        (&["include track=screen"], "alice/screen bob/screen"),
        (&["include track=display"], ""),
        (&["include track=screen publisher=bob"], "bob/screen"),
        (&["include track=alice"], ""),
        (&["include publisher=mic"], ""),
        // What does not exist yet.
        (&["include publisher=carol"], ""),
        (&["include track=whiteboard"], ""),
        (&["include all", "exclude publisher=carol"], ALL),
        // Own tracks are never candidates.
        (&["include publisher=me"], ""),
        (&[&me], ""),
        (&[&own_mic], ""),
        (&["include all", "include publisher=me"], ALL),
        (&["include track=cam"], "alice/cam bob/cam"),
        // Filters of one rule combine by AND.
        (&["include publisher=alice kind=audio"], "alice/mic"),
        (&["include publisher=alice kind=data"], "alice/chat"),
        (&["include publisher=bob kind=data"], ""),
        (&["include kind=video track=mic"], ""),
        (&["include kind=video priority=high"], "alice/cam bob/screen"),
        (&["include publisher=alice kind=video priority=high"], "alice/cam"),
        (
            &["include publisher=alice track=cam kind=video priority=high"],
            "alice/cam",
        ),
        (&["include publisher=alice track=cam kind=audio priority=high"], ""),
        (&["include publisher=alice priority=low"], ""),
        // Order: the last rule that matches decides.
        (&["include all", "exclude all"], ""),
        (&["exclude all", "include all"], ALL),
        (&["include all", "exclude publisher=alice"], BOBS),
        (&["exclude publisher=alice", "include all"], ALL),
        (&["include all", "exclude kind=video"], "alice/mic alice/chat bob/mic"),
        (
            &["include all", "exclude track=screen"],
            "alice/mic alice/cam alice/chat bob/mic bob/cam",
        ),
        (
            &["include all", "exclude kind=video", "include priority=high"],
            "alice/mic alice/cam alice/chat bob/mic bob/screen",
        ),
        (
            &["include all", "exclude kind=video", "include publisher=bob track=cam"],
            "alice/mic alice/chat bob/mic bob/cam",
        ),
        (
            &["include publisher=alice", "exclude kind=video", "include kind=data"],
            "alice/mic alice/chat",
        ),
        (&["include publisher=alice", "include publisher=bob"], ALL),
        (
            &["include kind=audio", "include kind=data"],
            "alice/mic alice/chat bob/mic",
        ),
        (&["include kind=audio", "include kind=audio"], "alice/mic bob/mic"),
        (
            &["include kind=audio", "exclude kind=audio", "include kind=audio"],
            "alice/mic bob/mic",
        ),
        (
            &["include all", "exclude priority=low"],
            "alice/mic alice/cam alice/screen alice/chat bob/mic bob/screen",
        ),
        (
            &["include all", "exclude publisher=alice kind=audio"],
            "alice/cam alice/screen alice/chat bob/mic bob/cam bob/screen",
        ),
        (&["include all", "exclude all", "include track=chat"], "alice/chat"),
        (&["include all", "exclude publisher=me"], ALL),
        (&["exclude kind=video", "include publisher=bob"], BOBS),
        (
            &["include publisher=bob", "exclude publisher=bob track=cam"],
            "bob/mic bob/screen",
        ),
    ];
    assert!(cases.len() >= 60, "{}", cases.len());
    for (texts, expected) in cases {
        assert_eq!(received(&list(texts)), *expected, "{texts:?}");
    }
}

#[test]
fn a_list_is_invalid_as_a_whole() {
    let rule_fault = |number, fault| Some(RulesFault::Rule { number, fault });
    let name = |length: usize| format!("include track={}", "é".repeat(length));
    let identity = |length: usize| format!("include publisher={}", "x".repeat(length));
    let most = vec!["include kind=audio"; limits::RULES_MAX];
    let too_many = vec!["include kind=audio"; limits::RULES_MAX + 1];
    let cases: &[(&[&str], Option<RulesFault>)] = &[
        (&[], Some(RulesFault::Count(0))),
        (&most, None),
        (&too_many, Some(RulesFault::Count(limits::RULES_MAX + 1))),
        (&["include"], rule_fault(1, RuleFault::NoFilter)),
        (&["include all", "exclude"], rule_fault(2, RuleFault::NoFilter)),
        (&["include all kind=audio"], rule_fault(1, RuleFault::AllNotAlone)),
        (&["exclude all publisher=alice"], rule_fault(1, RuleFault::AllNotAlone)),
        (&["include all track=cam"], rule_fault(1, RuleFault::AllNotAlone)),
        (&["include all priority=high"], rule_fault(1, RuleFault::AllNotAlone)),
        (&["include publisher="], rule_fault(1, RuleFault::Name)),
        (&["include track="], rule_fault(1, RuleFault::Name)),
        (&["include track=nul\0"], rule_fault(1, RuleFault::Name)),
        (&[&name(limits::RULE_TEXT_CHARS)], None),
        (&[&name(limits::RULE_TEXT_CHARS + 1)], rule_fault(1, RuleFault::Name)),
        (&[&identity(limits::RULE_TEXT_CHARS)], None),
        (
            &[&identity(limits::RULE_TEXT_CHARS + 1)],
            rule_fault(1, RuleFault::Name),
        ),
    ];
    for (texts, fault) in cases {
        assert_eq!(rules(texts).err(), *fault, "{texts:?}");
    }
    let text = rules(&["include all", "exclude"]).unwrap_err().to_string();
    assert_eq!(
        text,
        "rule 2: it has no filter: give all, publisher, track, kind or priority"
    );
}

#[test]
fn what_is_read_is_shown_again() {
    for text in ["alice", "PAx", "MT00000000000000000000000000000001"] {
        assert_eq!(Named::<ParticipantSid>::read(text.to_owned()).to_string(), text);
        assert_eq!(
            Named::<ParticipantSid>::read(text.to_owned()),
            Named::Name(text.to_owned())
        );
    }
    assert_eq!(Named::read(ALICE.to_string()), Named::Sid(ALICE));
    assert_eq!(Named::Sid(ALICE).to_string(), ALICE.to_string());
}

/// A valid list over the identities and names of [`crate::steps`].
pub(crate) fn any_rules() -> impl Strategy<Value = Rules> {
    let filters = (
        prop::option::of(0..IDENTITIES.len()),
        prop::option::weighted(0.3, 0..8),
        prop::option::weighted(0.4, prop::sample::select(TrackKind::ALL)),
        prop::option::weighted(0.3, prop::sample::select(Priority::ALL)),
    );
    let rule =
        (prop::sample::select(RuleEffect::ALL), filters).prop_map(|(effect, (publisher, track, kind, priority))| {
            let rule = Rule {
                publisher: publisher.map(|who| Named::read(IDENTITIES[who].to_owned())),
                track: track.map(|number| Named::read(format!("name{number}"))),
                kind,
                priority,
                ..Rule::new(effect)
            };
            let is_bare = rule == Rule::new(effect);
            if is_bare { Rule::all(effect) } else { rule }
        });
    prop_oneof![
        4 => Just(Rules::everything()),
        1 => Just(Rules::nothing()),
        4 => prop::collection::vec(rule, 1..=limits::RULES_MAX).prop_map(|rules| Rules::new(rules).unwrap()),
    ]
}

fn tracks() -> impl Strategy<Value = Vec<Track>> {
    let kind = prop::sample::select(TrackKind::ALL);
    let track = (0u8..8, kind, prop::sample::select(Priority::ALL), 0u8..=255);
    prop::collection::vec(track, 0..8).prop_map(|tracks| {
        let track = |(name, kind, priority, sid)| Track {
            priority,
            ..published(sid, crate::world::listed(kind, &format!("name{name}")))
        };
        tracks.into_iter().map(track).collect()
    })
}

proptest! {
    /// The last rule that matches decides the same as adding and taking away in order.
    #[test]
    fn any_list_selects_by_the_book(rules in any_rules(), tracks in tracks(), publisher in 0usize..6, subscriber in 0usize..6) {
        let sid = |who: usize| ParticipantSid::from_bytes([who as u8 + 1; 16]);
        let one = |track: &Track| {
            let publishers = std::iter::once((sid(publisher), IDENTITIES[publisher], std::slice::from_ref(track)));
            !select_by_the_book(&rules, sid(subscriber), publishers).is_empty()
        };
        for track in &tracks {
            let publisher = Publisher { sid: sid(publisher), identity: IDENTITIES[publisher] };
            prop_assert_eq!(rules.select(sid(subscriber), publisher, track), one(track));
        }
    }
}
