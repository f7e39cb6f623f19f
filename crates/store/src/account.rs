//! Accounts and their API keys, as they are kept: with sealed secrets, which no backend can read.

use room::{AccountSid, ApiKeySid, Timestamp};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `AC…`
    pub sid: AccountSid,
    /// What the operator calls it; may be empty.
    pub name: String,
    /// When it was made; `None`: by a version that did not write it down. A later put does not change it.
    pub created: Option<Timestamp>,
    /// Since when it may do nothing; `None`: it is active.
    pub suspended: Option<Timestamp>,
    /// Auth tokens, newest first.
    pub auth_tokens: Vec<SealedSecret>,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// `SK…`
    pub sid: ApiKeySid,
    /// The account it belongs to.
    pub account: AccountSid,
    /// What the operator calls it; may be empty.
    pub name: String,
    /// As of an account.
    pub created: Option<Timestamp>,
    /// Since when nobody may use it; it never comes back.
    pub revoked: Option<Timestamp>,
    /// Secrets, newest first.
    pub secrets: Vec<SealedSecret>,
}

/// A secret that only who has the master key can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// Opaque to the store.
    pub sealed: Vec<u8>,
    /// Since when it is valid.
    pub since: Timestamp,
    /// When it ends to be valid, since there is a newer one; `None`: never.
    pub until: Option<Timestamp>,
}

/// Whose secret it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretOf {
    /// An auth token.
    Account(AccountSid),
    /// A key's secret.
    ApiKey(ApiKeySid),
}

impl Account {
    /// An active account without a name and without secrets.
    pub fn new(sid: AccountSid) -> Self {
        Self {
            sid,
            name: String::new(),
            created: None,
            suspended: None,
            auth_tokens: Vec::new(),
        }
    }
}

impl ApiKey {
    /// A key without a name and without secrets.
    pub fn new(sid: ApiKeySid, account: AccountSid) -> Self {
        Self {
            sid,
            account,
            name: String::new(),
            created: None,
            revoked: None,
            secrets: Vec::new(),
        }
    }
}
