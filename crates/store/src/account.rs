//! Accounts and their API keys.

use room::{AccountSid, ApiKeySid};

/// An account with its secret.
#[derive(Clone)]
pub struct Account {
    /// `AC…`
    pub sid: AccountSid,
    /// Signs callbacks; 32 hexadecimal digits.
    pub auth_token: String,
}

/// An API key with its secret.
#[derive(Clone)]
pub struct ApiKey {
    /// `SK…`
    pub sid: ApiKeySid,
    /// The account it belongs to.
    pub account: AccountSid,
    /// Verifies access tokens.
    pub secret: String,
}
