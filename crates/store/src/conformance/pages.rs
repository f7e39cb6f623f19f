//! Pages of lists, held against a model that filters a vector.

use std::fmt::Debug;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use room::{Change, ParticipantStatus, RoomSid, RoomStatus, Timestamp};

use super::fixture::{FIRST_PAGE, NOON, OURS, accounts, complete, join, later, leave, lose, new_room, pa, room, write};
use super::{Fresh, with};
use crate::{
    BoxFuture, NewRoom, Page, PageRequest, ParticipantFilter, ParticipantRow, Position, RoomFilter, RoomRow, Store,
    StoreError,
};

/// Histories that are tried. Each is paged through under every combination of filters.
const HISTORIES: u32 = 16;

/// k × size rows are k pages, and the last says so.
pub fn exact_multiples_end_without_a_next_page(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        for number in 0..6 {
            let identity = format!("p{number}");
            write(&*store, sid, vec![join(number, &identity, NOON)]).await.unwrap();
            let rows = all_participants(&*store, sid).await;
            for size in 1..=7 {
                walk(&rows, size, |request| {
                    store.participants(OURS, sid, ParticipantFilter::default(), request)
                })
                .await;
            }
        }
    });
}

/// Status, identity, both bounds: each combination, forwards and back, in pages of several sizes.
pub fn every_filter_of_participants_agrees_with_a_model(fresh: Fresh) {
    hold_against_model(stays(), |stays| {
        with(fresh, |store| async move {
            let sid = room(&*store).await.new.sid;
            let model = live_through(&*store, sid, &stays).await;
            assert_eq!(all_participants(&*store, sid).await, newest_first(&model));
            for filter in participant_filters(&model) {
                let mut rows = model.clone();
                rows.retain(|row| matches(row, &filter));
                let rows = newest_first(&rows);
                for size in [1, 3, 1000] {
                    walk(&rows, size, |request| {
                        store.participants(OURS, sid, filter.clone(), request)
                    })
                    .await;
                }
            }
        });
    });
}

/// State, name, both bounds: each combination, forwards and back.
pub fn every_filter_of_rooms_agrees_with_a_model(fresh: Fresh) {
    hold_against_model(stays(), |stays| {
        with(fresh, |store| async move {
            accounts(&*store).await;
            let model = create_rooms(&*store, &stays).await;
            for filter in room_filters(&model) {
                let mut rows: Vec<_> = model.iter().rev().cloned().collect();
                rows.retain(|row| {
                    let name = row.new.unique_name.clone();
                    let name = name.unwrap_or_else(|| row.new.sid.to_string());
                    let second = row.new.at.seconds();
                    row.status == filter.status
                        && filter.unique_name.as_ref().is_none_or(|n| *n == name)
                        && filter.created_from_s.is_none_or(|from| second >= from)
                        && filter.created_before_s.is_none_or(|to| second < to)
                });
                for size in [1, 2, 1000] {
                    walk(&rows, size, |request| store.rooms(OURS, filter.clone(), request)).await;
                }
            }
        });
    });
}

/// Bounds and positions beyond any clock, and sizes beyond the bounds.
pub fn extreme_bounds_are_answered(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        write(&*store, sid, vec![join(0, "a", NOON), join(1, "b", NOON)])
            .await
            .unwrap();
        let list = |after, before, request| {
            let filter = ParticipantFilter {
                created_after_s: after,
                created_before_s: before,
                ..ParticipantFilter::default()
            };
            store.participants(OURS, sid, filter, request)
        };
        for (after, before, count) in [
            (Some(i64::MIN), Some(i64::MAX), 2),
            (Some(i64::MAX), None, 0),
            (None, Some(i64::MIN), 0),
            (Some(NOON.seconds() + 1), Some(NOON.seconds()), 0),
        ] {
            let page = list(after, before, FIRST_PAGE).await.unwrap();
            assert_eq!(page.rows.len(), count);
            assert!(!page.has_next && !page.has_previous);
        }
        for (size, count) in [(0, 1), (u32::MAX, 2)] {
            let request = PageRequest { size, ..FIRST_PAGE };
            assert_eq!(list(None, None, request).await.unwrap().rows.len(), count);
        }
        // Positions that are before and after all rows.
        for (created, key, backwards, newer, older) in
            [(i64::MAX, 0xff, true, false, true), (i64::MIN, 0, false, true, false)]
        {
            let from = Some(Position {
                created: Timestamp(created),
                sid: [key; 16],
            });
            let request = PageRequest {
                from,
                backwards,
                size: 5,
            };
            let page = list(None, None, request).await.unwrap();
            assert!(page.rows.is_empty());
            assert_eq!((page.has_previous, page.has_next), (newer, older));
        }
        // From beyond the ends all rows follow, and nothing is on the side that was come from.
        for (created, key, backwards) in [(i64::MAX, 0xff, false), (i64::MIN, 0, true)] {
            let from = Some(Position {
                created: Timestamp(created),
                sid: [key; 16],
            });
            let page = list(
                None,
                None,
                PageRequest {
                    from,
                    backwards,
                    size: 5,
                },
            )
            .await
            .unwrap();
            assert_eq!(page.rows.len(), 2);
            assert!(!page.has_previous && !page.has_next);
        }
        // Before the newest there is nothing.
        let request = PageRequest {
            backwards: true,
            ..FIRST_PAGE
        };
        let page = list(None, None, request).await.unwrap();
        assert!(page.rows.is_empty() && !page.has_previous && page.has_next);
    });
}

