//! Tests that bound the work of a page and of a lease of callbacks by what PostgreSQL counts, rows that it read in vain and pages that it touched,
//! not by trusting its plans or a clock.
#![allow(clippy::unwrap_used)]

use room::{AccountSid, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus, Timestamp};
use serde_json::Value as Json;
use testkit::postgres::PostgresServer;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::connection::{Connection, Connector};
use super::{callback, callback_row, participant, room_row, schema, track};
use crate::{
    CallbackFilter, CallbackLease, CallbackOutcome, CallbackState, EndedAttempt, PageRequest, ParticipantFilter,
    Position, RoomFilter, StoreError,
};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
const ROOM: RoomSid = RoomSid::from_bytes([2; 16]);
/// Who left the room; and who is live in the room that is asked.
const LEFT: i64 = 100_000;
const LIVE: i64 = 40;
const SIZE: u32 = 50;

/// Pages of 8 KiB that a statement may touch: for each row of a page its own, and the way down an index.
const BUFFERS_PER_ROW: u64 = 3;
const BUFFERS_FIXED: u64 = 40;

/// Rooms of one account, completed but for one in which everybody is: first those who left, then the live ones.
async fn filled() -> Connection {
    let url = PostgresServer::shared().database().parse().unwrap();
    let db = Connector::new(url).unwrap().connect().await.unwrap();
    schema::migrate(&db).await.unwrap();
    let fill = format!(
        "INSERT INTO accounts (sid) VALUES ('01010101-0101-0101-0101-010101010101');
         INSERT INTO rooms (sid, account_id, name, named, status, ad_hoc, status_callback_method, max_participants,
             max_participant_duration_s, empty_room_timeout_min, unused_room_timeout_min, video_codecs, created_us,
             updated_us, ended_us, duration_s, epoch, next_seq)
         SELECT CASE n WHEN {LEFT} THEN '02020202-0202-0202-0202-020202020202'::uuid ELSE gen_random_uuid() END,
             a.id, 'room ' || n % 100, true, CASE n WHEN {LEFT} THEN 'in-progress' ELSE 'completed' END, false, 'POST',
             50, 14400, 5, 5, 'VP8', n * 1000000, n * 1000000, CASE n WHEN {LEFT} THEN NULL ELSE n * 1000000 END,
             CASE n WHEN {LEFT} THEN NULL ELSE 0 END, 1, 1
         FROM accounts AS a, generate_series(1::bigint, {LEFT}) AS n WHERE a.sid = '01010101-0101-0101-0101-010101010101';
         INSERT INTO participants (sid, room_id, identity, status, session, subscribe_all, created_us, updated_us,
             ended_us, duration_s)
         SELECT gen_random_uuid(), r.id, CASE n % 2 WHEN 0 THEN 'desk' ELSE 'guest ' || n END,
             'disconnected', decode(repeat('00', 32), 'hex'), true, n * 1000000, n * 1000000, n * 1000000, 0
         FROM rooms AS r, generate_series(1::bigint, {LEFT}) AS n WHERE r.ended_us IS NULL;
         INSERT INTO participants (sid, room_id, identity, status, session, subscribe_all, created_us, updated_us)
         SELECT gen_random_uuid(), r.id, CASE n WHEN 1 THEN 'desk' ELSE 'live ' || n END,
             CASE n % 2 WHEN 0 THEN 'connected' ELSE 'reconnecting' END, decode(repeat('00', 32), 'hex'), true,
             ({LEFT} + n) * 1000000, ({LEFT} + n) * 1000000
         FROM rooms AS r, generate_series(1::bigint, {LIVE}) AS n WHERE r.ended_us IS NULL;"
    );
    db.command(&fill).await.unwrap();
    db
}

fn requests() -> Vec<PageRequest> {
    let at = |second: i64| Position {
        created: room::Timestamp(second * 1_000_000),
        sid: [0x80; 16],
    };
    let places = [
        None,
        Some(at(2)),
        Some(at(LEFT / 2)),
        Some(at(LEFT)),
        Some(at(LEFT + LIVE)),
    ];
    places
        .into_iter()
        .flat_map(|from| {
            [false, true].map(|backwards| PageRequest {
                size: SIZE,
                from,
                backwards,
            })
        })
        .collect()
}

/// What a statement did, as PostgreSQL tells it.
#[derive(Debug)]
pub(super) struct Plan(Json);

