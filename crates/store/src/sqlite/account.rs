//! Accounts, API keys and the secrets of the installation.

use room::{AccountSid, ApiKeySid};
use rusqlite::{Connection, OptionalExtension, params};

use super::row;
use crate::{Account, ApiKey, StoreError};

pub(super) fn put(db: &Connection, account: &Account) -> Result<(), StoreError> {
    db.prepare_cached("INSERT INTO accounts (sid) VALUES (?1) ON CONFLICT (sid) DO NOTHING")?
        .execute(params![account.sid.as_bytes()])?;
    db.prepare_cached(
        "INSERT INTO account_secrets (account_id, auth_token)
         SELECT id, ?2 FROM accounts WHERE sid = ?1
         ON CONFLICT (account_id) DO UPDATE SET auth_token = excluded.auth_token",
    )?
    .execute(params![account.sid.as_bytes(), account.auth_token])?;
    Ok(())
}

pub(super) fn all(db: &Connection) -> Result<Vec<Account>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT a.sid, s.auth_token FROM accounts AS a
         JOIN account_secrets AS s ON s.account_id = a.id ORDER BY a.id",
    )?;
    let accounts = query.query_map([], |row| {
        Ok(Account {
            sid: row::sid(row, "sid", AccountSid::from_bytes)?,
            auth_token: row.get("auth_token")?,
        })
    })?;
    Ok(accounts.collect::<Result<_, _>>()?)
}

pub(super) fn put_key(db: &Connection, key: &ApiKey) -> Result<(), StoreError> {
    let account = id(db, key.account)?
        .ok_or_else(|| StoreError::refused("an API key was given for an account that does not exist"))?;
    db.prepare_cached("INSERT INTO api_keys (sid, account_id) VALUES (?1, ?2) ON CONFLICT (sid) DO NOTHING")?
        .execute(params![key.sid.as_bytes(), account])?;
    let stored = db
        .prepare_cached(
            "INSERT INTO api_key_secrets (api_key_id, secret)
             SELECT id, ?3 FROM api_keys WHERE sid = ?1 AND account_id = ?2
             ON CONFLICT (api_key_id) DO UPDATE SET secret = excluded.secret",
        )?
        .execute(params![key.sid.as_bytes(), account, key.secret])?;
    if stored == 0 {
        return Err(StoreError::refused("the API key is another account's"));
    }
    Ok(())
}

pub(super) fn all_keys(db: &Connection) -> Result<Vec<ApiKey>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT k.sid, a.sid AS account_sid, s.secret FROM api_keys AS k
         JOIN accounts AS a ON a.id = k.account_id
         JOIN api_key_secrets AS s ON s.api_key_id = k.id ORDER BY k.id",
    )?;
    let keys = query.query_map([], |row| {
        Ok(ApiKey {
            sid: row::sid(row, "sid", ApiKeySid::from_bytes)?,
            account: row::sid(row, "account_sid", AccountSid::from_bytes)?,
            secret: row.get("secret")?,
        })
    })?;
    Ok(keys.collect::<Result<_, _>>()?)
}

pub(super) fn secret(db: &Connection, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
    db.prepare_cached("INSERT INTO secrets (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING")?
        .execute(params![name, fresh])?;
    let value = db
        .prepare_cached("SELECT value FROM secrets WHERE name = ?1")?
        .query_row(params![name], |row| row.get(0))?;
    Ok(value)
}

/// The row of an account.
pub(super) fn id(db: &Connection, account: AccountSid) -> Result<Option<i64>, StoreError> {
    let id = db
        .prepare_cached("SELECT id FROM accounts WHERE sid = ?1")?
        .query_row(params![account.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(id)
}
