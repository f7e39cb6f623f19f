//! Who receives what.

use room::{Priority, Rules};

use crate::rules::list;
use crate::world::{World, audio, config, data, muted, ranked, video};

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
    world.join_and(Rules::nothing(), "bob", [video("cam")]);
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

#[test]
fn new_rules_take_effect_once_they_are_stored_and_the_others_see_nothing() {
    let mut world = World::new(config());
    world.join("alice", [audio("mic"), video("cam")]);
    let bob = world.join("bob", [video("cam")]);
    world.skip();
    world.slow_store();
    world.rules(bob, list(&["include all", "exclude kind=video"]));
    world.check(&["persist 3: bob gets rules"]);
    world.confirm();
    world.check(&["subscribe bob: [alice/mic]"]);
    // The same again is remembered, and changes nothing.
    world.rules(bob, list(&["include kind=audio"]));
    world.confirm();
    world.check(&["persist 4: bob gets rules"]);
    world.rules(bob, Rules::nothing());
    world.confirm();
    world.check(&["persist 5: bob gets rules", "subscribe bob: []"]);
}

#[test]
fn rules_wait_for_tracks_that_are_not_there_yet() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    let bob = world.join("bob", []);
    world.rules(
        bob,
        list(&[
            "include publisher=carol",
            "include track=screen",
            "include priority=high",
        ]),
    );
    world.skip();
    world.join("carol", [audio("mic")]);
    world.check(&[
        "persist 4: carol connects, carol publishes mic",
        "admit carol: others [alice@1 connected [], bob@1 connected []], published@1 [mic], receives []",
        "tell alice: carol@1 connected [mic]",
        "tell bob: carol@1 connected [mic]",
        "subscribe alice: [carol/mic]",
        "subscribe bob: [carol/mic]",
    ]);
    world.tracks(alice, [video("screen"), video("cam")]);
    world.check(&[
        "persist 5: alice publishes screen, alice publishes cam",
        "tell alice: published@2 [screen, cam]",
        "tell bob: alice@2 connected [screen, cam]",
        "tell carol: alice@2 connected [screen, cam]",
        "subscribe bob: [alice/screen, carol/mic]",
        "subscribe carol: [alice/screen, alice/cam]",
    ]);
    world.tracks(alice, [video("screen"), ranked(Priority::High, video("cam"))]);
    world.check(&[
        "persist 6: alice ranks high",
        "tell alice: published@3 [screen, cam]",
        "tell bob: alice@3 connected [screen, cam high]",
        "tell carol: alice@3 connected [screen, cam high]",
        "subscribe bob: [alice/screen, alice/cam, carol/mic]",
    ]);
}

#[test]
fn rules_outlast_a_lost_socket_and_change_meanwhile() {
    let mut world = World::new(config());
    world.join("alice", [audio("mic"), video("cam")]);
    let bob = world.join("bob", []);
    world.rules(bob, list(&["include kind=audio"]));
    world.lose(bob);
    world.skip();
    world.rules(bob, list(&["include kind=video"]));
    world.check(&["persist 5: bob gets rules", "subscribe bob: [alice/cam]"]);
    world.resume(bob, []);
    world.check(&[
        "persist 6: bob is back",
        "welcome bob: others [alice@1 connected [mic, cam]], published@2 [], receives [alice/cam]",
        "tell alice: bob@3 connected []",
    ]);
}

#[test]
fn who_is_out_has_no_rules() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.join("bob", []);
    world.leave(alice);
    world.skip();
    world.rules(alice, Rules::nothing());
    world.check(&[]);
}
