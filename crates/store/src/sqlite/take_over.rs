//! Taking over what is in progress, after a restart: new epochs, and what rooms are restored from.
//!
//! A few statements over the indexes of what is live, however many rooms that is: a server starts
//! with one call of this.

use std::collections::HashMap;

use room::{AccountSid, Priority, RoomSid, SessionHash, Timestamp, Track, TrackKind, TrackSid};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::{participant, room_row, row, rules};
use crate::{LiveParticipant, LiveRoom, StoreError};

/// The work is bounded by what is live: rooms in progress, who is in them, and their tracks; and by
/// the rooms whose receivers of callbacks do not answer.
pub(super) fn all(db: &Connection, now: Timestamp) -> Result<Vec<LiveRoom>, StoreError> {
    // What was leased waits for nobody (its `wait_us` is 0); what was put off keeps its time, unless the
    // calendar was set back since then.
    db.prepare_cached(
        "UPDATE outbox INDEXED BY outbox_due SET due_us = ?1 + wait_us
         WHERE state = 'due' AND due_us > ?1 AND due_us > ?1 + wait_us",
    )?
    .execute(params![now.0])?;
    db.prepare_cached("UPDATE rooms INDEXED BY rooms_in_progress SET epoch = epoch + 1 WHERE ended_us IS NULL")?
        .execute([])?;
    db.prepare_cached(
        "UPDATE participants INDEXED BY participants_live
         SET status = 'reconnecting', updated_us = max(?1, created_us)
         WHERE ended_us IS NULL AND status = 'connected'",
    )?
    .execute(params![now.0])?;
    live(db, None)
}

/// The work is bounded by who is in the room, and their tracks.
pub(super) fn room(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    now: Timestamp,
) -> Result<Option<LiveRoom>, StoreError> {
    let id: Option<i64> = db
        .prepare_cached(
            "UPDATE rooms SET epoch = epoch + 1
             WHERE sid = ?1 AND ended_us IS NULL AND account_id = (SELECT id FROM accounts WHERE sid = ?2)
             RETURNING id",
        )?
        .query_row(params![room.as_bytes(), account.as_bytes()], |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(None) };
    db.prepare_cached(
        "UPDATE participants INDEXED BY participants_live
         SET status = 'reconnecting', updated_us = max(?2, created_us)
         WHERE room_id = ?1 AND ended_us IS NULL AND status = 'connected'",
    )?
    .execute(params![id, now.0])?;
    Ok(live(db, Some(id))?.pop())
}

/// All rooms in progress as they are stored, or the one of this row.
fn live(db: &Connection, only: Option<i64>) -> Result<Vec<LiveRoom>, StoreError> {
    let mut rooms = rooms(db, only)?;
    let mut places = HashMap::with_capacity(rooms.len());
    places.extend(rooms.iter().enumerate().map(|(place, (id, _))| (*id, place)));
    let mut tracks = tracks(db, only)?;
    let mut rules_in_rows = rules::live(db, only)?;
    let sql = format!(
        "SELECT {}, id, room_id, session, subscribe_all FROM participants INDEXED BY participants_live
         WHERE ended_us IS NULL {} ORDER BY room_id, created_us, sid",
        participant::COLUMNS,
        only.map_or("", |_| "AND room_id = ?1")
    );
    let mut query = db.prepare_cached(&sql)?;
    let mut found = query.query(params_from_iter(only))?;
    while let Some(row) = found.next()? {
        let id: i64 = row.get("id")?;
        // The schema's rule: who is live is in a room in progress.
        let Some(&place) = places.get(&row.get("room_id")?) else {
            continue;
        };
        let (_, live) = &mut rooms[place];
        live.participants.push(LiveParticipant {
            row: participant::read(row, live.room.account, live.room.new.sid)?,
            session: SessionHash(row.get("session")?),
            rules: rules::of(rules_in_rows.remove(&id).unwrap_or_default(), row.get("subscribe_all")?)?,
            tracks: tracks.remove(&id).unwrap_or_default(),
        });
    }
    Ok(rooms.into_iter().map(|(_, live)| finished(live)).collect())
}

/// The rooms in progress with their rows, oldest first, nobody in them yet.
fn rooms(db: &Connection, only: Option<i64>) -> Result<Vec<(i64, LiveRoom)>, StoreError> {
    let columns = room_row::COLUMNS.split(", ").map(|column| format!("r.{column}"));
    let sql = format!(
        "SELECT {}, r.id AS room_id, a.sid AS account_sid, r.last_participant_us, r.last_left_us
         FROM rooms AS r {}
         JOIN accounts AS a ON a.id = r.account_id
         WHERE r.ended_us IS NULL {} ORDER BY r.id",
        columns.collect::<Vec<_>>().join(", "),
        only.map_or("INDEXED BY rooms_in_progress", |_| ""),
        only.map_or("", |_| "AND r.id = ?1")
    );
    let mut query = db.prepare_cached(&sql)?;
    let rooms = query.query_map(params_from_iter(only), |row| {
        let account = row::sid(row, "account_sid", AccountSid::from_bytes)?;
        let live = LiveRoom {
            room: room_row::read(row, account)?,
            participants: Vec::new(),
            was_joined: row.get::<_, Option<i64>>("last_participant_us")?.is_some(),
            empty_since: row::time_or_null(row, "last_left_us")?,
        };
        Ok((row.get("room_id")?, live))
    })?;
    Ok(rooms.collect::<Result<_, _>>()?)
}

/// What is published, oldest first, by the row of its publisher.
fn tracks(db: &Connection, only: Option<i64>) -> Result<HashMap<i64, Vec<Track>>, StoreError> {
    let of_room = "AND participant_id IN (
         SELECT id FROM participants INDEXED BY participants_live WHERE room_id = ?1 AND ended_us IS NULL)";
    let mut query = db.prepare_cached(&format!(
        "SELECT participant_id, sid, media_id, kind, name, enabled, priority
         FROM tracks INDEXED BY tracks_live
         WHERE ended_us IS NULL {} ORDER BY participant_id, created_us, sid",
        only.map_or("", |_| of_room)
    ))?;
    let mut tracks: HashMap<i64, Vec<Track>> = HashMap::new();
    let mut found = query.query(params_from_iter(only))?;
    while let Some(row) = found.next()? {
        tracks.entry(row.get(0)?).or_default().push(Track {
            sid: row::sid(row, 1, TrackSid::from_bytes)?,
            media_id: row.get(2)?,
            kind: row::word(row, 3, TrackKind::from_word)?,
            name: row.get(4)?,
            enabled: row.get(5)?,
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
