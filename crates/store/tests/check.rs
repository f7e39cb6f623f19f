//! The check of invariants: silent about what the store writes, and naming each invariant that is broken by hand.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use room::{
    AccountSid, Change, ParticipantSid, Priority, RoomSid, RoomType, Rules, SessionHash, Timestamp, Track, TrackKind,
    TrackSid,
};
use rusqlite::Connection;
use store::{
    Account, CallbackMethod, CallbackOutcome, CheckProgress, Expiry, Findings, NewRoom, Outage, SqliteStore, Store,
    StoreError,
};

const ACCOUNT: AccountSid = AccountSid::from_bytes([0xa0; 16]);
const OPEN: RoomSid = RoomSid::from_bytes([1; 16]);
const OVER: RoomSid = RoomSid::from_bytes([2; 16]);
const ALICE: ParticipantSid = ParticipantSid::from_bytes([0x11; 16]);
const BOB: ParticipantSid = ParticipantSid::from_bytes([0x12; 16]);
const CAROL: ParticipantSid = ParticipantSid::from_bytes([0x13; 16]);

fn at(second: i64) -> Timestamp {
    Timestamp(1_700_000_000_000_000 + second * 1_000_000)
}

fn new_room(sid: RoomSid) -> NewRoom {
    NewRoom {
        sid,
        unique_name: None,
        kind: RoomType::Group,
        audio_only: false,
        large_room: false,
        ad_hoc: false,
        status_callback: Some("https://example.com".to_owned()),
        status_callback_method: CallbackMethod::Post,
        max_participants: 50,
        max_participant_duration_s: 14_400,
        empty_room_timeout_min: 5,
        unused_room_timeout_min: 5,
        video_codecs: vec!["VP8".to_owned()],
        media_region: None,
        at: at(0),
    }
}

fn join(participant: ParticipantSid, identity: &str, second: i64) -> Change {
    Change::ParticipantConnected {
        participant,
        identity: identity.to_owned(),
        session: SessionHash([1; 32]),
        rules: Rules::everything(),
        at: at(second),
    }
}

fn leave(participant: ParticipantSid, second: i64) -> Change {
    Change::ParticipantDisconnected {
        participant,
        at: at(second),
        duration_s: 3,
    }
}

fn publish(participant: ParticipantSid, sid: u8, second: i64) -> Change {
    Change::TrackPublished {
        participant,
        track: Track {
            sid: TrackSid::from_bytes([sid; 16]),
            media_id: format!("media-{sid}"),
            kind: TrackKind::Audio,
            name: format!("track {sid}"),
            enabled: true,
            priority: Priority::Standard,
        },
        at: at(second),
    }
}

/// A room in progress, with Alice in it and Bob gone, and one that is over, where Carol was; the first callbacks
/// of each are delivered.
async fn story(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(path).unwrap();
    let account = Account::new(ACCOUNT);
    store.put_account(account).await.unwrap();
    for sid in [OPEN, OVER] {
        store.create_room(ACCOUNT, new_room(sid)).await.unwrap();
    }
    let open = vec![
        join(ALICE, "alice", 1),
        join(BOB, "bob", 2),
        publish(ALICE, 0x21, 2),
        publish(BOB, 0x22, 3),
        Change::TrackUnpublished {
            participant: BOB,
            track: TrackSid::from_bytes([0x22; 16]),
            at: at(4),
        },
        leave(BOB, 5),
    ];
    store.write(ACCOUNT, OPEN, 1, open).await.unwrap();
    let over = vec![
        join(CAROL, "carol", 1),
        leave(CAROL, 5),
        Change::RoomCompleted {
            at: at(6),
            duration_s: 6,
        },
    ];
    store.write(ACCOUNT, OVER, 1, over).await.unwrap();
    for callback in store.lease_callbacks(at(10), at(20), 10).await.unwrap() {
        let recorded = store.record_callback(callback.id, at(11), Ok(200), CallbackOutcome::Delivered);
        recorded.await.unwrap();
    }
    store
}

