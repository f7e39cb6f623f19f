//! Tests that reads never wait for writes, and that the write-ahead log stays short under reads.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use room::{
    AccountSid, Change, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus, RoomType, Rules, SessionHash, Timestamp,
};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{SqliteStore, change};
use crate::{
    Account, CallbackMethod, NewRoom, PageRequest, ParticipantFilter, ParticipantRow, RoomFilter, Store, StoreError,
    limits,
};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
const ROOM: RoomSid = RoomSid::from_bytes([2; 16]);
/// Longer than anything takes on the slowest machine: reads that waited would never end.
const PATIENCE: Duration = Duration::from_secs(60);
const PAGE_BYTES: u64 = 4096;
const FIRST_PAGE: PageRequest = PageRequest {
    size: 50,
    from: None,
    backwards: false,
};

/// A store with a room in which `first` is.
async fn store() -> (Arc<SqliteStore>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&directory.path().join("rotunda.db")).unwrap());
    let account = Account::new(ACCOUNT);
    store.put_account(account).await.unwrap();
    let new = NewRoom {
        sid: ROOM,
        unique_name: Some("daily".to_owned()),
        kind: RoomType::Group,
        audio_only: false,
        large_room: false,
        ad_hoc: false,
        status_callback: None,
        status_callback_method: CallbackMethod::Post,
        max_participants: 50,
        max_participant_duration_s: 600,
        empty_room_timeout_min: 5,
        unused_room_timeout_min: 5,
        video_codecs: Vec::new(),
        media_region: None,
        at: Timestamp(0),
    };
    store.create_room(ACCOUNT, new).await.unwrap();
    store.write(ACCOUNT, ROOM, 1, vec![join(1)]).await.unwrap();
    (store, directory)
}

fn join(number: u8) -> Change {
    Change::ParticipantConnected {
        participant: ParticipantSid::from_bytes([number; 16]),
        identity: format!("guest {number}"),
        session: SessionHash([0; 32]),
        rules: Rules::everything(),
        at: Timestamp(i64::from(number)),
    }
}

async fn list(store: &SqliteStore, filter: ParticipantFilter) -> Vec<ParticipantRow> {
    let page = store.participants(ACCOUNT, ROOM, filter, FIRST_PAGE);
    let page = tokio::time::timeout(PATIENCE, page).await.expect("no read waits");
    page.unwrap().rows
}

/// Something that is under way on one of the store's threads until it is told to go on.
struct Held<T> {
    go: mpsc::Sender<()>,
    end: JoinHandle<Result<T, StoreError>>,
}

impl<T> Held<T> {
    async fn end(self) -> T {
        assert!(!self.end.is_finished(), "it is still under way");
        self.go.send(()).unwrap();
        self.end.await.unwrap().unwrap()
    }
}

/// A write that has made this change, and does not commit it yet.
async fn hold_write(store: &Arc<SqliteStore>, change: Change) -> Held<()> {
    let (go, wait) = mpsc::channel();
    let (began, begun) = oneshot::channel();
    let store = Arc::clone(store);
    let end = tokio::spawn(async move {
        let write = store.writer.run(move |db| {
            change::apply(db, ACCOUNT, ROOM, 1, &[change])?;
            began.send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        });
        write.await
    });
    begun.await.unwrap();
    Held { go, end }
}

/// A read that has begun and goes on seeing that state; in the end, how many participants it saw.
async fn hold_read(store: &Arc<SqliteStore>) -> Held<i64> {
    let (go, wait) = mpsc::channel();
    let (began, begun) = oneshot::channel();
    let store = Arc::clone(store);
    let end = tokio::spawn(async move {
        let read = store.readers.run(move |db| {
            count(db)?;
            began.send(()).unwrap();
            wait.recv().unwrap();
            count(db)
        });
        read.await
    });
    begun.await.unwrap();
    Held { go, end }
}

fn count(db: &Connection) -> Result<i64, StoreError> {
    Ok(db.query_row("SELECT count(*) FROM participants", [], |row| row.get(0))?)
}

/// Fills pages of the log that no list reads.
async fn write_bytes(store: &SqliteStore, bytes: u64) {
    let write = store.writer.run(move |db| {
        db.execute_batch("CREATE TABLE IF NOT EXISTS bytes (id INTEGER PRIMARY KEY, bytes BLOB)")?;
        db.execute(
            "INSERT OR REPLACE INTO bytes VALUES (abs(random()) % 16, randomblob(?1))",
            [bytes as i64],
        )?;
        Ok(())
    });
    write.await.unwrap();
}

