//! Whole copies of a database: backups, and what a restore puts in the database's place.
//!
//! A copy is made of one snapshot, page by page, into a file of its own that gets its name only when it is whole and
//! synced. It has no write-ahead log beside it, so one file is all of it.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use room::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OptionalExtension, params};
use tempfile::NamedTempFile;

use super::audit;
use super::file::{self, DatabaseLock};
use crate::{
    Account, ApiKey, ArchiveError, ArchiveReader, Audit, CheckProgress, Findings, Moved, SealedSecret, SecretOf,
    SqliteStore, StoreError, limits,
};

/// Pages of a step: some megabytes, after which progress is told.
const PAGES: i32 = 1024;

/// What every database of SQLite begins with.
const HEAD: &[u8; 16] = b"SQLite format 3\0";

/// Pause when a step finds the source locked: a checkpoint, or another program.
const LOCKED_PAUSE: Duration = Duration::from_millis(50);

/// A copy that has no name yet; dropped, it is gone.
pub struct DatabaseCopy {
    file: NamedTempFile,
    directory: PathBuf,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the database is that was replaced; `None`: there was none.
    pub replaced: Option<PathBuf>,
    /// Rooms that are in progress in the restored database.
    pub rooms: u64,
}

impl DatabaseCopy {
    /// Copies the database in the file `from`, also while a process has it open, to a nameless file in `directory`,
    /// readable for its owner alone. Tells pages done and pages in all, about.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] if a later version of the program wrote it, [`StoreError::NotWritable`] if the
    /// directory is not writable, [`StoreError::Backend`] if `from` is not there, [`StoreError::Unavailable`] if it is no database, or the disk is
    /// full.
    pub fn make(from: &Path, directory: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Self, StoreError> {
        let source = file::look(from)?;
        let copy = Self::nameless(directory)?;
        let mut to = Connection::open(copy.file.path())?;
        // Held over all steps: else each write to the source would start the copy anew.
        let snapshot = source.unchecked_transaction()?;
        snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let copying = Backup::new(&snapshot, &mut to)?;
        loop {
            match copying.step(PAGES)? {
                StepResult::Done => break,
                StepResult::More => {
                    let pages = copying.progress();
                    let number = |pages: i32| u64::try_from(pages).unwrap_or_default();
                    progress(number(pages.pagecount - pages.remaining), number(pages.pagecount));
                }
                _ => std::thread::sleep(LOCKED_PAUSE),
            }
        }
        drop(copying);
        // The copy has the mode of its source, with a log beside it, until it is told otherwise.
        to.pragma_update(None, "journal_mode", "DELETE")?;
        to.close().map_err(|(_, error)| error)?;
        Ok(copy)
    }

    /// Makes a database of the rows of an archive, in a nameless file in `directory`, readable for its owner alone, and
    /// reads them again; what was moved. Tells how far it is, and how far it goes.
    ///
    /// # Errors
    /// Those of the archive; [`StoreError::NotWritable`] if the directory is not writable, [`StoreError::Unavailable`] if
    /// the disk is full, [`StoreError::Backend`] if rows contradict each other. Nothing is left then.
    pub fn of_archive<R: BufRead>(
        archive: &mut ArchiveReader<R>,
        directory: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(Self, Moved), ArchiveError> {
        let copy = Self::nameless(directory)?;
        let mut db = Connection::open(copy.file.path()).map_err(StoreError::from)?;
        file::migrate(&mut db)?;
        let moved = super::archive::import(&db, archive, progress)?;
        db.close().map_err(|(_, error)| StoreError::from(error))?;
        Ok((copy, moved))
    }

    fn nameless(directory: &Path) -> Result<Self, StoreError> {
        let file = tempfile::Builder::new()
            .prefix(".rotunda-copy-")
            .tempfile_in(directory)
            .map_err(|source| StoreError::NotWritable {
                path: directory.to_owned(),
                source,
            })?;
        Ok(Self {
            file,
            directory: directory.to_owned(),
        })
    }

    /// Checks the copy, as [`crate::SqliteStore::check_file`] does.
    ///
    /// # Errors
    /// As there.
    pub fn check(&self, progress: &mut dyn FnMut(CheckProgress)) -> Result<Findings, StoreError> {
        super::check::check(self.file.path(), progress)
    }

    /// Bytes of the copy.
    pub fn bytes(&self) -> u64 {
        self.file.as_file().metadata().map_or(0, |metadata| metadata.len())
    }

    /// Brings the copy's schema up to date, as the start of a store does.
    ///
    /// # Errors
    /// The disk is full, or the copy is no database of this program.
    pub fn migrate(&mut self) -> Result<(), StoreError> {
        let mut db = Connection::open(self.file.path())?;
        file::migrate(&mut db)?;
        db.close().map_err(|(_, error)| error.into())
    }

    /// Seals the secrets that the copy has in the open, as [`SqliteStore::seal_secrets`] does.
    ///
    /// # Errors
    /// As there.
    pub fn seal_secrets<E: From<StoreError>>(
        &mut self,
        seal: impl FnMut(SecretOf, &str) -> Result<SealedSecret, E>,
    ) -> Result<usize, E> {
        let mut db = Connection::open(self.file.path()).map_err(StoreError::from)?;
        super::account::seal(&mut db, seal)
    }

    /// All accounts and all keys of the copy, oldest first.
    ///
    /// # Errors
    /// As [`SqliteStore::read_credentials`].
    pub fn credentials(&self) -> Result<(Vec<Account>, Vec<ApiKey>), StoreError> {
        SqliteStore::read_credentials(self.file.path())
    }

    /// Syncs the copy and gives it its name in its directory, at once: nobody ever sees a part of it.
    ///
    /// # Errors
    /// [`StoreError::NotWritable`], also if the name is taken and `overwrite` is false.
    pub fn publish(self, to: &Path, overwrite: bool) -> Result<(), StoreError> {
        let failed = |source| StoreError::NotWritable {
            path: to.to_owned(),
            source,
        };
        self.file.as_file().sync_all().map_err(failed)?;
        let named = if overwrite {
            self.file.persist(to)
        } else {
            self.file.persist_noclobber(to)
        };
        named.map_err(|error| failed(error.error))?;
        sync_directory(&self.directory).map_err(failed)
    }

    /// Puts the copy in the place of the database that `lock` is of, which no store has open. Rooms in progress go on
    /// with epochs above those that the replaced database had for them, so that no client sees revisions go back. The
    /// replaced database stays beside it, as `{name}.replaced-{at_s}`. The audit log goes on: lines of the replaced
    /// database that the copy lacks are added, if both are of one installation, and one that tells of the restore.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if a store or another program has the database open. Whatever fails, the database is
    /// what it was, or is replaced; never a part of either, and never none.
    pub fn replace(self, lock: &Arc<DatabaseLock>, at_s: i64) -> Result<Restored, StoreError> {
        let path = lock.path();
        if Arc::strong_count(lock) > 1 {
            return Err(StoreError::InUse { path: path.to_owned() });
        }
        let failed = |source| StoreError::NotWritable {
            path: path.to_owned(),
            source,
        };
        let present = path.exists().then(|| Present::seize(path)).transpose()?;
        let rooms = self.succeed(present.as_ref().and_then(Present::readable), at_s)?;
        let replaced = match &present {
            Some(present) => Some(present.keep(at_s).map_err(failed)?),
            None => None,
        };
        self.publish(path, true)?;
        Ok(Restored { replaced, rooms })
    }

    /// Makes it the successor of the present database: raises the epochs of rooms in progress, and carries the audit log
    /// on. How many rooms these are.
    fn succeed(&self, present: Option<&Connection>, at_s: i64) -> Result<u64, StoreError> {
        let mut db = Connection::open(self.file.path())?;
        let transaction = db.transaction()?;
        let rooms = transaction
            .prepare("SELECT id, sid, epoch FROM rooms WHERE ended_us IS NULL")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<Vec<(i64, [u8; 16], i64)>, _>>()?;
        for (id, sid, epoch) in &rooms {
            let last = match present.map(|present| epoch_of(present, sid)) {
                Some(Ok(last)) => last.unwrap_or(*epoch),
                // How far it came nobody knows.
                Some(Err(_)) | None => epoch.saturating_add(limits::EPOCHS_UNKNOWN),
            };
            transaction.execute("UPDATE rooms SET epoch = max(epoch, ?2) WHERE id = ?1", [*id, last])?;
        }
        if let Some(present) = present
            && file::schema_version(present).is_ok_and(|(found, known)| found == known)
            && let Err(error) = audit::carry_over(present, &transaction)
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the audit log that is replaced cannot be read to its end"
            );
        }
        audit::append(
            &transaction,
            &Audit::of_operator(Timestamp(at_s.saturating_mul(1_000_000)), "restore"),
        )?;
        transaction.commit()?;
        db.close().map_err(|(_, error)| error)?;
        Ok(rooms.len() as u64)
    }
}

