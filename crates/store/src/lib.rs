//! What is remembered: rooms, participants, tracks, events and the outbox of callbacks.
//!
//! One trait, [`Store`], one conformance suite (`conformance`, behind the feature of that name),
//! typed backends: [`SqliteStore`] in a file, [`PostgresStore`] in a database that is apart. A change is acknowledged
//! when it is durable. Each read names the account first: what belongs to another account is not there.
//!
//! No backend reads a clock or makes random numbers: times, SIDs and secrets are arguments.

use std::future::Future;
use std::pin::Pin;

use room::{AccountSid, Change, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus, Timestamp, TrackSid};

mod account;
mod archive;
mod audit;
mod callback;
mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod limits;
mod open_room;
mod page;
mod participant;
mod postgres;
mod retention;
mod room_row;
mod sqlite;
mod track;

pub use account::{Account, ApiKey, SealedSecret, SecretOf};
pub use archive::{ArchiveError, ArchiveReader, Moved};
pub use audit::{Audit, AuditFilter, AuditRow};
pub use callback::{
    AttemptRow, CallbackFilter, CallbackLease, CallbackMethod, CallbackOutcome, CallbackRow, CallbackState,
    DueCallback, EndedAttempt, LeasedCallbacks, Redelivered, Redelivery, RedeliveryRequest, receiver_of,
};
pub use check::{CheckProgress, Findings, Invariant, Violation};
pub use error::{Outage, StoreError};
pub use page::{Page, PageRequest, Position};
pub use participant::{LiveParticipant, ParticipantFilter, ParticipantRow, ParticipantsOf};
pub use postgres::{DatabaseUrl, DatabaseUrlError, PostgresImport, PostgresStore};
pub use retention::{Expiry, Forgotten};
pub use room_row::{LiveRoom, NewRoom, RoomFilter, RoomKey, RoomRow};
#[cfg(feature = "bulk")]
pub use sqlite::{Bulk, add_open_credentials};
pub use sqlite::{DatabaseCopy, DatabaseLock, Restored, SqliteStore};
pub use track::{SubscribeRulesRow, TrackKey, TrackRow};

