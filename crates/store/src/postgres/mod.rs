//! The store of several machines or of a database that others look after: PostgreSQL.
//!
//! Writes go through lanes, reads through readers, each with connections of its own (`lane.rs`, `readers.rs`); all run
//! on a thread of the store. One session holds the lock that keeps a second server off (`lock.rs`).

mod account;
mod anonymize;
mod archive;
mod audit;
mod callback;
mod callback_row;
mod change;
mod check;
mod connection;
mod event;
mod lane;
mod lock;
mod outage;
mod page;
mod participant;
mod readers;
mod retention;
mod room_row;
mod row;
mod rules;
mod schema;
mod take_over;
mod track;
mod url;
#[cfg(test)]
mod work;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use futures_util::future::join_all;
use room::{AccountSid, Change, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus, Timestamp, TrackSid};
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::task::JoinSet;

pub use self::archive::PostgresImport;
use self::connection::{Connection, Connector};
use self::lane::{Lane, Lanes, stopped};
use self::lock::{Lock, Session};
use self::outage::Gauge;
use self::readers::{Reader, Readers, Sees};
pub use self::url::{DatabaseUrl, DatabaseUrlError};
use crate::{
    Account, ApiKey, ArchiveError, AttemptRow, Audit, AuditFilter, AuditRow, BoxFuture, CallbackFilter, CallbackLease,
    CallbackRow, CheckProgress, Condition, EndedAttempt, Expiry, Findings, Forgotten, LeasedCallbacks, LiveRoom,
    NewRoom, Page, PageRequest, ParticipantFilter, ParticipantRow, ParticipantsOf, Redelivered, RedeliveryRequest,
    RoomFilter, RoomKey, RoomRow, Store, StoreError, SubscribeRulesRow, TrackKey, TrackRow,
};

/// A store in a PostgreSQL database, which it shares with no other store.
///
/// A write that was queued happens even if its future is dropped before it resolves. Dropping the
/// store finishes the queued writes, closes its connections, ends its thread and waits for it.
pub struct PostgresStore {
    readers: Readers,
    lanes: Lanes,
    gauge: Arc<Gauge>,
    /// Makes connections for what fits no transaction, one at a time.
    apart: Mutex<Connector>,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread of a store runs.
struct Work {
    connector: Connector,
    lock: Lock,
    lanes: Vec<Lane>,
    readers: Vec<Reader>,
    end: Arc<Notify>,
}

impl PostgresStore {
    /// Opens the database, keeps other servers off it, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::DatabaseInUse`] if another server has it, [`StoreError::NewerSchema`] if a later version of the
    /// program wrote it, [`StoreError::Unavailable`] if it cannot be reached or does not let us in.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let gauge = Arc::<Gauge>::default();
        let (closing, end) = (Arc::<AtomicBool>::default(), Arc::<Notify>::default());
        let connector = Connector::new(url.clone())?;
        let lock = Lock::new(&gauge);
        let (lanes, lane_tasks) = Lanes::new(&connector, &lock, &gauge, &closing);
        let (readers, reader_tasks) = Readers::new(&connector, &gauge);
        let work = Work {
            connector: connector.clone(),
            lock,
            lanes: lane_tasks,
            readers: reader_tasks,
            end,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StoreError::backend)?;
        let (opened, opens) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("store-postgres".to_owned())
            .spawn(move || runtime.block_on(work.run(opened)))
            .map_err(StoreError::backend)?;
        let store = Self {
            readers,
            lanes,
            gauge,
            apart: Mutex::new(connector),
            closing,
            thread: Some(thread),
        };
        opens.await.map_err(|_| stopped())??;
        Ok(store)
    }

