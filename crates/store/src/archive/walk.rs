//! What both backends do while they go through all rows: tell how far they are, and hold what the database has against what it was
//! given.

use super::{ArchiveError, Moved, Sum, TABLES};

/// Rows between two tellings of how far it is.
const TOLD_EVERY: u64 = 1000;

/// How far it is.
pub(crate) struct Steps<'a> {
    done: u64,
    of: u64,
    tell: &'a mut dyn FnMut(u64, u64),
}

impl<'a> Steps<'a> {
    /// Before the first of so many rows. Told are those that are done, and this.
    pub(crate) fn of(of: u64, tell: &'a mut dyn FnMut(u64, u64)) -> Self {
        Self { done: 0, of, tell }
    }

    /// A row is done.
    pub(crate) fn step(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(TOLD_EVERY) {
            (self.tell)(self.done, self.of);
        }
    }
}

/// What was moved, if each table has the rows that it was given.
pub(crate) fn moved(given: &[Sum], found: &[Sum], changed: u64) -> Result<Moved, ArchiveError> {
    for ((table, given), found) in TABLES.iter().zip(given).zip(found) {
        if given != found {
            return Err(ArchiveError::Differs {
                table: table.name,
                rows: given.rows,
            });
        }
    }
    Ok(Moved {
        rows: given.iter().map(|sum| sum.rows).sum(),
        changed,
    })
}
