//! Accounts and API keys with their secrets, opened and held in memory, as they are at the moment.
//!
//! Readers take what is in force without a lock; an operator's change puts a new table in its place, and counts from
//! the next request on.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use room::{AccountSid, ApiKeySid, Timestamp};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// An account with the auth token that signs its callbacks. No `Debug`: it holds a secret.
#[derive(Clone)]
pub struct Account {
    /// `AC…`
    pub sid: AccountSid,
    /// The newest.
    pub auth_token: String,
}

/// An API key with the secret that signs access tokens. No `Debug`: it holds a secret.
#[derive(Clone)]
pub struct ApiKey {
    /// `SK…`
    pub sid: ApiKeySid,
    /// The account it belongs to.
    pub account: AccountSid,
    /// The newest.
    pub secret: String,
}

/// All accounts and keys of this server. No `Debug`: it holds secrets.
#[derive(Default)]
pub struct Credentials {
    table: ArcSwap<Table>,
}

/// Accounts and keys as they are at one moment. Revoked keys are not in it.
#[derive(Default)]
pub struct Table {
    accounts: HashMap<AccountSid, AccountEntry>,
    keys: HashMap<ApiKeySid, KeyEntry>,
}

struct AccountEntry {
    is_suspended: bool,
    auth_tokens: Secrets,
}

/// A key in a table.
pub(crate) struct KeyEntry {
    pub(crate) sid: ApiKeySid,
    pub(crate) account: AccountSid,
    secrets: Secrets,
}

/// Secrets of one account or key, newest first, each with its end.
#[derive(Default)]
pub(crate) struct Secrets(Vec<(Zeroizing<String>, Option<Timestamp>)>);

/// Why a pair of Basic authentication is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Nobody has it.
    Unknown,
    /// It is right, and its account is suspended.
    Suspended,
}

impl Credentials {
    /// Of active accounts and keys with one secret each.
    pub fn new(accounts: Vec<Account>, keys: Vec<ApiKey>) -> Self {
        let credentials = Self::default();
        let mut table = Table::default();
        for account in accounts {
            table.add_account(account.sid, false, Secrets::one(account.auth_token));
        }
        for key in keys {
            table.add_key(key.sid, key.account, Secrets::one(key.secret));
        }
        credentials.replace(table);
        credentials
    }

    /// Puts a table in force: who asks from now on asks this one.
    pub fn replace(&self, table: Table) {
        self.table.store(Arc::new(table));
    }

    /// What is in force; it stays the same however long it is held.
    pub(crate) fn table(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// An account, suspended or not, with its newest auth token.
    pub fn account(&self, sid: AccountSid) -> Option<Account> {
        let table = self.table();
        let newest = table.accounts.get(&sid)?.auth_tokens.newest()?;
        Some(Account {
            sid,
            auth_token: newest.to_owned(),
        })
    }

    /// A key that is not revoked, with its newest secret.
    pub fn key(&self, sid: ApiKeySid) -> Option<ApiKey> {
        let table = self.table();
        let key = table.keys.get(&sid)?;
        Some(ApiKey {
            sid,
            account: key.account,
            secret: key.secrets.newest()?.to_owned(),
        })
    }

    /// Whether who joined with the key may still be there: the key is not revoked, nor its account suspended.
    pub fn permits(&self, key: ApiKeySid) -> bool {
        let table = self.table();
        table.active_key(key).is_some()
    }

    /// The account that a pair of Basic authentication speaks for: `AccountSid:AuthToken` or
    /// `ApiKeySid:Secret` (rest.md section 3). Secrets are compared in constant time; which SIDs
    /// exist is no secret.
    ///
    /// # Errors
    /// Whether the pair is wrong, or right and its account suspended.
    pub fn authenticate(&self, user: &str, password: &str, now: Timestamp) -> Result<AccountSid, Denied> {
        let table = self.table();
        let key = |sid: ApiKeySid| table.keys.get(&sid).map(|key| (key.account, &key.secrets));
        let account = |sid| table.accounts.get(&sid).map(|account| (sid, &account.auth_tokens));
        let found = user
            .parse()
            .map_or_else(|_| user.parse().ok().and_then(key), |sid: AccountSid| account(sid));
        let (sid, secrets) = found.ok_or(Denied::Unknown)?;
        let entry = table.accounts.get(&sid).ok_or(Denied::Unknown)?;
        if !secrets.has(password, now) {
            Err(Denied::Unknown)
        } else if entry.is_suspended {
            Err(Denied::Suspended)
        } else {
            Ok(sid)
        }
    }
}

impl Table {
    pub(crate) fn add_account(&mut self, sid: AccountSid, is_suspended: bool, auth_tokens: Secrets) {
        let entry = AccountEntry {
            is_suspended,
            auth_tokens,
        };
        self.accounts.insert(sid, entry);
    }