    /// Brings the schema up to date and does nothing else; from and to which version.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn migrate(url: &DatabaseUrl) -> Result<(u32, u32), StoreError> {
        let session = owned(&Connector::new(url.clone())?).await?;
        let migrated = schema::migrate(&session.db).await;
        session.give_back().await;
        migrated
    }

    /// All accounts and all keys in the database, oldest first, also while a server has it. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`], [`StoreError::OlderSchema`]; [`StoreError::Unavailable`] if it cannot be reached.
    pub async fn read_credentials(url: &DatabaseUrl) -> Result<(Vec<Account>, Vec<ApiKey>), StoreError> {
        let db = look(url).await?;
        Ok((account::all(&db).await?, account::all_keys(&db).await?))
    }

    /// At most `limit` lines of the audit log behind that of the number `after`, oldest first, also while a server has
    /// the database. Changes nothing.
    ///
    /// # Errors
    /// As [`PostgresStore::read_credentials`].
    pub async fn read_audit(
        url: &DatabaseUrl,
        filter: AuditFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let db = look(url).await?;
        audit::list(&db, filter, after, limit).await
    }
}

impl PostgresStore {
    /// Records how attempts ended, each in the lane of its room. They are durable before anything is leased; if some
    /// fail, the caller tells all of them again, and those that were written count once all the same.
    async fn record_ended(&self, ended: Vec<EndedAttempt>, now: Timestamp) -> Result<(), StoreError> {
        if ended.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = ended.iter().map(|attempt| attempt.id).collect();
        let found = self.readers.run(Sees::Each, move |db| {
            Box::pin(async move { callback::rooms(db, &ids).await })
        });
        let found = found.await?;
        let mut of_rooms: HashMap<RoomSid, Vec<EndedAttempt>> = HashMap::new();
        for attempt in ended {
            // Forgotten meanwhile, after somebody else was done with it.
            let Some(room) = found.get(&attempt.id) else { continue };
            of_rooms.entry(*room).or_default().push(attempt);
        }
        let records = of_rooms.into_iter().map(|(room, attempts)| {
            self.lanes.run_for(*room.as_bytes(), move |db| {
                Box::pin(async move {
                    for attempt in &attempts {
                        callback::record(db, attempt, now).await?;
                    }
                    Ok(())
                })
            })
        });
        let recorded: Vec<Result<(), StoreError>> = join_all(records).await;
        recorded.into_iter().collect()
    }

    /// Each room has a transaction of its own, the first in which something is made due with the line of the audit
    /// log: so nothing is delivered again that the log does not tell of.
    async fn redeliver(&self, request: RedeliveryRequest) -> Result<Redelivered, StoreError> {
        let what = request.what;
        let looked = self.readers.run(Sees::Each, move |db| {
            Box::pin(async move { callback_row::looked_at(db, &what).await })
        });
        let looked = looked.await?;
        let mut by = request.by;
        let mut count = 0;
        for (room, entries) in looked.of_rooms {
            let (now, line) = (request.now, by.clone());
            let made_due = self.lanes.run_for(*room.as_bytes(), move |db| {
                Box::pin(async move {
                    let count = callback_row::redeliver(db, room, &entries, now).await?;
                    if let Some(line) = line.filter(|_| count > 0) {
                        audit::append(db, &line).await?;
                    }
                    Ok(count)
                })
            });
            let made_due = made_due.await?;
            count += made_due;
            if made_due > 0 {
                by = None;
            }
        }
        Ok(Redelivered {
            count,
            last: looked.last,
        })
    }