/// What is listed: it knows where it stands.
trait Listed: Clone + PartialEq + Debug {
    fn position(&self) -> Position;
}

impl Listed for ParticipantRow {
    fn position(&self) -> Position {
        Position {
            created: self.created,
            sid: *self.sid.as_bytes(),
        }
    }
}

impl Listed for RoomRow {
    fn position(&self) -> Position {
        Position {
            created: self.new.at,
            sid: *self.new.sid.as_bytes(),
        }
    }
}

/// Follows the pages to the end and back, and compares each with the rows expected.
async fn walk<'s, T: Listed>(
    rows: &[T],
    size: u32,
    list: impl Fn(PageRequest) -> BoxFuture<'s, Result<Page<T>, StoreError>>,
) {
    let step = size as usize;
    let mut request = PageRequest {
        size,
        from: None,
        backwards: false,
    };
    let mut begin = 0;
    loop {
        let page = list(request).await.unwrap();
        let end = rows.len().min(begin + step);
        assert_eq!(page.rows, rows[begin..end], "{request:?} at {begin}");
        assert_eq!(page.has_previous, begin > 0, "{request:?} at {begin}");
        assert_eq!(page.has_next, end < rows.len(), "{request:?} at {begin}");
        if !page.has_next {
            break;
        }
        request.from = page.rows.last().map(Listed::position);
        begin = end;
    }
    request.backwards = true;
    let mut end = begin;
    while end > 0 {
        request.from = Some(rows[end].position());
        let page = list(request).await.unwrap();
        let begin = end.saturating_sub(step);
        assert_eq!(page.rows, rows[begin..end], "{request:?} at {begin}");
        assert_eq!(page.has_previous, begin > 0, "{request:?} at {begin}");
        assert!(page.has_next, "{request:?} at {begin}");
        end = begin;
    }
}

/// One stay in a history: who, how long after the one before, and where it stands in the end.
#[derive(Debug, Clone)]
struct Stay {
    identity: usize,
    gap_us: i64,
    status: ParticipantStatus,
}

const IDENTITIES: [&str; 3] = ["alice", "bob", "Żaneta 𝄞"];

fn stays() -> impl Strategy<Value = Vec<Stay>> {
    let gap = prop_oneof![Just(0), Just(1), Just(1_000_000), -2_000_000_i64..3_000_000,];
    // Most of those who ever were are gone.
    let status = any::<u8>().prop_map(|die| match die % 4 {
        0 => ParticipantStatus::Connected,
        1 => ParticipantStatus::Reconnecting,
        _ => ParticipantStatus::Disconnected,
    });
    let stay = (0..IDENTITIES.len(), gap, status).prop_map(|(identity, gap_us, status)| Stay {
        identity,
        gap_us,
        status,
    });
    proptest::collection::vec(stay, 0..14)
}

