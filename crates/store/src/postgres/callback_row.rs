//! Callbacks as operators see them: listing them, their attempts, and delivering them again.

use std::collections::BTreeMap;

use room::{EventKind, RoomSid, Timestamp};
use tokio_postgres::Row;

use super::connection::Connection;
use super::row::{self, Sid};
use crate::{AttemptRow, CallbackFilter, CallbackRow, CallbackState, Redelivery, StoreError, limits};

const COLUMNS: &str = "o.id, o.state, o.due_us, o.attempts, o.receiver, r.sid, e.seq, e.kind, e.at_us,
     l.id AS last_id, l.status, l.error";

/// What a callback is told with.
const JOINS: &str = "JOIN rooms AS r ON r.id = o.room_id JOIN events AS e ON e.id = o.event_id";

const LAST: &str = "LEFT JOIN LATERAL (SELECT t.id, t.status, t.error FROM attempts AS t WHERE t.outbox_id = o.id
     ORDER BY t.id DESC LIMIT 1) AS l ON true";

/// What a filter asks for, but for the state and the room: `$2` the receiver, `$3` and `$4` between when.
const MATCHES: &str = "($2::text IS NULL OR o.receiver = $2 OR starts_with(o.receiver, $2 || ':'))
     AND e.at_us >= $3 AND e.at_us < $4";

/// The room by its SID `$5`, of which there may be none.
const OF_ROOM: &str = "o.room_id = (SELECT id FROM rooms WHERE sid = $5)";
const OF_ANY_ROOM: &str = "$5::uuid IS NULL";

/// At most `limit` callbacks behind the one of this number, oldest first.
pub(super) async fn list(
    db: &Connection,
    filter: &CallbackFilter,
    after: i64,
    limit: u32,
) -> Result<Vec<CallbackRow>, StoreError> {
    // By a word of ours, so that the index of that state is used. A room has few of them.
    let state = filter
        .state
        .map_or_else(String::new, |state| format!("o.state = '{state}' AND"));
    let room = filter.room.map_or(OF_ANY_ROOM, |_| OF_ROOM);
    let sql = format!(
        "SELECT {COLUMNS} FROM outbox AS o {JOINS} {LAST}
         WHERE {state} {room} AND o.id > $1 AND {MATCHES} ORDER BY o.id LIMIT $6"
    );
    let rows = db
        .query(
            &sql,
            &[
                &after,
                &filter.receiver.as_deref().map(row::text),
                &filter.since.map_or(i64::MIN, |at| at.0),
                &filter.before.map_or(i64::MAX, |at| at.0),
                &filter.room.map(|sid| Sid(*sid.as_bytes())),
                &i64::from(limit.clamp(1, limits::CALLBACK_ROWS_MAX)),
            ],
        )
        .await?;
    rows.iter().map(read).collect()
}

pub(super) async fn one(db: &Connection, id: i64) -> Result<Option<CallbackRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM outbox AS o {JOINS} {LAST} WHERE o.id = $1");
    let found = db.query_opt(&sql, &[&id]).await?;
    found.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<CallbackRow, StoreError> {
    let last = match row::get::<Option<i64>>(row, "last_id")? {
        Some(_) => Some(answer(row)?),
        None => None,
    };
    Ok(CallbackRow {
        id: row::get(row, "id")?,
        room: row::sid(row, "sid", RoomSid::from_bytes)?,
        sequence: row::count(row, "seq")?,
        event: row::word(row, "kind", EventKind::from_word)?,
        at: row::time(row, "at_us")?,
        state: row::word(row, "state", CallbackState::from_word)?,
        due: row::time(row, "due_us")?,
        attempts: row::small(row, "attempts")?,
        receiver: row::get(row, "receiver")?,
        last,
    })
}

/// The latest attempts, oldest first.
pub(super) async fn attempts(db: &Connection, id: i64) -> Result<Vec<AttemptRow>, StoreError> {
    let sql = "SELECT at_us, status, error FROM attempts WHERE outbox_id = $1 ORDER BY id DESC LIMIT $2";
    let rows = db.query(sql, &[&id, &i64::from(limits::ATTEMPTS_TOLD_MAX)]).await?;
    let newest_last = rows.iter().rev();
    newest_last
        .map(|row| {
            Ok(AttemptRow {
                at: row::time(row, "at_us")?,
                answer: answer(row)?,
            })
        })
        .collect()
}

