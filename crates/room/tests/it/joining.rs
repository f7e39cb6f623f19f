//! Who is let in, when, and who hears of it.

use room::{Input, RoomConfig};

use crate::world::{World, ad_hoc, audio, config, video};

#[test]
fn a_client_is_told_only_after_its_row_is_stored() {
    let mut world = World::new(config());
    world.slow_store();
    world.join("alice", [audio("mic")]);
    world.check(&["persist 1: alice connects, alice publishes mic"]);
    world.confirm();
    world.check(&["admit alice: others [], published@1 [mic], receives []"]);
}

#[test]
fn the_others_are_told_of_a_newcomer() {
    let mut world = World::new(config());
    world.join("alice", [audio("mic")]);
    world.skip();
    world.join("bob", [video("cam")]);
    world.check(&[
        "persist 2: bob connects, bob publishes cam",
        "admit bob: others [alice@1 connected [mic]], published@1 [cam], receives [alice/mic]",
        "tell alice: bob@1 connected [cam]",
        "subscribe alice: [bob/cam]",
    ]);
    world.join("carol", []);
    world.check(&[
        "persist 3: carol connects",
        "admit carol: others [alice@1 connected [mic], bob@1 connected [cam]], published@1 [], \
         receives [alice/mic, bob/cam]",
        "tell alice: carol@1 connected []",
        "tell bob: carol@1 connected []",
    ]);
}

#[test]
fn of_two_with_one_identity_the_newer_wins() {
    let mut world = World::new(config());
    world.join("alice", [audio("mic"), video("cam")]);
    world.join("bob", []);
    world.skip();
    world.join("alice", [audio("mic")]);
    world.check(&[
        "persist 3: alice unpublishes, alice unpublishes, alice is gone after 0 s, \
         alice#2 connects, alice#2 publishes mic",
        "dismiss alice: DuplicateIdentity",
        "tell bob: alice@2 disconnected [mic, cam]",
        "admit alice#2: others [bob@1 connected []], published@1 [mic], receives []",
        "tell bob: alice#2@1 connected [mic]",
        "subscribe bob: [alice#2/mic]",
    ]);
    assert_eq!(world.room.len(), 2);
}

#[test]
fn the_older_of_two_is_told_only_after_the_change_of_places_is_stored() {
    let mut world = World::new(config());
    world.join("alice", []);
    world.skip();
    world.slow_store();
    world.join("alice", []);
    world.check(&["persist 2: alice is gone after 0 s, alice#2 connects"]);
    world.confirm();
    world.check(&[
        "dismiss alice: DuplicateIdentity",
        "admit alice#2: others [], published@1 [], receives []",
    ]);
}

#[test]
fn a_page_reloaded_while_it_was_lost_takes_its_own_place() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.lose(alice);
    world.skip();
    world.join("alice", []);
    world.check(&[
        "persist 3: alice is gone after 0 s, alice#2 connects",
        "dismiss alice: DuplicateIdentity",
        "admit alice#2: others [], published@1 [], receives []",
    ]);
}

#[test]
fn a_duplicate_does_not_end_an_ad_hoc_room() {
    let mut world = World::new(ad_hoc());
    world.join("alice", []);
    world.skip();
    world.join("alice", []);
    world.check(&[
        "persist 2: alice is gone after 0 s, alice#2 connects",
        "dismiss alice: DuplicateIdentity",
        "admit alice#2: others [], published@1 [], receives []",
    ]);
}

#[test]
fn a_full_room_refuses_and_makes_no_row() {
    let mut world = World::new(RoomConfig {
        max_participants: 2,
        ..config()
    });
    let alice = world.join("alice", []);
    world.join("bob", []);
    world.lose(alice);
    world.skip();
    let carol = world.join("carol", []);
    world.check(&["refuse carol: RoomFull"]);
    assert!(!world.room.contains(carol));

    world.leave(alice);
    world.skip();
    world.join("carol", []);
    world.check(&[
        "persist 5: carol#2 connects",
        "admit carol#2: others [bob@1 connected []], published@1 [], receives []",
        "tell bob: carol#2@1 connected []",
    ]);
}

#[test]
fn a_full_room_lets_a_duplicate_in() {
    let mut world = World::new(RoomConfig {
        max_participants: 1,
        ..config()
    });
    world.join("alice", []);
    world.skip();
    world.join("alice", []);
    world.check(&[
        "persist 2: alice is gone after 0 s, alice#2 connects",
        "dismiss alice: DuplicateIdentity",
        "admit alice#2: others [], published@1 [], receives []",
    ]);
    world.join("bob", []);
    world.check(&["refuse bob: RoomFull"]);
}

#[test]
fn a_completed_room_refuses() {
    let mut world = World::new(config());
    world.tell(Input::Complete);
    world.check(&["persist 1: room over after 0 s", "ended"]);
    world.join("alice", []);
    world.check(&["refuse alice: RoomCompleted"]);
}

#[test]
fn who_leaves_before_its_row_is_stored_is_admitted_and_dismissed_in_this_order() {
    let mut world = World::new(config());
    world.slow_store();
    let alice = world.join("alice", []);
    world.leave(alice);
    world.check(&["persist 1: alice connects", "persist 2: alice is gone after 0 s"]);
    world.confirm();
    world.check(&["admit alice: others [], published@1 [], receives []"]);
    world.confirm();
    world.check(&["dismiss alice: Left"]);
}

#[test]
fn what_was_told_first_is_heard_first_while_many_batches_wait() {
    let mut world = World::new(config());
    world.slow_store();
    world.join("alice", []);
    let bob = world.join("bob", []);
    world.tracks(bob, [audio("mic")]);
    world.check(&[
        "persist 1: alice connects",
        "persist 2: bob connects",
        "persist 3: bob publishes mic",
    ]);
    world.confirm();
    world.check(&["admit alice: others [], published@1 [], receives []"]);
    world.confirm();
    world.check(&[
        "admit bob: others [alice@1 connected []], published@1 [], receives []",
        "tell alice: bob@1 connected []",
    ]);
    world.confirm();
    world.check(&[
        "tell bob: published@2 [mic]",
        "tell alice: bob@2 connected [mic]",
        "subscribe alice: [bob/mic]",
    ]);
}

#[test]
fn a_refusal_does_not_overtake_the_admission_that_caused_it() {
    let mut world = World::new(RoomConfig {
        max_participants: 1,
        ..config()
    });
    world.slow_store();
    world.join("alice", []);
    world.join("bob", []);
    world.check(&["persist 1: alice connects"]);
    world.confirm();
    world.check(&[
        "admit alice: others [], published@1 [], receives []",
        "refuse bob: RoomFull",
    ]);
}

#[test]
fn confirming_what_was_never_asked_for_opens_nothing() {
    let mut world = World::new(config());
    world.slow_store();
    world.tell(Input::Stored { batch: 7 });
    world.join("alice", []);
    world.check(&["persist 1: alice connects"]);
    world.confirm();
    world.check(&["admit alice: others [], published@1 [], receives []"]);
}
