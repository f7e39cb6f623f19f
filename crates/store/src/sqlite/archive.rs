//! All rows of a database file to an archive, and from one into a file that is new.

use std::io::{BufRead, Write};
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use super::file::{look, schema_version};
use crate::StoreError;
use crate::archive::{
    ArchiveError, ArchiveReader, ArchiveWriter, Kind, Moved, Steps, Sum, Summing, TABLES, Table, Value, moved,
};

/// KiB of pages kept while rows come in.
const CACHE_KIB: i64 = 64 << 10;

/// Writes all rows, as of one moment, also while another process has the file open; how many they are.
pub(super) fn export(path: &Path, out: impl Write, progress: &mut dyn FnMut(u64, u64)) -> Result<u64, ArchiveError> {
    let db = look(path)?;
    let (found, known) = schema_version(&db)?;
    if found < known {
        return Err(StoreError::OlderSchema { found, known }.into());
    }
    let snapshot = db.unchecked_transaction().map_err(StoreError::from)?;
    if number(
        &snapshot,
        "SELECT (SELECT count(*) FROM account_secrets) + (SELECT count(*) FROM api_key_secrets)",
    )? > 0
    {
        return Err(ArchiveError::Unsealed);
    }
    let counts = TABLES
        .iter()
        .map(|table| count(&snapshot, table))
        .collect::<Result<Vec<u64>, _>>()?;
    let last_audit = number(
        &snapshot,
        "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'audit'",
    )?;
    let mut writer = ArchiveWriter::begin(out, &counts, last_audit)?;
    let mut steps = Steps::of(counts.iter().sum(), progress);
    for table in TABLES {
        each(&snapshot, table, &mut |row| {
            writer.row(table, &row)?;
            steps.step();
            Ok(())
        })?;
    }
    writer.finish()
}

/// Puts all rows into a database with the schema and nothing else, which nobody but this connection sees, and reads them
/// again. What is there after an error is of no use.
pub(super) fn import<R: BufRead>(
    db: &Connection,
    archive: &mut ArchiveReader<R>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Moved, ArchiveError> {
    let settings = format!(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -{CACHE_KIB};"
    );
    db.execute_batch(&settings).map_err(StoreError::from)?;
    // The account of rooms that are being forgotten comes with the others.
    db.execute_batch("BEGIN; DELETE FROM accounts;")
        .map_err(StoreError::from)?;
    let mut indexes = Vec::new();
    for table in TABLES {
        indexes.extend(drop_indexes(db, table.name)?);
    }
    let mut steps = Steps::of(archive.rows().saturating_mul(2), progress);
    let mut given = Vec::new();
    for (table, rows) in archive.tables() {
        let places: Vec<&str> = table.columns.iter().map(|_| "?").collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            table.name,
            table.names(),
            places.join(", ")
        );
        let mut insert = db.prepare(&sql).map_err(StoreError::from)?;
        let mut summing = Summing::new();
        for _ in 0..rows {
            let row = archive.row(table)?;
            insert.execute(params_from_iter(&row)).map_err(StoreError::from)?;
            summing.add(table, &row);
            steps.step();
        }
        given.push(summing.sum());
    }
    archive.finish()?;
    keep_numbers(db, archive.last_audit()).map_err(StoreError::from)?;
    let mut found = Vec::new();
    for table in TABLES {
        found.push(sum(db, table, &mut steps)?);
    }
    let moved = moved(&given, &found, 0)?;
    for sql in indexes.iter().map(String::as_str).chain(["COMMIT"]) {
        db.execute_batch(sql).map_err(StoreError::from)?;
    }
    Ok(moved)
}

/// The numbers that the audit log gave are not given again, though their lines were forgotten.
fn keep_numbers(db: &Connection, last_audit: i64) -> Result<(), rusqlite::Error> {
    let updated = db.execute(
        "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'audit'",
        [last_audit],
    )?;
    if updated == 0 && last_audit > 0 {
        db.execute(
            "INSERT INTO sqlite_sequence (name, seq) VALUES ('audit', ?1)",
            [last_audit],
        )?;
    }
    Ok(())
}

