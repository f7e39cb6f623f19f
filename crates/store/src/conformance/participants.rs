//! Participants: their life, their order, their identities.

use room::{Change, ParticipantStatus, RoomStatus, Timestamp};

use super::fixture::{
    FIRST_PAGE, NOON, OURS, THEIRS, accounts, complete, everyone, join, later, leave, lose, new_room, pa, room,
    room_sid, write,
};
use super::{Fresh, with};
use crate::{ParticipantFilter, RoomKey, StoreError};

/// Connected, reconnecting, resumed, disconnected: what the row says after each.
pub fn a_stay_is_told_from_begin_to_end(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let times: Vec<_> = (0..4).map(|n| later(NOON, n * 1_500_000)).collect();
        let resume = Change::ParticipantResumed {
            participant: pa(1),
            at: times[2],
        };
        let steps = [
            (join(1, "alice", times[0]), ParticipantStatus::Connected),
            (lose(1, times[1]), ParticipantStatus::Reconnecting),
            (resume, ParticipantStatus::Connected),
            (leave(1, times[3]), ParticipantStatus::Disconnected),
        ];
        for ((change, status), at) in steps.into_iter().zip(times) {
            write(&*store, sid, vec![change]).await.unwrap();
            let row = store.participant(OURS, sid, pa(1)).await.unwrap().unwrap();
            assert_eq!((row.sid, row.room, row.account), (pa(1), sid, OURS));
            assert_eq!(row.identity, "alice");
            assert_eq!((row.status, row.created, row.updated), (status, NOON, at));
            let over = status == ParticipantStatus::Disconnected;
            assert_eq!(row.ended, over.then_some(at));
            assert_eq!(row.duration_s, over.then_some(12));
            let live = store.participant_live(OURS, sid, "alice").await.unwrap();
            assert_eq!(live, (!over).then_some(row.clone()));
            assert_eq!(everyone(&*store, sid).await.rows, [row]);
        }
    });
}

/// Each `created` is the later of its time and the microsecond after the last.
pub fn order_is_strict_though_clocks_are_not(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let mut expected = Vec::new();
        for (number, step) in (0..).zip([0, 0, 1, -7_000_000, 2_000_000, 2_000_000, 5]) {
            let at = later(NOON, step);
            // Alone and several in a batch.
            let one = vec![join(2 * number, &format!("a{number}"), at)];
            write(&*store, sid, one).await.unwrap();
            let two = join(2 * number + 1, &format!("b{number}"), at);
            write(&*store, sid, vec![two, leave(2 * number, at)]).await.unwrap();
            for number in [2 * number, 2 * number + 1] {
                let floor = expected.last().map_or(at, |(_, last): &(_, Timestamp)| later(*last, 1));
                expected.push((pa(number), at.max(floor)));
            }
        }
        expected.reverse();
        let listed: Vec<_> = everyone(&*store, sid)
            .await
            .rows
            .iter()
            .map(|row| (row.sid, row.created))
            .collect();
        assert_eq!(listed, expected);
    });
}

/// A second live one is an error and leaves the first as it was; identities differ by case.
pub fn an_identity_is_live_once(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON)]).await.unwrap();
        let second = write(&*store, sid, vec![join(2, "alice", NOON)]).await;
        assert!(matches!(second, Err(StoreError::DuplicateIdentity)));
        write(&*store, sid, vec![lose(1, NOON)]).await.unwrap();
        let second = write(&*store, sid, vec![join(2, "alice", NOON)]).await;
        assert!(matches!(second, Err(StoreError::DuplicateIdentity)));
        write(&*store, sid, vec![join(3, "Alice", NOON)]).await.unwrap();
        let live = store.participant_live(OURS, sid, "alice").await.unwrap();
        assert_eq!(live.unwrap().sid, pa(1));
        assert_eq!(store.participant(OURS, sid, pa(2)).await.unwrap(), None);
    });
}

/// The duplicate identity rule as the room applies it.
pub fn the_newer_of_an_identity_follows_in_one_batch(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON)]).await.unwrap();
        let at = later(NOON, 1);
        write(&*store, sid, vec![leave(1, at), join(2, "alice", at)])
            .await
            .unwrap();
        let live = store.participant_live(OURS, sid, "alice").await.unwrap();
        assert_eq!(live.unwrap().sid, pa(2));
        assert_eq!(everyone(&*store, sid).await.rows.len(), 2);
    });
}

/// A clock that stepped back does not end a stay before it began.
pub fn ends_are_never_before_beginnings(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let early = later(NOON, -3_000_000);
        write(&*store, sid, vec![join(1, "alice", NOON), leave(1, early)])
            .await
            .unwrap();
        let row = store.participant(OURS, sid, pa(1)).await.unwrap().unwrap();
        assert_eq!((row.ended, row.updated), (Some(NOON), NOON));
    });
}

/// By SID in any state, by name in progress, for its own account; its state decides what is listed, unless
/// the filter does.
pub fn a_room_is_found_and_listed_at_once(fresh: Fresh) {
    fn otherwise(state: RoomStatus) -> ParticipantStatus {
        match state {
            RoomStatus::InProgress => ParticipantStatus::Connected,
            RoomStatus::Completed => ParticipantStatus::Disconnected,
        }
    }
    with(fresh, |store| async move {
        accounts(&*store).await;
        let sid = store
            .create_room(OURS, new_room(7, Some("daily")))
            .await
            .unwrap()
            .new
            .sid;
        let name = || RoomKey::Name("daily".to_owned());
        write(
            &*store,
            sid,
            vec![join(1, "alice", NOON), join(2, "bob", NOON), leave(1, later(NOON, 1))],
        )
        .await
        .unwrap();
        let list = async |account, key, status| {
            let filter = ParticipantFilter {
                status,
                ..ParticipantFilter::default()
            };
            let found = store
                .participants_of(account, key, filter, otherwise, FIRST_PAGE)
                .await
                .unwrap();
            found.map(|found| {
                assert_eq!(found.room, sid);
                let sids: Vec<_> = found.page.rows.iter().map(|row| row.sid).collect();
                (found.status, sids)
            })
        };
        let (connected, disconnected) = (ParticipantStatus::Connected, ParticipantStatus::Disconnected);
        for key in [RoomKey::Sid(sid), name()] {
            assert_eq!(list(OURS, key.clone(), None).await, Some((connected, vec![pa(2)])));
            assert_eq!(
                list(OURS, key.clone(), Some(disconnected)).await,
                Some((disconnected, vec![pa(1)]))
            );
            assert_eq!(list(THEIRS, key, None).await, None);
        }
        assert_eq!(list(OURS, RoomKey::Sid(room_sid(8)), None).await, None);
        assert_eq!(list(OURS, RoomKey::Name("weekly".to_owned()), None).await, None);
        write(&*store, sid, vec![leave(2, later(NOON, 2)), complete(later(NOON, 3))])
            .await
            .unwrap();
        assert_eq!(
            list(OURS, RoomKey::Sid(sid), None).await,
            Some((disconnected, vec![pa(2), pa(1)]))
        );
        assert_eq!(list(OURS, name(), None).await, None);
    });
}
