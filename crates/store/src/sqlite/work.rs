//! Tests that bound the work of a page by counting SQLite's steps, not by trusting its plans or a
//! clock, and that hold each page against a model.

mod callbacks;
mod participants;
mod retention;
mod rooms;
mod tracks;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use room::{AccountSid, Timestamp};
use rusqlite::{Connection, StatementStatus};

use super::account;
use super::bulk::key;
use super::file::DatabaseFile;
use crate::{Account, PageRequest, Position};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
const LIVE: u32 = 40;
const SIZE: u32 = 50;

/// Steps of SQLite's machine that one row of a page, or one live row skipped, may cost; and what
/// finding the account, the room and the index's range may cost.
const STEPS_PER_ROW: u64 = 40;
const STEPS_FIXED: u64 = 400;

/// A database in a file of its own, and the steps made in it.
struct Counted {
    db: Connection,
    /// Row of the account.
    account: i64,
    steps: Arc<AtomicU64>,
    _file: DatabaseFile,
}

impl Counted {
    /// With an account.
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
        let account = Account::new(ACCOUNT);
        account::put(&db, &account).expect("a new account");
        let account = account::id(&db, ACCOUNT).expect("a read").expect("it is there");
        Self {
            db,
            account,
            steps,
            _file: file,
        }
    }

    /// Does this in one transaction, without counting, with room for random SIDs in memory.
    fn fill(&mut self, fill: impl FnOnce(&Connection)) {
        let none: Option<fn() -> bool> = None;
        self.db.progress_handler(1, none).expect("the hook is there");
        self.db
            .execute_batch("PRAGMA journal_mode = OFF; PRAGMA cache_size = -1000000; BEGIN")
            .expect("no transaction");
        fill(&self.db);
        self.db
            .execute_batch("COMMIT; PRAGMA cache_size = -2000; PRAGMA journal_mode = WAL")
            .expect("a transaction");
        let counter = Arc::clone(&self.steps);
        let count = move || {
            counter.fetch_add(1, Ordering::Relaxed);
            false
        };
        self.db.progress_handler(1, Some(count)).expect("the hook is there");
    }

    fn steps<T>(&self, work: impl FnOnce(&Connection) -> T) -> (T, u64) {
        self.steps.store(0, Ordering::Relaxed);
        let result = work(&self.db);
        (result, self.steps.load(Ordering::Relaxed))
    }
}

/// Where row `number` stands in any list that it is in.
fn position(number: u32) -> Position {
    Position {
        created: Timestamp(i64::from(number) * 1_000_000),
        sid: key(number),
    }
}

/// Where pages begin: nowhere, and after the newest, the middle and the oldest of these rows.
fn requests(first: u32, rows: u32) -> Vec<PageRequest> {
    let mut requests = vec![
        PageRequest {
            size: SIZE,
            from: None,
            backwards: false,
        },
        PageRequest {
            size: SIZE,
            from: None,
            backwards: true,
        },
    ];
    for number in [0, 1, rows / 2, rows - 2, rows - 1] {
        for backwards in [false, true] {
            requests.push(PageRequest {
                size: SIZE,
                from: Some(position(first + number)),
                backwards,
            });
        }
    }
    requests
}

/// No bounds on the second, and such that all matches are at the oldest or the newest end of these
/// rows, in the middle, nowhere.
fn bounds(first: u32, rows: u32) -> Vec<(Option<i64>, Option<i64>)> {
    let (first, rows) = (i64::from(first), i64::from(rows));
    let second = |number: i64| Some(first + number);
    vec![
        (None, None),
        (None, second(20)),
        (second(rows - 20), None),
        (None, second(rows - 20)),
        (second(20), None),
        (second(rows / 2), second(rows / 2 + 10)),
        (second(rows / 2), second(rows / 2)),
        (second(rows * 2), None),
    ]
}

/// What a page must be: the numbers of its rows, newest first, and whether there are neighbours.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    rows: Vec<u32>,
    has_previous: bool,
    has_next: bool,
}

impl Expected {
    /// Of what matches (ascending numbers), in a range of seconds, both inclusive.
    fn of(matching: &[u32], first_s: Option<i64>, last_s: Option<i64>, request: PageRequest) -> Self {
        let below = |second: i64| matching.partition_point(|&number| i64::from(number) < second);
        let low = first_s.map_or(0, below);
        let high = last_s.map_or(matching.len(), |last| below(last + 1)).max(low);
        let matching = &matching[low..high];
        let from = request.from.map(|from| from.created.seconds());
        let size = request.size as usize;
        let range = match (from, request.backwards) {
            (None, false) => matching.len().saturating_sub(size)..matching.len(),
            // Nothing is newer than the newest.
            (None, true) => matching.len()..matching.len(),
            (Some(from), false) => {
                let end = matching.partition_point(|&number| i64::from(number) < from);
                end.saturating_sub(size)..end
            }
            (Some(from), true) => {
                let begin = matching.partition_point(|&number| i64::from(number) <= from);
                begin..matching.len().min(begin + size)
            }
        };
        // An empty page stands at its row, which is on the far side of it.
        let has_next = match range.is_empty() && !request.backwards {
            true => false,
            false => range.start > 0,
        };
        let has_previous = match range.is_empty() && request.backwards {
            true => false,
            false => range.end < matching.len() && (from.is_some() || request.backwards),
        };
        Self {
            rows: matching[range].iter().rev().copied().collect(),
            has_previous,
            has_next,
        }
    }
}

/// That a page took no more steps than its rows and what is live allow.
fn assert_bounded(steps: u64, rows: usize, live: u32, what: impl std::fmt::Debug) {
    let allowed = STEPS_FIXED + STEPS_PER_ROW * (rows as u64 + u64::from(live));
    assert!(steps <= allowed, "{steps} steps, {rows} rows: {what:?}");
}

#[test]
fn a_statement_is_planned_once_whatever_its_values() {
    let counted = Counted::new();
    let mut query = counted
        .db
        .prepare("SELECT sid FROM participants INDEXED BY participants_listed WHERE room_id = ?1 AND created_us > ?2")
        .expect("the index is there");
    for second in 0..5 {
        let rows = query.query_map([second, second * 1_000_000], |row| row.get::<_, [u8; 16]>(0));
        assert_eq!(rows.expect("the database works").count(), 0);
    }
    assert_eq!(query.get_status(StatementStatus::RePrepare), 0);
}
