//! Writes an archive, line by line.

use std::io::Write;

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::json;

use super::line::{encode, told};
use super::table::{TABLES, Table, Value};
use super::{ArchiveError, VERSION};

/// Writes the head, then rows, then the end. What is written without an end is no archive.
pub(crate) struct ArchiveWriter<W> {
    out: W,
    digest: Context,
    rows: u64,
    line: String,
}

impl<W: Write> ArchiveWriter<W> {
    /// Writes the head: how many rows come of each of [`TABLES`], and the number that the audit log gave last.
    pub(crate) fn begin(out: W, rows: &[u64], last_audit: i64) -> Result<Self, ArchiveError> {
        let tables: Vec<_> = TABLES
            .iter()
            .zip(rows)
            .map(|(table, rows)| {
                let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
                json!({ "name": table.name, "columns": columns, "rows": rows })
            })
            .collect();
        let head = json!({
            "rotunda_export": VERSION,
            "written_by": env!("CARGO_PKG_VERSION"),
            "last_audit": last_audit,
            "tables": tables,
        });
        let mut writer = Self {
            out,
            digest: Context::new(&SHA256),
            rows: 0,
            line: format!("{head}\n"),
        };
        writer.flush_line()?;
        Ok(writer)
    }

    pub(crate) fn row(&mut self, table: &Table, row: &[Value]) -> Result<(), ArchiveError> {
        self.line.clear();
        encode(table, row, &mut self.line);
        self.rows += 1;
        self.flush_line()
    }

    /// Writes the end; how many rows there were.
    pub(crate) fn finish(mut self) -> Result<u64, ArchiveError> {
        let end = json!({ "end": true, "rows": self.rows, "sha256": told(self.digest) });
        writeln!(self.out, "{end}")?;
        self.out.flush()?;
        Ok(self.rows)
    }

    fn flush_line(&mut self) -> Result<(), ArchiveError> {
        self.digest.update(self.line.as_bytes());
        Ok(self.out.write_all(self.line.as_bytes())?)
    }
}
