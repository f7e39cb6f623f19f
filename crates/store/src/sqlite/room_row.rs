//! Rooms: creating, finding and listing them.

use room::{AccountSid, EventKind, RoomSid, RoomStatus, RoomType};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::event;
use super::page::{List, page};
use super::{account, row};
use crate::open_room::{Event, after};
use crate::page::Created;
use crate::{
    CallbackMethod, NewRoom, Page, PageRequest, Position, RoomFilter, RoomKey, RoomRow, StoreError, receiver_of,
};

/// Columns that a [`RoomRow`] is read from; they stand first.
pub(super) const COLUMNS: &str = "sid, name, named, status, ad_hoc, status_callback, \
     status_callback_method, max_participants, max_participant_duration_s, \
     empty_room_timeout_min, unused_room_timeout_min, video_codecs, media_region, \
     created_us, updated_us, ended_us, duration_s, epoch, type, audio_only, large_room";

pub(super) fn create(db: &Connection, account: AccountSid, mut new: NewRoom) -> Result<RoomRow, StoreError> {
    if new
        .video_codecs
        .iter()
        .any(|codec| codec.is_empty() || codec.contains(','))
    {
        return Err(StoreError::refused("the name of a video codec is empty or has a comma"));
    }
    let (account_id, last_room): (i64, Option<i64>) = db
        .prepare_cached("SELECT id, last_room_us FROM accounts WHERE sid = ?1")?
        .query_row(params![account.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or_else(|| StoreError::refused("a room was created in an unknown account"))?;
    let due = new.at;
    new.at = after(new.at, last_room);
    db.prepare_cached("UPDATE accounts SET last_room_us = ?2 WHERE id = ?1")?
        .execute(params![account_id, new.at.0])?;
    let id = insert(db, account_id, &new)?;
    event::append(
        db,
        &Event {
            room: id,
            sequence: 0,
            kind: EventKind::RoomCreated,
            at: new.at,
            participant: None,
            track: None,
            duration_s: None,
        },
        new.status_callback.is_some().then_some(due),
    )?;
    Ok(RoomRow {
        account,
        status: RoomStatus::InProgress,
        updated: new.at,
        ended: None,
        duration_s: None,
        epoch: 1,
        new,
    })
}

fn insert(db: &Connection, account_id: i64, new: &NewRoom) -> Result<i64, StoreError> {
    let name = new.unique_name.clone().unwrap_or_else(|| new.sid.to_string());
    let method = match new.status_callback_method {
        CallbackMethod::Get => "GET",
        CallbackMethod::Post => "POST",
    };
    let inserted = db
        .prepare_cached(
            "INSERT INTO rooms (sid, account_id, name, named, status, ad_hoc, status_callback,
                 status_callback_method, max_participants, max_participant_duration_s,
                 empty_room_timeout_min, unused_room_timeout_min, video_codecs, media_region,
                 created_us, updated_us, epoch, next_seq, type, audio_only, large_room, callback_receiver)
             VALUES (?1, ?2, ?3, ?4, 'in-progress', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
                 ?14, ?14, 1, 1, ?15, ?16, ?17, ?18)",
        )?
        .insert(params![
            new.sid.as_bytes(),
            account_id,
            name,
            new.unique_name.is_some(),
            new.ad_hoc,
            new.status_callback,
            method,
            new.max_participants,
            new.max_participant_duration_s,
            new.empty_room_timeout_min,
            new.unused_room_timeout_min,
            new.video_codecs.join(","),
            new.media_region,
            new.at.0,
            new.kind.as_str(),
            new.audio_only,
            new.large_room,
            receiver_of(new.status_callback.as_deref().unwrap_or_default()),
        ]);
    inserted.map_err(|error| match row::violated(&error) {
        Some("rooms.account_id, rooms.name") => StoreError::RoomExists,
        _ => error.into(),
    })
}

pub(super) fn fetch(db: &Connection, account: AccountSid, room: RoomSid) -> Result<Option<RoomRow>, StoreError> {
    let Some(account_id) = account::id(db, account)? else {
        return Ok(None);
    };
    let sql = format!("SELECT {COLUMNS} FROM rooms WHERE sid = ?1 AND account_id = ?2");
    let found = db
        .prepare_cached(&sql)?
        .query_row(params![room.as_bytes(), account_id], |row| read(row, account))
        .optional()?;
    Ok(found)
}

pub(super) fn in_progress(db: &Connection, account: AccountSid, name: &str) -> Result<Option<RoomRow>, StoreError> {
    let Some(account_id) = account::id(db, account)? else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM rooms INDEXED BY rooms_in_progress
         WHERE account_id = ?1 AND name = ?2 AND ended_us IS NULL"
    );
    let found = db
        .prepare_cached(&sql)?
        .query_row(params![account_id, name], |row| read(row, account))
        .optional()?;
    Ok(found)
}

