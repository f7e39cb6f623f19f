//! The accounts and API keys of the store with the key that opens their secrets, and every way in which they change.
//!
//! Changes are made one after the other: written with their line of the audit log, then in force at once for whoever
//! asks the [`Credentials`].

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use protocol::operator::{CredentialChange, CredentialChanged};
use room::{AccountSid, ApiKeySid, Timestamp};
use store::{Account, ApiKey, Audit, SealedSecret, SecretOf, Store, StoreError};
use tokio::sync::{Mutex, MutexGuard};

use crate::credentials::{Credentials, Secrets, Table};
use crate::limits;
use crate::master_key::{MasterKey, MasterKeyError};
use crate::rooms::wall;

/// Accounts and keys, and how they change. No `Debug`: it holds secrets.
pub struct Vault {
    store: Arc<dyn Store>,
    master_key: MasterKey,
    credentials: Arc<Credentials>,
    preset: Preset,
    one_by_one: Mutex<()>,
}

/// What is set from outside at each start, and so cannot be rotated or revoked by a command.
#[derive(Debug, Clone, Copy, Default)]
pub struct Preset {
    /// The account of `ROTUNDA_ACCOUNT_SID`.
    pub account: Option<AccountSid>,
    /// The key of `ROTUNDA_API_KEY_SID`.
    pub api_key: Option<ApiKeySid>,
}

/// Why accounts and keys are not opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Secrets cannot be opened or sealed.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// It cannot be done; the sentence says what can.
    #[error("{0}")]
    Refused(String),
}

impl Vault {
    /// Opens all secrets of the store.
    ///
    /// # Errors
    /// [`MasterKeyError::Wrong`] if it is the key of another database.
    pub async fn open(store: Arc<dyn Store>, master_key: MasterKey, preset: Preset) -> Result<Self, VaultError> {
        let vault = Self {
            store,
            master_key,
            credentials: Arc::default(),
            preset,
            one_by_one: Mutex::default(),
        };
        vault.load().await?;
        Ok(vault)
    }

    /// What is in force, now and after each change.
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// All accounts, oldest first, as they are stored.
    ///
    /// # Errors
    /// The store failed.
    pub async fn accounts(&self) -> Result<Vec<Account>, VaultError> {
        Ok(self.store.accounts().await?)
    }

