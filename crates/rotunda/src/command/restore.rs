//! `rotunda restore`: puts a backup in the place of the database, also while the server runs.

use std::path::{Path, PathBuf};

use clap::Args;
use store::DatabaseLock;

use super::data_dir::DataDir;
use super::progress::Progress;
use super::status::unanswered;
use super::{Failure, print, with_causes};
use crate::master_key::MasterKey;
use crate::operator::{self, AskError, Request};
use crate::restore::{self, RestoreError};
use crate::server::{DATABASE, StartError, make_private_dir};

/// Options of the command.
#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The backup: a file that `rotunda backup` made
    backup: PathBuf,
    #[command(flatten)]
    data: DataDir,
}

/// Has the running server do it; does it itself where none runs.
pub(super) fn run(args: &RestoreArgs) -> Result<(), Failure> {
    args.data.with_file()?;
    let (directory, settings) = args.data.settings()?;
    let backup = std::fs::canonicalize(&args.backup).map_err(|error| {
        Failure::Other(format!(
            "{} cannot be read: {error}; name a file that `rotunda backup` made",
            args.backup.display()
        ))
    })?;
    let mut line = Progress::start();
    let request = Request::Restore { backup: backup.clone() };
    let asked = operator::ask(&directory, &request, |sentence| line.tell(sentence));
    let done = match asked {
        Ok(sentence) => sentence,
        Err(AskError::NotServing { .. }) => by_itself(&backup, &directory, settings.master_key.as_ref(), &mut line)?,
        Err(error) => return Err(unanswered(&error, &directory)),
    };
    drop(line);
    print(&format!("{done}\n"))
}

fn by_itself(
    backup: &Path,
    directory: &Path,
    master_key: Option<&MasterKey>,
    line: &mut Progress,
) -> Result<String, Failure> {
    make_private_dir(directory).map_err(|source| StartError::DataDirectory {
        dir: directory.to_owned(),
        source,
    })?;
    // From now on no server starts.
    let lock = DatabaseLock::take(&directory.join(DATABASE)).map_err(StartError::from)?;
    let copy = restore::prepare(backup, directory, master_key, &mut |sentence| line.tell(&sentence))
        .map_err(|error| failed(&error))?;
    let restored = restore::replace(copy, &lock).map_err(|error| failed(&error))?;
    Ok(restore::sentence(backup, &restored))
}

fn failed(error: &RestoreError) -> Failure {
    Failure::Other(advised(error))
}

/// What failed, and what to do next.
pub(super) fn advised(error: &RestoreError) -> String {
    let advice = match error {
        RestoreError::Itself(_) => "name a backup of it",
        RestoreError::Unusable { .. } => {
            "name a file that `rotunda backup` made, and see that the data directory has room for a copy of it"
        }
        RestoreError::Sealed { source, .. } => source.advice().unwrap_or("try again"),
        RestoreError::Broken { .. } => "`rotunda check FILE` tells all; restore an older backup",
        RestoreError::Place(_) => "close other programs that have it open, and try again",
    };
    format!("{}; {advice}", with_causes(error))
}