/// A column as its bytes are: of JSON, its text.
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + std::marker::Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Plan {
    /// Of what EXPLAIN answered.
    pub(super) fn read(rows: &[Row]) -> Result<Self, StoreError> {
        let text: Raw = super::row::get(&rows[0], 0)?;
        Ok(Self(serde_json::from_slice(&text.0).map_err(StoreError::backend)?))
    }

    fn root(&self) -> &Json {
        &self.0[0]["Plan"]
    }

    /// Pages that all of it touched; what it planned is not in it.
    fn buffers(&self) -> u64 {
        let of = |name: &str| self.root()[name].as_u64().unwrap();
        of("Shared Hit Blocks") + of("Shared Read Blocks")
    }

    /// Rows that were read in vain, by all its nodes.
    fn removed(&self) -> u64 {
        let mut removed = 0;
        each(self.root(), &mut |node| {
            let loops = node["Actual Loops"].as_u64().unwrap();
            let of = |name: &str| node[name].as_u64().unwrap_or_default();
            removed += loops * (of("Rows Removed by Filter") + of("Rows Removed by Index Recheck"));
        });
        removed
    }

    fn reads_whole_tables(&self) -> bool {
        let mut found = false;
        each(self.root(), &mut |node| found |= node["Node Type"] == "Seq Scan");
        found
    }
}

fn each(node: &Json, visit: &mut dyn FnMut(&Json)) {
    visit(node);
    for child in node["Plans"].as_array().into_iter().flatten() {
        each(child, visit);
    }
}

fn assert_bounded(plans: &[Plan], rows: usize, live: i64, what: &str) {
    assert!(!plans.is_empty());
    let removed: u64 = plans.iter().map(Plan::removed).sum();
    // Of each statement of a page: the page itself, and what is on its other side.
    assert!(removed <= 2 * live as u64, "{removed} rows in vain: {what}\n{plans:#?}");
    let touched: u64 = plans.iter().map(Plan::buffers).sum();
    let allowed = plans.len() as u64 * BUFFERS_FIXED + BUFFERS_PER_ROW * (rows as u64 + 2 * live as u64);
    assert!(
        touched <= allowed,
        "{touched} pages touched, {rows} rows: {what}\n{plans:#?}"
    );
    assert!(!plans.iter().any(Plan::reads_whole_tables), "{what}\n{plans:#?}");
}

