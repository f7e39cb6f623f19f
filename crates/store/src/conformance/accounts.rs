//! Accounts, keys, secrets of the installation.

use room::ApiKeySid;

use super::fixture::{OURS, THEIRS, accounts, refused};
use super::{Fresh, with};
use crate::{Account, ApiKey};

/// Oldest first; a second put replaces the secret and not the place.
pub fn accounts_are_kept_in_order_and_their_secrets_replaced(fresh: Fresh) {
    with(fresh, |store| async move {
        assert!(store.accounts().await.unwrap().is_empty());
        accounts(&*store).await;
        let account = Account {
            sid: OURS,
            auth_token: "f".repeat(32),
        };
        store.put_account(account).await.unwrap();
        let all = store.accounts().await.unwrap();
        let sids: Vec<_> = all.iter().map(|account| account.sid).collect();
        assert_eq!(sids, [OURS, THEIRS]);
        assert_eq!(all[0].auth_token, "f".repeat(32));
        assert_eq!(all[1].auth_token, "0123456789abcdef0123456789abcdef");
    });
}

/// A key is of an account that exists, and stays that account's.
pub fn keys_belong_to_an_account(fresh: Fresh) {
    with(fresh, |store| async move {
        let key = |account, secret: &str| ApiKey {
            sid: ApiKeySid::from_bytes([3; 16]),
            account,
            secret: secret.to_owned(),
        };
        refused(store.put_api_key(key(OURS, "early")).await);
        accounts(&*store).await;
        store.put_api_key(key(OURS, "first")).await.unwrap();
        store.put_api_key(key(OURS, "second")).await.unwrap();
        refused(store.put_api_key(key(THEIRS, "third")).await);
        let keys = store.api_keys().await.unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].account, OURS);
        assert_eq!(keys[0].secret, "second");
    });
}

/// The first call decides; others get what it gave.
pub fn a_secret_is_made_once(fresh: Fresh) {
    with(fresh, |store| async move {
        assert_eq!(store.secret("pages", [1; 32]).await.unwrap(), [1; 32]);
        assert_eq!(store.secret("pages", [2; 32]).await.unwrap(), [1; 32]);
        assert_eq!(store.secret("other", [2; 32]).await.unwrap(), [2; 32]);
    });
}

/// A store that works says so, repeatedly.
pub fn the_check_passes(fresh: Fresh) {
    with(fresh, |store| async move {
        store.check().await.unwrap();
        store.check().await.unwrap();
    });
}
