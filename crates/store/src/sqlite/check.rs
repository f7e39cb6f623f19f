//! The queries that find what breaks the invariants in SQLite (`crate::check` has what they are).
//!
//! Each looks at a range of rooms, `?1` to `?2`, and answers the row's name and what is wrong with it.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, params};

use super::file::{look, schema_version};
use crate::check::{INTEGRITY, REFERENCES, Ranges, Rule};
use crate::{CheckProgress, Findings, StoreError, limits};

fn query(rule: Rule) -> &'static str {
    match rule {
        Rule::Epochs => {
            "SELECT 'RM' || lower(hex(sid)), 'its epoch is ' || epoch FROM rooms
             WHERE id BETWEEN ?1 AND ?2 AND epoch < 1"
        }
        Rule::RoomTimes => {
            "SELECT 'RM' || lower(hex(sid)), printf('%s, created %d, updated %d, ended %s, duration %s', status,
                 created_us, updated_us, ifnull(ended_us, 'never'), ifnull(duration_s, 'unknown'))
             FROM rooms
             WHERE id BETWEEN ?1 AND ?2 AND (updated_us < created_us OR ifnull(ended_us < created_us, 0)
                 OR ifnull(duration_s < 0, 0) OR (status = 'completed') <> (ended_us IS NOT NULL)
                 OR (ended_us IS NULL) <> (duration_s IS NULL))"
        }
        Rule::RoomOrder => {
            "SELECT 'RM' || lower(hex(r.sid)), printf('created %d, last of its account %s', r.created_us,
                 ifnull(a.last_room_us, 'never'))
             FROM rooms AS r JOIN accounts AS a ON a.id = r.account_id
             WHERE r.id BETWEEN ?1 AND ?2 AND a.sid <> CAST('nobody''s account' AS BLOB)
                 AND (a.last_room_us IS NULL OR r.created_us > a.last_room_us
                 OR EXISTS (SELECT 1 FROM rooms AS o WHERE o.account_id = r.account_id AND o.status = 'completed'
                     AND o.created_us = r.created_us AND o.id <> r.id)
                 OR EXISTS (SELECT 1 FROM rooms AS o WHERE o.account_id = r.account_id AND o.status = 'in-progress'
                     AND o.created_us = r.created_us AND o.id <> r.id))"
        }
        Rule::ParticipantTimes => {
            "SELECT 'PA' || lower(hex(sid)), printf('%s, created %d, updated %d, ended %s, duration %s', status,
                 created_us, updated_us, ifnull(ended_us, 'never'), ifnull(duration_s, 'unknown'))
             FROM participants
             WHERE room_id BETWEEN ?1 AND ?2 AND (updated_us < created_us OR ifnull(ended_us < created_us, 0)
                 OR ifnull(duration_s < 0, 0) OR (status = 'disconnected') <> (ended_us IS NOT NULL)
                 OR (ended_us IS NULL) <> (duration_s IS NULL))"
        }
        Rule::ParticipantOrder => {
            "SELECT 'PA' || lower(hex(p.sid)), printf('created %d, the one before %s, last of its room %s', p.created_us,
                 ifnull(p.before_us, 'none'), ifnull(r.last_participant_us, 'never'))
             FROM (SELECT sid, room_id, id, created_us, lag(created_us) OVER earlier AS before_us,
                     lag(id) OVER earlier AS before_id
                 FROM participants WHERE room_id BETWEEN ?1 AND ?2
                 WINDOW earlier AS (PARTITION BY room_id ORDER BY created_us, sid)) AS p
             JOIN rooms AS r ON r.id = p.room_id
             WHERE p.before_us >= p.created_us OR p.before_id >= p.id
                 OR r.last_participant_us IS NULL OR p.created_us > r.last_participant_us"
        }
        Rule::IdentityLiveOnce => {
            "SELECT 'PA' || lower(hex(max(sid))), count(*) || ' of its identity are in its room'
             FROM participants WHERE room_id BETWEEN ?1 AND ?2 AND ended_us IS NULL
             GROUP BY room_id, identity HAVING count(*) > 1"
        }
        Rule::NobodyInCompletedRooms => {
            "SELECT 'PA' || lower(hex(p.sid)), p.status || ' in a completed room, RM' || lower(hex(r.sid))
             FROM rooms AS r JOIN participants AS p ON p.room_id = r.id
             WHERE r.id BETWEEN ?1 AND ?2 AND r.ended_us IS NOT NULL AND p.ended_us IS NULL"
        }
        Rule::TrackTimes => {
            "SELECT 'MT' || lower(hex(t.sid)), printf('created %d, updated %d, ended %s, last of its room %s',
                 t.created_us, t.updated_us, ifnull(t.ended_us, 'never'), ifnull(r.last_track_us, 'never'))
             FROM rooms AS r JOIN participants AS p ON p.room_id = r.id JOIN tracks AS t ON t.participant_id = p.id
             WHERE r.id BETWEEN ?1 AND ?2 AND (t.updated_us < t.created_us OR ifnull(t.ended_us < t.created_us, 0)
                 OR r.last_track_us IS NULL OR t.created_us > r.last_track_us)"
        }
        Rule::TracksEnd => {
            "SELECT 'MT' || lower(hex(t.sid)), 'published by PA' || lower(hex(p.sid)) || ', who is disconnected'
             FROM participants AS p JOIN tracks AS t ON t.participant_id = p.id
             WHERE p.room_id BETWEEN ?1 AND ?2 AND p.ended_us IS NOT NULL AND t.ended_us IS NULL"
        }
        Rule::RulesInOrder => {
            "SELECT 'PA' || lower(hex(p.sid)), printf('%d rules, the last is number %d', count(*), max(s.place))
             FROM participants AS p JOIN subscribe_rules AS s ON s.participant_id = p.id
             WHERE p.room_id BETWEEN ?1 AND ?2 GROUP BY p.id
             HAVING max(s.place) <> count(*) - 1 OR min(s.place) <> 0 OR count(*) > 20
                 OR sum(s.is_all <> (coalesce(s.publisher, s.track, s.kind, s.priority) IS NULL)) > 0"
        }
        Rule::EventsWithoutGaps => {
            "SELECT 'RM' || lower(hex(sid)), printf('%d events, numbered %s to %s; %d to %d are expected', events,
                 ifnull(lowest, '-'), ifnull(highest, '-'), first_seq, next_seq - 1)
             FROM (SELECT sid, first_seq, next_seq, ended_us,
                     (SELECT count(*) FROM events WHERE room_id = rooms.id) AS events,
                     (SELECT min(seq) FROM events WHERE room_id = rooms.id) AS lowest,
                     (SELECT max(seq) FROM events WHERE room_id = rooms.id) AS highest
                 FROM rooms WHERE id BETWEEN ?1 AND ?2)
             WHERE events <> next_seq - first_seq OR (events > 0 AND (lowest <> first_seq OR highest <> next_seq - 1))
                 OR first_seq < 0 OR (first_seq > 0 AND ended_us IS NULL)"
        }
        Rule::RoomEvents => {
            "SELECT 'RM' || lower(hex(r.sid)), 'its events tell another story of it'
             FROM rooms AS r
             WHERE r.id BETWEEN ?1 AND ?2 AND (
                 (r.first_seq = 0 AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.room_id = r.id AND e.seq = 0
                     AND e.kind = 'room-created' AND e.at_us = r.created_us))
                 OR (r.first_seq < r.next_seq AND r.ended_us IS NOT NULL AND NOT EXISTS (SELECT 1 FROM events AS e
                     WHERE e.room_id = r.id AND e.seq = r.next_seq - 1 AND e.kind = 'room-ended'
                     AND e.at_us = r.ended_us AND e.duration_s = r.duration_s))
                 OR EXISTS (SELECT 1 FROM events AS e WHERE e.room_id = r.id AND e.kind LIKE 'room-%'
                     AND e.seq <> 0 AND (r.ended_us IS NULL OR e.seq <> r.next_seq - 1)))"
        }
        Rule::ParticipantEvents => {
            "SELECT 'PA' || lower(hex(sid)), printf('%d events of its beginning, %d of its end, %d that differ from its row',
                 begun, ended, other)
             FROM (SELECT p.sid, p.ended_us, r.first_seq,
                     (SELECT count(*) FROM events AS e WHERE e.participant_id = p.id
                         AND e.kind = 'participant-connected') AS begun,
                     (SELECT count(*) FROM events AS e WHERE e.participant_id = p.id
                         AND e.kind = 'participant-disconnected') AS ended,
                     (SELECT count(*) FROM events AS e WHERE e.participant_id = p.id AND (
                         (e.kind = 'participant-connected' AND e.at_us <> p.created_us)
                         OR (e.kind = 'participant-disconnected' AND NOT (e.at_us IS p.ended_us
                             AND e.duration_s IS p.duration_s)))) AS other
                 FROM rooms AS r JOIN participants AS p ON p.room_id = r.id WHERE r.id BETWEEN ?1 AND ?2)
             WHERE other > 0 OR begun > 1 OR ended > (ended_us IS NOT NULL)
                 OR (first_seq = 0 AND (begun <> 1 OR ended <> (ended_us IS NOT NULL)))"
        }
        Rule::TrackEvents => {
            "SELECT 'MT' || lower(hex(sid)), printf('%d events of its beginning, %d of its end', begun, ended)
             FROM (SELECT t.sid, t.ended_us, r.first_seq,
                     (SELECT count(*) FROM events AS e WHERE e.track_id = t.id AND e.kind = 'track-added') AS begun,
                     (SELECT count(*) FROM events AS e WHERE e.track_id = t.id AND e.kind = 'track-removed') AS ended
                 FROM rooms AS r JOIN participants AS p ON p.room_id = r.id JOIN tracks AS t ON t.participant_id = p.id
                 WHERE r.id BETWEEN ?1 AND ?2)
             WHERE begun > 1 OR (first_seq = 0 AND begun <> 1) OR ended > (ended_us IS NOT NULL)"
        }
        Rule::EventsOfTheirRoom => {
            "SELECT 'RM' || lower(hex(r.sid)), printf('its event %d is about another room', e.seq)
             FROM rooms AS r JOIN events AS e ON e.room_id = r.id
             LEFT JOIN participants AS p ON p.id = e.participant_id LEFT JOIN tracks AS t ON t.id = e.track_id
             WHERE r.id BETWEEN ?1 AND ?2 AND (p.room_id <> r.id OR t.participant_id <> p.id)"
        }
        Rule::CallbacksOfEvents => {
            "SELECT 'RM' || lower(hex(r.sid)), printf('its callback %d tells of %s', o.id,
                 CASE WHEN e.id IS NULL THEN 'no event' ELSE 'another room' END)
             FROM rooms AS r JOIN outbox AS o ON o.room_id = r.id LEFT JOIN events AS e ON e.id = o.event_id
             WHERE r.id BETWEEN ?1 AND ?2 AND e.room_id IS NOT r.id"
        }
        Rule::CallbacksInOrder => {
            "SELECT 'RM' || lower(hex(sid)), printf('%d of its callbacks are due, %d wait', due, waiting)
             FROM (SELECT r.sid,
                     (SELECT count(*) FROM outbox AS o WHERE o.room_id = r.id AND o.state = 'due') AS due,
                     (SELECT min(id) FROM outbox AS o WHERE o.room_id = r.id AND o.state = 'due'
                         AND o.attempts_before = 0) AS due_id,
                     (SELECT count(*) FROM outbox AS o WHERE o.room_id = r.id AND o.state = 'waiting') AS waiting,
                     (SELECT min(id) FROM outbox AS o WHERE o.room_id = r.id AND o.state = 'waiting'
                         AND o.attempts_before = 0) AS waiting_id,
                     (SELECT max(id) FROM outbox AS o WHERE o.room_id = r.id
                         AND o.state IN ('delivered', 'given-up')) AS done_id
                 FROM rooms AS r WHERE r.id BETWEEN ?1 AND ?2)
             WHERE due > 1 OR (waiting > 0 AND due = 0) OR waiting_id < due_id OR due_id < done_id"
        }
        Rule::AttemptsCounted => {
            "SELECT 'RM' || lower(hex(sid)), printf('its callback %d, %s, counts %d attempts and has %d', id, state,
                 attempts, found)
             FROM (SELECT r.sid, o.id, o.state, o.attempts,
                     (SELECT count(*) FROM attempts AS a WHERE a.outbox_id = o.id) AS found
                 FROM rooms AS r JOIN outbox AS o ON o.room_id = r.id WHERE r.id BETWEEN ?1 AND ?2)
             WHERE attempts <> found OR (found = 0 AND state IN ('delivered', 'given-up'))"
        }
    }
}

