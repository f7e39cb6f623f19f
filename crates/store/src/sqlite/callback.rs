//! The outbox: leasing what is due, and what becomes of it.

use std::collections::HashMap;

use room::{AccountSid, EventKind, ParticipantSid, RoomSid, RoomType, Timestamp, TrackKind, TrackSid};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{room_row, row};
use crate::{CallbackLease, CallbackOutcome, DueCallback, EndedAttempt, LeasedCallbacks, StoreError, limits};

/// Records how attempts ended, then leases what is due.
pub(super) fn exchange(
    db: &Connection,
    ended: &[EndedAttempt],
    lease: &CallbackLease,
) -> Result<LeasedCallbacks, StoreError> {
    for attempt in ended {
        record(db, attempt, lease.now)?;
    }
    let mut leased = take(db, lease)?;
    leased.next = db
        .prepare_cached(
            "SELECT due_us FROM outbox INDEXED BY outbox_due WHERE state = 'due' AND due_us > ?1
             ORDER BY due_us LIMIT 1",
        )?
        .query_row(params![lease.now.0], |row| row::time(row, "due_us"))
        .optional()?;
    Ok(leased)
}

/// Gives each receiver its turn, in the order of their names and around. The work is bounded by the
/// receivers that are looked at and the callbacks that are leased, however many are due.
fn take(db: &Connection, lease: &CallbackLease) -> Result<LeasedCallbacks, StoreError> {
    let limit = lease.limit.min(limits::LEASE_MAX);
    let mut leased = LeasedCallbacks {
        after: lease.after.clone(),
        ..LeasedCallbacks::default()
    };
    if limit == 0 || next(db)?.is_none_or(|at| at > lease.now) {
        return Ok(leased);
    }
    let taken: HashMap<&str, u32> = lease
        .taken
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    let mut following = db.prepare_cached(
        "SELECT receiver FROM outbox INDEXED BY outbox_due_of_receiver
         WHERE state = 'due' AND receiver > ?1 ORDER BY receiver LIMIT 1",
    )?;
    let mut is_around = false;
    for _ in 0..limits::RECEIVERS_PER_LEASE {
        let receiver: Option<String> = following
            .query_row(params![leased.after], |row| row.get(0))
            .optional()?;
        let Some(receiver) = receiver else {
            if is_around || lease.after.is_empty() {
                return Ok(leased);
            }
            is_around = true;
            leased.after.clear();
            continue;
        };
        if is_around && receiver > lease.after {
            return Ok(leased);
        }
        let room = lease
            .per_receiver
            .saturating_sub(taken.get(receiver.as_str()).copied().unwrap_or(0));
        let left = limit.saturating_sub(u32::try_from(leased.due.len()).unwrap_or(u32::MAX));
        leased.due.extend(hold(db, &receiver, lease, room.min(left))?);
        leased.after = receiver;
        if leased.due.len() >= limit as usize {
            break;
        }
    }
    leased.is_partial = true;
    Ok(leased)
}

/// Leases the callbacks of one receiver that are due longest.
fn hold(db: &Connection, receiver: &str, lease: &CallbackLease, limit: u32) -> Result<Vec<DueCallback>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    // Of each room only the first that is not done is in the state `due`.
    let mut query = db.prepare_cached(
        "SELECT o.id, o.attempts - o.attempts_before AS attempts, o.receiver,
             r.status_callback AS url, r.status_callback_method AS method,
             a.sid AS account_sid, r.sid AS room_sid, r.name AS room_name, r.type AS room_type,
             e.kind, e.seq, e.at_us, e.duration_s,
             p.sid AS participant_sid, p.identity, t.sid AS track_sid, t.kind AS track_kind
         FROM outbox AS o INDEXED BY outbox_due_of_receiver
         CROSS JOIN events AS e ON e.id = o.event_id
         CROSS JOIN rooms AS r ON r.id = o.room_id
         CROSS JOIN accounts AS a ON a.id = r.account_id
         LEFT JOIN participants AS p ON p.id = e.participant_id
         LEFT JOIN tracks AS t ON t.id = e.track_id
         WHERE o.state = 'due' AND o.receiver = ?1 AND o.due_us <= ?2
         ORDER BY o.due_us, o.id LIMIT ?3",
    )?;
    let due = query
        .query_map(params![receiver, lease.now.0, limit], read)?
        .collect::<Result<Vec<_>, _>>()?;
    let mut hold = db.prepare_cached("UPDATE outbox SET due_us = ?2, wait_us = 0 WHERE id = ?1")?;
    for callback in &due {
        hold.execute(params![callback.id, lease.until.0])?;
    }
    Ok(due)
}

