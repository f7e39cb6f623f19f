//! Two clocks: durations and deadlines are of one, rows of the other.

use std::time::Duration;

use room::{Change, Input, Output, Room, RoomConfig, Timestamp};

use crate::world::{START, World, beginning, config, minutes, seconds};

#[test]
fn durations_are_cut_and_not_rounded() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.step(Duration::from_millis(71_999));
    world.skip();
    world.leave(alice);
    world.check(&["persist 2: alice is gone after 71 s", "dismiss alice: Left"]);
    world.step(Duration::from_millis(1_000));
    world.tell(Input::Complete);
    world.check(&["persist 3: room over after 72 s", "ended"]);
}

#[test]
fn a_wall_clock_that_steps_back_disturbs_neither_durations_nor_deadlines() {
    let mut world = World::new(config());
    let alice = world.join("alice", []);
    world.pass(seconds(100));
    world.now.wall = Timestamp(START.0 - 3_600_000_000);
    world.lose(alice);
    world.skip();
    world.pass(seconds(29));
    world.check(&[]);
    world.pass(seconds(1));
    world.check(&["persist 3: alice is gone after 130 s", "dismiss alice: SessionLost"]);
}

#[test]
fn a_wall_clock_that_leaps_ahead_ends_nothing() {
    let mut world = World::new(config());
    world.join("alice", []);
    world.skip();
    world.now.wall.0 += 86_400_000_000 * 365;
    world.tell(Input::Timeout);
    world.check(&[]);
}

#[test]
fn rows_bear_the_time_of_the_calendar() {
    let mut now = beginning();
    let mut room = Room::new(config(), now);
    now.mono += seconds(2);
    now.wall = Timestamp(42);
    room.handle(Input::Complete, now);
    let expected = Output::Persist {
        batch: 1,
        changes: vec![Change::RoomCompleted {
            at: Timestamp(42),
            duration_s: 2,
        }],
    };
    assert_eq!(room.poll(), Some(expected));
}

#[test]
fn a_timeout_without_end_never_fires() {
    let mut world = World::new(RoomConfig {
        max_participant_duration: Duration::MAX,
        unused_timeout: Duration::MAX,
        empty_timeout: Duration::MAX,
        session_timeout: Duration::MAX,
        ..config()
    });
    world.pass(minutes(60 * 24 * 365));
    let alice = world.join("alice", []);
    world.skip();
    world.pass(minutes(60 * 24 * 365));
    world.lose(alice);
    world.pass(minutes(60 * 24 * 365));
    world.leave(alice);
    world.skip();
    world.pass(minutes(60 * 24 * 365));
    world.check(&[]);
}
