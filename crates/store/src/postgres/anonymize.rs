//! Erasing an identity: from the columns where it stands, then from the old versions of their rows.
//!
//! `VACUUM` takes the old versions out of the table and out of its indexes, so that no statement and no tool that reads
//! rows finds them. What it cannot do: bytes in the free space of pages stay until they are written over, and so do
//! separators in an index and what the write-ahead log, its archive, replicas and backups have. `docs/compatibility.md` says so to users.

use room::{AccountSid, ParticipantSid, RoomSid};
use tokio::time::Instant;

use super::connection::{Connection, Connector};
use super::outage::violated;
use super::row::{self, Sid};
use crate::{Outage, StoreError, limits};

/// Puts the text of its SID in the place of a participant's identity, whatever its state. Events and callbacks refer to
/// the row, so they tell it from now on. The room's row is locked.
pub(super) async fn participant(db: &Connection, room_id: i64, participant: ParticipantSid) -> Result<(), StoreError> {
    let sid = Sid(*participant.as_bytes());
    let found = db
        .query_opt(
            "SELECT identity FROM participants WHERE sid = $1 AND room_id = $2",
            &[&sid, &room_id],
        )
        .await?
        .ok_or_else(|| StoreError::refused("a participant was anonymized that never was in the room"))?;
    let (old, new): (String, String) = (row::get(&found, 0)?, participant.to_string());
    if old == new {
        return Ok(());
    }
    db.execute(
        "UPDATE participants SET identity = $3 WHERE sid = $1 AND room_id = $2",
        &[&sid, &room_id, &new],
    )
    .await
    .map_err(|error| match violated(&error) {
        Some("participants_live_identity") => StoreError::DuplicateIdentity,
        _ => error,
    })?;
    // Unless somebody who is there bears it: then rules that name it are about that one.
    db.execute(
        "UPDATE subscribe_rules SET publisher = $3
         WHERE publisher = $2 AND (SELECT p.room_id FROM participants AS p WHERE p.id = participant_id) = $1
             AND NOT EXISTS (SELECT 1 FROM participants WHERE room_id = $1 AND identity = $2 AND ended_us IS NULL)",
        &[&room_id, &old, &new],
    )
    .await?;
    Ok(())
}

/// The same in a room that is completed; false if it is in progress.
pub(super) async fn in_completed_room(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    participant: ParticipantSid,
) -> Result<bool, StoreError> {
    // Locked, so that it is not forgotten meanwhile.
    let found = db
        .query_opt(
            "SELECT id, ended_us IS NOT NULL FROM rooms
             WHERE sid = $1 AND account_id = (SELECT id FROM accounts WHERE sid = $2) FOR NO KEY UPDATE",
            &[&Sid(*room.as_bytes()), &Sid(*account.as_bytes())],
        )
        .await?
        .ok_or_else(|| StoreError::refused("a participant of an unknown room was anonymized"))?;
    if !row::get::<bool>(&found, 1)? {
        return Ok(false);
    }
    self::participant(db, row::get(&found, 0)?, participant).await?;
    Ok(true)
}

/// Takes old versions of rows that have identities out of the tables, once nobody reads an older state. Other writes go
/// on meanwhile.
pub(super) async fn expunge(connector: &Connector) -> Result<(), StoreError> {
    let db = connector.connect().await?;
    let number = db.query_one("SELECT pg_current_xact_id()::text", &[]).await?;
    let number: String = row::get(&number, 0)?;
    let deadline = Instant::now() + limits::EXPUNGE_WAIT;
    while is_seen(&db, &number).await? {
        if Instant::now() >= deadline {
            return Err(StoreError::Unavailable {
                outage: Outage::Locked,
                source: "somebody reads an older state of the database".into(),
            });
        }
        tokio::time::sleep(limits::EXPUNGE_PAUSE).await;
    }
    // Without the option it leaves alone the entries of an index if they are few.
    db.command("VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) participants, subscribe_rules")
        .await
}

/// Whether a session may still look at versions of rows from before the transaction of this number.
async fn is_seen(db: &Connection, number: &str) -> Result<bool, StoreError> {
    let row = db
        .query_one(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                     AND greatest(age(backend_xmin), age(backend_xid)) > age($1::text::xid8::xid))",
            &[&number],
        )
        .await?;
    row::get(&row, 0)
}
