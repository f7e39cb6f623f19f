//! The outbox: what is rendered, in which order, and what becomes of attempts.

use room::{EventKind, Timestamp, TrackKind};

use super::fixture::{
    NOON, OURS, accounts, complete, join, later, leave, lose, mt, mute, new_room, pa, publish, refused, room,
    unpublish, write,
};
use super::{Fresh, with};
use crate::{CallbackMethod, CallbackOutcome, DueCallback, NewRoom, Store};

const SECOND: i64 = 1_000_000;

/// Leases all that is due, at most 100 each time.
async fn lease(store: &dyn Store, now: Timestamp, until: Timestamp) -> Vec<DueCallback> {
    store.lease_callbacks(now, until, 100).await.unwrap()
}

async fn record(store: &dyn Store, callback: &DueCallback, outcome: CallbackOutcome) {
    store
        .record_callback(callback.id, NOON, Ok(204), outcome)
        .await
        .unwrap();
}

/// Delivers everything, room by room in order, until nothing is due.
pub(super) async fn drain(store: &dyn Store, now: Timestamp) -> Vec<DueCallback> {
    let mut all = Vec::new();
    loop {
        let due = lease(store, now, later(now, SECOND)).await;
        if due.is_empty() {
            return all;
        }
        for callback in due {
            record(store, &callback, CallbackOutcome::Delivered).await;
            all.push(callback);
        }
    }
}

/// Each event once, in order, from 0, with what is true of it.
pub fn callbacks_are_rendered_and_numbered_without_gaps(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let at = |n| later(NOON, n * SECOND);
        write(&*store, sid, vec![join(1, "alice", at(1)), publish(1, 4, at(2))])
            .await
            .unwrap();
        let batch = vec![
            mute(1, 4, false, at(3)),
            mute(1, 4, true, at(4)),
            lose(1, at(4)),
            unpublish(1, 4, at(5)),
            leave(1, at(5)),
            complete(at(6)),
        ];
        write(&*store, sid, batch).await.unwrap();
        let told = drain(&*store, at(60)).await;
        let who = Some((pa(1), "alice".to_owned()));
        let what = Some((mt(4), TrackKind::Video));
        let expected = [
            (EventKind::RoomCreated, None, None, None),
            (EventKind::ParticipantConnected, who.clone(), None, None),
            (EventKind::TrackAdded, who.clone(), what, None),
            (EventKind::TrackDisabled, who.clone(), what, None),
            (EventKind::TrackEnabled, who.clone(), what, None),
            (EventKind::TrackRemoved, who.clone(), what, None),
            (EventKind::ParticipantDisconnected, who, None, Some(12)),
            (EventKind::RoomEnded, None, None, Some(60)),
        ];
        assert_eq!(told.len(), expected.len());
        let seconds = [0, 1, 2, 3, 4, 5, 5, 6];
        for (index, (callback, (event, participant, track, duration_s))) in told.into_iter().zip(expected).enumerate() {
            assert_eq!(callback.sequence, index as u64);
            assert_eq!(callback.event, event);
            assert_eq!(callback.participant, participant);
            assert_eq!(callback.track, track);
            assert_eq!(callback.duration_s, duration_s);
            assert_eq!(callback.at, at(seconds[index]));
            assert_eq!((callback.account, callback.room), (OURS, sid));
            assert_eq!(callback.room_name, "daily");
            assert_eq!(callback.url, "https://example.com/rooms");
            assert_eq!(callback.method, CallbackMethod::Post);
            assert_eq!(callback.attempts, 0);
        }
        assert_eq!(store.next_callback().await.unwrap(), None);
    });
}

/// Without a URL there is nothing to send; a room without a name is called by its SID.
pub fn a_room_without_an_address_calls_nobody(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let silent = NewRoom {
            status_callback: None,
            ..new_room(1, None)
        };
        store.create_room(OURS, silent.clone()).await.unwrap();
        write(&*store, silent.sid, vec![join(1, "alice", NOON)]).await.unwrap();
        assert_eq!(store.next_callback().await.unwrap(), None);
        assert!(drain(&*store, later(NOON, SECOND)).await.is_empty());
        let nameless = NewRoom {
            status_callback_method: CallbackMethod::Get,
            ..new_room(2, None)
        };
        store.create_room(OURS, nameless.clone()).await.unwrap();
        let told = drain(&*store, later(NOON, SECOND)).await;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].room_name, nameless.sid.to_string());
        assert_eq!(told[0].method, CallbackMethod::Get);
    });
}

