//! Rooms: creating, finding and listing them.

use room::{AccountSid, EventKind, RoomSid, RoomStatus, RoomType};
use tokio_postgres::Row;

use super::connection::Connection;
use super::event;
use super::outage::violated;
use super::page::{List, page};
use super::row::{self, Sid, text};
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

pub(super) async fn create(db: &Connection, account: AccountSid, mut new: NewRoom) -> Result<RoomRow, StoreError> {
    if new
        .video_codecs
        .iter()
        .any(|codec| codec.is_empty() || codec.contains(','))
    {
        return Err(StoreError::refused("the name of a video codec is empty or has a comma"));
    }
    // Locked, so that times of creation strictly increase whoever creates.
    let found = db
        .query_opt(
            "SELECT id, last_room_us FROM accounts WHERE sid = $1 FOR NO KEY UPDATE",
            &[&Sid(*account.as_bytes())],
        )
        .await?
        .ok_or_else(|| StoreError::refused("a room was created in an unknown account"))?;
    let (account_id, last_room): (i64, Option<i64>) = (row::get(&found, 0)?, row::get(&found, 1)?);
    let due = new.at;
    new.at = after(new.at, last_room);
    let id = insert(db, account_id, &new).await?;
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
    )
    .await?;
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

async fn insert(db: &Connection, account_id: i64, new: &NewRoom) -> Result<i64, StoreError> {
    let name = new.unique_name.clone().unwrap_or_else(|| new.sid.to_string());
    let method = match new.status_callback_method {
        CallbackMethod::Get => "GET",
        CallbackMethod::Post => "POST",
    };
    let inserted = db
        .query_one(
            "WITH account AS (UPDATE accounts SET last_room_us = $14 WHERE id = $2)
             INSERT INTO rooms (sid, account_id, name, named, status, ad_hoc, status_callback,
                 status_callback_method, max_participants, max_participant_duration_s,
                 empty_room_timeout_min, unused_room_timeout_min, video_codecs, media_region,
                 created_us, updated_us, epoch, next_seq, type, audio_only, large_room, callback_receiver)
             VALUES ($1, $2, $3, $4, 'in-progress', $5, $6, $7, $8, $9, $10, $11, $12, $13,
                 $14, $14, 1, 1, $15, $16, $17, $18) RETURNING id",
            &[
                &Sid(*new.sid.as_bytes()),
                &account_id,
                &text(&name),
                &new.unique_name.is_some(),
                &new.ad_hoc,
                &new.status_callback,
                &method,
                &i64::from(new.max_participants),
                &i64::from(new.max_participant_duration_s),
                &i64::from(new.empty_room_timeout_min),
                &i64::from(new.unused_room_timeout_min),
                &new.video_codecs.join(","),
                &new.media_region,
                &new.at.0,
                &new.kind.as_str(),
                &new.audio_only,
                &new.large_room,
                &receiver_of(new.status_callback.as_deref().unwrap_or_default()),
            ],
        )
        .await
        .map_err(|error| match violated(&error) {
            Some("rooms_in_progress") => StoreError::RoomExists,
            _ => error,
        })?;
    row::get(&inserted, 0)
}

pub(super) async fn fetch(db: &Connection, account: AccountSid, room: RoomSid) -> Result<Option<RoomRow>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM rooms WHERE sid = $1 AND account_id = (SELECT id FROM accounts WHERE sid = $2)");
    let found = db
        .query_opt(&sql, &[&Sid(*room.as_bytes()), &Sid(*account.as_bytes())])
        .await?;
    found.map(|row| read(&row, account)).transpose()
}

pub(super) async fn in_progress(
    db: &Connection,
    account: AccountSid,
    name: &str,
) -> Result<Option<RoomRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM rooms
         WHERE account_id = (SELECT id FROM accounts WHERE sid = $1) AND name = $2 AND ended_us IS NULL"
    );
    let found = db.query_opt(&sql, &[&Sid(*account.as_bytes()), &text(name)]).await?;
    found.map(|row| read(&row, account)).transpose()
}