    /// At most `limit` callbacks behind that of the number `after`, oldest first, also while a server has the database.
    /// Changes nothing.
    ///
    /// # Errors
    /// As [`PostgresStore::read_credentials`].
    pub async fn read_callbacks(
        url: &DatabaseUrl,
        filter: &CallbackFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<CallbackRow>, StoreError> {
        let db = look(url).await?;
        callback_row::list(&db, filter, after, limit).await
    }

    /// One callback with its latest attempts, also while a server has the database. Changes nothing.
    ///
    /// # Errors
    /// As [`PostgresStore::read_credentials`].
    pub async fn read_callback(
        url: &DatabaseUrl,
        id: i64,
    ) -> Result<Option<(CallbackRow, Vec<AttemptRow>)>, StoreError> {
        let db = look(url).await?;
        let Some(row) = callback_row::one(&db, id).await? else {
            return Ok(None);
        };
        Ok(Some((row, callback_row::attempts(&db, id).await?)))
    }
}

impl PostgresStore {
    /// Writes all rows of the database to an archive, as of one moment, also while a server has it; how many they are.
    /// Tells how far it is, and how far it goes. Changes nothing.
    ///
    /// # Errors
    /// As [`PostgresStore::read_credentials`]; [`ArchiveError::Io`] if `out` cannot be written.
    pub async fn export(
        url: &DatabaseUrl,
        out: impl std::io::Write,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<u64, ArchiveError> {
        archive::export(url, out, progress).await
    }

    /// Checks the invariants of the database, on one snapshot, also while a server has it. Changes nothing. Takes as long
    /// as reading all of it, and a little memory.
    ///
    /// # Errors
    /// As [`PostgresStore::read_credentials`].
    pub async fn check_database(
        url: &DatabaseUrl,
        progress: &mut dyn FnMut(CheckProgress),
    ) -> Result<Findings, StoreError> {
        check::check(&look(url).await?, progress).await
    }
}

/// A session that holds the lock.
async fn owned(connector: &Connector) -> Result<Session, StoreError> {
    let db = connector.connect().await?;
    Session::take(db).await?.ok_or_else(|| StoreError::DatabaseInUse {
        database: connector.url().to_string(),
    })
}

/// A connection for a short look at a database that may belong to another process.
async fn look(url: &DatabaseUrl) -> Result<Connection, StoreError> {
    let db = Connector::new(url.clone())?.connect().await?;
    db.command("SET default_transaction_read_only = on").await?;
    let (found, known) = schema::version(&db).await?;
    if found < known {
        return Err(StoreError::OlderSchema { found, known });
    }
    Ok(db)
}

impl Work {
    async fn run(self, opened: oneshot::Sender<Result<(), StoreError>>) {
        let session = match self.open().await {
            Ok(session) => session,
            Err(error) => {
                drop(opened.send(Err(error)));
                return;
            }
        };
        let (connector, lock, end) = (self.connector, self.lock, self.end);
        let keeper_end = Arc::clone(&end);
        let mut keeper = JoinSet::new();
        lock.held();
        keeper.spawn(async move { session.keep(&connector, &lock, &keeper_end).await });
        let mut tasks = JoinSet::new();
        self.lanes.into_iter().for_each(|lane| drop(tasks.spawn(lane.serve())));
        self.readers
            .into_iter()
            .for_each(|reader| drop(tasks.spawn(reader.serve())));
        // Nobody waits for it any more if the future of `open` was dropped.
        drop(opened.send(Ok(())));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part of the store ended early");
            }
        }
        // The lock is released when all has ended.
        end.notify_one();
        keeper.join_all().await;
    }

    async fn open(&self) -> Result<Session, StoreError> {
        let session = owned(&self.connector).await?;
        schema::migrate(&session.db).await?;
        Ok(session)
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        self.lanes.close();
        self.readers.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the store had panicked");
        }
    }
}

impl Store for PostgresStore {
    fn put_account_audited(&self, account: Account, by: Option<Audit>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.lanes.run(move |db| {
            Box::pin(async move {
                account::put(db, &account).await?;
                match &by {
                    Some(by) => audit::append(db, by).await,
                    None => Ok(()),
                }
            })
        })
    }