/// The database that is about to be replaced, held so that nobody else opens it meanwhile.
struct Present<'a> {
    path: &'a Path,
    /// `None`: it is so damaged that SQLite cannot open it.
    db: Option<Connection>,
}

impl<'a> Present<'a> {
    fn seize(path: &'a Path) -> Result<Self, StoreError> {
        let mut head = [0; 16];
        let is_database = File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && &head == HEAD;
        if !is_database {
            // SQLite would take the log away of what it cannot read.
            tracing::warn!(path = %path.display(), "what is replaced is no database");
            return Ok(Self { path, db: None });
        }
        let db = match hold(path) {
            Ok(db) => Some(db),
            Err(error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                    return Err(StoreError::InUse { path: path.to_owned() });
                }
                _ => {
                    tracing::warn!(%error, path = %path.display(), "the database that is replaced cannot be read");
                    None
                }
            },
        };
        Ok(Self { path, db })
    }

    /// Its rows, if they can be read at all.
    fn readable(&self) -> Option<&Connection> {
        let db = self.db.as_ref()?;
        let looked = db.query_row("SELECT count(epoch) FROM rooms WHERE ended_us IS NULL", [], |_| Ok(()));
        looked.is_ok().then_some(db)
    }

    /// Gives it a second name, beside the first.
    fn keep(&self, at_s: i64) -> io::Result<PathBuf> {
        let beside = |suffix: &str| file::beside(self.path, suffix);
        let kept = beside(&format!(".replaced-{at_s}"));
        std::fs::hard_link(self.path, &kept)?;
        // What SQLite could not open may have a log. It must not meet the new file.
        for log in ["-wal", "-shm", "-journal"] {
            let (from, to) = (beside(log), beside(&format!(".replaced-{at_s}{log}")));
            match std::fs::rename(&from, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(kept)
    }
}

fn epoch_of(present: &Connection, sid: &[u8; 16]) -> Result<Option<i64>, rusqlite::Error> {
    let mut query = present.prepare_cached("SELECT epoch FROM rooms WHERE sid = ?1")?;
    query.query_row(params![sid], |row| row.get(0)).optional()
}

/// Opens it alone, with all of it in one file; it stays locked until the connection is closed.
fn hold(path: &Path) -> Result<Connection, rusqlite::Error> {
    let db = Connection::open(path)?;
    db.busy_timeout(limits::SEIZE_WAIT)?;
    // Leaving the write-ahead log needs everybody else to have closed the file.
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    if mode != "delete" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            None,
        ));
    }
    db.execute_batch("BEGIN EXCLUSIVE")?;
    Ok(db)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
