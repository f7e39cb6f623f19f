//! Accounts, keys, secrets of the installation.

use room::{ApiKeySid, Timestamp};

use super::fixture::{NOON, OURS, THEIRS, accounts, later, refused};
use super::{Fresh, with};
use crate::{Account, ApiKey, Audit, AuditFilter, SealedSecret};

/// Oldest first; a second put replaces everything but the place and the moment of creation.
pub fn accounts_are_kept_in_order_and_replaced(fresh: Fresh) {
    with(fresh, |store| async move {
        assert!(store.accounts().await.unwrap().is_empty());
        accounts(&*store).await;
        let ours = Account {
            name: "Ours".to_owned(),
            created: Some(NOON),
            suspended: Some(later(NOON, 1)),
            auth_tokens: vec![sealed(b"newest", None), sealed(b"older", Some(later(NOON, 5)))],
            ..Account::new(OURS)
        };
        store.put_account(ours.clone()).await.unwrap();
        // The first put did not say when it was made, and later ones do not change that.
        let ours = Account { created: None, ..ours };
        assert_eq!(store.accounts().await.unwrap(), [ours.clone(), Account::new(THEIRS)]);
        let resumed = Account {
            suspended: None,
            auth_tokens: vec![sealed(b"newest", None)],
            ..ours
        };
        let by = Audit {
            account: Some(OURS),
            ..Audit::of_operator(NOON, "resume-account")
        };
        store
            .put_account_audited(resumed.clone(), Some(by.clone()))
            .await
            .unwrap();
        assert_eq!(store.accounts().await.unwrap()[0], resumed);
        assert_eq!(store.audit(AuditFilter::default(), 0, 10).await.unwrap()[0].audit, by);
    });
}

/// A key is of an account that exists, and stays that account's.
pub fn keys_belong_to_an_account(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = ApiKeySid::from_bytes([3; 16]);
        let key = |account, secret: &[u8]| ApiKey {
            name: "A key".to_owned(),
            created: Some(NOON),
            secrets: vec![sealed(secret, None)],
            ..ApiKey::new(sid, account)
        };
        refused(store.put_api_key(key(OURS, b"early")).await);
        accounts(&*store).await;
        store.put_api_key(key(OURS, b"first")).await.unwrap();
        store.put_api_key(key(OURS, b"second")).await.unwrap();
        let by = Audit::of_operator(NOON, "rotate-key");
        refused(store.put_api_key_audited(key(THEIRS, b"third"), Some(by)).await);
        assert_eq!(store.api_keys().await.unwrap(), [key(OURS, b"second")]);
        assert!(store.audit(AuditFilter::default(), 0, 10).await.unwrap().is_empty());
        let revoked = ApiKey {
            revoked: Some(later(NOON, 9)),
            secrets: Vec::new(),
            ..key(OURS, b"")
        };
        let by = Audit {
            api_key: Some(sid),
            ..Audit::of_operator(NOON, "revoke-key")
        };
        store
            .put_api_key_audited(revoked.clone(), Some(by.clone()))
            .await
            .unwrap();
        assert_eq!(store.api_keys().await.unwrap(), [revoked]);
        assert_eq!(store.audit(AuditFilter::default(), 0, 10).await.unwrap()[0].audit, by);
    });
}

fn sealed(bytes: &[u8], until: Option<Timestamp>) -> SealedSecret {
    SealedSecret {
        sealed: bytes.to_vec(),
        since: NOON,
        until,
    }
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
