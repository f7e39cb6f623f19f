//! Accounts and API keys with their secrets, held in memory.

use std::collections::HashMap;

use room::{AccountSid, ApiKeySid};
use store::{Account, ApiKey};

/// All accounts and keys of this server. No `Debug`: it holds secrets.
#[derive(Default)]
pub struct Credentials {
    accounts: HashMap<AccountSid, Account>,
    keys: HashMap<ApiKeySid, ApiKey>,
}

impl Credentials {
    /// From what the store holds.
    pub fn new(accounts: Vec<Account>, keys: Vec<ApiKey>) -> Self {
        Self {
            accounts: accounts.into_iter().map(|account| (account.sid, account)).collect(),
            keys: keys.into_iter().map(|key| (key.sid, key)).collect(),
        }
    }

    /// An account.
    pub fn account(&self, sid: AccountSid) -> Option<&Account> {
        self.accounts.get(&sid)
    }

    /// A key.
    pub fn key(&self, sid: ApiKeySid) -> Option<&ApiKey> {
        self.keys.get(&sid)
    }
}
