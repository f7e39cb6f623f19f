//! Walks over pages: nothing is lost that was there all the time, nothing is shown twice, and
//! nobody is shown who never asked to come in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use room::{ParticipantSid, ParticipantStatus, RoomSid, RoomStatus};

use super::check::{Rule, Violation, violates};
use super::order::{self, Stage, Subject};
use super::{
    Deed, Fact, History, Moment, Page, ParticipantRow, ParticipantsOf, RoomRow, RoomsOf, RowTime, Said, Touches,
};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let known = Known::of(history);
    let (participants, rooms) = walks(history);
    for walk in participants.values() {
        once_in_order(walk, found);
        for (fact, page) in walk {
            participants_match(fact, page, found);
        }
        known.lost_participants(walk, found);
    }
    for walk in rooms.values() {
        once_in_order(walk, found);
        for (fact, page) in walk {
            rooms_match(fact, page, found);
        }
        known.lost_rooms(walk, found);
    }
    invented(history, found);
}

type Walk<'a, Row, Of> = Vec<(&'a Fact, &'a Page<Row, Of>)>;
type Walks<'a, Row, Of> = BTreeMap<u64, Walk<'a, Row, Of>>;

fn walks(history: &History) -> (Walks<'_, ParticipantRow, ParticipantsOf>, Walks<'_, RoomRow, RoomsOf>) {
    let (mut participants, mut rooms) = (Walks::new(), Walks::new());
    for fact in &history.facts {
        match &fact.said {
            Said::Participants(page) => participants
                .entry(page.walk)
                .or_insert_with(Vec::new)
                .push((fact, page)),
            Said::Rooms(page) => rooms.entry(page.walk).or_insert_with(Vec::new).push((fact, page)),
            _ => {}
        }
    }
    (participants, rooms)
}

/// What a walk needs to know of a row.
trait Listed {
    fn key(&self) -> [u8; 16];
    fn created(&self) -> RowTime;
}

impl Listed for ParticipantRow {
    fn key(&self) -> [u8; 16] {
        *self.sid.as_bytes()
    }

    fn created(&self) -> RowTime {
        self.times.created
    }
}

impl Listed for RoomRow {
    fn key(&self) -> [u8; 16] {
        *self.sid.as_bytes()
    }

    fn created(&self) -> RowTime {
        self.times.created
    }
}

/// No row twice, newest first over all pages, no page larger than asked for.
fn once_in_order<Row: Listed + std::fmt::Display, Of>(walk: &Walk<'_, Row, Of>, found: &mut Vec<Violation>) {
    let mut seen: BTreeMap<[u8; 16], &Fact> = BTreeMap::new();
    let mut last: Option<&Row> = None;
    for (fact, page) in walk {
        if page.rows.len() > page.size || (page.has_next && page.rows.is_empty()) {
            violates(
                found,
                Rule::NothingRepeated,
                format_args!("{} rows were asked for: {fact}", page.size),
            );
        }
        for row in &page.rows {
            if let Some(before) = seen.insert(row.key(), fact) {
                violates(
                    found,
                    Rule::NothingRepeated,
                    format_args!("{row} by {before} and again by {fact}"),
                );
            }
            if let Some(newer) = last.filter(|newer| newer.created() < row.created()) {
                violates(
                    found,
                    Rule::NothingRepeated,
                    format_args!("{row} comes after {newer}: {fact}"),
                );
            }
            last = Some(row);
        }
    }
}

fn participants_match(fact: &Fact, page: &Page<ParticipantRow, ParticipantsOf>, found: &mut Vec<Violation>) {
    for row in &page.rows {
        let created = Some(row.times.created);
        if row.status != page.of.status || row.room != page.of.room || !matches(&page.of, &row.identity, created) {
            violates(
                found,
                Rule::NothingRepeated,
                format_args!("{row} is not of {:?}: {fact}", page.of),
            );
        }
    }
}

