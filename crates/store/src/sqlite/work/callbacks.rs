//! The work of leasing callbacks, and of delivering again.

use room::{RoomSid, RoomType, Timestamp};

use super::{ACCOUNT, Counted};
use crate::sqlite::bulk::key;
use crate::sqlite::{callback, callback_row, room_row};
use crate::{
    CallbackFilter, CallbackLease, CallbackMethod, CallbackOutcome, EndedAttempt, NewRoom, Redelivery,
    RedeliveryRequest, limits,
};

/// A room whose creation is to be told to this host.
fn create(counted: &Counted, number: u32, host: &str) {
    let new = NewRoom {
        sid: RoomSid::from_bytes(key(number)),
        unique_name: None,
        kind: RoomType::Group,
        audio_only: false,
        large_room: false,
        ad_hoc: false,
        status_callback: Some(format!("https://{host}/")),
        status_callback_method: CallbackMethod::Post,
        max_participants: 50,
        max_participant_duration_s: 600,
        empty_room_timeout_min: 5,
        unused_room_timeout_min: 5,
        video_codecs: Vec::new(),
        media_region: None,
        at: Timestamp(1),
    };
    room_row::create(&counted.db, ACCOUNT, new).expect("a new room");
}

/// Twenty thousand rooms wait for a receiver that has its places taken, more receivers than a lease looks at wait for later.
#[test]
fn the_work_of_a_lease_does_not_grow_with_the_outbox() {
    const STEPS_PER_CALLBACK: u64 = 400;
    const STEPS_PER_RECEIVER: u64 = 30;
    const STEPS_FIXED: u64 = 400;
    let counted = Counted::new();
    counted.db.execute_batch("BEGIN").expect("no transaction");
    for number in 0..20_000 {
        create(&counted, number, "slow.example.com");
    }
    for number in 0..2500 {
        create(&counted, 20_000 + number, &format!("later{number}.example.com"));
    }
    counted
        .db
        .execute("UPDATE outbox SET due_us = 1000 WHERE receiver LIKE 'later%'", [])
        .expect("the table is there");
    for number in 0..3 {
        create(&counted, 30_000 + number, &format!("well{number}.example.com"));
    }
    counted.db.execute_batch("COMMIT").expect("a transaction");
    let lease = CallbackLease {
        now: Timestamp(10),
        until: Timestamp(20),
        limit: 50,
        per_receiver: 8,
        taken: vec![("slow.example.com:443".to_owned(), 8)],
        after: String::new(),
    };
    let allowed = STEPS_FIXED + STEPS_PER_RECEIVER * u64::from(limits::RECEIVERS_PER_LEASE) + STEPS_PER_CALLBACK * 50;
    let mut found = Vec::new();
    let mut after = String::new();
    for _ in 0..4 {
        let lease = CallbackLease { after, ..lease.clone() };
        let (leased, steps) = counted.steps(|db| callback::exchange(db, &[], &lease));
        let leased = leased.expect("the database works");
        assert!(steps <= allowed, "{steps} steps");
        found.extend(leased.due);
        after = leased.after;
    }
    let mut receivers: Vec<_> = found.iter().map(|due| due.receiver.as_str()).collect();
    receivers.sort_unstable();
    assert_eq!(
        receivers,
        [
            "well0.example.com:443",
            "well1.example.com:443",
            "well2.example.com:443"
        ]
    );
    // A few of the many, and then to give them up.
    let open = CallbackLease {
        taken: Vec::new(),
        limit: 8,
        after: "m".to_owned(),
        ..lease
    };
    let (leased, steps) = counted.steps(|db| callback::exchange(db, &[], &open));
    assert!(steps <= allowed, "{steps} steps");
    assert!(!leased.expect("the database works").due.is_empty());
    counted
        .db
        .execute("UPDATE outbox SET state = 'given-up' WHERE state = 'due'", [])
        .expect("the table is there");
    let request = RedeliveryRequest {
        what: Redelivery::GivenUp {
            filter: CallbackFilter {
                receiver: Some("slow.example.com".to_owned()),
                ..CallbackFilter::default()
            },
            after: 0,
        },
        now: Timestamp(10),
        by: None,
    };
    let (done, steps) = counted.steps(|db| callback_row::redeliver(db, &request));
    assert_eq!(
        done.expect("the database works").count,
        u64::from(limits::REDELIVER_ROWS)
    );
    let allowed = STEPS_FIXED + STEPS_PER_CALLBACK * u64::from(limits::REDELIVER_ROWS);
    assert!(steps <= allowed, "{steps} steps");
    let ended = [EndedAttempt {
        id: 1,
        at: Timestamp(10),
        answer: Ok(204),
        outcome: CallbackOutcome::Delivered,
    }];
    let (leased, steps) = counted.steps(|db| callback::exchange(db, &ended, &CallbackLease::default()));
    assert!(
        leased.is_ok() && steps <= STEPS_FIXED + STEPS_PER_CALLBACK,
        "{steps} steps"
    );
}
