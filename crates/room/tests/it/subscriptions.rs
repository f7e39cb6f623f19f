//! Who receives what.

use crate::world::{World, audio, config, data, muted, video};

#[test]
fn everyone_receives_every_track_of_the_others_in_order_of_arrival() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic"), data("chat")]);
    let bob = world.join("bob", [video("cam")]);
    world.skip();
    world.join("carol", [audio("mic")]);
    world.check(&[
        "persist 3: carol connects, carol publishes mic",
        "admit carol: others [alice@1 connected [mic, chat], bob@1 connected [cam]], published@1 [mic], \
         receives [alice/mic, alice/chat, bob/cam]",
        "tell alice: carol@1 connected [mic]",
        "tell bob: carol@1 connected [mic]",
        "subscribe alice: [bob/cam, carol/mic]",
        "subscribe bob: [alice/mic, alice/chat, carol/mic]",
    ]);
    world.tracks(bob, [video("cam"), video("screen")]);
    world.check(&[
        "persist 4: bob publishes screen",
        "tell bob: published@2 [cam, screen]",
        "tell alice: bob@2 connected [cam, screen]",
        "tell carol: bob@2 connected [cam, screen]",
        "subscribe alice: [bob/cam, bob/screen, carol/mic]",
        "subscribe carol: [alice/mic, alice/chat, bob/cam, bob/screen]",
    ]);
    world.leave(alice);
    world.check(&[
        "persist 5: alice unpublishes, alice unpublishes, alice is gone after 0 s",
        "dismiss alice: Left",
        "tell bob: alice@2 disconnected [mic, chat]",
        "tell carol: alice@2 disconnected [mic, chat]",
        "subscribe bob: [carol/mic]",
        "subscribe carol: [bob/cam, bob/screen]",
    ]);
}

#[test]
fn who_subscribes_to_nothing_sees_all_and_receives_nothing() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.skip();
    world.join_and(false, "bob", [video("cam")]);
    world.check(&[
        "persist 2: bob connects, bob publishes cam",
        "admit bob: others [alice@1 connected [mic]], published@1 [cam], receives []",
        "tell alice: bob@1 connected [cam]",
        "subscribe alice: [bob/cam]",
    ]);
    world.tracks(alice, [audio("mic"), video("cam")]);
    world.check(&[
        "persist 3: alice publishes cam",
        "tell alice: published@2 [mic, cam]",
        "tell bob: alice@2 connected [mic, cam]",
    ]);
}

#[test]
fn a_muted_track_is_still_subscribed() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.skip();
    world.join("bob", []);
    world.skip();
    world.tracks(alice, [muted(audio("mic"))]);
    world.check(&[
        "persist 3: alice mutes",
        "tell alice: published@2 [mic]",
        "tell bob: alice@2 connected [mic muted]",
    ]);
}

#[test]
fn a_track_that_was_replaced_is_another_subscription() {
    let mut world = World::new(config());
    let alice = world.join("alice", [video("cam")]);
    world.join("bob", []);
    world.tracks(alice, []);
    world.skip();
    world.tracks(alice, [video("cam")]);
    world.check(&[
        "persist 4: alice publishes cam",
        "tell alice: published@3 [cam]",
        "tell bob: alice@3 connected [cam]",
        "subscribe bob: [alice/cam]",
    ]);
}
