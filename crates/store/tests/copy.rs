//! Backups and restores of files: of one moment, whole or not at all, and never over a database in use.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use room::{AccountSid, RoomSid, Timestamp};
use rusqlite::Connection;
use store::conformance::ordinary_room;
use store::{Account, Audit, AuditFilter, DatabaseCopy, DatabaseLock, NewRoom, SqliteStore, Store, StoreError};

const ACCOUNT: AccountSid = AccountSid::from_bytes([0xa0; 16]);

fn room_sid(number: u8) -> RoomSid {
    RoomSid::from_bytes([number; 16])
}

async fn create(store: &SqliteStore, number: u8) {
    let new = NewRoom {
        status_callback: None,
        ..ordinary_room(room_sid(number), Timestamp(1))
    };
    store.create_room(ACCOUNT, new).await.unwrap();
}

/// A store with these rooms in progress.
async fn store(path: &Path, rooms: std::ops::Range<u8>) -> SqliteStore {
    let store = SqliteStore::open(path).unwrap();
    let account = Account::new(ACCOUNT);
    store.put_account(account).await.unwrap();
    for number in rooms {
        create(&store, number).await;
    }
    store
}

fn copy(from: &Path, directory: &Path) -> DatabaseCopy {
    DatabaseCopy::make(from, directory, &mut |_, _| ()).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_copy_of_a_database_that_is_written_is_whole_and_of_one_moment() {
    let directory = tempfile::tempdir().unwrap();
    let copies = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = store(&path, 0..100).await;
    // Enough pages for several steps.
    let big = Connection::open(&path).unwrap();
    big.execute_batch("CREATE TABLE ballast (x); INSERT INTO ballast VALUES (zeroblob(20000000))")
        .unwrap();
    drop(big);
    let copying = std::thread::spawn({
        let (path, copies) = (path.clone(), copies.path().to_owned());
        move || {
            let mut told = Vec::new();
            let copy = DatabaseCopy::make(&path, &copies, &mut |done, of| {
                told.push((done, of));
                // So that there are writes between any two steps.
                std::thread::sleep(std::time::Duration::from_millis(50));
            });
            (copy.unwrap(), told)
        }
    });
    let mut number = 100;
    while !copying.is_finished() && number < 250 {
        create(&store, number).await;
        number += 1;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let (copy, told) = copying.join().unwrap();
    assert!(told.len() > 2 && told.is_sorted(), "{told:?}");
    let findings = copy.check(&mut |_| ()).unwrap();
    assert_eq!(findings.violations, []);
    assert!(
        findings.rooms >= 100 && findings.rooms <= u64::from(number),
        "{}",
        findings.rooms
    );
    assert!(number > 101, "it was not written meanwhile");
    let backup = copies.path().join("backup.db");
    copy.publish(&backup, false).unwrap();
    assert_eq!(names(copies.path()), ["backup.db"], "one file is all of it");
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SqliteStore::check_file(&backup, &mut |_| ()).unwrap(), findings);
}

#[tokio::test]
async fn a_name_that_is_taken_is_kept_and_a_copy_without_a_name_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    drop(store(&path, 0..3).await);
    let taken = directory.path().join("taken");
    std::fs::write(&taken, "dear").unwrap();
    let before = names(directory.path());
    let refused = copy(&path, directory.path()).publish(&taken, false);
    assert!(matches!(refused, Err(StoreError::NotWritable { path, .. }) if path == taken));
    assert_eq!(std::fs::read(&taken).unwrap(), b"dear");
    drop(copy(&path, directory.path()));
    assert_eq!(names(directory.path()), before);
    copy(&path, directory.path()).publish(&taken, true).unwrap();
    assert_eq!(SqliteStore::check_file(&taken, &mut |_| ()).unwrap().rooms, 3);
    let nothing = DatabaseCopy::make(&directory.path().join("none"), directory.path(), &mut |_, _| ());
    assert!(matches!(nothing.map(drop), Err(StoreError::Backend(_))));
    let nowhere = DatabaseCopy::make(&path, &directory.path().join("none"), &mut |_, _| ());
    assert!(matches!(nowhere.map(drop), Err(StoreError::NotWritable { .. })));
}

