//! Forgetting: what goes, what stays, and what readers see meanwhile.

use room::{Change, RoomSid, RoomStatus, Timestamp};

use super::callbacks::drain;
use super::fixture::{
    FIRST_PAGE, NOON, OURS, accounts, complete, everyone, join, later, leave, new_room, pa, publish, unpublish, write,
};
use super::{Fresh, with};
use crate::{Expiry, Forgotten, NewRoom, PageRequest, Position, RoomFilter, RoomRow, Store};

const SECOND: i64 = 1_000_000;

/// Rooms that ended before this time.
fn rooms(before: Timestamp) -> Expiry {
    Expiry {
        rooms: Some(before),
        ..Expiry::default()
    }
}

/// Forgets so many rows at a time until nothing is left to go.
async fn forget(store: &dyn Store, before: Expiry, rows: u32) -> Forgotten {
    let mut all = Forgotten::default();
    for _ in 0..10_000 {
        let some = store.forget(before, rows).await.unwrap();
        all += some;
        if !some.more {
            return all;
        }
    }
    panic!("it never ends: {all:?}");
}

/// A completed room with two participants, of whom one had a track.
async fn over(store: &dyn Store, number: u32, ended: Timestamp, calls_back: bool) -> RoomSid {
    let mut new = new_room(number, None);
    if !calls_back {
        new.status_callback = None;
    }
    let sid = store.create_room(OURS, new).await.unwrap().new.sid;
    let (alice, bob) = (number * 10 + 1, number * 10 + 2);
    let batch = vec![
        join(alice, "alice", NOON),
        join(bob, "bob", NOON),
        publish(alice, alice, NOON),
        unpublish(alice, alice, NOON),
        leave(alice, NOON),
        leave(bob, NOON),
        complete(ended),
    ];
    write(store, sid, batch).await.unwrap();
    sid
}

async fn completed(store: &dyn Store, from: Option<Position>, size: u32) -> Vec<RoomRow> {
    let filter = RoomFilter {
        status: RoomStatus::Completed,
        unique_name: None,
        created_from_s: None,
        created_before_s: None,
    };
    let page = PageRequest {
        size,
        from,
        backwards: false,
    };
    store.rooms(OURS, filter, page).await.unwrap().rows
}

/// The room, its participants and all that tells of them; its name is free, younger rooms stay whole.
pub fn old_rooms_go_with_all_that_is_theirs(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let end = later(NOON, 10 * SECOND);
        let old = over(&*store, 1, end, true).await;
        let young = over(&*store, 2, later(end, 1), true).await;
        drain(&*store, later(end, SECOND)).await;
        assert_eq!(forget(&*store, Expiry::default(), 100).await, Forgotten::default());
        assert_eq!(
            forget(&*store, rooms(end), 100).await,
            Forgotten::default(),
            "not before its end"
        );
        let gone = forget(&*store, rooms(later(end, 1)), 100).await;
        let expected = Forgotten {
            rooms: 1,
            participants: 2,
            tracks: 1,
            events: 8,
            callbacks: 8,
            audit: 0,
            more: false,
        };
        assert_eq!(gone, expected);
        assert_eq!(store.room(OURS, old).await.unwrap(), None);
        assert_eq!(store.participant(OURS, old, pa(11)).await.unwrap(), None);
        assert!(everyone(&*store, old).await.rows.is_empty());
        assert_eq!(everyone(&*store, young).await.rows.len(), 2);
        assert_eq!(completed(&*store, None, 10).await.len(), 1);
        assert_eq!(store.accounts().await.unwrap().len(), 2, "nobody's account is nobody's");
        // What is gone can not come back by its own SID's row, and what comes is as new.
        let again = store.create_room(OURS, new_room(1, Some("daily"))).await.unwrap();
        assert_eq!(again.new.sid, old);
        assert!(everyone(&*store, old).await.rows.is_empty());
    });
}

/// However few rows go at a time.
pub fn a_room_is_there_with_all_its_rows_or_not_at_all(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let sids = [
            over(&*store, 1, NOON, false).await,
            over(&*store, 2, NOON, false).await,
            over(&*store, 3, NOON, false).await,
        ];
        let mut calls = 0;
        loop {
            let some = store.forget(rooms(later(NOON, SECOND)), 1).await.unwrap();
            let rows = some.participants + some.tracks + some.events + some.callbacks;
            assert!(rows + some.rooms <= 1, "{some:?}");
            for sid in sids {
                let is_there = store.room(OURS, sid).await.unwrap().is_some();
                let participants = everyone(&*store, sid).await.rows.len();
                assert_eq!(participants, if is_there { 2 } else { 0 });
            }
            calls += 1;
            if !some.more {
                break;
            }
        }
        assert!(calls > 3 * 12, "{calls}");
        assert!(completed(&*store, None, 10).await.is_empty());
    });
}

