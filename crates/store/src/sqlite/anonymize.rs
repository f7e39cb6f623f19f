//! Erasing an identity from the one column where it stands, and from the rules that name it; `expunge.rs` erases what is left
//! of it in the files.

use room::{AccountSid, ParticipantSid, RoomSid};
use rusqlite::{Connection, OptionalExtension, params};

use super::row;
use crate::StoreError;

/// Puts the text of its SID in the place of a participant's identity, whatever its state. Events and callbacks refer to
/// the row, so they tell it from now on.
pub(super) fn participant(db: &Connection, room_id: i64, participant: ParticipantSid) -> Result<(), StoreError> {
    let old: Option<String> = db
        .prepare_cached("SELECT identity FROM participants WHERE sid = ?1 AND room_id = ?2")?
        .query_row(params![participant.as_bytes(), room_id], |row| row.get(0))
        .optional()?;
    let old = old.ok_or_else(|| StoreError::refused("a participant was anonymized that never was in the room"))?;
    let new = participant.to_string();
    if old == new {
        return Ok(());
    }
    db.prepare_cached("UPDATE participants SET identity = ?3 WHERE sid = ?1 AND room_id = ?2")?
        .execute(params![participant.as_bytes(), room_id, new])
        .map_err(|error| match row::violated(&error) {
            Some("participants.room_id, participants.identity") => StoreError::DuplicateIdentity,
            _ => StoreError::from(error),
        })?;
    // Unless somebody who is there bears it: then rules that name it are about that one.
    db.prepare_cached(
        "UPDATE subscribe_rules INDEXED BY subscribe_rules_of_publisher SET publisher = ?3
         WHERE publisher = ?2 AND (SELECT room_id FROM participants WHERE id = participant_id) = ?1
             AND NOT EXISTS (SELECT 1 FROM participants INDEXED BY participants_live_identity
                 WHERE room_id = ?1 AND identity = ?2 AND ended_us IS NULL)",
    )?
    .execute(params![room_id, old, new])?;
    Ok(())
}

/// The same in a room that is completed; false if it is in progress.
pub(super) fn in_completed_room(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    participant: ParticipantSid,
) -> Result<bool, StoreError> {
    let found: Option<(i64, bool)> = db
        .prepare_cached(
            "SELECT r.id, r.ended_us IS NOT NULL FROM rooms AS r JOIN accounts AS a ON a.id = r.account_id
             WHERE r.sid = ?1 AND a.sid = ?2",
        )?
        .query_row(params![room.as_bytes(), account.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match found {
        None => Err(StoreError::refused("a participant of an unknown room was anonymized")),
        Some((_, false)) => Ok(false),
        Some((id, true)) => self::participant(db, id, participant).map(|()| true),
    }
}
