//! Tests that bound the work of a page by counting SQLite's steps, not by trusting its plans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use room::{AccountSid, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus, SessionHash, Timestamp};
use rusqlite::{Connection, params};

use super::file::DatabaseFile;
use super::{account, participant, retention, room_row};
use crate::{Account, CallbackMethod, Expiry, NewRoom, PageRequest, ParticipantFilter, Position, RoomFilter};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
const ROWS: u32 = 20_000;
const LIVE: u32 = 40;
const SIZE: u32 = 50;

/// Steps of SQLite's machine that one row of a page, or one live row skipped, may cost; and what
/// finding the account, the room and the index's range may cost.
const STEPS_PER_ROW: u64 = 40;
const STEPS_FIXED: u64 = 400;

/// A database in a file of its own, and the steps made in it.
struct Counted {
    db: Connection,
    steps: Arc<AtomicU64>,
    _file: DatabaseFile,
}

impl Counted {
    fn new() -> Self {
        let file = DatabaseFile::temporary().expect("temporary files can be made");
        let mut db = file.writer().expect("a new database");
        let steps = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&steps);
        db.progress_handler(
            1,
            Some(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                false
            }),
        )
        .expect("the hook is there");
        let account = Account {
            sid: ACCOUNT,
            auth_token: String::new(),
        };
        account::put(&db, &account).expect("a new account");
        Self { db, steps, _file: file }
    }

    fn steps<T>(&self, work: impl FnOnce(&Connection) -> T) -> (T, u64) {
        self.steps.store(0, Ordering::Relaxed);
        let result = work(&self.db);
        (result, self.steps.load(Ordering::Relaxed))
    }

    fn create(&self, number: u32, name: Option<String>) -> RoomSid {
        let sid = RoomSid::from_bytes(key(number));
        let new = NewRoom {
            sid,
            unique_name: name,
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
        room_row::create(&self.db, ACCOUNT, new).expect("a new room");
        sid
    }
}

fn key(number: u32) -> [u8; 16] {
    (u128::from(number) + 1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        .to_be_bytes()
}

/// What stands at each place from the oldest on.
#[derive(Clone, Copy)]
enum Live {
    Oldest,
    Newest,
}

/// A room of so many participants, one a second, most of them gone; `alice` is every second one.
fn full_room(live: Live) -> (Counted, RoomSid) {
    let counted = Counted::new();
    let sid = counted.create(0, None);
    counted.db.execute_batch("BEGIN").expect("no transaction");
    let mut insert = counted
        .db
        .prepare(
            "INSERT INTO participants (sid, room_id, identity, status, session, subscribe_all,
                 created_us, updated_us, ended_us, duration_s)
             VALUES (?1, 1, ?2, ?3, ?4, 1, ?5, ?5, ?6, ?7)",
        )
        .expect("the table is there");
    for number in 0..ROWS {
        let place = match live {
            Live::Oldest => number,
            Live::Newest => ROWS - 1 - number,
        };
        let status = match place {
            0..LIVE if place % 2 == 0 => ParticipantStatus::Connected,
            0..LIVE => ParticipantStatus::Reconnecting,
            _ => ParticipantStatus::Disconnected,
        };
        let over = status == ParticipantStatus::Disconnected;
        let identity = match (place, number % 2) {
            (0, _) => "alice".to_owned(),
            (1..LIVE, _) => format!("live {place}"),
            (_, 0) => "alice".to_owned(),
            _ => format!("guest {number}"),
        };
        let created = i64::from(number) * 1_000_000;
        insert
            .execute(params![
                key(number),
                identity,
                status.as_str(),
                SessionHash([0; 32]).0,
                created,
                over.then_some(created),
                over.then_some(0),
            ])
            .expect("a row that the schema allows");
    }
    drop(insert);
    counted.db.execute_batch("COMMIT").expect("a transaction");
    (counted, sid)
}

