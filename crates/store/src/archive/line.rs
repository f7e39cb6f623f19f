//! A row as a line of an archive: a JSON array of the table's name and the row's values, always written the same way.

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::Value as Json;

use super::table::{Kind, Table, Value};

/// Appends the row's line, with its end.
pub(crate) fn encode(table: &Table, row: &[Value], out: &mut String) {
    out.push('[');
    text(table.name, out);
    for (column, value) in table.columns.iter().zip(row) {
        out.push(',');
        match value {
            Value::Null => out.push_str("null"),
            Value::Number(number) => out.push_str(&number.to_string()),
            Value::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Value::Text(content) => text(content, out),
            Value::Sid(sid) => {
                let letters = match column.kind {
                    Kind::Sid(letters) => letters,
                    _ => "",
                };
                out.push('"');
                out.push_str(letters);
                hex(sid, out);
                out.push('"');
            }
            Value::Bytes(bytes) => {
                out.push('"');
                hex(bytes, out);
                out.push('"');
            }
        }
    }
    out.push_str("]\n");
}

fn text(content: &str, out: &mut String) {
    out.push_str(&Json::from(content).to_string());
}

fn hex(bytes: &[u8], out: &mut String) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// The row that an array holds behind the table's name; else what is wrong with it.
pub(crate) fn decode(table: &Table, values: &[Json]) -> Result<Vec<Value>, String> {
    if values.len() != table.columns.len() {
        return Err(format!(
            "a row of {} has {} values, not {}",
            table.name,
            table.columns.len(),
            values.len()
        ));
    }
    let columns = table.columns.iter().zip(values);
    columns
        .map(|(column, json)| {
            value(column.kind, json)
                .ok_or_else(|| format!("{} of a row of {} is not what it must be", column.name, table.name))
        })
        .collect()
}

fn value(kind: Kind, json: &Json) -> Option<Value> {
    Some(match (kind, json) {
        (_, Json::Null) => Value::Null,
        (Kind::Number | Kind::Reference(_), Json::Number(number)) => Value::Number(number.as_i64()?),
        (Kind::Flag, Json::Bool(flag)) => Value::Flag(*flag),
        (Kind::Text, Json::String(text)) => Value::Text(text.clone()),
        (Kind::Sid(letters), Json::String(text)) => Value::Sid(bytes(text.strip_prefix(letters)?)?.try_into().ok()?),
        (Kind::Bytes, Json::String(text)) => Value::Bytes(bytes(text)?),
        _ => return None,
    })
}

/// The bytes that lower-case hexadecimal digits stand for.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

/// How many rows a table has, and the SHA-256 of their lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    pub(crate) digest: String,
}

/// Counts and digests rows of a table.
pub(crate) struct Summing {
    rows: u64,
    digest: Context,
    line: String,
}

impl Summing {
    pub(crate) fn new() -> Self {
        Self {
            rows: 0,
            digest: Context::new(&SHA256),
            line: String::new(),
        }
    }

    pub(crate) fn add(&mut self, table: &Table, row: &[Value]) {
        self.line.clear();
        encode(table, row, &mut self.line);
        self.digest.update(self.line.as_bytes());
        self.rows += 1;
    }

    pub(crate) fn sum(self) -> Sum {
        Sum {
            rows: self.rows,
            digest: told(self.digest),
        }
    }
}

/// A digest in hexadecimal digits.
pub(crate) fn told(digest: Context) -> String {
    let mut out = String::new();
    hex(digest.finish().as_ref(), &mut out);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::table::TABLES;
    use super::*;

    fn table(name: &str) -> &'static Table {
        TABLES.iter().find(|table| table.name == name).unwrap()
    }

    #[test]
    fn a_line_is_read_as_the_row_that_it_was_written_from() {
        let tracks = table("tracks");
        let row = vec![
            Value::Number(7),
            Value::Sid([0xab; 16]),
            Value::Number(i64::MAX),
            Value::Text("a \"b\"\n\\ \0 ü".to_owned()),
            Value::Text("audio".to_owned()),
            Value::Text(String::new()),
            Value::Flag(true),
            Value::Text("low".to_owned()),
            Value::Number(i64::MIN),
            Value::Number(0),
            Value::Null,
        ];
        let mut line = String::new();
        encode(tracks, &row, &mut line);
        assert!(line.ends_with("]\n") && line.matches('\n').count() == 1, "{line}");
        assert!(
            line.starts_with("[\"tracks\",7,\"MTabababababababababababababababab\",9223372036854775807,"),
            "{line}"
        );
        let values: Vec<Json> = serde_json::from_str(&line).unwrap();
        assert_eq!(decode(tracks, &values[1..]).unwrap(), row);
    }

    #[test]
    fn what_no_column_can_hold_is_told() {
        let secrets = table("secrets");
        let read = |text: &str| decode(secrets, &serde_json::from_str::<Vec<Json>>(text).unwrap());
        assert_eq!(
            read(r#"["a","0aff"]"#).unwrap(),
            [Value::Text("a".to_owned()), Value::Bytes(vec![0x0a, 0xff])]
        );
        for wrong in [r#"["a","0AFF"]"#, r#"["a","0af"]"#, r#"["a","0é"]"#, r#"["a",1]"#] {
            assert_eq!(
                read(wrong).unwrap_err(),
                "value of a row of secrets is not what it must be",
                "{wrong}"
            );
        }
        assert_eq!(read(r#"["a"]"#).unwrap_err(), "a row of secrets has 2 values, not 1");
        assert!(value(Kind::Sid("RM"), &Json::from("PA00")).is_none());
        assert!(value(Kind::Sid("RM"), &Json::from("RM00")).is_none());
        assert!(value(Kind::Number, &Json::from(1.5)).is_none());
    }
}
