//! Forgetting what is old, a few rows at a time.
//!
//! A room that goes is first handed to the account that nobody can ask for: from then on it is in no answer. Its rows
//! go in the order in which they refer to each other, so that every commit leaves a database without a gap. What
//! another lane is at is left for the next time, so that nobody waits in a circle.

use super::connection::{Connection, Parameters};
use super::{audit, row, rules};
use crate::{Expiry, Forgotten, StoreError, limits};

/// The account of what is being forgotten.
pub(super) const NOBODY: &str = "(SELECT id FROM accounts WHERE sid = '6e6f626f-6479-2773-2061-63636f756e74')";

/// Deletes about `rows` rows, if so many are old enough.
pub(super) async fn forget(db: &Connection, before: Expiry, rows: u32) -> Result<Forgotten, StoreError> {
    let mut batch = Batch {
        db,
        left: i64::from(rows.clamp(1, limits::FORGET_ROWS_MAX)),
        forgotten: Forgotten::default(),
    };
    batch.finish_rooms().await?;
    if let Some(before) = before.rooms {
        batch.begin_rooms(before.0).await?;
    }
    if let Some(before) = before.events {
        batch.events_of_rooms(before.0).await?;
    }
    if let Some(before) = before.callbacks {
        batch.callbacks(before.0).await?;
    }
    if let Some(before) = before.audit
        && batch.left > 0
    {
        let deleted = audit::forget(db, before.0, batch.left).await?;
        batch.left -= count(deleted);
        batch.forgotten.audit += deleted;
    }
    batch.forgotten.more |= batch.left <= 0;
    Ok(batch.forgotten)
}

/// What one call may still delete, and what it deleted.
struct Batch<'a> {
    db: &'a Connection,
    left: i64,
    forgotten: Forgotten,
}