fn rooms_match(fact: &Fact, page: &Page<RoomRow, RoomsOf>, found: &mut Vec<Violation>) {
    for row in &page.rows {
        let is_named = page.of.name.as_ref().is_none_or(|name| *name == row.name);
        if row.status != page.of.status || !is_named {
            violates(
                found,
                Rule::NothingRepeated,
                format_args!("{row} is not of {:?}: {fact}", page.of),
            );
        }
    }
}

/// Whether the filters are for this row; not if they hang on a beginning that is not known.
fn matches(of: &ParticipantsOf, identity: &Arc<str>, created: Option<RowTime>) -> bool {
    let second = created.map(|created| created.div_euclid(1_000_000));
    let within = |bound: Option<i64>, fits: &dyn Fn(i64, i64) -> bool| {
        bound.is_none_or(|bound| second.is_some_and(|second| fits(second, bound)))
    };
    of.identity.as_ref().is_none_or(|wanted| wanted == identity)
        && within(of.created_after_s, &|second, bound| second > bound)
        && within(of.created_before_s, &|second, bound| second < bound)
}

/// What is known of everyone, by everything that was said.
struct Known<'a> {
    people: BTreeMap<RoomSid, BTreeMap<ParticipantSid, Person>>,
    rooms: BTreeMap<RoomSid, Place>,
    names: BTreeMap<RoomSid, Arc<str>>,
    lasting: BTreeSet<RoomSid>,
    deeds: Deeds<'a>,
}

#[derive(Default)]
struct Person {
    identity: Option<Arc<str>>,
    created: Option<RowTime>,
    /// The earliest answer that showed it gone.
    gone: Option<Moment>,
    /// When it was asked for and seen connected, and by which deed it came.
    connected: Vec<Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    asked: Moment,
    answered: Moment,
    deed: Option<usize>,
}

#[derive(Default)]
struct Place {
    created: Option<RowTime>,
    gone: Option<Moment>,
    live: Vec<Seen>,
}

impl<'a> Known<'a> {
    fn of(history: &'a History) -> Self {
        let mut known = Self {
            people: BTreeMap::new(),
            rooms: BTreeMap::new(),
            names: history.room_names(),
            lasting: history.lasting.clone(),
            deeds: Deeds::of(history),
        };
        let mut room_of: BTreeMap<ParticipantSid, RoomSid> = BTreeMap::new();
        for fact in &history.facts {
            let (people, places) = super::rows::rows(&fact.said);
            for row in people {
                room_of.insert(row.sid, row.room);
                let person = known.person(row.room, row.sid);
                person.identity = Some(row.identity.clone());
                person.created = Some(row.times.created);
                if row.status == ParticipantStatus::Connected {
                    person.connected.push(seen(fact, None));
                }
            }
            for row in places {
                let place = known.rooms.entry(row.sid).or_default();
                place.created = Some(row.times.created);
                if row.status == RoomStatus::InProgress {
                    place.live.push(seen(fact, None));
                }
            }
            if let Said::Present(present) = &fact.said {
                room_of.insert(present.participant, present.room);
                let person = known.person(present.room, present.participant);
                person.identity = Some(present.identity.clone());
                person.connected.push(seen(fact, Some(present.deed)));
                for (other, status) in &present.others {
                    if *status == ParticipantStatus::Connected {
                        known.person(present.room, *other).connected.push(seen(fact, None));
                    }
                }
            }
        }
        for fact in &history.facts {
            order::each(fact, |subject, stage| known.ends(subject, stage, fact, &room_of));
        }
        let people = known.people.values_mut().flat_map(BTreeMap::values_mut);
        for seen in people
            .map(|person| &mut person.connected)
            .chain(known.rooms.values_mut().map(|room| &mut room.live))
        {
            seen.sort_by_key(|seen| seen.asked);
        }
        known
    }

    fn person(&mut self, room: RoomSid, sid: ParticipantSid) -> &mut Person {
        self.people.entry(room).or_default().entry(sid).or_default()
    }