#[tokio::test]
async fn what_is_restored_goes_on_above_the_epochs_of_what_it_replaces() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let serving = store(&path, 0..3).await;
    let backup = directory.path().join("backup.db");
    serving.secret("page_token", [7; 32]).await.unwrap();
    let line = |operation: &str| Audit {
        at: Timestamp(5),
        account: Some(ACCOUNT),
        credential: ACCOUNT.to_string(),
        method: None,
        operation: operation.to_owned(),
        room: None,
        participant: None,
        api_key: None,
        status: None,
        remote: None,
        request_id: None,
    };
    serving.record(line("before")).await.unwrap();
    copy(&path, directory.path()).publish(&backup, false).unwrap();
    serving.record(line("after")).await.unwrap();
    // Five starts, and a room that the backup does not know.
    for _ in 0..5 {
        serving.take_over(Timestamp(2)).await.unwrap();
    }
    create(&serving, 9).await;
    drop(serving);

    let lock = DatabaseLock::take(&path).unwrap();
    let restored = copy(&backup, directory.path()).replace(&lock, 77).unwrap();
    let kept = directory.path().join("rotunda.db.replaced-77");
    assert_eq!((restored.rooms, restored.replaced.as_deref()), (3, Some(&*kept)));
    let store = SqliteStore::open_locked(lock).unwrap();
    let taken = store.take_over(Timestamp(3)).await.unwrap();
    let epochs: Vec<u64> = taken.iter().map(|live| live.room.epoch).collect();
    assert_eq!(epochs, [7, 7, 7], "it was 1 in the backup and 6 in what was replaced");
    assert_eq!(store.room(ACCOUNT, room_sid(9)).await.unwrap(), None);
    let log = store.audit(AuditFilter::default(), 0, 10).await.unwrap();
    let told: Vec<&str> = log.iter().map(|row| &*row.audit.operation).collect();
    assert_eq!(told, ["before", "after", "restore"], "who changed what is not undone");
    drop(store);
    assert_eq!(SqliteStore::check_file(&path, &mut |_| ()).unwrap().violations, []);
    // What was replaced is whole, and can be restored in turn.
    let old = SqliteStore::check_file(&kept, &mut |_| ()).unwrap();
    assert_eq!((old.rooms, old.violations), (4, Vec::new()));
}

#[tokio::test]
async fn a_database_in_use_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let lock = DatabaseLock::take(&path).unwrap();
    let serving = SqliteStore::open_locked(std::sync::Arc::clone(&lock)).unwrap();
    let refused = copy(&path, directory.path()).replace(&lock, 1);
    assert!(
        matches!(refused, Err(StoreError::InUse { .. })),
        "a store has it: {refused:?}"
    );
    drop(serving);
    let other = Connection::open(&path).unwrap();
    other.query_row("SELECT count(*) FROM rooms", [], |_| Ok(())).unwrap();
    let refused = copy(&path, directory.path()).replace(&lock, 1);
    assert!(
        matches!(refused, Err(StoreError::InUse { .. })),
        "another program has it: {refused:?}"
    );
    drop(other);
    copy(&path, directory.path()).replace(&lock, 1).unwrap();
    assert!(matches!(DatabaseLock::take(&path), Err(StoreError::InUse { .. })));
}

#[tokio::test]
async fn a_damaged_database_is_replaced_and_kept_with_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    drop(store(&path, 0..2).await);
    let backup = directory.path().join("backup.db");
    copy(&path, directory.path()).publish(&backup, false).unwrap();
    std::fs::write(&path, "damaged ".repeat(1000)).unwrap();
    std::fs::write(directory.path().join("rotunda.db-wal"), "its log").unwrap();
    let lock = DatabaseLock::take(&path).unwrap();
    copy(&backup, directory.path()).replace(&lock, 5).unwrap();
    let store = SqliteStore::open_locked(lock).unwrap();
    let taken = store.take_over(Timestamp(3)).await.unwrap();
    assert_eq!(taken.len(), 2);
    assert!(
        taken.iter().all(|live| live.room.epoch > 1000),
        "nobody knows how far it came"
    );
    let kept = |suffix: &str| std::fs::read(directory.path().join(format!("rotunda.db.replaced-5{suffix}"))).unwrap();
    assert_eq!(kept("-wal"), b"its log");
    assert!(kept("").starts_with(b"damaged "));
}

#[tokio::test]
async fn a_backup_of_an_earlier_version_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("old.db");
    let db = Connection::open(&old).unwrap();
    db.execute_batch(include_str!("../src/migrations/0001_initial.sql"))
        .unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    drop(db);
    let mut copy = copy(&old, directory.path());
    assert!(matches!(
        copy.check(&mut |_| ()),
        Err(StoreError::OlderSchema { found: 1, .. })
    ));
    copy.migrate().unwrap();
    assert_eq!(copy.check(&mut |_| ()).unwrap().violations, []);
    let lock = DatabaseLock::take(&directory.path().join("rotunda.db")).unwrap();
    assert_eq!(copy.replace(&lock, 1).unwrap().replaced, None, "there was none");
    SqliteStore::open_locked(lock).unwrap();
}
