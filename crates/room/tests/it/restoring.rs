//! A room that an earlier process left behind.

use std::time::Duration;

use room::{Input, ParticipantSid, Restored, RestoredParticipant, RoomConfig, Rules, limits};

use crate::world::{World, ad_hoc, audio, config, minutes, named, published, seconds, video};

const EPOCH: u64 = 3 << 32;

fn alice() -> RestoredParticipant {
    RestoredParticipant {
        sid: ParticipantSid::from_bytes([1; 16]),
        identity: "alice".to_owned(),
        rules: Rules::everything(),
        tracks: vec![published(1, audio("mic"))],
        stayed: minutes(10) + Duration::from_millis(700),
    }
}

fn bob() -> RestoredParticipant {
    RestoredParticipant {
        sid: ParticipantSid::from_bytes([2; 16]),
        identity: "bob".to_owned(),
        rules: Rules::nothing(),
        tracks: Vec::new(),
        stayed: minutes(2),
    }
}

/// Alice and Bob were there when the process ended.
fn both(config: RoomConfig) -> World {
    let config = RoomConfig {
        first_revision: EPOCH,
        ..config
    };
    let restored = Restored {
        age: minutes(11),
        empty_for: None,
        participants: vec![alice(), bob()],
    };
    World::restored(config, restored)
}

#[test]
fn everyone_may_come_back_with_higher_revisions() {
    let mut world = both(config());
    world.check(&[]);
    assert_eq!(world.room.len(), 2);
    world.resume(alice().sid, [audio("mic")]);
    world.check(&[
        "persist 1: alice is back",
        "welcome alice: others [bob@12884901889 reconnecting []], published@12884901890 [mic], receives []",
    ]);
    world.resume(bob().sid, [video("cam")]);
    world.check(&[
        "persist 2: bob is back, bob publishes cam",
        "welcome bob: others [alice@12884901890 connected [mic]], published@12884901890 [cam], receives []",
        "tell alice: bob@12884901890 connected [cam]",
        "subscribe alice: [bob/cam]",
    ]);
}

#[test]
fn who_comes_back_receives_what_it_did() {
    let everything = RestoredParticipant {
        rules: Rules::everything(),
        ..bob()
    };
    let restored = Restored {
        age: minutes(11),
        empty_for: None,
        participants: vec![alice(), everything],
    };
    let mut world = World::restored(config(), restored);
    world.resume(bob().sid, []);
    world.check(&[
        "persist 1: bob is back",
        "welcome bob: others [alice@1 reconnecting [mic]], published@2 [], receives [alice/mic]",
    ]);
}

#[test]
fn a_newcomer_starts_at_the_new_epoch_too() {
    let mut world = both(config());
    world.join("carol", []);
    world.check(&[
        "persist 1: carol connects",
        "admit carol: others [alice@12884901889 reconnecting [mic], bob@12884901889 reconnecting []], \
         published@12884901889 [], receives [alice/mic]",
    ]);
}

#[test]
fn a_list_whose_revision_was_seen_before_the_restart_is_read_anew() {
    let mut world = both(config());
    world.resume(alice().sid, [named("mic", audio("mic2"))]);
    world.check(&[
        "persist 1: alice is back, alice unpublishes, alice publishes mic2=mic",
        "welcome alice: others [bob@12884901889 reconnecting []], published@12884901890 [mic2], receives []",
    ]);
}

#[test]
fn who_does_not_come_back_is_out_with_all_of_its_stay() {
    let mut world = both(config());
    world.pass(seconds(29));
    world.check(&[]);
    world.pass(seconds(1));
    world.check(&[
        "persist 1: alice unpublishes, alice is gone after 630 s",
        "persist 2: bob is gone after 150 s",
        "dismiss alice: SessionLost",
        "dismiss bob: SessionLost",
    ]);
    world.pass(minutes(5));
    world.check(&["persist 3: room over after 990 s", "ended"]);
}

#[test]
fn fractions_of_seconds_before_and_after_add_up() {
    let mut world = both(config());
    world.resume(alice().sid, [audio("mic")]);
    world.skip();
    world.step(Duration::from_millis(300));
    world.leave(alice().sid);
    world.check(&[
        "persist 2: alice unpublishes, alice is gone after 601 s",
        "dismiss alice: Left",
    ]);
}

