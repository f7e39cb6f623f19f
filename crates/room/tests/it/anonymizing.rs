//! Identities that are erased: who is told what, and who is whose duplicate afterwards.

use room::{Input, ParticipantSid};

use crate::rules::list;
use crate::world::{World, audio, config, video};

fn anonymize(participant: ParticipantSid, identity: &str) -> Input {
    Input::Anonymize {
        participant,
        identity: identity.to_owned(),
    }
}

#[test]
fn who_comes_later_is_told_the_sid_and_who_is_there_hears_nothing() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.join("bob", []);
    world.skip();
    world.slow_store();
    world.tell(anonymize(alice, "alice"));
    world.check(&["persist 3: alice is anonymized"]);
    world.join("carol", []);
    world.check(&["persist 4: carol connects"]);
    // Nobody hears of it before it is durable.
    world.confirm();
    world.check(&[]);
    world.confirm();
    world.check(&[
        "admit carol: others [alice@1 (anonymous) connected [mic], bob@1 connected []], published@1 [], receives [alice/mic]",
        "tell alice: carol@1 connected []",
        "tell bob: carol@1 connected []",
    ]);
}

#[test]
fn repeating_says_nothing() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.tell(anonymize(alice, "alice"));
    world.skip();
    world.tell(anonymize(alice, "alice"));
    world.check(&[]);
}

#[test]
fn the_old_identity_is_free_again() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.tell(anonymize(alice, "alice"));
    world.skip();
    world.join("alice", []);
    world.check(&[
        "persist 3: alice#2 connects",
        "admit alice#2: others [alice@1 (anonymous) connected []], published@1 [], receives []",
        "tell alice: alice#2@1 connected []",
    ]);
}

#[test]
fn whoever_bears_the_sid_as_an_identity_gives_way() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.join(&alice.to_string(), []);
    world.skip();
    world.tell(anonymize(alice, "alice"));
    world.check(&[
        &format!("persist 3: {alice} is gone after 0 s, alice is anonymized"),
        &format!("dismiss {alice}: DuplicateIdentity"),
        &format!("tell alice: {alice}@2 disconnected []"),
    ]);
}

#[test]
fn one_who_is_gone_is_only_in_the_rows() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.join("bob", []);
    world.leave(alice);
    world.skip();
    world.tell(anonymize(alice, "alice"));
    world.check(&["persist 4: alice is anonymized"]);
    world.tell(Input::Complete);
    world.skip();
    let nobody = ParticipantSid::from_bytes([9; 16]);
    world.tell(anonymize(nobody, "nobody"));
    world.check(&[]);
}

#[test]
fn rules_that_name_an_erased_identity_name_the_sid_and_select_the_same() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    let bob = world.join("bob", []);
    world.rules(bob, list(&["include all", "exclude publisher=alice"]));
    world.skip();
    world.tell(anonymize(alice, "alice"));
    world.tracks(alice, [audio("mic"), video("cam")]);
    world.check(&[
        "persist 4: alice is anonymized",
        "persist 5: alice publishes cam",
        "tell alice: published@2 [mic, cam]",
        "tell bob: alice@2 (anonymous) connected [mic, cam]",
    ]);
    // A new alice is another one.
    world.join("alice", [audio("other")]);
    world.check(&[
        "persist 6: alice#2 connects, alice#2 publishes other",
        "admit alice#2: others [alice@2 (anonymous) connected [mic, cam], bob@1 connected []], published@1 [other], receives [alice/mic, alice/cam]",
        "tell alice: alice#2@1 connected [other]",
        "tell bob: alice#2@1 connected [other]",
        "subscribe alice: [alice#2/other]",
        "subscribe bob: [alice#2/other]",
    ]);
}
