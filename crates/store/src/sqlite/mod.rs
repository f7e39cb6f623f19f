//! The store of a single machine: SQLite, one thread that writes and a few that read.
//!
//! Writes are gathered: whatever waits while one commit goes to the disk shares the next. Reads run
//! on connections of their own and never wait for a write; each sees all that was acknowledged
//! before it was asked.

mod account;
mod anonymize;
mod archive;
mod audit;
#[cfg(feature = "bulk")]
mod bulk;
mod callback;
mod callback_row;
mod change;
mod check;
mod checkpoint;
mod copy;
mod event;
mod expunge;
mod file;
mod free_space;
mod outage;
mod page;
mod participant;
mod readers;
mod retention;
mod room_row;
mod row;
mod rules;
mod take_over;
mod track;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod work;
mod writer;

use std::path::Path;
use std::sync::Arc;

use room::{AccountSid, Change, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus, Timestamp, TrackSid};
use rusqlite::{Connection, params};

#[cfg(feature = "bulk")]
pub use self::bulk::{Bulk, add_open_credentials};
pub use self::copy::{DatabaseCopy, Restored};
use self::expunge::Rounds;
use self::file::DatabaseFile;
pub use self::file::DatabaseLock;
use self::outage::Gauge;
use self::readers::Readers;
use self::writer::Writer;
use crate::{
    Account, ApiKey, ArchiveError, AttemptRow, Audit, AuditFilter, AuditRow, BoxFuture, CallbackFilter, CallbackLease,
    CallbackRow, CheckProgress, Condition, EndedAttempt, Expiry, Findings, Forgotten, Invariant, LeasedCallbacks,
    LiveRoom, NewRoom, Page, PageRequest, ParticipantFilter, ParticipantRow, ParticipantsOf, Redelivered,
    RedeliveryRequest, RoomFilter, RoomKey, RoomRow, SealedSecret, SecretOf, Store, StoreError, SubscribeRulesRow,
    TrackKey, TrackRow, limits,
};

/// A store in one SQLite file, or in none that outlives it.
///
/// A write that was queued happens even if its future is dropped before it resolves. Dropping the
/// store finishes the queued writes, ends its threads and waits for them.
pub struct SqliteStore {
    // In this order they are dropped: the threads end before the lock on the file is released.
    readers: Readers,
    writer: Writer,
    gauge: Arc<Gauge>,
    rounds: Rounds,
    _file: DatabaseFile,
}