    fn accounts(&self) -> BoxFuture<'_, Result<Vec<Account>, StoreError>> {
        self.readers.run(Sees::Each, |db| Box::pin(account::all(db)))
    }

    fn put_api_key_audited(&self, key: ApiKey, by: Option<Audit>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.lanes.run(move |db| {
            Box::pin(async move {
                account::put_key(db, &key).await?;
                match &by {
                    Some(by) => audit::append(db, by).await,
                    None => Ok(()),
                }
            })
        })
    }

    fn api_keys(&self) -> BoxFuture<'_, Result<Vec<ApiKey>, StoreError>> {
        self.readers.run(Sees::Each, |db| Box::pin(account::all_keys(db)))
    }

    fn secret(&self, name: &'static str, fresh: [u8; 32]) -> BoxFuture<'_, Result<[u8; 32], StoreError>> {
        self.lanes.run(move |db| Box::pin(account::secret(db, name, fresh)))
    }

    fn create_room_audited(
        &self,
        account: AccountSid,
        room: NewRoom,
        by: Option<Audit>,
    ) -> BoxFuture<'_, Result<RoomRow, StoreError>> {
        self.lanes.run(move |db| {
            Box::pin(async move {
                let row = room_row::create(db, account, room).await?;
                if let Some(by) = by {
                    audit::append(db, &by).await?;
                }
                Ok(row)
            })
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
        self.lanes.run_for(*room.as_bytes(), move |db| {
            Box::pin(async move {
                change::apply(db, account, room, epoch, &changes).await?;
                for by in &by {
                    audit::append(db, by).await?;
                }
                Ok(())
            })
        })
    }

    fn anonymize(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        by: Option<Audit>,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.lanes.run_for(*room.as_bytes(), move |db| {
            Box::pin(async move {
                let done = anonymize::in_completed_room(db, account, room, participant).await?;
                if let Some(by) = by.filter(|_| done) {
                    audit::append(db, &by).await?;
                }
                Ok(done)
            })
        })
    }

    fn expunge(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let connector = self.apart.lock().await;
            anonymize::expunge(&connector).await
        })
    }

    fn take_over(&self, now: Timestamp) -> BoxFuture<'_, Result<Vec<LiveRoom>, StoreError>> {
        self.lanes.run(move |db| Box::pin(take_over::all(db, now)))
    }

    fn take_over_room(
        &self,
        account: AccountSid,
        room: RoomSid,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<LiveRoom>, StoreError>> {
        self.lanes.run_for(*room.as_bytes(), move |db| {
            Box::pin(take_over::room(db, account, room, now))
        })
    }

    fn room(&self, account: AccountSid, room: RoomSid) -> BoxFuture<'_, Result<Option<RoomRow>, StoreError>> {
        self.readers
            .run(Sees::Each, move |db| Box::pin(room_row::fetch(db, account, room)))
    }

    fn room_in_progress(&self, account: AccountSid, name: &str) -> BoxFuture<'_, Result<Option<RoomRow>, StoreError>> {
        let name = name.to_owned();
        self.readers.run(Sees::Each, move |db| {
            Box::pin(async move { room_row::in_progress(db, account, &name).await })
        })
    }

    fn rooms(
        &self,
        account: AccountSid,
        filter: RoomFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<RoomRow>, StoreError>> {
        self.readers.run(Sees::Snapshot, move |db| {
            Box::pin(async move { room_row::list(db, account, &filter, page).await })
        })
    }

    fn participant(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
    ) -> BoxFuture<'_, Result<Option<ParticipantRow>, StoreError>> {
        self.readers.run(Sees::Each, move |db| {
            Box::pin(participant::fetch(db, account, room, participant))
        })
    }

    fn participant_live(
        &self,
        account: AccountSid,
        room: RoomSid,
        identity: &str,
    ) -> BoxFuture<'_, Result<Option<ParticipantRow>, StoreError>> {
        let identity = identity.to_owned();
        self.readers.run(Sees::Each, move |db| {
            Box::pin(async move { participant::live(db, account, room, &identity).await })
        })
    }

    fn participants(
        &self,
        account: AccountSid,
        room: RoomSid,
        filter: ParticipantFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<ParticipantRow>, StoreError>> {
        self.readers.run(Sees::Snapshot, move |db| {
            Box::pin(async move { participant::list(db, account, room, &filter, page).await })
        })
    }

    fn participants_of(
        &self,
        account: AccountSid,
        room: RoomKey,
        filter: ParticipantFilter,
        otherwise: fn(RoomStatus) -> ParticipantStatus,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Option<ParticipantsOf>, StoreError>> {
        self.readers.run(Sees::Snapshot, move |db| {
            Box::pin(async move { participant::list_of(db, account, &room, filter, otherwise, page).await })
        })
    }

    fn published_tracks(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<TrackRow>, StoreError>> {
        self.readers.run(Sees::Snapshot, move |db| {
            Box::pin(track::list(db, account, room, participant, page))
        })
    }

    fn published_track(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        key: TrackKey,
    ) -> BoxFuture<'_, Result<Option<TrackRow>, StoreError>> {
        self.readers.run(Sees::Snapshot, move |db| {
            Box::pin(async move { track::fetch(db, account, room, participant, &key).await })
        })
    }

    fn tracks(
        &self,
        account: AccountSid,
        room: RoomSid,
        tracks: Vec<TrackSid>,
    ) -> BoxFuture<'_, Result<Vec<TrackRow>, StoreError>> {
        self.readers.run(Sees::Snapshot, move |db| {
            Box::pin(async move { track::some(db, account, room, &tracks).await })
        })
    }

    fn subscribe_rules(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
    ) -> BoxFuture<'_, Result<Option<SubscribeRulesRow>, StoreError>> {
        self.readers.run(Sees::Snapshot, move |db| {
            Box::pin(rules::fetch(db, account, room, participant))
        })
    }

    fn exchange_callbacks(
        &self,
        ended: Vec<EndedAttempt>,
        lease: CallbackLease,
    ) -> BoxFuture<'_, Result<LeasedCallbacks, StoreError>> {
        Box::pin(async move {
            self.record_ended(ended, lease.now).await?;
            if lease.limit == 0 {
                return self
                    .readers
                    .run(Sees::Each, move |db| {
                        Box::pin(async move { callback::nothing(db, &lease).await })
                    })
                    .await;
            }
            let take = self
                .lanes
                .run(move |db| Box::pin(async move { callback::lease(db, &lease).await }));
            take.await
        })
    }

    fn next_callback(&self) -> BoxFuture<'_, Result<Option<Timestamp>, StoreError>> {
        self.readers.run(Sees::Each, |db| Box::pin(callback::next(db)))
    }

    fn callbacks(
        &self,
        filter: CallbackFilter,
        after: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<CallbackRow>, StoreError>> {
        self.readers.run(Sees::Each, move |db| {
            Box::pin(async move { callback_row::list(db, &filter, after, limit).await })
        })
    }

    fn callback_attempts(&self, id: i64) -> BoxFuture<'_, Result<Vec<AttemptRow>, StoreError>> {
        self.readers
            .run(Sees::Each, move |db| Box::pin(callback_row::attempts(db, id)))
    }

    fn redeliver_callbacks(&self, request: RedeliveryRequest) -> BoxFuture<'_, Result<Redelivered, StoreError>> {
        Box::pin(self.redeliver(request))
    }

    fn record(&self, audit: Audit) -> BoxFuture<'_, Result<(), StoreError>> {
        self.lanes
            .run(move |db| Box::pin(async move { audit::append(db, &audit).await }))
    }

    fn audit(&self, filter: AuditFilter, after: i64, limit: u32) -> BoxFuture<'_, Result<Vec<AuditRow>, StoreError>> {
        self.readers
            .run(Sees::Each, move |db| Box::pin(audit::list(db, filter, after, limit)))
    }

    fn forget(&self, before: Expiry, rows: u32) -> BoxFuture<'_, Result<Forgotten, StoreError>> {
        self.lanes.run(move |db| Box::pin(retention::forget(db, before, rows)))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let written = self.lanes.run(|db| Box::pin(count_check(db))).await?;
            let read = self.readers.run(Sees::Each, |db| Box::pin(read_check(db))).await?;
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

async fn count_check(db: &Connection) -> Result<i64, StoreError> {
    let row = db
        .query_one("UPDATE checks SET count = count + 1 WHERE id = 1 RETURNING count", &[])
        .await?;
    row::get(&row, 0)
}

async fn read_check(db: &Connection) -> Result<i64, StoreError> {
    let row = db.query_one("SELECT count FROM checks WHERE id = 1", &[]).await?;
    row::get(&row, 0)
}
