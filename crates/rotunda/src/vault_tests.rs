//! Changes of accounts and keys on a real store: what is in force afterwards, and what is refused.

#![allow(clippy::unwrap_used)]

use store::{AuditFilter, SqliteStore};

use super::*;
use crate::credentials::Denied;

async fn vault() -> Vault {
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    Vault::open(store, MasterKey::random().unwrap(), Preset::default())
        .await
        .unwrap()
}

fn later(seconds: i64) -> Timestamp {
    Timestamp(wall().0 + seconds * 1_000_000)
}

fn refusal<T>(result: Result<T, VaultError>) -> String {
    match result {
        Err(VaultError::Refused(sentence)) => sentence,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was done"),
    }
}

#[tokio::test]
async fn rotated_secrets_overlap_and_end() {
    let vault = vault().await;
    let account = vault.create_account("Clinic", None).await.unwrap();
    let (sid, first) = (account.account_sid, account.auth_token.unwrap());
    let rotate = |overlap_s| CredentialChange::RotateAuthToken {
        account: sid.clone(),
        overlap_s,
    };
    let rotated = vault.change(&rotate(60)).await.unwrap();
    let second = rotated.auth_token.unwrap();
    let until_s = rotated.older_until_s.unwrap();
    assert!((until_s - wall().seconds() - 60).abs() <= 5, "{until_s}");
    let takes = |token: &str, now| vault.credentials().authenticate(&sid, token, now);
    let account_sid = account_sid(&sid).unwrap();
    for token in [&first, &second] {
        assert_eq!(takes(token, later(0)), Ok(account_sid));
    }
    assert_eq!(takes(&first, later(61)), Err(Denied::Unknown));
    assert_eq!(takes(&second, later(61)), Ok(account_sid));
    let newest = vault.credentials().account(account_sid).unwrap().auth_token;
    assert_eq!(newest, second, "callbacks are signed with the newest");
    // A second rotation does not prolong the first one's end.
    let third = vault.change(&rotate(3600)).await.unwrap().auth_token.unwrap();
    assert_eq!(takes(&first, later(61)), Err(Denied::Unknown));
    assert_eq!(takes(&second, later(61)), Ok(account_sid));
    vault.change(&rotate(3600)).await.unwrap();
    let refused = refusal(vault.change(&rotate(3600)).await);
    assert!(refused.contains("--overlap 0s"), "{refused}");
    let fresh = vault.change(&rotate(0)).await.unwrap();
    assert_eq!(fresh.older_until_s, None);
    for token in [&first, &second, &third] {
        assert_eq!(takes(token, later(0)), Err(Denied::Unknown), "ended at once");
    }
    assert_eq!(takes(&fresh.auth_token.unwrap(), later(0)), Ok(account_sid));
    assert!(refusal(vault.change(&rotate(31 * 86_400)).await).contains("30 days"));
}

#[tokio::test]
async fn revoked_and_suspended_is_at_once_and_audited_once() {
    let vault = vault().await;
    let account = vault.create_account("", None).await.unwrap();
    let create = CredentialChange::CreateKey {
        account: account.account_sid.clone(),
        name: "Kiosk".to_owned(),
    };
    let key = vault.change(&create).await.unwrap();
    let (sid, secret) = (key.api_key_sid.unwrap(), key.secret.unwrap());
    let takes = || vault.credentials().authenticate(&sid, &secret, wall());
    let key = key_sid(&sid).unwrap();
    assert!(takes().is_ok() && vault.credentials().permits(key));
    let suspend = CredentialChange::SuspendAccount {
        account: account.account_sid.clone(),
        end_sessions: false,
    };
    let resume = CredentialChange::ResumeAccount {
        account: account.account_sid.clone(),
    };
    for _ in 0..2 {
        vault.change(&suspend).await.unwrap();
        assert_eq!(takes(), Err(Denied::Suspended));
        assert!(!vault.credentials().permits(key));
    }
    vault.change(&resume).await.unwrap();
    assert!(takes().is_ok());
    let revoke = CredentialChange::RevokeKey {
        key: sid.clone(),
        end_sessions: false,
    };
    for _ in 0..2 {
        vault.change(&revoke).await.unwrap();
        assert_eq!(takes(), Err(Denied::Unknown));
        assert!(vault.credentials().key(key).is_none());
    }
    let rotate = CredentialChange::RotateKey {
        key: sid.clone(),
        overlap_s: 0,
    };
    assert!(refusal(vault.change(&rotate).await).contains("revoked"));
    assert!(vault.api_keys().await.unwrap()[0].secrets.is_empty());
    let log = vault.store.audit(AuditFilter::default(), 0, 100).await.unwrap();
    let lines: Vec<(&str, bool)> = log
        .iter()
        .map(|row| (row.audit.operation.as_str(), row.audit.api_key == Some(key)))
        .collect();
    let expected = [
        ("create-key", true),
        ("suspend-account", false),
        ("resume-account", false),
        ("revoke-key", true),
    ];
    assert_eq!(lines, expected);
    assert!(
        log.iter()
            .all(|row| row.audit.account.is_some() && row.audit.credential == "operator")
    );
}