/// Whatever their age.
pub fn what_is_live_or_undelivered_stays(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let live = store.create_room(OURS, new_room(1, None)).await.unwrap().new.sid;
        let batch = vec![join(1, "alice", NOON), leave(1, NOON), join(2, "bob", NOON)];
        write(&*store, live, batch).await.unwrap();
        let untold = over(&*store, 2, NOON, true).await;
        let silent = over(&*store, 3, NOON, false).await;
        let ever = Some(Timestamp(i64::MAX));
        let everything = Expiry {
            rooms: ever,
            events: ever,
            callbacks: ever,
            audit: ever,
        };
        let gone = forget(&*store, everything, 100).await;
        assert_eq!((gone.rooms, gone.participants, gone.callbacks), (1, 2, 0));
        assert_eq!(store.room(OURS, silent).await.unwrap(), None);
        for sid in [live, untold] {
            assert_eq!(everyone(&*store, sid).await.rows.len(), 2);
        }
        // Everything is still told, in order, of both.
        let told = drain(&*store, later(NOON, SECOND)).await;
        for (sid, expected) in [(live, 4), (untold, 8)] {
            let sequences = told.iter().filter(|told| told.room == sid).map(|told| told.sequence);
            assert_eq!(sequences.collect::<Vec<_>>(), (0..expected).collect::<Vec<_>>());
        }
        let gone = forget(&*store, everything, 100).await;
        assert_eq!((gone.rooms, gone.events), (1, 8), "now that it was told");
        assert_eq!(store.room(OURS, untold).await.unwrap(), None);
        let taken = store.take_over(NOON).await.unwrap();
        assert_eq!((taken.len(), taken[0].participants.len()), (1, 1));
    });
}

/// The list is the truth for as long as rooms are kept.
pub fn events_go_and_their_room_stays(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let (old, young) = (
            over(&*store, 1, NOON, false).await,
            over(&*store, 2, later(NOON, SECOND), false).await,
        );
        let before = (store.room(OURS, old).await.unwrap(), everyone(&*store, old).await);
        let events = Expiry {
            events: Some(later(NOON, 1)),
            ..Expiry::default()
        };
        let gone = forget(&*store, events, 3).await;
        assert_eq!((gone.events, gone.rooms, gone.participants), (8, 0, 0));
        assert_eq!(forget(&*store, events, 3).await, Forgotten::default());
        assert_eq!(
            (store.room(OURS, old).await.unwrap(), everyone(&*store, old).await),
            before
        );
        // Later the rest goes too.
        let gone = forget(&*store, rooms(Timestamp(i64::MAX)), 3).await;
        assert_eq!((gone.rooms, gone.participants, gone.tracks, gone.events), (2, 4, 2, 8));
        assert_eq!(store.room(OURS, young).await.unwrap(), None);
    });
}

/// Also of a room in progress, which goes on telling.
pub fn done_callbacks_go_and_the_rest_goes_on(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let sid = store.create_room(OURS, new_room(1, None)).await.unwrap().new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON)]).await.unwrap();
        drain(&*store, NOON).await;
        write(&*store, sid, vec![leave(1, NOON)]).await.unwrap();
        let done = Expiry {
            callbacks: Some(NOON),
            ..Expiry::default()
        };
        assert_eq!(
            forget(&*store, done, 100).await,
            Forgotten::default(),
            "done at noon, not before"
        );
        let done = Expiry {
            callbacks: Some(later(NOON, 1)),
            ..Expiry::default()
        };
        let gone = forget(&*store, done, 1).await;
        assert_eq!((gone.callbacks, gone.events), (2, 0));
        write(&*store, sid, vec![join(2, "bob", NOON)]).await.unwrap();
        let told = drain(&*store, NOON).await;
        let sequences: Vec<_> = told.iter().map(|told| told.sequence).collect();
        assert_eq!(sequences, [2, 3]);
    });
}

/// Pages go on from a row that went; what stays is there once.
pub fn a_list_goes_on_while_rows_go(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        for number in 0..40u32 {
            let new = NewRoom {
                status_callback: None,
                ..new_room(number, None)
            };
            let sid = store.create_room(OURS, new).await.unwrap().new.sid;
            // Every third is old.
            let ended = later(NOON, if number.is_multiple_of(3) { SECOND } else { 9 * SECOND });
            write(
                &*store,
                sid,
                vec![Change::RoomCompleted {
                    at: ended,
                    duration_s: 1,
                }],
            )
            .await
            .unwrap();
        }
        let stays: Vec<RoomRow> = completed(&*store, None, 1000)
            .await
            .into_iter()
            .filter(|row| row.ended > Some(later(NOON, 5 * SECOND)))
            .collect();
        let mut seen: Vec<RoomRow> = Vec::new();
        let mut from = None;
        loop {
            let page = completed(&*store, from, 4).await;
            store.forget(rooms(later(NOON, 5 * SECOND)), 6).await.unwrap();
            let Some(last) = page.last() else { break };
            from = Some(Position {
                created: last.new.at,
                sid: *last.new.sid.as_bytes(),
            });
            seen.extend(page);
        }
        seen.retain(|row| stays.contains(row));
        assert_eq!(seen, stays);
        forget(&*store, rooms(later(NOON, 5 * SECOND)), 6).await;
        assert_eq!(completed(&*store, None, FIRST_PAGE.size).await, stays);
    });
}
