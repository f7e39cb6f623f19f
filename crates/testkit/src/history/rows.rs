//! Each row has one beginning and one end, consistent in themselves, and what ended never changes.

use std::collections::BTreeMap;

use room::{ParticipantSid, ParticipantStatus, RoomSid, RoomStatus};

use super::check::{Rule, Violation, violates};
use super::{Clock, Fact, History, ParticipantRow, RoomRow, Said, Times};

/// How far a duration may be from the time between beginning and end, seconds: both are cut to whole
/// seconds, and the clocks are read one after the other.
const SLACK_S: i64 = 2;

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let mut participants: BTreeMap<ParticipantSid, (&ParticipantRow, &Fact)> = BTreeMap::new();
    let mut rooms: BTreeMap<RoomSid, (&RoomRow, &Fact)> = BTreeMap::new();
    for fact in &history.facts {
        let (people, places) = rows(&fact.said);
        for row in people {
            let has_ended = row.status == ParticipantStatus::Disconnected;
            consistent(&row.times, has_ended, history.clock, fact, row, found);
            let known = participants.entry(row.sid).or_insert((row, fact));
            let is_same = (&known.0.identity, known.0.room, known.0.times.created)
                == (&row.identity, row.room, row.times.created);
            let has_changed = known.0.status == ParticipantStatus::Disconnected && has_ended && *known.0 != *row;
            if !is_same || has_changed {
                contradicts(found, (known.0, known.1), (row, fact));
            }
            if has_ended {
                *known = (row, fact);
            }
        }
        for row in places {
            let has_ended = row.status == RoomStatus::Completed;
            consistent(&row.times, has_ended, history.clock, fact, row, found);
            let known = rooms.entry(row.sid).or_insert((row, fact));
            let is_same = (&known.0.name, known.0.times.created) == (&row.name, row.times.created);
            let has_changed = known.0.status == RoomStatus::Completed && has_ended && *known.0 != *row;
            if !is_same || has_changed {
                contradicts(found, (known.0, known.1), (row, fact));
            }
            if has_ended {
                *known = (row, fact);
            }
        }
    }
    if history.settled {
        for fact in &history.facts {
            let Said::Present(present) = &fact.said else { continue };
            let row = participants.get(&present.participant);
            if row.is_none_or(|(row, _)| row.times.ended.is_none()) {
                violates(
                    found,
                    Rule::OneBeginningOneEnd,
                    format_args!("no end was listed of {fact}"),
                );
            }
        }
    }
}

/// All rows that a fact shows.
pub(super) fn rows(said: &Said) -> (&[ParticipantRow], &[RoomRow]) {
    match said {
        Said::Participant(row) => (std::slice::from_ref(row), &[]),
        Said::Participants(page) => (&page.rows, &[]),
        Said::Room(row) => (&[], std::slice::from_ref(row)),
        Said::Rooms(page) => (&[], &page.rows),
        _ => (&[], &[]),
    }
}

fn contradicts<R: std::fmt::Display>(found: &mut Vec<Violation>, one: (&R, &Fact), other: (&R, &Fact)) {
    violates(
        found,
        Rule::OneBeginningOneEnd,
        format_args!("{} by {}, and {} by {}", one.0, one.1, other.0, other.1),
    );
}

fn consistent(
    times: &Times,
    has_ended: bool,
    clock: Clock,
    fact: &Fact,
    row: impl std::fmt::Display,
    found: &mut Vec<Violation>,
) {
    let fits = match (times.ended, times.duration_s) {
        (None, None) => !has_ended,
        (Some(ended), Some(duration_s)) => {
            let span_s = (ended - times.created) / 1_000_000;
            let off_s = span_s - i64::try_from(duration_s).unwrap_or(i64::MAX);
            has_ended && ended >= times.created && (clock == Clock::Stepped || off_s.abs() <= SLACK_S)
        }
        _ => false,
    };
    if !fits || times.updated < times.created {
        violates(found, Rule::OneBeginningOneEnd, format_args!("{row} by {fact}"));
    }
}
