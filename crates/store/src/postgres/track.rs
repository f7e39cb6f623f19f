//! Tracks that are published now: finding and listing them.

use room::{AccountSid, ParticipantSid, Priority, RoomSid, Timestamp, TrackKind, TrackSid};
use tokio_postgres::Row;

use super::connection::Connection;
use super::page::{List, page};
use super::room_row;
use super::row::{self, Sid, text};
use crate::page::Created;
use crate::{Page, PageRequest, Position, StoreError, TrackKey, TrackRow};

/// Columns that a [`TrackRow`] is read from; they stand first.
const COLUMNS: &str = "sid, name, kind, enabled, priority, created_us, updated_us";

/// A page of what a participant publishes.
pub(super) async fn list(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    publisher: ParticipantSid,
    request: PageRequest,
) -> Result<Page<TrackRow>, StoreError> {
    // No row has this id: what an unknown participant publishes is an empty list.
    let participant = participant_id(db, account, room, publisher).await?.unwrap_or(-1);
    let list = List {
        columns: COLUMNS,
        source: "tracks",
        matching: "participant_id = $6 AND ended_us IS NULL",
        parameters: &[&participant],
    };
    page(
        db,
        &list,
        Created::seconds(None, None),
        request,
        |row| read(row, room, publisher),
        |row| Position {
            created: row.created,
            sid: *row.sid.as_bytes(),
        },
    )
    .await
}

/// One of what a participant publishes. By name its other tracks are looked at, which are few.
pub(super) async fn fetch(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    publisher: ParticipantSid,
    key: &TrackKey,
) -> Result<Option<TrackRow>, StoreError> {
    let Some(participant) = participant_id(db, account, room, publisher).await? else {
        return Ok(None);
    };
    let matching = "participant_id = $2 AND ended_us IS NULL";
    let found = match key {
        TrackKey::Sid(sid) => {
            let sql = format!("SELECT {COLUMNS} FROM tracks WHERE sid = $1 AND {matching}");
            db.query_opt(&sql, &[&Sid(*sid.as_bytes()), &participant]).await?
        }
        TrackKey::Name(name) => {
            let sql = format!("SELECT {COLUMNS} FROM tracks WHERE name = $1 AND {matching}");
            db.query_opt(&sql, &[&text(name), &participant]).await?
        }
    };
    found.map(|row| read(&row, room, publisher)).transpose()
}

/// Those of these tracks that are published in the room, newest first.
pub(super) async fn some(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    sids: &[TrackSid],
) -> Result<Vec<TrackRow>, StoreError> {
    let Some(room_id) = room_row::id(db, account, room).await? else {
        return Ok(Vec::new());
    };
    // Not a join: its order would be the planner's to choose.
    let sql = format!(
        "SELECT {COLUMNS}, (SELECT p.sid FROM participants AS p WHERE p.id = t.participant_id AND p.room_id = $2)
         FROM tracks AS t WHERE sid = ANY ($1) AND ended_us IS NULL"
    );
    let sids: Vec<Sid> = sids.iter().map(|sid| Sid(*sid.as_bytes())).collect();
    let mut rows = Vec::with_capacity(sids.len());
    for found in db.query(&sql, &[&sids, &room_id]).await? {
        // Others are of other rooms.
        if let Some(publisher) = row::sid_or_null(&found, 7, ParticipantSid::from_bytes)? {
            rows.push(read(&found, room, publisher)?);
        }
    }
    rows.sort_unstable_by_key(|row: &TrackRow| std::cmp::Reverse((row.created, *row.sid.as_bytes())));
    Ok(rows)
}

async fn participant_id(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    participant: ParticipantSid,
) -> Result<Option<i64>, StoreError> {
    let sql = format!(
        "SELECT id FROM participants WHERE sid = $3 AND {}",
        super::participant::OF_ROOM
    );
    let sids = (
        Sid(*room.as_bytes()),
        Sid(*account.as_bytes()),
        Sid(*participant.as_bytes()),
    );
    let found = db.query_opt(&sql, &[&sids.0, &sids.1, &sids.2]).await?;
    found.map(|row| row::get(&row, 0)).transpose()
}

fn read(row: &Row, room: RoomSid, publisher: ParticipantSid) -> Result<TrackRow, StoreError> {
    let created: Timestamp = row::time(row, 5)?;
    Ok(TrackRow {
        sid: row::sid(row, 0, TrackSid::from_bytes)?,
        publisher,
        room,
        name: row::get(row, 1)?,
        kind: row::word(row, 2, TrackKind::from_word)?,
        enabled: row::get(row, 3)?,
        priority: row::word(row, 4, Priority::from_word)?,
        created,
        // Each change is after the beginning.
        updated: Some(row::time(row, 6)?).filter(|updated| *updated > created),
    })
}
