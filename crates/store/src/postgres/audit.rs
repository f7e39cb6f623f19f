//! The audit log: appending with the change that it tells of, and reading.
//!
//! Transactions end in another order than their lines got their numbers. A reader who remembers the last line would miss
//! those that come to light behind it: so it waits for whoever is about to append, and for a moment they wait for it.

use room::{AccountSid, ApiKeySid, ParticipantSid, RoomSid};
use tokio_postgres::Row;

use super::connection::Connection;
use super::row::{self, Sid};
use crate::{Audit, AuditFilter, AuditRow, StoreError, limits};

/// The number of the lock between those who append and those who read: "audit".
const KEY: i64 = 0x61_7564_6974;

const INSERT: &str = "INSERT INTO audit
    (at_us, account, credential, method, operation, room, participant, status, remote, request_id, api_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

pub(super) async fn append(db: &Connection, audit: &Audit) -> Result<(), StoreError> {
    let cut = |text: &String| row::cut(text, limits::AUDIT_TEXT_CHARS);
    db.query("SELECT pg_advisory_xact_lock_shared($1)", &[&KEY]).await?;
    db.execute(
        INSERT,
        &[
            &audit.at.0,
            &audit.account.map(|sid| Sid(*sid.as_bytes())),
            &cut(&audit.credential),
            &audit.method.as_ref().map(cut),
            &cut(&audit.operation),
            &audit.room.map(|sid| Sid(*sid.as_bytes())),
            &audit.participant.map(|sid| Sid(*sid.as_bytes())),
            &audit.status.map(i64::from),
            &audit.remote.as_ref().map(cut),
            &audit.request_id.as_ref().map(cut),
            &audit.api_key.map(|sid| Sid(*sid.as_bytes())),
        ],
    )
    .await?;
    Ok(())
}

/// At most `limit` lines behind the one of this number, oldest first. Outside of any transaction.
pub(super) async fn list(
    db: &Connection,
    filter: AuditFilter,
    after: i64,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    db.begin_read("");
    db.query("SELECT pg_advisory_xact_lock($1)", &[&KEY]).await?;
    let matching = match filter.room {
        Some(_) => "room = $1 AND",
        None => "$1::uuid IS NULL AND",
    };
    let sql = format!("SELECT * FROM audit WHERE {matching} id > $2 AND at_us >= $3 ORDER BY id LIMIT $4");
    let since = filter.since.map_or(i64::MIN, |since| since.0);
    let rows = db
        .query(
            &sql,
            &[
                &filter.room.map(|sid| Sid(*sid.as_bytes())),
                &after,
                &since,
                &i64::from(limit.clamp(1, limits::AUDIT_ROWS_MAX)),
            ],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// Deletes the oldest lines; how many.
pub(super) async fn forget(db: &Connection, before_us: i64, limit: i64) -> Result<u64, StoreError> {
    db.execute(
        "DELETE FROM audit WHERE id = ANY (ARRAY(SELECT id FROM audit WHERE at_us < $1 ORDER BY at_us, id LIMIT $2))",
        &[&before_us, &limit],
    )
    .await
}

fn read(row: &Row) -> Result<AuditRow, StoreError> {
    let status: Option<i64> = row::get(row, "status")?;
    Ok(AuditRow {
        id: row::get(row, "id")?,
        audit: Audit {
            at: row::time(row, "at_us")?,
            account: row::sid_or_null(row, "account", AccountSid::from_bytes)?,
            credential: row::get(row, "credential")?,
            method: row::get(row, "method")?,
            operation: row::get(row, "operation")?,
            room: row::sid_or_null(row, "room", RoomSid::from_bytes)?,
            participant: row::sid_or_null(row, "participant", ParticipantSid::from_bytes)?,
            api_key: row::sid_or_null(row, "api_key", ApiKeySid::from_bytes)?,
            status: status.and_then(|status| u16::try_from(status).ok()),
            remote: row::get(row, "remote")?,
            request_id: row::get(row, "request_id")?,
        },
    })
}
