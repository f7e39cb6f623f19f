//! Tracks that are published now: finding and listing them.

use room::{AccountSid, ParticipantSid, Priority, RoomSid, Timestamp, TrackKind, TrackSid};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::page::{List, page};
use super::{room_row, row};
use crate::page::Created;
use crate::{Page, PageRequest, Position, StoreError, TrackKey, TrackRow};

/// Columns that a [`TrackRow`] is read from; they stand first.
const COLUMNS: &str = "sid, name, kind, enabled, priority, created_us, updated_us";

/// A page of what a participant publishes.
pub(super) fn list(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    publisher: ParticipantSid,
    request: PageRequest,
) -> Result<Page<TrackRow>, StoreError> {
    // No row has this id: what an unknown participant publishes is an empty list.
    let participant_id = participant_id(db, account, room, publisher)?.unwrap_or(-1);
    let list = List {
        columns: COLUMNS,
        source: "tracks INDEXED BY tracks_live",
        matching: "participant_id = ?1 AND ended_us IS NULL",
        parameters: [&participant_id as &dyn ToSql, &None::<i64>, &None::<i64>],
    };
    page(
        db,
        &list,
        Created::seconds(None, None),
        request,
        |row| read(row, room, publisher),
        position,
    )
}

/// One of what a participant publishes. By name its other tracks are looked at, which are few.
pub(super) fn fetch(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    publisher: ParticipantSid,
    key: &TrackKey,
) -> Result<Option<TrackRow>, StoreError> {
    let Some(participant_id) = participant_id(db, account, room, publisher)? else {
        return Ok(None);
    };
    let read = |row: &Row<'_>| read(row, room, publisher);
    let found = match key {
        TrackKey::Sid(sid) => {
            let sql =
                format!("SELECT {COLUMNS} FROM tracks WHERE sid = ?1 AND participant_id = ?2 AND ended_us IS NULL");
            db.prepare_cached(&sql)?
                .query_row(params![sid.as_bytes(), participant_id], read)
        }
        TrackKey::Name(name) => {
            let sql = format!(
                "SELECT {COLUMNS} FROM tracks INDEXED BY tracks_live
                 WHERE participant_id = ?2 AND ended_us IS NULL AND name = ?1"
            );
            db.prepare_cached(&sql)?.query_row(params![name, participant_id], read)
        }
    };
    Ok(found.optional()?)
}

/// Those of these tracks that are published in the room, newest first.
pub(super) fn some(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    sids: &[TrackSid],
) -> Result<Vec<TrackRow>, StoreError> {
    let Some(room_id) = room_row::id(db, account, room)? else {
        return Ok(Vec::new());
    };
    let columns: Vec<String> = COLUMNS.split(", ").map(|column| format!("t.{column}")).collect();
    let mut query = db.prepare_cached(&format!(
        "SELECT {}, p.sid FROM tracks AS t JOIN participants AS p ON p.id = t.participant_id
         WHERE t.sid = ?1 AND t.ended_us IS NULL AND p.room_id = ?2",
        columns.join(", ")
    ))?;
    let mut rows = Vec::with_capacity(sids.len());
    for sid in sids {
        let found = query.query_row(params![sid.as_bytes(), room_id], |row| {
            read(row, room, row::sid(row, 7, ParticipantSid::from_bytes)?)
        });
        rows.extend(found.optional()?);
    }
    rows.sort_unstable_by_key(|row: &TrackRow| std::cmp::Reverse((row.created, *row.sid.as_bytes())));
    Ok(rows)
}

fn participant_id(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    participant: ParticipantSid,
) -> Result<Option<i64>, StoreError> {
    let Some(room_id) = room_row::id(db, account, room)? else {
        return Ok(None);
    };
    let found = db
        .prepare_cached("SELECT id FROM participants WHERE sid = ?1 AND room_id = ?2")?
        .query_row(params![participant.as_bytes(), room_id], |row| row.get(0))
        .optional()?;
    Ok(found)
}

fn position(row: &TrackRow) -> Position {
    Position {
        created: row.created,
        sid: *row.sid.as_bytes(),
    }
}

fn read(row: &Row<'_>, room: RoomSid, publisher: ParticipantSid) -> rusqlite::Result<TrackRow> {
    let created: Timestamp = row::time(row, 5)?;
    Ok(TrackRow {
        sid: row::sid(row, 0, TrackSid::from_bytes)?,
        publisher,
        room,
        name: row.get(1)?,
        kind: row::word(row, 2, TrackKind::from_word)?,
        enabled: row.get(3)?,
        priority: row::word(row, 4, Priority::from_word)?,
        created,
        // Each change is after the beginning.
        updated: Some(row::time(row, 6)?).filter(|updated| *updated > created),
    })
}
