//! The account and the API key that a server has from its first start.

use aws_lc_rs::rand;
use room::{AccountSid, ApiKeySid};
use store::{Account, ApiKey, Store};

use super::StartError;
use crate::config::Settings;
use crate::credentials::Credentials;

/// Whose server it is: the preset account and key, else the oldest. No `Debug`: it holds secrets.
#[derive(Clone)]
pub struct Owner {
    /// The account.
    pub account: Account,
    /// A key of the account.
    pub api_key: ApiKey,
    /// Whether one of the two was made by this start: its secret was never shown.
    pub fresh: bool,
}

impl Owner {
    /// How the page takes them: `AC…:SK…:secret`.
    pub fn page_credentials(&self) -> String {
        format!("{}:{}:{}", self.account.sid, self.api_key.sid, self.api_key.secret)
    }
}

/// Stores what is preset, makes what is missing, and reads all credentials.
pub(super) async fn establish(store: &dyn Store, settings: &Settings) -> Result<(Credentials, Owner), StartError> {
    let mut fresh = false;
    if let Some(preset) = &settings.account {
        store
            .put_account(Account {
                sid: preset.sid,
                auth_token: preset.auth_token.clone(),
            })
            .await?;
    }
    let mut accounts = store.accounts().await?;
    let wanted = settings.account.as_ref().map(|preset| preset.sid);
    let account = match accounts
        .iter()
        .find(|account| wanted.is_none_or(|sid| account.sid == sid))
    {
        Some(account) => account.clone(),
        None => {
            let account = Account {
                sid: AccountSid::from_bytes(random()?),
                auth_token: hex(&random::<16>()?),
            };
            store.put_account(account.clone()).await?;
            accounts.push(account.clone());
            fresh = true;
            account
        }
    };

    if let Some(preset) = &settings.api_key {
        store
            .put_api_key(ApiKey {
                sid: preset.sid,
                account: account.sid,
                secret: preset.secret.clone(),
            })
            .await?;
    }
    let mut keys = store.api_keys().await?;
    let wanted = settings.api_key.as_ref().map(|preset| preset.sid);
    let api_key = match keys
        .iter()
        .find(|key| key.account == account.sid && wanted.is_none_or(|sid| key.sid == sid))
    {
        Some(key) => key.clone(),
        None => {
            let key = ApiKey {
                sid: ApiKeySid::from_bytes(random()?),
                account: account.sid,
                secret: hex(&random::<16>()?),
            };
            store.put_api_key(key.clone()).await?;
            keys.push(key.clone());
            fresh = true;
            key
        }
    };
    Ok((
        Credentials::new(accounts, keys),
        Owner {
            account,
            api_key,
            fresh,
        },
    ))
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| StartError::Random)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
