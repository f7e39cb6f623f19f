//! Why the store did not do what it was asked for.

use std::path::PathBuf;

/// Why the store did not do it. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The account has a room of that name in progress (API code 53113).
    #[error("a room of that name is in progress")]
    RoomExists,
    /// The room is not there, or completed.
    #[error("the room is not in progress")]
    RoomNotInProgress,
    /// The write names an older epoch than the room's: another process owns the room now.
    #[error("the room is owned by a later epoch")]
    Fenced,
    /// A live participant of the room has that identity already (a bug of the caller: the older
    /// one is disconnected in the same batch, before).
    #[error("the identity is in the room already")]
    DuplicateIdentity,
    /// The database was written by a later version of the program.
    #[error("the database has schema version {found}, this program knows up to {known}: use the newer program")]
    NewerSchema {
        /// In the database.
        found: u32,
        /// Of this program.
        known: u32,
    },
    /// The database was written by an earlier version of the program, and it is only to be looked at.
    #[error(
        "the database has schema version {found}, older than {known}, which this program checks: `rotunda serve` brings it up to date"
    )]
    OlderSchema {
        /// In the database.
        found: u32,
        /// Of this program.
        known: u32,
    },
    /// Another process has the database open.
    #[error("another process uses the database {}", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// Another server holds the lock on the database.
    #[error("another server uses the database {database}: stop it first, or give this one a database of its own")]
    DatabaseInUse {
        /// Where it is, without secrets.
        database: String,
    },
    /// The database's file cannot be made or written: its directory is missing or not writable.
    #[error("cannot write the database {}", path.display())]
    NotWritable {
        /// The file that could not be opened for writing: the database, or the lock beside it.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database cannot be used for now, by no fault of the call: the same call may succeed later.
    #[error("{outage}")]
    Unavailable {
        /// What stands in the way.
        outage: Outage,
        /// What the database says of it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database failed, or the caller broke the contract of a call (then the source says which).
    #[error("the database failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// The database failed in its own way.
    pub fn backend(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Backend(Box::new(source))
    }

    /// The caller asked for what can never be, by a bug of its own.
    pub(crate) fn refused(why: &'static str) -> Self {
        Self::backend(Refused(why))
    }
}

/// What stands in the way of the database, and goes by itself or by an operator's hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// No space is left, or no more is granted.
    #[error("the disk of the database is full")]
    DiskFull,
    /// The disk does not read, write or sync; or its file system has become read-only.
    #[error("the disk of the database fails")]
    DiskFails,
    /// Another program holds a lock.
    #[error("another program has locked the database")]
    Locked,
    /// The system gives no memory or no file descriptor.
    #[error("the system has no memory or no file descriptor left for the database")]
    NoResources,
    /// The server of the database cannot be reached, does not answer, or lets nobody in.
    #[error("the database cannot be reached")]
    Away,
    /// Another server took the database while this one had lost it. It does not pass by itself.
    #[error("another server has taken over the database")]
    TakenOver,
    /// The file is not what the database wrote. It does not pass by itself.
    #[error("the database is damaged")]
    Damaged,
}

/// A call that contradicts what is stored.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);