fn check(path: &Path) -> Findings {
    SqliteStore::check_file(path, &mut |_| ()).unwrap()
}

/// Breaks an invariant by hand: it is named, with this row. What else is named is no more than `also`.
async fn breaks(invariant: &str, sql: &str, row: &str, also: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    drop(story(&path).await);
    assert_eq!(check(&path).violations, []);
    let db = Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;")
        .unwrap();
    db.execute_batch(sql).unwrap();
    drop(db);
    let found = check(&path).violations;
    let named: Vec<&str> = found
        .iter()
        .filter(|violation| violation.invariant == invariant)
        .map(|violation| &*violation.row)
        .collect();
    assert_eq!(named, [row], "{invariant}: {found:#?}");
    let others = found.iter().map(|violation| violation.invariant);
    for other in others.filter(|other| *other != invariant) {
        assert!(also.contains(&other), "{invariant} broken, {other} named: {found:#?}");
    }
}

const ALICE_SID: &str = "PA11111111111111111111111111111111";
const OPEN_SID: &str = "RM01010101010101010101010101010101";
const OVER_SID: &str = "RM02020202020202020202020202020202";
const BOB_SID: &str = "PA12121212121212121212121212121212";
const CAROL_SID: &str = "PA13131313131313131313131313131313";

/// For each invariant what breaks it, the row that is named then, and other invariants that break with it.
const BROKEN: &[(&str, &str, &str, &[&str])] = &[
    (
        "references",
        "INSERT INTO attempts (outbox_id, at_us, status) VALUES (999, 0, 200)",
        "attempts 3",
        &[],
    ),
    ("epochs", "UPDATE rooms SET epoch = 0 WHERE id = 1", OPEN_SID, &[]),
    (
        "room-times",
        "UPDATE rooms SET ended_us = created_us - 1 WHERE id = 2",
        OVER_SID,
        &["room-events"],
    ),
    (
        "room-times",
        "UPDATE rooms SET duration_s = NULL WHERE id = 2",
        OVER_SID,
        &["room-events", "integrity"],
    ),
    (
        "room-order",
        "UPDATE accounts SET last_room_us = (SELECT created_us FROM rooms WHERE id = 1)",
        OVER_SID,
        &[],
    ),
    (
        "participant-times",
        "UPDATE participants SET ended_us = created_us - 1 WHERE identity = 'bob'",
        BOB_SID,
        &["participant-events", "integrity"],
    ),
    (
        "participant-times",
        "UPDATE participants SET status = 'connected' WHERE identity = 'carol'",
        CAROL_SID,
        &["integrity"],
    ),
    (
        "participant-order",
        "UPDATE rooms SET last_participant_us = created_us WHERE id = 2",
        CAROL_SID,
        &[],
    ),
    (
        "participant-order",
        "UPDATE participants SET created_us = (SELECT created_us FROM participants WHERE identity = 'alice')
         WHERE identity = 'bob'",
        BOB_SID,
        &["participant-events"],
    ),
    (
        "identity-live-once",
        "DROP INDEX participants_live_identity;
         UPDATE participants SET identity = 'alice', status = 'connected', ended_us = NULL, duration_s = NULL
         WHERE identity = 'bob'",
        BOB_SID,
        &["participant-events"],
    ),
    (
        "nobody-in-completed-rooms",
        "UPDATE participants SET status = 'reconnecting', ended_us = NULL, duration_s = NULL
         WHERE identity = 'carol'",
        CAROL_SID,
        &["participant-events"],
    ),
    (
        "track-times",
        "UPDATE tracks SET ended_us = created_us - 1 WHERE id = 2",
        "MT22222222222222222222222222222222",
        &[],
    ),
    (
        "tracks-end",
        "UPDATE tracks SET ended_us = NULL WHERE id = 2",
        "MT22222222222222222222222222222222",
        &["track-events"],
    ),
    (
        "rules-in-order",
        "INSERT INTO subscribe_rules (participant_id, place, effect, is_all) VALUES (1, 1, 'include', 1)",
        ALICE_SID,
        &[],
    ),
    (
        "rules-in-order",
        "INSERT INTO subscribe_rules (participant_id, place, effect, is_all) VALUES (1, 0, 'include', 0)",
        ALICE_SID,
        &["integrity"],
    ),
    (
        "events-without-gaps",
        "DELETE FROM outbox WHERE event_id IN (SELECT id FROM events WHERE room_id = 1 AND kind = 'track-removed');
         DELETE FROM events WHERE room_id = 1 AND kind = 'track-removed'",
        OPEN_SID,
        &[],
    ),
    (
        "events-without-gaps",
        "UPDATE rooms SET next_seq = next_seq + 1 WHERE id = 1",
        OPEN_SID,
        &[],
    ),
    (
        "room-events",
        "UPDATE events SET kind = 'room-ended' WHERE room_id = 1 AND seq = 0",
        OPEN_SID,
        &[],
    ),
    (
        "room-events",
        "UPDATE events SET duration_s = 99 WHERE room_id = 2 AND kind = 'room-ended'",
        OVER_SID,
        &[],
    ),
    (
        "participant-events",
        "UPDATE events SET kind = 'participant-connected', duration_s = NULL, at_us = (SELECT created_us
             FROM participants WHERE identity = 'carol')
         WHERE room_id = 2 AND kind = 'participant-disconnected'",
        CAROL_SID,
        &[],
    ),
    (
        "participant-events",
        "UPDATE participants SET duration_s = 4 WHERE identity = 'bob'",
        BOB_SID,
        &[],
    ),
    (
        "track-events",
        "UPDATE events SET kind = 'track-enabled' WHERE kind = 'track-added' AND track_id = 1",
        "MT21212121212121212121212121212121",
        &[],
    ),
    (
        "events-of-their-room",
        "UPDATE events SET participant_id = 2 WHERE kind = 'track-added' AND track_id = 1",
        OPEN_SID,
        &[],
    ),
    (
        "callbacks-of-events",
        "UPDATE outbox SET room_id = 1 WHERE room_id = 2 AND state = 'delivered'",
        OPEN_SID,
        &["callbacks-in-order"],
    ),
    (
        "callbacks-in-order",
        "UPDATE outbox SET state = 'waiting' WHERE room_id = 2 AND state = 'due'",
        OVER_SID,
        &[],
    ),
    (
        "callbacks-in-order",
        "UPDATE outbox SET state = 'given-up', attempts = 1 WHERE room_id = 1 AND id = (SELECT max(id) FROM outbox
             WHERE room_id = 1);
         INSERT INTO attempts (outbox_id, at_us, status) SELECT max(id), 0, 500 FROM outbox WHERE room_id = 1",
        OPEN_SID,
        &[],
    ),
    (
        "attempts-counted",
        "UPDATE outbox SET attempts = 7 WHERE room_id = 1 AND state = 'delivered'",
        OPEN_SID,
        &[],
    ),
    (
        "integrity",
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'rooms_ended')
         WHERE name = 'rooms_ended_with_events';",
        "database",
        &["integrity"],
    ),
];

