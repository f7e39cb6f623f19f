//! `rotunda import`: everything of a file that `rotunda export` made, into a database that is empty.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use store::{
    Account, ApiKey, ArchiveError, ArchiveReader, CheckProgress, DatabaseCopy, DatabaseLock, DatabaseUrl, Findings,
    Moved, PostgresImport, StoreError,
};

use super::data_dir::DataDir;
use super::progress::Progress;
use super::{Failure, print, runtime, with_causes};
use crate::master_key::{MasterKey, MasterKeyError};
use crate::restore::{checked, percent};
use crate::server::{DATABASE, StartError, make_private_dir};
use crate::vault;

pub(super) const EXAMPLES: &str = "Into PostgreSQL, with the master key in the data directory:
  ROTUNDA_DATABASE_URL=postgres://... rotunda import installation.jsonl

From PostgreSQL into the file of a new data directory:
  ROTUNDA_DATABASE_URL=postgres://... rotunda export installation.jsonl
  install -d -m 700 /var/lib/rotunda2 && cp /var/lib/rotunda/master.key /var/lib/rotunda2/
  rotunda import installation.jsonl --data-dir /var/lib/rotunda2";

/// Options of the command.
#[derive(Args)]
pub(super) struct ImportArgs {
    /// A file that `rotunda export` made; - for standard input
    file: PathBuf,
    /// Leaves out the check of the invariants; the rows are counted and compared all the same
    #[arg(long)]
    no_check: bool,
    #[command(flatten)]
    data: DataDir,
}

/// Puts all rows in place, or none.
pub(super) fn run(args: &ImportArgs) -> Result<(), Failure> {
    let (directory, settings) = args.data.settings()?;
    let import = Import {
        args,
        directory: &directory,
        master_key: settings.master_key.as_ref(),
        line: Progress::start(),
    };
    let from: Box<dyn BufRead> = match args.file == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::with_capacity(
            1 << 16,
            File::open(&args.file).map_err(|error| import.failed(&error.into()))?,
        )),
    };
    let archive = ArchiveReader::begin(from).map_err(|error| import.failed(&error))?;
    let moved = match &settings.database {
        Some(url) => runtime()?.block_on(import.apart(url, archive))?,
        None => import.into_file(archive)?,
    };
    let changed = match moved.changed {
        0 => String::new(),
        rows => {
            format!("; texts of {rows} rows had a NUL, which the database cannot hold, and have U+FFFD in its place")
        }
    };
    let checked = if args.no_check {
        "not checked"
    } else {
        "every invariant holds"
    };
    print(&format!(
        "imported {}: {} rows, all compared, {checked}{changed}; `rotunda serve` goes on from here\n",
        args.file.display(),
        moved.rows
    ))
}

/// An import that is under way.
struct Import<'a> {
    args: &'a ImportArgs,
    directory: &'a Path,
    master_key: Option<&'a MasterKey>,
    line: Progress,
}

impl Import<'_> {
    /// Into the file of the data directory, which is made here and gets its name when all is in it.
    fn into_file<R: BufRead>(mut self, mut archive: ArchiveReader<R>) -> Result<Moved, Failure> {
        let database = self.directory.join(DATABASE);
        make_private_dir(self.directory).map_err(|source| StartError::DataDirectory {
            dir: self.directory.to_owned(),
            source,
        })?;
        // From now on no server starts.
        let _lock = DatabaseLock::take(&database).map_err(StartError::from)?;
        let taken = || {
            Failure::Other(format!(
                "there is a database {} already; name a directory without one with --data-dir",
                database.display()
            ))
        };
        if database.exists() {
            return Err(taken());
        }
        let made = DatabaseCopy::of_archive(&mut archive, self.directory, &mut |done, of| {
            self.line.tell(&told(done, of))
        });
        let (copy, moved) = made.map_err(|error| self.failed(&error))?;
        let credentials = copy.credentials().map_err(StartError::from)?;
        self.opens(&credentials)?;
        if !self.args.no_check {
            let findings = copy.check(&mut |part| self.line.tell(&checked(part)));
            self.holds(&findings.map_err(|error| self.failed(&error.into()))?)?;
        }
        copy.publish(&database, false).map_err(|error| match error {
            StoreError::NotWritable { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => taken(),
            error => self.failed(&error.into()),
        })?;
        Ok(moved)
    }

    /// Into a PostgreSQL database, in one transaction.
    async fn apart<R: BufRead>(mut self, url: &DatabaseUrl, mut archive: ArchiveReader<R>) -> Result<Moved, Failure> {
        let made = PostgresImport::make(url, &mut archive, &mut |done, of| self.line.tell(&told(done, of))).await;
        let import = made.map_err(|error| self.failed(&error))?;
        let credentials = import.credentials().await.map_err(|error| self.failed(&error.into()))?;
        self.opens(&credentials)?;
        if !self.args.no_check {
            let mut tell = |part: CheckProgress| self.line.tell(&checked(part));
            let findings = import.check(&mut tell).await;
            self.holds(&findings.map_err(|error| self.failed(&error.into()))?)?;
        }
        let moved = import.moved();
        import.commit().await.map_err(|error| self.failed(&error.into()))?;
        Ok(moved)
    }

    /// Whether the master key that the server will have opens the secrets.
    fn opens(&self, (accounts, keys): &(Vec<Account>, Vec<ApiKey>)) -> Result<(), StartError> {
        let is_sealed = vault::has_sealed(accounts, keys);
        let opened = MasterKey::kept_in(self.directory, self.master_key, || Ok(is_sealed)).and_then(|key| {
            let opened = key.map(|key| vault::opened(accounts, keys, &key));
            opened.transpose().map(drop)
        });
        opened.map_err(|error: MasterKeyError| error.into())
    }

    fn holds(&self, findings: &Findings) -> Result<(), Failure> {
        let Some(violation) = findings.violations.first() else {
            return Ok(());
        };
        Err(Failure::Other(format!(
            "nothing was imported: {} is not whole: {} {}, {}; `rotunda check` tells all where it comes from, --no-check \
             imports it as it is",
            self.args.file.display(),
            violation.invariant,
            violation.row,
            violation.what
        )))
    }

    fn failed(&self, error: &ArchiveError) -> Failure {
        let advice = match error {
            ArchiveError::Foreign => "; name a file that `rotunda export` made",
            ArchiveError::CutShort { .. } | ArchiveError::Damaged { .. } => "; export anew, or copy the file again",
            ArchiveError::NotEmpty { .. } => "; name another one, or make it anew",
            ArchiveError::Differs { .. } => "; report this, and keep the file",
            ArchiveError::Store(StoreError::DatabaseInUse { .. })
            | ArchiveError::Newer { .. }
            | ArchiveError::Unsealed => "",
            ArchiveError::Io(_) => "; name a file that can be read",
            ArchiveError::Store(_) => "; see that the database can be written and has room",
        };
        Failure::Other(format!(
            "nothing was imported from {}: {}{advice}",
            self.args.file.display(),
            with_causes(error)
        ))
    }
}

/// How far it is: rows are written, then read again.
fn told(done: u64, of: u64) -> String {
    format!(
        "importing: {} of {} rows written and compared ({} %)",
        done / 2,
        of / 2,
        percent(done, of)
    )
}
