//! Tests that bound the work of a page by what PostgreSQL counts, rows that it read in vain and pages that it touched,
//! not by trusting its plans or a clock.
#![allow(clippy::unwrap_used)]

use room::{AccountSid, ParticipantStatus, RoomSid, RoomStatus};
use testkit::postgres::PostgresServer;

use super::connection::{Connection, Connector};
use super::{participant, room_row, schema};
use crate::{PageRequest, ParticipantFilter, Position, RoomFilter};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
const ROOM: RoomSid = RoomSid::from_bytes([2; 16]);
/// Who left the room, in 20 rooms each; and who is live in the room that is asked.
const LEFT: i64 = 20_000;
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

/// The sum of a number that follows this label in the plans, per statement the largest place it has.
fn sum(plans: &[String], label: &str) -> u64 {
    let numbers = plans.iter().flat_map(|plan| plan.lines()).filter_map(|line| {
        let rest = line.split(label).nth(1)?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()
    });
    numbers.sum()
}

/// Buffers of the whole of each statement: the first such line of its plan.
fn buffers(plans: &[String]) -> u64 {
    let first = |plan: &String| {
        let line = plan.lines().find(|line| line.contains("Buffers:"))?.to_owned();
        let line = std::slice::from_ref(&line);
        Some(sum(line, "hit=") + sum(line, "read="))
    };
    plans.iter().filter_map(first).sum()
}

fn assert_bounded(plans: &[String], rows: usize, live: i64, what: &str) {
    assert!(!plans.is_empty());
    let removed = sum(plans, "Rows Removed by Filter: ") + sum(plans, "Rows Removed by Index Recheck: ");
    // Of each statement of a page: the page itself, and what is on its other side.
    assert!(
        removed <= 2 * live as u64,
        "{removed} rows in vain: {what}\n{}",
        plans.join("\n\n")
    );
    let touched = buffers(plans);
    let allowed = plans.len() as u64 * BUFFERS_FIXED + BUFFERS_PER_ROW * (rows as u64 + 2 * live as u64);
    assert!(
        touched <= allowed,
        "{touched} pages touched, {rows} rows: {what}\n{}",
        plans.join("\n\n")
    );
    assert!(
        !plans.iter().any(|plan| plan.contains("Seq Scan")),
        "{what}\n{}",
        plans.join("\n\n")
    );
}

#[tokio::test]
async fn the_work_of_a_page_is_bounded_by_its_rows_and_who_is_live_in_postgres() {
    let db = filled().await;
    for analyzed in [false, true] {
        if analyzed {
            // Whether the database knows what it holds or not.
            db.command("ANALYZE; DISCARD PLANS").await.unwrap();
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
