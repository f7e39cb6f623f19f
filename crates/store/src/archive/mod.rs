//! An installation as one file that is of no database: what `rotunda export` writes and `rotunda import` reads.
//!
//! It is lines of JSON: a head with the version of the format, the tables, their columns and how many rows each has; a
//! line for each row, tables in the order of the head and rows in the order of their keys; an end with the SHA-256 of all
//! bytes before it. The same rows always make the same bytes. Secrets are in it as in the database: sealed, but for the
//! key of page tokens. Nothing is held in memory but the row that is at hand.

mod line;
mod reader;
mod table;
mod walk;
mod writer;

use std::io;

pub(crate) use line::{Sum, Summing};
pub use reader::ArchiveReader;
pub(crate) use table::{Kind, TABLES, Table, Value};
pub(crate) use walk::{Steps, moved};
pub(crate) use writer::ArchiveWriter;

use crate::StoreError;

/// The version of the format that this program writes, and the newest that it reads.
pub(crate) const VERSION: u64 = 1;

/// Why an archive was not written, or nothing was taken from one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It does not begin as an archive does.
    #[error("it is no export of Rotunda")]
    Foreign,
    /// A later version of the program wrote it.
    #[error(
        "it has version {found} of the format, this program knows up to {VERSION}: use the program that wrote it, {by}, or a newer one"
    )]
    Newer {
        /// In the archive.
        found: u64,
        /// The version of the program that wrote it.
        by: String,
    },
    /// It ends before its end.
    #[error("it is cut short: line {line} is its last, and no end")]
    CutShort {
        /// The last line, from 1.
        line: u64,
    },
    /// Something in it cannot be.
    #[error("it is damaged: line {line}: {what}")]
    Damaged {
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
    /// The database is not the one to take it.
    #[error("the database has rows already, in {table}: an import needs an empty one")]
    NotEmpty {
        /// The table.
        table: &'static str,
    },
    /// The database has secrets that an earlier version kept in the open.
    #[error("secrets in the database are not sealed yet: start `rotunda serve` on it once")]
    Unsealed,
    /// What the database holds is not what it was given.
    #[error("the database holds other rows in {table} than the {rows} that it was given")]
    Differs {
        /// The table.
        table: &'static str,
        /// How many rows it was given.
        rows: u64,
    },
    /// It cannot be read or written.
    #[error("it cannot be read or written")]
    Io(#[from] io::Error),
    /// The database failed, or refused a row.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows of all tables.
    pub rows: u64,
    /// Rows with a text that the database could not hold as it was: a NUL became U+FFFD.
    pub changed: u64,
}
