//! Batches of changes: all or nothing, fenced, in a room that is in progress.

use room::Change;

use super::fixture::{
    NOON, OURS, accounts, complete, everyone, join, later, leave, lose, mt, mute, new_room, pa, publish, refused, room,
    room_sid, track, unpublish, write,
};
use super::{Fresh, with};
use crate::StoreError;

/// The last change of a batch fails: none of its rows, events, callbacks or counters stay.
pub fn a_failed_batch_leaves_nothing(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let batch = vec![
            join(1, "alice", later(NOON, 9_000_000)),
            publish(1, 1, NOON),
            mute(1, 1, false, NOON),
            join(2, "alice", NOON),
        ];
        let result = write(&*store, sid, batch).await;
        assert!(matches!(result, Err(StoreError::DuplicateIdentity)));
        assert!(everyone(&*store, sid).await.rows.is_empty());
        write(&*store, sid, vec![join(3, "bob", NOON)]).await.unwrap();
        // The clock of the failed batch did not move the room's.
        assert_eq!(everyone(&*store, sid).await.rows[0].created, NOON);
        let events = super::callbacks::drain(&*store, later(NOON, 60_000_000)).await;
        let sequences: Vec<_> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, [0, 1]);
    });
}

/// Batches of one room that wait together: the failing one takes nobody along.
pub fn a_failed_batch_fails_alone(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let calls: Vec<_> = (0..40)
            .map(|number| {
                let store = store.clone();
                let bad = number % 5 == 0;
                let batch = vec![
                    join(number, &format!("p{number}"), NOON),
                    if bad { leave(1000, NOON) } else { lose(number, NOON) },
                ];
                tokio::spawn(async move { (number, bad, write(&*store, sid, batch).await) })
            })
            .collect();
        for call in calls {
            let (number, bad, result) = call.await.unwrap();
            assert_eq!(result.is_err(), bad, "{result:?}");
            let row = store.participant(OURS, sid, pa(number)).await.unwrap();
            assert_eq!(row.is_none(), bad);
        }
    });
}

/// A process that lost the room can not write to it.
pub fn an_older_epoch_is_fenced_off(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let taken = store.take_over(NOON).await.unwrap();
        assert_eq!(taken[0].room.epoch, 2);
        let old = store.write(OURS, sid, 1, vec![join(1, "alice", NOON)]).await;
        assert!(matches!(old, Err(StoreError::Fenced)), "{old:?}");
        assert!(everyone(&*store, sid).await.rows.is_empty());
        store.write(OURS, sid, 2, vec![join(1, "alice", NOON)]).await.unwrap();
    });
}

/// Completed is final, in the batch that completes it too; so is not being there.
pub fn a_completed_room_takes_no_changes(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let after = vec![complete(NOON), join(1, "alice", NOON)];
        let result = write(&*store, sid, after).await;
        assert!(matches!(result, Err(StoreError::RoomNotInProgress)));
        write(&*store, sid, vec![complete(NOON)]).await.unwrap();
        for change in [complete(NOON), join(1, "alice", NOON)] {
            let result = write(&*store, sid, vec![change]).await;
            assert!(matches!(result, Err(StoreError::RoomNotInProgress)));
        }
        let result = write(&*store, room_sid(77), vec![complete(NOON)]).await;
        assert!(matches!(result, Err(StoreError::RoomNotInProgress)));
    });
}

/// Repeating what is so writes no second event and moves no time.
pub fn what_is_true_already_tells_nobody(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let late = later(NOON, 1_000_000);
        let resume = |at| Change::ParticipantResumed { participant: pa(1), at };
        let batch = vec![
            join(1, "alice", NOON),
            publish(1, 1, NOON),
            mute(1, 1, true, NOON),
            resume(late),
            unpublish(1, 1, NOON),
            unpublish(1, 1, late),
        ];
        write(&*store, sid, batch).await.unwrap();
        let row = store.participant(OURS, sid, pa(1)).await.unwrap().unwrap();
        assert_eq!(row.updated, NOON);
        write(&*store, sid, vec![leave(1, NOON)]).await.unwrap();
        write(&*store, sid, vec![leave(1, late)]).await.unwrap();
        let row = store.participant(OURS, sid, pa(1)).await.unwrap().unwrap();
        assert_eq!(row.ended, Some(NOON));
        let events = super::callbacks::drain(&*store, late).await;
        let told: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
        assert_eq!(
            told,
            [
                "room-created",
                "participant-connected",
                "track-added",
                "track-removed",
                "participant-disconnected"
            ]
        );
    });
}

/// Changes of what is not in the room, or over, are bugs of the caller.
pub fn what_can_not_be_is_refused(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let other = store.create_room(OURS, new_room(1, None)).await.unwrap();
        let batch = vec![
            join(1, "alice", NOON),
            publish(1, 1, NOON),
            publish(1, 2, NOON),
            unpublish(1, 2, NOON),
            join(2, "bob", NOON),
            leave(2, NOON),
        ];
        write(&*store, sid, batch).await.unwrap();
        let impossible = [
            leave(3, NOON),
            lose(3, NOON),
            lose(2, NOON),
            publish(2, 3, NOON),
            publish(1, 1, NOON),
            mute(1, 3, false, NOON),
            mute(2, 1, false, NOON),
            mute(1, 2, false, NOON),
            unpublish(2, 1, NOON),
            join(1, "carol", NOON),
        ];
        for change in impossible {
            refused(write(&*store, sid, vec![change]).await);
        }
        // In another room they are strangers.
        refused(write(&*store, other.new.sid, vec![leave(1, NOON)]).await);
        refused(write(&*store, other.new.sid, vec![unpublish(1, 1, NOON)]).await);
        let taken = store.take_over(NOON).await.unwrap();
        assert_eq!(taken[0].participants[0].tracks, [track(1)]);
        assert_eq!(taken[0].participants[0].tracks[0].sid, mt(1));
    });
}

/// Completing comes after everyone has left.
pub fn a_room_is_not_completed_around_somebody(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON), lose(1, NOON)])
            .await
            .unwrap();
        refused(write(&*store, sid, vec![complete(NOON)]).await);
        write(&*store, sid, vec![leave(1, NOON), complete(NOON)]).await.unwrap();
    });
}

/// Many rooms written at once: each keeps its own order and loses nothing.
pub fn concurrent_rooms_are_all_kept(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let rooms: Vec<_> = (0..12)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    let new = new_room(number, None);
                    let sid = store.create_room(OURS, new).await.unwrap().new.sid;
                    for stay in 0..10 {
                        let who = number * 100 + stay;
                        let batch = vec![join(who, &format!("p{stay}"), NOON)];
                        write(&*store, sid, batch).await.unwrap();
                        // Acknowledged, so it is seen.
                        let row = store.participant(OURS, sid, pa(who)).await.unwrap();
                        assert!(row.is_some());
                    }
                    sid
                })
            })
            .collect();
        for (number, room) in (0..12).zip(rooms) {
            let sid = room.await.unwrap();
            let listed: Vec<_> = everyone(&*store, sid).await.rows.iter().map(|row| row.sid).collect();
            let expected: Vec<_> = (0..10).rev().map(|stay| pa(number * 100 + stay)).collect();
            assert_eq!(listed, expected);
        }
    });
}