#[tokio::test]
async fn accounts_keys_and_names_are_bounded() {
    let vault = vault().await;
    let long = "n".repeat(limits::CREDENTIAL_NAME_CHARS_MAX + 1);
    for name in [long.as_str(), "a\nb"] {
        assert!(refusal(vault.create_account(name, None).await).contains("a name has"));
    }
    let account = vault.create_account("", None).await.unwrap().account_sid;
    let account = account_sid(&account).unwrap();
    for _ in 0..limits::KEYS_PER_ACCOUNT_MAX {
        vault.create_key(account, "", None).await.unwrap();
    }
    assert!(refusal(vault.create_key(account, "", None).await).contains("revoke one"));
    for number in 1..limits::ACCOUNTS_MAX {
        let number = u128::try_from(number).unwrap();
        let account = Account::new(AccountSid::from_bytes(number.to_be_bytes()));
        vault.store.put_account(account).await.unwrap();
    }
    assert!(refusal(vault.create_account("", None).await).contains("as many as there may be"));
    let nobody = AccountSid::from_bytes([0xff; 16]);
    assert!(refusal(vault.create_key(nobody, "", None).await).contains("there is no account"));
}

#[tokio::test]
async fn what_is_preset_is_changed_outside_alone() {
    let (account, key) = (AccountSid::from_bytes([1; 16]), ApiKeySid::from_bytes([2; 16]));
    let preset = Preset {
        account: Some(account),
        api_key: Some(key),
    };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let master_key = MasterKey::random().unwrap();
    let vault = Vault::open(Arc::clone(&store), master_key, preset).await.unwrap();
    for token in ["first-token", "first-token", "second-token"] {
        vault.preset_account(account, token).await.unwrap();
        vault.preset_key(account, key, token).await.unwrap();
        let user = account.to_string();
        assert_eq!(vault.credentials().authenticate(&user, token, wall()), Ok(account));
    }
    let user = account.to_string();
    let old = vault.credentials().authenticate(&user, "first-token", wall());
    assert_eq!(old, Err(Denied::Unknown));
    let rotate = CredentialChange::RotateAuthToken {
        account: user,
        overlap_s: 0,
    };
    assert!(refusal(vault.change(&rotate).await).contains("ROTUNDA_AUTH_TOKEN"));
    let revoke = CredentialChange::RevokeKey {
        key: key.to_string(),
        end_sessions: false,
    };
    assert!(refusal(vault.change(&revoke).await).contains("ROTUNDA_API_KEY_SID"));
    let other = vault.create_account("", None).await.unwrap().account_sid;
    let stolen = vault.preset_key(account_sid(&other).unwrap(), key, "third-token").await;
    assert!(refusal(stolen).contains("another account's"));
    let wrong = Vault::open(store, MasterKey::random().unwrap(), Preset::default()).await;
    assert!(matches!(
        wrong.err(),
        Some(VaultError::MasterKey(MasterKeyError::Wrong { .. }))
    ));
}