/// Head of line, per room: other rooms go on.
pub fn of_each_room_only_the_first_is_leased(fresh: Fresh) {
    with(fresh, |store| async move {
        let first = room(&*store).await.new.sid;
        let second = store.create_room(OURS, new_room(1, None)).await.unwrap();
        for sid in [first, second.new.sid] {
            let batch = vec![join(u32::from(sid == first), "alice", NOON)];
            write(&*store, sid, batch).await.unwrap();
        }
        let until = later(NOON, 30 * SECOND);
        let heads = lease(&*store, later(NOON, SECOND), until).await;
        let sequences: Vec<_> = heads.iter().map(|head| head.sequence).collect();
        assert_eq!(sequences, [0, 0]);
        assert_ne!(heads[0].room, heads[1].room);
        assert!(lease(&*store, later(NOON, SECOND), until).await.is_empty());
        record(&*store, &heads[1], CallbackOutcome::Delivered).await;
        let next = lease(&*store, later(NOON, SECOND), until).await;
        assert_eq!(next.len(), 1);
        assert_eq!((next[0].room, next[0].sequence), (heads[1].room, 1));
    });
}

/// Whoever leased it is gone: it is due again, the same one.
pub fn a_lease_that_ran_out_is_due_again(fresh: Fresh) {
    with(fresh, |store| async move {
        room(&*store).await;
        assert_eq!(store.next_callback().await.unwrap(), Some(NOON));
        assert!(lease(&*store, later(NOON, -1), NOON).await.is_empty());
        let until = later(NOON, 10 * SECOND);
        let first = lease(&*store, NOON, until).await;
        assert_eq!(first.len(), 1);
        assert_eq!(store.next_callback().await.unwrap(), Some(until));
        assert!(lease(&*store, later(until, -1), until).await.is_empty());
        let again = lease(&*store, until, later(until, SECOND)).await;
        assert_eq!(again.len(), 1);
        assert_eq!((again[0].id, again[0].attempts), (first[0].id, 0));
    });
}

/// The room's later callbacks wait with it, and attempts are counted.
pub fn a_retry_waits_and_holds_the_rest_back(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON)]).await.unwrap();
        let mut now = NOON;
        for attempts in 0..3 {
            let due = lease(&*store, now, later(now, SECOND)).await;
            assert_eq!(due.len(), 1);
            assert_eq!((due[0].sequence, due[0].attempts), (0, attempts));
            let next = later(now, 5 * SECOND);
            // The error may be as long as it likes.
            let error = Err("refused – ".repeat(1000));
            store
                .record_callback(due[0].id, now, error, CallbackOutcome::Retry(next))
                .await
                .unwrap();
            assert_eq!(store.next_callback().await.unwrap(), Some(next));
            let early = lease(&*store, later(next, -1), next).await;
            assert!(early.is_empty());
            now = next;
        }
        let told = drain(&*store, now).await;
        let sequences: Vec<_> = told.iter().map(|told| told.sequence).collect();
        assert_eq!(sequences, [0, 1]);
        assert_eq!(told[0].attempts, 3);
    });
}

/// One that can not be delivered does not stop the room's others.
pub fn giving_up_lets_the_next_go_ahead(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON), leave(1, NOON)])
            .await
            .unwrap();
        let first = lease(&*store, NOON, later(NOON, SECOND)).await;
        store
            .record_callback(first[0].id, NOON, Ok(410), CallbackOutcome::GivenUp)
            .await
            .unwrap();
        let told = drain(&*store, NOON).await;
        let sequences: Vec<_> = told.iter().map(|told| told.sequence).collect();
        assert_eq!(sequences, [1, 2]);
    });
}

/// Two had leased it; the second answer is kept as an attempt and moves nothing.
pub fn a_late_answer_changes_nothing(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let first = lease(&*store, NOON, NOON).await;
        let second = lease(&*store, NOON, later(NOON, SECOND)).await;
        assert_eq!(first[0].id, second[0].id);
        record(&*store, &second[0], CallbackOutcome::Delivered).await;
        record(&*store, &first[0], CallbackOutcome::Retry(NOON)).await;
        assert_eq!(store.next_callback().await.unwrap(), None);
        write(&*store, sid, vec![join(1, "alice", NOON)]).await.unwrap();
        record(&*store, &first[0], CallbackOutcome::Delivered).await;
        let told = drain(&*store, NOON).await;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].event, EventKind::ParticipantConnected);
        let unknown = store
            .record_callback(i64::MAX, NOON, Ok(200), CallbackOutcome::Delivered)
            .await;
        refused(unknown);
    });
}

/// At most so many, the longest due first; nothing is lost to the bound.
pub fn the_limit_of_a_lease_holds(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        for number in 0..7 {
            store.create_room(OURS, new_room(number, None)).await.unwrap();
        }
        let (now, until) = (later(NOON, SECOND), later(NOON, 9 * SECOND));
        let mut seen = Vec::new();
        for expected in [3, 3, 1, 0] {
            let due = store.lease_callbacks(now, until, 3).await.unwrap();
            assert_eq!(due.len(), expected);
            seen.extend(due.iter().map(|callback| callback.at));
        }
        assert!(seen.is_sorted());
        assert!(store.lease_callbacks(until, until, 0).await.unwrap().is_empty());
    });
}
