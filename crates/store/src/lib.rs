//! What is remembered: rooms, participants, tracks, events and the outbox of callbacks.
//!
//! One trait, [`Store`], one conformance suite ([`conformance`]), typed backends. A change is
//! acknowledged when it is durable. Each read names the account first.

use std::future::Future;
use std::pin::Pin;

use room::{AccountSid, ApiKeySid, Change, EventKind, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus, SessionHash, Timestamp, Track, TrackKind, TrackSid};

/// A boxed future, so that the trait is object safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

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
    /// The database failed.
    #[error("the database failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An account with its secret.
#[derive(Clone)]
pub struct Account {
    /// `AC…`
    pub sid: AccountSid,
    /// Signs callbacks; 32 hexadecimal digits.
    pub auth_token: String,
}

/// An API key with its secret.
#[derive(Clone)]
pub struct ApiKey {
    /// `SK…`
    pub sid: ApiKeySid,
    /// The account it belongs to.
    pub account: AccountSid,
    /// Verifies access tokens.
    pub secret: String,
}

/// HTTP method of status callbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackMethod {
    /// Fields in the query.
    Get,
    /// Fields in a form body.
    Post,
}

/// What a room is created with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// New, random.
    pub sid: RoomSid,
    /// Its name; `None`: its SID is its name.
    pub unique_name: Option<String>,
    /// Whether a joining client made it: then it ends when it is empty.
    pub ad_hoc: bool,
    /// Where callbacks go.
    pub status_callback: Option<String>,
    /// How.
    pub status_callback_method: CallbackMethod,
    /// Bound on participants at once.
    pub max_participants: u32,
    /// Seconds a participant may stay.
    pub max_participant_duration_s: u32,
    /// Minutes it stays after the last one left.
    pub empty_room_timeout_min: u32,
    /// Minutes it waits for the first one.
    pub unused_room_timeout_min: u32,
    /// `VP8`, `H264`: in the order given.
    pub video_codecs: Vec<String>,
    /// `MediaRegion`, as reported.
    pub media_region: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A room as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    /// Whose.
    pub account: AccountSid,
    /// What it was created with. `new.at` is its time of creation as ordered.
    pub new: NewRoom,
    /// In progress or completed.
    pub status: RoomStatus,
    /// Time of the last change of its state.
    pub updated: Timestamp,
    /// When it was completed.
    pub ended: Option<Timestamp>,
    /// Seconds of its life, once completed.
    pub duration_s: Option<u64>,
    /// Fencing: each process that takes the room over raises it.
    pub epoch: u64,
}

/// A participant as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantRow {
    /// `PA…`
    pub sid: ParticipantSid,
    /// Its room.
    pub room: RoomSid,
    /// Whose.
    pub account: AccountSid,
    /// From its token.
    pub identity: String,
    /// Where it is.
    pub status: ParticipantStatus,
    /// When it connected; strictly increasing in its room.
    pub created: Timestamp,
    /// Time of the last change of its state.
    pub updated: Timestamp,
    /// When it was disconnected.
    pub ended: Option<Timestamp>,
    /// Seconds of its stay, once disconnected.
    pub duration_s: Option<u64>,
}

/// What a room is restored from after a restart.
#[derive(Debug, Clone)]
pub struct LiveRoom {
    /// The row, with the epoch of the new owner.
    pub room: RoomRow,
    /// Everyone not disconnected, oldest first, all `reconnecting`.
    pub participants: Vec<LiveParticipant>,
    /// Whether anybody ever joined.
    pub was_joined: bool,
    /// When the last participant left, if it is empty and was joined.
    pub empty_since: Option<Timestamp>,
}

/// A participant to be restored.
#[derive(Debug, Clone)]
pub struct LiveParticipant {
    /// Its row.
    pub row: ParticipantRow,
    /// Resumes it.
    pub session: SessionHash,
    /// As at its connect.
    pub subscribe_all: bool,
    /// Its tracks, oldest first.
    pub tracks: Vec<Track>,
}

/// Where a page begins: after this row in the direction of the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// `created` of the row.
    pub created: Timestamp,
    /// The 16 bytes of its SID.
    pub sid: [u8; 16],
}

/// One page of a list that is newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows at most, 1 to 1000.
    pub size: u32,
    /// Where to begin; `None`: at the newest row.
    pub from: Option<Position>,
    /// False: rows after `from` (older). True: the rows just before `from` (newer), still given
    /// newest first.
    pub backwards: bool,
}

/// A page of rows, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// At most `size` rows.
    pub rows: Vec<T>,
    /// Whether there are newer rows before the first.
    pub has_previous: bool,
    /// Whether there are older rows after the last.
    pub has_next: bool,
}

/// Which participants of a room to list. All given filters must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParticipantFilter {
    /// Only this state.
    pub status: Option<ParticipantStatus>,
    /// Only this identity.
    pub identity: Option<String>,
    /// `created`, cut to whole seconds, is greater than this many seconds (rest.md 26.4).
    pub created_after_s: Option<i64>,
    /// `created`, cut to whole seconds, is less than this many seconds.
    pub created_before_s: Option<i64>,
}