/// Where pages begin: nowhere, and after the newest, the middle and the oldest rows.
fn requests() -> Vec<PageRequest> {
    let mut requests = vec![PageRequest {
        size: SIZE,
        from: None,
        backwards: false,
    }];
    for number in [0, 1, ROWS / 2, ROWS - 2, ROWS - 1] {
        let from = Some(Position {
            created: Timestamp(i64::from(number) * 1_000_000),
            sid: *ParticipantSid::from_bytes(key(number)).as_bytes(),
        });
        for backwards in [false, true] {
            requests.push(PageRequest {
                size: SIZE,
                from,
                backwards,
            });
        }
    }
    requests
}

/// None, and such that all matches are at the oldest or the newest end, in the middle, nowhere.
fn bounds() -> Vec<(Option<i64>, Option<i64>)> {
    let rows = i64::from(ROWS);
    vec![
        (None, None),
        (None, Some(20)),
        (Some(rows - 20), None),
        (None, Some(rows - 20)),
        (Some(20), None),
        (Some(rows / 2), Some(rows / 2 + 10)),
        (Some(rows / 2), Some(rows / 2)),
        (Some(rows * 2), None),
    ]
}

#[test]
fn the_work_of_a_page_of_participants_is_bounded_for_every_filter() {
    let mut most = 0;
    for live in [Live::Oldest, Live::Newest] {
        let (counted, room) = full_room(live);
        let statuses = ParticipantStatus::ALL.iter().copied().map(Some);
        for status in std::iter::once(None).chain(statuses) {
            for identity in [None, Some("alice"), Some("live 1"), Some("guest 51"), Some("no")] {
                for (created_after_s, created_before_s) in bounds() {
                    let filter = ParticipantFilter {
                        status,
                        identity: identity.map(str::to_owned),
                        created_after_s,
                        created_before_s,
                    };
                    for request in requests() {
                        let (page, steps) = counted.steps(|db| participant::list(db, ACCOUNT, room, &filter, request));
                        let rows = page.expect("the database works").rows.len() as u64;
                        let allowed = STEPS_FIXED + STEPS_PER_ROW * (rows + u64::from(LIVE));
                        assert!(steps <= allowed, "{steps} steps, {rows} rows: {filter:?} {request:?}");
                        most = most.max(steps);
                    }
                }
            }
        }
    }
    // The counter counts: a page of fifty can not be had for less.
    assert!(most > 500, "{most}");
    println!("most steps of a page: {most}");
}

#[test]
fn the_work_of_a_page_of_rooms_is_bounded_for_every_filter() {
    const ROOMS: u32 = 5_000;
    let counted = Counted::new();
    counted.db.execute_batch("BEGIN").expect("no transaction");
    for number in 0..ROOMS {
        // The oldest are in progress; of those that are over, every second was called `daily`.
        let over = number >= LIVE;
        let name = (over && number % 2 == 0).then(|| "daily".to_owned());
        counted.create(number, name);
        let sql = "UPDATE rooms SET status = 'completed', ended_us = created_us, duration_s = 0
             WHERE ?1 AND ended_us IS NULL AND sid = ?2";
        counted
            .db
            .prepare_cached(sql)
            .and_then(|mut end| end.execute(params![over, key(number)]))
            .expect("a row that the schema allows");
    }
    counted.db.execute_batch("COMMIT").expect("a transaction");
    for status in RoomStatus::ALL {
        for name in [None, Some("daily"), Some("no")] {
            for (created_from_s, created_before_s) in bounds() {
                for request in requests() {
                    let filter = RoomFilter {
                        status: *status,
                        unique_name: name.map(str::to_owned),
                        created_from_s,
                        created_before_s,
                    };
                    let (page, steps) = counted.steps(|db| room_row::list(db, ACCOUNT, &filter, request));
                    let rows = page.expect("the database works").rows.len() as u64;
                    let allowed = STEPS_FIXED + STEPS_PER_ROW * (rows + 1);
                    assert!(steps <= allowed, "{steps} steps, {rows} rows: {filter:?} {request:?}");
                }
            }
        }
    }
}

/// A room that ended, with its rows as the store writes them, through SQL since it is many.
fn ended_room(counted: &Counted, number: u32, participants: u32) {
    counted.create(number, None);
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
