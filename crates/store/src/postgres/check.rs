//! The queries that find what breaks the invariants in PostgreSQL (`crate::check` has what they are).
//!
//! Each but the first looks at a range of rooms, `$1` to `$2`, and answers the row's name and what is wrong with it.

use super::connection::Connection;
use super::row;
use crate::archive::{Kind, TABLES};
use crate::check::{INTEGRITY, REFERENCES, Ranges, Rule};
use crate::{CheckProgress, Findings, StoreError, limits};

/// What PostgreSQL itself does not vouch for: constraints that were never looked at, indexes that were not finished.
const NOT_VALID: &str = "SELECT c.conrelid::regclass::text || ' ' || c.conname::text, 'the constraint was added without looking at the rows'
     FROM pg_constraint AS c WHERE c.connamespace = current_schema()::regnamespace AND NOT c.convalidated
     UNION ALL SELECT i.indrelid::regclass::text || ' ' || i.indexrelid::regclass::text, 'the index is not valid'
     FROM pg_index AS i JOIN pg_class AS r ON r.oid = i.indexrelid
     WHERE r.relnamespace = current_schema()::regnamespace AND NOT i.indisvalid";

/// Rows are gone through as a whole, table by table; then the plans of a few rows would be the slowest.
const OF_ALL_ROWS: &str = "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on";
const OF_FEW_ROWS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off";

