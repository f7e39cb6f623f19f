//! A checker that cannot fail is worth nothing: a history in which all is well, and for each rule
//! histories that break it.

use room::{EventKind, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus, TrackSid};

use super::check::{Rule, check};
use super::{
    Callback, Deed, Fact, History, Moment, Page, ParticipantRow, ParticipantsOf, Present, RoomRow, RoomsOf, Said,
    Times, Touches,
};

const ROOM: RoomSid = RoomSid::from_bytes([9; 16]);
const SECOND: i64 = 1_000_000;

fn who(number: u8) -> ParticipantSid {
    ParticipantSid::from_bytes([number; 16])
}

fn track(number: u8) -> TrackSid {
    TrackSid::from_bytes([number; 16])
}

fn name(number: u8) -> String {
    format!("guest {number}")
}

fn row(number: u8, status: ParticipantStatus) -> ParticipantRow {
    let created = i64::from(number) * SECOND;
    let is_gone = status == ParticipantStatus::Disconnected;
    ParticipantRow {
        sid: who(number),
        room: ROOM,
        identity: name(number).into(),
        status,
        times: Times {
            created,
            updated: if is_gone { 30 * SECOND } else { created },
            ended: is_gone.then_some(30 * SECOND),
            duration_s: is_gone.then(|| 30 - u64::from(number)),
        },
    }
}

fn place(status: RoomStatus) -> RoomRow {
    let is_over = status == RoomStatus::Completed;
    RoomRow {
        sid: ROOM,
        name: "daily".into(),
        status,
        calls_back: true,
        times: Times {
            created: 0,
            updated: if is_over { 30 * SECOND } else { 0 },
            ended: is_over.then_some(30 * SECOND),
            duration_s: is_over.then_some(30),
        },
    }
}

fn page(walk: u64, status: ParticipantStatus, numbers: &[u8], has_next: bool) -> Said {
    Said::Participants(Page {
        walk,
        of: ParticipantsOf {
            room: ROOM,
            status,
            identity: None,
            created_after_s: None,
            created_before_s: None,
        },
        size: 2,
        rows: numbers.iter().map(|number| row(*number, status)).collect(),
        has_next,
    })
}

fn call(sequence: u64, event: EventKind, about: Option<u8>) -> Said {
    use EventKind::{ParticipantDisconnected, RoomEnded, TrackAdded, TrackRemoved};
    let is_track = matches!(event, TrackAdded | TrackRemoved);
    Said::Callback(Callback {
        room: ROOM,
        sequence,
        event,
        participant: about.map(|number| (who(number), name(number).into())),
        track: about.filter(|_| is_track).map(track),
        duration_s: match event {
            ParticipantDisconnected => about.map(|number| 30 - u64::from(number)),
            RoomEnded => Some(30),
            _ => None,
        },
    })
}

fn fact(asked: u64, answered: u64, said: Said) -> Fact {
    Fact {
        asked: Moment(asked),
        answered: Moment(answered),
        said,
    }
}

