//! The outbox: leasing what is due, and what becomes of it.

use room::{AccountSid, EventKind, ParticipantSid, RoomSid, RoomType, Timestamp, TrackKind, TrackSid};
use tokio_postgres::Row;

use super::connection::Connection;
use super::{room_row, row};
use crate::{CallbackOutcome, DueCallback, StoreError, limits};

/// Leases what is due. What another lane is at is left for the next time.
pub(super) async fn lease(
    db: &Connection,
    now: Timestamp,
    leased_until: Timestamp,
    limit: u32,
) -> Result<Vec<DueCallback>, StoreError> {
    // Of each room only the first that is not done is in the state `due`.
    let sql = "WITH head AS MATERIALIZED (
             SELECT id, due_us FROM outbox WHERE state = 'due' AND due_us <= $1
             ORDER BY due_us, id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
         ), held AS (
             UPDATE outbox AS o SET due_us = $3 FROM head WHERE o.id = head.id
             RETURNING o.id, o.attempts, o.room_id, o.event_id, head.due_us
         )
         SELECT o.id, o.attempts, r.status_callback AS url, r.status_callback_method AS method,
             a.sid AS account_sid, r.sid AS room_sid, r.name AS room_name, r.type AS room_type,
             e.kind, e.seq, e.at_us, e.duration_s,
             p.sid AS participant_sid, p.identity, t.sid AS track_sid, t.kind AS track_kind
         FROM held AS o
         JOIN events AS e ON e.id = o.event_id
         JOIN rooms AS r ON r.id = o.room_id
         JOIN accounts AS a ON a.id = r.account_id
         LEFT JOIN participants AS p ON p.id = e.participant_id
         LEFT JOIN tracks AS t ON t.id = e.track_id
         ORDER BY o.due_us, o.id";
    let limit = i64::from(limit.min(limits::LEASE_MAX));
    let due = db.query(sql, &[&now.0, &limit, &leased_until.0]).await?;
    due.iter().map(read).collect()
}

fn read(row: &Row) -> Result<DueCallback, StoreError> {
    let participant = row::sid_or_null(row, "participant_sid", ParticipantSid::from_bytes)?;
    let track = row::sid_or_null(row, "track_sid", TrackSid::from_bytes)?;
    Ok(DueCallback {
        id: row::get(row, "id")?,
        attempts: row::small(row, "attempts")?,
        url: row::get(row, "url")?,
        method: row::word(row, "method", room_row::method)?,
        account: row::sid(row, "account_sid", AccountSid::from_bytes)?,
        room: row::sid(row, "room_sid", RoomSid::from_bytes)?,
        room_name: row::get(row, "room_name")?,
        room_type: row::word(row, "room_type", RoomType::from_word)?,
        event: row::word(row, "kind", EventKind::from_word)?,
        sequence: row::count(row, "seq")?,
        at: row::time(row, "at_us")?,
        duration_s: row::count_or_null(row, "duration_s")?,
        participant: match participant {
            Some(sid) => Some((sid, row::get(row, "identity")?)),
            None => None,
        },
        track: match track {
            Some(sid) => Some((sid, row::word(row, "track_kind", TrackKind::from_word)?)),
            None => None,
        },
    })
}

pub(super) async fn next(db: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let due = db
        .query_opt(
            "SELECT due_us FROM outbox WHERE state = 'due' ORDER BY due_us LIMIT 1",
            &[],
        )
        .await?;
    due.map(|row| row::time(&row, 0)).transpose()
}

/// The room of an entry, whose lane it belongs to.
pub(super) async fn room(db: &Connection, id: i64) -> Result<Option<RoomSid>, StoreError> {
    let sql = "SELECT sid FROM rooms WHERE id = (SELECT room_id FROM outbox WHERE id = $1)";
    let row = db.query_opt(sql, &[&id]).await?;
    row.map(|row| row::sid(&row, 0, RoomSid::from_bytes)).transpose()
}

pub(super) fn unknown() -> StoreError {
    StoreError::refused("an attempt at an unknown callback")
}

pub(super) async fn record(
    db: &Connection,
    id: i64,
    at: Timestamp,
    answer: &Result<u16, String>,
    outcome: CallbackOutcome,
) -> Result<(), StoreError> {
    // Who appends an event holds the room, too: so it is never left waiting behind nothing.
    let room = db
        .query_opt(
            "SELECT id FROM rooms WHERE id = (SELECT room_id FROM outbox WHERE id = $1) FOR NO KEY UPDATE",
            &[&id],
        )
        .await?
        .ok_or_else(unknown)?;
    let room: i64 = row::get(&room, 0)?;
    let (status, error) = match answer {
        Ok(status) => (Some(i64::from(*status)), None),
        Err(error) => (None, Some(row::cut(error, limits::ATTEMPT_ERROR_CHARS))),
    };
    let entry = db
        .query_opt(
            "UPDATE outbox SET attempts = attempts + 1 WHERE id = $1 RETURNING state = 'due'",
            &[&id],
        )
        .await?
        .ok_or_else(unknown)?;
    db.execute(
        "INSERT INTO attempts (outbox_id, at_us, status, error) VALUES ($1, $2, $3, $4)",
        &[&id, &at.0, &status, &error],
    )
    .await?;
    if !row::get::<bool>(&entry, 0)? {
        // Somebody else, who leased it after this lease ran out, was done first.
        return Ok(());
    }
    match outcome {
        CallbackOutcome::Retry(next) => {
            db.execute("UPDATE outbox SET due_us = $2 WHERE id = $1", &[&id, &next.0])
                .await?;
            Ok(())
        }
        CallbackOutcome::Delivered => finish(db, id, room, "delivered", at).await,
        CallbackOutcome::GivenUp => finish(db, id, room, "given-up", at).await,
    }
}

/// Ends an entry and lets the next of its room go ahead at once.
async fn finish(db: &Connection, id: i64, room: i64, state: &str, at: Timestamp) -> Result<(), StoreError> {
    // What is done was due, from now on, when it was done: by that it grows old.
    db.execute(
        "UPDATE outbox SET state = $2, due_us = $3 WHERE id = $1",
        &[&id, &state, &at.0],
    )
    .await?;
    db.execute(
        "UPDATE outbox SET state = 'due', due_us = least(due_us, $2)
         WHERE id = (SELECT id FROM outbox WHERE room_id = $1 AND state = 'waiting' ORDER BY id LIMIT 1)",
        &[&room, &at.0],
    )
    .await?;
    Ok(())
}
