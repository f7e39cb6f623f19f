//! The work of forgetting.

use room::{RoomSid, RoomType, Timestamp};
use rusqlite::params;

use super::{ACCOUNT, Counted, STEPS_FIXED};
use crate::sqlite::bulk::key;
use crate::sqlite::{retention, room_row};
use crate::{CallbackMethod, Expiry, NewRoom};

/// A new room without a name, whose row is its number and one.
fn create(counted: &Counted, number: u32) {
    let new = NewRoom {
        sid: RoomSid::from_bytes(key(number)),
        unique_name: None,
        kind: RoomType::Group,
        audio_only: false,
        large_room: false,
        ad_hoc: false,
        status_callback: None,
        status_callback_method: CallbackMethod::Post,
        max_participants: 50,
        max_participant_duration_s: 600,
        empty_room_timeout_min: 5,
        unused_room_timeout_min: 5,
        video_codecs: Vec::new(),
        media_region: None,
        at: Timestamp(i64::from(number) * 1_000_000),
    };
    room_row::create(&counted.db, ACCOUNT, new).expect("a new room");
}

/// A room that ended, with its rows as the store writes them, through SQL since it is many.
fn ended_room(counted: &Counted, number: u32, participants: u32) {
    create(counted, number);
    let id = i64::from(number) + 1;
    let write = |sql: &str, participant: u32| {
        let written = counted.db.prepare_cached(sql).and_then(|mut write| {
            write.execute(params![id, key(1_000_000 + number * 1000 + participant), participant])
        });
        written.expect("a row that the schema allows");
    };
    for participant in 0..participants {
        write(
            "INSERT INTO participants (sid, room_id, identity, status, session, subscribe_all, created_us, updated_us,
                 ended_us, duration_s)
             VALUES (?2, ?1, 'guest ' || ?3, 'disconnected', zeroblob(32), 1, ?3, ?3, ?3, 0)",
            participant,
        );
        write(
            "INSERT INTO tracks (sid, participant_id, media_id, kind, name, enabled, priority, created_us, updated_us,
                 ended_us)
             SELECT ?2, max(id), 'm', 'audio', 'n', 1, 'standard', ?3, ?3, ?3 FROM participants WHERE ?1 > 0",
            participant,
        );
        for kind in ["participant-connected", "participant-disconnected"] {
            write(
                &format!(
                    "INSERT INTO events (room_id, seq, kind, at_us, participant_id)
                     SELECT r.id, r.next_seq, '{kind}', ?3, max(p.id) FROM rooms AS r, participants AS p
                     WHERE r.id = ?1 AND length(?2) = 16"
                ),
                participant,
            );
            write(
                "UPDATE rooms SET next_seq = next_seq + 1 WHERE id = ?1 AND length(?2) = 16 AND ?3 >= 0",
                0,
            );
            write(
                "INSERT INTO outbox (room_id, event_id, state, due_us, attempts)
                 SELECT ?1, max(id), 'delivered', ?3, 2 FROM events WHERE length(?2) = 16",
                participant,
            );
            for _ in 0..2 {
                write(
                    "INSERT INTO attempts (outbox_id, at_us, status)
                     SELECT max(id), ?3, 200 FROM outbox WHERE ?1 > 0 AND length(?2) = 16",
                    participant,
                );
            }
        }
    }
    write(
        "UPDATE rooms SET status = 'completed', ended_us = created_us, duration_s = 0
         WHERE id = ?1 AND length(?2) = 16 AND ?3 >= 0",
        0,
    );
}

/// One room of many rows, many of few, and nothing that is old: no call works more than for the rows it deletes.
#[test]
fn the_work_of_forgetting_is_bounded_by_what_is_forgotten() {
    /// Deleting a row from its indexes and asking whether anything refers to it costs more than reading one.
    const STEPS_PER_DELETED: u64 = 150;
    const STEPS_PER_CANDIDATE: u64 = 40;
    let counted = Counted::new();
    counted.db.execute_batch("BEGIN").expect("no transaction");
    ended_room(&counted, 0, 900);
    for number in 1..600 {
        ended_room(&counted, number, 2);
    }
    counted.db.execute_batch("COMMIT").expect("a transaction");
    let day = |n: i64| Some(Timestamp(n * 1_000_000));
    let nothing = Expiry {
        rooms: day(0),
        events: day(0),
        callbacks: day(0),
        audit: day(0),
    };
    let (forgotten, steps) = counted.steps(|db| retention::forget(db, nothing, 100));
    assert_eq!(forgotten.expect("the database works"), crate::Forgotten::default());
    assert!(steps <= STEPS_FIXED, "{steps} steps for nothing");
    for before in [
        Expiry {
            callbacks: day(5),
            ..Expiry::default()
        },
        Expiry {
            events: day(300),
            ..Expiry::default()
        },
        Expiry {
            rooms: day(10_000),
            ..Expiry::default()
        },
    ] {
        let mut calls = 0;
        loop {
            let (forgotten, steps) = counted.steps(|db| retention::forget(db, before, 100));
            let forgotten = forgotten.expect("the database works");
            let allowed = STEPS_FIXED + STEPS_PER_DELETED * 110 + STEPS_PER_CANDIDATE * 100;
            assert!(steps <= allowed, "{steps} steps: {forgotten:?} of {before:?}");
            calls += 1;
            if !forgotten.more {
                break;
            }
        }
        assert!(calls > 10, "{calls}");
    }
    let left: i64 = counted
        .db
        .query_row(
            "SELECT (SELECT count(*) FROM rooms) + (SELECT count(*) FROM participants) + (SELECT count(*) FROM tracks)
                 + (SELECT count(*) FROM events) + (SELECT count(*) FROM outbox) + (SELECT count(*) FROM attempts)",
            [],
            |row| row.get(0),
        )
        .expect("the tables are there");
    assert_eq!(left, 0);
}