/// A boxed future, so that the trait is object safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What every backend does. All writes are durable when their future resolves to `Ok`.
pub trait Store: Send + Sync + 'static {
    /// Makes an account if it is new, else replaces all of it but its moment of creation.
    fn put_account(&self, account: Account) -> BoxFuture<'_, Result<(), StoreError>> {
        self.put_account_audited(account, None)
    }
    /// As [`Store::put_account`], with a line of the audit log in the same transaction: both or none.
    fn put_account_audited(&self, account: Account, by: Option<Audit>) -> BoxFuture<'_, Result<(), StoreError>>;
    /// All accounts, oldest first.
    fn accounts(&self) -> BoxFuture<'_, Result<Vec<Account>, StoreError>>;
    /// Makes a key if it is new, else replaces all of it but its moment of creation. The account is
    /// there before, and stays the key's.
    fn put_api_key(&self, key: ApiKey) -> BoxFuture<'_, Result<(), StoreError>> {
        self.put_api_key_audited(key, None)
    }
    /// As [`Store::put_api_key`], with a line of the audit log in the same transaction: both or none.
    fn put_api_key_audited(&self, key: ApiKey, by: Option<Audit>) -> BoxFuture<'_, Result<(), StoreError>>;
    /// All keys, oldest first.
    fn api_keys(&self) -> BoxFuture<'_, Result<Vec<ApiKey>, StoreError>>;
    /// A secret of the installation, made of `fresh` at the first call with this name.
    fn secret(&self, name: &'static str, fresh: [u8; 32]) -> BoxFuture<'_, Result<[u8; 32], StoreError>>;

    /// Creates a room: row, event `room-created`, outbox entry. The row as stored, epoch 1. Its
    /// `created` is the later of `room.at` and the microsecond after the account's last room.
    ///
    /// # Errors
    /// [`StoreError::RoomExists`], alone among the calls that share its commit.
    fn create_room(&self, account: AccountSid, room: NewRoom) -> BoxFuture<'_, Result<RoomRow, StoreError>> {
        self.create_room_audited(account, room, None)
    }
    /// Creates a room as [`Store::create_room`] does, and writes a line of the audit log in the same transaction: both
    /// or none.
    ///
    /// # Errors
    /// As there.
    fn create_room_audited(
        &self,
        account: AccountSid,
        room: NewRoom,
        by: Option<Audit>,
    ) -> BoxFuture<'_, Result<RoomRow, StoreError>>;
    /// Applies changes of one room in one transaction: all or none. Concurrent calls share commits.
    ///
    /// A change that is true already (a track muted twice, a participant that is gone) writes
    /// nothing and makes no event. One of a participant or track that the room never had, or that
    /// ended, is a [`StoreError::Backend`], and so is completing a room around somebody. Ends are
    /// never before beginnings: an earlier time is taken as the beginning.
    ///
    /// # Errors
    /// [`StoreError::RoomNotInProgress`] (which an account's foreign room is, too),
    /// [`StoreError::Fenced`] unless `epoch` is the room's, [`StoreError::DuplicateIdentity`].
    fn write(
        &self,
        account: AccountSid,
        room: RoomSid,
        epoch: u64,
        changes: Vec<Change>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.write_audited(account, room, epoch, changes, Vec::new())
    }
    /// Applies changes as [`Store::write`] does, and writes lines of the audit log in the same transaction: all or none.
    ///
    /// # Errors
    /// As there.
    fn write_audited(
        &self,
        account: AccountSid,
        room: RoomSid,
        epoch: u64,
        changes: Vec<Change>,
        by: Vec<Audit>,
    ) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Puts the text of its SID in the place of the identity of a participant of a completed room, with a line of the audit
    /// log in the same transaction; repeating changes nothing but the log. False, and nothing is done, if the room is in
    /// progress: then its owner does it, by [`Change::ParticipantAnonymized`]. Call [`Store::expunge`] after either.
    fn anonymize(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        by: Option<Audit>,
    ) -> BoxFuture<'_, Result<bool, StoreError>>;
    /// Resolves when nothing that was overwritten or deleted by acknowledged writes can be read in the backend's files any
    /// more, its logs included. Copies that were made before keep it, and so may the disk below the files. PostgreSQL
    /// promises less: no version of a row has it any more, but its files, its log among them, may until they are written
    /// over.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if somebody reads an older state for too long: to be repeated.
    fn expunge(&self) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Takes over all rooms in progress: raises their epochs, makes everyone `connected` there
    /// `reconnecting` at `now`, and tells what they are restored from. Callbacks that another
    /// process leased are due now, since nobody is at them any more. Those that are to be tried again
    /// later keep their time, but wait from now on no longer than they were to wait: a clock that was
    /// set back since then must not hold them up.
    fn take_over(&self, now: Timestamp) -> BoxFuture<'_, Result<Vec<LiveRoom>, StoreError>>;
    /// Takes over one room in the same way, but for its callbacks; `None` unless it is in progress.
    fn take_over_room(
        &self,
        account: AccountSid,
        room: RoomSid,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<LiveRoom>, StoreError>>;

    /// A room in any state.
    fn room(&self, account: AccountSid, room: RoomSid) -> BoxFuture<'_, Result<Option<RoomRow>, StoreError>>;
    /// The room in progress of that name.
    fn room_in_progress(&self, account: AccountSid, name: &str) -> BoxFuture<'_, Result<Option<RoomRow>, StoreError>>;
    /// Rooms, newest first.
    fn rooms(
        &self,
        account: AccountSid,
        filter: RoomFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<RoomRow>, StoreError>>;
    /// A participant in any state.
    fn participant(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
    ) -> BoxFuture<'_, Result<Option<ParticipantRow>, StoreError>>;
    /// The connected or reconnecting participant of that identity.
    fn participant_live(
        &self,
        account: AccountSid,
        room: RoomSid,
        identity: &str,
    ) -> BoxFuture<'_, Result<Option<ParticipantRow>, StoreError>>;
    /// Participants of a room, newest first. The work is bounded by the page's size plus the
    /// live participants, for every combination of filters.
    fn participants(
        &self,
        account: AccountSid,
        room: RoomSid,
        filter: ParticipantFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<ParticipantRow>, StoreError>>;
    /// The same of a room that is found first, all as of one moment; `None` if it is not there. A
    /// filter without a status gets the one that `otherwise` says for the room's state.
    fn participants_of(
        &self,
        account: AccountSid,
        room: RoomKey,
        filter: ParticipantFilter,
        otherwise: fn(RoomStatus) -> ParticipantStatus,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Option<ParticipantsOf>, StoreError>>;

    /// What a participant publishes now, newest first. The work is bounded by that. Empty if it is not there.
    fn published_tracks(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<TrackRow>, StoreError>>;
    /// One track that a participant publishes now.
    fn published_track(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        track: TrackKey,
    ) -> BoxFuture<'_, Result<Option<TrackRow>, StoreError>>;
    /// Those of these tracks that are published in the room now, by whomever, newest first.
    fn tracks(
        &self,
        account: AccountSid,
        room: RoomSid,
        tracks: Vec<TrackSid>,
    ) -> BoxFuture<'_, Result<Vec<TrackRow>, StoreError>>;
    /// The subscribe rules of a participant in any state.
    fn subscribe_rules(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
    ) -> BoxFuture<'_, Result<Option<SubscribeRulesRow>, StoreError>>;

    /// Records how attempts ended, then leases callbacks that are due, in one transaction: at most `lease.limit`, of
    /// each room only the first that is not done, so that order holds, and each receiver in its turn. A lease that ran
    /// out is due again. An attempt that ended at the moment of the callback's last one is that one, told again after an
    /// error, and counts once. The work is bounded by the attempts, the leases and [`limits`], not by what is due.
    fn exchange_callbacks(
        &self,
        ended: Vec<EndedAttempt>,
        lease: CallbackLease,
    ) -> BoxFuture<'_, Result<LeasedCallbacks, StoreError>>;
    /// Leases due callbacks of any receiver until `until`, at most `limit`.
    fn lease_callbacks(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DueCallback>, StoreError>> {
        let lease = CallbackLease {
            now,
            until,
            limit,
            per_receiver: limit,
            ..CallbackLease::default()
        };
        Box::pin(async move { Ok(self.exchange_callbacks(Vec::new(), lease).await?.due) })
    }
    /// When the next callback is due, leases included.
    fn next_callback(&self) -> BoxFuture<'_, Result<Option<Timestamp>, StoreError>>;
    /// Records how one attempt ended: HTTP status if there was an answer, else a short error.
    fn record_callback(
        &self,
        id: i64,
        at: Timestamp,
        answer: Result<u16, String>,
        outcome: CallbackOutcome,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        let ended = EndedAttempt {
            id,
            at,
            answer,
            outcome,
        };
        let lease = CallbackLease {
            now: at,
            ..CallbackLease::default()
        };
        Box::pin(async move { self.exchange_callbacks(vec![ended], lease).await.map(drop) })
    }
    /// Callbacks of all accounts behind that of the number `after`, oldest first: at most `limit`, 1 to
    /// [`limits::CALLBACK_ROWS_MAX`].
    fn callbacks(
        &self,
        filter: CallbackFilter,
        after: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<CallbackRow>, StoreError>>;
    /// The latest attempts at a callback, oldest first: at most [`limits::ATTEMPTS_TOLD_MAX`].
    fn callback_attempts(&self, id: i64) -> BoxFuture<'_, Result<Vec<AttemptRow>, StoreError>>;
    /// Makes callbacks due again that are done, with a schedule that begins anew. In their room they come in their order
    /// before all that wait. Call it with its `last` until there is none.
    fn redeliver_callbacks(&self, request: RedeliveryRequest) -> BoxFuture<'_, Result<Redelivered, StoreError>>;

    /// Writes a line of the audit log about what changed no room.
    fn record(&self, audit: Audit) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Lines of the audit log behind that of the number `after`, oldest first: at most `limit`, 1 to
    /// [`limits::AUDIT_ROWS_MAX`].
    fn audit(&self, filter: AuditFilter, after: i64, limit: u32) -> BoxFuture<'_, Result<Vec<AuditRow>, StoreError>>;

    /// Forgets what is old, about `rows` rows of it ([`limits::FORGET_ROWS_MAX`] at most), in a transaction of bounded
    /// work; call it until there is no more. Rooms in progress, rooms with callbacks that are not done, and those
    /// callbacks stay whatever their age. A room is in every answer with all its rows, or in none.
    fn forget(&self, before: Expiry, rows: u32) -> BoxFuture<'_, Result<Forgotten, StoreError>>;

    /// Fails if the database cannot be read or written now.
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>>;
    /// How it works at the moment. Answered at once, whatever the disk does.
    fn condition(&self) -> Condition;
}

/// How a store works at the moment, for those who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Number of the writing transaction that is under way, else of the last one.
    pub transaction: u64,
    /// Whether that transaction has not ended yet.
    pub is_writing: bool,
    /// What stood in the way of the last transaction that ended, or of the last read.
    pub outage: Option<Outage>,
}
