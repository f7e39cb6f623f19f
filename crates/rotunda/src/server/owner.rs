//! The account and the API key that a server has from its first start, and the key that their secrets are sealed with.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand;
use store::{DatabaseLock, SqliteStore, Store};

use super::StartError;
use crate::config::Settings;
use crate::credentials::{Account, ApiKey};
use crate::master_key::{MasterKey, MasterKeyError};
use crate::vault::{self, Preset, Vault, VaultError};

/// Whose server it is: the preset account and key, else the oldest that may be used. No `Debug`: it holds secrets.
#[derive(Clone)]
pub struct Owner {
    /// The account.
    pub account: Account,
    /// A key of the account; `None` if all were revoked.
    pub api_key: Option<ApiKey>,
    /// Whether one of the two was made by this start: its secret was never shown.
    pub fresh: bool,
}

impl Owner {
    /// How the page takes them: `AC…:SK…:secret`.
    pub fn page_credentials(&self) -> Option<String> {
        let key = self.api_key.as_ref()?;
        Some(format!("{}:{}:{}", self.account.sid, key.sid, key.secret))
    }
}

/// The master key of the database that the lock is of, or of none that is kept; made at the first start. Secrets that an earlier version left in the open are sealed
/// with it.
pub(crate) fn master_key(given: Option<&MasterKey>, lock: Option<&Arc<DatabaseLock>>) -> Result<MasterKey, StartError> {
    let Some(lock) = lock else {
        return Ok(given.map_or_else(MasterKey::random, |key| Ok(key.clone()))?);
    };
    let key = match MasterKey::of_database(given, lock.path())? {
        Some(key) => key,
        None => {
            let directory = lock.path().parent().unwrap_or(lock.path());
            tracing::debug!(directory = %directory.display(), "a master key is made");
            MasterKey::make(directory)?
        }
    };
    let sealed = SqliteStore::seal_secrets(lock, |of, text| vault::sealed(&key, of, text))?;
    if sealed > 0 {
        tracing::info!(
            sealed,
            "secrets that an earlier version kept in the open were sealed with the master key"
        );
    }
    Ok(key)
}

/// The master key of a database that is apart: it is kept in the data directory all the same, so that the database
/// alone betrays no secret. Made at the first start; with no directory, one that is gone with the process.
pub(crate) async fn master_key_apart(
    given: Option<&MasterKey>,
    directory: Option<&Path>,
    store: &dyn Store,
) -> Result<MasterKey, StartError> {
    let Some(directory) = directory else {
        return Ok(given.map_or_else(MasterKey::random, |key| Ok(key.clone()))?);
    };
    let is_sealed = vault::has_sealed(&store.accounts().await?, &store.api_keys().await?);
    match MasterKey::kept_in(directory, given, || Ok(is_sealed))? {
        Some(key) => Ok(key),
        None => {
            tracing::debug!(directory = %directory.display(), "a master key is made");
            Ok(MasterKey::make(directory)?)
        }
    }
}

/// What is set from outside.
pub(super) fn preset(settings: &Settings) -> Preset {
    Preset {
        account: settings.account.as_ref().map(|preset| preset.sid),
        api_key: settings.api_key.as_ref().map(|preset| preset.sid),
    }
}

/// Stores what is preset and makes what is missing.
pub(super) async fn establish(vault: &Vault, settings: &Settings) -> Result<Owner, StartError> {
    let mut fresh = false;
    if let Some(preset) = &settings.account {
        vault.preset_account(preset.sid, &preset.auth_token).await?;
    }
    let preset = preset(settings);
    let accounts = vault.accounts().await?;
    let wanted = |sid| preset.account.is_none_or(|preset| preset == sid);
    let active = accounts
        .iter()
        .find(|account| wanted(account.sid) && account.suspended.is_none());
    let sid = match active.or(accounts.iter().find(|account| wanted(account.sid))) {
        Some(account) => account.sid,
        None => {
            fresh = true;
            vault::account_sid(&vault.create_account("", None).await?.account_sid)?
        }
    };
    if let Some(key) = &settings.api_key {
        vault.preset_key(sid, key.sid, &key.secret).await?;
    }
    let keys = vault.api_keys().await?;
    if !keys.iter().any(|key| key.account == sid) {
        fresh = true;
        vault.create_key(sid, "", None).await?;
    }
    let keys = vault.api_keys().await?;
    let credentials = vault.credentials();
    let is_wanted = |key: &&store::ApiKey| key.account == sid && preset.api_key.is_none_or(|preset| preset == key.sid);
    let api_key = keys.iter().filter(is_wanted).find_map(|key| credentials.key(key.sid));
    // An account without a valid auth token is of no database of this program.
    let account = credentials.account(sid).ok_or_else(|| {
        StartError::Credentials(format!(
            "the account {sid} has no auth token; restore a backup, or set ROTUNDA_ACCOUNT_SID and ROTUNDA_AUTH_TOKEN"
        ))
    })?;
    Ok(Owner {
        account,
        api_key,
        fresh,
    })
}

impl From<VaultError> for StartError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => error.into(),
            VaultError::MasterKey(error) => error.into(),
            VaultError::Refused(sentence) => Self::Credentials(sentence),
        }
    }
}

impl From<MasterKeyError> for StartError {
    fn from(error: MasterKeyError) -> Self {
        match error {
            MasterKeyError::Store(error) => error.into(),
            error => Self::MasterKey(error),
        }
    }
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| StartError::Random)?;
    Ok(bytes)
}