impl SqliteStore {
    /// Opens the database in this file, makes it if it is not there, and brings its schema up to
    /// date. A lock file of the same name and `.lock` beside it keeps other processes out.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process (or another store of this one) has it open,
    /// [`StoreError::NotWritable`] if the directory or the file cannot be written,
    /// [`StoreError::NewerSchema`] if a later version of the program wrote it; then it is unchanged.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_locked(DatabaseLock::take(path)?)
    }

    /// Opens the database that the lock is of, as [`SqliteStore::open`] does. The store owns a part of the lock until all of
    /// it has ended.
    ///
    /// # Errors
    /// As there, but for the lock.
    pub fn open_locked(lock: Arc<DatabaseLock>) -> Result<Self, StoreError> {
        Self::start(DatabaseFile::open(lock)?)
    }

    /// A new, empty store that is gone when it is dropped or its process ends, in whatever way.
    ///
    /// # Errors
    /// [`StoreError::NotWritable`] if the system's directory for temporary files is not writable.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::start(DatabaseFile::temporary()?)
    }

    /// All accounts and all keys in the file, oldest first, also while another process has it open.
    /// Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] if a later version of the program wrote it, [`StoreError::OlderSchema`] if one that
    /// sealed no secrets did; [`StoreError::Backend`] if it is not there or cannot be read.
    pub fn read_credentials(path: &Path) -> Result<(Vec<Account>, Vec<ApiKey>), StoreError> {
        let db = file::visit(path)?;
        match file::schema_version(&db)? {
            (found, known) if found < file::SEALS_SINCE => Err(StoreError::OlderSchema { found, known }),
            _ => Ok((account::all(&db)?, account::all_keys(&db)?)),
        }
    }

    /// Whether the database in this file holds sealed secrets, which only its master key opens. Changes nothing.
    ///
    /// # Errors
    /// As [`SqliteStore::read_credentials`], but an older schema has none.
    pub fn has_sealed_secrets(path: &Path) -> Result<bool, StoreError> {
        let db = file::visit(path)?;
        let (found, _) = file::schema_version(&db)?;
        Ok(found >= file::SEALS_SINCE && account::has_sealed(&db)?)
    }

    /// Seals the secrets that an earlier version of the program kept in the open in the database that the lock is of, and
    /// leaves nothing of them in its files; how many there were. Brings the schema up to date before. No store has
    /// the database open.
    ///
    /// # Errors
    /// As [`SqliteStore::open_locked`], and those of `seal`; then all is as it was.
    pub fn seal_secrets<E: From<StoreError>>(
        lock: &Arc<DatabaseLock>,
        seal: impl FnMut(SecretOf, &str) -> Result<SealedSecret, E>,
    ) -> Result<usize, E> {
        let mut db = DatabaseFile::open(Arc::clone(lock))?.writer()?;
        let sealed = account::seal(&mut db, seal)?;
        if sealed > 0 {
            checkpoint::empty(&db).map_err(StoreError::from)?;
        }
        Ok(sealed)
    }

    /// Reads lines of the audit log in the file, oldest first, also while another process has it open. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] if a later version of the program wrote it; those of `each`;
    /// [`StoreError::Backend`] if it is not there or cannot be read.
    pub fn read_audit<E: From<StoreError>>(
        path: &Path,
        filter: AuditFilter,
        mut each: impl FnMut(AuditRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let db = file::look(path)?;
        let mut after = 0;
        loop {
            let rows = audit::list(&db, filter, after, limits::AUDIT_ROWS_MAX)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            rows.into_iter().try_for_each(&mut each)?;
        }
    }

    /// Reads callbacks in the file, oldest first, also while another process has it open. Changes nothing.
    ///
    /// # Errors
    /// As [`SqliteStore::read_audit`].
    pub fn read_callbacks<E: From<StoreError>>(
        path: &Path,
        filter: &CallbackFilter,
        mut each: impl FnMut(CallbackRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let db = file::look(path)?;
        let mut after = 0;
        loop {
            let rows = callback_row::list(&db, filter, after, limits::CALLBACK_ROWS_MAX)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            rows.into_iter().try_for_each(&mut each)?;
        }
    }

    /// Reads one callback in the file with its latest attempts, also while another process has it open. Changes nothing.
    ///
    /// # Errors
    /// As [`SqliteStore::read_audit`].
    pub fn read_callback(path: &Path, id: i64) -> Result<Option<(CallbackRow, Vec<AttemptRow>)>, StoreError> {
        let db = file::look(path)?;
        let Some(row) = callback_row::one(&db, id)? else {
            return Ok(None);
        };
        Ok(Some((row, callback_row::attempts(&db, id)?)))
    }

    /// Checks the invariants of the database in this file, on one snapshot, also while another process has it open.
    /// Changes nothing. Takes as long as reading the whole file, and a little memory.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] and [`StoreError::OlderSchema`] if the invariants of this program are not those of
    /// the one that wrote it; [`StoreError::Backend`] if it is not there or cannot be read.
    pub fn check_file(path: &Path, progress: &mut dyn FnMut(CheckProgress)) -> Result<Findings, StoreError> {
        check::check(path, progress)
    }

    /// Writes all rows of the database in this file to an archive, as of one moment, also while another process has it
    /// open; how many they are. Tells how far it is, and how far it goes. Changes nothing.
    ///
    /// # Errors
    /// [`ArchiveError::Unsealed`]; [`ArchiveError::Io`] if `out` cannot be written; as [`SqliteStore::check_file`].
    pub fn export(
        path: &Path,
        out: impl std::io::Write,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<u64, ArchiveError> {
        archive::export(path, out, progress)
    }

    /// The invariants that [`SqliteStore::check_file`] checks.
    pub fn invariants() -> Vec<Invariant> {
        crate::check::invariants().collect()
    }

    fn start(mut file: DatabaseFile) -> Result<Self, StoreError> {
        let writer = file.writer()?;
        let readers = (0..limits::READERS)
            .map(|_| file.reader())
            .collect::<Result<Vec<Connection>, StoreError>>()?;
        file.forget_path();
        let gauge = Arc::<Gauge>::default();
        Ok(Self {
            readers: Readers::start(readers, Arc::clone(&gauge))?,
            writer: Writer::start(writer, Arc::clone(&gauge))?,
            gauge,
            rounds: Rounds::default(),
            _file: file,
        })
    }
}

impl Store for SqliteStore {
    fn put_account_audited(&self, account: Account, by: Option<Audit>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.run(move |db| {
            account::put(db, &account)?;
            by.iter().try_for_each(|by| audit::append(db, by))
        })
    }

    fn accounts(&self) -> BoxFuture<'_, Result<Vec<Account>, StoreError>> {
        self.readers.run(account::all)
    }

    fn put_api_key_audited(&self, key: ApiKey, by: Option<Audit>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.run(move |db| {
            account::put_key(db, &key)?;
            by.iter().try_for_each(|by| audit::append(db, by))
        })
    }

    fn api_keys(&self) -> BoxFuture<'_, Result<Vec<ApiKey>, StoreError>> {
        self.readers.run(account::all_keys)
    }

    fn secret(&self, name: &'static str, fresh: [u8; 32]) -> BoxFuture<'_, Result<[u8; 32], StoreError>> {
        self.writer.run(move |db| account::secret(db, name, fresh))
    }

    fn create_room_audited(
        &self,
        account: AccountSid,
        room: NewRoom,
        by: Option<Audit>,
    ) -> BoxFuture<'_, Result<RoomRow, StoreError>> {
        self.writer.run(move |db| {
            let row = room_row::create(db, account, room)?;
            by.iter().try_for_each(|by| audit::append(db, by))?;
            Ok(row)
        })
    }

    fn write_audited(
        &self,
        account: AccountSid,
        room: RoomSid,
        epoch: u64,
        changes: Vec<Change>,
        by: Vec<Audit>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.run(move |db| {
            change::apply(db, account, room, epoch, &changes)?;
            by.iter().try_for_each(|by| audit::append(db, by))
        })
    }

    fn anonymize(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        by: Option<Audit>,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.writer.run(move |db| {
            let done = anonymize::in_completed_room(db, account, room, participant)?;
            by.iter().filter(|_| done).try_for_each(|by| audit::append(db, by))?;
            Ok(done)
        })
    }

    fn expunge(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.expunge_all())
    }

    fn take_over(&self, now: Timestamp) -> BoxFuture<'_, Result<Vec<LiveRoom>, StoreError>> {
        self.writer.run(move |db| take_over::all(db, now))
    }

    fn take_over_room(
        &self,
        account: AccountSid,
        room: RoomSid,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<LiveRoom>, StoreError>> {
        self.writer.run(move |db| take_over::room(db, account, room, now))
    }

    fn room(&self, account: AccountSid, room: RoomSid) -> BoxFuture<'_, Result<Option<RoomRow>, StoreError>> {
        self.readers.run(move |db| room_row::fetch(db, account, room))
    }

    fn room_in_progress(&self, account: AccountSid, name: &str) -> BoxFuture<'_, Result<Option<RoomRow>, StoreError>> {
        let name = name.to_owned();
        self.readers.run(move |db| room_row::in_progress(db, account, &name))
    }

    fn rooms(
        &self,
        account: AccountSid,
        filter: RoomFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<RoomRow>, StoreError>> {
        self.readers.run(move |db| room_row::list(db, account, &filter, page))
    }

    fn participant(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
    ) -> BoxFuture<'_, Result<Option<ParticipantRow>, StoreError>> {
        self.readers
            .run(move |db| participant::fetch(db, account, room, participant))
    }

    fn participant_live(
        &self,
        account: AccountSid,
        room: RoomSid,
        identity: &str,
    ) -> BoxFuture<'_, Result<Option<ParticipantRow>, StoreError>> {
        let identity = identity.to_owned();
        self.readers
            .run(move |db| participant::live(db, account, room, &identity))
    }

    fn participants(
        &self,
        account: AccountSid,
        room: RoomSid,
        filter: ParticipantFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<ParticipantRow>, StoreError>> {
        self.readers
            .run(move |db| participant::list(db, account, room, &filter, page))
    }

    fn participants_of(
        &self,
        account: AccountSid,
        room: RoomKey,
        filter: ParticipantFilter,
        otherwise: fn(RoomStatus) -> ParticipantStatus,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Option<ParticipantsOf>, StoreError>> {
        self.readers
            .run(move |db| participant::list_of(db, account, &room, filter, otherwise, page))
    }

    fn published_tracks(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<TrackRow>, StoreError>> {
        self.readers
            .run(move |db| track::list(db, account, room, participant, page))
    }

    fn published_track(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        key: TrackKey,
    ) -> BoxFuture<'_, Result<Option<TrackRow>, StoreError>> {
        self.readers
            .run(move |db| track::fetch(db, account, room, participant, &key))
    }

    fn tracks(
        &self,
        account: AccountSid,
        room: RoomSid,
        tracks: Vec<TrackSid>,
    ) -> BoxFuture<'_, Result<Vec<TrackRow>, StoreError>> {
        self.readers.run(move |db| track::some(db, account, room, &tracks))
    }

    fn subscribe_rules(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
    ) -> BoxFuture<'_, Result<Option<SubscribeRulesRow>, StoreError>> {
        self.readers.run(move |db| rules::fetch(db, account, room, participant))
    }

    fn exchange_callbacks(
        &self,
        ended: Vec<EndedAttempt>,
        lease: CallbackLease,
    ) -> BoxFuture<'_, Result<LeasedCallbacks, StoreError>> {
        self.writer.run(move |db| callback::exchange(db, &ended, &lease))
    }

    fn next_callback(&self) -> BoxFuture<'_, Result<Option<Timestamp>, StoreError>> {
        self.readers.run(callback::next)
    }

    fn callbacks(
        &self,
        filter: CallbackFilter,
        after: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<CallbackRow>, StoreError>> {
        self.readers
            .run(move |db| callback_row::list(db, &filter, after, limit))
    }

    fn callback_attempts(&self, id: i64) -> BoxFuture<'_, Result<Vec<AttemptRow>, StoreError>> {
        self.readers.run(move |db| callback_row::attempts(db, id))
    }

    fn redeliver_callbacks(&self, request: RedeliveryRequest) -> BoxFuture<'_, Result<Redelivered, StoreError>> {
        self.writer.run(move |db| callback_row::redeliver(db, &request))
    }

    fn record(&self, audit: Audit) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.run(move |db| audit::append(db, &audit))
    }

    fn audit(&self, filter: AuditFilter, after: i64, limit: u32) -> BoxFuture<'_, Result<Vec<AuditRow>, StoreError>> {
        self.readers.run(move |db| audit::list(db, filter, after, limit))
    }

    fn forget(&self, before: Expiry, rows: u32) -> BoxFuture<'_, Result<Forgotten, StoreError>> {
        self.writer.run(move |db| retention::forget(db, before, rows))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let written = self.writer.run(count_check).await?;
            let read = self.readers.run(read_check).await?;
            if read < written {
                return Err(StoreError::refused("a reader does not see what was committed"));
            }
            Ok(())
        })
    }

    fn condition(&self) -> Condition {
        self.gauge.condition()
    }
}

fn count_check(db: &Connection) -> Result<i64, StoreError> {
    let count = db
        .prepare_cached("UPDATE checks SET count = count + 1 WHERE id = 1 RETURNING count")?
        .query_row(params![], |row| row.get(0))?;
    Ok(count)
}

fn read_check(db: &Connection) -> Result<i64, StoreError> {
    let count = db
        .prepare_cached("SELECT count FROM checks WHERE id = 1")?
        .query_row(params![], |row| row.get(0))?;
    Ok(count)
}
