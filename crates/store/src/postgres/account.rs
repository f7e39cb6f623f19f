//! Accounts, API keys and the secrets of the installation.

use room::{AccountSid, ApiKeySid};

use super::connection::Connection;
use super::row::{self, Sid};
use crate::{Account, ApiKey, StoreError};

pub(super) async fn put(db: &Connection, account: &Account) -> Result<(), StoreError> {
    let sid = Sid(*account.sid.as_bytes());
    db.execute(
        "INSERT INTO accounts (sid) VALUES ($1) ON CONFLICT (sid) DO NOTHING",
        &[&sid],
    )
    .await?;
    db.execute(
        "INSERT INTO account_secrets (account_id, auth_token)
         SELECT id, $2 FROM accounts WHERE sid = $1
         ON CONFLICT (account_id) DO UPDATE SET auth_token = excluded.auth_token",
        &[&sid, &account.auth_token],
    )
    .await?;
    Ok(())
}

pub(super) async fn all(db: &Connection) -> Result<Vec<Account>, StoreError> {
    let rows = db
        .query(
            "SELECT a.sid, s.auth_token FROM accounts AS a
             JOIN account_secrets AS s ON s.account_id = a.id ORDER BY a.id",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Account {
                sid: row::sid(row, "sid", AccountSid::from_bytes)?,
                auth_token: row::get(row, "auth_token")?,
            })
        })
        .collect()
}

pub(super) async fn put_key(db: &Connection, key: &ApiKey) -> Result<(), StoreError> {
    let account = id(db, key.account)
        .await?
        .ok_or_else(|| StoreError::refused("an API key was given for an account that does not exist"))?;
    let sid = Sid(*key.sid.as_bytes());
    db.execute(
        "INSERT INTO api_keys (sid, account_id) VALUES ($1, $2) ON CONFLICT (sid) DO NOTHING",
        &[&sid, &account],
    )
    .await?;
    let stored = db
        .execute(
            "INSERT INTO api_key_secrets (api_key_id, secret)
             SELECT id, $3 FROM api_keys WHERE sid = $1 AND account_id = $2
             ON CONFLICT (api_key_id) DO UPDATE SET secret = excluded.secret",
            &[&sid, &account, &key.secret],
        )
        .await?;
    if stored == 0 {
        return Err(StoreError::refused("the API key is another account's"));
    }
    Ok(())
}

pub(super) async fn all_keys(db: &Connection) -> Result<Vec<ApiKey>, StoreError> {
    let rows = db
        .query(
            "SELECT k.sid, a.sid AS account_sid, s.secret FROM api_keys AS k
             JOIN accounts AS a ON a.id = k.account_id
             JOIN api_key_secrets AS s ON s.api_key_id = k.id ORDER BY k.id",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ApiKey {
                sid: row::sid(row, "sid", ApiKeySid::from_bytes)?,
                account: row::sid(row, "account_sid", AccountSid::from_bytes)?,
                secret: row::get(row, "secret")?,
            })
        })
        .collect()
}

pub(super) async fn secret(db: &Connection, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
    db.execute(
        "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        &[&name, &fresh.as_slice()],
    )
    .await?;
    let row = db
        .query_one("SELECT value FROM secrets WHERE name = $1", &[&name])
        .await?;
    row::get::<&[u8]>(&row, 0)?.try_into().map_err(StoreError::backend)
}

/// The row of an account.
pub(super) async fn id(db: &Connection, account: AccountSid) -> Result<Option<i64>, StoreError> {
    let row = db
        .query_opt("SELECT id FROM accounts WHERE sid = $1", &[&Sid(*account.as_bytes())])
        .await?;
    row.map(|row| row::get(&row, 0)).transpose()
}
