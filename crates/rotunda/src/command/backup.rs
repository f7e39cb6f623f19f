//! `rotunda backup`: a copy of the database in one file, also while the server runs.

use std::path::{Path, PathBuf};

use clap::Args;
use store::{DatabaseCopy, StoreError};

use super::data_dir::DataDir;
use super::progress::Progress;
use super::{Failure, print, with_causes};
use crate::restore::{checked, copied};
use crate::server::DATABASE;

/// Options of the command.
#[derive(Args)]
pub(super) struct BackupArgs {
    /// The file to make; it gets its name when it is whole
    file: PathBuf,
    /// Overwrites the file if it is there
    #[arg(long)]
    force: bool,
    /// Leaves out the check of the copy's invariants, which reads all of it once more
    #[arg(long)]
    no_check: bool,
    #[command(flatten)]
    data: DataDir,
}

/// Makes the copy; the running server does not notice.
pub(super) fn run(args: &BackupArgs) -> Result<(), Failure> {
    let database = args.data.with_file()?.join(DATABASE);
    let file = &args.file;
    if !database.exists() {
        return Err(Failure::Other(format!(
            "there is no database {}; name another directory with --data-dir",
            database.display()
        )));
    }
    if file.is_dir() {
        return Err(Failure::Other(format!(
            "{0} is a directory; name a file, such as {0}/rotunda.db",
            file.display()
        )));
    }
    if !args.force && file.exists() {
        return Err(taken(file));
    }
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut line = Progress::start();
    let copy = DatabaseCopy::make(&database, directory, &mut |done, of| line.tell(&copied(done, of)))
        .map_err(|error| failed(&error))?;
    if !args.no_check {
        let findings = copy
            .check(&mut |part| line.tell(&checked(part)))
            .map_err(|error| failed(&error))?;
        if let Some(violation) = findings.violations.first() {
            return Err(Failure::Other(format!(
                "the database is not whole, so no backup was made: {} {}, {}; `rotunda check` tells all, --no-check \
                 makes a backup of what there is",
                violation.invariant, violation.row, violation.what
            )));
        }
    }
    let bytes = copy.bytes();
    copy.publish(file, args.force).map_err(|error| match error {
        StoreError::NotWritable { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => taken(file),
        error => failed(&error),
    })?;
    drop(line);
    let checked = if args.no_check { "not checked" } else { "checked" };
    print(&format!("{}: {bytes} bytes, {checked}\n", file.display()))
}

fn taken(file: &Path) -> Failure {
    Failure::Other(format!(
        "{} is there already; name another file, or overwrite it with --force",
        file.display()
    ))
}

fn failed(error: &StoreError) -> Failure {
    Failure::Other(format!(
        "no backup was made: {}; run this as the user of the server, and name a directory that can be written and has room",
        with_causes(error)
    ))
}