pub(super) async fn list(
    db: &Connection,
    account: AccountSid,
    filter: &RoomFilter,
    request: PageRequest,
) -> Result<Page<RoomRow>, StoreError> {
    let created = Created::seconds(filter.created_from_s.map(i128::from), filter.created_before_s);
    let account_sid = Sid(*account.as_bytes());
    let status = filter.status.as_str();
    let name = filter.unique_name.as_deref().map(text);
    let mut parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![&account_sid, &status];
    let mut matching = "account_id = (SELECT id FROM accounts WHERE sid = $6) AND status = $7".to_owned();
    if let Some(name) = &name {
        // As the index of names has it (`migrations`).
        matching = "account_id + 0 = (SELECT id FROM accounts WHERE sid = $6) AND status = $7 AND name = $8".to_owned();
        parameters.push(name);
    }
    let list = List {
        columns: COLUMNS,
        source: "rooms",
        matching: &matching,
        parameters: &parameters,
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
    .await
}

/// The row of a room, if it is the account's.
pub(super) async fn id(db: &Connection, account: AccountSid, room: RoomSid) -> Result<Option<i64>, StoreError> {
    let found = db
        .query_opt(
            "SELECT id FROM rooms WHERE sid = $1 AND account_id = (SELECT id FROM accounts WHERE sid = $2)",
            &[&Sid(*room.as_bytes()), &Sid(*account.as_bytes())],
        )
        .await?;
    found.map(|row| row::get(&row, 0)).transpose()
}

/// The row, the SID and the state of a room, if it is there and the account's.
pub(super) async fn find(
    db: &Connection,
    account: AccountSid,
    room: &RoomKey,
) -> Result<Option<(i64, RoomSid, RoomStatus)>, StoreError> {
    let account = Sid(*account.as_bytes());
    let found = match room {
        RoomKey::Sid(sid) => {
            let sql = "SELECT id, sid, status FROM rooms
                 WHERE sid = $1 AND account_id = (SELECT id FROM accounts WHERE sid = $2)";
            db.query_opt(sql, &[&Sid(*sid.as_bytes()), &account]).await?
        }
        RoomKey::Name(name) => {
            let sql = "SELECT id, sid, status FROM rooms
                 WHERE name = $1 AND account_id = (SELECT id FROM accounts WHERE sid = $2) AND ended_us IS NULL";
            db.query_opt(sql, &[&text(name), &account]).await?
        }
    };
    let read = |row: Row| {
        let sid = row::sid(&row, 1, RoomSid::from_bytes)?;
        Ok((row::get(&row, 0)?, sid, row::word(&row, 2, RoomStatus::from_word)?))
    };
    found.map(read).transpose()
}

pub(super) fn read(row: &Row, account: AccountSid) -> Result<RoomRow, StoreError> {
    let codecs: &str = row::get(row, 11)?;
    let new = NewRoom {
        sid: row::sid(row, 0, RoomSid::from_bytes)?,
        unique_name: match row::get(row, 2)? {
            true => Some(row::get(row, 1)?),
            false => None,
        },
        kind: row::word(row, 18, RoomType::from_word)?,
        audio_only: row::get(row, 19)?,
        large_room: row::get(row, 20)?,
        ad_hoc: row::get(row, 4)?,
        status_callback: row::get(row, 5)?,
        status_callback_method: row::word(row, 6, method)?,
        max_participants: row::small(row, 7)?,
        max_participant_duration_s: row::small(row, 8)?,
        empty_room_timeout_min: row::small(row, 9)?,
        unused_room_timeout_min: row::small(row, 10)?,
        video_codecs: codecs
            .split(',')
            .filter(|codec| !codec.is_empty())
            .map(str::to_owned)
            .collect(),
        media_region: row::get(row, 12)?,
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