/// Checks the database in this file, on one snapshot.
pub(crate) fn check(path: &Path, progress: &mut dyn FnMut(CheckProgress)) -> Result<Findings, StoreError> {
    let db = look(path)?;
    let (found, known) = schema_version(&db)?;
    if found < known {
        return Err(StoreError::OlderSchema { found, known });
    }
    let snapshot = db.unchecked_transaction()?;
    let mut findings = Findings::default();
    let result = pages(&snapshot, progress, &mut findings).and_then(|()| rows(&snapshot, progress, &mut findings));
    match result {
        // A file so broken that it cannot be read is a finding, too.
        Err(error) if is_corrupt(&error) => findings.add(INTEGRITY.name, "database".to_owned(), error.to_string()),
        other => other?,
    }
    Ok(findings)
}

fn pages(
    db: &Connection,
    progress: &mut dyn FnMut(CheckProgress),
    findings: &mut Findings,
) -> Result<(), rusqlite::Error> {
    progress(CheckProgress::Pages);
    let mut query = db.prepare(&format!("PRAGMA integrity_check({})", limits::VIOLATIONS_MAX))?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        if text != "ok" {
            findings.add(INTEGRITY.name, "database".to_owned(), text);
        }
    }
    let mut query = db.prepare("PRAGMA foreign_key_check")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (table, id, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let id = id.map_or_else(String::new, |id| format!(" {id}"));
        findings.add(
            REFERENCES.name,
            format!("{table}{id}"),
            format!("it refers to a row of {parent} that is not there"),
        );
    }
    Ok(())
}

