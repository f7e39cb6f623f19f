//! Accounts, API keys and the secrets of the installation.

use room::{AccountSid, ApiKeySid};

use tokio_postgres::Row;

use super::connection::Connection;
use super::retention::NOBODY;
use super::row::{self, Sid};
use crate::{Account, ApiKey, SealedSecret, StoreError};

pub(super) async fn put(db: &Connection, account: &Account) -> Result<(), StoreError> {
    let stored = db
        .query_one(
            "INSERT INTO accounts (sid, name, created_us, suspended_us) VALUES ($1, $2, $3, $4)
             ON CONFLICT (sid) DO UPDATE SET name = excluded.name, suspended_us = excluded.suspended_us
             RETURNING id",
            &[
                &Sid(*account.sid.as_bytes()),
                &row::text(&account.name),
                &account.created.map(|at| at.0),
                &account.suspended.map(|at| at.0),
            ],
        )
        .await?;
    let id: i64 = row::get(&stored, 0)?;
    db.execute("DELETE FROM sealed_secrets WHERE account_id = $1", &[&id])
        .await?;
    insert_secrets(db, Some(id), None, &account.auth_tokens).await
}

/// What a secret is read from, with the row of its owner.
const SECRET: &str = "s.sealed, s.since_us, s.until_us";

pub(super) async fn all(db: &Connection) -> Result<Vec<Account>, StoreError> {
    let sql = format!(
        "SELECT a.sid, a.name, a.created_us, a.suspended_us, {SECRET} FROM accounts AS a
         LEFT JOIN sealed_secrets AS s ON s.account_id = a.id WHERE a.id <> {NOBODY} ORDER BY a.id, s.id"
    );
    let mut accounts: Vec<Account> = Vec::new();
    for row in &db.query(&sql, &[]).await? {
        let sid = row::sid(row, "sid", AccountSid::from_bytes)?;
        if accounts.last().is_none_or(|last| last.sid != sid) {
            accounts.push(Account {
                sid,
                name: row::get(row, "name")?,
                created: row::time_or_null(row, "created_us")?,
                suspended: row::time_or_null(row, "suspended_us")?,
                auth_tokens: Vec::new(),
            });
        }
        if let Some(account) = accounts.last_mut() {
            account.auth_tokens.extend(secret_of(row)?);
        }
    }
    Ok(accounts)
}

pub(super) async fn put_key(db: &Connection, key: &ApiKey) -> Result<(), StoreError> {
    let account = id(db, key.account)
        .await?
        .ok_or_else(|| StoreError::refused("an API key was given for an account that does not exist"))?;
    let stored = db
        .query_opt(
            "INSERT INTO api_keys AS k (sid, account_id, name, created_us, revoked_us) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (sid) DO UPDATE SET name = excluded.name, revoked_us = excluded.revoked_us
             WHERE k.account_id = excluded.account_id
             RETURNING id",
            &[
                &Sid(*key.sid.as_bytes()),
                &account,
                &row::text(&key.name),
                &key.created.map(|at| at.0),
                &key.revoked.map(|at| at.0),
            ],
        )
        .await?
        .ok_or_else(|| StoreError::refused("the API key is another account's"))?;
    let id: i64 = row::get(&stored, 0)?;
    db.execute("DELETE FROM sealed_secrets WHERE api_key_id = $1", &[&id])
        .await?;
    insert_secrets(db, None, Some(id), &key.secrets).await
}

pub(super) async fn all_keys(db: &Connection) -> Result<Vec<ApiKey>, StoreError> {
    let sql = format!(
        "SELECT k.sid, a.sid AS account_sid, k.name, k.created_us, k.revoked_us, {SECRET} FROM api_keys AS k
         JOIN accounts AS a ON a.id = k.account_id
         LEFT JOIN sealed_secrets AS s ON s.api_key_id = k.id ORDER BY k.id, s.id"
    );
    let mut keys: Vec<ApiKey> = Vec::new();
    for row in &db.query(&sql, &[]).await? {
        let sid = row::sid(row, "sid", ApiKeySid::from_bytes)?;
        if keys.last().is_none_or(|last| last.sid != sid) {
            keys.push(ApiKey {
                sid,
                account: row::sid(row, "account_sid", AccountSid::from_bytes)?,
                name: row::get(row, "name")?,
                created: row::time_or_null(row, "created_us")?,
                revoked: row::time_or_null(row, "revoked_us")?,
                secrets: Vec::new(),
            });
        }
        if let Some(key) = keys.last_mut() {
            key.secrets.extend(secret_of(row)?);
        }
    }
    Ok(keys)
}

/// The secret of a row, if its owner has any.
fn secret_of(row: &Row) -> Result<Option<SealedSecret>, StoreError> {
    let Some(sealed) = row::get(row, "sealed")? else {
        return Ok(None);
    };
    Ok(Some(SealedSecret {
        sealed,
        since: row::time(row, "since_us")?,
        until: row::time_or_null(row, "until_us")?,
    }))
}

/// In their order, so that the newest has the lowest number.
async fn insert_secrets(
    db: &Connection,
    account: Option<i64>,
    key: Option<i64>,
    secrets: &[SealedSecret],
) -> Result<(), StoreError> {
    for secret in secrets {
        db.execute(
            "INSERT INTO sealed_secrets (account_id, api_key_id, sealed, since_us, until_us)
             VALUES ($1, $2, $3, $4, $5)",
            &[
                &account,
                &key,
                &secret.sealed,
                &secret.since.0,
                &secret.until.map(|at| at.0),
            ],
        )
        .await?;
    }
    Ok(())
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
