//! An identity that was erased is in none of the database's files: not in rows, indexes, freed pages or the log.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use room::{AccountSid, Change, ParticipantSid, RoomSid, Timestamp, TrackSid};
use store::conformance::{ordinary_join, ordinary_room, ordinary_track};
use store::{Account, Outage, SqliteStore, Store, StoreError};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
const ROOM: RoomSid = RoomSid::from_bytes([2; 16]);

fn pa(number: u64) -> ParticipantSid {
    let mixed = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    ParticipantSid::from_bytes(mixed.to_be_bytes())
}

fn identity(number: u64) -> String {
    // Of different lengths, so that rows do not fit into each other's places.
    format!("secret-{number:05}-{}", "x".repeat(number as usize * 7 % 90))
}

async fn open(path: &Path) -> Arc<SqliteStore> {
    let store = SqliteStore::open(path).unwrap();
    store.put_account(Account::new(ACCOUNT)).await.unwrap();
    let room = ordinary_room(ROOM, Timestamp(1_000_000));
    store.create_room(ACCOUNT, room).await.unwrap();
    Arc::new(store)
}

async fn write(store: &SqliteStore, changes: Vec<Change>) {
    store.write(ACCOUNT, ROOM, 1, changes).await.unwrap();
}

fn join(number: u64) -> Vec<Change> {
    let at = Timestamp(2_000_000 + number as i64);
    vec![
        ordinary_join(pa(number), identity(number), at),
        Change::TrackPublished {
            participant: pa(number),
            track: ordinary_track(TrackSid::from_bytes(*pa(number).as_bytes())),
            at,
        },
    ]
}

fn leave(number: u64) -> Change {
    Change::ParticipantDisconnected {
        participant: pa(number),
        at: Timestamp(3_000_000 + number as i64),
        duration_s: 12,
    }
}

/// Whose identities are in which of the database's files.
fn traces(directory: &Path) -> BTreeMap<u64, BTreeSet<String>> {
    const PREFIX: &[u8] = b"secret-";
    let mut found: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'-');
        for (end, _) in ends.filter(|(end, _)| bytes[..=*end].ends_with(PREFIX)) {
            let digits = bytes.get(end + 1..end + 6).unwrap_or_default();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if let Ok(number) = String::from_utf8_lossy(digits).parse() {
                found.entry(number).or_default().insert(name);
            }
        }
    }
    found
}

/// Fills a room with stays in every order, erases some of them, live and gone, and looks for each. The file is made by this.
async fn erased_without_a_trace(seed: u64, people: u64, make: fn(&rusqlite::Connection)) {
    let directory = tempfile::tempdir().unwrap();
    make(&rusqlite::Connection::open(directory.path().join("rotunda.db")).unwrap());
    let store = open(&directory.path().join("rotunda.db")).await;
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut live: Vec<u64> = Vec::new();
    let mut batch = Vec::new();
    for number in 0..people {
        batch.extend(join(number));
        live.push(number);
        if dice.u8(..10) < 3 {
            let lost = live[dice.usize(..live.len())];
            let at = Timestamp(2_500_000 + number as i64);
            let participant = pa(lost);
            batch.push(Change::ParticipantReconnecting { participant, at });
        }
        while live.len() > 40 {
            batch.push(leave(live.swap_remove(dice.usize(..live.len()))));
        }
        // Few commits, since each waits for the disk.
        if dice.u8(..20) == 0 {
            write(&store, std::mem::take(&mut batch)).await;
        }
    }
    let mut erased: BTreeSet<u64> = (0..people / 20).map(|_| dice.u64(..people)).collect();
    erased.extend(&live[..10]);
    let erase = |number: &u64| Change::ParticipantAnonymized {
        participant: pa(*number),
    };
    batch.extend(erased.iter().map(erase));
    write(&store, batch).await;
    assert!(!traces(directory.path()).is_empty());
    store.expunge().await.unwrap();
    let left = traces(directory.path());
    let reader = rusqlite::Connection::open(directory.path().join("rotunda.db")).unwrap();
    let sound: String = reader
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sound, "ok");
    for number in 0..people {
        let expected = (!erased.contains(&number)).then(|| BTreeSet::from(["rotunda.db".to_owned()]));
        assert_eq!(left.get(&number), expected.as_ref(), "{number}, seed {seed}");
    }
}

#[tokio::test]
async fn an_erased_identity_is_in_none_of_the_files() {
    for (seed, people) in [(1, 300), (2, 700), (3, 1500), (4, 3000)] {
        erased_without_a_trace(seed, people, |_| {}).await;
    }
}

#[tokio::test]
async fn nor_is_it_in_a_file_whose_pages_cannot_be_looked_at_one_by_one() {
    // It shrinks by itself and has maps for that, which look like pages with rows.
    let make = |db: &rusqlite::Connection| {
        db.execute_batch("PRAGMA auto_vacuum = FULL; CREATE TABLE some (word TEXT); DROP TABLE some")
            .unwrap();
    };
    erased_without_a_trace(5, 700, make).await;
}

#[tokio::test]
async fn somebody_who_reads_an_older_state_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = open(&path).await;
    write(&store, join(1)).await;
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader
        .query_row("SELECT count(*) FROM participants", [], |row| row.get(0))
        .unwrap();
    write(&store, vec![Change::ParticipantAnonymized { participant: pa(1) }]).await;
    let expunging = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.expunge().await })
    };
    // Others write on meanwhile.
    write(&store, join(2)).await;
    assert!(!expunging.is_finished());
    reader.execute_batch("COMMIT").unwrap();
    expunging.await.unwrap().unwrap();
    assert!(!traces(directory.path()).contains_key(&1));
}

#[tokio::test]
async fn somebody_who_reads_for_ever_is_not_waited_for_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = open(&path).await;
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader
        .query_row("SELECT count(*) FROM participants", [], |row| row.get(0))
        .unwrap();
    write(&store, join(1)).await;
    let expunged = tokio::time::timeout(Duration::from_secs(60), store.expunge())
        .await
        .unwrap();
    assert!(
        matches!(
            expunged,
            Err(StoreError::Unavailable {
                outage: Outage::Locked,
                ..
            })
        ),
        "{expunged:?}"
    );
    reader.execute_batch("COMMIT").unwrap();
    store.expunge().await.unwrap();
}