fn log_bytes(directory: &Path) -> u64 {
    std::fs::metadata(directory.join("rotunda.db-wal")).unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_answers_while_a_write_is_under_way() {
    let (store, _directory) = store().await;
    let held = hold_write(&store, join(2)).await;
    let statuses = ParticipantStatus::ALL.iter().copied().map(Some);
    for status in std::iter::once(None).chain(statuses) {
        for identity in [None, Some("guest 1"), Some("guest 2")] {
            let filter = ParticipantFilter {
                status,
                identity: identity.map(str::to_owned),
                ..ParticipantFilter::default()
            };
            let is_there = identity != Some("guest 2") && matches!(status, None | Some(ParticipantStatus::Connected));
            assert_eq!(
                list(&store, filter).await.len(),
                usize::from(is_there),
                "{status:?} {identity:?}"
            );
        }
    }
    let others = async {
        let filter = RoomFilter {
            status: RoomStatus::InProgress,
            unique_name: None,
            created_from_s: None,
            created_before_s: None,
        };
        assert_eq!(store.rooms(ACCOUNT, filter, FIRST_PAGE).await.unwrap().rows.len(), 1);
        assert!(store.room(ACCOUNT, ROOM).await.unwrap().is_some());
        assert!(store.room_in_progress(ACCOUNT, "daily").await.unwrap().is_some());
        let second = ParticipantSid::from_bytes([2; 16]);
        assert!(store.participant(ACCOUNT, ROOM, second).await.unwrap().is_none());
        assert!(
            store
                .participant_live(ACCOUNT, ROOM, "guest 2")
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(store.accounts().await.unwrap().len(), 1);
        assert_eq!(store.next_callback().await.unwrap(), None);
    };
    tokio::time::timeout(PATIENCE, others).await.expect("no read waits");
    held.end().await;
    assert_eq!(list(&store, ParticipantFilter::default()).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_read_holds_up_neither_writes_nor_reads_and_the_log_is_short_after_it() {
    let (store, directory) = store().await;
    let held = hold_read(&store).await;
    for number in 2..6 {
        store.write(ACCOUNT, ROOM, 1, vec![join(number)]).await.unwrap();
        // The second half of these is after the writer tried in vain to begin the log anew.
        write_bytes(&store, limits::WAL_PAGES as u64 * PAGE_BYTES / 2).await;
        let rows = list(&store, ParticipantFilter::default()).await;
        assert_eq!(rows.len(), usize::from(number), "reads see what was acknowledged");
    }
    let long = log_bytes(directory.path());
    assert!(
        long > limits::WAL_PAGES as u64 * PAGE_BYTES,
        "{long} bytes: the read was in the way"
    );
    assert_eq!(held.end().await, 1, "it saw one state to its end");
    for _ in 0..6 {
        write_bytes(&store, limits::WAL_PAGES as u64 * PAGE_BYTES / 2).await;
    }
    let after = log_bytes(directory.path());
    assert!(
        after <= long + limits::WAL_PAGES as u64 * PAGE_BYTES,
        "{after} bytes after {long}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_bounded_under_reads_that_overlap_without_end() {
    let (store, directory) = store().await;
    let reads = Arc::new(AtomicU64::new(0));
    let written = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|number| {
            let (reads, written, stop) = (Arc::clone(&reads), Arc::clone(&written), Arc::clone(&stop));
            tokio::spawn(read_all_the_time(Arc::clone(&store), number, reads, written, stop))
        })
        .collect();
    let bound = limits::WAL_PAGES as u64 * PAGE_BYTES;
    let one = bound / 256;
    // On a machine that is busy enough readers are kept from their processor for longer than the writer waits, which then
    // tries again. So it is written until the log was begun anew often enough, and then some: without end only where it is not.
    let (at_least, at_most) = (8 * bound / one, 64 * bound / one);
    let mut writes = 0;
    while writes < at_least || (writes < at_most && log_bytes(directory.path()) > writes * one / 2) {
        write_bytes(&store, one).await;
        written.fetch_add(1, Ordering::Relaxed);
        writes += 1;
    }
    let long = log_bytes(directory.path());
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(reads.load(Ordering::Relaxed) > 10, "there were reads all the time");
    assert!(
        long <= writes * one / 2,
        "{long} bytes after {} were written",
        writes * one
    );
}

/// Reads that each see one state until three more were committed, or for a while if none are. Three
/// of these begin one commit apart: so at each commit somebody reads an older state.
async fn read_all_the_time(
    store: Arc<SqliteStore>,
    number: u64,
    reads: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) {
    let mut commits = number + 1;
    while !stop.load(Ordering::Relaxed) {
        let written = Arc::clone(&written);
        let read = store.readers.run(move |db| {
            let before = written.load(Ordering::Relaxed);
            count(db)?;
            // A fifth of what the writer waits.
            let enough = Instant::now() + limits::CHECKPOINT_WAIT / 5;
            while written.load(Ordering::Relaxed) < before + commits && Instant::now() < enough {
                std::thread::sleep(Duration::from_micros(200));
            }
            Ok(())
        });
        read.await.unwrap();
        reads.fetch_add(1, Ordering::Relaxed);
        commits = 3;
    }
}
