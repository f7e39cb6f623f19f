//! Reading columns as the types of the vocabulary, by name or, where many rows are read, by place:
//! a name is searched for in each row.

use room::Timestamp;
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Error, Result, Row, RowIndex};

/// A SID from its 16 bytes.
pub(super) fn sid<T>(row: &Row<'_>, column: impl RowIndex, make: fn([u8; 16]) -> T) -> Result<T> {
    Ok(make(row.get(column)?))
}

pub(super) fn time(row: &Row<'_>, column: impl RowIndex) -> Result<Timestamp> {
    Ok(Timestamp(row.get(column)?))
}

pub(super) fn time_or_null(row: &Row<'_>, column: impl RowIndex) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

/// A number that is never negative.
pub(super) fn count(row: &Row<'_>, column: impl RowIndex) -> Result<u64> {
    Ok(count_or_null(row, column)?.unwrap_or_default())
}

pub(super) fn count_or_null(row: &Row<'_>, column: impl RowIndex) -> Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or_default()))
}

/// A word of a closed set, by `from_word` of that set.
pub(super) fn word<T>(row: &Row<'_>, column: impl RowIndex, read: fn(&str) -> Option<T>) -> Result<T> {
    let index = column.idx(row.as_ref())?;
    let text = row.get_ref(index)?.as_str()?;
    read(text).ok_or_else(|| Error::FromSqlConversionFailure(index, Type::Text, Box::new(FromSqlError::InvalidType)))
}

/// A number as SQLite holds it; what does not fit is far beyond any duration and taken as the
/// largest.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The columns of the unique constraint that a statement violated, as SQLite names them:
/// `table.column, table.column`.
pub(super) fn violated(error: &Error) -> Option<&str> {
    match error {
        Error::SqliteFailure(failure, Some(text))
            if failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE =>
        {
            text.strip_prefix("UNIQUE constraint failed: ")
        }
        _ => None,
    }
}