/// Which rooms to list. All given filters must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomFilter {
    /// This state.
    pub status: RoomStatus,
    /// Only this name (a room without a name has its SID as name).
    pub unique_name: Option<String>,
    /// `created`, cut to whole seconds, is at least this.
    pub created_from_s: Option<i64>,
    /// `created`, cut to whole seconds, is less than this.
    pub created_before_s: Option<i64>,
}

/// A callback that is due, rendered from what is true of its event. The identity comes from the
/// participant's row, so that it stands in one place.
#[derive(Debug, Clone)]
pub struct DueCallback {
    /// Key of the outbox entry.
    pub id: i64,
    /// Attempts made before.
    pub attempts: u32,
    /// Where to.
    pub url: String,
    /// How.
    pub method: CallbackMethod,
    /// Whose; selects the auth token.
    pub account: AccountSid,
    /// The room.
    pub room: RoomSid,
    /// Its unique name, or its SID.
    pub room_name: String,
    /// What happened.
    pub event: EventKind,
    /// `SequenceNumber`, from 0, without gaps in a room.
    pub sequence: u64,
    /// When it happened.
    pub at: Timestamp,
    /// `RoomDuration` or `ParticipantDuration`.
    pub duration_s: Option<u64>,
    /// Who, on participant and track events.
    pub participant: Option<(ParticipantSid, String)>,
    /// What, on track events.
    pub track: Option<(TrackSid, TrackKind)>,
}

/// How an attempt to deliver a callback ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackOutcome {
    /// Delivered: the entry is done.
    Delivered,
    /// Not yet: again at this time.
    Retry(Timestamp),
    /// Never: given up.
    GivenUp,
}

/// What every backend does. All writes are durable when their future resolves to `Ok`.
pub trait Store: Send + Sync + 'static {
    /// Makes an account if it is new, else replaces its secret.
    fn put_account(&self, account: Account) -> BoxFuture<'_, Result<(), StoreError>>;
    /// All accounts, oldest first.
    fn accounts(&self) -> BoxFuture<'_, Result<Vec<Account>, StoreError>>;
    /// Makes a key if it is new, else replaces its secret.
    fn put_api_key(&self, key: ApiKey) -> BoxFuture<'_, Result<(), StoreError>>;
    /// All keys, oldest first.
    fn api_keys(&self) -> BoxFuture<'_, Result<Vec<ApiKey>, StoreError>>;
    /// A secret of the installation, made of `fresh` at the first call with this name.
    fn secret(&self, name: &'static str, fresh: [u8; 32]) -> BoxFuture<'_, Result<[u8; 32], StoreError>>;

    /// Creates a room: row, event `room-created`, outbox entry. The row as stored, epoch 1.
    fn create_room(&self, account: AccountSid, room: NewRoom) -> BoxFuture<'_, Result<RoomRow, StoreError>>;
    /// Applies changes of one room in one transaction: all or none. Concurrent calls share commits.
    fn write(&self, account: AccountSid, room: RoomSid, epoch: u64, changes: Vec<Change>) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Takes over all rooms in progress: raises their epochs, makes everyone `connected` there
    /// `reconnecting` at `now`, and tells what they are restored from.
    fn take_over(&self, now: Timestamp) -> BoxFuture<'_, Result<Vec<LiveRoom>, StoreError>>;

    /// A room in any state.
    fn room(&self, account: AccountSid, room: RoomSid) -> BoxFuture<'_, Result<Option<RoomRow>, StoreError>>;
    /// The room in progress of that name.
    fn room_in_progress(&self, account: AccountSid, name: &str) -> BoxFuture<'_, Result<Option<RoomRow>, StoreError>>;
    /// Rooms, newest first.
    fn rooms(&self, account: AccountSid, filter: RoomFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<RoomRow>, StoreError>>;
    /// A participant in any state.
    fn participant(&self, account: AccountSid, room: RoomSid, participant: ParticipantSid) -> BoxFuture<'_, Result<Option<ParticipantRow>, StoreError>>;
    /// The connected or reconnecting participant of that identity.
    fn participant_live(&self, account: AccountSid, room: RoomSid, identity: &str) -> BoxFuture<'_, Result<Option<ParticipantRow>, StoreError>>;
    /// Participants of a room, newest first. The work is bounded by the page's size plus the
    /// live participants, for every combination of filters.
    fn participants(&self, account: AccountSid, room: RoomSid, filter: ParticipantFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<ParticipantRow>, StoreError>>;

    /// Leases due callbacks until `leased_until`: at most `limit`, and of each room only the first
    /// that is not done, so that order holds. A lease that ran out is due again.
    fn lease_callbacks(&self, now: Timestamp, leased_until: Timestamp, limit: u32) -> BoxFuture<'_, Result<Vec<DueCallback>, StoreError>>;
    /// When the next callback is due, leases included.
    fn next_callback(&self) -> BoxFuture<'_, Result<Option<Timestamp>, StoreError>>;
    /// Records how an attempt ended: HTTP status if there was an answer, else a short error.
    fn record_callback(&self, id: i64, at: Timestamp, answer: Result<u16, String>, outcome: CallbackOutcome) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Fails if the database cannot be read or written now.
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