/// Drops the indexes of a table that no constraint needs; how they are made again, which sorts once instead of searching
/// for each row.
pub(super) fn drop_indexes(db: &Connection, table: &str) -> Result<Vec<String>, StoreError> {
    let indexes = db
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL")?
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, String)>, _>>()?;
    for (name, _) in &indexes {
        db.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    Ok(indexes.into_iter().map(|(_, sql)| sql).collect())
}

fn sum(db: &Connection, table: &Table, steps: &mut Steps<'_>) -> Result<Sum, ArchiveError> {
    let mut summing = Summing::new();
    each(db, table, &mut |row| {
        summing.add(table, &row);
        steps.step();
        Ok(())
    })?;
    Ok(summing.sum())
}

/// All rows of a table, in the order of its key.
fn each(
    db: &Connection,
    table: &Table,
    take: &mut dyn FnMut(Vec<Value>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let sql = table.all_rows();
    let mut query = db.prepare(&sql).map_err(StoreError::from)?;
    let mut rows = query.query([]).map_err(StoreError::from)?;
    while let Some(row) = rows.next().map_err(StoreError::from)? {
        take(read(table, row)?)?;
    }
    Ok(())
}

fn read(table: &Table, row: &Row<'_>) -> Result<Vec<Value>, StoreError> {
    let columns = table.columns.iter().enumerate();
    columns
        .map(|(place, column)| {
            let stored = row.get_ref(place)?;
            if stored == ValueRef::Null {
                return Ok(Value::Null);
            }
            Ok(match column.kind {
                Kind::Number | Kind::Reference(_) => Value::Number(row.get(place)?),
                Kind::Flag => Value::Flag(row.get(place)?),
                Kind::Text => Value::Text(row.get(place)?),
                Kind::Sid(_) => Value::Sid(row.get(place)?),
                Kind::Bytes => Value::Bytes(row.get(place)?),
            })
        })
        .collect()
}

fn count(db: &Connection, table: &Table) -> Result<u64, StoreError> {
    let rows = number(db, &format!("SELECT count(*) FROM {}", table.name))?;
    Ok(u64::try_from(rows).unwrap_or_default())
}

fn number(db: &Connection, sql: &str) -> Result<i64, StoreError> {
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Number(number) => ValueRef::Integer(*number),
            Self::Flag(flag) => ValueRef::Integer((*flag).into()),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Sid(sid) => ValueRef::Blob(sid),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::file::DatabaseFile;
    use super::*;

    /// What is not moved: what a health check counts, and what no server of today keeps.
    const LEFT: &[&str] = &["checks", "account_secrets", "api_key_secrets", "sqlite_sequence"];

    #[test]
    fn an_archive_has_every_column_of_the_schema() {
        let file = DatabaseFile::temporary().unwrap();
        let db = file.writer().unwrap();
        let sql = "SELECT t.name || '.' || c.name, c.pk FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
             WHERE t.schema = 'main' AND t.name <> 'sqlite_schema' ORDER BY 1";
        let mut query = db.prepare(sql).unwrap();
        let columns = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let columns: Vec<(String, i64)> = columns.map(Result::unwrap).collect();
        let is_left = |column: &str| LEFT.iter().any(|table| column.split('.').next() == Some(table));
        let stored: Vec<_> = columns.into_iter().filter(|(name, _)| !is_left(name)).collect();
        let mut moved: Vec<(String, i64)> = TABLES
            .iter()
            .flat_map(|table| {
                let columns = table.columns.iter().enumerate();
                columns.map(|(place, column)| {
                    let key = if place < table.key { place as i64 + 1 } else { 0 };
                    (format!("{}.{}", table.name, column.name), key)
                })
            })
            .collect();
        moved.sort();
        assert_eq!(moved, stored, "archive/table.rs and the migrations");
    }
}