/// A room is made, three come in, the list is walked, they leave, the room is over.
fn sound() -> History {
    use EventKind::{ParticipantConnected, ParticipantDisconnected, RoomCreated, RoomEnded, TrackAdded, TrackRemoved};
    use ParticipantStatus::{Connected, Disconnected};
    let mut history = History {
        settled: true,
        ..History::default()
    };
    let facts = &mut history.facts;
    history.lasting.insert(ROOM);
    facts.push(fact(1, 2, Said::Room(place(RoomStatus::InProgress))));
    for number in 1..=3 {
        let asked = 10 * u64::from(number);
        history.deeds.push(Deed {
            began: Moment(asked),
            over: Moment(asked + 2),
            touches: Touches::Identity {
                room: "daily".into(),
                identity: name(number).into(),
            },
        });
        facts.push(fact(
            asked,
            asked + 1,
            Said::Present(Present {
                room: ROOM,
                name: "daily".into(),
                participant: who(number),
                identity: name(number).into(),
                others: (1..number).map(|other| (who(other), Connected)).collect(),
                deed: usize::from(number) - 1,
            }),
        ));
    }
    facts.push(fact(40, 41, page(1, Connected, &[3, 2], true)));
    facts.push(fact(42, 43, page(1, Connected, &[1], false)));
    facts.push(fact(
        44,
        45,
        Said::Rooms(Page {
            walk: 3,
            of: RoomsOf {
                status: RoomStatus::InProgress,
                name: None,
            },
            size: 50,
            rows: vec![place(RoomStatus::InProgress)],
            has_next: false,
        }),
    ));
    history.deeds.push(Deed {
        began: Moment(50),
        over: Moment(53),
        touches: Touches::Room(ROOM),
    });
    facts.push(fact(0, 52, Said::Dismissed(who(1))));
    facts.push(fact(
        0,
        52,
        Said::Told {
            to: who(2),
            about: who(1),
            status: Disconnected,
        },
    ));
    facts.push(fact(50, 53, Said::Room(place(RoomStatus::Completed))));
    facts.push(fact(60, 61, page(2, Disconnected, &[3, 2], true)));
    facts.push(fact(62, 63, page(2, Disconnected, &[1], false)));
    facts.push(fact(64, 65, Said::Participant(row(1, Disconnected))));
    let calls = [
        (RoomCreated, None),
        (ParticipantConnected, Some(1)),
        (TrackAdded, Some(1)),
        (ParticipantConnected, Some(2)),
        (ParticipantConnected, Some(3)),
        (TrackRemoved, Some(1)),
        (ParticipantDisconnected, Some(1)),
        (ParticipantDisconnected, Some(2)),
        (ParticipantDisconnected, Some(3)),
        (RoomEnded, None),
    ];
    for (sequence, (event, about)) in (0..).zip(calls) {
        facts.push(fact(0, 70 + sequence, call(sequence, event, about)));
    }
    history
}

/// After this change exactly these rules are violated.
#[track_caller]
fn breaks(change: impl FnOnce(&mut History), rules: &[Rule]) {
    let mut history = sound();
    change(&mut history);
    let found = check(&history);
    let mut broken: Vec<Rule> = found.iter().map(|violation| violation.rule).collect();
    broken.sort();
    broken.dedup();
    assert_eq!(broken, rules, "{found:#?}");
}

fn pages(history: &mut History, walk: u64) -> Vec<&mut Vec<ParticipantRow>> {
    let pages = history.facts.iter_mut().filter_map(|fact| match &mut fact.said {
        Said::Participants(page) if page.walk == walk => Some(&mut page.rows),
        _ => None,
    });
    pages.collect()
}

fn calls(history: &mut History) -> Vec<&mut Callback> {
    let calls = history.facts.iter_mut().filter_map(|fact| match &mut fact.said {
        Said::Callback(call) => Some(call),
        _ => None,
    });
    calls.collect()
}

fn without(history: &mut History, unwanted: impl Fn(&Said) -> bool) {
    history.facts.retain(|fact| !unwanted(&fact.said));
}

#[test]
fn all_is_well() {
    breaks(|_| (), &[]);
    // A callback that comes twice is no fault.
    breaks(
        |history| {
            history
                .facts
                .push(fact(0, 90, call(3, EventKind::ParticipantConnected, Some(2))))
        },
        &[],
    );
}

#[test]
fn a_read_that_is_older_than_what_was_acknowledged() {
    use ParticipantStatus::{Connected, Disconnected};
    let add = |said: fn() -> Said, asked: u64| {
        move |history: &mut History| history.facts.push(fact(asked, asked + 1, said()))
    };
    breaks(add(|| Said::NoParticipant(who(2)), 22), &[Rule::NeverOlder]);
    breaks(add(|| Said::NoRoom(ROOM), 3), &[Rule::NeverOlder]);
    breaks(add(|| Said::Participant(row(1, Connected)), 54), &[Rule::NeverOlder]);
    breaks(
        add(|| Said::Room(place(RoomStatus::InProgress)), 54),
        &[Rule::NeverOlder],
    );
    // Of what was asked before the end was known, nothing can be said.
    breaks(add(|| Said::Participant(row(1, Connected)), 52), &[]);
    breaks(add(|| Said::NoParticipant(who(2)), 20), &[]);
    let told = || Said::Told {
        to: who(2),
        about: who(1),
        status: Connected,
    };
    breaks(|history| history.facts.push(fact(0, 99, told())), &[Rule::NeverOlder]);
    breaks(
        |history| {
            history
                .facts
                .insert(1, fact(0, 9, call(6, EventKind::ParticipantDisconnected, Some(1))));
            without(
                history,
                |said| matches!(said, Said::Callback(call) if call.sequence != 6),
            );
            history.settled = false;
            without(
                history,
                |said| matches!(said, Said::Participant(row) if row.status == Disconnected),
            );
        },
        &[Rule::NeverOlder, Rule::NoGap],
    );
}

