//! Measures list pages and writes, and prints one JSON line.
//!
//! `cargo run --release -p store --example list_page [participants] [directory]`: fills a room with
//! that many participants (10,000), lists pages of 50 one after the other, then lets 1, 10 and 100
//! rooms write at once. The database is made in the directory (one for temporary files), on whose
//! disk the writes depend.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use room::{AccountSid, Change, ParticipantSid, ParticipantStatus, RoomSid, Timestamp};
use store::conformance::{ordinary_join, ordinary_room};
use store::{Account, NewRoom, PageRequest, ParticipantFilter, Position, SqliteStore, Store};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
const PAGE: u32 = 50;
const MEASURED: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let participants = arguments.next().map_or(10_000, |n| n.parse().unwrap());
    let directory = match arguments.next() {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    let directory = directory.unwrap();
    let store = Arc::new(SqliteStore::open(&directory.path().join("bench.db")).unwrap());
    let account = Account::new(ACCOUNT);
    store.put_account(account).await.unwrap();
    let room = create(&*store, 0).await;
    fill(&*store, room, participants).await;

    let mut parts = vec![format!("\"participants\":{participants},\"page\":{PAGE}")];
    for (name, status, identity) in [
        ("all", None, None),
        ("connected", Some(ParticipantStatus::Connected), None),
        ("disconnected", Some(ParticipantStatus::Disconnected), None),
        ("identity", None, Some("guest 0")),
    ] {
        let filter = ParticipantFilter {
            status,
            identity: identity.map(str::to_owned),
            ..ParticipantFilter::default()
        };
        parts.push(list(&*store, room, name, filter, participants).await);
    }
    for rooms in [1, 10, 100] {
        parts.push(write(&store, rooms).await);
    }
    println!("{{{}}}", parts.join(","));
}

fn key(kind: u8, number: u64) -> [u8; 16] {
    let mixed = (u128::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let mut key = mixed.to_be_bytes();
    key[15] = kind;
    key
}

async fn create(store: &dyn Store, number: u32) -> RoomSid {
    let sid = RoomSid::from_bytes(key(0, number.into()));
    let room = NewRoom {
        status_callback: None,
        ..ordinary_room(sid, Timestamp(0))
    };
    store.create_room(ACCOUNT, room).await.unwrap();
    sid
}

/// Joins, and the leaves of all but the fifty that are there at last; a hundred to a batch.
async fn fill(store: &dyn Store, room: RoomSid, participants: u32) {
    let numbers: Vec<u32> = (0..participants).collect();
    for chunk in numbers.chunks(100) {
        let changes = chunk.iter().flat_map(|&number| {
            let sid = ParticipantSid::from_bytes(key(1, number.into()));
            let leaves = number + 50 < participants;
            // A few guests come again and again.
            let identity = match leaves {
                true => format!("guest {}", number % 97),
                false => format!("live {number}"),
            };
            let left = leaves.then_some(Change::ParticipantDisconnected {
                participant: sid,
                at: Timestamp(i64::from(number)),
                duration_s: 0,
            });
            std::iter::once(ordinary_join(sid, identity, Timestamp(i64::from(number)))).chain(left)
        });
        store.write(ACCOUNT, room, 1, changes.collect()).await.unwrap();
    }
}

/// Pages at places all over the list, one after the other.
async fn list(store: &dyn Store, room: RoomSid, name: &str, filter: ParticipantFilter, participants: u32) -> String {
    let mut took = Vec::new();
    let began = Instant::now();
    while began.elapsed() < MEASURED {
        let place = (took.len() as u32).wrapping_mul(2_654_435_761) % participants;
        let request = PageRequest {
            size: PAGE,
            from: Some(Position {
                created: Timestamp(i64::from(place)),
                sid: key(1, place.into()),
            }),
            backwards: took.len() % 2 == 1,
        };
        let asked = Instant::now();
        let page = store.participants(ACCOUNT, room, filter.clone(), request);
        page.await.unwrap();
        took.push(asked.elapsed());
    }
    let per_second = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_micros();
    format!(
        "\"list_{name}\":{{\"pages_per_s\":{per_second:.0},\"p50_us\":{},\"p99_us\":{}}}",
        at(50),
        at(99)
    )
}

/// Joins and leaves, each a write of its own, in so many rooms at once.
async fn write(store: &Arc<SqliteStore>, rooms: u32) -> String {
    let began = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..rooms {
        let room = create(&**store, rooms * 1000 + number).await;
        let store = Arc::clone(store);
        tasks.push(tokio::spawn(async move {
            let mut took = Vec::new();
            while began.elapsed() < MEASURED {
                let count = took.len() as u32;
                let sid =
                    ParticipantSid::from_bytes(key(2, (u64::from(rooms * 1000 + number) << 32) | u64::from(count / 2)));
                let at = i64::from(count);
                let change = match count % 2 {
                    0 => ordinary_join(sid, "guest".to_owned(), Timestamp(at)),
                    _ => Change::ParticipantDisconnected {
                        participant: sid,
                        at: Timestamp(at),
                        duration_s: 0,
                    },
                };
                let asked = Instant::now();
                store.write(ACCOUNT, room, 1, vec![change]).await.unwrap();
                took.push(asked.elapsed());
            }
            took
        }));
    }
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.unwrap());
    }
    let per_second = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_micros();
    format!(
        "\"write_{rooms}_rooms\":{{\"per_s\":{per_second:.0},\"p50_us\":{},\"p99_us\":{}}}",
        at(50),
        at(99)
    )
}