#[test]
fn an_ad_hoc_room_ends_when_nobody_comes_back() {
    let mut world = both(ad_hoc());
    world.pass(seconds(30));
    world.check(&[
        "persist 1: alice unpublishes, alice is gone after 630 s",
        "persist 2: bob is gone after 150 s, room over after 690 s",
        "dismiss alice: SessionLost",
        "dismiss bob: SessionLost",
        "ended",
    ]);
}

#[test]
fn the_limit_of_a_stay_counts_from_before() {
    let mut world = both(RoomConfig {
        max_participant_duration: minutes(15),
        ..config()
    });
    world.resume(alice().sid, [audio("mic")]);
    world.resume(bob().sid, []);
    world.skip();
    world.pass(minutes(5));
    world.check(&[
        "persist 3: alice unpublishes, alice is gone after 900 s",
        "dismiss alice: TimeLimit",
        "tell bob: alice@12884901891 disconnected [mic]",
    ]);
}

#[test]
fn a_stay_that_is_already_too_long_ends_at_the_first_timer() {
    let mut world = both(RoomConfig {
        max_participant_duration: minutes(5),
        ..config()
    });
    assert_eq!(world.room.poll_timeout(), Some(world.now.mono));
    world.tell(Input::Timeout);
    world.check(&[
        "persist 1: alice unpublishes, alice is gone after 600 s",
        "dismiss alice: TimeLimit",
    ]);
}

#[test]
fn an_identity_that_was_there_is_taken_over_by_a_newcomer() {
    let mut world = both(config());
    world.join("alice", []);
    world.check(&[
        "persist 1: alice unpublishes, alice is gone after 600 s, alice#2 connects",
        "dismiss alice: DuplicateIdentity",
        "admit alice#2: others [bob@12884901889 reconnecting []], published@12884901889 [], receives []",
    ]);
}

#[test]
fn an_empty_room_has_only_the_rest_of_its_time() {
    let mut world = World::restored(
        config(),
        Restored {
            age: minutes(60),
            empty_for: Some(minutes(3)),
            participants: Vec::new(),
        },
    );
    world.pass(minutes(2) - seconds(1));
    world.check(&[]);
    world.pass(seconds(1));
    world.check(&["persist 1: room over after 3720 s", "ended"]);
}

#[test]
fn an_empty_ad_hoc_room_ends_at_the_first_timer() {
    let mut world = World::restored(
        ad_hoc(),
        Restored {
            age: minutes(60),
            empty_for: Some(Duration::ZERO),
            participants: Vec::new(),
        },
    );
    world.pass(Duration::ZERO);
    world.check(&["persist 1: room over after 3600 s", "ended"]);
}

#[test]
fn an_unused_room_has_only_the_rest_of_its_time() {
    let unused = |age| {
        let restored = Restored {
            age,
            ..Restored::default()
        };
        World::restored(config(), restored)
    };
    let mut world = unused(minutes(4));
    world.pass(minutes(1) - seconds(1));
    world.check(&[]);
    world.pass(seconds(1));
    world.check(&["persist 1: room over after 300 s", "ended"]);

    let mut world = unused(minutes(60));
    world.pass(Duration::ZERO);
    world.check(&["persist 1: room over after 3600 s", "ended"]);
}

#[test]
fn a_past_that_is_too_long_for_any_clock_is_no_panic() {
    let mut world = World::restored(
        config(),
        Restored {
            age: Duration::MAX,
            empty_for: None,
            participants: vec![RestoredParticipant {
                stayed: Duration::MAX,
                ..bob()
            }],
        },
    );
    world.step(seconds(1));
    world.tell(Input::Timeout);
    let most = Duration::MAX.as_secs();
    world.check(&[
        &format!("persist 1: bob is gone after {most} s"),
        "dismiss bob: TimeLimit",
    ]);
    world.pass(minutes(5));
    world.check(&[&format!("persist 2: room over after {most} s"), "ended"]);
    assert!(limits::WAIT_MAX < Duration::MAX);
}
