use std::io::{self, BufReader};

use super::super::ArchiveWriter;
use super::*;

/// An archive of two accounts' worth of secrets: the smallest table.
fn archive() -> Vec<u8> {
    let rows: Vec<u64> = TABLES
        .iter()
        .map(|table| if table.name == "secrets" { 2 } else { 0 })
        .collect();
    let mut out = Vec::new();
    let mut writer = ArchiveWriter::begin(&mut out, &rows, 7).unwrap();
    for name in ["one", "two"] {
        let row = [Value::Text(name.to_owned()), Value::Bytes(vec![1, 2])];
        writer.row(secrets(), &row).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), 2);
    out
}

fn secrets() -> &'static Table {
    TABLES.iter().find(|table| table.name == "secrets").unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Vec<Value>>, ArchiveError> {
    let mut reader = ArchiveReader::begin(bytes)?;
    let mut rows = Vec::new();
    for (table, count) in reader.tables() {
        for _ in 0..count {
            rows.push(reader.row(table)?);
        }
    }
    reader.finish()?;
    Ok(rows)
}

fn said(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn what_was_written_is_read() {
    let rows = read(&archive()).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1], [Value::Text("two".to_owned()), Value::Bytes(vec![1, 2])]);
    let whole = archive();
    let reader = ArchiveReader::begin(&*whole).unwrap();
    assert_eq!((reader.rows(), reader.last_audit()), (2, 7));
    assert_eq!(archive(), archive(), "the same rows make the same bytes");
}

#[test]
fn every_archive_that_is_cut_short_is_refused() {
    let whole = archive();
    for len in 0..whole.len() {
        let said = said(&whole[..len]);
        assert!(
            said.starts_with("it is cut short: line ") || said == "it is no export of Rotunda",
            "{len}: {said}"
        );
    }
}

#[test]
fn every_byte_that_is_another_is_noticed() {
    let whole = archive();
    for place in 0..whole.len() {
        for other in [b' ', b'0', b'"', b'\n', 0xff] {
            let mut bytes = whole.clone();
            if std::mem::replace(&mut bytes[place], other) == other {
                continue;
            }
            assert!(read(&bytes).is_err(), "{place} {other}");
        }
    }
}

#[test]
fn what_is_no_archive_is_told_from_one_that_is_damaged() {
    for foreign in [
        &b""[..],
        b"SQLite format 3\0",
        b"hello\n",
        b"{}\n",
        b"[1]\n",
        b"{\"rotunda_export\":\"1\"}\n",
        &[b'x'; 3 << 20],
    ] {
        assert_eq!(said(foreign), "it is no export of Rotunda");
    }
    let newer = b"{\"rotunda_export\":2,\"written_by\":\"9.1.0\"}\n";
    assert_eq!(
        said(newer),
        "it has version 2 of the format, this program knows up to 1: use the program that wrote it, 9.1.0, or a newer one"
    );
    let text = String::from_utf8(archive()).unwrap();
    for (from, to, expected) in [
        (
            "\"two\"",
            "\"tw0\"",
            "it is damaged: line 4: what is before it is not what was written: its SHA-256 is another",
        ),
        (
            "[\"secrets\",\"two\"",
            "[\"rooms\",\"two\"",
            "it is damaged: line 3: a row of secrets is expected",
        ),
        (
            "\"0102\"]\n{",
            "\"0102\",3]\n{",
            "it is damaged: line 3: a row of secrets has 2 values, not 3",
        ),
        (
            "\"name\":\"secrets\",\"rows\":2",
            "\"name\":\"secrets\",\"rows\":1",
            "it is damaged: line 3: the end is expected",
        ),
        (
            "\"columns\":[\"name\",\"value\"]",
            "\"columns\":[\"name\"]",
            "it is damaged: line 1: the table secrets is not told as it must be",
        ),
        (
            "\"last_audit\":7",
            "\"last_audit\":-7",
            "it is damaged: line 1: it does not tell the last number of the audit log",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(said(text.replace(from, to).as_bytes()), expected);
    }
    assert_eq!(
        said(format!("{text}\n").as_bytes()),
        "it is damaged: line 5: it goes on behind its end"
    );
    assert_eq!(
        said(format!("{text}x").as_bytes()),
        "it is damaged: line 4: it goes on behind its end"
    );
}

#[test]
fn a_line_without_an_end_is_not_kept_in_memory() {
    let head: Vec<u8> = archive()
        .split_inclusive(|byte| *byte == b'\n')
        .next()
        .unwrap()
        .to_vec();
    let endless = (&head[..]).chain(BufReader::new(io::repeat(b'x')));
    let mut reader = ArchiveReader::begin(endless).unwrap();
    let said = reader.row(secrets()).unwrap_err().to_string();
    assert_eq!(said, "it is damaged: line 2: it is longer than 1048576 bytes");
    assert!(reader.line.capacity() <= 2 * ARCHIVE_LINE_BYTES_MAX);
}
