//! Rooms: creation, names, order, accounts.

use room::{RoomStatus, RoomType, Timestamp};

use super::fixture::{
    FIRST_PAGE, NOON, OURS, THEIRS, accounts, complete, everyone, join, later, leave, new_room, pa, room, room_sid,
    write,
};
use super::{Fresh, with};
use crate::{CallbackMethod, NewRoom, ParticipantFilter, RoomFilter, StoreError};

/// Every field comes back as it was given.
pub fn a_room_is_kept_as_it_was_created(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let unusual = NewRoom {
            kind: RoomType::PeerToPeer,
            audio_only: true,
            large_room: true,
            ad_hoc: true,
            status_callback: None,
            status_callback_method: CallbackMethod::Get,
            max_participants: 2,
            max_participant_duration_s: 600,
            empty_room_timeout_min: 1,
            unused_room_timeout_min: 60,
            video_codecs: Vec::new(),
            media_region: None,
            ..new_room(1, Some("Zoë's \"room\", no. 1"))
        };
        for new in [new_room(0, Some("daily")), unusual] {
            let row = store.create_room(OURS, new.clone()).await.unwrap();
            assert_eq!((row.account, row.epoch), (OURS, 1));
            assert_eq!(row.status, RoomStatus::InProgress);
            assert_eq!((row.ended, row.duration_s), (None, None));
            assert_eq!(row.updated, row.new.at);
            let at = row.new.at;
            assert_eq!(row.new, NewRoom { at, ..new });
            let found = store.room(OURS, row.new.sid).await.unwrap();
            assert_eq!(found.as_ref(), Some(&row));
            let name = row.new.unique_name.clone().unwrap();
            let found = store.room_in_progress(OURS, &name).await.unwrap();
            assert_eq!(found, Some(row));
        }
    });
}

/// Error 53113 until the room of that name is completed.
pub fn a_name_is_taken_while_its_room_is_in_progress(fresh: Fresh) {
    with(fresh, |store| async move {
        let first = room(&*store).await;
        let again = store.create_room(OURS, new_room(1, Some("daily"))).await;
        assert!(matches!(again, Err(StoreError::RoomExists)), "{again:?}");
        assert_eq!(store.room(OURS, room_sid(1)).await.unwrap(), None);
        write(&*store, first.new.sid, vec![complete(NOON)]).await.unwrap();
        assert_eq!(store.room_in_progress(OURS, "daily").await.unwrap(), None);
        let second = store.create_room(OURS, new_room(2, Some("daily"))).await.unwrap();
        let found = store.room_in_progress(OURS, "daily").await.unwrap();
        assert_eq!(found, Some(second));
        // Case counts.
        store.create_room(OURS, new_room(3, Some("Daily"))).await.unwrap();
    });
}

/// Names are an account's own.
pub fn names_of_other_accounts_are_free(fresh: Fresh) {
    with(fresh, |store| async move {
        let ours = room(&*store).await;
        let theirs = store.create_room(THEIRS, new_room(1, Some("daily"))).await.unwrap();
        let found = store.room_in_progress(THEIRS, "daily").await.unwrap();
        assert_eq!(found, Some(theirs));
        let found = store.room_in_progress(OURS, "daily").await.unwrap();
        assert_eq!(found, Some(ours));
    });
}

/// Calls that share a commit do not share their failures.
pub fn one_taken_name_fails_alone_among_concurrent_creations(fresh: Fresh) {
    with(fresh, |store| async move {
        room(&*store).await;
        let calls: Vec<_> = (1..=40)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    let own = format!("room {number}");
                    let name = if number % 4 == 0 { "daily" } else { &own };
                    store.create_room(OURS, new_room(number, Some(name))).await
                })
            })
            .collect();
        for (number, call) in (1..=40).zip(calls) {
            let result = call.await.unwrap();
            let found = store.room(OURS, room_sid(number)).await.unwrap();
            if number % 4 == 0 {
                assert!(matches!(result, Err(StoreError::RoomExists)), "{result:?}");
                assert_eq!(found, None);
            } else {
                assert_eq!(found, Some(result.unwrap()));
            }
        }
    });
}

