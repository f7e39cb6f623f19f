//! Fills a database with very many rows quickly, for tests and benchmarks of how work grows.
//!
//! Rows are written as the store writes them, without events and callbacks, which no list and no
//! start reads. Everything is derived from numbers, so that a reader can know what to expect.

use std::path::Path;

use room::{AccountSid, ApiKeySid, ParticipantStatus, Priority, RoomStatus, SessionHash, TrackKind};
use rusqlite::{Connection, params};

use super::account;
use super::archive::drop_indexes;
use super::file::{DatabaseFile, DatabaseLock};
use crate::{Account, ApiKey, StoreError};

/// What a database is filled with: rooms that are over, rooms in progress, and who was and is there.
#[derive(Debug, Clone, Copy)]
pub struct Bulk {
    /// Whose; the account is there before.
    pub account: AccountSid,
    /// Completed rooms.
    pub completed_rooms: u32,
    /// Rooms in progress, newer than the completed ones.
    pub live_rooms: u32,
    /// Participants that left: room after room gets one, so those of a room lie far apart.
    pub left: u32,
    /// Connected participants of each room in progress, the newest rows, each with two tracks.
    pub live: u32,
}

impl Bulk {
    /// Fills the database in this file, which is there, is used by nobody and has no rooms yet.
    ///
    /// # Errors
    /// What [`crate::SqliteStore::open`] fails with; [`StoreError::Backend`] if there are rooms already.
    pub fn fill(&self, path: &Path) -> Result<(), StoreError> {
        let file = DatabaseFile::open(DatabaseLock::take(path)?)?;
        let db = file.writer()?;
        // Without a journal: a file that is not finished is not used.
        db.pragma_update(None, "journal_mode", "OFF")?;
        db.pragma_update(None, "synchronous", "OFF")?;
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let rooms = self.completed_rooms + self.live_rooms;
        db.execute_batch("BEGIN")?;
        let account = account::id(&db, self.account)?
            .ok_or_else(|| StoreError::refused("rows for an account that is not there"))?;
        let completed = (0..self.completed_rooms).map(|number| BulkRoom::new(number, RoomStatus::Completed));
        let live = (self.completed_rooms..rooms).map(|number| BulkRoom::new(number, RoomStatus::InProgress));
        add_rooms(&db, account, completed.chain(live))?;
        let left = (0..self.left).map(|number| Stay::left(number, rooms.max(1)));
        let live = (0..self.live * self.live_rooms).map(|number| {
            let room = self.completed_rooms + number % self.live_rooms;
            Stay::live(self.left + number, room, format!("live {number}"))
        });
        add_stays(&db, left.chain(live))?;
        add_tracks(&db, self.left..self.left + self.live * self.live_rooms)?;
        db.execute_batch("COMMIT")?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        Ok(())
    }
}

/// Makes an account and a key of it with this secret, in the open, as programs did before secrets were sealed: the
/// next start of a server seals it. Nobody has the database open.
///
/// # Errors
/// What [`crate::SqliteStore::open`] fails with.
pub fn add_open_credentials(path: &Path, account: AccountSid, key: ApiKeySid, secret: &str) -> Result<(), StoreError> {
    let db = DatabaseFile::open(DatabaseLock::take(path)?)?.writer()?;
    account::put(&db, &Account::new(account))?;
    account::put_key(&db, &ApiKey::new(key, account))?;
    db.execute(
        "INSERT INTO account_secrets (account_id, auth_token) SELECT id, ?2 FROM accounts WHERE sid = ?1",
        params![account.as_bytes(), secret],
    )?;
    db.execute(
        "INSERT INTO api_key_secrets (api_key_id, secret) SELECT id, ?2 FROM api_keys WHERE sid = ?1",
        params![key.as_bytes(), secret],
    )?;
    Ok(())
}

/// KiB of pages kept while filling: random SIDs touch all of their index all the time.
const CACHE_KIB: i64 = 3 << 20;

/// Seconds between two rooms and between two stays; row `n` of a table was created in second `n`.
const MICROS: i64 = 1_000_000;

