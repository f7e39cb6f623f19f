//! The database file: its lock, its connections, its schema.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::{StoreError, limits};

/// The steps of the schema, oldest first (`migrations/README.md`).
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_housekeeping.sql"),
    include_str!("../migrations/0003_room_semantics.sql"),
    include_str!("../migrations/0004_subscribe_rules.sql"),
    include_str!("../migrations/0005_callbacks.sql"),
    include_str!("../migrations/0006_credentials.sql"),
    include_str!("../migrations/0007_identity_listed.sql"),
];

/// The first schema with sealed secrets.
pub(super) const SEALS_SINCE: u32 = 6;

/// A database that belongs to this process as long as this lives.
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// Of a database that shall not outlive the process; its path is forgotten once all is open.
    temporary: Option<TempDir>,
    /// Keeps other processes out.
    _lock: Option<Arc<DatabaseLock>>,
}

/// Keeps other processes off a database, whether or not a store has it open; it ends with the last of its owners.
#[derive(Debug)]
pub struct DatabaseLock {
    path: PathBuf,
    _file: File,
}

impl DatabaseLock {
    /// Locks the database in this file, which need not be there yet, by a lock file of the same name and `.lock` beside it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process (or another owner in this one) has it,
    /// [`StoreError::NotWritable`] if the directory cannot be written.
    pub fn take(path: &Path) -> Result<Arc<Self>, StoreError> {
        let file = lock(path)?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            _file: file,
        }))
    }

    /// The database.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl DatabaseFile {
    /// Makes sure that the file can be written.
    pub(super) fn open(lock: Arc<DatabaseLock>) -> Result<Self, StoreError> {
        let path = lock.path.as_path();
        // SQLite would make the file itself, but readable for everyone, and says little on failure.
        open_private(path)?;
        Ok(Self {
            path: path.to_owned(),
            temporary: None,
            _lock: Some(lock),
        })
    }

    /// A file in a new directory of its own.
    ///
    /// A real file, because SQLite's databases in memory have no write-ahead log: their readers
    /// wait for writers and the reverse.
    pub(super) fn temporary() -> Result<Self, StoreError> {
        let directory = tempfile::Builder::new()
            .prefix("rotunda-")
            .tempdir()
            .map_err(|source| StoreError::NotWritable {
                path: std::env::temp_dir(),
                source,
            })?;
        Ok(Self {
            path: directory.path().join("rotunda.db"),
            temporary: Some(directory),
            _lock: None,
        })
    }

    /// The connection that writes; brings the schema up to date.
    pub(super) fn writer(&self) -> Result<Connection, StoreError> {
        let mut db = self.connect()?;
        // Before the first write of any kind: a newer database is left as it is.
        schema_version(&db)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = if self.temporary.is_some() { "OFF" } else { "FULL" };
        db.pragma_update(None, "synchronous", synchronous)?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.pragma_update(None, "journal_size_limit", limits::WAL_BYTES)?;
        // The writer does it after it told its callers (`checkpoint.rs`).
        db.pragma_update(None, "wal_autocheckpoint", 0)?;
        migrate(&mut db)?;
        Ok(db)
    }

    /// A connection that reads. The writer is opened before.
    pub(super) fn reader(&self) -> Result<Connection, StoreError> {
        let db = self.connect()?;
        db.pragma_update(None, "query_only", true)?;
        // Negative: KiB, not pages.
        db.pragma_update(None, "cache_size", -limits::READER_CACHE_KIB)?;
        // Opens the write-ahead log, which SQLite else does at the first use.
        schema_version(&db)?;
        Ok(db)
    }

    /// Removes a temporary database's name where the system lets the open files live on, so that
    /// nothing is left however the process ends. Call it when all connections are open.
    pub(super) fn forget_path(&mut self) {
        if cfg!(unix)
            && let Some(directory) = self.temporary.take()
            && let Err(error) = directory.close()
        {
            tracing::debug!(%error, "a temporary database's directory was not removed");
        }
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags).map_err(StoreError::backend)?;
        db.busy_timeout(limits::LOCK_WAIT)?;
        db.set_prepared_statement_cache_capacity(limits::STATEMENTS);
        // Else SQLite plans a statement anew whenever a value in a range changes, which is at each page. Our
        // plans are fixed by INDEXED BY.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(db)
    }
}

/// A connection for a short look at a database that may belong to another process.
pub(super) fn visit(path: &Path) -> Result<Connection, StoreError> {
    // Not read-only: a log that a crash left can only be read by those who may write.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Mostly it is not there, which does not pass by itself.
    let db = Connection::open_with_flags(path, flags).map_err(StoreError::backend)?;
    db.pragma_update(None, "query_only", true)?;
    schema_version(&db)?;
    Ok(db)
}

/// A connection that changes nothing, not even by tidying up when it is closed, to a database or a copy of one.
pub(super) fn look(path: &Path) -> Result<Connection, StoreError> {
    // A log that a crash left can only be read by those who may write; a copy on a read-only disk has none.
    let writable = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, writable)
        .or_else(|_| Connection::open_with_flags(path, read_only))
        .map_err(StoreError::backend)?;
    db.busy_timeout(limits::SEIZE_WAIT)?;
    // A log that a crash left stays what it is, for who looks into the crash. Without one there is nothing to keep.
    let log = beside(path, "-wal");
    let has_log = log.metadata().is_ok_and(|log| log.len() > 0);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log)?;
    db.pragma_update(None, "query_only", true)?;
    schema_version(&db)?;
    Ok(db)
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let name = beside(path, ".lock");
    let file = open_private(&name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(StoreError::NotWritable { path: name, source }),
    }
}

/// The name of a file and this behind it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens for writing; a new file is for its owner alone, as it holds secrets.
fn open_private(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| StoreError::NotWritable {
        path: path.to_owned(),
        source,
    })
}

/// The version of the schema in the database and the one of this program, which is not lower.
pub(super) fn schema_version(db: &Connection) -> Result<(u32, u32), StoreError> {
    let found = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = MIGRATIONS.len() as u32;
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    Ok((found, known))
}

/// Brings the schema up to date, and has whatever this connection deletes overwritten.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    // What is deleted leaves zeros, here and by all that is written later, so that an identity that was erased is nowhere
    // (`expunge.rs`).
    db.pragma_update(None, "secure_delete", true)?;
    let (version, _) = schema_version(db)?;
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(version as usize) {
        let transaction = db.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", step as u32 + 1)?;
        transaction.commit()?;
        tracing::debug!(version = step + 1, "the schema was brought up to date");
    }
    Ok(())
}