/// The SID stands in for the name, in the filter too.
pub fn a_room_without_a_name_has_its_sid_as_name(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let row = store.create_room(OURS, new_room(5, None)).await.unwrap();
        store.create_room(OURS, new_room(6, None)).await.unwrap();
        assert_eq!(row.new.unique_name, None);
        let name = row.new.sid.to_string();
        let found = store.room_in_progress(OURS, &name).await.unwrap();
        assert_eq!(found.as_ref(), Some(&row));
        let filter = RoomFilter {
            status: RoomStatus::InProgress,
            unique_name: Some(name),
            created_from_s: None,
            created_before_s: None,
        };
        let page = store.rooms(OURS, filter, FIRST_PAGE).await.unwrap();
        assert_eq!(page.rows, [row]);
    });
}

/// `created` moves on when the clock stands or steps back.
pub fn rooms_of_an_account_strictly_increase(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let mut last = Timestamp(i64::MIN);
        for (number, at) in (0..).zip([0, 0, -5_000_000, 3, 3, 1_000_000]) {
            let new = NewRoom {
                at: later(NOON, at),
                ..new_room(number, None)
            };
            let row = store.create_room(OURS, new.clone()).await.unwrap();
            assert_eq!(row.new.at, new.at.max(Timestamp(last.0.saturating_add(1))));
            last = row.new.at;
        }
    });
}

/// State, times and duration after the end.
pub fn a_completed_room_tells_its_end(fresh: Fresh) {
    with(fresh, |store| async move {
        let before = room(&*store).await;
        let sid = before.new.sid;
        let end = later(NOON, 60_500_000);
        write(&*store, sid, vec![join(1, "alice", NOON)]).await.unwrap();
        // What happens in a room does not move its own row.
        assert_eq!(store.room(OURS, sid).await.unwrap(), Some(before.clone()));
        write(&*store, sid, vec![leave(1, end), complete(end)]).await.unwrap();
        let after = store.room(OURS, sid).await.unwrap().unwrap();
        assert_eq!(after.status, RoomStatus::Completed);
        assert_eq!((after.ended, after.updated), (Some(end), end));
        assert_eq!(after.duration_s, Some(60));
        assert_eq!(after.new, before.new);
    });
}

/// Whatever is asked for under another account is not there.
pub fn another_account_sees_nothing(fresh: Fresh) {
    with(fresh, |store| async move {
        let row = room(&*store).await;
        let sid = row.new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON)]).await.unwrap();
        assert_eq!(everyone(&*store, sid).await.rows.len(), 1);
        // One that exists, and one that does not.
        for account in [THEIRS, room::AccountSid::from_bytes([9; 16])] {
            assert_eq!(store.room(account, sid).await.unwrap(), None);
            let by_name = store.room_in_progress(account, "daily").await.unwrap();
            assert_eq!(by_name, None);
            let one = store.participant(account, sid, pa(1)).await.unwrap();
            assert_eq!(one, None);
            let live = store.participant_live(account, sid, "alice").await.unwrap();
            assert_eq!(live, None);
            let filter = ParticipantFilter::default();
            let page = store.participants(account, sid, filter, FIRST_PAGE).await;
            assert!(page.unwrap().rows.is_empty());
            let filter = RoomFilter {
                status: RoomStatus::InProgress,
                unique_name: None,
                created_from_s: None,
                created_before_s: None,
            };
            let page = store.rooms(account, filter, FIRST_PAGE).await.unwrap();
            assert!(page.rows.is_empty());
            let written = store.write(account, sid, 1, vec![leave(1, NOON)]).await;
            assert!(matches!(written, Err(StoreError::RoomNotInProgress)));
        }
        assert_eq!(everyone(&*store, sid).await.rows.len(), 1);
    });
}
