//! Which of SQLite's errors stand in the way of every call, and how the store works at the moment.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use rusqlite::ErrorCode;

use crate::{Condition, Outage, StoreError};

/// What stands in the way, if the error is of that kind; else something is wrong with the call, and
/// trying again does not help.
pub(super) fn of(error: &rusqlite::Error) -> Option<Outage> {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return None;
    };
    match failure.code {
        ErrorCode::DiskFull => Some(Outage::DiskFull),
        ErrorCode::SystemIoFailure if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_NOMEM => {
            Some(Outage::NoResources)
        }
        ErrorCode::SystemIoFailure | ErrorCode::ReadOnly => Some(Outage::DiskFails),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            Some(Outage::Locked)
        }
        ErrorCode::OutOfMemory | ErrorCode::CannotOpen => Some(Outage::NoResources),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Some(Outage::Damaged),
        _ => None,
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(source: rusqlite::Error) -> Self {
        match of(&source) {
            Some(outage) => Self::Unavailable {
                outage,
                source: Box::new(source),
            },
            None => Self::backend(source),
        }
    }
}

/// How the store works, told by its threads to whoever asks.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Twice the number of transactions, less one while one is under way.
    turns: AtomicU64,
    /// 0, or one more than the index in [`OUTAGES`]; of the last transaction.
    writing: AtomicU8,
    /// The same of the last read.
    reading: AtomicU8,
}

const OUTAGES: [Outage; 5] = [
    Outage::DiskFull,
    Outage::DiskFails,
    Outage::Locked,
    Outage::NoResources,
    Outage::Damaged,
];

impl Gauge {
    pub(super) fn begin(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// The transaction ended, with this in its way if it failed.
    pub(super) fn end(&self, outage: Option<Outage>) {
        self.writing.store(word(outage), Ordering::Relaxed);
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// A read ended, with this in its way if it failed.
    pub(super) fn read(&self, outage: Option<Outage>) {
        self.reading.store(word(outage), Ordering::Relaxed);
    }

    pub(super) fn condition(&self) -> Condition {
        let turns = self.turns.load(Ordering::Relaxed);
        let outage = |word: &AtomicU8| {
            let index = usize::from(word.load(Ordering::Relaxed)).checked_sub(1)?;
            OUTAGES.get(index).copied()
        };
        Condition {
            transaction: turns.div_ceil(2),
            is_writing: turns % 2 == 1,
            outage: outage(&self.writing).or_else(|| outage(&self.reading)),
        }
    }
}

/// What stood in the way, if a result says so.
pub(super) fn in_the_way<T>(result: &Result<T, StoreError>) -> Option<Outage> {
    match result {
        Err(StoreError::Unavailable { outage, .. }) => Some(*outage),
        _ => None,
    }
}

fn word(outage: Option<Outage>) -> u8 {
    let index = OUTAGES.iter().position(|one| Some(*one) == outage);
    index.map_or(0, |index| index as u8 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for (code, outage) in [
            (rusqlite::ffi::SQLITE_FULL, Some(Outage::DiskFull)),
            (rusqlite::ffi::SQLITE_IOERR_FSYNC, Some(Outage::DiskFails)),
            (rusqlite::ffi::SQLITE_IOERR_WRITE, Some(Outage::DiskFails)),
            (rusqlite::ffi::SQLITE_IOERR_NOMEM, Some(Outage::NoResources)),
            (rusqlite::ffi::SQLITE_READONLY, Some(Outage::DiskFails)),
            (rusqlite::ffi::SQLITE_BUSY, Some(Outage::Locked)),
            (rusqlite::ffi::SQLITE_BUSY_SNAPSHOT, Some(Outage::Locked)),
            (rusqlite::ffi::SQLITE_NOMEM, Some(Outage::NoResources)),
            (rusqlite::ffi::SQLITE_CANTOPEN, Some(Outage::NoResources)),
            (rusqlite::ffi::SQLITE_CORRUPT, Some(Outage::Damaged)),
            (rusqlite::ffi::SQLITE_NOTADB, Some(Outage::Damaged)),
            (rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE, None),
            (rusqlite::ffi::SQLITE_ERROR, None),
        ] {
            assert_eq!(of(&failure(code)), outage, "{code}");
        }
        assert!(matches!(
            StoreError::from(failure(rusqlite::ffi::SQLITE_FULL)),
            StoreError::Unavailable {
                outage: Outage::DiskFull,
                ..
            }
        ));
        assert!(matches!(
            StoreError::from(failure(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)),
            StoreError::Backend(_)
        ));
    }

    #[test]
    fn turns_are_counted_and_the_last_end_is_kept() {
        let gauge = Gauge::default();
        let read = |transaction, is_writing, outage| Condition {
            transaction,
            is_writing,
            outage,
        };
        assert_eq!(gauge.condition(), read(0, false, None));
        gauge.begin();
        assert_eq!(gauge.condition(), read(1, true, None));
        gauge.end(Some(Outage::Locked));
        assert_eq!(gauge.condition(), read(1, false, Some(Outage::Locked)));
        gauge.begin();
        assert_eq!(gauge.condition(), read(2, true, Some(Outage::Locked)));
        gauge.end(None);
        assert_eq!(gauge.condition(), read(2, false, None));
        gauge.read(Some(Outage::Damaged));
        assert_eq!(gauge.condition(), read(2, false, Some(Outage::Damaged)));
        gauge.read(None);
        assert_eq!(gauge.condition(), read(2, false, None));
    }
}
