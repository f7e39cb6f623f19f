//! Events, and the outbox entries of those that somebody wants to be called about.

use room::Timestamp;
use rusqlite::{Connection, params};

use super::row::signed;
use crate::StoreError;
use crate::open_room::Event;

/// Writes an event; with a time, also the callback that is due then.
pub(super) fn append(db: &Connection, event: &Event, due: Option<Timestamp>) -> Result<(), StoreError> {
    let id = db
        .prepare_cached(
            "INSERT INTO events (room_id, seq, kind, at_us, participant_id, track_id, duration_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .insert(params![
            event.room,
            signed(event.sequence),
            event.kind.as_str(),
            event.at.0,
            event.participant,
            event.track,
            event.duration_s.map(signed),
        ])?;
    let Some(due) = due else { return Ok(()) };
    // Behind others of the room it waits; when they are done it becomes due (callback.rs).
    db.prepare_cached(
        "INSERT INTO outbox (room_id, event_id, state, due_us, receiver)
         VALUES (?1, ?2,
             CASE WHEN EXISTS (SELECT 1 FROM outbox WHERE room_id = ?1 AND state = 'due')
                 THEN 'waiting' ELSE 'due' END,
             ?3, (SELECT callback_receiver FROM rooms WHERE id = ?1))",
    )?
    .execute(params![event.room, id, due.0])?;
    Ok(())
}
