//! All rows of a database to an archive, and from one into a database that is empty: in one transaction, which is
//! committed once all of it was looked at again. So there is never half an import.

use std::io::{BufRead, Write};
use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::connection::{Connection, Connector};
use super::lock::Session;
use super::row::{self, Sid};
use super::{DatabaseUrl, account, check, look, owned, schema};
use crate::archive::{
    ArchiveError, ArchiveReader, ArchiveWriter, Kind, Moved, Steps, Sum, Summing, TABLES, Table, Value, moved,
};
use crate::{Account, ApiKey, CheckProgress, Findings, StoreError};

/// Rows of one COPY: PostgreSQL notes each of its rows in memory until its references are looked up, at its end.
const ROWS_PER_COPY: u64 = 100_000;

/// A command reads and writes files between two statements, and may wait for a person there.
const PATIENT: &str = "SET idle_in_transaction_session_timeout = 0";

/// Writes all rows, as of one moment, also while a server has the database; how many they are.
pub(super) async fn export(
    url: &DatabaseUrl,
    out: impl Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, ArchiveError> {
    let db = look(url).await?;
    db.command(PATIENT).await?;
    db.command("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut counts = Vec::new();
    for table in TABLES {
        counts.push(count(&db, table).await?);
    }
    let last = "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM audit_id_seq";
    let last: i64 = row::get(&db.query_one(last, &[]).await?, 0)?;
    let mut writer = ArchiveWriter::begin(out, &counts, last)?;
    let mut steps = Steps::of(counts.iter().sum(), progress);
    for table in TABLES {
        each(&db, table, &mut |row| {
            writer.row(table, &row)?;
            steps.step();
            Ok(())
        })
        .await?;
    }
    writer.finish()
}

/// Rows of an archive that are in the database for nobody else to see, until they are committed. Dropped, they are gone.
pub struct PostgresImport {
    session: Session,
    moved: Moved,
}

impl PostgresImport {
    /// Puts all rows into the database, which is empty, and reads them again. Makes the schema when it is missing. Keeps
    /// servers off as long as it lives. Tells how far it is, and how far it goes.
    ///
    /// # Errors
    /// [`ArchiveError::NotEmpty`]; [`StoreError::DatabaseInUse`] if a server has the database; those of the archive.
    pub async fn make<R: BufRead>(
        url: &DatabaseUrl,
        archive: &mut ArchiveReader<R>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, ArchiveError> {
        let session = owned(&Connector::new(url.clone())?).await?;
        let filled = async {
            let db = &session.db;
            schema::migrate(db).await?;
            db.command(PATIENT).await?;
            empty(db).await?;
            fill(db, archive, progress).await
        };
        match filled.await {
            Ok(moved) => Ok(Self { session, moved }),
            Err(error) => {
                // Where it fails the connection is broken, and all is undone by its end.
                session.db.command("ROLLBACK").await.ok();
                session.give_back().await;
                Err(error)
            }
        }
    }

    /// What was moved.
    pub fn moved(&self) -> Moved {
        self.moved
    }

    /// All accounts and all keys that came, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn credentials(&self) -> Result<(Vec<Account>, Vec<ApiKey>), StoreError> {
        let db = &self.session.db;
        Ok((account::all(db).await?, account::all_keys(db).await?))
    }

    /// Checks the invariants of what came, as [`super::PostgresStore::check_database`] does.
    ///
    /// # Errors
    /// The database failed.
    pub async fn check(&self, progress: &mut dyn FnMut(CheckProgress)) -> Result<Findings, StoreError> {
        check::rows(&self.session.db, progress).await
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// The database failed. Whether the rows are there is not known only if the connection broke: then the next import
    /// finds out, since it needs an empty database.
    pub async fn commit(self) -> Result<(), StoreError> {
        let committed = self.session.db.command("COMMIT").await;
        self.session.give_back().await;
        committed
    }
}

/// Fails unless there is nothing but what the schema brings along.
async fn empty(db: &Connection) -> Result<(), ArchiveError> {
    for table in TABLES {
        let ours = match table.name {
            "accounts" => "WHERE sid <> encode('nobody''s account', 'hex')::uuid",
            _ => "",
        };
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {} {ours})", table.name);
        if row::get::<bool>(&db.query_one(&sql, &[]).await?, 0)? {
            return Err(ArchiveError::NotEmpty { table: table.name });
        }
    }
    Ok(())
}

/// Begins the transaction, and leaves it open.
async fn fill<R: BufRead>(
    db: &Connection,
    archive: &mut ArchiveReader<R>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Moved, ArchiveError> {
    let mut steps = Steps::of(archive.rows().saturating_mul(2), progress);
    // The account of rooms that are being forgotten comes with the others.
    db.command("BEGIN; DELETE FROM accounts").await?;
    let indexes = drop_indexes(db).await?;
    let (mut given, mut changed) = (Vec::new(), 0);
    for (table, rows) in archive.tables() {
        let mut summing = Summing::new();
        let mut left = rows;
        while left > 0 {
            let some = left.min(ROWS_PER_COPY);
            let mut copy = pin!(copy_in(db, table).await?);
            for _ in 0..some {
                let mut row = archive.row(table)?;
                changed += u64::from(held(&mut row));
                write(copy.as_mut(), &row).await?;
                summing.add(table, &row);
                steps.step();
            }
            copy.finish().await.map_err(StoreError::from)?;
            left -= some;
        }
        if table.is_numbered() {
            let sql = format!(
                "SELECT setval('{0}_id_seq', max(id)) FROM {0} HAVING max(id) IS NOT NULL",
                table.name
            );
            db.query(&sql, &[]).await?;
        }
        given.push(summing.sum());
    }
    archive.finish()?;
    // The numbers that the audit log gave are not given again, though their lines were forgotten.
    let last_audit = archive.last_audit();
    if last_audit > 0 {
        let sql = "SELECT setval('audit_id_seq', greatest($1, (SELECT max(id) FROM audit)))";
        db.query(sql, &[&last_audit]).await?;
    }
    let mut found = Vec::new();
    for table in TABLES {
        found.push(sum(db, table, &mut steps).await?);
    }
    let moved = moved(&given, &found, changed)?;
    for sql in &indexes {
        db.command(sql).await?;
    }
    // The check, and the first minutes of a server, are quicker when the database knows what it holds.
    analyze(db).await?;
    Ok(moved)
}

/// Has the database look at what its tables hold. Not at all tables there are: those that all databases of a server share are
/// locked meanwhile, and whoever else does the like waits, or fails.
pub(super) async fn analyze(db: &Connection) -> Result<(), StoreError> {
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    db.command(&format!("ANALYZE {}", names.join(", "))).await
}

/// Drops the indexes that no constraint needs; how they are made again, which sorts once instead of searching for each
/// row.
async fn drop_indexes(db: &Connection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT indexname::text, indexdef FROM pg_indexes
         WHERE schemaname = current_schema() AND tablename = ANY ($1)
             AND NOT EXISTS (SELECT 1 FROM pg_constraint AS c WHERE c.conname = indexname
                 AND c.connamespace = current_schema()::regnamespace)";
    let tables: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    let mut made = Vec::new();
    for row in db.query(sql, &[&tables]).await? {
        db.command(&format!("DROP INDEX {}", row::get::<&str>(&row, 0)?))
            .await?;
        made.push(row::get(&row, 1)?);
    }
    Ok(made)
}

/// A COPY of rows into a table.
pub(super) async fn copy_in(db: &Connection, table: &Table) -> Result<BinaryCopyInWriter, StoreError> {
    let types: Vec<Type> = table.columns.iter().map(|column| of(column.kind)).collect();
    let sql = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, table.names());
    Ok(BinaryCopyInWriter::new(db.copy_in(&sql).await?, &types))
}

/// Sends a row.
pub(super) async fn write(copy: std::pin::Pin<&mut BinaryCopyInWriter>, row: &[Value]) -> Result<(), StoreError> {
    let values: Vec<Stored<'_>> = row.iter().map(Stored).collect();
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
    Ok(copy.write(&values).await?)
}

/// Makes texts as the database can hold them; whether one was not.
fn held(row: &mut [Value]) -> bool {
    let mut is_changed = false;
    for value in row {
        if let Value::Text(text) = value
            && let std::borrow::Cow::Owned(other) = row::text(text)
        {
            *text = other;
            is_changed = true;
        }
    }
    is_changed
}

async fn sum(db: &Connection, table: &Table, steps: &mut Steps<'_>) -> Result<Sum, ArchiveError> {
    let mut summing = Summing::new();
    each(db, table, &mut |row| {
        summing.add(table, &row);
        steps.step();
        Ok(())
    })
    .await?;
    Ok(summing.sum())
}

/// All rows of a table, in the order of its key.
async fn each(
    db: &Connection,
    table: &Table,
    take: &mut dyn FnMut(Vec<Value>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let sql = table.all_rows();
    let mut rows = pin!(db.stream(&sql).await?);
    while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
        take(read(table, &row)?)?;
    }
    Ok(())
}

fn read(table: &Table, row: &Row) -> Result<Vec<Value>, StoreError> {
    let columns = table.columns.iter().enumerate();
    columns
        .map(|(place, column)| {
            let value = match column.kind {
                Kind::Number | Kind::Reference(_) => row::get::<Option<i64>>(row, place)?.map(Value::Number),
                Kind::Flag => row::get::<Option<bool>>(row, place)?.map(Value::Flag),
                Kind::Text => row::get::<Option<String>>(row, place)?.map(Value::Text),
                Kind::Sid(_) => row::get::<Option<Sid>>(row, place)?.map(|sid| Value::Sid(sid.0)),
                Kind::Bytes => row::get::<Option<Vec<u8>>>(row, place)?.map(Value::Bytes),
            };
            Ok(value.unwrap_or(Value::Null))
        })
        .collect()
}

async fn count(db: &Connection, table: &Table) -> Result<u64, StoreError> {
    let row = db
        .query_one(&format!("SELECT count(*) FROM {}", table.name), &[])
        .await?;
    row::count(&row, 0)
}

fn of(kind: Kind) -> Type {
    match kind {
        Kind::Number | Kind::Reference(_) => Type::INT8,
        Kind::Flag => Type::BOOL,
        Kind::Text => Type::TEXT,
        Kind::Sid(_) => Type::UUID,
        Kind::Bytes => Type::BYTEA,
    }
}

/// A value as it is sent; its column's type is the one of its kind.
#[derive(Debug)]
struct Stored<'a>(&'a Value);

impl ToSql for Stored<'_> {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self.0 {
            Value::Null => Ok(tokio_postgres::types::IsNull::Yes),
            Value::Number(number) => number.to_sql(of, out),
            Value::Flag(flag) => flag.to_sql(of, out),
            Value::Text(text) => text.to_sql(of, out),
            Value::Sid(sid) => Sid(*sid).to_sql(of, out),
            Value::Bytes(bytes) => bytes.to_sql(of, out),
        }
    }

    fn accepts(of: &Type) -> bool {
        [Type::INT8, Type::BOOL, Type::TEXT, Type::UUID, Type::BYTEA].contains(of)
    }

    tokio_postgres::types::to_sql_checked!();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use testkit::postgres::PostgresServer;

    use super::*;

    #[tokio::test]
    async fn an_archive_has_every_column_of_the_schema_in_postgres() {
        let url = PostgresServer::shared().database().parse().unwrap();
        let db = Connector::new(url).unwrap().connect().await.unwrap();
        schema::migrate(&db).await.unwrap();
        let sql = "SELECT table_name || '.' || column_name, udt_name::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name NOT IN ('checks', 'rotunda_schema')
                 AND is_generated = 'NEVER' ORDER BY 1";
        let mut stored: Vec<(String, String)> = Vec::new();
        db.command("SET enable_sort = on").await.unwrap();
        for row in db.query(sql, &[]).await.unwrap() {
            stored.push((row.get(0), row.get(1)));
        }
        stored.sort();
        let mut moved: Vec<(String, String)> = TABLES
            .iter()
            .flat_map(|table| {
                let columns = table.columns.iter();
                columns.map(|column| {
                    (
                        format!("{}.{}", table.name, column.name),
                        of(column.kind).name().to_owned(),
                    )
                })
            })
            .collect();
        moved.sort();
        assert_eq!(moved, stored, "archive/table.rs and the migrations");
    }
}
