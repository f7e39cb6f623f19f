//! The audit log: appending with the change that it tells of, reading, and carrying over to a restored database.

use room::{AccountSid, ApiKeySid, ParticipantSid, RoomSid};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row;
use crate::{Audit, AuditFilter, AuditRow, StoreError, limits};

const INSERT: &str = "INSERT INTO audit
    (id, at_us, account, credential, method, operation, room, participant, api_key, status, remote, request_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

pub(super) fn append(db: &Connection, audit: &Audit) -> Result<(), StoreError> {
    insert(db, None, audit)?;
    Ok(())
}

fn insert(db: &Connection, id: Option<i64>, audit: &Audit) -> rusqlite::Result<()> {
    let cut = |text: &str| text.chars().take(limits::AUDIT_TEXT_CHARS).collect::<String>();
    db.prepare_cached(INSERT)?.execute(params![
        id,
        audit.at.0,
        audit.account.map(|sid| *sid.as_bytes()),
        cut(&audit.credential),
        audit.method.as_deref().map(cut),
        cut(&audit.operation),
        audit.room.map(|sid| *sid.as_bytes()),
        audit.participant.map(|sid| *sid.as_bytes()),
        audit.api_key.map(|sid| *sid.as_bytes()),
        audit.status,
        audit.remote.as_deref().map(cut),
        audit.request_id.as_deref().map(cut),
    ])?;
    Ok(())
}

/// At most `limit` lines behind the one of this number, oldest first.
pub(super) fn list(db: &Connection, filter: AuditFilter, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
    let source = match filter.room {
        Some(_) => "audit INDEXED BY audit_of_room WHERE room = ?1 AND",
        None => "audit WHERE ?1 IS NULL AND",
    };
    let sql = format!("SELECT * FROM {source} id > ?2 AND at_us >= ?3 ORDER BY id LIMIT ?4");
    let since = filter.since.map_or(i64::MIN, |since| since.0);
    let rows = db
        .prepare_cached(&sql)?
        .query_map(
            params![
                filter.room.map(|sid| *sid.as_bytes()),
                after,
                since,
                limit.clamp(1, limits::AUDIT_ROWS_MAX)
            ],
            read,
        )?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Adds the lines that came after the last one of `to`, if both are databases of one installation.
pub(super) fn carry_over(from: &Connection, to: &Connection) -> Result<(), StoreError> {
    let installation = |db: &Connection| {
        db.query_row("SELECT value FROM secrets WHERE name = 'page_token'", [], |row| {
            row.get::<_, [u8; 32]>(0)
        })
        .optional()
    };
    if installation(from)? != installation(to)? {
        return Ok(());
    }
    let last: i64 = to.query_row("SELECT ifnull(max(id), 0) FROM audit", [], |row| row.get(0))?;
    let mut query = from.prepare("SELECT * FROM audit WHERE id > ?1 ORDER BY id")?;
    let mut rows = query.query([last])?;
    while let Some(row) = rows.next()? {
        let AuditRow { id, audit } = read(row)?;
        insert(to, Some(id), &audit)?;
    }
    Ok(())
}

/// Deletes the oldest lines; how many.
pub(super) fn forget(db: &Connection, before_us: i64, limit: i64) -> Result<usize, StoreError> {
    let deleted = db
        .prepare_cached(
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit INDEXED BY audit_by_time
                 WHERE at_us < ?1 ORDER BY at_us, id LIMIT ?2)",
        )?
        .execute([before_us, limit])?;
    Ok(deleted)
}

fn read(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let sid = |column: &str| row.get::<_, Option<[u8; 16]>>(column);
    Ok(AuditRow {
        id: row.get("id")?,
        audit: Audit {
            at: row::time(row, "at_us")?,
            account: sid("account")?.map(AccountSid::from_bytes),
            credential: row.get("credential")?,
            method: row.get("method")?,
            operation: row.get("operation")?,
            room: sid("room")?.map(RoomSid::from_bytes),
            participant: sid("participant")?.map(ParticipantSid::from_bytes),
            api_key: sid("api_key")?.map(ApiKeySid::from_bytes),
            status: row.get("status")?,
            remote: row.get("remote")?,
            request_id: row.get("request_id")?,
        },
    })
}