fn hold_against_model(strategy: impl Strategy<Value = Vec<Stay>>, check: impl Fn(Vec<Stay>)) {
    let mut runner = TestRunner::new(Config {
        cases: HISTORIES,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&strategy, |stays| {
        check(stays);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Makes the stays happen and tells what the rows must be, oldest first.
async fn live_through(store: &dyn Store, room: RoomSid, stays: &[Stay]) -> Vec<ParticipantRow> {
    let mut model: Vec<ParticipantRow> = Vec::new();
    let mut now = NOON;
    for (number, stay) in (0..).zip(stays) {
        now = later(now, stay.gap_us);
        let identity = IDENTITIES[stay.identity];
        let mut batch = Vec::new();
        for (older, row) in (0..).zip(&mut model) {
            if row.identity == identity && row.ended.is_none() {
                batch.push(leave(older, now));
                end(row, now);
            }
        }
        let floor = model.last().map_or(now, |last| later(last.created, 1));
        let created = now.max(floor);
        let mut row = ParticipantRow {
            sid: pa(number),
            room,
            account: OURS,
            identity: identity.to_owned(),
            status: stay.status,
            created,
            updated: created,
            ended: None,
            duration_s: None,
        };
        batch.push(join(number, identity, now));
        match stay.status {
            ParticipantStatus::Connected => {}
            ParticipantStatus::Reconnecting => batch.push(lose(number, now)),
            ParticipantStatus::Disconnected => {
                batch.push(leave(number, now));
                end(&mut row, now);
            }
        }
        write(store, room, batch).await.unwrap();
        model.push(row);
    }
    model
}

fn end(row: &mut ParticipantRow, at: Timestamp) {
    let at = at.max(row.created);
    row.status = ParticipantStatus::Disconnected;
    row.updated = at;
    row.ended = Some(at);
    row.duration_s = Some(12);
}

fn newest_first(rows: &[ParticipantRow]) -> Vec<ParticipantRow> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| std::cmp::Reverse(row.created));
    rows
}

fn matches(row: &ParticipantRow, filter: &ParticipantFilter) -> bool {
    let second = row.created.seconds();
    filter.status.is_none_or(|status| status == row.status)
        && filter.identity.as_ref().is_none_or(|i| *i == row.identity)
        && filter.created_after_s.is_none_or(|after| second > after)
        && filter.created_before_s.is_none_or(|before| second < before)
}

/// No bound, and bounds at and beside the seconds in the middle.
fn bounds(seconds: impl Iterator<Item = i64>) -> Vec<Option<i64>> {
    let seconds: Vec<_> = seconds.collect();
    let middle = seconds.get(seconds.len() / 2).copied();
    let middle = middle.unwrap_or(NOON.seconds());
    vec![None, Some(middle - 1), Some(middle), Some(middle + 1)]
}

fn participant_filters(model: &[ParticipantRow]) -> Vec<ParticipantFilter> {
    let statuses = std::iter::once(None).chain(ParticipantStatus::ALL.iter().copied().map(Some));
    let identities = [None, Some("alice"), Some("Żaneta 𝄞"), Some("nobody")];
    let bounds = bounds(model.iter().map(|row| row.created.seconds()));
    let mut filters = Vec::new();
    for status in statuses {
        for identity in identities {
            for created_after_s in &bounds {
                for created_before_s in &bounds {
                    filters.push(ParticipantFilter {
                        status,
                        identity: identity.map(str::to_owned),
                        created_after_s: *created_after_s,
                        created_before_s: *created_before_s,
                    });
                }
            }
        }
    }
    filters
}

/// Makes rooms of the same histories, some of another account; ours, oldest first.
async fn create_rooms(store: &dyn Store, stays: &[Stay]) -> Vec<RoomRow> {
    let mut model = Vec::new();
    let mut now = NOON;
    for (number, stay) in (0..).zip(stays) {
        now = later(now, stay.gap_us);
        let name = (stay.identity > 0).then_some(IDENTITIES[stay.identity]);
        let new = NewRoom {
            at: now,
            ..new_room(number, name)
        };
        let theirs = NewRoom {
            sid: RoomSid::from_bytes([number as u8; 16]),
            unique_name: None,
            ..new.clone()
        };
        store.create_room(super::fixture::THEIRS, theirs).await.unwrap();
        let mut row = match store.create_room(OURS, new).await {
            Ok(row) => row,
            Err(StoreError::RoomExists) => continue,
            Err(error) => panic!("{error:?}"),
        };
        if stay.status == ParticipantStatus::Disconnected {
            let over: Vec<Change> = vec![complete(row.new.at)];
            write(store, row.new.sid, over).await.unwrap();
            row = store.room(OURS, row.new.sid).await.unwrap().unwrap();
        }
        model.push(row);
    }
    model
}

fn room_filters(model: &[RoomRow]) -> Vec<RoomFilter> {
    let nameless = model.iter().find(|row| row.new.unique_name.is_none());
    let mut names = vec![None, Some("bob".to_owned()), Some("nobody".to_owned())];
    names.extend(nameless.map(|row| Some(row.new.sid.to_string())));
    let bounds = bounds(model.iter().map(|row| row.new.at.seconds()));
    let mut filters = Vec::new();
    for status in RoomStatus::ALL {
        for unique_name in &names {
            for created_from_s in &bounds {
                for created_before_s in &bounds {
                    filters.push(RoomFilter {
                        status: *status,
                        unique_name: unique_name.clone(),
                        created_from_s: *created_from_s,
                        created_before_s: *created_before_s,
                    });
                }
            }
        }
    }
    filters
}

async fn all_participants(store: &dyn Store, room: RoomSid) -> Vec<ParticipantRow> {
    super::fixture::everyone(store, room).await.rows
}
