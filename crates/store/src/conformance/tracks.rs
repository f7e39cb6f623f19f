//! What is published now, and the rules of who receives it.

use room::{Change, Named, Priority, Rule, RuleEffect, Rules, Timestamp, TrackKind};

use super::fixture::{
    FIRST_PAGE, NOON, OURS, THEIRS, complete, join, later, leave, lose, mt, mute, pa, publish, refused, room, track,
    unpublish, write,
};
use super::{Fresh, with};
use crate::{PageRequest, Position, SubscribeRulesRow, TrackKey, TrackRow};

fn rank(number: u32, track: u32, priority: Priority, at: Timestamp) -> Change {
    Change::TrackPriority {
        participant: pa(number),
        track: mt(track),
        priority,
        at,
    }
}

fn replace(number: u32, rules: &Rules, at: Timestamp) -> Change {
    Change::SubscribeRules {
        participant: pa(number),
        rules: rules.clone(),
        at,
    }
}

/// A list that uses everything.
fn elaborate() -> Rules {
    let rules = vec![
        Rule::all(RuleEffect::Include),
        Rule {
            publisher: Some(Named::Name("bob \"the\" builder, é".to_owned())),
            kind: Some(TrackKind::Video),
            ..Rule::new(RuleEffect::Exclude)
        },
        Rule {
            publisher: Some(Named::Sid(pa(7))),
            track: Some(Named::Name("screen".to_owned())),
            priority: Some(Priority::High),
            ..Rule::new(RuleEffect::Include)
        },
        Rule {
            track: Some(Named::Sid(mt(9))),
            ..Rule::new(RuleEffect::Include)
        },
    ];
    Rules::new(rules).unwrap()
}

/// As they were published, with their later state; not what is unpublished, nor of who is gone.
pub fn published_tracks_are_those_of_now(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let list = async |account, number| {
            let page = store.published_tracks(account, sid, pa(number), FIRST_PAGE).await;
            page.unwrap().rows
        };
        let soon = later(NOON, 5);
        let batch = vec![
            join(1, "alice", NOON),
            join(2, "bob", NOON),
            publish(1, 3, NOON),
            publish(2, 4, NOON),
            publish(1, 5, NOON),
            publish(1, 6, soon),
        ];
        write(&*store, sid, batch).await.unwrap();
        let row = |number, created| {
            let track = track(number);
            TrackRow {
                sid: track.sid,
                publisher: pa(1),
                room: sid,
                name: track.name,
                kind: track.kind,
                enabled: true,
                priority: Priority::Standard,
                created,
                updated: None,
            }
        };
        let (first, third) = (row(3, NOON), row(5, later(NOON, 2)));
        assert_eq!(list(OURS, 1).await, [row(6, soon), third.clone(), first.clone()]);
        assert_eq!(list(OURS, 2).await.len(), 1);
        assert!(list(OURS, 9).await.is_empty());
        assert!(list(THEIRS, 1).await.is_empty());

        // The clock may stand still or step back: what changed is told from what never did.
        let batch = vec![
            mute(1, 3, false, NOON),
            rank(1, 5, Priority::High, later(NOON, 9)),
            unpublish(1, 6, soon),
        ];
        write(&*store, sid, batch).await.unwrap();
        let muted = TrackRow {
            enabled: false,
            updated: Some(later(NOON, 1)),
            ..first
        };
        let ranked = TrackRow {
            priority: Priority::High,
            updated: Some(later(NOON, 9)),
            ..third
        };
        assert_eq!(list(OURS, 1).await, [ranked.clone(), muted.clone()]);

        let find = async |account, number, key| store.published_track(account, sid, pa(number), key).await.unwrap();
        let name = |number| TrackKey::Name(track(number).name);
        assert_eq!(find(OURS, 1, TrackKey::Sid(mt(3))).await, Some(muted.clone()));
        assert_eq!(find(OURS, 1, name(5)).await, Some(ranked.clone()));
        for (account, number, key) in [
            (OURS, 1, TrackKey::Sid(mt(6))),
            (OURS, 1, name(6)),
            (OURS, 1, TrackKey::Sid(mt(4))),
            (OURS, 2, TrackKey::Sid(mt(3))),
            (OURS, 1, TrackKey::Name("Track 3".to_owned())),
            (THEIRS, 1, TrackKey::Sid(mt(3))),
        ] {
            assert_eq!(find(account, number, key.clone()).await, None, "{number} {key:?}");
        }

        let some = async |account, numbers: &[u32]| {
            let sids = numbers.iter().map(|number| mt(*number)).collect();
            let rows = store.tracks(account, sid, sids).await.unwrap();
            rows.into_iter().map(|row| (row.publisher, row.sid)).collect::<Vec<_>>()
        };
        assert_eq!(
            some(OURS, &[3, 4, 5, 6, 7]).await,
            [(pa(1), mt(5)), (pa(2), mt(4)), (pa(1), mt(3))]
        );
        assert!(some(OURS, &[]).await.is_empty());
        assert!(some(THEIRS, &[3, 4]).await.is_empty());

        write(&*store, sid, vec![leave(1, later(NOON, 20)), lose(2, later(NOON, 20))])
            .await
            .unwrap();
        assert!(list(OURS, 1).await.is_empty());
        assert_eq!(list(OURS, 2).await.len(), 1);
        assert_eq!(find(OURS, 1, TrackKey::Sid(mt(3))).await, None);
        assert_eq!(some(OURS, &[3, 4]).await, [(pa(2), mt(4))]);
    });
}