fn query(rule: Rule) -> &'static str {
    match rule {
        Rule::Epochs => {
            "SELECT 'RM' || replace(sid::text, '-', ''), 'its epoch is ' || epoch FROM rooms
             WHERE id BETWEEN $1 AND $2 AND epoch < 1"
        }
        Rule::RoomTimes => {
            "SELECT 'RM' || replace(sid::text, '-', ''), format('%s, created %s, updated %s, ended %s, duration %s',
                 status, created_us, updated_us, coalesce(ended_us::text, 'never'), coalesce(duration_s::text, 'unknown'))
             FROM rooms
             WHERE id BETWEEN $1 AND $2 AND (updated_us < created_us OR coalesce(ended_us < created_us, false)
                 OR coalesce(duration_s < 0, false) OR (status = 'completed') <> (ended_us IS NOT NULL)
                 OR (ended_us IS NULL) <> (duration_s IS NULL))"
        }
        Rule::RoomOrder => {
            "SELECT 'RM' || replace(r.sid::text, '-', ''), format('created %s, last of its account %s', r.created_us,
                 coalesce(a.last_room_us::text, 'never'))
             FROM rooms AS r JOIN accounts AS a ON a.id = r.account_id
             WHERE r.id BETWEEN $1 AND $2 AND a.sid <> encode('nobody''s account', 'hex')::uuid
                 AND (a.last_room_us IS NULL OR r.created_us > a.last_room_us
                 OR EXISTS (SELECT 1 FROM rooms AS o WHERE o.account_id = r.account_id AND o.status = 'completed'
                     AND o.created_us = r.created_us AND o.id <> r.id)
                 OR EXISTS (SELECT 1 FROM rooms AS o WHERE o.account_id = r.account_id AND o.status = 'in-progress'
                     AND o.created_us = r.created_us AND o.id <> r.id))"
        }
        Rule::ParticipantTimes => {
            "SELECT 'PA' || replace(sid::text, '-', ''), format('%s, created %s, updated %s, ended %s, duration %s',
                 status, created_us, updated_us, coalesce(ended_us::text, 'never'), coalesce(duration_s::text, 'unknown'))
             FROM participants
             WHERE room_id BETWEEN $1 AND $2 AND (updated_us < created_us OR coalesce(ended_us < created_us, false)
                 OR coalesce(duration_s < 0, false) OR (status = 'disconnected') <> (ended_us IS NOT NULL)
                 OR (ended_us IS NULL) <> (duration_s IS NULL))"
        }
        Rule::ParticipantOrder => {
            "SELECT 'PA' || replace(p.sid::text, '-', ''), format('created %s, the one before %s, last of its room %s',
                 p.created_us, coalesce(p.before_us::text, 'none'), coalesce(r.last_participant_us::text, 'never'))
             FROM (SELECT sid, room_id, id, created_us, lag(created_us) OVER earlier AS before_us,
                     lag(id) OVER earlier AS before_id
                 FROM participants WHERE room_id BETWEEN $1 AND $2
                 WINDOW earlier AS (PARTITION BY room_id ORDER BY created_us, sid)) AS p
             JOIN rooms AS r ON r.id = p.room_id
             WHERE p.before_us >= p.created_us OR p.before_id >= p.id
                 OR r.last_participant_us IS NULL OR p.created_us > r.last_participant_us"
        }
        Rule::IdentityLiveOnce => {
            "SELECT 'PA' || replace(max(sid::text), '-', ''), count(*) || ' of its identity are in its room'
             FROM participants WHERE room_id BETWEEN $1 AND $2 AND ended_us IS NULL
             GROUP BY room_id, identity HAVING count(*) > 1"
        }
        Rule::NobodyInCompletedRooms => {
            "SELECT 'PA' || replace(p.sid::text, '-', ''),
                 p.status || ' in a completed room, RM' || replace(r.sid::text, '-', '')
             FROM rooms AS r JOIN participants AS p ON p.room_id = r.id
             WHERE r.id BETWEEN $1 AND $2 AND r.ended_us IS NOT NULL AND p.ended_us IS NULL"
        }
        Rule::TrackTimes => {
            "SELECT 'MT' || replace(t.sid::text, '-', ''), format('created %s, updated %s, ended %s, last of its room %s',
                 t.created_us, t.updated_us, coalesce(t.ended_us::text, 'never'),
                 coalesce(r.last_track_us::text, 'never'))
             FROM rooms AS r JOIN participants AS p ON p.room_id = r.id JOIN tracks AS t ON t.participant_id = p.id
             WHERE r.id BETWEEN $1 AND $2 AND (t.updated_us < t.created_us OR coalesce(t.ended_us < t.created_us, false)
                 OR r.last_track_us IS NULL OR t.created_us > r.last_track_us)"
        }
        Rule::TracksEnd => {
            "SELECT 'MT' || replace(t.sid::text, '-', ''),
                 'published by PA' || replace(p.sid::text, '-', '') || ', who is disconnected'
             FROM participants AS p JOIN tracks AS t ON t.participant_id = p.id
             WHERE p.room_id BETWEEN $1 AND $2 AND p.ended_us IS NOT NULL AND t.ended_us IS NULL"
        }
        Rule::RulesInOrder => {
            "SELECT 'PA' || replace(p.sid::text, '-', ''), format('%s rules, the last is number %s', count(*), max(s.place))
             FROM participants AS p JOIN subscribe_rules AS s ON s.participant_id = p.id
             WHERE p.room_id BETWEEN $1 AND $2 GROUP BY p.id
             HAVING max(s.place) <> count(*) - 1 OR min(s.place) <> 0 OR count(*) > 20
                 OR bool_or(s.is_all <> (coalesce(s.publisher, s.track, s.kind, s.priority) IS NULL))"
        }
        Rule::EventsWithoutGaps => {
            "SELECT 'RM' || replace(sid::text, '-', ''), format('%s events, numbered %s to %s; %s to %s are expected', events,
                 coalesce(lowest::text, '-'), coalesce(highest::text, '-'), first_seq, next_seq - 1)
             FROM (SELECT sid, first_seq, next_seq, ended_us,
                     (SELECT count(*) FROM events WHERE room_id = rooms.id) AS events,
                     (SELECT min(seq) FROM events WHERE room_id = rooms.id) AS lowest,
                     (SELECT max(seq) FROM events WHERE room_id = rooms.id) AS highest
                 FROM rooms WHERE id BETWEEN $1 AND $2) AS r
             WHERE events <> next_seq - first_seq OR (events > 0 AND (lowest <> first_seq OR highest <> next_seq - 1))
                 OR first_seq < 0 OR (first_seq > 0 AND ended_us IS NULL)"
        }
        Rule::RoomEvents => {
            "SELECT 'RM' || replace(r.sid::text, '-', ''), 'its events tell another story of it'
             FROM rooms AS r
             WHERE r.id BETWEEN $1 AND $2 AND (
                 (r.first_seq = 0 AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.room_id = r.id AND e.seq = 0
                     AND e.kind = 'room-created' AND e.at_us = r.created_us))
                 OR (r.first_seq < r.next_seq AND r.ended_us IS NOT NULL AND NOT EXISTS (SELECT 1 FROM events AS e
                     WHERE e.room_id = r.id AND e.seq = r.next_seq - 1 AND e.kind = 'room-ended'
                     AND e.at_us = r.ended_us AND e.duration_s = r.duration_s))
                 OR EXISTS (SELECT 1 FROM events AS e WHERE e.room_id = r.id AND e.kind LIKE 'room-%'
                     AND e.seq <> 0 AND (r.ended_us IS NULL OR e.seq <> r.next_seq - 1)))"
        }
        Rule::ParticipantEvents => {
            "SELECT 'PA' || replace(sid::text, '-', ''),
                 format('%s events of its beginning, %s of its end, %s that differ from its row', begun, ended, other)
             FROM (SELECT p.sid, p.ended_us, r.first_seq,
                     (SELECT count(*) FROM events AS e WHERE e.participant_id = p.id
                         AND e.kind = 'participant-connected') AS begun,
                     (SELECT count(*) FROM events AS e WHERE e.participant_id = p.id
                         AND e.kind = 'participant-disconnected') AS ended,
                     (SELECT count(*) FROM events AS e WHERE e.participant_id = p.id AND (
                         (e.kind = 'participant-connected' AND e.at_us <> p.created_us)
                         OR (e.kind = 'participant-disconnected' AND (e.at_us IS DISTINCT FROM p.ended_us
                             OR e.duration_s IS DISTINCT FROM p.duration_s)))) AS other
                 FROM rooms AS r JOIN participants AS p ON p.room_id = r.id WHERE r.id BETWEEN $1 AND $2) AS p
             WHERE other > 0 OR begun > 1 OR ended > (ended_us IS NOT NULL)::int
                 OR (first_seq = 0 AND (begun <> 1 OR ended <> (ended_us IS NOT NULL)::int))"
        }
        Rule::TrackEvents => {
            "SELECT 'MT' || replace(sid::text, '-', ''), format('%s events of its beginning, %s of its end', begun, ended)
             FROM (SELECT t.sid, t.ended_us, r.first_seq,
                     (SELECT count(*) FROM events AS e WHERE e.track_id = t.id AND e.kind = 'track-added') AS begun,
                     (SELECT count(*) FROM events AS e WHERE e.track_id = t.id AND e.kind = 'track-removed') AS ended
                 FROM rooms AS r JOIN participants AS p ON p.room_id = r.id JOIN tracks AS t ON t.participant_id = p.id
                 WHERE r.id BETWEEN $1 AND $2) AS t
             WHERE begun > 1 OR (first_seq = 0 AND begun <> 1) OR ended > (ended_us IS NOT NULL)::int"
        }
        Rule::EventsOfTheirRoom => {
            "SELECT 'RM' || replace(r.sid::text, '-', ''), format('its event %s is about another room', e.seq)
             FROM rooms AS r JOIN events AS e ON e.room_id = r.id
             LEFT JOIN participants AS p ON p.id = e.participant_id LEFT JOIN tracks AS t ON t.id = e.track_id
             WHERE r.id BETWEEN $1 AND $2 AND (p.room_id <> r.id OR t.participant_id <> p.id)"
        }
        Rule::CallbacksOfEvents => {
            "SELECT 'RM' || replace(r.sid::text, '-', ''), format('its callback %s tells of %s', o.id,
                 CASE WHEN e.id IS NULL THEN 'no event' ELSE 'another room' END)
             FROM rooms AS r JOIN outbox AS o ON o.room_id = r.id LEFT JOIN events AS e ON e.id = o.event_id
             WHERE r.id BETWEEN $1 AND $2 AND e.room_id IS DISTINCT FROM r.id"
        }
        Rule::CallbacksInOrder => {
            "SELECT 'RM' || replace(sid::text, '-', ''), format('%s of its callbacks are due, %s wait', due, waiting)
             FROM (SELECT r.sid,
                     (SELECT count(*) FROM outbox AS o WHERE o.room_id = r.id AND o.state = 'due') AS due,
                     (SELECT min(id) FROM outbox AS o WHERE o.room_id = r.id AND o.state = 'due'
                         AND o.attempts_before = 0) AS due_id,
                     (SELECT count(*) FROM outbox AS o WHERE o.room_id = r.id AND o.state = 'waiting') AS waiting,
                     (SELECT min(id) FROM outbox AS o WHERE o.room_id = r.id AND o.state = 'waiting'
                         AND o.attempts_before = 0) AS waiting_id,
                     (SELECT max(id) FROM outbox AS o WHERE o.room_id = r.id
                         AND o.state IN ('delivered', 'given-up')) AS done_id
                 FROM rooms AS r WHERE r.id BETWEEN $1 AND $2) AS r
             WHERE due > 1 OR (waiting > 0 AND due = 0) OR waiting_id < due_id OR due_id < done_id"
        }
        Rule::AttemptsCounted => {
            "SELECT 'RM' || replace(sid::text, '-', ''), format('its callback %s, %s, counts %s attempts and has %s', id,
                 state, attempts, found)
             FROM (SELECT r.sid, o.id, o.state, o.attempts,
                     (SELECT count(*) FROM attempts AS a WHERE a.outbox_id = o.id) AS found
                 FROM rooms AS r JOIN outbox AS o ON o.room_id = r.id WHERE r.id BETWEEN $1 AND $2) AS o
             WHERE attempts <> found OR (found = 0 AND state IN ('delivered', 'given-up'))"
        }
    }
}

