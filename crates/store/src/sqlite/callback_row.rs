//! Callbacks as operators see them: listing them, their attempts, and delivering them again.

use room::{EventKind, RoomSid};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::{audit, row};
use crate::{
    AttemptRow, CallbackFilter, CallbackRow, CallbackState, Redelivered, Redelivery, RedeliveryRequest, StoreError,
    limits,
};

const COLUMNS: &str = "o.id, o.state, o.due_us, o.attempts, o.receiver, r.sid, e.seq, e.kind, e.at_us,
     (SELECT max(t.id) FROM attempts AS t WHERE t.outbox_id = o.id) AS last_id";

/// What a filter asks for, but for the state.
const MATCHES: &str = "(:room IS NULL OR r.sid = :room)
     AND (:receiver IS NULL OR o.receiver = :receiver
         OR substr(o.receiver, 1, length(:receiver) + 1) = :receiver || ':')
     AND e.at_us >= :since AND e.at_us < :before";

/// At most `limit` callbacks behind the one of this number, oldest first.
pub(super) fn list(
    db: &Connection,
    filter: &CallbackFilter,
    after: i64,
    limit: u32,
) -> Result<Vec<CallbackRow>, StoreError> {
    // By a word of ours, so that the index of that state is used. A room has few of them.
    let state = filter
        .state
        .map_or_else(String::new, |state| format!("o.state = '{state}' AND"));
    let source = match filter.room {
        Some(_) => "rooms AS r CROSS JOIN outbox AS o INDEXED BY outbox_of_room ON o.room_id = r.id",
        None => "outbox AS o CROSS JOIN rooms AS r ON r.id = o.room_id",
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM {source} CROSS JOIN events AS e ON e.id = o.event_id
         WHERE {state} o.id > :after AND {MATCHES} ORDER BY o.id LIMIT :limit"
    );
    let mut query = db.prepare_cached(&sql)?;
    let rows = query
        .query_map(
            named_params! {
                ":after": after,
                ":room": filter.room.map(|sid| *sid.as_bytes()),
                ":receiver": filter.receiver,
                ":since": filter.since.map_or(i64::MIN, |at| at.0),
                ":before": filter.before.map_or(i64::MAX, |at| at.0),
                ":limit": limit.clamp(1, limits::CALLBACK_ROWS_MAX),
            },
            read,
        )?
        .collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().map(|(row, last)| with_last(db, row, last)).collect()
}

pub(super) fn one(db: &Connection, id: i64) -> Result<Option<CallbackRow>, StoreError> {
    let found = db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM outbox AS o
             CROSS JOIN rooms AS r ON r.id = o.room_id CROSS JOIN events AS e ON e.id = o.event_id WHERE o.id = ?1"
        ))?
        .query_row(params![id], read)
        .optional()?;
    found.map(|(row, last)| with_last(db, row, last)).transpose()
}

fn read(row: &Row<'_>) -> rusqlite::Result<(CallbackRow, Option<i64>)> {
    let callback = CallbackRow {
        id: row.get("id")?,
        room: row::sid(row, "sid", RoomSid::from_bytes)?,
        sequence: row::count(row, "seq")?,
        event: row::word(row, "kind", EventKind::from_word)?,
        at: row::time(row, "at_us")?,
        state: row::word(row, "state", CallbackState::from_word)?,
        due: row::time(row, "due_us")?,
        attempts: row.get("attempts")?,
        receiver: row.get("receiver")?,
        last: None,
    };
    Ok((callback, row.get("last_id")?))
}

fn with_last(db: &Connection, row: CallbackRow, last: Option<i64>) -> Result<CallbackRow, StoreError> {
    let Some(last) = last else { return Ok(row) };
    let attempt = db
        .prepare_cached("SELECT at_us, status, error FROM attempts WHERE id = ?1")?
        .query_row(params![last], read_attempt)?;
    Ok(CallbackRow {
        last: Some(attempt.answer),
        ..row
    })
}

