//! Bounds of the store, and what happens at each.

use std::time::Duration;

/// How long a call waits for a lock that another program holds on the database, say an operator's
/// shell. Past it the call fails with [`crate::Outage::Locked`]; whoever must not lose its change
/// tries again.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(1);

/// Rows of a page at most; a request for more gets this many, for less than one gets one.
pub const PAGE_SIZE_MAX: u32 = 1000;

/// Callbacks leased by one call at most; a request for more gets this many.
pub const LEASE_MAX: u32 = 1000;

/// Receivers of callbacks that one lease looks at at most; the next one goes on behind the last.
pub(crate) const RECEIVERS_PER_LEASE: u32 = 1000;

/// Callbacks that one call reads at most; a request for more gets this many.
pub const CALLBACK_ROWS_MAX: u32 = 1000;

/// Callbacks that were given up and that one call looks at, to deliver them again; the next call goes on behind them.
pub const REDELIVER_ROWS: u32 = 500;

/// Attempts at one callback that are told at most, the latest.
pub const ATTEMPTS_TOLD_MAX: u32 = 100;

/// Characters kept of an error that a callback's attempt ended with; the rest is cut.
pub const ATTEMPT_ERROR_CHARS: usize = 200;

/// Writes that wait for the writer. Beyond it callers wait to be queued.
pub(crate) const WRITE_QUEUE: usize = 1024;

/// Writes that share one commit at most; the rest waits for the next. Higher amortizes the sync
/// of the disk further, lower bounds how long the first of a batch waits.
pub(crate) const BATCH: usize = 256;

/// Reads that wait for a reader. Beyond it callers wait to be queued.
pub(crate) const READ_QUEUE: usize = 1024;

/// Threads that read, or tasks where the database is a server. Each holds one connection.
pub(crate) const READERS: usize = 4;

/// KiB of the database's pages that each of them keeps, once it has read so much; beyond it the least used are dropped and
/// read again, from the system's memory mostly.
pub(crate) const READER_CACHE_KIB: i64 = 16 << 10;

/// Prepared statements that a connection keeps; the least used is dropped. More than there are.
pub(crate) const STATEMENTS: usize = 512;

/// Pages of 4 KiB in the write-ahead log from which on each commit moves what it can into the database.
pub(crate) const CHECKPOINT_PAGES: i64 = 1000;

/// Pages in the write-ahead log at which the writer waits for a moment to begin it anew. A start after
/// a crash reads all of it.
pub(crate) const WAL_PAGES: i64 = 4096;

/// How long it waits then. If a reader takes longer, the log grows by as much again before the next try.
pub(crate) const CHECKPOINT_WAIT: Duration = Duration::from_millis(100);

/// Pages that one read looks through for what is left of rows that are gone; then other reads have their turn.
pub(crate) const EXPUNGE_PAGES_READ: i64 = 2048;

/// Pages with such leftovers that one write clears; then other writes have their turn.
pub(crate) const EXPUNGE_PAGES_WRITTEN: usize = 256;

/// How long an erased identity's last traces are waited for, while somebody reads an older state of the database. Later
/// the call fails with [`crate::Outage::Locked`], and may be repeated.
pub(crate) const EXPUNGE_WAIT: Duration = Duration::from_secs(10);

/// Pause between two attempts meanwhile; writes go on in it.
pub(crate) const EXPUNGE_PAUSE: Duration = Duration::from_millis(20);

/// Bytes that the write-ahead log keeps on disk when it is begun anew; what is beyond is truncated.
pub(crate) const WAL_BYTES: i64 = 64 << 20;

/// Bytes of a line of an archive that is imported, far above any row; one that is longer is refused, and nothing is
/// imported.
pub const ARCHIVE_LINE_BYTES_MAX: usize = 1 << 20;

/// Broken invariants that a check tells; it does not tell more.
pub const VIOLATIONS_MAX: usize = 1000;

/// Characters kept of each text in a line of the audit log; the rest is cut.
pub const AUDIT_TEXT_CHARS: usize = 128;

/// Lines of the audit log that one call reads at most; a request for more gets this many.
pub const AUDIT_ROWS_MAX: u32 = 1000;

/// Rows that one call forgets at most; a request for more gets this many. It bounds how long other writes wait.
pub const FORGET_ROWS_MAX: u32 = 1000;

/// Old rooms that one call looks at to find some without callbacks that still are to be delivered. If so many in a row
/// have some, younger ones wait until these are done.
pub(crate) const FORGET_CANDIDATES: u32 = 1000;

/// How long a restore waits for others to close the database; later it fails and nothing was changed.
pub(crate) const SEIZE_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// What a restore adds to the epochs of rooms when it cannot read those of the database that it replaces: more than the
/// restarts that a backup is old, and far less than the 2^21 that revisions have room for.
pub(crate) const EPOCHS_UNKNOWN: i64 = 1000;

/// Lanes that write to PostgreSQL: one for what is of no room, the others for rooms. Each holds one connection.
pub(crate) const LANES: usize = 6;

/// Writes that share one transaction of a lane at most; the rest waits for the next. PostgreSQL keeps that many savepoints
/// of a transaction where every other one finds them quickly.
pub(crate) const LANE_BATCH: usize = 60;

/// How long the server of a database may take to accept a connection.
pub(crate) const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// How long a read waits for its answer from the server of a database; later it fails with [`crate::Outage::Away`].
pub(crate) const READ_WAIT: Duration = Duration::from_secs(5);

/// How long the server of a database may be silent before it is asked whether it is there. After three times this it is
/// taken to be gone.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(5);

/// Pause before the second try to reach a server of a database again; each further one is twice as long.
pub(crate) const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// The longest of these pauses.
pub(crate) const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);