    fn ends(&mut self, subject: Subject, stage: Stage, fact: &Fact, room_of: &BTreeMap<ParticipantSid, RoomSid>) {
        if stage != Stage::Ended {
            return;
        }
        let gone = match subject {
            Subject::Participant(sid) => match room_of.get(&sid) {
                Some(room) => &mut self.person(*room, sid).gone,
                None => return,
            },
            Subject::Room(sid) => &mut self.rooms.entry(sid).or_default().gone,
        };
        *gone = Some(gone.map_or(fact.answered, |before| before.min(fact.answered)));
    }

    fn lost_participants(&self, walk: &Walk<'_, ParticipantRow, ParticipantsOf>, found: &mut Vec<Violation>) {
        let Some(span) = Span::of(walk) else { return };
        let of = &walk[0].1.of;
        let shown: BTreeSet<ParticipantSid> = walk
            .iter()
            .flat_map(|(_, page)| &page.rows)
            .map(|row| row.sid)
            .collect();
        for (sid, person) in self.people.get(&of.room).into_iter().flatten() {
            let Some(identity) = &person.identity else { continue };
            if shown.contains(sid) || !matches(of, identity, person.created) || !span.covers(person.created) {
                continue;
            }
            let why = match of.status {
                ParticipantStatus::Disconnected => person
                    .gone
                    .filter(|gone| *gone < span.from)
                    .map(|gone| format!("was gone at {}", gone.0)),
                ParticipantStatus::Connected => self
                    .was_connected(of.room, *sid, identity, person, &span)
                    .map(|seen| format!("was connected from {} on and nothing touched it", seen.answered.0)),
                ParticipantStatus::Reconnecting => None,
            };
            if let Some(why) = why {
                let (first, last) = (walk[0].0, walk[walk.len() - 1].0);
                violates(
                    found,
                    Rule::NothingLost,
                    format_args!("{sid} ({identity}) {why}; from {first} to {last}, with {of:?}"),
                );
            }
        }
    }

    /// How it is known that somebody was connected all the time, if it is.
    fn was_connected(
        &self,
        room: RoomSid,
        sid: ParticipantSid,
        identity: &Arc<str>,
        person: &Person,
        span: &Span,
    ) -> Option<Seen> {
        // The latest tells the most.
        let before = person.connected.iter().rev().find(|seen| seen.answered < span.from)?;
        let name = self.names.get(&room);
        let by_identity = name.and_then(|name| self.deeds.identities.get(&(name.clone(), identity.clone())));
        let lists = [
            self.deeds.participants.get(&sid),
            by_identity,
            self.deeds.rooms.get(&room),
            Some(&self.deeds.everything),
        ];
        let is_touched = lists.into_iter().flatten().any(|deeds| deeds.touch(before, span.to));
        (!is_touched && person.gone.is_none_or(|gone| gone > span.to)).then_some(*before)
    }

    fn lost_rooms(&self, walk: &Walk<'_, RoomRow, RoomsOf>, found: &mut Vec<Violation>) {
        let Some(span) = Span::of(walk) else { return };
        let of = &walk[0].1.of;
        let shown: BTreeSet<RoomSid> = walk
            .iter()
            .flat_map(|(_, page)| &page.rows)
            .map(|row| row.sid)
            .collect();
        for (sid, place) in &self.rooms {
            let is_named = of.name.as_ref().is_none_or(|name| self.names.get(sid) == Some(name));
            if shown.contains(sid) || !is_named || !span.covers(place.created) || !self.names.contains_key(sid) {
                continue;
            }
            let is_lost = match of.status {
                RoomStatus::Completed => place.gone.is_some_and(|gone| gone < span.from),
                RoomStatus::InProgress => {
                    let before = place.live.iter().rev().find(|seen| seen.answered < span.from);
                    let is_touched = |seen: &Seen| {
                        self.deeds
                            .rooms
                            .get(sid)
                            .is_some_and(|deeds| deeds.touch(seen, span.to))
                    };
                    self.lasting.contains(sid) && before.is_some_and(|seen| !is_touched(seen))
                }
            };
            if is_lost {
                let (first, last) = (walk[0].0, walk[walk.len() - 1].0);
                violates(
                    found,
                    Rule::NothingLost,
                    format_args!("{sid} is missing from {first} to {last}, with {of:?}"),
                );
            }
        }
    }
}