/// The 16 bytes of the SID of row `number` of any table: spread as random ones are.
pub(super) fn key(number: u32) -> [u8; 16] {
    (u128::from(number) + 1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        .to_be_bytes()
}

/// A room to be filled in.
pub(super) struct BulkRoom {
    /// Its row is this and one; it was created in this second.
    pub(super) number: u32,
    /// Without one, its SID is its name.
    pub(super) name: Option<String>,
    pub(super) status: RoomStatus,
}

impl BulkRoom {
    fn new(number: u32, status: RoomStatus) -> Self {
        let name = Some(format!("room {number}"));
        Self { number, name, status }
    }
}

/// A participant to be filled in.
pub(super) struct Stay {
    /// Its row is this and one; it was created in this second.
    pub(super) number: u32,
    /// Of its room.
    pub(super) room: u32,
    pub(super) identity: String,
    pub(super) status: ParticipantStatus,
}

impl Stay {
    /// One of so many rooms; in each, every second one is somebody who comes again and again.
    fn left(number: u32, rooms: u32) -> Self {
        let identity = match (number / rooms) % 2 {
            0 => "desk".to_owned(),
            _ => format!("guest {number}"),
        };
        Self {
            number,
            room: number % rooms,
            identity,
            status: ParticipantStatus::Disconnected,
        }
    }

    fn live(number: u32, room: u32, identity: String) -> Self {
        Self {
            number,
            room,
            identity,
            status: ParticipantStatus::Connected,
        }
    }
}

/// Adds rooms, in a transaction that the caller began.
pub(super) fn add_rooms(
    db: &Connection,
    account: i64,
    rooms: impl Iterator<Item = BulkRoom>,
) -> Result<(), StoreError> {
    let mut insert = db.prepare(
        "INSERT INTO rooms (id, sid, account_id, name, named, status, ad_hoc, status_callback_method,
             max_participants, max_participant_duration_s, empty_room_timeout_min,
             unused_room_timeout_min, video_codecs, created_us, updated_us, ended_us, duration_s,
             epoch, next_seq, last_participant_us)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 'POST', 50, 14400, 60, 60, 'VP8,H264', ?7, ?7, ?8, ?9, 1, 1, ?7)",
    )?;
    for room in rooms {
        let sid = key(room.number);
        let created = i64::from(room.number) * MICROS;
        let over = room.status == RoomStatus::Completed;
        insert.execute(params![
            i64::from(room.number) + 1,
            sid,
            account,
            room.name
                .as_deref()
                .unwrap_or(&room::RoomSid::from_bytes(sid).to_string()),
            room.name.is_some(),
            room.status.as_str(),
            created,
            over.then_some(created),
            over.then_some(0),
        ])?;
    }
    Ok(())
}

/// Adds participants, in a transaction that the caller began. Indexes are made anew afterwards,
/// which sorts once instead of searching for each row.
pub(super) fn add_stays(db: &Connection, stays: impl Iterator<Item = Stay>) -> Result<(), StoreError> {
    let indexes = drop_indexes(db, "participants")?;
    let mut insert = db.prepare(
        "INSERT INTO participants (id, sid, room_id, identity, status, session, subscribe_all,
             created_us, updated_us, ended_us, duration_s)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?7, ?8, ?9)",
    )?;
    let session = SessionHash([0; 32]);
    for stay in stays {
        let created = i64::from(stay.number) * MICROS;
        let over = stay.status == ParticipantStatus::Disconnected;
        insert.execute(params![
            i64::from(stay.number) + 1,
            key(stay.number),
            i64::from(stay.room) + 1,
            stay.identity,
            stay.status.as_str(),
            session.0,
            created,
            over.then_some(created),
            over.then_some(0),
        ])?;
    }
    drop(insert);
    indexes.iter().try_for_each(|sql| db.execute_batch(sql))?;
    Ok(())
}

/// Two enabled tracks for each participant of these numbers.
fn add_tracks(db: &Connection, participants: std::ops::Range<u32>) -> Result<(), StoreError> {
    let mut insert = db.prepare(
        "INSERT INTO tracks (sid, participant_id, media_id, kind, name, enabled, priority, created_us, updated_us)
         VALUES (?1, ?2, ?3, ?4, ?3, 1, ?5, ?6, ?6)",
    )?;
    for number in participants {
        for (place, kind) in [TrackKind::Audio, TrackKind::Video].into_iter().enumerate() {
            let mut sid = key(number);
            sid[0] ^= place as u8;
            insert.execute(params![
                sid,
                i64::from(number) + 1,
                format!("{} {number}", kind.as_str()),
                kind.as_str(),
                Priority::Standard.as_str(),
                i64::from(number) * MICROS + place as i64,
            ])?;
        }
    }
    Ok(())
}
