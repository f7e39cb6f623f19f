//! `rotunda audit`: prints who changed what by REST.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use room::{RoomSid, Timestamp};
use serde_json::json;
use store::limits::AUDIT_ROWS_MAX;
use store::{AuditFilter, AuditRow, DatabaseUrl, PostgresStore, SqliteStore, StoreError};
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, format_description};

use super::data_dir::DataDir;
use super::{Failure, runtime, with_causes};
use crate::server::DATABASE;

/// Options of the command.
#[derive(Args)]
pub(super) struct AuditArgs {
    /// Only changes since: a time, such as 2026-02-28 or 2026-02-28T09:30:00Z, or so long ago: 90s, 30m, 4h, 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only changes of this room, RM...
    #[arg(long, value_name = "SID")]
    room: Option<RoomSid>,
    /// One line of JSON for each change
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
}

/// Since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    At(Timestamp),
    Ago { seconds: i64 },
}

/// Prints the log, oldest first; the running server does not notice.
pub(super) fn run(args: &AuditArgs) -> Result<(), Failure> {
    let filter = AuditFilter {
        since: args.since.map(|since| since.moment(now())),
        room: args.room,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut told = 0u64;
    let mut tell = |row: AuditRow| {
        if !args.json && told == 0 {
            writeln!(out, "{}", HEAD.join("  ")).map_err(Stop::Print)?;
        }
        told += 1;
        let line = if args.json { json_line(&row) } else { table_line(&row) };
        writeln!(out, "{line}").map_err(Stop::Print)
    };
    let read = match args.data.database()? {
        Some(url) => runtime()?.block_on(read_apart(&url, filter, &mut tell)),
        None => SqliteStore::read_audit(&file(args)?, filter, &mut tell),
    };
    let printed = read.and_then(|()| out.flush().map_err(Stop::Print));
    match printed {
        Ok(()) => Ok(()),
        // Whoever reads has enough, as `head` does.
        Err(Stop::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Stop::Print(error)) => Err(Failure::Other(format!("standard output cannot be written: {error}"))),
        Err(Stop::Read(error)) => Err(Failure::Other(format!(
            "the audit log cannot be read: {}; run this as the user of the server",
            with_causes(&error)
        ))),
    }
}

/// The database in the data directory.
fn file(args: &AuditArgs) -> Result<PathBuf, Failure> {
    let database = args.data.directory()?.join(DATABASE);
    if database.exists() {
        return Ok(database);
    }
    Err(Failure::Other(format!(
        "there is no database {}; name another directory with --data-dir",
        database.display()
    )))
}

/// Tells all lines of a database that is apart.
async fn read_apart(
    url: &DatabaseUrl,
    filter: AuditFilter,
    tell: &mut impl FnMut(AuditRow) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut after = 0;
    loop {
        let rows = PostgresStore::read_audit(url, filter, after, AUDIT_ROWS_MAX).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        rows.into_iter().try_for_each(&mut *tell)?;
    }
}

/// Why the log is not told to its end.
enum Stop {
    Read(StoreError),
    Print(io::Error),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Read(error)
    }
}

impl Since {
    fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago { seconds } => Timestamp(now.0.saturating_sub(seconds.saturating_mul(1_000_000))),
        }
    }
}

/// Widths of the columns are those of what usually stands in them.
const HEAD: [&str; 8] = [
    "TIME                    ",
    "METHOD",
    "OPERATION             ",
    "STATUS",
    "ROOM                              ",
    "PARTICIPANT                       ",
    "CREDENTIAL                        ",
    "REMOTE",
];

fn table_line(row: &AuditRow) -> String {
    let audit = &row.audit;
    let cells = [
        time_text(audit.at),
        or_dash(audit.method.as_ref()),
        audit.operation.clone(),
        or_dash(audit.status.as_ref()),
        or_dash(audit.room.as_ref()),
        or_dash(audit.participant.as_ref()),
        audit.credential.clone(),
        or_dash(audit.remote.as_ref()),
    ];
    let padded = cells
        .iter()
        .zip(HEAD)
        .map(|(cell, head)| format!("{cell:<width$}", width = head.len()));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn json_line(row: &AuditRow) -> String {
    let audit = &row.audit;
    let text = |sid: Option<String>| json!(sid);
    json!({
        "id": row.id,
        "time": time_text(audit.at),
        "account": text(audit.account.map(|sid| sid.to_string())),
        "credential": audit.credential,
        "method": audit.method,
        "operation": audit.operation,
        "room": text(audit.room.map(|sid| sid.to_string())),
        "participant": text(audit.participant.map(|sid| sid.to_string())),
        "status": audit.status,
        "remote": audit.remote,
        "request_id": audit.request_id,
    })
    .to_string()
}

fn or_dash(value: Option<&impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// In UTC, to the millisecond.
fn time_text(at: Timestamp) -> String {
    let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1000) else {
        return at.0.to_string();
    };
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.millisecond()
    )
}

fn since(text: &str) -> Result<Since, String> {
    let at = |time: OffsetDateTime| {
        let micros = i64::try_from(time.unix_timestamp_nanos() / 1000).ok()?;
        Some(Since::At(Timestamp(micros)))
    };
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| {
        let day = format_description::parse_borrowed::<2>("[year]-[month]-[day]").ok()?;
        Some(Date::parse(text, &day).ok()?.midnight().assume_utc())
    });
    moment
        .and_then(at)
        .or_else(|| ago(text))
        .ok_or_else(|| "a time such as 2026-02-28 or 2026-02-28T09:30:00Z, or so long ago: 90s, 30m, 4h, 7d".to_owned())
}

fn ago(text: &str) -> Option<Since> {
    let (end, unit) = text.char_indices().last()?;
    let unit_s = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let number = text[..end].parse::<u32>().ok()?;
    Some(Since::Ago {
        seconds: i64::from(number) * unit_s,
    })
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_moments_and_spans() {
        let at = |seconds: i64| Ok(Since::At(Timestamp(seconds * 1_000_000)));
        assert_eq!(since("1970-01-02"), at(86_400));
        assert_eq!(since("1970-01-01T01:00:00Z"), at(3600));
        assert_eq!(since("1970-01-01T01:00:00+01:00"), at(0));
        assert_eq!(since("7d"), Ok(Since::Ago { seconds: 604_800 }));
        assert_eq!(
            since("90s").map(|since| since.moment(Timestamp(100_000_000))),
            Ok(Timestamp(10_000_000))
        );
        for text in ["", "d", "yesterday", "-1h", "1970-13-01", "7 d", "99999999999d", "é"] {
            assert!(since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(time_text(Timestamp(1_772_271_000_123_456)), "2026-02-28T09:30:00.123Z");
        assert_eq!(time_text(Timestamp(i64::MAX)), i64::MAX.to_string());
    }
}
