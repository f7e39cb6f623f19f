//! What was acknowledged survives a process that is killed at any moment, and nothing is half there.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use room::{AccountSid, Change, ParticipantSid, RoomSid, Timestamp, TrackSid};
use store::conformance::{ordinary_join, ordinary_room, ordinary_track};
use store::{Account, SqliteStore, Store};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
const ROOMS: u8 = 6;
const ROUNDS: u32 = 10;

/// Names the database in the environment of the child, and its round.
const DATABASE: &str = "STORE_DURABILITY_DATABASE";
const ROUND: &str = "STORE_DURABILITY_ROUND";

/// The child's part; without its environment this is no test.
#[test]
fn writes_until_it_is_killed() {
    let (Ok(path), Ok(round)) = (std::env::var(DATABASE), std::env::var(ROUND)) else {
        return;
    };
    let round: u32 = round.parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(SqliteStore::open(Path::new(&path)).unwrap());
        let rooms: Vec<_> = (0..ROOMS)
            .map(|number| tokio::spawn(fill(Arc::clone(&store), number, round)))
            .collect();
        for room in rooms {
            room.await.unwrap();
        }
    });
}

/// Lets one participant with one track join after the other, for ever, and tells of each.
async fn fill(store: Arc<SqliteStore>, room: u8, round: u32) {
    let sid = RoomSid::from_bytes([room; 16]);
    for number in 0.. {
        let key = key(room, round, number);
        let participant = ParticipantSid::from_bytes(key);
        let at = Timestamp(i64::from(number));
        let joined = ordinary_join(participant, format!("{round} {number}"), at);
        let track = ordinary_track(TrackSid::from_bytes(key));
        let published = Change::TrackPublished { participant, track, at };
        store.write(ACCOUNT, sid, 1, vec![joined, published]).await.unwrap();
        // A line of its own, also behind what the test harness has begun to print.
        println!("\nACK {room} {round} {number}");
    }
}

fn key(room: u8, round: u32, number: u32) -> [u8; 16] {
    let mut key = [room; 16];
    key[4..8].copy_from_slice(&round.to_be_bytes());
    key[8..12].copy_from_slice(&number.to_be_bytes());
    key
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(create_rooms(&path));
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        // Moments spread over the time in which a few hundred commits are made.
        let moment = Duration::from_micros(u64::from(round) * 17_311 % 120_000);
        acknowledged.extend(killed_after(&path, round, moment));
        let store = SqliteStore::open(&path).unwrap();
        runtime.block_on(async {
            for &(room, round, number) in &acknowledged {
                let sid = RoomSid::from_bytes([room; 16]);
                let participant = ParticipantSid::from_bytes(key(room, round, number));
                let row = store.participant(ACCOUNT, sid, participant).await.unwrap();
                assert!(row.is_some(), "lost {room} {round} {number}");
            }
            store.check().await.unwrap();
        });
        drop(store);
        is_whole(&path);
    }
    // Each round got somewhere.
    let rounds: BTreeSet<_> = acknowledged.iter().map(|(_, round, _)| *round).collect();
    assert_eq!(rounds.len(), ROUNDS as usize);
}

async fn create_rooms(path: &Path) {
    let store = SqliteStore::open(path).unwrap();
    store.put_account(Account::new(ACCOUNT)).await.unwrap();
    for number in 0..ROOMS {
        let room = ordinary_room(RoomSid::from_bytes([number; 16]), Timestamp(0));
        store.create_room(ACCOUNT, room).await.unwrap();
    }
}

/// Runs a child, kills it so long after its first acknowledgement, and tells what it had
/// acknowledged.
fn killed_after(path: &Path, round: u32, moment: Duration) -> Vec<(u8, u32, u32)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["writes_until_it_is_killed", "--exact", "--nocapture"])
        .env(DATABASE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut killer = Some(child);
        let mut lines = Vec::new();
        let mut kill = None;
        for line in output.lines() {
            let line = line.unwrap();
            let Some(numbers) = line.strip_prefix("ACK ") else {
                continue;
            };
            let numbers: Vec<u32> = numbers.split(' ').map(|n| n.parse().unwrap()).collect();
            lines.push((numbers[0] as u8, numbers[1], numbers[2]));
            if let Some(mut child) = killer.take() {
                kill = Some(std::thread::spawn(move || {
                    std::thread::sleep(moment);
                    child.kill().unwrap();
                    child.wait().unwrap();
                }));
            }
        }
        kill.expect("the child acknowledged something").join().unwrap();
        lines
    });
    reader.join().unwrap()
}

/// Every batch is there in full or not at all: a participant has its track, both have their
/// events and callbacks, and events are numbered without gaps.
fn is_whole(path: &Path) {
    let db = rusqlite::Connection::open(path).unwrap();
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let participants = count("SELECT count(*) FROM participants");
    assert_eq!(count("SELECT count(*) FROM tracks"), participants);
    let events = 2 * participants + i64::from(ROOMS);
    assert_eq!(count("SELECT count(*) FROM events"), events);
    assert_eq!(count("SELECT count(*) FROM outbox"), events);
    assert_eq!(count("SELECT sum(next_seq) FROM rooms"), events);
    let gaps = "SELECT count(*) FROM (SELECT room_id FROM events GROUP BY room_id
         HAVING max(seq) <> count(*) - 1 OR min(seq) <> 0)";
    assert_eq!(count(gaps), 0);
    let intact: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(intact, "ok");
}