#[test]
fn a_row_with_two_beginnings_or_two_ends() {
    breaks(
        |history| pages(history, 2)[0][0].times.created += 1,
        &[Rule::OneBeginningOneEnd],
    );
    breaks(
        |history| pages(history, 2)[1][0].times.ended = Some(29 * SECOND),
        &[Rule::OneBeginningOneEnd],
    );
    breaks(
        |history| pages(history, 2)[1][0].times.updated += SECOND,
        &[Rule::OneBeginningOneEnd],
    );
    breaks(
        |history| pages(history, 1)[0][0].times.duration_s = Some(1),
        &[Rule::OneBeginningOneEnd],
    );
    let wrong = |duration_s: u64| {
        move |history: &mut History| {
            for rows in pages(history, 2) {
                rows.iter_mut()
                    .filter(|row| row.sid == who(2))
                    .for_each(|row| row.times.duration_s = Some(duration_s));
            }
            calls(history)[7].duration_s = Some(duration_s);
        }
    };
    breaks(wrong(20), &[Rule::OneBeginningOneEnd]);
    breaks(wrong(27), &[]);
}

#[test]
fn a_walk_that_loses_or_repeats_a_row() {
    breaks(|history| drop(pages(history, 1)[0].remove(0)), &[Rule::NothingLost]);
    breaks(|history| drop(pages(history, 1)[1].remove(0)), &[Rule::NothingLost]);
    breaks(|history| drop(pages(history, 2)[1].remove(0)), &[Rule::NothingLost]);
    breaks(
        |history| drop(pages(history, 2)[0].remove(1)),
        &[Rule::OneBeginningOneEnd, Rule::CallbacksAgree],
    );
    breaks(
        |history| {
            let again = pages(history, 1)[0][1].clone();
            pages(history, 1)[1].insert(0, again);
        },
        &[Rule::NothingRepeated],
    );
    breaks(|history| pages(history, 1)[0].reverse(), &[Rule::NothingRepeated]);
    breaks(
        |history| {
            let third = pages(history, 1)[1].remove(0);
            pages(history, 1)[0].push(third);
        },
        &[Rule::NothingRepeated],
    );
    breaks(
        |history| {
            without(history, |said| matches!(said, Said::Rooms(_)));
            history.facts.push(fact(44, 45, rooms(Vec::new())));
        },
        &[Rule::NothingLost],
    );
}

fn rooms(rows: Vec<RoomRow>) -> Said {
    Said::Rooms(Page {
        walk: 4,
        of: RoomsOf {
            status: RoomStatus::InProgress,
            name: None,
        },
        size: 50,
        rows,
        has_next: false,
    })
}

#[test]
fn who_may_have_been_touched_may_be_missing() {
    for touches in [Touches::Participant(who(3)), Touches::Everything, Touches::Room(ROOM)] {
        breaks(
            |history| {
                pages(history, 1)[0].remove(0);
                let (began, over) = (Moment(41), Moment::NEVER);
                history.deeds.push(Deed { began, over, touches });
            },
            &[],
        );
    }
    // Not by what was over before.
    breaks(
        |history| {
            pages(history, 1)[0].remove(0);
            let (began, over, touches) = (Moment(22), Moment(25), Touches::Participant(who(3)));
            history.deeds.push(Deed { began, over, touches });
        },
        &[Rule::NothingLost],
    );
    // A walk that was given up shows what is newer than its last row.
    breaks(
        |history| {
            without(
                history,
                |said| matches!(said, Said::Participants(page) if page.walk == 1 && !page.has_next),
            )
        },
        &[],
    );
    breaks(
        |history| {
            without(
                history,
                |said| matches!(said, Said::Participants(page) if page.walk == 1 && !page.has_next),
            );
            pages(history, 1)[0].remove(0);
        },
        &[Rule::NothingLost],
    );
}