fn read(row: &Row<'_>) -> rusqlite::Result<DueCallback> {
    let participant: Option<[u8; 16]> = row.get("participant_sid")?;
    let track: Option<[u8; 16]> = row.get("track_sid")?;
    Ok(DueCallback {
        id: row.get("id")?,
        attempts: row.get("attempts")?,
        url: row.get("url")?,
        receiver: row.get("receiver")?,
        method: row::word(row, "method", room_row::method)?,
        account: row::sid(row, "account_sid", AccountSid::from_bytes)?,
        room: row::sid(row, "room_sid", RoomSid::from_bytes)?,
        room_name: row.get("room_name")?,
        room_type: row::word(row, "room_type", RoomType::from_word)?,
        event: row::word(row, "kind", EventKind::from_word)?,
        sequence: row::count(row, "seq")?,
        at: row::time(row, "at_us")?,
        duration_s: row::count_or_null(row, "duration_s")?,
        participant: match participant {
            Some(sid) => Some((ParticipantSid::from_bytes(sid), row.get("identity")?)),
            None => None,
        },
        track: match track {
            Some(sid) => Some((
                TrackSid::from_bytes(sid),
                row::word(row, "track_kind", TrackKind::from_word)?,
            )),
            None => None,
        },
    })
}

pub(super) fn next(db: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let due = db
        .prepare_cached(
            "SELECT due_us FROM outbox INDEXED BY outbox_due WHERE state = 'due'
             ORDER BY due_us LIMIT 1",
        )?
        .query_row([], |row| row::time(row, "due_us"))
        .optional()?;
    Ok(due)
}

fn record(db: &Connection, attempt: &EndedAttempt, now: Timestamp) -> Result<(), StoreError> {
    let (id, at) = (attempt.id, attempt.at);
    let found: Option<(i64, bool)> = db
        .prepare_cached("SELECT room_id, state = 'due' FROM outbox WHERE id = ?1")?
        .query_row(params![id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // Forgotten meanwhile, after somebody else was done with it.
    let Some((room, due)) = found else { return Ok(()) };
    let last: Option<i64> = db
        .prepare_cached("SELECT at_us FROM attempts WHERE outbox_id = ?1 ORDER BY id DESC LIMIT 1")?
        .query_row(params![id], |row| row.get(0))
        .optional()?;
    // Told again by who did not hear that it was written: it is counted already.
    if last == Some(at.0) {
        return Ok(());
    }
    let error = attempt.answer.as_ref().err().map(|text| cut(text));
    db.prepare_cached("INSERT INTO attempts (outbox_id, at_us, status, error) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![id, at.0, attempt.answer.as_ref().ok(), error])?;
    match attempt.outcome {
        // Somebody else, who leased it after this lease ran out, was done first.
        _ if !due => {
            db.prepare_cached("UPDATE outbox SET attempts = attempts + 1 WHERE id = ?1")?
                .execute(params![id])?;
            Ok(())
        }
        CallbackOutcome::Retry(next) => {
            let wait_us = next.0.saturating_sub(now.0).max(0);
            db.prepare_cached("UPDATE outbox SET attempts = attempts + 1, due_us = ?2, wait_us = ?3 WHERE id = ?1")?
                .execute(params![id, next.0, wait_us])?;
            Ok(())
        }
        CallbackOutcome::Delivered => finish(db, id, room, "delivered", at),
        CallbackOutcome::GivenUp => finish(db, id, room, "given-up", at),
    }
}

/// Ends an entry and lets the next of its room go ahead at once.
fn finish(db: &Connection, id: i64, room: i64, state: &str, at: Timestamp) -> Result<(), StoreError> {
    // What is done was due, from now on, when it was done: by that it grows old.
    db.prepare_cached("UPDATE outbox SET attempts = attempts + 1, state = ?2, due_us = ?3 WHERE id = ?1")?
        .execute(params![id, state, at.0])?;
    db.prepare_cached(
        "UPDATE outbox SET state = 'due', due_us = min(due_us, ?2)
         WHERE id = (SELECT id FROM outbox INDEXED BY outbox_waiting
             WHERE room_id = ?1 AND state = 'waiting' ORDER BY id LIMIT 1)",
    )?
    .execute(params![room, at.0])?;
    Ok(())
}

fn cut(text: &str) -> String {
    text.chars().take(limits::ATTEMPT_ERROR_CHARS).collect()
}
