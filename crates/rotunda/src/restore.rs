//! Puts a backup in the place of a database: first a copy beside it, brought up to date and checked, then the swap.
//!
//! The first part takes as long as the backup is big and touches nothing; a server may serve meanwhile. The second is
//! short, and the server's own: it stops as for a restart, swaps, and starts on what was restored.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::{CheckProgress, DatabaseCopy, DatabaseLock, Restored, StoreError};

use crate::master_key::{self, MasterKey, MasterKeyError};
use crate::rooms::wall;
use crate::server::DATABASE;
use crate::vault;

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is the database itself.
    #[error("{} is the database of the data directory itself", .0.display())]
    Itself(PathBuf),
    /// It cannot be read or copied.
    #[error("{} cannot be restored", path.display())]
    Unusable {
        /// The backup.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// Its secrets are sealed with another master key than this installation's.
    #[error("{} cannot be restored", path.display())]
    Sealed {
        /// The backup.
        path: PathBuf,
        /// Which key is missing, or wrong.
        #[source]
        source: MasterKeyError,
    },
    /// It breaks invariants.
    #[error("{} is not whole: {first}", path.display())]
    Broken {
        /// The backup.
        path: PathBuf,
        /// The first that is broken, with its row.
        first: String,
    },
    /// The database cannot be replaced.
    #[error("the database was not replaced")]
    Place(#[source] StoreError),
}

/// Makes the copy that is going to be the database of the data directory. Says how far it is. Blocks. `given` is a master
/// key that does not lie in the directory.
///
/// # Errors
/// Nothing was changed; no copy is left.
pub fn prepare(
    backup: &Path,
    directory: &Path,
    given: Option<&MasterKey>,
    progress: &mut dyn FnMut(String),
) -> Result<DatabaseCopy, RestoreError> {
    if is_same(backup, &directory.join(DATABASE)) {
        return Err(RestoreError::Itself(backup.to_owned()));
    }
    let unusable = |source| RestoreError::Unusable {
        path: backup.to_owned(),
        source,
    };
    let mut copy =
        DatabaseCopy::make(backup, directory, &mut |done, of| progress(copied(done, of))).map_err(unusable)?;
    copy.migrate().map_err(unusable)?;
    unseal(&mut copy, directory, given).map_err(|source| RestoreError::Sealed {
        path: backup.to_owned(),
        source,
    })?;
    let findings = copy.check(&mut |part| progress(checked(part))).map_err(unusable)?;
    match findings.violations.first() {
        None => Ok(copy),
        Some(violation) => Err(RestoreError::Broken {
            path: backup.to_owned(),
            first: format!("{} {}, {}", violation.invariant, violation.row, violation.what),
        }),
    }
}

/// Makes sure that the copy's secrets can be opened when it is in place, and seals those that an earlier version kept in
/// the open. Without a key there are only such; the next start makes one.
fn unseal(copy: &mut DatabaseCopy, directory: &Path, given: Option<&MasterKey>) -> Result<(), MasterKeyError> {
    let key = match given {
        Some(key) => Some(key.clone()),
        None => MasterKey::read(directory)?,
    };
    let (accounts, keys) = copy.credentials()?;
    match key {
        Some(key) => {
            vault::opened(&accounts, &keys, &key)?;
            copy.seal_secrets(|of, text| vault::sealed(&key, of, text))?;
        }
        None if accounts.iter().any(|account| !account.auth_tokens.is_empty()) => {
            let path = directory.join(master_key::FILE);
            return Err(MasterKeyError::Missing { path });
        }
        None => {}
    }
    Ok(())
}

/// Puts it in place. No store of this process has the database open. Blocks.
///
/// # Errors
/// The database is what it was.
pub fn replace(copy: DatabaseCopy, lock: &Arc<DatabaseLock>) -> Result<Restored, RestoreError> {
    copy.replace(lock, wall().seconds()).map_err(RestoreError::Place)
}

/// How far a copy is, for an operator.
pub fn copied(done: u64, of: u64) -> String {
    format!("copying: {} %", percent(done, of))
}

/// How far a check is, for an operator.
pub fn checked(progress: CheckProgress) -> String {
    match progress {
        CheckProgress::Pages => "checking: reading every page".to_owned(),
        CheckProgress::Rooms { done, of } => format!("checking: {done} of {of} rooms ({} %)", percent(done, of)),
    }
}

/// What was done, as a sentence.
pub fn sentence(backup: &Path, restored: &Restored) -> String {
    let rooms = match restored.rooms {
        0 => "no room was in progress".to_owned(),
        1 => "1 room that was in progress goes on".to_owned(),
        rooms => format!("{rooms} rooms that were in progress go on"),
    };
    let replaced = restored.replaced.as_ref().map_or_else(String::new, |path| {
        format!("; what was there before is now {}", path.display())
    });
    format!("restored {}: {rooms}{replaced}", backup.display())
}

pub(crate) fn percent(done: u64, of: u64) -> u64 {
    done.saturating_mul(100).checked_div(of).unwrap_or(100).min(100)
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}