#[tokio::test]
async fn each_invariant_that_is_broken_is_named_with_its_row() {
    for (invariant, sql, row, also) in BROKEN {
        breaks(invariant, sql, row, also).await;
    }
    for invariant in SqliteStore::invariants() {
        let name = invariant.name;
        assert!(
            BROKEN.iter().any(|(broken, ..)| *broken == name),
            "nothing breaks {name}"
        );
    }
}

#[tokio::test]
async fn what_the_store_wrote_is_whole_also_while_it_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = story(&path).await;
    let findings = check(&path);
    assert_eq!(findings.violations, []);
    assert_eq!((findings.rooms, findings.participants, findings.events), (2, 3, 11));

    let checking = std::thread::spawn({
        let path = path.clone();
        move || (0..20).map(|_| check(&path)).collect::<Vec<_>>()
    });
    let mut number = 0u32;
    while !checking.is_finished() {
        number += 1;
        let mut sid = [0x40; 16];
        sid[..4].copy_from_slice(&number.to_be_bytes());
        let sid = ParticipantSid::from_bytes(sid);
        let batch = vec![join(sid, "dave", 30), leave(sid, 33)];
        store.write(ACCOUNT, OPEN, 1, batch).await.unwrap();
    }
    let all = checking.join().unwrap();
    assert!(all.iter().all(|findings| findings.violations.is_empty()), "{all:#?}");
    assert!(all.windows(2).all(|two| two[0].participants <= two[1].participants));
}

