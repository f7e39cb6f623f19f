//! The SQLite backend's own behaviour: files, locks, versions.
#![allow(clippy::unwrap_used)]

use std::task::{Context, Waker};

use room::{AccountSid, RoomSid, Timestamp};
use store::conformance::ordinary_room;
use store::{Account, CallbackOutcome, NewRoom, Outage, SqliteStore, Store, StoreError};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);

fn new_room(sid: u8) -> NewRoom {
    NewRoom {
        status_callback: None,
        ..ordinary_room(RoomSid::from_bytes([sid; 16]), Timestamp(1_000_000))
    }
}

async fn with_account(store: SqliteStore) -> SqliteStore {
    let account = Account::new(ACCOUNT);
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

#[tokio::test]
async fn a_lock_of_another_program_stops_writes_and_no_reads_and_passes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = with_account(SqliteStore::open(&path).unwrap()).await;
    store.create_room(ACCOUNT, new_room(1)).await.unwrap();
    let shell = rusqlite::Connection::open(&path).unwrap();
    shell.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = store.create_room(ACCOUNT, new_room(2)).await;
    assert!(
        matches!(
            refused,
            Err(StoreError::Unavailable {
                outage: Outage::Locked,
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(store.condition().outage, Some(Outage::Locked));
    assert!(
        store
            .room(ACCOUNT, RoomSid::from_bytes([1; 16]))
            .await
            .unwrap()
            .is_some()
    );
    shell.execute_batch("ROLLBACK").unwrap();
    store.create_room(ACCOUNT, new_room(2)).await.unwrap();
    assert_eq!(store.condition().outage, None);
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

#[tokio::test]
async fn dropping_the_store_finishes_what_was_queued() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = with_account(SqliteStore::open(&path).unwrap()).await;
    for sid in 0..100 {
        let mut call = store.create_room(ACCOUNT, new_room(sid));
        // Once is enough to be queued; then nobody waits for it any more.
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    for sid in 0..100 {
        let sid = RoomSid::from_bytes([sid; 16]);
        assert!(store.room(ACCOUNT, sid).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn attempts_are_kept_with_a_short_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = with_account(SqliteStore::open(&path).unwrap()).await;
    let room = NewRoom {
        status_callback: Some("https://example.com".to_owned()),
        ..new_room(1)
    };
    let at = store.create_room(ACCOUNT, room).await.unwrap().new.at;
    let due = store.lease_callbacks(at, at, 1).await.unwrap();
    let error = "ö".repeat(10_000);
    for (answer, ended, outcome) in [
        (Err(error), at, CallbackOutcome::Retry(at)),
        (Ok(204), Timestamp(at.0 + 1), CallbackOutcome::Delivered),
    ] {
        let recorded = store.record_callback(due[0].id, ended, answer, outcome).await;
        recorded.unwrap();
    }
    drop(store);
    let db = rusqlite::Connection::open(&path).unwrap();
    let mut query = db
        .prepare("SELECT at_us, status, error FROM attempts ORDER BY id")
        .unwrap();
    let attempts: Vec<(i64, Option<u16>, Option<String>)> = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let short = "ö".repeat(store::limits::ATTEMPT_ERROR_CHARS);
    assert_eq!(attempts, [(at.0, None, Some(short)), (at.0 + 1, Some(204), None)]);
}

#[cfg(unix)]
#[test]
fn the_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("rotunda.db")).unwrap();
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    drop(store);
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
async fn a_store_in_memory_has_no_file() {
    let store = SqliteStore::in_memory().unwrap();
    let store = with_account(store).await;
    for sid in 0..20 {
        store.create_room(ACCOUNT, new_room(sid)).await.unwrap();
    }
    store.check().await.unwrap();
    // What it has open has no name any more, so nothing is left however the process ends.
    #[cfg(target_os = "linux")]
    for open in std::fs::read_dir("/proc/self/fd").unwrap() {
        let Ok(target) = std::fs::read_link(open.unwrap().path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        assert!(
            !target.contains("/rotunda-") || target.ends_with("(deleted)"),
            "{target}"
        );
    }
}