    pub(crate) fn add_key(&mut self, sid: ApiKeySid, account: AccountSid, secrets: Secrets) {
        let entry = KeyEntry { sid, account, secrets };
        self.keys.insert(sid, entry);
    }

    /// A key of an account that is not suspended.
    pub(crate) fn active_key(&self, sid: ApiKeySid) -> Option<&KeyEntry> {
        let key = self.keys.get(&sid)?;
        let account = self.accounts.get(&key.account)?;
        (!account.is_suspended).then_some(key)
    }
}

impl KeyEntry {
    /// The secrets that are valid, newest first: never none, as long as the clock of `now` is the one that ended others.
    pub(crate) fn valid(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        self.secrets.valid(now)
    }
}

impl Secrets {
    fn one(text: String) -> Self {
        Self(vec![(Zeroizing::new(text), None)])
    }

    /// Adds one that is older than all that are there.
    pub(crate) fn push(&mut self, text: Zeroizing<String>, until: Option<Timestamp>) {
        self.0.push((text, until));
    }

    fn newest(&self) -> Option<&str> {
        self.0.first().map(|(text, _)| text.as_str())
    }

    fn valid(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        let is_valid = move |until: &Option<Timestamp>| until.is_none_or(|until| now < until);
        self.0
            .iter()
            .filter(move |(_, until)| is_valid(until))
            .map(|(text, _)| text.as_str())
    }

    /// Looks at all of them, so that the time tells not which one it was.
    fn has(&self, text: &str, now: Timestamp) -> bool {
        let found = self.valid(now).fold(Choice::from(0), |found, secret| {
            found | secret.as_bytes().ct_eq(text.as_bytes())
        });
        bool::from(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
    const SUSPENDED: AccountSid = AccountSid::from_bytes([5; 16]);
    const KEY: ApiKeySid = ApiKeySid::from_bytes([2; 16]);
    const ORPHAN: ApiKeySid = ApiKeySid::from_bytes([3; 16]);
    const OF_SUSPENDED: ApiKeySid = ApiKeySid::from_bytes([6; 16]);
    const NOW: Timestamp = Timestamp(1_000);

    fn rotated(texts: &[(&str, Option<i64>)]) -> Secrets {
        let mut secrets = Secrets::default();
        for (text, until) in texts {
            secrets.push(Zeroizing::new((*text).to_owned()), until.map(Timestamp));
        }
        secrets
    }

    fn check(user: &str, password: &str, expected: Result<AccountSid, Denied>) {
        let mut table = Table::default();
        table.add_account(
            ACCOUNT,
            false,
            rotated(&[("auth-token", None), ("older", Some(1_001)), ("oldest", Some(1_000))]),
        );
        table.add_account(SUSPENDED, true, rotated(&[("auth-token", None)]));
        table.add_key(KEY, ACCOUNT, rotated(&[("key-secret", None)]));
        table.add_key(
            ORPHAN,
            AccountSid::from_bytes([9; 16]),
            rotated(&[("key-secret", None)]),
        );
        table.add_key(OF_SUSPENDED, SUSPENDED, rotated(&[("key-secret", None)]));
        let credentials = Credentials::default();
        credentials.replace(table);
        assert_eq!(
            credentials.authenticate(user, password, NOW),
            expected,
            "{user}:{password}"
        );
    }

    #[test]
    fn takes_both_pairs_and_older_secrets_until_their_end() {
        check(&ACCOUNT.to_string(), "auth-token", Ok(ACCOUNT));
        check(&ACCOUNT.to_string(), "older", Ok(ACCOUNT));
        check(&KEY.to_string(), "key-secret", Ok(ACCOUNT));
    }

    #[test]
    fn tells_a_suspended_account_to_those_who_have_its_secret_alone() {
        check(&SUSPENDED.to_string(), "auth-token", Err(Denied::Suspended));
        check(&OF_SUSPENDED.to_string(), "key-secret", Err(Denied::Suspended));
        check(&SUSPENDED.to_string(), "wrong", Err(Denied::Unknown));
    }

    #[test]
    fn refuses_everything_else() {
        for (user, password) in [
            (ACCOUNT.to_string(), "key-secret"),
            (ACCOUNT.to_string(), "oldest"),
            (KEY.to_string(), "auth-token"),
            (ACCOUNT.to_string(), ""),
            (ACCOUNT.to_string(), "auth-toke"),
            (ACCOUNT.to_string(), "auth-token "),
            (ORPHAN.to_string(), "key-secret"),
            (AccountSid::from_bytes([4; 16]).to_string(), "auth-token"),
            (String::new(), ""),
            ("admin".to_owned(), "auth-token"),
        ] {
            check(&user, password, Err(Denied::Unknown));
        }
    }
}