/// Checks the database, on one snapshot of a connection that nobody else uses.
pub(super) async fn check(db: &Connection, progress: &mut dyn FnMut(CheckProgress)) -> Result<Findings, StoreError> {
    db.command("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let findings = rows(db, progress).await?;
    db.command("ROLLBACK").await?;
    Ok(findings)
}

/// Checks what the transaction that is under way sees.
pub(super) async fn rows(db: &Connection, progress: &mut dyn FnMut(CheckProgress)) -> Result<Findings, StoreError> {
    let mut findings = Findings::default();
    progress(CheckProgress::Pages);
    for row in db.query(NOT_VALID, &[]).await? {
        findings.add(INTEGRITY.name, row::get(&row, 0)?, row::get(&row, 1)?);
    }
    db.command(OF_ALL_ROWS).await?;
    references(db, &mut findings).await?;
    db.command(OF_FEW_ROWS).await?;
    let last: i64 = row::get(&db.query_one("SELECT coalesce(max(id), 0) FROM rooms", &[]).await?, 0)?;
    let counts = "SELECT (SELECT count(*) FROM rooms WHERE id BETWEEN $1 AND $2),
         (SELECT count(*) FROM participants WHERE room_id BETWEEN $1 AND $2),
         (SELECT count(*) FROM events WHERE room_id BETWEEN $1 AND $2)";
    for range in Ranges::up_to(last) {
        progress(CheckProgress::before(range.first, last));
        for rule in Rule::ALL {
            for row in db.query(query(rule), &[&range.first, &range.last]).await? {
                findings.add(rule.invariant().name, row::get(&row, 0)?, row::get(&row, 1)?);
            }
        }
        let row = db.query_one(counts, &[&range.first, &range.last]).await?;
        findings.rooms += row::count(&row, 0)?;
        findings.participants += row::count(&row, 1)?;
        findings.events += row::count(&row, 2)?;
    }
    progress(CheckProgress::before(i64::MAX, last));
    Ok(findings)
}

/// PostgreSQL keeps references by itself, unless somebody turned that off to load rows.
async fn references(db: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
    for table in TABLES {
        for column in table.columns {
            let Kind::Reference(parent) = column.kind else {
                continue;
            };
            let (child, name) = (table.name, column.name);
            // By the first column of its key, whatever that is.
            let key = table.columns[0].name;
            let sql = format!(
                "SELECT '{child} ' || c.{key} FROM {child} AS c LEFT JOIN {parent} AS p ON p.id = c.{name}
                 WHERE c.{name} IS NOT NULL AND p.id IS NULL LIMIT $1"
            );
            let most = i64::try_from(limits::VIOLATIONS_MAX).unwrap_or(i64::MAX);
            for row in db.query(&sql, &[&most]).await? {
                let what = format!("it refers to a row of {parent} that is not there");
                findings.add(REFERENCES.name, row::get(&row, 0)?, what);
            }
        }
    }
    Ok(())
}