#[tokio::test]
async fn a_check_changes_nothing_and_tells_how_far_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    drop(story(&path).await);
    let before = std::fs::read(&path).unwrap();
    let mut told = Vec::new();
    SqliteStore::check_file(&path, &mut |progress| told.push(progress)).unwrap();
    let rooms = |done| CheckProgress::Rooms { done, of: 2 };
    assert_eq!(told, [CheckProgress::Pages, rooms(0), rooms(2)]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn what_cannot_be_checked_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let missing = SqliteStore::check_file(&path, &mut |_| ());
    assert!(matches!(missing, Err(StoreError::Backend(_))), "{missing:?}");
    assert!(!path.exists());
    drop(story(&path).await);
    let known = SqliteStore::open(&path).map(drop);
    known.unwrap();
    for (version, newer) in [(1, false), (999, true)] {
        let db = Connection::open(&path).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
        drop(db);
        match SqliteStore::check_file(&path, &mut |_| ()) {
            Err(StoreError::NewerSchema { .. }) => assert!(newer),
            Err(StoreError::OlderSchema { .. }) => assert!(!newer),
            other => panic!("{other:?}"),
        }
    }
    std::fs::write(&path, "no database, just a long enough text. ".repeat(100)).unwrap();
    let garbage = SqliteStore::check_file(&path, &mut |_| ());
    let is_damaged = |error: &StoreError| {
        matches!(
            error,
            StoreError::Unavailable {
                outage: Outage::Damaged,
                ..
            }
        )
    };
    assert!(garbage.as_ref().is_err_and(is_damaged), "{garbage:?}");
}

/// The table of the manual names all of them.
#[test]
fn the_manual_has_every_invariant() {
    let manual = include_str!("../../../docs/operations.md");
    for invariant in SqliteStore::invariants() {
        let line = format!("| `{}` | {} |", invariant.name, invariant.holds);
        assert!(manual.contains(&line), "docs/operations.md lacks: {line}");
    }
}

#[tokio::test]
async fn a_database_is_whole_between_any_two_steps_of_forgetting() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = story(&path).await;
    loop {
        let due = store.lease_callbacks(at(30), at(40), 10).await.unwrap();
        for callback in &due {
            let given_up = store.record_callback(callback.id, at(31), Ok(410), CallbackOutcome::GivenUp);
            given_up.await.unwrap();
        }
        if due.is_empty() {
            break;
        }
    }
    for before in [
        Expiry {
            callbacks: Some(at(20)),
            ..Expiry::default()
        },
        Expiry {
            events: Some(at(20)),
            ..Expiry::default()
        },
        Expiry {
            rooms: Some(at(20)),
            ..Expiry::default()
        },
    ] {
        let mut calls = 0;
        while store.forget(before, 1).await.unwrap().more {
            assert_eq!(check(&path).violations, []);
            calls += 1;
        }
        assert!(calls > 1, "{before:?}");
    }
    assert_eq!(check(&path).rooms, 1);
}
