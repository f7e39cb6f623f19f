//! Identities that are erased: who is told what, and who is whose duplicate afterwards.

use room::{Input, ParticipantSid};

use crate::world::{World, audio, config};

#[test]
fn who_comes_later_is_told_the_sid_and_who_is_there_hears_nothing() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.join("bob", []);
    world.skip();
    world.slow_store();
    world.tell(Input::Anonymize { participant: alice });
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
    world.tell(Input::Anonymize { participant: alice });
    world.skip();
    world.tell(Input::Anonymize { participant: alice });
    world.check(&[]);
}

#[test]
fn the_old_identity_is_free_again() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.tell(Input::Anonymize { participant: alice });
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
    world.tell(Input::Anonymize { participant: alice });
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
    world.tell(Input::Anonymize { participant: alice });
    world.check(&["persist 4: alice is anonymized"]);
    world.tell(Input::Complete);
    world.skip();
    let nobody = ParticipantSid::from_bytes([9; 16]);
    world.tell(Input::Anonymize { participant: nobody });
    world.check(&[]);
}
