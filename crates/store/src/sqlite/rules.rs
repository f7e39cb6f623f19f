//! Subscribe rules in rows and out of them.

use std::collections::HashMap;

use room::{AccountSid, Named, ParticipantSid, Priority, RoomSid, Rule, RuleEffect, Rules, TrackKind};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::{room_row, row};
use crate::{StoreError, SubscribeRulesRow};

/// Columns that a [`Rule`] is read from, in order behind others.
const COLUMNS: &str = "effect, is_all, publisher, track, kind, priority";

/// What `participants.subscribe_all` says of these rules, if it says all.
fn plain(rules: &Rules) -> Option<bool> {
    match rules.as_slice() {
        [rule] if rule.all => Some(rule.effect == RuleEffect::Include),
        _ => None,
    }
}

/// The value of `participants.subscribe_all` for these rules.
pub(super) fn subscribe_all(rules: &Rules) -> bool {
    plain(rules).unwrap_or_default()
}

/// Writes the rules that the participant's own row does not say; it has none yet.
pub(super) fn insert(db: &Connection, participant: i64, rules: &Rules) -> Result<(), StoreError> {
    if plain(rules).is_some() {
        return Ok(());
    }
    let mut insert = db.prepare_cached(&format!(
        "INSERT INTO subscribe_rules (participant_id, place, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    ))?;
    for (place, rule) in (0i64..).zip(rules.as_slice()) {
        insert.execute(params![
            participant,
            place,
            rule.effect.as_str(),
            rule.all,
            rule.publisher.as_ref().map(ToString::to_string),
            rule.track.as_ref().map(ToString::to_string),
            rule.kind.map(TrackKind::as_str),
            rule.priority.map(Priority::as_str),
        ])?;
    }
    Ok(())
}

/// Puts these in the place of those a participant has.
pub(super) fn replace(db: &Connection, participant: i64, rules: &Rules, at_us: i64) -> Result<(), StoreError> {
    forget(db, participant)?;
    db.prepare_cached("UPDATE participants SET subscribe_all = ?2, rules_updated_us = ?3 WHERE id = ?1")?
        .execute(params![participant, subscribe_all(rules), at_us])?;
    insert(db, participant, rules)
}

/// Deletes them; how many there were.
pub(super) fn forget(db: &Connection, participant: i64) -> Result<usize, StoreError> {
    let deleted = db
        .prepare_cached("DELETE FROM subscribe_rules WHERE participant_id = ?1")?
        .execute([participant])?;
    Ok(deleted)
}

pub(super) fn fetch(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    participant: ParticipantSid,
) -> Result<Option<SubscribeRulesRow>, StoreError> {
    let Some(room_id) = room_row::id(db, account, room)? else {
        return Ok(None);
    };
    let found = db
        .prepare_cached(
            "SELECT id, subscribe_all, created_us, rules_updated_us FROM participants WHERE sid = ?1 AND room_id = ?2",
        )?
        .query_row(params![participant.as_bytes(), room_id], |row| {
            let id: i64 = row.get(0)?;
            let all: bool = row.get(1)?;
            Ok((id, all, row::time(row, 2)?, row::time_or_null(row, 3)?))
        })
        .optional()?;
    let Some((id, all, created, updated)) = found else {
        return Ok(None);
    };
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM subscribe_rules WHERE participant_id = ?1 ORDER BY place"
    ))?;
    let rules = query
        .query_map([id], |row| read(row, 0))?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Some(SubscribeRulesRow {
        rules: of(rules, all)?,
        created,
        updated,
    }))
}

/// Those of everyone who is live, or live in the room of this row, by the row of the participant. The work is bounded by
/// who is live.
pub(super) fn live(db: &Connection, only: Option<i64>) -> Result<HashMap<i64, Vec<Rule>>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT p.id, {COLUMNS} FROM participants AS p INDEXED BY participants_live
         CROSS JOIN subscribe_rules AS r ON r.participant_id = p.id
         WHERE p.ended_us IS NULL {} ORDER BY p.id, r.place",
        only.map_or("", |_| "AND p.room_id = ?1")
    ))?;
    let mut rules: HashMap<i64, Vec<Rule>> = HashMap::new();
    let mut found = query.query(params_from_iter(only))?;
    while let Some(row) = found.next()? {
        rules.entry(row.get(0)?).or_default().push(read(row, 1)?);
    }
    Ok(rules)
}

/// The rules of a participant: those in rows, else what its own row says.
pub(super) fn of(rows: Vec<Rule>, subscribe_all: bool) -> Result<Rules, StoreError> {
    if rows.is_empty() {
        return Ok(match subscribe_all {
            true => Rules::everything(),
            false => Rules::nothing(),
        });
    }
    Rules::new(rows).map_err(|fault| StoreError::Backend(Box::new(fault)))
}

fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Rule> {
    let publisher: Option<String> = row.get(first + 2)?;
    let track: Option<String> = row.get(first + 3)?;
    Ok(Rule {
        effect: row::word(row, first, RuleEffect::from_word)?,
        all: row.get(first + 1)?,
        publisher: publisher.map(Named::read),
        track: track.map(Named::read),
        kind: word(row, first + 4, TrackKind::from_word)?,
        priority: word(row, first + 5, Priority::from_word)?,
    })
}

fn word<T>(row: &Row<'_>, column: usize, read: fn(&str) -> Option<T>) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    let fault = || rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(FromSqlError::InvalidType));
    text.map(|text| read(&text).ok_or_else(fault)).transpose()
}
