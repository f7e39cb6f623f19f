//! The SQLite backend's own behaviour: files, locks, versions.
#![allow(clippy::unwrap_used)]

use room::{AccountSid, RoomSid, Timestamp};
use store::{Account, CallbackMethod, NewRoom, SqliteStore, Store, StoreError};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);

fn new_room(sid: u8) -> NewRoom {
    NewRoom {
        sid: RoomSid::from_bytes([sid; 16]),
        unique_name: None,
        ad_hoc: false,
        status_callback: None,
        status_callback_method: CallbackMethod::Post,
        max_participants: 50,
        max_participant_duration_s: 14_400,
        empty_room_timeout_min: 5,
        unused_room_timeout_min: 5,
        video_codecs: vec!["VP8".to_owned()],
        media_region: None,
        at: Timestamp(1_000_000),
    }
}

async fn with_account(store: SqliteStore) -> SqliteStore {
    let account = Account {
        sid: ACCOUNT,
        auth_token: "0".repeat(32),
    };
    store.put_account(account).await.unwrap();
    store
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = with_account(SqliteStore::open(&path).unwrap()).await;
    let created = store.create_room(ACCOUNT, new_room(7)).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    let found = store.room(ACCOUNT, created.new.sid).await.unwrap();
    assert_eq!(found, Some(created));
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_second_store_on_the_same_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = SqliteStore::open(&path).unwrap();
    assert!(matches!(
        SqliteStore::open(&path).map(drop),
        Err(StoreError::InUse { path: named }) if named == path
    ));
    drop(store);
    SqliteStore::open(&path).unwrap();
}

#[test]
fn a_directory_that_is_not_there_is_told_from_other_failures() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing").join("rotunda.db");
    assert!(matches!(
        SqliteStore::open(&path).map(drop),
        Err(StoreError::NotWritable { .. })
    ));
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    drop(SqliteStore::open(&path).unwrap());
    let db = rusqlite::Connection::open(&path).unwrap();
    let known: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    db.pragma_update(None, "user_version", known + 1).unwrap();
    drop(db);
    let before = std::fs::read(&path).unwrap();
    match SqliteStore::open(&path).map(drop) {
        Err(StoreError::NewerSchema { found, known: k }) => {
            assert_eq!((found, k), (known + 1, known));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_store_in_memory_leaves_no_file_and_starts_fast() {
    let began = std::time::Instant::now();
    let store = SqliteStore::in_memory().unwrap();
    let took = began.elapsed();
    let store = with_account(store).await;
    for sid in 0..20 {
        store.create_room(ACCOUNT, new_room(sid)).await.unwrap();
    }
    store.check().await.unwrap();
    // Generous: the machine may be busy.
    assert!(took.as_millis() < 100, "{took:?}");
}