#[test]
fn a_row_that_is_not_of_the_list() {
    use ParticipantStatus::Disconnected;
    breaks(
        |history| {
            let mut of_one = match page(5, Disconnected, &[2], false) {
                Said::Participants(page) => page,
                _ => unreachable!("made so"),
            };
            of_one.of.identity = Some(name(1).into());
            history.facts.push(fact(66, 67, Said::Participants(of_one)));
        },
        &[Rule::NothingLost, Rule::NothingRepeated],
    );
    for (after, before, rules) in [
        (Some(1), Some(3), &[][..]),
        (Some(2), None, &[Rule::NothingRepeated][..]),
        (None, Some(2), &[Rule::NothingLost, Rule::NothingRepeated][..]),
    ] {
        breaks(
            |history| {
                let mut of_some = match page(5, Disconnected, &[2], false) {
                    Said::Participants(page) => page,
                    _ => unreachable!("made so"),
                };
                (of_some.of.created_after_s, of_some.of.created_before_s) = (after, before);
                if after == Some(2) {
                    of_some.rows.insert(0, row(3, Disconnected));
                }
                history.facts.push(fact(66, 67, Said::Participants(of_some)));
            },
            rules,
        );
    }
    breaks(|history| drop(history.deeds.remove(2)), &[Rule::NothingInvented]);
}

#[test]
fn an_identity_that_is_there_twice() {
    breaks(
        |history| {
            // The second comes while the first is certainly there.
            for fact in &mut history.facts {
                if let Said::Present(present) = &mut fact.said
                    && present.participant == who(2)
                {
                    present.identity = name(1).into();
                }
            }
            for walk in [1, 2] {
                for row in pages(history, walk)
                    .into_iter()
                    .flatten()
                    .filter(|row| row.sid == who(2))
                {
                    row.identity = name(1).into();
                }
            }
            for call in calls(history) {
                for about in call.participant.iter_mut().filter(|(sid, _)| *sid == who(2)) {
                    about.1 = name(1).into();
                }
            }
            history.deeds[1] = Deed {
                touches: history.deeds[0].touches.clone(),
                ..history.deeds[1].clone()
            };
        },
        &[Rule::LiveOnce],
    );
    breaks(
        |history| {
            let other = RoomRow {
                sid: RoomSid::from_bytes([8; 16]),
                calls_back: false,
                ..place(RoomStatus::InProgress)
            };
            history.facts.push(fact(20, 21, Said::Room(other)));
        },
        &[Rule::LiveOnce],
    );
}

#[test]
fn callbacks_with_gaps_or_out_of_order_or_of_nobody() {
    let is = |sequence: u64| move |said: &Said| matches!(said, Said::Callback(call) if call.sequence == sequence);
    breaks(|history| without(history, is(2)), &[Rule::NoGap]);
    breaks(|history| without(history, is(0)), &[Rule::NoGap]);
    breaks(|history| without(history, is(9)), &[Rule::CallbacksAgree]);
    breaks(
        |history| without(history, |said| matches!(said, Said::Callback(_))),
        &[Rule::NoGap],
    );
    breaks(
        |history| {
            let last = history.facts.len();
            history.facts.swap(last - 2, last - 3);
        },
        &[Rule::NoGap],
    );
    breaks(
        |history| calls(history)[4].participant = Some((who(4), "stranger".into())),
        &[Rule::NoGap, Rule::CallbacksAgree],
    );
    breaks(
        |history| calls(history)[7].duration_s = Some(7),
        &[Rule::CallbacksAgree],
    );
    breaks(
        |history| {
            history
                .facts
                .push(fact(0, 99, call(3, EventKind::ParticipantConnected, Some(3))))
        },
        &[Rule::NoGap],
    );
}
