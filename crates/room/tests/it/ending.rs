//! How participants go and rooms end.

use room::{Input, RoomConfig};

use crate::world::{World, ad_hoc, audio, config, minutes, seconds};

#[test]
fn an_ad_hoc_room_ends_with_its_last_participant() {
    let mut world = World::new(ad_hoc());
    let alice = world.join("alice", [audio("mic")]);
    let bob = world.join("bob", []);
    world.pass(seconds(90));
    world.leave(alice);
    world.skip();
    world.leave(bob);
    world.check(&[
        "persist 4: bob is gone after 90 s, room over after 90 s",
        "dismiss bob: Left",
        "ended",
    ]);
    assert_eq!(world.room.poll_timeout(), None);
}

#[test]
fn an_ad_hoc_room_waits_for_a_lost_participant() {
    let mut world = World::new(ad_hoc());
    let alice = world.join("alice", []);
    world.lose(alice);
    world.skip();
    world.pass(seconds(29));
    world.check(&[]);
    world.pass(seconds(1));
    world.check(&[
        "persist 3: alice is gone after 30 s, room over after 30 s",
        "dismiss alice: SessionLost",
        "ended",
    ]);
}

#[test]
fn the_others_hear_of_a_leave_and_receive_it_no_more() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.join("bob", []);
    world.skip();
    world.leave(alice);
    world.check(&[
        "persist 3: alice unpublishes, alice is gone after 0 s",
        "dismiss alice: Left",
        "tell bob: alice@2 disconnected [mic]",
        "subscribe bob: []",
    ]);
    world.leave(alice);
    world.check(&[]);
}

#[test]
fn a_rest_room_ends_when_it_was_empty_for_long() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.leave(alice);
    world.skip();
    world.pass(minutes(5) - seconds(1));
    world.check(&[]);
    world.pass(seconds(1));
    world.check(&["persist 3: room over after 300 s", "ended"]);
}

#[test]
fn a_rest_room_lives_on_if_somebody_comes_in_time() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.leave(alice);
    world.pass(minutes(4));
    let alice = world.join("alice", []);
    world.skip();
    world.pass(minutes(20));
    world.check(&[]);
    world.leave(alice);
    world.skip();
    world.pass(minutes(5));
    world.check(&["persist 5: room over after 1740 s", "ended"]);
}

#[test]
fn a_room_that_nobody_joined_ends() {
    let mut world = World::new(RoomConfig {
        unused_timeout: minutes(7),
        ..config()
    });
    world.pass(minutes(7) - seconds(1));
    world.check(&[]);
    world.pass(seconds(1));
    world.check(&["persist 1: room over after 420 s", "ended"]);
}

#[test]
fn a_room_joined_in_time_does_not_end_as_unused() {
    let mut world = World::new(config());
    world.pass(minutes(4));
    world.join("alice", []);
    world.skip();
    world.pass(minutes(60));
    world.check(&[]);
}

#[test]
fn completing_dismisses_everyone_in_one_batch() {
    let mut world = World::new(config());
    let alice = world.join("alice", [audio("mic")]);
    world.join("bob", []);
    world.lose(alice);
    world.pass(seconds(10));
    world.skip();
    world.slow_store();
    world.tell(Input::Complete);
    world.check(&[
        "persist 4: alice unpublishes, alice is gone after 10 s, bob is gone after 10 s, room over after 10 s",
    ]);
    world.confirm();
    world.check(&["dismiss alice: RoomCompleted", "dismiss bob: RoomCompleted", "ended"]);
}

#[test]
fn a_completed_room_is_deaf() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.tell(Input::Complete);
    world.skip();
    world.tell(Input::Complete);
    world.tell(Input::Timeout);
    world.leave(alice);
    world.lose(alice);
    world.resume(alice, []);
    world.tracks(alice, [audio("mic")]);
    world.tell(Input::Remove { participant: alice });
    world.tell(Input::MediaFailed { participant: alice });
    world.check(&[]);
    assert_eq!(world.room.poll_timeout(), None);
    assert!(world.room.is_empty());
}