/// The latest attempts, oldest first.
pub(super) fn attempts(db: &Connection, id: i64) -> Result<Vec<AttemptRow>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT at_us, status, error FROM attempts INDEXED BY attempts_of_outbox
         WHERE outbox_id = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let mut attempts = query
        .query_map(params![id, limits::ATTEMPTS_TOLD_MAX], read_attempt)?
        .collect::<Result<Vec<_>, _>>()?;
    attempts.reverse();
    Ok(attempts)
}

fn read_attempt(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    let answer = match row.get::<_, Option<u16>>("status")? {
        Some(status) => Ok(status),
        None => Err(row.get("error")?),
    };
    Ok(AttemptRow {
        at: row::time(row, "at_us")?,
        answer,
    })
}

pub(super) fn redeliver(db: &Connection, request: &RedeliveryRequest) -> Result<Redelivered, StoreError> {
    let (ids, last) = match &request.what {
        Redelivery::One(id) => {
            // The room goes on with what is due now; its time has come.
            let is_due = db
                .prepare_cached("UPDATE outbox SET due_us = min(due_us, ?2) WHERE id = ?1 AND state = 'due'")?
                .execute(params![id, request.now.0])?;
            let is_done = db
                .prepare_cached("SELECT 1 FROM outbox WHERE id = ?1 AND state IN ('delivered', 'given-up')")?
                .exists(params![id])?;
            if is_due == 1 {
                append(db, request, 1)?;
                return Ok(Redelivered { count: 1, last: None });
            }
            (if is_done { vec![*id] } else { Vec::new() }, None)
        }
        Redelivery::GivenUp { filter, after } => given_up(db, filter, *after)?,
    };
    for id in &ids {
        // Behind another one of the room it waits, in its order.
        db.prepare_cached(
            "UPDATE outbox AS o SET due_us = ?2, wait_us = 0, attempts_before = attempts,
                 state = CASE WHEN EXISTS (SELECT 1 FROM outbox AS d WHERE d.room_id = o.room_id AND d.state = 'due')
                     THEN 'waiting' ELSE 'due' END
             WHERE id = ?1",
        )?
        .execute(params![id, request.now.0])?;
    }
    let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
    append(db, request, count)?;
    Ok(Redelivered { count, last })
}

fn append(db: &Connection, request: &RedeliveryRequest, count: u64) -> Result<(), StoreError> {
    match &request.by {
        Some(by) if count > 0 => audit::append(db, by),
        _ => Ok(()),
    }
}

/// Those of the next few that were given up which the filter matches, and the last one looked at, if there may be more.
fn given_up(db: &Connection, filter: &CallbackFilter, after: i64) -> Result<(Vec<i64>, Option<i64>), StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT o.id, {MATCHES} FROM outbox AS o INDEXED BY outbox_given_up
         CROSS JOIN rooms AS r ON r.id = o.room_id CROSS JOIN events AS e ON e.id = o.event_id
         WHERE o.state = 'given-up' AND o.id > :after ORDER BY o.id LIMIT :limit"
    ))?;
    let looked_at: Vec<(i64, bool)> = query
        .query_map(
            named_params! {
                ":after": after,
                ":room": filter.room.map(|sid| *sid.as_bytes()),
                ":receiver": filter.receiver,
                ":since": filter.since.map_or(i64::MIN, |at| at.0),
                ":before": filter.before.map_or(i64::MAX, |at| at.0),
                ":limit": limits::REDELIVER_ROWS,
            },
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<Result<_, _>>()?;
    let last = looked_at.last().map(|(id, _)| *id);
    let is_full = looked_at.len() >= limits::REDELIVER_ROWS as usize;
    let ids = looked_at.into_iter().filter(|(_, matches)| *matches).map(|(id, _)| id);
    Ok((ids.collect(), last.filter(|_| is_full)))
}
