//! Lost sockets, and coming back in time or not.

use crate::world::{World, audio, config, named, seconds, video};

#[test]
fn the_others_hear_of_a_loss_and_go_on_receiving() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.join("bob", []);
    world.skip();
    world.lose(alice);
    world.check(&["persist 3: alice is lost", "tell bob: alice@2 reconnecting [mic]"]);
    world.lose(alice);
    world.check(&[]);
    assert!(world.room.contains(alice));
    assert_eq!(world.room.poll_timeout(), Some(world.now.mono + seconds(30)));
}

#[test]
fn who_comes_back_in_time_is_the_same_participant() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.join("bob", [video("cam")]);
    world.lose(alice);
    world.pass(seconds(29));
    world.skip();
    world.resume(alice, [audio("mic")]);
    world.check(&[
        "persist 4: alice is back",
        "welcome alice: others [bob@1 connected [cam]], published@2 [mic], receives [bob/cam]",
        "tell bob: alice@3 connected [mic]",
    ]);
    world.pass(seconds(600));
    world.check(&[]);
    world.leave(alice);
    world.check(&[
        "persist 5: alice unpublishes, alice is gone after 629 s",
        "dismiss alice: Left",
        "tell bob: alice@4 disconnected [mic]",
        "subscribe bob: []",
    ]);
}

#[test]
fn who_does_not_come_back_is_out() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.join("bob", []);
    world.lose(alice);
    world.skip();
    world.pass(seconds(30));
    world.check(&[
        "persist 4: alice unpublishes, alice is gone after 30 s",
        "dismiss alice: SessionLost",
        "tell bob: alice@3 disconnected [mic]",
        "subscribe bob: []",
    ]);
    world.resume(alice, [audio("mic")]);
    world.check(&[]);
}

#[test]
fn a_second_loss_counts_anew() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.lose(alice);
    world.pass(seconds(20));
    world.resume(alice, []);
    world.lose(alice);
    world.skip();
    world.pass(seconds(29));
    world.check(&[]);
    world.pass(seconds(1));
    world.check(&["persist 5: alice is gone after 50 s", "dismiss alice: SessionLost"]);
}

#[test]
fn a_second_resume_is_not_answered_with_what_the_first_one_saw() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    let bob = world.join("bob", []);
    world.lose(alice);
    world.slow_store();
    world.skip();
    world.resume(alice, []);
    world.leave(bob);
    // Her new socket breaks too, and she comes back once more before the first time is written.
    world.resume(alice, []);
    world.check(&["persist 4: alice is back", "persist 5: bob is gone after 0 s"]);
    world.confirm();
    world.check(&["tell bob: alice@3 connected []"]);
    world.confirm();
    world.check(&[
        "dismiss bob: Left",
        "tell alice: bob@2 disconnected []",
        "welcome alice: others [], published@2 [], receives []",
    ]);
}

#[test]
fn a_lost_one_is_told_nothing_and_sees_everything_when_it_is_back() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    let bob = world.join("bob", []);
    let carol = world.join("carol", []);
    world.lose(alice);
    world.skip();
    world.tracks(bob, [video("cam")]);
    world.check(&[
        "persist 5: bob publishes cam",
        "tell bob: published@2 [cam]",
        "tell carol: bob@2 connected [cam]",
        "subscribe alice: [bob/cam]",
        "subscribe carol: [bob/cam]",
    ]);
    world.leave(carol);
    world.skip();
    world.resume(alice, []);
    world.check(&[
        "persist 7: alice is back",
        "welcome alice: others [bob@2 connected [cam]], published@2 [], receives [bob/cam]",
        "tell bob: alice@3 connected []",
    ]);
}

#[test]
fn tracks_changed_while_lost_are_one_change_with_the_return() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.join("bob", []);
    world.lose(alice);
    world.skip();
    let announced = room::Announced {
        revision: 2,
        tracks: vec![room::AnnouncedTrack {
            has_codec: true,
            fresh: room::TrackSid::from_bytes([9; 16]),
            ..video("cam")
        }],
    };
    world.tell(room::Input::Resume {
        participant: alice,
        announced,
    });
    world.check(&[
        "persist 4: alice is back, alice unpublishes, alice publishes cam",
        "welcome alice: others [bob@1 connected []], published@2 [cam], receives []",
        "tell bob: alice@3 connected [cam]",
        "subscribe bob: [alice/cam]",
    ]);
}

#[test]
fn a_new_socket_while_the_old_one_looks_alive_is_no_news_to_the_others() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.join("bob", []);
    world.skip();
    world.resume(alice, [audio("mic")]);
    world.check(&["welcome alice: others [bob@1 connected []], published@1 [mic], receives []"]);
}

#[test]
fn a_welcome_waits_for_what_it_tells() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.lose(alice);
    world.skip();
    world.slow_store();
    let bob = world.join("bob", []);
    world.resume(alice, []);
    world.leave(bob);
    world.check(&[
        "persist 3: bob connects",
        "persist 4: alice is back",
        "persist 5: bob is gone after 0 s",
    ]);
    world.confirm();
    world.check(&["admit bob: others [alice@2 reconnecting []], published@1 [], receives []"]);
    world.confirm();
    world.check(&[
        "welcome alice: others [bob@1 connected []], published@2 [], receives []",
        "tell bob: alice@3 connected []",
    ]);
    world.confirm();
    world.check(&["dismiss bob: Left", "tell alice: bob@2 disconnected []"]);
}

#[test]
fn a_refusal_that_went_to_a_dead_socket_is_told_again() {
    let mut world = World::new(config());
    let twice = || [audio("mic"), named("mic", audio("mic2"))];
    let alice = world.join("alice", [audio("mic")]);
    world.tracks(alice, twice());
    world.lose(alice);
    world.skip();
    world.resume(alice, twice());
    world.check(&[
        "persist 3: alice is back",
        "welcome alice: others [], published@3 [mic], mic2 NameDuplicated, receives []",
    ]);
    world.tracks(alice, [audio("mic")]);
    world.resume(alice, [audio("mic")]);
    world.check(&["welcome alice: others [], published@3 [mic], receives []"]);
}
