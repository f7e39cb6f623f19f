//! An identity is in a room once, and a name is in progress once.

use std::collections::BTreeMap;
use std::sync::Arc;

use room::{ParticipantSid, ParticipantStatus, RoomSid};

use super::check::{Rule, Violation, violates};
use super::order::{self, Stage, Subject};
use super::{Fact, History, Moment, Said};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let identities = identities(history);
    let names = history.room_names();
    let mut groups: BTreeMap<Group<'_>, BTreeMap<Subject, Stay<'_>>> = BTreeMap::new();
    for fact in &history.facts {
        order::each(fact, |subject, stage| {
            // What came by itself does not say when it was so.
            if stage != Stage::Live || fact.asked == Moment::default() {
                return;
            }
            let group = match subject {
                Subject::Participant(sid) => identities
                    .get(&sid)
                    .map(|(room, identity)| Group::Identity(*room, identity)),
                Subject::Room(sid) => names.get(&sid).map(Group::Name),
            };
            if let Some(group) = group {
                groups
                    .entry(group)
                    .or_default()
                    .entry(subject)
                    .or_default()
                    .sights
                    .push(fact);
            }
        });
        if let Said::Participants(page) = &fact.said
            && page.of.status != ParticipantStatus::Disconnected
        {
            let mut seen = BTreeMap::new();
            for row in &page.rows {
                if let Some(other) = seen.insert(&row.identity, row) {
                    violates(found, Rule::LiveOnce, format_args!("{other} and {row} by {fact}"));
                }
            }
        }
    }
    for stays in groups.values() {
        once(stays, found);
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Group<'a> {
    Identity(RoomSid, &'a Arc<str>),
    Name(&'a Arc<str>),
}

/// When something was seen to be live.
#[derive(Default)]
struct Stay<'a> {
    sights: Vec<&'a Fact>,
}

impl Stay<'_> {
    /// It was live all the time between these, if they are in this order.
    fn certain(&self) -> Option<(Moment, Moment)> {
        let from = self.sights.iter().map(|fact| fact.answered).min()?;
        let to = self.sights.iter().map(|fact| fact.asked).max()?;
        (from <= to).then_some((from, to))
    }
}

fn identities(history: &History) -> BTreeMap<ParticipantSid, (RoomSid, Arc<str>)> {
    let mut identities = BTreeMap::new();
    for fact in &history.facts {
        for row in super::rows::rows(&fact.said).0 {
            identities.insert(row.sid, (row.room, row.identity.clone()));
        }
        if let Said::Present(present) = &fact.said {
            identities.insert(present.participant, (present.room, present.identity.clone()));
        }
    }
    identities
}

/// No sight of one lies within the certain time of another, and no two such times overlap.
fn once(stays: &BTreeMap<Subject, Stay<'_>>, found: &mut Vec<Violation>) {
    let mut certain: Vec<(Moment, Moment, Subject)> = stays
        .iter()
        .filter_map(|(subject, stay)| stay.certain().map(|(from, to)| (from, to, *subject)))
        .collect();
    certain.sort();
    for pair in certain.windows(2) {
        if pair[1].0 < pair[0].1 {
            violates(
                found,
                Rule::LiveOnce,
                format_args!("{:?} and {:?} were there together", pair[0], pair[1]),
            );
        }
    }
    for (subject, stay) in stays {
        for fact in &stay.sights {
            let next = certain.partition_point(|(from, _, _)| *from <= fact.asked);
            let before = certain[..next].last();
            if let Some((from, to, other)) = before.filter(|(_, to, other)| *to >= fact.answered && other != subject) {
                violates(
                    found,
                    Rule::LiveOnce,
                    format_args!(
                        "{other:?} was there from {} to {}, and {subject:?} by {fact}",
                        from.0, to.0
                    ),
                );
            }
        }
    }
}
