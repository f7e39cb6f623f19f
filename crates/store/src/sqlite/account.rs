//! Accounts, API keys and the secrets of the installation.

use room::{AccountSid, ApiKeySid};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row;
use crate::{Account, ApiKey, SealedSecret, SecretOf, StoreError};

/// The account of rooms that are being forgotten (`migrations/0002_housekeeping.sql`).
const NOBODY: &[u8; 16] = b"nobody's account";

pub(super) fn put(db: &Connection, account: &Account) -> Result<(), StoreError> {
    let id: i64 = db
        .prepare_cached(
            "INSERT INTO accounts (sid, name, created_us, suspended_us) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (sid) DO UPDATE SET name = excluded.name, suspended_us = excluded.suspended_us
             RETURNING id",
        )?
        .query_row(
            params![
                account.sid.as_bytes(),
                account.name,
                account.created.map(|at| at.0),
                account.suspended.map(|at| at.0)
            ],
            |row| row.get(0),
        )?;
    db.prepare_cached("DELETE FROM sealed_secrets WHERE account_id = ?1")?
        .execute([id])?;
    insert_secrets(db, Some(id), None, &account.auth_tokens)
}

pub(super) fn all(db: &Connection) -> Result<Vec<Account>, StoreError> {
    let mut query = db.prepare_cached("SELECT * FROM accounts WHERE sid <> ?1 ORDER BY id")?;
    let accounts = query.query_map(params![NOBODY], |row| {
        Ok(Account {
            sid: row::sid(row, "sid", AccountSid::from_bytes)?,
            name: row.get("name")?,
            created: row::time_or_null(row, "created_us")?,
            suspended: row::time_or_null(row, "suspended_us")?,
            auth_tokens: secrets(
                db,
                "SELECT * FROM sealed_secrets WHERE account_id = ?1 ORDER BY id",
                row.get("id")?,
            )?,
        })
    })?;
    Ok(accounts.collect::<Result<_, _>>()?)
}

pub(super) fn put_key(db: &Connection, key: &ApiKey) -> Result<(), StoreError> {
    let account = id(db, key.account)?
        .ok_or_else(|| StoreError::refused("an API key was given for an account that does not exist"))?;
    let stored: Option<i64> = db
        .prepare_cached(
            "INSERT INTO api_keys (sid, account_id, name, created_us, revoked_us) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (sid) DO UPDATE SET name = excluded.name, revoked_us = excluded.revoked_us
             WHERE account_id = excluded.account_id
             RETURNING id",
        )?
        .query_row(
            params![
                key.sid.as_bytes(),
                account,
                key.name,
                key.created.map(|at| at.0),
                key.revoked.map(|at| at.0)
            ],
            |row| row.get(0),
        )
        .optional()?;
    let id = stored.ok_or_else(|| StoreError::refused("the API key is another account's"))?;
    db.prepare_cached("DELETE FROM sealed_secrets WHERE api_key_id = ?1")?
        .execute([id])?;
    insert_secrets(db, None, Some(id), &key.secrets)
}

pub(super) fn all_keys(db: &Connection) -> Result<Vec<ApiKey>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT k.*, a.sid AS account_sid FROM api_keys AS k JOIN accounts AS a ON a.id = k.account_id ORDER BY k.id",
    )?;
    let keys = query.query_map([], |row| {
        Ok(ApiKey {
            sid: row::sid(row, "sid", ApiKeySid::from_bytes)?,
            account: row::sid(row, "account_sid", AccountSid::from_bytes)?,
            name: row.get("name")?,
            created: row::time_or_null(row, "created_us")?,
            revoked: row::time_or_null(row, "revoked_us")?,
            secrets: secrets(
                db,
                "SELECT * FROM sealed_secrets WHERE api_key_id = ?1 ORDER BY id",
                row.get("id")?,
            )?,
        })
    })?;
    Ok(keys.collect::<Result<_, _>>()?)
}

fn secrets(db: &Connection, sql: &str, owner: i64) -> rusqlite::Result<Vec<SealedSecret>> {
    let read = |row: &Row<'_>| {
        Ok(SealedSecret {
            sealed: row.get("sealed")?,
            since: row::time(row, "since_us")?,
            until: row::time_or_null(row, "until_us")?,
        })
    };
    db.prepare_cached(sql)?.query_map([owner], read)?.collect()
}

/// In their order, so that the newest has the lowest number.
fn insert_secrets(
    db: &Connection,
    account: Option<i64>,
    key: Option<i64>,
    secrets: &[SealedSecret],
) -> Result<(), StoreError> {
    let mut insert = db.prepare_cached(
        "INSERT INTO sealed_secrets (account_id, api_key_id, sealed, since_us, until_us) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for secret in secrets {
        insert.execute(params![
            account,
            key,
            secret.sealed,
            secret.since.0,
            secret.until.map(|at| at.0)
        ])?;
    }
    Ok(())
}

/// Whether anything is sealed.
pub(super) fn has_sealed(db: &Connection) -> Result<bool, StoreError> {
    Ok(db.query_row("SELECT EXISTS (SELECT 1 FROM sealed_secrets)", [], |row| row.get(0))?)
}

/// Seals what an earlier program kept in the open, in one transaction, and overwrites it; how many. The caller empties
/// the write-ahead log.
pub(super) fn seal<E: From<StoreError>>(
    db: &mut Connection,
    mut seal: impl FnMut(SecretOf, &str) -> Result<SealedSecret, E>,
) -> Result<usize, E> {
    let failed = |error: rusqlite::Error| E::from(StoreError::from(error));
    let transaction = db.transaction().map_err(failed)?;
    let open = open_secrets(&transaction).map_err(failed)?;
    if open.is_empty() {
        return Ok(0);
    }
    for (owner, id, text) in &open {
        let secret = seal(*owner, text)?;
        let (account, key) = match owner {
            SecretOf::Account(_) => (Some(*id), None),
            SecretOf::ApiKey(_) => (None, Some(*id)),
        };
        insert_secrets(&transaction, account, key, &[secret])?;
    }
    // Zeroes are written over what is deleted.
    transaction.pragma_update(None, "secure_delete", true).map_err(failed)?;
    transaction
        .execute_batch("DELETE FROM account_secrets; DELETE FROM api_key_secrets;")
        .map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(open.len())
}

type OpenSecret = (SecretOf, i64, String);

fn open_secrets(db: &Connection) -> rusqlite::Result<Vec<OpenSecret>> {
    let of_accounts =
        "SELECT a.id, a.sid, s.auth_token FROM accounts AS a JOIN account_secrets AS s ON s.account_id = a.id";
    let of_keys = "SELECT k.id, k.sid, s.secret FROM api_keys AS k JOIN api_key_secrets AS s ON s.api_key_id = k.id";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, [u8; 16]>(1)?, row.get(2)?));
    let mut open = Vec::new();
    for row in db.prepare(of_accounts)?.query_map([], read)? {
        let (id, sid, text) = row?;
        open.push((SecretOf::Account(AccountSid::from_bytes(sid)), id, text));
    }
    for row in db.prepare(of_keys)?.query_map([], read)? {
        let (id, sid, text) = row?;
        open.push((SecretOf::ApiKey(ApiKeySid::from_bytes(sid)), id, text));
    }
    Ok(open)
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
