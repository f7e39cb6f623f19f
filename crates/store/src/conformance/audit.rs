//! The audit log: one commit with the change, or nothing; in order; old lines go alone.

use room::{ApiKeySid, RoomSid, RoomStatus, Timestamp};

use super::fixture::{NOON, OURS, THEIRS, accounts, complete, join, later, leave, new_room, pa};
use super::{Fresh, with};
use crate::{Audit, AuditFilter, AuditRow, Expiry, Store, StoreError};

const SECOND: i64 = 1_000_000;

fn by(operation: &str, room: RoomSid, at: Timestamp) -> Audit {
    Audit {
        at,
        account: Some(OURS),
        credential: OURS.to_string(),
        method: Some("POST".to_owned()),
        operation: operation.to_owned(),
        room: Some(room),
        participant: Some(pa(1)),
        api_key: Some(ApiKeySid::from_bytes([9; 16])),
        status: Some(202),
        remote: Some("192.0.2.7".to_owned()),
        request_id: Some("one of mine".to_owned()),
    }
}

async fn log(store: &dyn Store, filter: AuditFilter) -> Vec<AuditRow> {
    store.audit(filter, 0, 1000).await.unwrap()
}

async fn operations(store: &dyn Store, filter: AuditFilter) -> Vec<String> {
    let rows = log(store, filter).await;
    rows.into_iter().map(|row| row.audit.operation).collect()
}

/// What is refused leaves no line, what is done leaves its own; all columns come back.
pub fn a_line_is_written_with_its_change_or_not_at_all(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let new = new_room(1, Some("daily"));
        let sid = new.sid;
        let create = by("create-room", sid, NOON);
        store
            .create_room_audited(OURS, new, Some(create.clone()))
            .await
            .unwrap();
        let again = new_room(2, Some("daily"));
        let refused = store
            .create_room_audited(OURS, again.clone(), Some(by("create-room", again.sid, NOON)))
            .await;
        assert!(matches!(refused, Err(StoreError::RoomExists)));
        let end = || vec![by("complete-room", sid, later(NOON, SECOND))];
        for (account, epoch) in [(THEIRS, 1), (OURS, 2)] {
            let fenced = store
                .write_audited(account, sid, epoch, vec![complete(NOON)], end())
                .await;
            assert!(fenced.is_err());
        }
        assert_eq!(operations(&*store, AuditFilter::default()).await, ["create-room"]);
        store
            .write_audited(OURS, sid, 1, vec![complete(NOON)], end())
            .await
            .unwrap();
        let room = store.room(OURS, sid).await.unwrap().unwrap();
        assert_eq!(room.status, RoomStatus::Completed);
        let rows: Vec<Audit> = log(&*store, AuditFilter::default())
            .await
            .into_iter()
            .map(|row| row.audit)
            .collect();
        assert_eq!(rows, [create, end().remove(0)]);
        let nobody = Audit::of_operator(NOON, "restore");
        store.record(nobody.clone()).await.unwrap();
        assert_eq!(log(&*store, AuditFilter::default()).await[2].audit, nobody);
    });
}

/// By pages, in the order of writing; of a room; since a time; long texts are cut.
pub fn lines_are_read_in_order(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let (one, two) = (new_room(1, None).sid, new_room(2, None).sid);
        for number in 0..10i64 {
            let room = if number % 3 == 0 { two } else { one };
            // The clock steps back half way.
            let at = later(NOON, (number % 5) * SECOND);
            store.record(by(&format!("op {number}"), room, at)).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut after = 0;
        loop {
            let some = store.audit(AuditFilter::default(), after, 3).await.unwrap();
            assert!(some.len() <= 3);
            let Some(last) = some.last() else { break };
            after = last.id;
            seen.extend(some);
        }
        let ids: Vec<i64> = seen.iter().map(|row| row.id).collect();
        assert!(ids.is_sorted_by(|one, other| one < other), "{ids:?}");
        assert_eq!(seen.len(), 10);
        let of = |room| AuditFilter {
            room: Some(room),
            since: None,
        };
        assert_eq!(operations(&*store, of(two)).await, ["op 0", "op 3", "op 6", "op 9"]);
        let late = AuditFilter {
            since: Some(later(NOON, 3 * SECOND)),
            ..of(one)
        };
        assert_eq!(operations(&*store, late).await, ["op 4", "op 8"]);
        let mut long = by("long", one, NOON);
        long.request_id = Some("ä".repeat(10_000));
        store.record(long).await.unwrap();
        let rows = log(&*store, of(one)).await;
        let kept = rows.last().unwrap().audit.request_id.as_ref().unwrap().chars().count();
        assert_eq!(kept, crate::limits::AUDIT_TEXT_CHARS);
    });
}

/// It outlives the rooms that it tells of, and goes by its own age.
pub fn lines_outlive_rooms_and_go_by_themselves(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let mut new = new_room(1, None);
        new.status_callback = None;
        let sid = new.sid;
        let create = by("create-room", sid, NOON);
        store.create_room_audited(OURS, new, Some(create)).await.unwrap();
        let changes = vec![join(1, "alice", NOON), leave(1, NOON), complete(NOON)];
        let end = by("complete-room", sid, later(NOON, SECOND));
        store.write_audited(OURS, sid, 1, changes, vec![end]).await.unwrap();
        let everything = Expiry {
            rooms: Some(Timestamp(i64::MAX)),
            ..Expiry::default()
        };
        while store.forget(everything, 2).await.unwrap().more {}
        assert_eq!(store.room(OURS, sid).await.unwrap(), None);
        let of_room = AuditFilter {
            room: Some(sid),
            since: None,
        };
        assert_eq!(operations(&*store, of_room).await, ["create-room", "complete-room"]);
        let old = Expiry {
            audit: Some(later(NOON, SECOND)),
            ..Expiry::default()
        };
        let gone = store.forget(old, 2).await.unwrap();
        assert_eq!((gone.audit, gone.rooms), (1, 0));
        assert_eq!(operations(&*store, of_room).await, ["complete-room"]);
        let last = log(&*store, of_room).await[0].id;
        while store
            .forget(
                Expiry {
                    audit: Some(Timestamp(i64::MAX)),
                    ..Expiry::default()
                },
                2,
            )
            .await
            .unwrap()
            .more
        {}
        store.record(by("later", sid, NOON)).await.unwrap();
        assert!(log(&*store, of_room).await[0].id > last, "numbers are not used again");
    });
}
