//! Moves the write-ahead log into the database, so that it stays short however much is read.
//!
//! SQLite does so by itself while nobody reads an older state, and begins the log anew once nobody
//! reads from it. Under reads that overlap without end that moment never comes, and the log grows for
//! ever. So from a bound on the writer waits for it, shortly: reads that begin meanwhile read the
//! database alone, and are not kept waiting.

use rusqlite::Connection;

use crate::limits;

/// What the writer does about the log after its commits; their callers have been told by then.
#[derive(Default)]
pub(super) struct Checkpoints {
    /// Pages of the log at which it is begun anew, after an attempt that found no moment for it.
    later: Option<i64>,
    failing: bool,
}

impl Checkpoints {
    /// Shortens the log if it is long. That it does not work is told once, until it does.
    pub(super) fn after_commit(&mut self, db: &Connection) {
        let result = self.advance(db);
        match &result {
            Err(error) if !self.failing => {
                tracing::warn!(%error, "the write-ahead log could not be moved into the database; it grows until it can");
            }
            _ => {}
        }
        self.failing = result.is_err();
    }

    fn advance(&mut self, db: &Connection) -> Result<(), rusqlite::Error> {
        let pages = checkpoint(db, "NOOP")?.pages;
        if pages < limits::CHECKPOINT_PAGES {
            return Ok(());
        }
        if pages < self.later.unwrap_or(limits::WAL_PAGES) {
            checkpoint(db, "PASSIVE")?;
            return Ok(());
        }
        let usual_wait_ms: i64 = db.query_row("PRAGMA busy_timeout", [], |row| row.get(0))?;
        db.busy_timeout(limits::CHECKPOINT_WAIT)?;
        let restarted = checkpoint(db, "RESTART");
        db.pragma_update(None, "busy_timeout", usual_wait_ms)?;
        // Somebody reads the same state for long, a copy of all rows perhaps: not to wait at each commit.
        self.later = restarted?.is_busy.then_some(pages + limits::WAL_PAGES);
        Ok(())
    }
}

/// Moves all of the log into the database and truncates its file; false if somebody still reads an older state of it.
pub(super) fn truncate(db: &Connection) -> Result<bool, rusqlite::Error> {
    let usual_wait_ms: i64 = db.query_row("PRAGMA busy_timeout", [], |row| row.get(0))?;
    db.busy_timeout(limits::CHECKPOINT_WAIT)?;
    let truncated = checkpoint(db, "TRUNCATE");
    db.pragma_update(None, "busy_timeout", usual_wait_ms)?;
    Ok(!truncated?.is_busy)
}

/// The same with the usual wait; a line tells if somebody stood in the way, and what is left in the log then.
pub(super) fn empty(db: &Connection) -> Result<(), rusqlite::Error> {
    if checkpoint(db, "TRUNCATE")?.is_busy {
        tracing::warn!(
            "another program reads the database: its write-ahead log keeps what was deleted until that has ended"
        );
    }
    Ok(())
}

struct Checkpoint {
    /// Somebody stood in the way.
    is_busy: bool,
    /// Pages in the log.
    pages: i64,
}

fn checkpoint(db: &Connection, mode: &str) -> Result<Checkpoint, rusqlite::Error> {
    db.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| {
            Ok(Checkpoint {
                is_busy: row.get(0)?,
                pages: row.get(1)?,
            })
        })
}