#[test]
fn the_api_removes_a_participant_who_may_come_again() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.join("bob", []);
    world.skip();
    world.tell(Input::Remove { participant: alice });
    world.check(&[
        "persist 3: alice is gone after 0 s",
        "dismiss alice: Removed",
        "tell bob: alice@2 disconnected []",
    ]);
    world.join("alice", []);
    world.check(&[
        "persist 4: alice#2 connects",
        "admit alice#2: others [bob@1 connected []], published@1 [], receives []",
        "tell bob: alice#2@1 connected []",
    ]);
}

#[test]
fn who_has_no_media_is_out() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.skip();
    world.tell(Input::MediaFailed { participant: alice });
    world.check(&["persist 2: alice is gone after 0 s", "dismiss alice: MediaFailed"]);
}

#[test]
fn nobody_stays_longer_than_the_room_allows() {
    let mut world = World::new(RoomConfig {
        max_participant_duration: minutes(10),
        ..config()
    });
    world.join("alice", []);
    world.pass(minutes(4));
    world.join("bob", []);
    world.skip();
    world.pass(minutes(6));
    world.check(&[
        "persist 3: alice is gone after 600 s",
        "dismiss alice: TimeLimit",
        "tell bob: alice@2 disconnected []",
    ]);
    world.pass(minutes(4));
    world.check(&["persist 4: bob is gone after 600 s", "dismiss bob: TimeLimit"]);
}

#[test]
fn a_lost_one_is_out_for_the_reason_that_comes_first() {
    let limited = RoomConfig {
        max_participant_duration: seconds(100),
        ..config()
    };
    for (lost_after, reason) in [(60, "dismiss alice: SessionLost"), (80, "dismiss alice: TimeLimit")] {
        let mut world = World::new(limited);
        let alice = world.join("alice", []);
        world.pass(seconds(lost_after));
        world.lose(alice);
        world.skip();
        world.pass(seconds(40));
        let gone = format!("persist 3: alice is gone after {} s", (lost_after + 30).min(100));
        world.check(&[&gone, reason]);
    }
}

#[test]
fn a_late_timer_takes_out_all_who_are_due() {
    let mut world = World::new(ad_hoc());
    let alice = world.join("alice", []);
    let bob = world.join("bob", []);
    world.lose(alice);
    world.lose(bob);
    world.skip();
    world.step(seconds(45));
    world.tell(Input::Timeout);
    world.check(&[
        "persist 5: alice is gone after 45 s",
        "persist 6: bob is gone after 45 s, room over after 45 s",
        "dismiss alice: SessionLost",
        "dismiss bob: SessionLost",
        "ended",
    ]);
}

#[test]
fn a_timer_that_fires_early_does_nothing() {
    let mut world = World::new(config());
    world.tell(Input::Timeout);
    let alice = world.join("alice", []);
    world.lose(alice);
    world.skip();
    world.step(seconds(29));
    world.tell(Input::Timeout);
    world.check(&[]);
    assert_eq!(world.room.poll_timeout(), Some(world.now.mono + seconds(1)));
}

#[test]
fn a_room_ends_at_its_greatest_age_whoever_is_in_it() {
    let mut world = World::new(RoomConfig {
        max_age: Some(minutes(60)),
        ..config()
    });
    world.pass(minutes(4));
    world.join("alice", [audio("mic")]);
    world.skip();
    world.pass(minutes(56) - seconds(1));
    world.check(&[]);
    world.pass(seconds(1));
    world.check(&[
        "persist 2: alice unpublishes, alice is gone after 3360 s, room over after 3600 s",
        "dismiss alice: RoomCompleted",
        "ended",
    ]);
}

#[test]
fn the_greatest_age_counts_the_time_before_a_restart() {
    let restored = room::Restored {
        age: minutes(59),
        ..room::Restored::default()
    };
    let long = RoomConfig {
        max_age: Some(minutes(60)),
        unused_timeout: minutes(600),
        ..config()
    };
    let mut world = World::restored(long, restored);
    world.pass(minutes(1) - seconds(1));
    world.check(&[]);
    world.pass(seconds(1));
    world.check(&["persist 1: room over after 3600 s", "ended"]);
}