    /// All keys, oldest first, as they are stored.
    ///
    /// # Errors
    /// The store failed.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, VaultError> {
        Ok(self.store.api_keys().await?)
    }

    /// Makes an account with a new auth token; `name` is what the operator calls it.
    ///
    /// # Errors
    /// There are [`limits::ACCOUNTS_MAX`] already, or the name is none.
    pub async fn create_account(&self, name: &str, by: Option<Audit>) -> Result<CredentialChanged, VaultError> {
        let _alone = self.alone().await;
        check_name(name)?;
        if self.store.accounts().await?.len() >= limits::ACCOUNTS_MAX {
            return Err(VaultError::Refused(format!(
                "there are {} accounts, as many as there may be",
                limits::ACCOUNTS_MAX
            )));
        }
        let sid = AccountSid::from_bytes(random()?);
        let (text, secret) = self.fresh_secret(SecretOf::Account(sid))?;
        let account = Account {
            name: name.to_owned(),
            created: Some(wall()),
            auth_tokens: vec![secret],
            ..Account::new(sid)
        };
        let changed = CredentialChanged {
            auth_token: Some(text),
            ..told_account(&account)
        };
        self.put_account(account, by).await?;
        Ok(changed)
    }

    /// Makes a key of an account.
    ///
    /// # Errors
    /// There is no such account, it has [`limits::KEYS_PER_ACCOUNT_MAX`] already, or the name is none.
    pub async fn create_key(
        &self,
        account: AccountSid,
        name: &str,
        by: Option<Audit>,
    ) -> Result<CredentialChanged, VaultError> {
        let _alone = self.alone().await;
        check_name(name)?;
        self.account(account).await?;
        let keys = self.store.api_keys().await?;
        let is_in_use = |key: &&ApiKey| key.account == account && key.revoked.is_none();
        if keys.iter().filter(is_in_use).count() >= limits::KEYS_PER_ACCOUNT_MAX {
            return Err(VaultError::Refused(format!(
                "{account} has {} API keys, as many as it may; revoke one that is not used any more",
                limits::KEYS_PER_ACCOUNT_MAX
            )));
        }
        let sid = ApiKeySid::from_bytes(random()?);
        let (text, secret) = self.fresh_secret(SecretOf::ApiKey(sid))?;
        let key = ApiKey {
            name: name.to_owned(),
            created: Some(wall()),
            secrets: vec![secret],
            ..ApiKey::new(sid, account)
        };
        let changed = CredentialChanged {
            secret: Some(text),
            ..told_key(&key)
        };
        self.put_key(key, by).await?;
        Ok(changed)
    }

    /// Makes the account that is set from outside, or gives it the auth token that is set; the older ones end then.
    ///
    /// # Errors
    /// The store failed.
    pub async fn preset_account(&self, sid: AccountSid, auth_token: &str) -> Result<(), VaultError> {
        let _alone = self.alone().await;
        let there = self
            .store
            .accounts()
            .await?
            .into_iter()
            .find(|account| account.sid == sid);
        let is_same = |account: &Account| self.is_newest(SecretOf::Account(sid), &account.auth_tokens, auth_token);
        if there.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        let by = there.as_ref().map(|_| by_operator("replace-auth-token", sid, None));
        let account = Account {
            auth_tokens: vec![self.sealed(SecretOf::Account(sid), auth_token)?],
            ..there.unwrap_or_else(|| Account {
                created: Some(wall()),
                ..Account::new(sid)
            })
        };
        self.put_account(account, by).await
    }

    /// Makes the key that is set from outside, or gives it the secret that is set; the older ones end then.
    ///
    /// # Errors
    /// It was revoked, or belongs to another account.
    pub async fn preset_key(&self, account: AccountSid, sid: ApiKeySid, secret: &str) -> Result<(), VaultError> {
        let _alone = self.alone().await;
        let there = self.store.api_keys().await?.into_iter().find(|key| key.sid == sid);
        if let Some(key) = &there {
            if key.account != account {
                return Err(VaultError::Refused(format!("the API key {sid} is another account's")));
            }
            if key.revoked.is_some() {
                return Err(VaultError::Refused(format!(
                    "the API key {sid} was revoked; set another one"
                )));
            }
            if self.is_newest(SecretOf::ApiKey(sid), &key.secrets, secret) {
                return Ok(());
            }
        }
        let by = there
            .as_ref()
            .map(|_| by_operator("replace-key-secret", account, Some(sid)));
        let key = ApiKey {
            secrets: vec![self.sealed(SecretOf::ApiKey(sid), secret)?],
            ..there.unwrap_or_else(|| ApiKey {
                created: Some(wall()),
                ..ApiKey::new(sid, account)
            })
        };
        self.put_key(key, by).await
    }

    /// Does what an operator asked for. Ending sessions is left to the caller. A change that is true already writes nothing.
    ///
    /// # Errors
    /// [`VaultError::Refused`] tells the operator why not, and what to do.
    pub async fn change(&self, change: &CredentialChange) -> Result<CredentialChanged, VaultError> {
        match change {
            CredentialChange::CreateAccount { name } => {
                let by = Audit::of_operator(wall(), "create-account");
                self.create_account(name, Some(by)).await
            }
            CredentialChange::CreateKey { account, name } => {
                let by = Audit::of_operator(wall(), "create-key");
                self.create_key(account_sid(account)?, name, Some(by)).await
            }
            CredentialChange::SuspendAccount { account, .. } => {
                self.set_suspended(account_sid(account)?, Some(wall())).await
            }
            CredentialChange::ResumeAccount { account } => self.set_suspended(account_sid(account)?, None).await,
            CredentialChange::RotateAuthToken { account, overlap_s } => {
                self.rotate_auth_token(account_sid(account)?, *overlap_s).await
            }
            CredentialChange::RevokeKey { key, .. } => self.revoke(key_sid(key)?).await,
            CredentialChange::RotateKey { key, overlap_s } => self.rotate_key(key_sid(key)?, *overlap_s).await,
        }
    }

    async fn set_suspended(&self, sid: AccountSid, since: Option<Timestamp>) -> Result<CredentialChanged, VaultError> {
        let _alone = self.alone().await;
        let account = self.account(sid).await?;
        let told = told_account(&account);
        if account.suspended.is_some() == since.is_some() {
            return Ok(told);
        }
        let operation = if since.is_some() {
            "suspend-account"
        } else {
            "resume-account"
        };
        let account = Account {
            suspended: since,
            ..account
        };
        self.put_account(account, Some(by_operator(operation, sid, None)))
            .await?;
        Ok(told)
    }

    async fn rotate_auth_token(&self, sid: AccountSid, overlap_s: u64) -> Result<CredentialChanged, VaultError> {
        let _alone = self.alone().await;
        let account = self.account(sid).await?;
        if self.preset.account == Some(sid) {
            return Err(VaultError::Refused(format!(
                "the auth token of {sid} is set from outside, by ROTUNDA_AUTH_TOKEN or a file; change it there and restart"
            )));
        }
        let (text, secret) = self.fresh_secret(SecretOf::Account(sid))?;
        let auth_tokens = rotated(&account.auth_tokens, secret, overlap_s)?;
        let changed = CredentialChanged {
            auth_token: Some(text),
            older_until_s: older_until_s(&auth_tokens),
            ..told_account(&account)
        };
        let account = Account { auth_tokens, ..account };
        self.put_account(account, Some(by_operator("rotate-auth-token", sid, None)))
            .await?;
        Ok(changed)
    }

    async fn rotate_key(&self, sid: ApiKeySid, overlap_s: u64) -> Result<CredentialChanged, VaultError> {
        let _alone = self.alone().await;
        let key = self.key(sid).await?;
        self.refuse_preset(sid)?;
        if key.revoked.is_some() {
            return Err(VaultError::Refused(format!(
                "{sid} is revoked, which is for ever; make another key with `rotunda keys create --account {}`",
                key.account
            )));
        }
        let (text, secret) = self.fresh_secret(SecretOf::ApiKey(sid))?;
        let secrets = rotated(&key.secrets, secret, overlap_s)?;
        let changed = CredentialChanged {
            secret: Some(text),
            older_until_s: older_until_s(&secrets),
            ..told_key(&key)
        };
        let by = by_operator("rotate-key", key.account, Some(sid));
        self.put_key(ApiKey { secrets, ..key }, Some(by)).await?;
        Ok(changed)
    }

    async fn revoke(&self, sid: ApiKeySid) -> Result<CredentialChanged, VaultError> {
        let _alone = self.alone().await;
        let key = self.key(sid).await?;
        self.refuse_preset(sid)?;
        let told = told_key(&key);
        if key.revoked.is_some() {
            return Ok(told);
        }
        let by = by_operator("revoke-key", key.account, Some(sid));
        let key = ApiKey {
            revoked: Some(wall()),
            secrets: Vec::new(),
            ..key
        };
        self.put_key(key, Some(by)).await?;
        Ok(told)
    }

    fn refuse_preset(&self, sid: ApiKeySid) -> Result<(), VaultError> {
        if self.preset.api_key == Some(sid) {
            return Err(VaultError::Refused(format!(
                "the API key {sid} is set from outside, by ROTUNDA_API_KEY_SID; change it there and restart"
            )));
        }
        Ok(())
    }

    async fn alone(&self) -> MutexGuard<'_, ()> {
        self.one_by_one.lock().await
    }

    async fn account(&self, sid: AccountSid) -> Result<Account, VaultError> {
        let found = self
            .store
            .accounts()
            .await?
            .into_iter()
            .find(|account| account.sid == sid);
        found.ok_or_else(|| VaultError::Refused(format!("there is no account {sid}; `rotunda accounts list` has all")))
    }

    async fn key(&self, sid: ApiKeySid) -> Result<ApiKey, VaultError> {
        let found = self.store.api_keys().await?.into_iter().find(|key| key.sid == sid);
        found.ok_or_else(|| VaultError::Refused(format!("there is no API key {sid}; `rotunda keys list` has all")))
    }

    async fn put_account(&self, account: Account, by: Option<Audit>) -> Result<(), VaultError> {
        let sid = account.sid;
        let by = by.map(|by| Audit {
            account: Some(sid),
            ..by
        });
        self.store.put_account_audited(account, by).await?;
        self.load().await
    }

    async fn put_key(&self, key: ApiKey, by: Option<Audit>) -> Result<(), VaultError> {
        let (sid, account) = (key.sid, key.account);
        let by = by.map(|by| Audit {
            account: Some(account),
            api_key: Some(sid),
            ..by
        });
        self.store.put_api_key_audited(key, by).await?;
        self.load().await
    }

    /// Puts what is stored in force.
    async fn load(&self) -> Result<(), VaultError> {
        let (accounts, keys) = (self.store.accounts().await?, self.store.api_keys().await?);
        self.credentials.replace(opened(&accounts, &keys, &self.master_key)?);
        Ok(())
    }

    fn fresh_secret(&self, of: SecretOf) -> Result<(String, SealedSecret), VaultError> {
        let text: String = random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let sealed = self.sealed(of, &text)?;
        Ok((text, sealed))
    }

    fn sealed(&self, of: SecretOf, text: &str) -> Result<SealedSecret, MasterKeyError> {
        sealed(&self.master_key, of, text)
    }

    fn is_newest(&self, of: SecretOf, secrets: &[SealedSecret], text: &str) -> bool {
        let newest = secrets.first().map(|newest| self.master_key.open(of, &newest.sealed));
        matches!(newest, Some(Ok(newest)) if newest.as_str() == text)
    }
}

