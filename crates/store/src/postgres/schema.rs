//! The schema: its steps, and the number of the last one that a database has.

use super::connection::Connection;
use super::row;
use crate::StoreError;

/// The steps of the schema, oldest first (`migrations/README.md`).
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_room_semantics.sql"),
    include_str!("migrations/0003_subscribe_rules.sql"),
    include_str!("migrations/0004_callbacks.sql"),
    include_str!("migrations/0005_credentials.sql"),
];

/// The version of the schema in the database and the one of this program, which is not lower.
pub(super) async fn version(db: &Connection) -> Result<(u32, u32), StoreError> {
    let known = MIGRATIONS.len() as u32;
    let is_there = db
        .query_one("SELECT to_regclass('rotunda_schema') IS NOT NULL", &[])
        .await?;
    if !row::get::<bool>(&is_there, 0)? {
        return Ok((0, known));
    }
    let found = db
        .query_one("SELECT coalesce(max(version), 0)::bigint FROM rotunda_schema", &[])
        .await?;
    let found = row::small(&found, 0)?;
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    Ok((found, known))
}

/// Brings the schema up to date, on the connection that holds the lock: so it happens once. From and to which version.
pub(super) async fn migrate(db: &Connection) -> Result<(u32, u32), StoreError> {
    let (found, known) = version(db).await?;
    if found == 0 {
        db.command("CREATE TABLE IF NOT EXISTS rotunda_schema (version bigint NOT NULL)")
            .await?;
    }
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        let version = step + 1;
        db.command(&format!(
            "BEGIN; {sql}; INSERT INTO rotunda_schema (version) VALUES ({version}); COMMIT;"
        ))
        .await?;
        tracing::debug!(version, "the schema was brought up to date");
    }
    Ok((found, known))
}
