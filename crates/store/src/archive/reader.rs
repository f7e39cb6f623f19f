//! Reads an archive, line by line, and trusts none of them.

use std::io::{BufRead, Read};

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::Value as Json;

use super::line::{decode, told};
use super::table::{TABLES, Table, Value};
use super::{ArchiveError, VERSION};
use crate::limits::ARCHIVE_LINE_BYTES_MAX;

/// Reads the head, then rows, then the end.
pub struct ArchiveReader<R> {
    from: R,
    digest: Context,
    line: Vec<u8>,
    /// The number of the line that is at hand, from 1.
    number: u64,
    /// How many rows come of each of [`TABLES`].
    rows: Vec<u64>,
    last_audit: i64,
}

impl<R: BufRead> ArchiveReader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// [`ArchiveError::Foreign`] and [`ArchiveError::Newer`] if it is not for this program; all others if it is damaged.
    pub fn begin(from: R) -> Result<Self, ArchiveError> {
        let mut reader = Self {
            from,
            digest: Context::new(&SHA256),
            line: Vec::new(),
            number: 0,
            rows: Vec::new(),
            last_audit: 0,
        };
        match reader.read_line() {
            // What has no lines, or no end to its first, was never ours.
            Err(ArchiveError::CutShort { .. } | ArchiveError::Damaged { .. }) => return Err(ArchiveError::Foreign),
            other => other?,
        }
        let head: Json = serde_json::from_slice(&reader.line).map_err(|_| ArchiveError::Foreign)?;
        let found = head["rotunda_export"].as_u64().ok_or(ArchiveError::Foreign)?;
        if found > VERSION {
            let by = head["written_by"]
                .as_str()
                .unwrap_or("unknown")
                .chars()
                .take(40)
                .collect();
            return Err(ArchiveError::Newer { found, by });
        }
        (reader.rows, reader.last_audit) = expected(&head).map_err(|what| reader.damaged(what))?;
        reader.digest.update(&reader.line);
        Ok(reader)
    }

    /// Rows in all.
    pub fn rows(&self) -> u64 {
        self.rows.iter().fold(0, |sum, rows| sum.saturating_add(*rows))
    }

    /// The number that the audit log gave last.
    pub(crate) fn last_audit(&self) -> i64 {
        self.last_audit
    }

    /// The tables in their order, with how many rows come of each.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&'static Table, u64)> + use<R> {
        TABLES.iter().zip(self.rows.clone())
    }

    /// The next row, which is of this table.
    pub(crate) fn row(&mut self, table: &Table) -> Result<Vec<Value>, ArchiveError> {
        self.read_line()?;
        let values: Vec<Json> = match serde_json::from_slice(&self.line) {
            Ok(values) => values,
            Err(error) => return Err(self.damaged(format!("it is no row: {error}"))),
        };
        let row = match values.split_first() {
            Some((name, row)) if name.as_str() == Some(table.name) => row,
            _ => return Err(self.damaged(format!("a row of {} is expected", table.name))),
        };
        let row = decode(table, row).map_err(|what| self.damaged(what))?;
        self.digest.update(&self.line);
        Ok(row)
    }

    /// Reads the end, once all rows were read: whether all that was read is what was written.
    pub(crate) fn finish(&mut self) -> Result<(), ArchiveError> {
        self.read_line()?;
        let end: Json = serde_json::from_slice(&self.line).unwrap_or_default();
        if end["end"] != true || end["rows"].as_u64() != Some(self.rows()) {
            return Err(self.damaged("the end is expected".to_owned()));
        }
        if end["sha256"].as_str() != Some(&told(self.digest.clone())) {
            return Err(self.damaged("what is before it is not what was written: its SHA-256 is another".to_owned()));
        }
        match self.read_line() {
            Err(ArchiveError::CutShort { .. }) if self.line.is_empty() => Ok(()),
            Err(ArchiveError::Io(error)) => Err(error.into()),
            _ => Err(self.damaged("it goes on behind its end".to_owned())),
        }
    }

    fn read_line(&mut self) -> Result<(), ArchiveError> {
        self.line.clear();
        let most = ARCHIVE_LINE_BYTES_MAX as u64;
        self.from.by_ref().take(most).read_until(b'\n', &mut self.line)?;
        if self.line.last() == Some(&b'\n') {
            self.number += 1;
            return Ok(());
        }
        if self.line.len() < ARCHIVE_LINE_BYTES_MAX {
            return Err(ArchiveError::CutShort { line: self.number });
        }
        self.number += 1;
        Err(self.damaged(format!("it is longer than {ARCHIVE_LINE_BYTES_MAX} bytes")))
    }

    fn damaged(&self, what: String) -> ArchiveError {
        ArchiveError::Damaged {
            line: self.number,
            what,
        }
    }
}

/// How many rows the head tells of each table, and the audit log's last number; else what is wrong with it.
fn expected(head: &Json) -> Result<(Vec<u64>, i64), String> {
    let empty = Vec::new();
    let told = head["tables"].as_array().unwrap_or(&empty);
    if told.len() != TABLES.len() {
        return Err(format!("it tells of {} tables, not {}", told.len(), TABLES.len()));
    }
    let rows = TABLES.iter().zip(told).map(|(table, told)| {
        let columns = told["columns"].as_array().unwrap_or(&empty);
        let names = table.columns.iter().map(|column| column.name);
        if told["name"] != table.name || !columns.iter().map(Json::as_str).eq(names.map(Some)) {
            return Err(format!("the table {} is not told as it must be", table.name));
        }
        told["rows"]
            .as_u64()
            .ok_or_else(|| format!("it does not tell how many rows {} has", table.name))
    });
    let rows: Vec<u64> = rows.collect::<Result<_, _>>()?;
    let last = head["last_audit"].as_i64().filter(|last| *last >= 0);
    Ok((rows, last.ok_or("it does not tell the last number of the audit log")?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
