//! Taking over what is in progress, after a restart: new epochs, and what rooms are restored from.

use room::{AccountSid, Priority, SessionHash, Timestamp, Track, TrackKind, TrackSid};
use rusqlite::{Connection, params};

use super::{participant, room_row, row};
use crate::{LiveParticipant, LiveRoom, RoomRow, StoreError};

/// The work is bounded by what is live: rooms in progress, who is in them, and their tracks.
pub(super) fn all(db: &Connection, now: Timestamp) -> Result<Vec<LiveRoom>, StoreError> {
    let rooms = db
        .prepare_cached(
            "SELECT r.id, a.sid FROM rooms AS r INDEXED BY rooms_in_progress
             JOIN accounts AS a ON a.id = r.account_id
             WHERE r.ended_us IS NULL ORDER BY r.id",
        )?
        .query_map([], |row| {
            Ok((row.get("id")?, row::sid(row, "sid", AccountSid::from_bytes)?))
        })?
        .collect::<Result<Vec<(i64, AccountSid)>, _>>()?;
    rooms
        .into_iter()
        .map(|(id, account)| one(db, id, account, now))
        .collect()
}

fn one(db: &Connection, id: i64, account: AccountSid, now: Timestamp) -> Result<LiveRoom, StoreError> {
    let (joined, left): (Option<i64>, Option<i64>) = db
        .prepare_cached(
            "UPDATE rooms SET epoch = epoch + 1 WHERE id = ?1
             RETURNING last_participant_us, last_left_us",
        )?
        .query_row(params![id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    db.prepare_cached(
        "UPDATE participants INDEXED BY participants_live
         SET status = 'reconnecting', updated_us = max(?2, created_us)
         WHERE room_id = ?1 AND ended_us IS NULL AND status = 'connected'",
    )?
    .execute(params![id, now.0])?;
    let room = room_row::by_id(db, account, id)?;
    let participants = participants(db, id, &room)?;
    Ok(LiveRoom {
        empty_since: left.filter(|_| participants.is_empty()).map(Timestamp),
        was_joined: joined.is_some(),
        room,
        participants,
    })
}

fn participants(db: &Connection, room_id: i64, room: &RoomRow) -> Result<Vec<LiveParticipant>, StoreError> {
    let sql = format!(
        "SELECT id, session, subscribe_all, {} FROM participants INDEXED BY participants_live
         WHERE room_id = ?1 AND ended_us IS NULL ORDER BY created_us, sid",
        participant::COLUMNS
    );
    let mut query = db.prepare_cached(&sql)?;
    let rows = query
        .query_map(params![room_id], |row| {
            let live = LiveParticipant {
                row: participant::read(row, room.account, room.new.sid)?,
                session: SessionHash(row.get("session")?),
                subscribe_all: row.get("subscribe_all")?,
                tracks: Vec::new(),
            };
            Ok((row.get("id")?, live))
        })?
        .collect::<Result<Vec<(i64, LiveParticipant)>, _>>()?;
    rows.into_iter()
        .map(|(id, live)| {
            Ok(LiveParticipant {
                tracks: tracks(db, id)?,
                ..live
            })
        })
        .collect()
}

fn tracks(db: &Connection, participant_id: i64) -> Result<Vec<Track>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT sid, media_id, kind, name, enabled, priority FROM tracks INDEXED BY tracks_live
         WHERE participant_id = ?1 AND ended_us IS NULL ORDER BY created_us, sid",
    )?;
    let tracks = query.query_map(params![participant_id], |row| {
        Ok(Track {
            sid: row::sid(row, "sid", TrackSid::from_bytes)?,
            media_id: row.get("media_id")?,
            kind: row::word(row, "kind", TrackKind::from_word)?,
            name: row.get("name")?,
            enabled: row.get("enabled")?,
            priority: row::word(row, "priority", Priority::from_word)?,
        })
    })?;
    Ok(tracks.collect::<Result<_, _>>()?)
}