#[tokio::test]
async fn the_work_of_a_page_is_bounded_by_its_rows_and_who_is_live_in_postgres() {
    let db = filled().await;
    for analyzed in [false, true] {
        if analyzed {
            // Whether the database knows what it holds or not.
            super::archive::analyze(&db).await.unwrap();
            db.command("DISCARD PLANS").await.unwrap();
        }
        for request in requests() {
            for status in ParticipantStatus::ALL.iter().copied().map(Some).chain([None]) {
                for identity in [None, Some("desk"), Some("guest 77"), Some("nobody")] {
                    let filter = ParticipantFilter {
                        status,
                        identity: identity.map(str::to_owned),
                        ..ParticipantFilter::default()
                    };
                    db.explain();
                    let page = participant::list(&db, ACCOUNT, ROOM, &filter, request).await.unwrap();
                    assert_bounded(
                        &db.explained(),
                        page.rows.len(),
                        LIVE,
                        &format!("{analyzed} {request:?} {filter:?}"),
                    );
                }
            }
            for status in [RoomStatus::InProgress, RoomStatus::Completed] {
                for name in [None, Some("room 7"), Some("none")] {
                    let filter = RoomFilter {
                        status,
                        unique_name: name.map(str::to_owned),
                        created_from_s: None,
                        created_before_s: None,
                    };
                    db.explain();
                    let page = room_row::list(&db, ACCOUNT, &filter, request).await.unwrap();
                    assert_bounded(
                        &db.explained(),
                        page.rows.len(),
                        1,
                        &format!("{analyzed} {request:?} {filter:?}"),
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn the_work_of_a_page_of_tracks_is_bounded_by_what_is_published_in_postgres() {
    const PUBLISHER: ParticipantSid = ParticipantSid::from_bytes([4; 16]);
    let db = filled().await;
    let fill = format!(
        "UPDATE participants SET sid = '04040404-0404-0404-0404-040404040404' WHERE identity = 'live 2';
         INSERT INTO tracks (sid, participant_id, media_id, kind, name, enabled, priority, created_us, updated_us,
             ended_us)
         SELECT gen_random_uuid(), p.id, 'm' || n, 'audio', 't' || n, true, 'standard', n * 1000000, n * 1000000,
             CASE WHEN n > {LEFT} THEN NULL ELSE n * 1000000 END
         FROM participants AS p, generate_series(1::bigint, {LEFT} + {LIVE}) AS n WHERE p.identity = 'live 2'"
    );
    db.command(&fill).await.unwrap();
    for analyzed in [false, true] {
        if analyzed {
            super::archive::analyze(&db).await.unwrap();
            db.command("DISCARD PLANS").await.unwrap();
        }
        for request in requests() {
            db.explain();
            let page = track::list(&db, ACCOUNT, ROOM, PUBLISHER, request).await.unwrap();
            let what = format!("{analyzed} {request:?}");
            assert_bounded(&db.explained(), page.rows.len(), LIVE, &what);
        }
    }
}

/// Receivers of callbacks, each with as many that are due; of every other one they are due later.
const RECEIVERS: i64 = 50;

/// Pages that leasing or recording one callback may touch: its row and index entries, old and new, its event, its room.
const BUFFERS_PER_CALLBACK: u64 = 60;

/// A callback of each room, the first of it: all due but those of every other receiver.
async fn with_callbacks() -> Connection {
    let db = filled().await;
    db.command(&format!(
        "UPDATE rooms SET status_callback = 'http://example.com/';
         INSERT INTO events (room_id, seq, kind, at_us) SELECT id, 0, 'room-created', created_us FROM rooms;
         INSERT INTO outbox (room_id, event_id, state, receiver, due_us)
         SELECT e.room_id, e.id, 'due', 'host' || to_char(e.room_id % {RECEIVERS}, 'FM000') || ':80',
             CASE e.room_id % 2 WHEN 0 THEN e.at_us ELSE 1000000000000000 + e.at_us END
         FROM events AS e;"
    ))
    .await
    .unwrap();
    db
}

fn touched(db: &Connection) -> (u64, String) {
    let plans = db.explained();
    assert!(
        !plans.is_empty() && !plans.iter().any(Plan::reads_whole_tables),
        "{plans:#?}"
    );
    (plans.iter().map(Plan::buffers).sum(), format!("{plans:#?}"))
}

#[tokio::test]
async fn the_work_of_leasing_and_recording_callbacks_is_bounded_by_how_many_they_are_in_postgres() {
    let db = with_callbacks().await;
    for analyzed in [false, true] {
        if analyzed {
            super::archive::analyze(&db).await.unwrap();
            db.command("DISCARD PLANS").await.unwrap();
        }
        for (state, expected) in [(CallbackState::Due, SIZE), (CallbackState::GivenUp, 0)] {
            let filter = CallbackFilter {
                state: Some(state),
                ..CallbackFilter::default()
            };
            db.explain();
            let rows = callback_row::list(&db, &filter, LEFT / 2, SIZE).await.unwrap();
            assert_eq!(rows.len(), expected as usize);
            let (pages, plans) = touched(&db);
            assert!(
                pages <= BUFFERS_FIXED + BUFFERS_PER_CALLBACK * u64::from(expected),
                "{pages} pages\n{plans}"
            );
        }
        let now = Timestamp(LEFT * 1_000_000);
        let lease = CallbackLease {
            now,
            until: Timestamp(now.0 + 60_000_000),
            limit: 40,
            per_receiver: 4,
            ..CallbackLease::default()
        };
        let taken = (0..RECEIVERS)
            .map(|number| (format!("host{number:03}:80"), 4))
            .collect();
        let all_taken = CallbackLease { taken, ..lease.clone() };
        let nothing_due = CallbackLease {
            now: Timestamp(0),
            ..lease.clone()
        };
        db.command("BEGIN").await.unwrap();
        for (lease, expected) in [(lease, 40), (all_taken, 0), (nothing_due, 0)] {
            db.explain();
            let leased = callback::lease(&db, &lease).await.unwrap();
            assert_eq!(leased.due.len(), expected);
            let (pages, plans) = touched(&db);
            // A step in the index for each receiver, and its turn.
            let allowed = BUFFERS_FIXED * (3 + RECEIVERS as u64) + BUFFERS_PER_CALLBACK * expected as u64;
            assert!(pages <= allowed, "{pages} pages touched, {expected} leased\n{plans}");
            for due in &leased.due {
                let ended = EndedAttempt {
                    id: due.id,
                    at: now,
                    answer: Ok(204),
                    outcome: CallbackOutcome::Delivered,
                };
                db.explain();
                callback::record(&db, &ended, now).await.unwrap();
                let (pages, plans) = touched(&db);
                assert!(
                    pages <= BUFFERS_PER_CALLBACK + 4 * BUFFERS_FIXED,
                    "{pages} pages touched\n{plans}"
                );
            }
        }
        db.command("ROLLBACK").await.unwrap();
    }
}
