//! The outbox: leasing what is due, and what becomes of it.

use std::collections::HashMap;

use room::{AccountSid, EventKind, ParticipantSid, RoomSid, RoomType, Timestamp, TrackKind, TrackSid};
use tokio_postgres::Row;

use super::connection::Connection;
use super::{room_row, row};
use crate::{CallbackLease, CallbackOutcome, DueCallback, EndedAttempt, LeasedCallbacks, StoreError, limits};

/// Receivers that one statement looks at.
const RECEIVERS_PER_STATEMENT: u32 = 64;

/// What a lease of nothing tells.
pub(super) async fn nothing(db: &Connection, lease: &CallbackLease) -> Result<LeasedCallbacks, StoreError> {
    Ok(LeasedCallbacks {
        after: lease.after.clone(),
        next: next_behind(db, lease.now).await?,
        ..LeasedCallbacks::default()
    })
}

/// Leases what is due. What another lane is at is left for the next time.
pub(super) async fn lease(db: &Connection, lease: &CallbackLease) -> Result<LeasedCallbacks, StoreError> {
    let mut leased = take(db, lease).await?;
    leased.next = next_behind(db, lease.now).await?;
    Ok(leased)
}

/// Gives each receiver its turn, in the order of their names and around. The work is bounded by the
/// receivers that are looked at and the callbacks that are leased, however many are due.
async fn take(db: &Connection, lease: &CallbackLease) -> Result<LeasedCallbacks, StoreError> {
    let limit = lease.limit.min(limits::LEASE_MAX);
    let mut leased = LeasedCallbacks {
        after: lease.after.clone(),
        ..LeasedCallbacks::default()
    };
    if next(db).await?.is_none_or(|at| at > lease.now) {
        return Ok(leased);
    }
    let taken: HashMap<&str, u32> = lease
        .taken
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    let (mut is_around, mut skipped) = (false, false);
    let mut left_to_look_at = limits::RECEIVERS_PER_LEASE;
    while left_to_look_at > 0 {
        let asked = RECEIVERS_PER_STATEMENT.min(left_to_look_at);
        let turns = following(db, &leased.after, asked).await?;
        left_to_look_at -= asked;
        for (receiver, due) in &turns {
            if is_around && *receiver > lease.after {
                leased.is_partial = skipped;
                return Ok(leased);
            }
            leased.after.clone_from(receiver);
            let places = lease
                .per_receiver
                .saturating_sub(taken.get(receiver.as_str()).copied().unwrap_or(0));
            let left = limit.saturating_sub(u32::try_from(leased.due.len()).unwrap_or(u32::MAX));
            if *due > lease.now || places == 0 {
                continue;
            }
            let held = hold(db, receiver, lease, places.min(left)).await?;
            skipped |= held.is_empty();
            leased.due.extend(held);
            if leased.due.len() >= limit as usize {
                leased.is_partial = true;
                return Ok(leased);
            }
        }
        if turns.len() < asked as usize {
            if is_around || lease.after.is_empty() {
                leased.is_partial = skipped;
                return Ok(leased);
            }
            is_around = true;
            leased.after.clear();
        }
    }
    leased.is_partial = true;
    Ok(leased)
}

/// The next receivers behind this one that have something to come, and when the first of it is due: one step in the
/// index for each, however much it has.
async fn following(db: &Connection, after: &str, limit: u32) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let sql = "WITH RECURSIVE turn AS (
             (SELECT receiver, due_us, 1::bigint AS place FROM outbox WHERE state = 'due' AND receiver > $1
                 ORDER BY receiver, due_us LIMIT 1)
             UNION ALL
             SELECT f.receiver, f.due_us, t.place + 1 FROM turn AS t CROSS JOIN LATERAL (
                 SELECT receiver, due_us FROM outbox WHERE state = 'due' AND receiver > t.receiver
                 ORDER BY receiver, due_us LIMIT 1) AS f
             WHERE t.place < $2
         )
         SELECT receiver, due_us FROM turn ORDER BY place";
    let rows = db.query(sql, &[&after, &i64::from(limit)]).await?;
    rows.iter()
        .map(|row| Ok((row::get(row, 0)?, row::time(row, 1)?)))
        .collect()
}

/// Leases the callbacks of one receiver that are due longest.
async fn hold(
    db: &Connection,
    receiver: &str,
    lease: &CallbackLease,
    limit: u32,
) -> Result<Vec<DueCallback>, StoreError> {
    // Of each room only the first that is not done is in the state `due`.
    let sql = "WITH head AS MATERIALIZED (
             SELECT id, due_us FROM outbox WHERE state = 'due' AND receiver = $4 AND due_us <= $1
             ORDER BY due_us, id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
         ), held AS (
             UPDATE outbox AS o SET due_us = $3, wait_us = 0 FROM head WHERE o.id = head.id
             RETURNING o.id, o.attempts - o.attempts_before AS attempts, o.receiver, o.room_id, o.event_id, head.due_us
         )
         SELECT o.id, o.attempts, o.receiver, r.status_callback AS url, r.status_callback_method AS method,
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
    let due = db
        .query(sql, &[&lease.now.0, &i64::from(limit), &lease.until.0, &receiver])
        .await?;
    due.iter().map(read).collect()
}

