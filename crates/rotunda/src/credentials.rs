//! Accounts and API keys with their secrets, held in memory.

use std::collections::HashMap;

use room::{AccountSid, ApiKeySid};
use store::{Account, ApiKey};
use subtle::ConstantTimeEq;

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

    /// The account that a pair of Basic authentication speaks for: `AccountSid:AuthToken` or
    /// `ApiKeySid:Secret` (rest.md section 3). Secrets are compared in constant time; which SIDs
    /// exist is no secret.
    pub fn authenticate(&self, user: &str, password: &str) -> Option<AccountSid> {
        let (account, secret) = if let Ok(sid) = user.parse() {
            let account = self.account(sid)?;
            (account.sid, &account.auth_token)
        } else {
            let key = self.key(user.parse().ok()?)?;
            (self.account(key.account)?.sid, &key.secret)
        };
        bool::from(secret.as_bytes().ct_eq(password.as_bytes())).then_some(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
    const KEY: ApiKeySid = ApiKeySid::from_bytes([2; 16]);
    const ORPHAN: ApiKeySid = ApiKeySid::from_bytes([3; 16]);

    fn check(user: &str, password: &str, expected: Option<AccountSid>) {
        let key = |sid, account| ApiKey {
            sid,
            account,
            secret: "key-secret".to_owned(),
        };
        let credentials = Credentials::new(
            vec![Account {
                sid: ACCOUNT,
                auth_token: "auth-token".to_owned(),
            }],
            vec![key(KEY, ACCOUNT), key(ORPHAN, AccountSid::from_bytes([9; 16]))],
        );
        assert_eq!(credentials.authenticate(user, password), expected, "{user}:{password}");
    }

    #[test]
    fn takes_both_pairs() {
        check(&ACCOUNT.to_string(), "auth-token", Some(ACCOUNT));
        check(&KEY.to_string(), "key-secret", Some(ACCOUNT));
    }

    #[test]
    fn refuses_everything_else() {
        for (user, password) in [
            (ACCOUNT.to_string(), "key-secret"),
            (KEY.to_string(), "auth-token"),
            (ACCOUNT.to_string(), ""),
            (ACCOUNT.to_string(), "auth-toke"),
            (ACCOUNT.to_string(), "auth-token "),
            (ORPHAN.to_string(), "key-secret"),
            (AccountSid::from_bytes([4; 16]).to_string(), "auth-token"),
            (String::new(), ""),
            ("admin".to_owned(), "auth-token"),
        ] {
            check(&user, password, None);
        }
    }
}