fn seen(fact: &Fact, deed: Option<usize>) -> Seen {
    Seen {
        asked: fact.asked,
        answered: fact.answered,
        deed,
    }
}

/// What a walk has to show: from when to when it was read, and down to which beginning.
struct Span {
    from: Moment,
    to: Moment,
    /// Rows that began after this must be shown; all of them if the walk came to its end.
    after: Option<RowTime>,
}

impl Span {
    fn of<Row: Listed, Of>(walk: &Walk<'_, Row, Of>) -> Option<Self> {
        let (first, last) = (walk.first()?, walk.last()?);
        let oldest = walk
            .iter()
            .flat_map(|(_, page)| &page.rows)
            .next_back()
            .map(Listed::created);
        Some(Self {
            from: first.0.asked,
            to: last.0.answered,
            after: if last.1.has_next { Some(oldest?) } else { None },
        })
    }

    fn covers(&self, created: Option<RowTime>) -> bool {
        self.after
            .is_none_or(|after| created.is_some_and(|created| created > after))
    }
}

/// The deeds by whom they may touch.
struct Deeds<'a> {
    participants: BTreeMap<ParticipantSid, Timeline<'a>>,
    identities: BTreeMap<(Arc<str>, Arc<str>), Timeline<'a>>,
    rooms: BTreeMap<RoomSid, Timeline<'a>>,
    everything: Timeline<'a>,
}

/// Deeds by their beginnings, each with the latest end of itself and all before it.
#[derive(Default)]
struct Timeline<'a>(Vec<(usize, &'a Deed, Moment)>);

impl<'a> Deeds<'a> {
    fn of(history: &'a History) -> Self {
        let mut deeds = Self {
            participants: BTreeMap::new(),
            identities: BTreeMap::new(),
            rooms: BTreeMap::new(),
            everything: Timeline::default(),
        };
        let mut by_beginning: Vec<(usize, &Deed)> = history.deeds.iter().enumerate().collect();
        by_beginning.sort_by_key(|(_, deed)| deed.began);
        for (number, deed) in by_beginning {
            let timeline = match &deed.touches {
                Touches::Participant(sid) => deeds.participants.entry(*sid).or_default(),
                Touches::Identity { room, identity } => {
                    deeds.identities.entry((room.clone(), identity.clone())).or_default()
                }
                Touches::Room(sid) => deeds.rooms.entry(*sid).or_default(),
                Touches::Everything => &mut deeds.everything,
            };
            let latest = timeline.0.last().map_or(Moment::default(), |(_, _, latest)| *latest);
            timeline.0.push((number, deed, latest.max(deed.over)));
        }
        deeds
    }
}

impl Timeline<'_> {
    /// Whether any of these may have happened after what was seen was asked for and before this moment.
    fn touch(&self, seen: &Seen, until: Moment) -> bool {
        let begun = self.0.partition_point(|(_, deed, _)| deed.began <= until);
        self.0[..begun]
            .iter()
            .rev()
            .take_while(|(_, _, latest)| *latest >= seen.asked)
            .any(|(number, deed, _)| deed.over >= seen.asked && Some(*number) != seen.deed)
    }
}

/// Each row's identity asked to come into a room of this name, as often as it has rows.
fn invented(history: &History, found: &mut Vec<Violation>) {
    let names = history.room_names();
    let mut asked: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for deed in &history.deeds {
        if let Touches::Identity { room, identity } = &deed.touches {
            *asked.entry((room, identity)).or_default() += 1;
        }
    }
    let mut rows: BTreeMap<(&str, &str), BTreeSet<ParticipantSid>> = BTreeMap::new();
    for fact in &history.facts {
        for row in super::rows::rows(&fact.said).0 {
            let Some(name) = names.get(&row.room) else { continue };
            let known = rows.entry((name, &row.identity)).or_default();
            if known.insert(row.sid) && known.len() > asked.get(&(name, &row.identity)).copied().unwrap_or(0) {
                violates(
                    found,
                    Rule::NothingInvented,
                    format_args!("{row} never asked, by {fact}"),
                );
            }
        }
    }
}