fn read(row: &Row) -> Result<DueCallback, StoreError> {
    let participant = row::sid_or_null(row, "participant_sid", ParticipantSid::from_bytes)?;
    let track = row::sid_or_null(row, "track_sid", TrackSid::from_bytes)?;
    Ok(DueCallback {
        id: row::get(row, "id")?,
        attempts: row::small(row, "attempts")?,
        url: row::get(row, "url")?,
        receiver: row::get(row, "receiver")?,
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

async fn next_behind(db: &Connection, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT due_us FROM outbox WHERE state = 'due' AND due_us > $1 ORDER BY due_us LIMIT 1";
    let due = db.query_opt(sql, &[&now.0]).await?;
    due.map(|row| row::time(&row, 0)).transpose()
}

/// The rooms of entries, whose lanes they belong to.
pub(super) async fn rooms(db: &Connection, ids: &[i64]) -> Result<HashMap<i64, RoomSid>, StoreError> {
    let sql = "SELECT o.id, r.sid FROM outbox AS o JOIN rooms AS r ON r.id = o.room_id WHERE o.id = ANY ($1)";
    let rows = db.query(sql, &[&ids]).await?;
    rows.iter()
        .map(|row| Ok((row::get(row, 0)?, row::sid(row, 1, RoomSid::from_bytes)?)))
        .collect()
}

/// Locks the room of an entry: who appends an event holds it, too, so that no entry is left waiting behind nothing.
async fn hold_room(db: &Connection, id: i64) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT id FROM rooms WHERE id = (SELECT room_id FROM outbox WHERE id = $1) FOR NO KEY UPDATE";
    let room = db.query_opt(sql, &[&id]).await?;
    room.map(|row| row::get(&row, 0)).transpose()
}

pub(super) async fn record(db: &Connection, attempt: &EndedAttempt, now: Timestamp) -> Result<(), StoreError> {
    let (id, at) = (attempt.id, attempt.at);
    // Forgotten meanwhile, after somebody else was done with it.
    let Some(room) = hold_room(db, id).await? else {
        return Ok(());
    };
    let (state, due, wait_us) = match attempt.outcome {
        CallbackOutcome::Retry(next) => ("due", next, Some(next.0.saturating_sub(now.0).max(0))),
        // What is done was due, from now on, when it was done: by that it grows old.
        CallbackOutcome::Delivered => ("delivered", at, None),
        CallbackOutcome::GivenUp => ("given-up", at, None),
    };
    let (status, error) = match &attempt.answer {
        Ok(status) => (Some(i64::from(*status)), None),
        Err(error) => (None, Some(row::cut(error, limits::ATTEMPT_ERROR_CHARS))),
    };
    // One version of the row, since each has entries in all indexes. Told again, since those of other rooms could not be
    // written with it, an attempt is counted already.
    let sql = "WITH counted AS (
             UPDATE outbox AS o SET attempts = o.attempts + 1, state = CASE WHEN was.due THEN $3 ELSE o.state END,
                 due_us = CASE WHEN was.due THEN $4 ELSE o.due_us END,
                 wait_us = CASE WHEN was.due THEN coalesce($5, o.wait_us) ELSE o.wait_us END
             FROM (SELECT state = 'due' AS due FROM outbox WHERE id = $1) AS was
             WHERE o.id = $1 AND $2 IS DISTINCT FROM (
                 SELECT at_us FROM attempts WHERE outbox_id = $1 ORDER BY id DESC LIMIT 1)
             RETURNING was.due
         )
         INSERT INTO attempts (outbox_id, at_us, status, error)
         SELECT $1, $2, $6::bigint, $7::text FROM counted RETURNING (SELECT due FROM counted)";
    let counted = db
        .query_opt(sql, &[&id, &at.0, &state, &due.0, &wait_us, &status, &error])
        .await?;
    let Some(counted) = counted else {
        return Ok(());
    };
    // If not, somebody else, who leased it after this lease ran out, was done first.
    if row::get::<bool>(&counted, 0)? && state != "due" {
        go_on(db, room, at).await?;
    }
    Ok(())
}

/// Lets the first that waits in a room go ahead at once: the one before it is done.
async fn go_on(db: &Connection, room: i64, at: Timestamp) -> Result<(), StoreError> {
    db.execute(
        "UPDATE outbox SET state = 'due', due_us = least(due_us, $2)
         WHERE id = (SELECT id FROM outbox WHERE room_id = $1 AND state = 'waiting' ORDER BY id LIMIT 1)",
        &[&room, &at.0],
    )
    .await?;
    Ok(())
}
