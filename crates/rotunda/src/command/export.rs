//! `rotunda export`: everything that is stored, to one file that is of no database.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use store::{ArchiveError, DatabaseUrl, PostgresStore, SqliteStore, StoreError};
use tempfile::NamedTempFile;

use super::data_dir::DataDir;
use super::progress::Progress;
use super::{Failure, print, runtime, with_causes};
use crate::restore::percent;
use crate::server::DATABASE;

pub(super) const EXAMPLES: &str = "From the file in the data directory to PostgreSQL:
  rotunda export installation.jsonl
  ROTUNDA_DATABASE_URL=postgres://... rotunda import installation.jsonl
  ROTUNDA_DATABASE_URL=postgres://... rotunda serve

To another machine, packed:
  rotunda export - | zstd > installation.jsonl.zst";

/// Options of the command.
#[derive(Args)]
pub(super) struct ExportArgs {
    /// The file to make, which gets its name when it is whole; - for standard output
    file: PathBuf,
    /// Overwrites the file if it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    data: DataDir,
}

/// Where rows come from.
enum From {
    File(PathBuf),
    Apart(Box<DatabaseUrl>),
}

/// Writes all rows as they are at one moment; a running server does not notice.
pub(super) fn run(args: &ExportArgs) -> Result<(), Failure> {
    let (directory, settings) = args.data.settings()?;
    let from = match settings.database {
        Some(url) => From::Apart(Box::new(url)),
        None => From::File(directory.join(DATABASE)),
    };
    if let From::File(database) = &from
        && !database.exists()
    {
        return Err(Failure::Other(format!(
            "there is no database {}; name another directory with --data-dir, or a PostgreSQL database with --database-url",
            database.display()
        )));
    }
    if args.file == Path::new("-") {
        return write(&from, io::stdout().lock()).map(drop);
    }
    let file = &args.file;
    if !args.force && file.exists() {
        return Err(taken(file));
    }
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let unwritable = |error| {
        let file = file.display();
        Failure::Other(format!(
            "{file} cannot be written: {error}; name a file in a directory that can be written and has room"
        ))
    };
    let temporary = tempfile::Builder::new()
        .prefix(".rotunda-export-")
        .tempfile_in(directory)
        .map_err(unwritable)?;
    let rows = write(&from, &temporary)?;
    let bytes = publish(temporary, directory, file, args.force).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => taken(file),
        _ => unwritable(error),
    })?;
    print(&format!("{}: {rows} rows, {bytes} bytes\n", file.display()))
}

fn taken(file: &Path) -> Failure {
    Failure::Other(format!(
        "{} is there already; name another file, or overwrite it with --force",
        file.display()
    ))
}

fn write(from: &From, out: impl Write) -> Result<u64, Failure> {
    let mut line = Progress::start();
    let mut tell = |done, of| line.tell(&format!("exporting: {done} of {of} rows ({} %)", percent(done, of)));
    let out = BufWriter::with_capacity(1 << 16, out);
    let exported = match from {
        From::File(database) => SqliteStore::export(database, out, &mut tell),
        From::Apart(url) => runtime()?.block_on(PostgresStore::export(url, out, &mut tell)),
    };
    exported.map_err(|error| {
        let advice = match &error {
            ArchiveError::Store(StoreError::NewerSchema { .. } | StoreError::OlderSchema { .. })
            | ArchiveError::Unsealed => "",
            _ => "; run this as the user of the server, and see that there is room",
        };
        Failure::Other(format!("nothing was exported: {}{advice}", with_causes(&error)))
    })
}

/// Syncs the file and gives it its name, at once; how long it is.
fn publish(temporary: NamedTempFile, directory: &Path, file: &Path, force: bool) -> io::Result<u64> {
    temporary.as_file().sync_all()?;
    let bytes = temporary.as_file().metadata()?.len();
    match force {
        true => temporary.persist(file)?,
        false => temporary.persist_noclobber(file)?,
    };
    std::fs::File::open(directory)?.sync_all()?;
    Ok(bytes)
}
