//! Reading columns as the types of the vocabulary, and SIDs as the uuids that the database keeps.

use bytes::BytesMut;
use room::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::row::RowIndex;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::StoreError;

/// The 16 bytes of a SID, which the database has as a uuid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sid(pub(super) [u8; 16]);

type Fault = Box<dyn std::error::Error + Sync + Send>;

impl ToSql for Sid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Sid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }
}

/// A column as it is.
pub(super) fn get<'a, T: FromSql<'a>>(
    row: &'a Row,
    column: impl RowIndex + std::fmt::Display,
) -> Result<T, StoreError> {
    row.try_get(column).map_err(StoreError::backend)
}

/// A SID from its uuid.
pub(super) fn sid<T>(
    row: &Row,
    column: impl RowIndex + std::fmt::Display,
    make: fn([u8; 16]) -> T,
) -> Result<T, StoreError> {
    Ok(make(get::<Sid>(row, column)?.0))
}

pub(super) fn sid_or_null<T>(
    row: &Row,
    column: impl RowIndex + std::fmt::Display,
    make: fn([u8; 16]) -> T,
) -> Result<Option<T>, StoreError> {
    Ok(get::<Option<Sid>>(row, column)?.map(|sid| make(sid.0)))
}

pub(super) fn time(row: &Row, column: impl RowIndex + std::fmt::Display) -> Result<Timestamp, StoreError> {
    Ok(Timestamp(get(row, column)?))
}

pub(super) fn time_or_null(
    row: &Row,
    column: impl RowIndex + std::fmt::Display,
) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp))
}

/// A number that is never negative.
pub(super) fn count(row: &Row, column: impl RowIndex + std::fmt::Display) -> Result<u64, StoreError> {
    Ok(count_or_null(row, column)?.unwrap_or_default())
}

pub(super) fn count_or_null(row: &Row, column: impl RowIndex + std::fmt::Display) -> Result<Option<u64>, StoreError> {
    let number: Option<i64> = get(row, column)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or_default()))
}

/// A number that fits 32 bits.
pub(super) fn small(row: &Row, column: impl RowIndex + std::fmt::Display) -> Result<u32, StoreError> {
    u32::try_from(get::<i64>(row, column)?).map_err(StoreError::backend)
}

/// A word of a closed set, by `from_word` of that set.
pub(super) fn word<T>(
    row: &Row,
    column: impl RowIndex + std::fmt::Display,
    read: fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    read(get(row, column)?).ok_or_else(unknown_word)
}

pub(super) fn word_or_null<T>(
    row: &Row,
    column: impl RowIndex + std::fmt::Display,
    read: fn(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let word: Option<&str> = get(row, column)?;
    word.map(|word| read(word).ok_or_else(unknown_word)).transpose()
}

fn unknown_word() -> StoreError {
    StoreError::refused("a word in the database is not of its set")
}

/// A number as the database holds it; what does not fit is far beyond any duration and taken as the
/// largest.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A text as the database can hold it: it has no NUL.
pub(super) fn text(text: &str) -> std::borrow::Cow<'_, str> {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}").into(),
        false => text.into(),
    }
}

/// As [`text`], cut to so many characters.
pub(super) fn cut(long: &str, characters: usize) -> String {
    text(long).chars().take(characters).collect()
}