/// A secret sealed, valid from now on without end.
///
/// # Errors
/// The cryptographic library failed.
pub fn sealed(master_key: &MasterKey, of: SecretOf, text: &str) -> Result<SealedSecret, MasterKeyError> {
    Ok(SealedSecret {
        sealed: master_key.seal(of, text)?,
        since: wall(),
        until: None,
    })
}

/// The table of these accounts and keys. Revoked keys are not in it, nor secrets that have ended.
///
/// # Errors
/// [`MasterKeyError::Wrong`] if the key does not open all of them.
pub fn opened(accounts: &[Account], keys: &[ApiKey], master_key: &MasterKey) -> Result<Table, MasterKeyError> {
    let now = wall();
    let open = |of: SecretOf, stored: &[SealedSecret]| {
        let mut secrets = Secrets::default();
        for secret in stored.iter().filter(|secret| is_valid(secret, now)) {
            secrets.push(master_key.open(of, &secret.sealed)?, secret.until);
        }
        Ok::<_, MasterKeyError>(secrets)
    };
    let mut table = Table::default();
    for account in accounts {
        let auth_tokens = open(SecretOf::Account(account.sid), &account.auth_tokens)?;
        table.add_account(account.sid, account.suspended.is_some(), auth_tokens);
    }
    for key in keys.iter().filter(|key| key.revoked.is_none()) {
        table.add_key(key.sid, key.account, open(SecretOf::ApiKey(key.sid), &key.secrets)?);
    }
    Ok(table)
}

