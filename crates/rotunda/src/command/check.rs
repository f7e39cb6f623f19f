//! `rotunda check`: verifies the invariants of a database.

use std::path::{Path, PathBuf};

use clap::Args;
use store::{Findings, PostgresStore, SqliteStore};

use super::data_dir::DataDir;
use super::progress::Progress;
use super::{Failure, print, runtime, with_causes};
use crate::restore;
use crate::server::DATABASE;

/// Options of the command.
#[derive(Args)]
pub(super) struct CheckArgs {
    /// The file to check, for example a backup [default: the database of the data directory, or the one of --database-url]
    file: Option<PathBuf>,
    #[command(flatten)]
    data: DataDir,
}

/// Prints a line for each invariant that is broken, or one that says that all hold.
pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let (directory, settings) = args.data.settings()?;
    let (place, findings, advice) = match (&args.file, settings.database) {
        (None, Some(url)) => {
            let mut line = Progress::start();
            let mut tell = |part| line.tell(&restore::checked(part));
            let checked = runtime()?.block_on(PostgresStore::check_database(&url, &mut tell));
            drop(line);
            let findings =
                checked.map_err(|error| Failure::Other(format!("{url} cannot be checked: {}", with_causes(&error))))?;
            (url.to_string(), findings, "save it with pg_dump, restore an older dump")
        }
        (file, _) => {
            let file = file.clone().unwrap_or_else(|| directory.join(DATABASE));
            let advice = "keep the file, restore a backup with `rotunda restore`";
            (file.display().to_string(), findings(&file)?, advice)
        }
    };
    if findings.violations.is_empty() {
        return print(&format!(
            "{place}: every invariant holds ({} rooms, {} participants, {} events)\n",
            findings.rooms, findings.participants, findings.events
        ));
    }
    let lines = findings
        .violations
        .iter()
        .map(|violation| format!("{}  {}  {}\n", violation.invariant, violation.row, violation.what));
    print(&lines.collect::<String>())?;
    let count = findings.violations.len();
    let at_least = if count >= store::limits::VIOLATIONS_MAX {
        "at least "
    } else {
        ""
    };
    Err(Failure::Other(format!(
        "{place} breaks its invariants, {at_least}{count} found; {advice}, and report what was found"
    )))
}

/// Checks the file, and shows on a terminal how far it is.
pub(super) fn findings(file: &Path) -> Result<Findings, Failure> {
    if !file.exists() {
        return Err(Failure::Other(format!(
            "there is no database {}; name another directory with --data-dir, or the file itself",
            file.display()
        )));
    }
    let mut line = Progress::start();
    let checked = SqliteStore::check_file(file, &mut |part| line.tell(&restore::checked(part)));
    drop(line);
    checked.map_err(|error| Failure::Other(format!("{} cannot be checked: {}", file.display(), with_causes(&error))))
}
