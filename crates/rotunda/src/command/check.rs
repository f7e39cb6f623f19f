//! `rotunda check`: verifies the invariants of a database.

use std::path::{Path, PathBuf};

use clap::Args;
use store::{Findings, SqliteStore};

use super::data_dir::DataDir;
use super::progress::Progress;
use super::{Failure, print, with_causes};
use crate::restore;
use crate::server::DATABASE;

/// Options of the command.
#[derive(Args)]
pub(super) struct CheckArgs {
    /// The database to check, for example a backup [default: that of the data directory]
    file: Option<PathBuf>,
    #[command(flatten)]
    data: DataDir,
}

/// Prints a line for each invariant that is broken, or one that says that all hold.
pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => args.data.with_file()?.join(DATABASE),
    };
    let findings = findings(&file)?;
    if findings.violations.is_empty() {
        return print(&format!(
            "{}: every invariant holds ({} rooms, {} participants, {} events)\n",
            file.display(),
            findings.rooms,
            findings.participants,
            findings.events
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
        "{} breaks its invariants, {at_least}{count} found; keep the file, restore a backup with `rotunda restore`, and \
         report what was found",
        file.display()
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
