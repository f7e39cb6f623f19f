//! Events, and the outbox entries of those that somebody wants to be called about.

use room::Timestamp;

use super::connection::Connection;
use super::row::signed;
use crate::StoreError;
use crate::open_room::Event;

const INSERT: &str = "INSERT INTO events (room_id, seq, kind, at_us, participant_id, track_id, duration_s)
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// Writes an event; with a time, also the callback that is due then. The room's row is locked: so nobody delivers
/// the callback before it, unseen, meanwhile.
pub(super) async fn append(db: &Connection, event: &Event, due: Option<Timestamp>) -> Result<(), StoreError> {
    let (sequence, kind) = (signed(event.sequence), event.kind.as_str());
    let duration_s = event.duration_s.map(signed);
    let Some(due) = due else {
        db.execute(
            INSERT,
            &[
                &event.room,
                &sequence,
                &kind,
                &event.at.0,
                &event.participant,
                &event.track,
                &duration_s,
            ],
        )
        .await?;
        return Ok(());
    };
    // Behind others of the room it waits; when they are done it becomes due (callback.rs).
    let sql = format!(
        "WITH event AS ({INSERT} RETURNING id)
         INSERT INTO outbox (room_id, event_id, state, due_us, receiver)
         SELECT $1, event.id,
             CASE WHEN EXISTS (SELECT 1 FROM outbox WHERE room_id = $1 AND state = 'due')
                 THEN 'waiting' ELSE 'due' END,
             $8::bigint, (SELECT callback_receiver FROM rooms WHERE id = $1) FROM event"
    );
    db.execute(
        &sql,
        &[
            &event.room,
            &sequence,
            &kind,
            &event.at.0,
            &event.participant,
            &event.track,
            &duration_s,
            &due.0,
        ],
    )
    .await?;
    Ok(())
}
