//! Changes of accounts and keys: by the running server, else on the data directory itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use store::{DatabaseLock, PostgresStore, SqliteStore, Store};

use super::data_dir::DataDir;
use super::span::span_s;
use super::status::unanswered;
use super::{Failure, print, runtime, with_causes};
use crate::app::App;
use crate::config::Settings;
use crate::limits;
use crate::master_key::MasterKey;
use crate::operator::{self, AskError, CredentialChange, CredentialChanged, Request};
use crate::server::{self, DATABASE, StartError, make_private_dir};
use crate::vault::{self, Preset, Vault, VaultError};

/// How changes are told, and where.
#[derive(Args)]
pub(super) struct Output {
    /// One line of JSON instead of sentences
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) data: DataDir,
}

impl Output {
    /// Makes a change and prints what came of it: as JSON, or as `told` says.
    pub(super) fn change(
        &self,
        change: CredentialChange,
        told: impl FnOnce(&CredentialChanged) -> String,
    ) -> Result<(), Failure> {
        let changed = self.make(change)?;
        if self.json {
            let line = serde_json::to_string(&changed)
                .map_err(|error| Failure::Other(format!("the answer cannot be written: {error}")))?;
            return print(&format!("{line}\n"));
        }
        print(&told(&changed))
    }

    /// Asks the running server; does it itself where none runs.
    fn make(&self, change: CredentialChange) -> Result<CredentialChanged, Failure> {
        let (directory, settings) = self.data.settings()?;
        let request = Request::Credentials { change };
        match operator::ask(&directory, &request, |_| ()) {
            Ok(answer) => {
                return serde_json::from_str(&answer).map_err(|_| {
                    Failure::Other(
                        "the server's answer is not understood; use the command line of its version".to_owned(),
                    )
                });
            }
            Err(AskError::NotServing { .. }) => {}
            Err(error) => return Err(unanswered(&error, &directory)),
        }
        let Request::Credentials { change } = request else {
            return Err(Failure::Other("nothing was asked".to_owned()));
        };
        let runtime = runtime()?;
        // From now on no server starts.
        let (store, master_key) = runtime.block_on(own(&directory, &settings))?;
        let preset = Preset {
            account: settings.account.as_ref().map(|preset| preset.sid),
            api_key: settings.api_key.as_ref().map(|preset| preset.sid),
        };
        runtime.block_on(async {
            let vault = Vault::open(store, master_key, preset).await.map_err(failed)?;
            let mut changed = vault.change(&change).await.map_err(failed)?;
            // Nobody is connected to a server that does not run; the next one lets none of them resume.
            changed.sessions_ended = ends_sessions(&change).then_some(0);
            Ok(changed)
        })
    }

    /// The only account there is, for commands that need not name it then.
    pub(super) fn only_account(&self) -> Result<String, Failure> {
        let (accounts, _) = self.stored()?;
        match accounts.as_slice() {
            [only] => Ok(only.sid.to_string()),
            _ => Err(Failure::Usage(
                "--account: there are several accounts; name one, `rotunda accounts list` has all".to_owned(),
            )),
        }
    }

    /// All accounts and keys, as they are stored.
    pub(super) fn stored(&self) -> Result<(Vec<store::Account>, Vec<store::ApiKey>), Failure> {
        let (directory, settings) = self.data.settings()?;
        let read = match &settings.database {
            Some(url) => runtime()?.block_on(PostgresStore::read_credentials(url)),
            None => SqliteStore::read_credentials(&file(&directory)?),
        };
        read.map_err(|error| {
            Failure::Other(format!(
                "accounts and keys cannot be read: {}; run this as the user of the server",
                with_causes(&error)
            ))
        })
    }
}

/// The database of no running server, and its master key.
async fn own(directory: &Path, settings: &Settings) -> Result<(Arc<dyn Store>, MasterKey), Failure> {
    let given = settings.master_key.as_ref();
    if let Some(url) = &settings.database {
        let store = PostgresStore::open(url).await.map_err(StartError::from)?;
        make_private_dir(directory).map_err(|source| StartError::DataDirectory {
            dir: directory.to_owned(),
            source,
        })?;
        let key = server::master_key_apart(given, Some(directory), &store).await?;
        return Ok((Arc::new(store), key));
    }
    let lock = DatabaseLock::take(&file(directory)?).map_err(StartError::from)?;
    let key = server::master_key(given, Some(&lock))?;
    Ok((Arc::new(SqliteStore::open_locked(lock).map_err(StartError::from)?), key))
}

/// The database in the data directory.
fn file(directory: &Path) -> Result<PathBuf, Failure> {
    let database = directory.join(DATABASE);
    if database.exists() {
        return Ok(database);
    }
    Err(Failure::Other(format!(
        "there is no database {}; `rotunda serve` makes it, --data-dir names another directory",
        database.display()
    )))
}

fn failed(error: VaultError) -> Failure {
    match error {
        VaultError::Refused(sentence) => Failure::Other(sentence),
        error => StartError::from(error).into(),
    }
}

/// The server's side: changes, ends the sessions that shall end, and answers as JSON, or with a sentence on what is wrong.
pub(super) async fn make(app: &App, change: &CredentialChange) -> Result<String, String> {
    let sentence = |error: VaultError| match error {
        VaultError::Refused(sentence) => sentence,
        error => format!("nothing was changed: {}", with_causes(&error)),
    };
    let mut changed = app.vault.change(change).await.map_err(sentence)?;
    let ended = match change {
        CredentialChange::SuspendAccount {
            account,
            end_sessions: true,
        } => Some((vault::account_sid(account).map_err(sentence)?, None)),
        CredentialChange::RevokeKey {
            key,
            end_sessions: true,
        } => Some((
            vault::account_sid(&changed.account_sid).map_err(sentence)?,
            Some(vault::key_sid(key).map_err(sentence)?),
        )),
        _ => None,
    };
    if let Some((account, key)) = ended {
        let ended = app.rooms.end_sessions(account, key).await.map_err(|error| {
            format!("nobody can join with it any more, but not all sessions were ended: {error}; repeat the command")
        })?;
        changed.sessions_ended = Some(ended);
    }
    serde_json::to_string(&changed).map_err(|error| format!("the answer cannot be written: {error}"))
}

fn ends_sessions(change: &CredentialChange) -> bool {
    matches!(
        change,
        CredentialChange::SuspendAccount { end_sessions: true, .. }
            | CredentialChange::RevokeKey { end_sessions: true, .. }
    )
}

/// How long older secrets stay valid, in seconds.
pub(super) fn overlap_s(text: &str) -> Result<u64, String> {
    let longest_s = limits::OVERLAP_MAX.as_secs();
    span_s(text)
        .filter(|seconds| *seconds <= longest_s)
        .ok_or_else(|| "a time such as 0s, 30m, 24h or 7d, at most 30d".to_owned())
}

/// What is told of those who were disconnected.
pub(super) fn sessions(changed: &CredentialChanged) -> String {
    match changed.sessions_ended {
        None => "Who is in a room stays there; --end-sessions disconnects them too.\n".to_owned(),
        Some(1) => "1 participant was disconnected.\n".to_owned(),
        Some(ended) => format!("{ended} participants were disconnected.\n"),
    }
}
