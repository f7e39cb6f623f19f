//! Taking over what is in progress, after a restart: new epochs, and what rooms are restored from.
//!
//! A few statements over the indexes of what is live, however many rooms that is: a server starts
//! with one call of this.

use std::collections::HashMap;

use room::{AccountSid, Priority, RoomSid, SessionHash, Timestamp, Track, TrackKind, TrackSid};

use super::connection::Connection;
use super::row::{self, Sid};
use super::{participant, room_row, rules};
use crate::{LiveParticipant, LiveRoom, StoreError};

/// The work is bounded by what is live: rooms in progress, who is in them, and their tracks; and by
/// the rooms whose receivers of callbacks do not answer.
pub(super) async fn all(db: &Connection, now: Timestamp) -> Result<Vec<LiveRoom>, StoreError> {
    // What was leased waits for nobody (its `wait_us` is 0); what was put off keeps its time, unless the
    // calendar was set back since then.
    db.execute(
        "UPDATE outbox SET due_us = $1 + wait_us WHERE state = 'due' AND due_us > $1 AND due_us > $1 + wait_us",
        &[&now.0],
    )
    .await?;
    db.execute("UPDATE rooms SET epoch = epoch + 1 WHERE ended_us IS NULL", &[])
        .await?;
    db.execute(
        "UPDATE participants SET status = 'reconnecting', updated_us = greatest($1, created_us)
         WHERE ended_us IS NULL AND status = 'connected'",
        &[&now.0],
    )
    .await?;
    live(db, None).await
}

/// The work is bounded by who is in the room, and their tracks.
pub(super) async fn room(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    now: Timestamp,
) -> Result<Option<LiveRoom>, StoreError> {
    let found = db
        .query_opt(
            "UPDATE rooms SET epoch = epoch + 1
             WHERE sid = $1 AND ended_us IS NULL AND account_id = (SELECT id FROM accounts WHERE sid = $2)
             RETURNING id",
            &[&Sid(*room.as_bytes()), &Sid(*account.as_bytes())],
        )
        .await?;
    let Some(found) = found else { return Ok(None) };
    let id: i64 = row::get(&found, 0)?;
    db.execute(
        "UPDATE participants SET status = 'reconnecting', updated_us = greatest($2, created_us)
         WHERE room_id = $1 AND ended_us IS NULL AND status = 'connected'",
        &[&id, &now.0],
    )
    .await?;
    Ok(live(db, Some(id)).await?.pop())
}

/// All rooms in progress as they are stored, or the one of this row.
async fn live(db: &Connection, only: Option<i64>) -> Result<Vec<LiveRoom>, StoreError> {
    let mut rooms = rooms(db, only).await?;
    let mut places = HashMap::with_capacity(rooms.len());
    places.extend(rooms.iter().enumerate().map(|(place, (id, _))| (*id, place)));
    let mut tracks = tracks(db, only).await?;
    let mut rules_in_rows = rules::live(db, only).await?;
    let of_room = only.map_or("", |_| "AND room_id = $1");
    let sql = format!(
        "SELECT {}, id, room_id, session, subscribe_all FROM participants
         WHERE ended_us IS NULL {of_room} ORDER BY room_id, created_us, sid",
        participant::COLUMNS,
    );
    for row in &in_room(db, &sql, only.as_ref()).await? {
        let id: i64 = row::get(row, "id")?;
        // The schema's rule: who is live is in a room in progress.
        let Some(&place) = places.get(&row::get(row, "room_id")?) else {
            continue;
        };
        let (_, live) = &mut rooms[place];
        let session: &[u8] = row::get(row, "session")?;
        live.participants.push(LiveParticipant {
            row: participant::read(row, live.room.account, live.room.new.sid)?,
            session: SessionHash(session.try_into().map_err(StoreError::backend)?),
            rules: rules::of(
                rules_in_rows.remove(&id).unwrap_or_default(),
                row::get(row, "subscribe_all")?,
            )?,
            tracks: tracks.remove(&id).unwrap_or_default(),
        });
    }
    Ok(rooms.into_iter().map(|(_, live)| finished(live)).collect())
}

/// Rows of all rooms, or of the one.
pub(super) async fn in_room(
    db: &Connection,
    sql: &str,
    only: Option<&i64>,
) -> Result<Vec<tokio_postgres::Row>, StoreError> {
    match only {
        Some(id) => db.query(sql, &[id]).await,
        None => db.query(sql, &[]).await,
    }
}

/// The rooms in progress with their rows, oldest first, nobody in them yet.
async fn rooms(db: &Connection, only: Option<i64>) -> Result<Vec<(i64, LiveRoom)>, StoreError> {
    let columns = room_row::COLUMNS
        .split(", ")
        .map(|column| format!("r.{}", column.trim()));
    let sql = format!(
        "SELECT {}, r.id AS room_id, a.sid AS account_sid, r.last_participant_us, r.last_left_us
         FROM rooms AS r JOIN accounts AS a ON a.id = r.account_id
         WHERE r.ended_us IS NULL {} ORDER BY r.id",
        columns.collect::<Vec<_>>().join(", "),
        only.map_or("", |_| "AND r.id = $1")
    );
    let rows = in_room(db, &sql, only.as_ref()).await?;
    rows.iter()
        .map(|row| {
            let account = row::sid(row, "account_sid", AccountSid::from_bytes)?;
            let live = LiveRoom {
                room: room_row::read(row, account)?,
                participants: Vec::new(),
                was_joined: row::get::<Option<i64>>(row, "last_participant_us")?.is_some(),
                empty_since: row::time_or_null(row, "last_left_us")?,
            };
            Ok((row::get(row, "room_id")?, live))
        })
        .collect()
}

/// What is published, oldest first, by the row of its publisher.
async fn tracks(db: &Connection, only: Option<i64>) -> Result<HashMap<i64, Vec<Track>>, StoreError> {
    let of_room = "AND participant_id = ANY (ARRAY(
         SELECT id FROM participants WHERE room_id = $1 AND ended_us IS NULL))";
    let sql = format!(
        "SELECT participant_id, sid, media_id, kind, name, enabled, priority FROM tracks
         WHERE ended_us IS NULL {} ORDER BY participant_id, created_us, sid",
        only.map_or("", |_| of_room)
    );
    let mut tracks: HashMap<i64, Vec<Track>> = HashMap::new();
    for row in &in_room(db, &sql, only.as_ref()).await? {
        tracks.entry(row::get(row, 0)?).or_default().push(Track {
            sid: row::sid(row, 1, TrackSid::from_bytes)?,
            media_id: row::get(row, 2)?,
            kind: row::word(row, 3, TrackKind::from_word)?,
            name: row::get(row, 4)?,
            enabled: row::get(row, 5)?,
            priority: row::word(row, 6, Priority::from_word)?,
        });
    }
    Ok(tracks)
}

/// A room is only empty since somebody left if nobody is there.
fn finished(live: LiveRoom) -> LiveRoom {
    LiveRoom {
        empty_since: live.empty_since.filter(|_| live.participants.is_empty()),
        ..live
    }
}