impl Batch<'_> {
    /// Goes on with the rooms that are in no answer any more.
    async fn finish_rooms(&mut self) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT id FROM rooms WHERE account_id = {NOBODY} AND status = 'completed'
             ORDER BY created_us, sid LIMIT 1 FOR UPDATE SKIP LOCKED"
        );
        while self.left > 0 {
            let Some(&room) = self.ids(&sql, &[]).await?.first() else {
                return Ok(());
            };
            self.events_of(room).await?;
            self.participants_of(room).await?;
            if self.left > 0 {
                self.db.execute("DELETE FROM rooms WHERE id = $1", &[&room]).await?;
                self.left -= 1;
            }
        }
        Ok(())
    }

    /// Takes old rooms out of every answer; their rows go with the next calls.
    async fn begin_rooms(&mut self, before_us: i64) -> Result<(), StoreError> {
        let old = self
            .candidates("r.ended_us IS NOT NULL AND r.ended_us < $1", before_us)
            .await?;
        let sql = format!("UPDATE rooms SET account_id = {NOBODY} WHERE id = $1");
        for room in old {
            self.db.execute(&sql, &[&room]).await?;
            self.left -= 1;
            self.forgotten.rooms += 1;
            self.forgotten.more = true;
        }
        Ok(())
    }

    async fn events_of_rooms(&mut self, before_us: i64) -> Result<(), StoreError> {
        let old = self
            .candidates("r.ended_us IS NOT NULL AND r.has_events AND r.ended_us < $1", before_us)
            .await?;
        for room in old {
            if self.left <= 0 {
                return Ok(());
            }
            self.events_of(room).await?;
        }
        Ok(())
    }

    /// Old rooms of `$1` time, `$2` rooms to look at, `$3` rooms to find. Undelivered callbacks hold a room;
    /// an answer of nothing ends the run, so that rooms which are held cost a bounded look each run.
    async fn candidates(&self, matching: &str, before_us: i64) -> Result<Vec<i64>, StoreError> {
        let sql = format!(
            "SELECT r.id FROM rooms AS r WHERE r.id = ANY (ARRAY(
                 SELECT id FROM (SELECT r.id FROM rooms AS r WHERE {matching}
                     ORDER BY r.ended_us, r.id LIMIT $2) AS old
                 WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE room_id = old.id AND state = 'due')
                 LIMIT $3))
             FOR UPDATE SKIP LOCKED"
        );
        let look = i64::from(limits::FORGET_CANDIDATES);
        self.ids(&sql, &[&before_us, &look, &self.left.max(0)]).await
    }

    async fn ids(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<i64>, StoreError> {
        let rows = self.db.query(sql, parameters).await?;
        rows.iter().map(|row| row::get(row, 0)).collect()
    }

    /// Events of a room from the oldest on, each with its callback.
    async fn events_of(&mut self, room: i64) -> Result<(), StoreError> {
        let oldest = self
            .db
            .query(
                "SELECT e.id, e.seq, (SELECT o.id FROM outbox AS o WHERE o.event_id = e.id)
                 FROM events AS e WHERE e.room_id = $1 ORDER BY e.seq LIMIT $2",
                &[&room, &self.left.max(0)],
            )
            .await?;
        let mut first: Option<i64> = None;
        for row in oldest {
            if self.left <= 0 {
                break;
            }
            let (event, sequence): (i64, i64) = (row::get(&row, 0)?, row::get(&row, 1)?);
            if let Some(callback) = row::get(&row, 2)? {
                self.callback(callback).await?;
            }
            self.db.execute("DELETE FROM events WHERE id = $1", &[&event]).await?;
            self.left -= 1;
            self.forgotten.events += 1;
            first = Some(sequence + 1);
        }
        if let Some(first) = first {
            self.db
                .execute("UPDATE rooms SET first_seq = $2 WHERE id = $1", &[&room, &first])
                .await?;
        }
        Ok(())
    }

    async fn participants_of(&mut self, room: i64) -> Result<(), StoreError> {
        let oldest = self
            .ids(
                "SELECT id FROM participants WHERE room_id = $1 ORDER BY created_us, sid LIMIT $2",
                &[&room, &self.left.max(0)],
            )
            .await?;
        for participant in oldest {
            if self.left <= 0 {
                return Ok(());
            }
            let tracks = self
                .db
                .execute(
                    "DELETE FROM tracks WHERE id = ANY (ARRAY(
                         SELECT id FROM tracks WHERE participant_id = $1 LIMIT $2))",
                    &[&participant, &self.left],
                )
                .await?;
            self.left -= count(tracks);
            self.forgotten.tracks += tracks;
            if self.left > 0 {
                // Few, by the bound on rules.
                self.left -= count(rules::forget(self.db, participant).await?);
                self.db
                    .execute("DELETE FROM participants WHERE id = $1", &[&participant])
                    .await?;
                self.left -= 1;
                self.forgotten.participants += 1;
            }
        }
        Ok(())
    }

    async fn callbacks(&mut self, before_us: i64) -> Result<(), StoreError> {
        let old = self
            .ids(
                "SELECT id FROM outbox WHERE state IN ('delivered', 'given-up') AND due_us < $1
                 ORDER BY due_us, id LIMIT $2 FOR UPDATE SKIP LOCKED",
                &[&before_us, &self.left.max(0)],
            )
            .await?;
        for callback in old {
            if self.left <= 0 {
                return Ok(());
            }
            self.callback(callback).await?;
        }
        Ok(())
    }

    /// One callback with its attempts, of which the schedule makes few.
    async fn callback(&mut self, id: i64) -> Result<(), StoreError> {
        let attempts = self
            .db
            .execute("DELETE FROM attempts WHERE outbox_id = $1", &[&id])
            .await?;
        self.db.execute("DELETE FROM outbox WHERE id = $1", &[&id]).await?;
        self.left -= count(attempts) + 1;
        self.forgotten.callbacks += 1;
        Ok(())
    }
}

fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
