//! `rotunda audit`: prints who changed what by REST.

use std::fmt::Display;

use clap::Args;
use room::RoomSid;
use serde_json::json;
use store::limits::AUDIT_ROWS_MAX;
use store::{Audit, AuditFilter, AuditRow, DatabaseUrl, PostgresStore, SqliteStore};

use super::data_dir::DataDir;
use super::lines::{Lines, Stop};
use super::moment::{self, Moment, now, time_text};
use super::{Failure, runtime};

/// Options of the command.
#[derive(Args)]
pub(super) struct AuditArgs {
    /// Only changes since: a time, such as 2026-02-28 or 2026-02-28T09:30:00Z, or so long ago: 90s, 30m, 4h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<Moment>,
    /// Only changes of this room, RM...
    #[arg(long, value_name = "SID")]
    room: Option<RoomSid>,
    /// One line of JSON for each change
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
}

/// Prints the log, oldest first; the running server does not notice.
pub(super) fn run(args: &AuditArgs) -> Result<(), Failure> {
    let filter = AuditFilter {
        since: args.since.map(|since| since.before(now())),
        room: args.room,
    };
    let mut lines = Lines::new((!args.json).then_some(&HEAD));
    let mut tell = |row: AuditRow| lines.tell(&if args.json { json_line(&row) } else { table_line(&row) });
    let read = match args.data.database()? {
        Some(url) => runtime()?.block_on(read_apart(&url, filter, &mut tell)),
        None => SqliteStore::read_audit(&args.data.database_file()?, filter, &mut tell),
    };
    lines.end("the audit log", read)
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

/// Widths of the columns are those of what usually stands in them.
const HEAD: [&str; 9] = [
    "TIME                    ",
    "METHOD",
    "OPERATION             ",
    "STATUS",
    "ROOM                              ",
    "PARTICIPANT                       ",
    "ACCOUNT OR KEY                    ",
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
        changed(audit),
        audit.credential.clone(),
        or_dash(audit.remote.as_ref()),
    ];
    let padded = cells
        .iter()
        .zip(HEAD)
        .map(|(cell, head)| format!("{cell:<width$}", width = head.len()));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// The key that an operator changed, else the account.
fn changed(audit: &Audit) -> String {
    let account = audit.account.filter(|_| audit.method.is_none());
    audit
        .api_key
        .map_or_else(|| or_dash(account.as_ref()), |key| key.to_string())
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
        "api_key": text(audit.api_key.map(|sid| sid.to_string())),
        "status": audit.status,
        "remote": audit.remote,
        "request_id": audit.request_id,
    })
    .to_string()
}

fn or_dash(value: Option<&impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}
