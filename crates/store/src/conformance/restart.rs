//! Taking over: what rooms are restored from.

use room::{Change, ParticipantStatus, Priority, Rules, SessionHash};

use super::fixture::{
    NOON, OURS, THEIRS, accounts, complete, everyone, join, later, leave, lose, mt, mute, new_room, pa, publish, room,
    track, unpublish, write,
};
use super::{Fresh, with};
use crate::{CallbackOutcome, StoreError};

/// Rows, sessions and tracks as they were; everyone reconnecting; epochs raised each time.
pub fn rooms_are_restored_with_who_was_there(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let lost = later(NOON, 2_000_000);
        let batch = vec![
            join(1, "alice", NOON),
            join(2, "bob", NOON),
            join(3, "carol", NOON),
            publish(2, 7, NOON),
            publish(2, 5, NOON),
            publish(2, 6, NOON),
            unpublish(2, 6, NOON),
            mute(2, 5, false, NOON),
            Change::TrackPriority {
                participant: pa(2),
                track: mt(5),
                priority: Priority::High,
                at: NOON,
            },
            lose(1, lost),
            leave(3, lost),
        ];
        write(&*store, sid, batch).await.unwrap();
        let now = later(NOON, 10_000_000);
        for (epoch, at) in [(2, now), (3, later(now, 1))] {
            let mut taken = store.take_over(at).await.unwrap();
            assert_eq!(taken.len(), 1);
            let live = taken.remove(0);
            assert_eq!((live.room.new.sid, live.room.epoch), (sid, epoch));
            assert!(live.was_joined);
            assert_eq!(live.empty_since, None);
            let [alice, bob] = &live.participants[..] else {
                panic!("{:?}", live.participants);
            };
            assert_eq!((alice.row.sid, bob.row.sid), (pa(1), pa(2)));
            // She was reconnecting before, he is since the first restart.
            assert_eq!((alice.row.updated, bob.row.updated), (lost, now));
            for one in [alice, bob] {
                assert_eq!(one.row.status, ParticipantStatus::Reconnecting);
                let row = store.participant(OURS, sid, one.row.sid).await.unwrap();
                assert_eq!(row.as_ref(), Some(&one.row));
            }
            assert_eq!(alice.session, SessionHash([1; 32]));
            assert_eq!(bob.session, SessionHash([2; 32]));
            assert_eq!((&alice.rules, &bob.rules), (&Rules::nothing(), &Rules::everything()));
            assert!(alice.tracks.is_empty());
            let mut quiet = track(5);
            quiet.enabled = false;
            quiet.priority = Priority::High;
            assert_eq!(bob.tracks, [track(7), quiet]);
            assert_eq!(store.room(OURS, sid).await.unwrap().as_ref(), Some(&live.room));
        }
        assert_eq!(everyone(&*store, sid).await.rows.len(), 3);
    });
}

/// Never joined, or since when nobody is there.
pub fn an_empty_room_tells_since_when(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        for number in 0..2 {
            store.create_room(OURS, new_room(number, None)).await.unwrap();
        }
        let used = new_room(1, None).sid;
        let [first, last] = [later(NOON, 1_000_000), later(NOON, 5_000_000)];
        let batch = vec![
            join(1, "alice", NOON),
            join(2, "bob", NOON),
            leave(2, last),
            // The clock stepped back.
            leave(1, first),
        ];
        write(&*store, used, batch).await.unwrap();
        let taken = store.take_over(later(NOON, 9_000_000)).await.unwrap();
        assert_eq!(taken.len(), 2);
        for live in taken {
            assert!(live.participants.is_empty());
            let joined = live.room.new.sid == used;
            assert_eq!(live.was_joined, joined);
            assert_eq!(live.empty_since, joined.then_some(last));
        }
    });
}

/// What is over stays as it is.
pub fn completed_rooms_are_not_taken_over(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let batch = vec![join(1, "alice", NOON), leave(1, NOON), complete(NOON)];
        write(&*store, sid, batch).await.unwrap();
        let before = store.room(OURS, sid).await.unwrap();
        assert!(store.take_over(NOON).await.unwrap().is_empty());
        assert_eq!(store.room(OURS, sid).await.unwrap(), before);
    });
}

/// Its epoch is raised, who wrote to it before is fenced off; other rooms go on.
pub fn one_room_is_taken_over_alone(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let other = store.create_room(OURS, new_room(1, None)).await.unwrap().new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON)]).await.unwrap();
        let now = later(NOON, 1_000_000);
        let live = store.take_over_room(OURS, sid, now).await.unwrap().unwrap();
        assert_eq!((live.room.new.sid, live.room.epoch), (sid, 2));
        assert_eq!(live.participants.len(), 1);
        assert_eq!(live.participants[0].row.status, ParticipantStatus::Reconnecting);
        let late = write(&*store, sid, vec![leave(1, now)]).await;
        assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
        assert_eq!(store.room(OURS, other).await.unwrap().unwrap().epoch, 1);
        // Not of another account, not once it is over.
        assert_eq!(store.take_over_room(THEIRS, sid, now).await.unwrap().map(|_| ()), None);
        write(&*store, other, vec![complete(now)]).await.unwrap();
        assert_eq!(store.take_over_room(OURS, other, now).await.unwrap().map(|_| ()), None);
    });
}

/// What another process leased is due at once. What was to be tried again keeps its time: restarts alone use up no
/// attempts. A calendar that was set back adds nothing to a wait.
pub fn callbacks_keep_their_schedule(fresh: Fresh) {
    with(fresh, |store| async move {
        room(&*store).await;
        let at = |s: i64| later(NOON, s * 1_000_000);
        let leased = store.lease_callbacks(NOON, at(3600), 10).await.unwrap();
        assert_eq!(leased.len(), 1);
        // The clock was set back meanwhile.
        store.take_over(at(-3600)).await.unwrap();
        let again = store.lease_callbacks(at(-3600), at(3600), 10).await.unwrap();
        assert_eq!((again.len(), again[0].id), (1, leased[0].id));
        let retry = CallbackOutcome::Retry(at(60));
        store.record_callback(again[0].id, NOON, Ok(500), retry).await.unwrap();
        for second in [0, 10, 59] {
            store.take_over(at(second)).await.unwrap();
            assert!(
                store
                    .lease_callbacks(at(second), at(3600), 10)
                    .await
                    .unwrap()
                    .is_empty()
            );
        }
        assert_eq!(store.next_callback().await.unwrap(), Some(at(60)));
        store.take_over(at(-3600)).await.unwrap();
        assert_eq!(store.next_callback().await.unwrap(), Some(at(-3540)));
        let tried = store.lease_callbacks(at(-3540), at(3600), 10).await.unwrap();
        assert_eq!((tried.len(), tried[0].attempts), (1, 1));
    });
}
