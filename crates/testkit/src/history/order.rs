//! Reads are never older than what was acknowledged before they were asked, and nothing goes back.

use std::collections::{BTreeMap, BTreeSet};

use room::{EventKind, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus};

use super::check::{Rule, Violation, violates};
use super::{Fact, History, Said};

/// Whom a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Participant(ParticipantSid),
    Room(RoomSid),
}

/// How far a subject is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Not there yet.
    Unknown,
    /// Connected or reconnecting; in progress.
    Live,
    /// Disconnected; completed.
    Ended,
}

/// That a subject was at this stage at some moment of a fact.
pub(super) struct Sight<'a> {
    pub(super) subject: Subject,
    pub(super) stage: Stage,
    pub(super) fact: &'a Fact,
}

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let mut sights: BTreeMap<Subject, Vec<Sight<'_>>> = BTreeMap::new();
    for fact in &history.facts {
        each(fact, |subject, stage| {
            sights.entry(subject).or_default().push(Sight { subject, stage, fact });
        });
    }
    for sights in sights.values_mut() {
        never_back(sights, found);
    }
    never_back_at_one_ear(history, found);
}

/// What a fact says of everyone it names.
pub(super) fn each(fact: &Fact, mut sight: impl FnMut(Subject, Stage)) {
    let participant = Subject::Participant;
    match &fact.said {
        Said::Participant(row) => {
            sight(participant(row.sid), of(row.status));
            if of(row.status) == Stage::Live {
                sight(Subject::Room(row.room), Stage::Live);
            }
        }
        Said::Room(row) => sight(Subject::Room(row.sid), of_room(row.status)),
        Said::NoParticipant(sid) => sight(participant(*sid), Stage::Unknown),
        Said::NoRoom(sid) => sight(Subject::Room(*sid), Stage::Unknown),
        Said::Participants(page) => {
            for row in &page.rows {
                sight(participant(row.sid), of(row.status));
            }
        }
        Said::Rooms(page) => {
            for row in &page.rows {
                sight(Subject::Room(row.sid), of_room(row.status));
            }
        }
        Said::Present(present) => {
            sight(participant(present.participant), Stage::Live);
            sight(Subject::Room(present.room), Stage::Live);
            for (other, status) in &present.others {
                sight(participant(*other), of(*status));
            }
        }
        Said::Told { about, status, .. } => sight(participant(*about), of(*status)),
        Said::Dismissed(sid) => sight(participant(*sid), Stage::Ended),
        Said::Callback(call) => {
            if let Some((sid, _)) = &call.participant {
                let is_end = call.event == EventKind::ParticipantDisconnected;
                sight(participant(*sid), if is_end { Stage::Ended } else { Stage::Live });
            }
            let is_end = call.event == EventKind::RoomEnded;
            sight(
                Subject::Room(call.room),
                if is_end { Stage::Ended } else { Stage::Live },
            );
        }
    }
}

pub(super) fn of(status: ParticipantStatus) -> Stage {
    match status {
        ParticipantStatus::Connected | ParticipantStatus::Reconnecting => Stage::Live,
        ParticipantStatus::Disconnected => Stage::Ended,
    }
}

fn of_room(status: RoomStatus) -> Stage {
    match status {
        RoomStatus::InProgress => Stage::Live,
        RoomStatus::Completed => Stage::Ended,
    }
}

/// Who was seen at a stage is never seen at an earlier one by a read that was asked later. What
/// came by itself was asked at the beginning of time: it counts as seen, but not as a read.
fn never_back(sights: &mut [Sight<'_>], found: &mut Vec<Violation>) {
    sights.sort_by_key(|sight| sight.fact.asked);
    let mut answers: Vec<&Sight<'_>> = sights.iter().collect();
    answers.sort_by_key(|sight| sight.fact.answered);
    let mut answers = answers.into_iter().peekable();
    let mut furthest: Option<&Sight<'_>> = None;
    for sight in sights.iter() {
        while let Some(before) = answers.next_if(|before| before.fact.answered < sight.fact.asked) {
            if furthest.is_none_or(|known| known.stage < before.stage) {
                furthest = Some(before);
            }
        }
        if let Some(known) = furthest.filter(|known| known.stage > sight.stage) {
            let (subject, was, is) = (sight.subject, known.stage, sight.stage);
            violates(
                found,
                Rule::NeverOlder,
                format_args!("{subject:?} was {was:?} by {} and {is:?} by {}", known.fact, sight.fact),
            );
        }
    }
}

/// Each client hears of the others in the order of what happened.
fn never_back_at_one_ear(history: &History, found: &mut Vec<Violation>) {
    let mut gone: BTreeSet<(ParticipantSid, ParticipantSid)> = BTreeSet::new();
    for fact in &history.facts {
        match &fact.said {
            Said::Told { to, about, status } => {
                if gone.contains(&(*to, *about)) {
                    violates(
                        found,
                        Rule::NeverOlder,
                        format_args!("heard before that it is gone: {fact}"),
                    );
                }
                if of(*status) == Stage::Ended {
                    gone.insert((*to, *about));
                }
            }
            Said::Present(present) => {
                for (other, _) in &present.others {
                    if gone.contains(&(present.participant, *other)) {
                        violates(found, Rule::NeverOlder, format_args!("{other} was gone before: {fact}"));
                    }
                }
            }
            _ => {}
        }
    }
}
