//! Callbacks: numbered without gaps, in order, each thing told once, and nothing but what the list
//! knows. A callback may come twice, but then it is the same.

use std::collections::{BTreeMap, BTreeSet};

use room::{EventKind, ParticipantSid, RoomSid, TrackSid};

use super::check::{Rule, Violation, violates};
use super::{Callback, Fact, History, ParticipantRow, RoomRow, Said};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let mut rooms: BTreeMap<RoomSid, BTreeMap<u64, (&Callback, &Fact)>> = BTreeMap::new();
    for fact in &history.facts {
        let Said::Callback(call) = &fact.said else { continue };
        let told = rooms.entry(call.room).or_default();
        let next = told.last_key_value().map_or(0, |(last, _)| last + 1);
        match told.get(&call.sequence) {
            Some((before, first)) if *before != call => {
                violates(found, Rule::NoGap, format_args!("{first}, and differently {fact}"));
            }
            Some(_) => {}
            None if call.sequence != next => {
                violates(found, Rule::NoGap, format_args!("{next} should come next: {fact}"));
                told.insert(call.sequence, (call, fact));
            }
            None => drop(told.insert(call.sequence, (call, fact))),
        }
    }
    for told in rooms.values() {
        each_once(told, found);
    }
    let rows = Rows::of(history);
    for (room, told) in &rooms {
        rows.agree(*room, told, history.settled, found);
    }
    if history.settled {
        for room in rows
            .rooms
            .values()
            .filter(|room| room.calls_back && !rooms.contains_key(&room.sid))
        {
            violates(found, Rule::NoGap, format_args!("no callback came of {room}"));
        }
    }
}

type Told<'a> = BTreeMap<u64, (&'a Callback, &'a Fact)>;

/// In the order of their numbers: the room begins, people come and go, their tracks while they are
/// there, the room ends.
fn each_once(told: &Told<'_>, found: &mut Vec<Violation>) {
    let mut here: BTreeSet<ParticipantSid> = BTreeSet::new();
    let mut ever: BTreeSet<ParticipantSid> = BTreeSet::new();
    let mut tracks: BTreeMap<TrackSid, ParticipantSid> = BTreeMap::new();
    let mut tracks_ever: BTreeSet<TrackSid> = BTreeSet::new();
    let mut is_over = false;
    for (number, (call, fact)) in told {
        let who = call.participant.as_ref().map(|(sid, _)| *sid);
        let fits = match (call.event, who, call.track) {
            _ if is_over => false,
            (EventKind::RoomCreated, None, None) => *number == 0,
            (EventKind::RoomEnded, None, None) => {
                is_over = true;
                here.is_empty() && call.duration_s.is_some()
            }
            (EventKind::ParticipantConnected, Some(who), None) => ever.insert(who) && here.insert(who),
            (EventKind::ParticipantDisconnected, Some(who), None) => {
                here.remove(&who) && call.duration_s.is_some() && tracks.values().all(|publisher| *publisher != who)
            }
            (EventKind::TrackAdded, Some(who), Some(track)) => {
                tracks.insert(track, who);
                here.contains(&who) && tracks_ever.insert(track)
            }
            (EventKind::TrackRemoved, Some(who), Some(track)) => tracks.remove(&track) == Some(who),
            (EventKind::TrackEnabled | EventKind::TrackDisabled, Some(who), Some(track)) => {
                tracks.get(&track) == Some(&who)
            }
            _ => false,
        };
        if !fits {
            violates(
                found,
                Rule::NoGap,
                format_args!("after what came before, this cannot be: {fact}"),
            );
        }
    }
}

/// The last row that was seen of everyone; once it ended, that.
struct Rows<'a> {
    participants: BTreeMap<ParticipantSid, &'a ParticipantRow>,
    rooms: BTreeMap<RoomSid, &'a RoomRow>,
}

impl<'a> Rows<'a> {
    fn of(history: &'a History) -> Self {
        let mut rows = Self {
            participants: BTreeMap::new(),
            rooms: BTreeMap::new(),
        };
        for fact in &history.facts {
            let (participants, rooms) = super::rows::rows(&fact.said);
            for row in participants {
                let known = rows.participants.entry(row.sid).or_insert(row);
                if known.times.ended.is_none() {
                    *known = row;
                }
            }
            for row in rooms {
                let known = rows.rooms.entry(row.sid).or_insert(row);
                if known.times.ended.is_none() {
                    *known = row;
                }
            }
        }
        rows
    }

    fn agree(&self, room: RoomSid, told: &Told<'_>, settled: bool, found: &mut Vec<Violation>) {
        let mut ends: BTreeMap<ParticipantSid, bool> = BTreeMap::new();
        for (call, fact) in told.values() {
            let Some((sid, identity)) = &call.participant else {
                continue;
            };
            let is_end = call.event == EventKind::ParticipantDisconnected;
            *ends.entry(*sid).or_default() |= is_end;
            match self.participants.get(sid) {
                None if settled => violates(found, Rule::CallbacksAgree, format_args!("not in the list: {fact}")),
                Some(row) if row.identity != *identity || row.room != room => {
                    violates(found, Rule::CallbacksAgree, format_args!("{row}, but {fact}"));
                }
                Some(row) if is_end && row.times.ended.is_some() && row.times.duration_s != call.duration_s => {
                    violates(
                        found,
                        Rule::CallbacksAgree,
                        format_args!("{row}, but {:?} s by {fact}", call.duration_s),
                    );
                }
                _ => {}
            }
        }
        if !settled {
            return;
        }
        for row in self.participants.values().filter(|row| row.room == room) {
            if ends.get(&row.sid).copied() != Some(row.times.ended.is_some()) {
                violates(
                    found,
                    Rule::CallbacksAgree,
                    format_args!("callbacks do not tell all of {row}"),
                );
            }
        }
        let is_over = told.values().any(|(call, _)| call.event == EventKind::RoomEnded);
        if let Some(row) = self.rooms.get(&room).filter(|row| row.times.ended.is_some() != is_over) {
            violates(
                found,
                Rule::CallbacksAgree,
                format_args!("callbacks do not tell the end of {row}, or too early"),
            );
        }
    }
}
