//! Erased identities: where they stood the SID stands, in rows, lists and callbacks, whatever the state.

use room::{Change, EventKind, Named, Rule, RuleEffect, Rules};

use super::callbacks::drain;
use super::fixture::{NOON, OURS, THEIRS, complete, everyone, join, later, leave, pa, publish, refused, room, write};
use super::{Fresh, with};
use crate::{Audit, AuditFilter, ParticipantFilter, ParticipantRow, StoreError};

fn anonymized(number: u32) -> Change {
    Change::ParticipantAnonymized {
        participant: pa(number),
    }
}

/// Live or gone, by the owner of the room alone; nothing else of the row changes, and it is found by the new identity.
pub fn an_identity_is_erased_in_any_state(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let joins = [
            join(1, "alice", NOON),
            join(2, "bob", NOON),
            join(3, "alice again", NOON),
        ];
        write(&*store, sid, joins.into()).await.unwrap();
        write(&*store, sid, vec![leave(1, later(NOON, 1))]).await.unwrap();
        let before = everyone(&*store, sid).await.rows;
        let fenced = store.write(OURS, sid, 2, vec![anonymized(1)]).await;
        assert!(matches!(fenced, Err(StoreError::Fenced)), "{fenced:?}");
        write(&*store, sid, vec![anonymized(1), anonymized(2)]).await.unwrap();
        // Repeating is harmless.
        write(&*store, sid, vec![anonymized(1)]).await.unwrap();
        store.expunge().await.unwrap();
        let expected = before.into_iter().map(|row| match row.identity.as_str() {
            "alice again" => row,
            _ => ParticipantRow {
                identity: row.sid.to_string(),
                ..row
            },
        });
        assert_eq!(everyone(&*store, sid).await.rows, expected.collect::<Vec<_>>());
        let live = store.participant_live(OURS, sid, &pa(2).to_string()).await.unwrap();
        assert_eq!(live.unwrap().sid, pa(2));
        assert_eq!(store.participant_live(OURS, sid, "bob").await.unwrap(), None);
        let filter = ParticipantFilter {
            identity: Some("alice".to_owned()),
            ..ParticipantFilter::default()
        };
        let found = store.participants(OURS, sid, filter, super::fixture::FIRST_PAGE).await;
        assert!(found.unwrap().rows.is_empty());
        refused(write(&*store, sid, vec![anonymized(9)]).await);
    });
}

/// Rules that name the erased identity name the SID; those that are about somebody else who is there stay.
pub fn rules_that_name_it_name_the_sid(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let named = |name: &str| Rule {
            publisher: Some(Named::read(name.to_owned())),
            ..Rule::new(RuleEffect::Include)
        };
        let rules = |names: [&str; 2]| Rules::new(names.map(named).into()).unwrap();
        let replace = Change::SubscribeRules {
            participant: pa(2),
            rules: rules(["alice", "carol"]),
            at: NOON,
        };
        let joins = [join(1, "alice", NOON), join(2, "bob", NOON), join(3, "carol", NOON)];
        write(&*store, sid, joins.into_iter().chain([replace]).collect())
            .await
            .unwrap();
        // Carol came back: rules about her are about the one who is there.
        let again = vec![leave(3, later(NOON, 1)), join(4, "carol", later(NOON, 2))];
        write(&*store, sid, again).await.unwrap();
        write(&*store, sid, vec![anonymized(1), anonymized(3)]).await.unwrap();
        let kept = store.subscribe_rules(OURS, sid, pa(2)).await.unwrap().unwrap();
        assert_eq!(kept.rules, rules([&pa(1).to_string(), "carol"]));
    });
}

/// A room in progress has an owner, who does it; of a completed one it is done with its line of the audit log.
pub fn a_completed_room_needs_no_owner(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON)]).await.unwrap();
        let by = Audit {
            at: NOON,
            account: Some(OURS),
            credential: OURS.to_string(),
            method: None,
            operation: "anonymize-participant".to_owned(),
            room: Some(sid),
            participant: Some(pa(1)),
            api_key: None,
            status: Some(200),
            remote: None,
            request_id: None,
        };
        let done = store.anonymize(OURS, sid, pa(1), Some(by.clone())).await.unwrap();
        assert!(!done, "it is in progress");
        write(&*store, sid, vec![leave(1, NOON), complete(NOON)]).await.unwrap();
        refused(store.anonymize(THEIRS, sid, pa(1), Some(by.clone())).await);
        refused(store.anonymize(OURS, sid, pa(2), Some(by.clone())).await);
        assert!(store.audit(AuditFilter::default(), 0, 10).await.unwrap().is_empty());
        assert!(store.anonymize(OURS, sid, pa(1), Some(by)).await.unwrap());
        let row = store.participant(OURS, sid, pa(1)).await.unwrap().unwrap();
        assert_eq!(row.identity, pa(1).to_string());
        let log = store.audit(AuditFilter::default(), 0, 10).await.unwrap();
        assert_eq!(log.len(), 1);
        assert!(!format!("{log:?}").contains("alice"));
    });
}

/// What was not delivered before tells the SID, of events before the erasure too.
pub fn callbacks_to_come_tell_the_sid(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON), publish(1, 4, NOON)])
            .await
            .unwrap();
        write(&*store, sid, vec![anonymized(1)]).await.unwrap();
        write(&*store, sid, vec![leave(1, NOON)]).await.unwrap();
        let told = drain(&*store, later(NOON, 60_000_000)).await;
        let kinds: Vec<EventKind> = told.iter().map(|callback| callback.event).collect();
        assert_eq!(
            kinds,
            [
                EventKind::RoomCreated,
                EventKind::ParticipantConnected,
                EventKind::TrackAdded,
                EventKind::ParticipantDisconnected
            ],
            "erasing is no event"
        );
        for callback in &told[1..] {
            assert_eq!(callback.participant, Some((pa(1), pa(1).to_string())));
        }
    });
}
