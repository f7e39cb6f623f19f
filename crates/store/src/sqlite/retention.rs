//! Forgetting what is old, a few rows at a time.
//!
//! A room that goes is first handed to the account that nobody can ask for: from then on it is in no answer. Its rows
//! go in the order in which they refer to each other, so that every commit leaves a database without a gap.

use rusqlite::{Connection, OptionalExtension, params};

use super::{audit, rules};
use crate::{Expiry, Forgotten, StoreError, limits};

/// Deletes about `rows` rows, if so many are old enough.
pub(super) fn forget(db: &Connection, before: Expiry, rows: u32) -> Result<Forgotten, StoreError> {
    let mut batch = Batch {
        db,
        left: i64::from(rows.clamp(1, limits::FORGET_ROWS_MAX)),
        forgotten: Forgotten::default(),
    };
    batch.finish_rooms()?;
    if let Some(before) = before.rooms {
        batch.begin_rooms(before.0)?;
    }
    if let Some(before) = before.events {
        batch.events_of_rooms(before.0)?;
    }
    if let Some(before) = before.callbacks {
        batch.callbacks(before.0)?;
    }
    if let Some(before) = before.audit
        && batch.left > 0
    {
        let deleted = audit::forget(db, before.0, batch.left)?;
        batch.left -= count(deleted);
        batch.forgotten.audit += deleted as u64;
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
    fn finish_rooms(&mut self) -> Result<(), StoreError> {
        let sql = "SELECT r.id FROM accounts AS a JOIN rooms AS r INDEXED BY rooms_listed ON r.account_id = a.id
             WHERE a.sid = CAST('nobody''s account' AS BLOB) AND r.status = 'completed'
             ORDER BY r.created_us LIMIT 1";
        while self.left > 0 {
            let next: Option<i64> = self
                .db
                .prepare_cached(sql)?
                .query_row([], |row| row.get(0))
                .optional()?;
            let Some(room) = next else { return Ok(()) };
            self.events_of(room)?;
            self.participants_of(room)?;
            if self.left > 0 {
                self.db
                    .prepare_cached("DELETE FROM rooms WHERE id = ?1")?
                    .execute([room])?;
                self.left -= 1;
            }
        }
        Ok(())
    }

    /// Takes old rooms out of every answer; their rows go with the next calls.
    fn begin_rooms(&mut self, before_us: i64) -> Result<(), StoreError> {
        let old = self.candidates(
            "SELECT id FROM (SELECT r.id FROM rooms AS r INDEXED BY rooms_ended
                 WHERE r.ended_us IS NOT NULL AND r.ended_us < ?1 ORDER BY r.ended_us, r.id LIMIT ?2) AS old
             WHERE NOT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_head
                 WHERE room_id = old.id AND state = 'due')
             LIMIT ?3",
            before_us,
        )?;
        let sql = "UPDATE rooms SET account_id = (SELECT id FROM accounts
             WHERE sid = CAST('nobody''s account' AS BLOB)) WHERE id = ?1";
        for room in old {
            self.db.prepare_cached(sql)?.execute([room])?;
            self.left -= 1;
            self.forgotten.rooms += 1;
            self.forgotten.more = true;
        }
        Ok(())
    }

    fn events_of_rooms(&mut self, before_us: i64) -> Result<(), StoreError> {
        let old = self.candidates(
            "SELECT id FROM (SELECT r.id FROM rooms AS r INDEXED BY rooms_ended_with_events
                 WHERE r.ended_us IS NOT NULL AND r.first_seq < r.next_seq AND r.ended_us < ?1
                 ORDER BY r.ended_us, r.id LIMIT ?2) AS old
             WHERE NOT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_head
                 WHERE room_id = old.id AND state = 'due')
             LIMIT ?3",
            before_us,
        )?;
        for room in old {
            if self.left <= 0 {
                return Ok(());
            }
            self.events_of(room)?;
        }
        Ok(())
    }

    /// Old rooms by a query of `?1` time, `?2` rooms to look at, `?3` rooms to find. Undelivered callbacks hold a room;
    /// an answer of nothing ends the run, so that rooms which are held cost a bounded look each run.
    fn candidates(&self, sql: &str, before_us: i64) -> Result<Vec<i64>, StoreError> {
        let mut query = self.db.prepare_cached(sql)?;
        let found = query.query_map(params![before_us, limits::FORGET_CANDIDATES, self.left.max(0)], |row| {
            row.get(0)
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Events of a room from the oldest on, each with its callback.
    fn events_of(&mut self, room: i64) -> Result<(), StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT e.id, e.seq, (SELECT o.id FROM outbox AS o WHERE o.event_id = e.id)
             FROM events AS e WHERE e.room_id = ?1 ORDER BY e.seq LIMIT ?2",
        )?;
        let oldest = query
            .query_map(params![room, self.left.max(0)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<Result<Vec<(i64, i64, Option<i64>)>, _>>()?;
        let mut first = None;
        for (event, sequence, callback) in oldest {
            if self.left <= 0 {
                break;
            }
            if let Some(callback) = callback {
                self.callback(callback)?;
            }
            self.db
                .prepare_cached("DELETE FROM events WHERE id = ?1")?
                .execute([event])?;
            self.left -= 1;
            self.forgotten.events += 1;
            first = Some(sequence + 1);
        }
        if let Some(first) = first {
            self.db
                .prepare_cached("UPDATE rooms SET first_seq = ?2 WHERE id = ?1")?
                .execute([room, first])?;
        }
        Ok(())
    }

    fn participants_of(&mut self, room: i64) -> Result<(), StoreError> {
        let mut query = self
            .db
            .prepare_cached("SELECT id FROM participants WHERE room_id = ?1 ORDER BY created_us, sid LIMIT ?2")?;
        let oldest = query
            .query_map(params![room, self.left.max(0)], |row| row.get(0))?
            .collect::<Result<Vec<i64>, _>>()?;
        for participant in oldest {
            if self.left <= 0 {
                return Ok(());
            }
            let tracks = self
                .db
                .prepare_cached(
                    "DELETE FROM tracks WHERE id IN (SELECT id FROM tracks INDEXED BY tracks_of_participant
                         WHERE participant_id = ?1 LIMIT ?2)",
                )?
                .execute([participant, self.left])?;
            self.left -= count(tracks);
            self.forgotten.tracks += tracks as u64;
            if self.left > 0 {
                // Few, by the bound on rules.
                self.left -= count(rules::forget(self.db, participant)?);
                self.db
                    .prepare_cached("DELETE FROM participants WHERE id = ?1")?
                    .execute([participant])?;
                self.left -= 1;
                self.forgotten.participants += 1;
            }
        }
        Ok(())
    }

    fn callbacks(&mut self, before_us: i64) -> Result<(), StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT id FROM outbox INDEXED BY outbox_done
             WHERE state IN ('delivered', 'given-up') AND due_us < ?1 ORDER BY due_us, id LIMIT ?2",
        )?;
        let old = query
            .query_map(params![before_us, self.left.max(0)], |row| row.get(0))?
            .collect::<Result<Vec<i64>, _>>()?;
        for callback in old {
            if self.left <= 0 {
                return Ok(());
            }
            self.callback(callback)?;
        }
        Ok(())
    }

    /// One callback with its attempts, of which the schedule makes few.
    fn callback(&mut self, id: i64) -> Result<(), StoreError> {
        let attempts = self
            .db
            .prepare_cached("DELETE FROM attempts WHERE outbox_id = ?1")?
            .execute([id])?;
        self.db
            .prepare_cached("DELETE FROM outbox WHERE id = ?1")?
            .execute([id])?;
        self.left -= count(attempts) + 1;
        self.forgotten.callbacks += 1;
        Ok(())
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