/// Whether a secret has not ended.
pub fn is_valid(secret: &SealedSecret, now: Timestamp) -> bool {
    secret.until.is_none_or(|until| now < until)
}

/// The new secret before the older ones, which end after the overlap; with none they are gone at once.
fn rotated(older: &[SealedSecret], newest: SealedSecret, overlap_s: u64) -> Result<Vec<SealedSecret>, VaultError> {
    let now = newest.since;
    let overlap = Duration::from_secs(overlap_s);
    if overlap > limits::OVERLAP_MAX {
        return Err(VaultError::Refused("the overlap is at most 30 days".to_owned()));
    }
    let end = Timestamp(
        now.0
            .saturating_add(i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX)),
    );
    let mut secrets = vec![newest];
    if !overlap.is_zero() {
        secrets.extend(
            older
                .iter()
                .filter(|secret| is_valid(secret, now))
                .map(|secret| SealedSecret {
                    until: Some(secret.until.map_or(end, |until| until.min(end))),
                    ..secret.clone()
                }),
        );
    }
    if secrets.len() > limits::SECRETS_MAX {
        return Err(VaultError::Refused(format!(
            "{} secrets are valid already; wait for the end of an older one, or end them all with --overlap 0s",
            limits::SECRETS_MAX
        )));
    }
    Ok(secrets)
}

fn older_until_s(secrets: &[SealedSecret]) -> Option<i64> {
    secrets
        .iter()
        .skip(1)
        .filter_map(|secret| secret.until)
        .max()
        .map(|until| until.seconds())
}

fn told_account(account: &Account) -> CredentialChanged {
    CredentialChanged {
        account_sid: account.sid.to_string(),
        api_key_sid: None,
        name: account.name.clone(),
        auth_token: None,
        secret: None,
        older_until_s: None,
        sessions_ended: None,
    }
}

fn told_key(key: &ApiKey) -> CredentialChanged {
    CredentialChanged {
        api_key_sid: Some(key.sid.to_string()),
        name: key.name.clone(),
        ..told_account(&Account::new(key.account))
    }
}

fn by_operator(operation: &str, account: AccountSid, key: Option<ApiKeySid>) -> Audit {
    Audit {
        account: Some(account),
        api_key: key,
        ..Audit::of_operator(wall(), operation)
    }
}

fn check_name(name: &str) -> Result<(), VaultError> {
    let fits = name.chars().count() <= limits::CREDENTIAL_NAME_CHARS_MAX && !name.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(VaultError::Refused(format!(
        "a name has at most {} characters, and no control characters",
        limits::CREDENTIAL_NAME_CHARS_MAX
    )))
}

/// The SID of an account, as an operator's request has it.
///
/// # Errors
/// It is none.
pub fn account_sid(text: &str) -> Result<AccountSid, VaultError> {
    text.parse()
        .map_err(|error| VaultError::Refused(format!("\"{text}\" is not an account's SID: {error}")))
}

/// The SID of a key, as an operator's request has it.
///
/// # Errors
/// It is none.
pub fn key_sid(text: &str) -> Result<ApiKeySid, VaultError> {
    text.parse()
        .map_err(|error| VaultError::Refused(format!("\"{text}\" is not an API key's SID: {error}")))
}

fn random<const N: usize>() -> Result<[u8; N], MasterKeyError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| MasterKeyError::Crypto)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;

/// Whether anything of these is sealed, which only its master key opens.
pub(crate) fn has_sealed(accounts: &[store::Account], keys: &[store::ApiKey]) -> bool {
    accounts.iter().any(|account| !account.auth_tokens.is_empty()) || keys.iter().any(|key| !key.secrets.is_empty())
}
