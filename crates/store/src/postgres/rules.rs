//! Subscribe rules in rows and out of them.

use std::collections::HashMap;

use room::{AccountSid, Named, ParticipantSid, Priority, RoomSid, Rule, RuleEffect, Rules, TrackKind};
use tokio_postgres::Row;

use super::connection::Connection;
use super::row::{self, Sid, text};
use super::{participant, take_over};
use crate::{StoreError, SubscribeRulesRow};

/// Columns that a [`Rule`] is read from; they stand first.
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
pub(super) async fn insert(db: &Connection, participant: i64, rules: &Rules) -> Result<(), StoreError> {
    if plain(rules).is_some() {
        return Ok(());
    }
    let rules = rules.as_slice();
    let effects: Vec<&str> = rules.iter().map(|rule| rule.effect.as_str()).collect();
    let all: Vec<bool> = rules.iter().map(|rule| rule.all).collect();
    let publishers: Vec<Option<String>> = rules.iter().map(|rule| named(rule.publisher.as_ref())).collect();
    let tracks: Vec<Option<String>> = rules.iter().map(|rule| named(rule.track.as_ref())).collect();
    let kinds: Vec<Option<&str>> = rules.iter().map(|rule| rule.kind.map(TrackKind::as_str)).collect();
    let priorities: Vec<Option<&str>> = rules.iter().map(|rule| rule.priority.map(Priority::as_str)).collect();
    let sql = format!(
        "INSERT INTO subscribe_rules (participant_id, place, {COLUMNS})
         SELECT $1, place - 1, {COLUMNS} FROM unnest($2::text[], $3::boolean[], $4::text[], $5::text[], $6::text[],
             $7::text[]) WITH ORDINALITY AS rules ({COLUMNS}, place)"
    );
    db.execute(
        &sql,
        &[&participant, &effects, &all, &publishers, &tracks, &kinds, &priorities],
    )
    .await?;
    Ok(())
}

/// As the database can hold it.
fn named<T: std::fmt::Display>(what: Option<&Named<T>>) -> Option<String> {
    what.map(|named| text(&named.to_string()).into_owned())
}

/// Puts these in the place of those a participant has.
pub(super) async fn replace(db: &Connection, participant: i64, rules: &Rules, at_us: i64) -> Result<(), StoreError> {
    forget(db, participant).await?;
    db.execute(
        "UPDATE participants SET subscribe_all = $2, rules_updated_us = $3 WHERE id = $1",
        &[&participant, &subscribe_all(rules), &at_us],
    )
    .await?;
    insert(db, participant, rules).await
}

/// Deletes them; how many there were.
pub(super) async fn forget(db: &Connection, participant: i64) -> Result<u64, StoreError> {
    db.execute("DELETE FROM subscribe_rules WHERE participant_id = $1", &[&participant])
        .await
}

/// To be read in a snapshot.
pub(super) async fn fetch(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    participant: ParticipantSid,
) -> Result<Option<SubscribeRulesRow>, StoreError> {
    let sql = format!(
        "SELECT id, subscribe_all, created_us, rules_updated_us FROM participants WHERE sid = $3 AND {}",
        participant::OF_ROOM
    );
    let sids = (
        Sid(*room.as_bytes()),
        Sid(*account.as_bytes()),
        Sid(*participant.as_bytes()),
    );
    let Some(found) = db.query_opt(&sql, &[&sids.0, &sids.1, &sids.2]).await? else {
        return Ok(None);
    };
    let sql = format!("SELECT {COLUMNS} FROM subscribe_rules WHERE participant_id = $1 ORDER BY place");
    let rows = db.query(&sql, &[&row::get::<i64>(&found, 0)?]).await?;
    let rules = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(SubscribeRulesRow {
        rules: of(rules, row::get(&found, 1)?)?,
        created: row::time(&found, 2)?,
        updated: row::time_or_null(&found, 3)?,
    }))
}

/// Those of everyone who is live, or live in the room of this row, by the row of the participant. The work is bounded by
/// who is live.
pub(super) async fn live(db: &Connection, only: Option<i64>) -> Result<HashMap<i64, Vec<Rule>>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, participant_id FROM subscribe_rules WHERE participant_id = ANY (ARRAY(
             SELECT id FROM participants WHERE ended_us IS NULL {}))
         ORDER BY participant_id, place",
        only.map_or("", |_| "AND room_id = $1")
    );
    let mut rules: HashMap<i64, Vec<Rule>> = HashMap::new();
    for row in &take_over::in_room(db, &sql, only.as_ref()).await? {
        rules.entry(row::get(row, 6)?).or_default().push(read(row)?);
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
    Rules::new(rows).map_err(StoreError::backend)
}

fn read(row: &Row) -> Result<Rule, StoreError> {
    Ok(Rule {
        effect: row::word(row, 0, RuleEffect::from_word)?,
        all: row::get(row, 1)?,
        publisher: row::get::<Option<String>>(row, 2)?.map(Named::read),
        track: row::get::<Option<String>>(row, 3)?.map(Named::read),
        kind: row::word_or_null(row, 4, TrackKind::from_word)?,
        priority: row::word_or_null(row, 5, Priority::from_word)?,
    })
}