pub(super) fn list(
    db: &Connection,
    account: AccountSid,
    filter: &RoomFilter,
    request: PageRequest,
) -> Result<Page<RoomRow>, StoreError> {
    let created = Created::seconds(filter.created_from_s.map(i128::from), filter.created_before_s);
    // No row has this id: the list of an unknown account is empty.
    let account_id = account::id(db, account)?.unwrap_or(-1);
    let status = filter.status.as_str();
    let (source, matching, name): (_, _, &dyn ToSql) = match &filter.unique_name {
        None => (
            "rooms INDEXED BY rooms_listed",
            "account_id = ?1 AND status = ?2",
            &None::<String>,
        ),
        Some(name) => (
            "rooms INDEXED BY rooms_listed_by_name",
            "account_id = ?1 AND status = ?2 AND name = ?3",
            name,
        ),
    };
    let list = List {
        columns: COLUMNS,
        source,
        matching,
        parameters: [&account_id, &status, name],
    };
    page(
        db,
        &list,
        created,
        request,
        |row| read(row, account),
        |row| Position {
            created: row.new.at,
            sid: *row.new.sid.as_bytes(),
        },
    )
}

/// The row of a room, if it is the account's.
pub(super) fn id(db: &Connection, account: AccountSid, room: RoomSid) -> Result<Option<i64>, StoreError> {
    let id = db
        .prepare_cached(
            "SELECT r.id FROM rooms AS r JOIN accounts AS a ON a.id = r.account_id
             WHERE r.sid = ?1 AND a.sid = ?2",
        )?
        .query_row(params![room.as_bytes(), account.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(id)
}

/// The row, the SID and the state of a room, if it is there and the account's.
pub(super) fn find(
    db: &Connection,
    account: AccountSid,
    room: &RoomKey,
) -> Result<Option<(i64, RoomSid, RoomStatus)>, StoreError> {
    let (sql, key): (_, &dyn ToSql) = match room {
        RoomKey::Sid(sid) => (
            "SELECT r.id, r.sid, r.status FROM rooms AS r JOIN accounts AS a ON a.id = r.account_id
             WHERE r.sid = ?1 AND a.sid = ?2",
            sid.as_bytes(),
        ),
        RoomKey::Name(name) => (
            "SELECT r.id, r.sid, r.status FROM accounts AS a
             JOIN rooms AS r INDEXED BY rooms_in_progress ON r.account_id = a.id
             WHERE a.sid = ?2 AND r.name = ?1 AND r.ended_us IS NULL",
            name,
        ),
    };
    let found = db
        .prepare_cached(sql)?
        .query_row(params![key, account.as_bytes()], |row| {
            let sid = row::sid(row, 1, RoomSid::from_bytes)?;
            Ok((row.get(0)?, sid, row::word(row, 2, RoomStatus::from_word)?))
        })
        .optional()?;
    Ok(found)
}

pub(super) fn read(row: &Row<'_>, account: AccountSid) -> rusqlite::Result<RoomRow> {
    let codecs: String = row.get(11)?;
    let new = NewRoom {
        sid: row::sid(row, 0, RoomSid::from_bytes)?,
        unique_name: match row.get(2)? {
            true => Some(row.get(1)?),
            false => None,
        },
        kind: row::word(row, 18, RoomType::from_word)?,
        audio_only: row.get(19)?,
        large_room: row.get(20)?,
        ad_hoc: row.get(4)?,
        status_callback: row.get(5)?,
        status_callback_method: row::word(row, 6, method)?,
        max_participants: row.get(7)?,
        max_participant_duration_s: row.get(8)?,
        empty_room_timeout_min: row.get(9)?,
        unused_room_timeout_min: row.get(10)?,
        video_codecs: codecs
            .split(',')
            .filter(|codec| !codec.is_empty())
            .map(str::to_owned)
            .collect(),
        media_region: row.get(12)?,
        at: row::time(row, 13)?,
    };
    Ok(RoomRow {
        account,
        new,
        status: row::word(row, 3, RoomStatus::from_word)?,
        updated: row::time(row, 14)?,
        ended: row::time_or_null(row, 15)?,
        duration_s: row::count_or_null(row, 16)?,
        epoch: row::count(row, 17)?,
    })
}

pub(super) fn method(word: &str) -> Option<CallbackMethod> {
    match word {
        "GET" => Some(CallbackMethod::Get),
        "POST" => Some(CallbackMethod::Post),
        _ => None,
    }
}