fn answer(row: &Row) -> Result<Result<u16, String>, StoreError> {
    Ok(match row::get::<Option<i64>>(row, "status")? {
        Some(status) => Ok(u16::try_from(status).map_err(StoreError::backend)?),
        None => Err(row::get(row, "error")?),
    })
}

/// What may be delivered again, by its room, in its order.
pub(super) struct LookedAt {
    pub(super) of_rooms: BTreeMap<RoomSid, Entries>,
    /// Where to go on, if there may be more.
    pub(super) last: Option<i64>,
}

/// Callbacks of one room.
pub(super) enum Entries {
    /// It, however it stands.
    One(i64),
    /// Those of them that still are given up.
    GivenUp(Vec<i64>),
}

/// Looks at the one, or at the next few that were given up, for those that the filter matches.
pub(super) async fn looked_at(db: &Connection, what: &Redelivery) -> Result<LookedAt, StoreError> {
    let (filter, after) = match what {
        Redelivery::One(id) => {
            let found = super::callback::rooms(db, &[*id]).await?;
            let of_rooms = found.into_iter().map(|(id, room)| (room, Entries::One(id)));
            return Ok(LookedAt {
                of_rooms: of_rooms.collect(),
                last: None,
            });
        }
        Redelivery::GivenUp { filter, after } => (filter, *after),
    };
    let sql = format!(
        "SELECT o.id, r.sid, ($5::uuid IS NULL OR r.sid = $5) AND {MATCHES} AS matches
         FROM (SELECT id, room_id, event_id, receiver FROM outbox WHERE state = 'given-up' AND id > $1
             ORDER BY id LIMIT $6) AS o {JOINS} ORDER BY o.id"
    );
    let rows = db
        .query(
            &sql,
            &[
                &after,
                &filter.receiver.as_deref().map(row::text),
                &filter.since.map_or(i64::MIN, |at| at.0),
                &filter.before.map_or(i64::MAX, |at| at.0),
                &filter.room.map(|sid| Sid(*sid.as_bytes())),
                &i64::from(limits::REDELIVER_ROWS),
            ],
        )
        .await?;
    let mut ids: BTreeMap<RoomSid, Vec<i64>> = BTreeMap::new();
    let mut last = None;
    for row in &rows {
        let id = row::get(row, "id")?;
        last = Some(id);
        if row::get(row, "matches")? {
            ids.entry(row::sid(row, "sid", RoomSid::from_bytes)?)
                .or_default()
                .push(id);
        }
    }
    let is_full = rows.len() >= limits::REDELIVER_ROWS as usize;
    Ok(LookedAt {
        of_rooms: ids
            .into_iter()
            .map(|(room, ids)| (room, Entries::GivenUp(ids)))
            .collect(),
        last: last.filter(|_| is_full),
    })
}

/// Makes callbacks of a room due again, or lets them wait in their order; how many.
pub(super) async fn redeliver(
    db: &Connection,
    room: RoomSid,
    entries: &Entries,
    now: Timestamp,
) -> Result<u64, StoreError> {
    // Who appends an event or ends an entry holds the room, too.
    let sql = "SELECT id FROM rooms WHERE sid = $1 FOR NO KEY UPDATE";
    if db.query_opt(sql, &[&Sid(*room.as_bytes())]).await?.is_none() {
        return Ok(0);
    }
    let (ids, states) = match entries {
        Entries::GivenUp(ids) => (ids.as_slice(), "'given-up'"),
        Entries::One(id) => {
            // The room goes on with what is due now; its time has come.
            let sql = "UPDATE outbox SET due_us = least(due_us, $2) WHERE id = $1 AND state = 'due'";
            if db.execute(sql, &[id, &now.0]).await? == 1 {
                return Ok(1);
            }
            (std::slice::from_ref(id), "'delivered', 'given-up'")
        }
    };
    // Behind another one of the room it waits, in its order.
    let sql = format!(
        "UPDATE outbox AS o SET due_us = $2, wait_us = 0, attempts_before = attempts,
             state = CASE WHEN EXISTS (SELECT 1 FROM outbox AS d WHERE d.room_id = o.room_id AND d.state = 'due')
                 THEN 'waiting' ELSE 'due' END
         WHERE id = $1 AND state IN ({states})"
    );
    let mut count = 0;
    for id in ids {
        count += db.execute(&sql, &[id, &now.0]).await?;
    }
    Ok(count)
}