/// Pages to and fro, also behind rows that are gone.
pub fn published_tracks_have_pages(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let mut batch = vec![join(1, "alice", NOON)];
        batch.extend((10..17).map(|number| publish(1, number, NOON)));
        write(&*store, sid, batch).await.unwrap();
        let page = async |size, from: Option<&TrackRow>, backwards| {
            let from = from.map(|row| Position {
                created: row.created,
                sid: *row.sid.as_bytes(),
            });
            let request = PageRequest { size, from, backwards };
            store.published_tracks(OURS, sid, pa(1), request).await.unwrap()
        };
        let numbers = |rows: &[TrackRow]| rows.iter().map(|row| row.sid).collect::<Vec<_>>();
        let first = page(3, None, false).await;
        assert_eq!(numbers(&first.rows), [mt(16), mt(15), mt(14)]);
        assert_eq!((first.has_previous, first.has_next), (false, true));
        write(&*store, sid, vec![unpublish(1, 14, NOON)]).await.unwrap();
        let second = page(3, first.rows.last(), false).await;
        assert_eq!(numbers(&second.rows), [mt(13), mt(12), mt(11)]);
        assert_eq!((second.has_previous, second.has_next), (true, true));
        let last = page(3, second.rows.last(), false).await;
        assert_eq!(numbers(&last.rows), [mt(10)]);
        assert_eq!((last.has_previous, last.has_next), (true, false));
        let back = page(3, second.rows.first(), true).await;
        assert_eq!(numbers(&back.rows), [mt(16), mt(15)]);
        assert_eq!((back.has_previous, back.has_next), (false, true));
    });
}

/// Those at the beginning, those that replaced them last, of who is gone too; and when.
pub fn rules_are_kept_and_replaced(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        let rules = async |account, number| store.subscribe_rules(account, sid, pa(number)).await.unwrap();
        let connected = Change::ParticipantConnected {
            participant: pa(3),
            identity: "carol".to_owned(),
            session: room::SessionHash([3; 32]),
            rules: elaborate(),
            at: NOON,
        };
        let batch = vec![join(2, "bob", NOON), join(1, "alice", NOON), connected];
        write(&*store, sid, batch).await.unwrap();
        let row = |rules: &Rules, created, updated| {
            Some(SubscribeRulesRow {
                rules: rules.clone(),
                created: later(NOON, created),
                updated,
            })
        };
        assert_eq!(rules(OURS, 2).await, row(&Rules::everything(), 0, None));
        assert_eq!(rules(OURS, 1).await, row(&Rules::nothing(), 1, None));
        assert_eq!(rules(OURS, 3).await, row(&elaborate(), 2, None));
        assert_eq!(rules(OURS, 9).await, None);
        assert_eq!(rules(THEIRS, 2).await, None);

        let one = Rules::new(elaborate().as_slice()[3..].to_vec()).unwrap();
        for (at, replaced) in (10..).zip([&elaborate(), &one, &Rules::nothing(), &Rules::nothing(), &elaborate()]) {
            let at = later(NOON, at);
            write(&*store, sid, vec![replace(2, replaced, at)]).await.unwrap();
            assert_eq!(rules(OURS, 2).await, row(replaced, 0, Some(at)));
            assert_eq!(rules(OURS, 3).await, row(&elaborate(), 2, None), "another's stay");
        }
        // A process that takes over finds them.
        let live = store.take_over(later(NOON, 20)).await.unwrap().remove(0);
        let live: Vec<_> = live.participants.iter().map(|one| (one.row.sid, &one.rules)).collect();
        let expected = [(pa(2), &elaborate()), (pa(1), &Rules::nothing()), (pa(3), &elaborate())];
        assert_eq!(live, expected);
        let one_room = store.take_over_room(OURS, sid, later(NOON, 20)).await.unwrap().unwrap();
        assert_eq!(one_room.participants[2].rules, elaborate());

        let write = async |changes| store.write(OURS, sid, 3, changes).await;
        write(vec![leave(2, later(NOON, 30))]).await.unwrap();
        assert_eq!(rules(OURS, 2).await, row(&elaborate(), 0, Some(later(NOON, 14))));
        refused(write(vec![replace(2, &one, NOON)]).await);
        refused(write(vec![replace(9, &one, NOON)]).await);
        write(vec![leave(1, NOON), leave(3, NOON), complete(later(NOON, 40))])
            .await
            .unwrap();
        assert_eq!(rules(OURS, 3).await, row(&elaborate(), 2, None));

        // Retention takes them with their room.
        let expiry = crate::Expiry {
            rooms: Some(later(NOON, 1_000_000)),
            ..crate::Expiry::default()
        };
        super::callbacks::drain(&*store, later(NOON, 50)).await;
        while store.forget(expiry, 3).await.unwrap().more {}
        assert_eq!(rules(OURS, 3).await, None);
    });
}