fn rows(
    db: &Connection,
    progress: &mut dyn FnMut(CheckProgress),
    findings: &mut Findings,
) -> Result<(), rusqlite::Error> {
    let last: i64 = db.query_row("SELECT ifnull(max(id), 0) FROM rooms", [], |row| row.get(0))?;
    for range in Ranges::up_to(last) {
        progress(CheckProgress::before(range.first, last));
        for rule in Rule::ALL {
            let mut query = db.prepare_cached(query(rule))?;
            let mut rows = query.query(params![range.first, range.last])?;
            while let Some(row) = rows.next()? {
                findings.add(rule.invariant().name, row.get(0)?, row.get(1)?);
            }
        }
        let counts = "SELECT (SELECT count(*) FROM rooms WHERE id BETWEEN ?1 AND ?2),
             (SELECT count(*) FROM participants WHERE room_id BETWEEN ?1 AND ?2),
             (SELECT count(*) FROM events WHERE room_id BETWEEN ?1 AND ?2)";
        let (rooms, participants, events) = db
            .prepare_cached(counts)?
            .query_row(params![range.first, range.last], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            })?;
        findings.rooms += u64::try_from(rooms).unwrap_or_default();
        findings.participants += u64::try_from(participants).unwrap_or_default();
        findings.events += u64::try_from(events).unwrap_or_default();
    }
    progress(CheckProgress::before(i64::MAX, last));
    Ok(())
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}
