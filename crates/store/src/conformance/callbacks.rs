//! The outbox: what is rendered, in which order, and what becomes of attempts.

use room::{EventKind, RoomSid, Timestamp, TrackKind};

use super::fixture::{
    NOON, OURS, accounts, complete, join, later, leave, lose, mt, mute, new_room, pa, publish, room, unpublish, write,
};
use super::{Fresh, with};
use crate::{
    Audit, AuditFilter, CallbackFilter, CallbackLease, CallbackMethod, CallbackOutcome, CallbackState, DueCallback,
    EndedAttempt, NewRoom, Redelivered, Redelivery, RedeliveryRequest, Store,
};

const SECOND: i64 = 1_000_000;

/// Leases all that is due, at most 100 each time.
async fn lease(store: &dyn Store, now: Timestamp, until: Timestamp) -> Vec<DueCallback> {
    store.lease_callbacks(now, until, 100).await.unwrap()
}

/// An attempt that ended at noon.
async fn record(store: &dyn Store, callback: &DueCallback, outcome: CallbackOutcome) {
    record_at(store, callback, NOON, outcome).await;
}

async fn record_at(store: &dyn Store, callback: &DueCallback, at: Timestamp, outcome: CallbackOutcome) {
    store.record_callback(callback.id, at, Ok(204), outcome).await.unwrap();
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
        record_at(&*store, &first[0], later(NOON, 1), CallbackOutcome::Retry(NOON)).await;
        assert_eq!(store.next_callback().await.unwrap(), None);
        write(&*store, sid, vec![join(1, "alice", NOON)]).await.unwrap();
        record_at(&*store, &first[0], later(NOON, 2), CallbackOutcome::Delivered).await;
        let told = drain(&*store, NOON).await;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].event, EventKind::ParticipantConnected);
        // One that was forgotten meanwhile is passed over.
        store
            .record_callback(i64::MAX, NOON, Ok(200), CallbackOutcome::Delivered)
            .await
            .unwrap();
    });
}

/// Who did not hear that an attempt was written tells it again.
pub fn an_attempt_that_is_told_again_counts_once(fresh: Fresh) {
    with(fresh, |store| async move {
        room(&*store).await;
        let due = lease(&*store, NOON, later(NOON, SECOND)).await;
        let tells = async |answer, outcome| {
            let recorded = store.record_callback(due[0].id, later(NOON, 5), answer, outcome);
            recorded.await.unwrap();
        };
        for _ in 0..2 {
            tells(Err("reset".to_owned()), CallbackOutcome::Retry(later(NOON, SECOND))).await;
            assert_eq!(store.callback_attempts(due[0].id).await.unwrap().len(), 1);
        }
        let again = lease(&*store, later(NOON, SECOND), later(NOON, 2 * SECOND)).await;
        assert_eq!((again[0].id, again[0].attempts), (due[0].id, 1));
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

/// A room of this number whose callbacks go to this host.
async fn room_calling(store: &dyn Store, number: u32, host: &str) -> RoomSid {
    let new = NewRoom {
        status_callback: Some(format!("https://{host}/rooms?key=secret")),
        ..new_room(number, None)
    };
    store.create_room(OURS, new).await.unwrap().new.sid
}

fn lease_of(limit: u32, per_receiver: u32) -> CallbackLease {
    CallbackLease {
        now: later(NOON, SECOND),
        until: later(NOON, 30 * SECOND),
        limit,
        per_receiver,
        ..CallbackLease::default()
    }
}

/// Whoever has enough under way is passed over, and takes no place of the others.
pub fn receivers_have_their_turns_and_their_bounds(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        for number in 0..20 {
            room_calling(&*store, number, "slow.example.com").await;
        }
        for (number, host) in ["a.example.com", "t.example.com", "z.example.com"].iter().enumerate() {
            room_calling(&*store, 20 + number as u32, host).await;
        }
        let receivers = |due: &[DueCallback]| due.iter().map(|due| due.receiver.clone()).collect::<Vec<_>>();
        let lease = CallbackLease {
            taken: vec![("slow.example.com:443".to_owned(), 5)],
            ..lease_of(4, 6)
        };
        let first = store.exchange_callbacks(Vec::new(), lease.clone()).await.unwrap();
        let expected = [
            "a.example.com:443",
            "slow.example.com:443",
            "t.example.com:443",
            "z.example.com:443",
        ];
        assert_eq!(receivers(&first.due), expected);
        assert_eq!(first.next, Some(lease.until));
        let full = CallbackLease {
            taken: vec![("slow.example.com:443".to_owned(), 6)],
            ..lease_of(4, 6)
        };
        assert!(store.exchange_callbacks(Vec::new(), full).await.unwrap().due.is_empty());
        // The turn goes on where it ended.
        room_calling(&*store, 30, "a.example.com").await;
        room_calling(&*store, 31, "z.example.com").await;
        let mut after = "slow.example.com:443".to_owned();
        let mut turns = Vec::new();
        for _ in 0..3 {
            let lease = CallbackLease {
                after,
                ..lease_of(1, 6)
            };
            let leased = store.exchange_callbacks(Vec::new(), lease).await.unwrap();
            assert!(leased.is_partial);
            after = leased.after.clone();
            turns.extend(receivers(&leased.due));
        }
        assert_eq!(
            turns,
            ["z.example.com:443", "a.example.com:443", "slow.example.com:443"]
        );
    });
}

/// What ends lets the next of its room go ahead in the same call.
pub fn one_exchange_records_and_leases(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON), leave(1, NOON)])
            .await
            .unwrap();
        let mut ended = Vec::new();
        for expected in 0..3 {
            let leased = store.exchange_callbacks(ended, lease_of(10, 10)).await.unwrap();
            assert_eq!(leased.due.len(), 1);
            assert_eq!((leased.due[0].room, leased.due[0].sequence), (sid, expected));
            ended = vec![EndedAttempt {
                id: leased.due[0].id,
                at: NOON,
                answer: Ok(204),
                outcome: CallbackOutcome::Delivered,
            }];
        }
        let leased = store.exchange_callbacks(ended, lease_of(10, 10)).await.unwrap();
        assert!(leased.due.is_empty() && leased.next.is_none() && !leased.is_partial);
        assert_eq!(store.next_callback().await.unwrap(), None);
    });
}

async fn redeliver(store: &dyn Store, what: Redelivery) -> Redelivered {
    let by = Audit::of_operator(NOON, "redeliver-callbacks");
    let request = RedeliveryRequest {
        what,
        now: NOON,
        by: Some(by),
    };
    store.redeliver_callbacks(request).await.unwrap()
}

/// Before what waits, behind what is on its way, with a schedule that begins anew, and with a line of the audit log.
pub fn what_was_given_up_is_delivered_again_in_its_order(fresh: Fresh) {
    with(fresh, |store| async move {
        let sid = room(&*store).await.new.sid;
        write(&*store, sid, vec![join(1, "alice", NOON), join(2, "bob", NOON)])
            .await
            .unwrap();
        for sequence in 0..2 {
            let due = lease(&*store, NOON, later(NOON, SECOND)).await;
            assert_eq!(due[0].sequence, sequence);
            record_at(&*store, &due[0], later(NOON, -1), CallbackOutcome::GivenUp).await;
        }
        let under_way = lease(&*store, NOON, later(NOON, SECOND)).await;
        assert_eq!(under_way[0].sequence, 2);
        write(&*store, sid, vec![leave(1, NOON)]).await.unwrap();
        let other = CallbackFilter {
            receiver: Some("example.org".to_owned()),
            ..CallbackFilter::default()
        };
        let none = redeliver(
            &*store,
            Redelivery::GivenUp {
                filter: other,
                after: 0,
            },
        )
        .await;
        assert_eq!(none, Redelivered::default());
        assert!(store.audit(AuditFilter::default(), 0, 10).await.unwrap().is_empty());
        let ours = CallbackFilter {
            receiver: Some("example.com".to_owned()),
            room: Some(sid),
            since: Some(NOON),
            ..CallbackFilter::default()
        };
        let what = Redelivery::GivenUp { filter: ours, after: 0 };
        assert_eq!(redeliver(&*store, what.clone()).await.count, 2);
        assert_eq!(redeliver(&*store, what).await.count, 0);
        assert_eq!(store.audit(AuditFilter::default(), 0, 10).await.unwrap().len(), 1);
        record(&*store, &under_way[0], CallbackOutcome::Delivered).await;
        let told = drain(&*store, NOON).await;
        let told: Vec<_> = told.iter().map(|told| (told.sequence, told.attempts)).collect();
        assert_eq!(told, [(0, 0), (1, 0), (3, 0)]);
    });
}

/// A delivered one is sent again, one that is to be tried later is due at once.
pub fn one_callback_is_delivered_again_however_it_stands(fresh: Fresh) {
    with(fresh, |store| async move {
        room(&*store).await;
        let told = drain(&*store, NOON).await;
        assert_eq!(redeliver(&*store, Redelivery::One(told[0].id)).await.count, 1);
        let again = lease(&*store, NOON, later(NOON, SECOND)).await;
        assert_eq!((again[0].id, again[0].attempts), (told[0].id, 0));
        let hour = CallbackOutcome::Retry(later(NOON, 3600 * SECOND));
        record_at(&*store, &again[0], later(NOON, 1), hour).await;
        assert!(lease(&*store, NOON, NOON).await.is_empty());
        assert_eq!(redeliver(&*store, Redelivery::One(told[0].id)).await.count, 1);
        assert_eq!(lease(&*store, NOON, NOON).await.len(), 1);
        assert_eq!(
            redeliver(&*store, Redelivery::One(i64::MAX)).await,
            Redelivered::default()
        );
    });
}

/// By state, room, receiver and time; attempts without bodies.
pub fn callbacks_are_listed_with_their_attempts(fresh: Fresh) {
    with(fresh, |store| async move {
        accounts(&*store).await;
        let at = |s: i64| later(NOON, s * SECOND);
        let first = room_calling(&*store, 1, "a.example.com").await;
        let second = room_calling(&*store, 2, "b.example.com:8443").await;
        write(&*store, first, vec![join(1, "alice", at(5))]).await.unwrap();
        let due = lease(&*store, at(9), at(30)).await;
        let failed = Err("no answer within 10 s".to_owned());
        let retry = CallbackOutcome::Retry(at(40));
        store
            .record_callback(due[0].id, at(10), failed.clone(), retry)
            .await
            .unwrap();
        record(&*store, &due[1], CallbackOutcome::GivenUp).await;
        let list = async |filter: CallbackFilter| {
            let rows = store.callbacks(filter, 0, 100).await.unwrap();
            rows.into_iter()
                .map(|row| (row.room, row.sequence, row.state))
                .collect::<Vec<_>>()
        };
        let all = [
            (first, 0, CallbackState::Due),
            (second, 0, CallbackState::GivenUp),
            (first, 1, CallbackState::Waiting),
        ];
        let any = CallbackFilter::default();
        assert_eq!(list(any.clone()).await, all);
        assert_eq!(
            list(CallbackFilter {
                state: Some(CallbackState::GivenUp),
                ..any.clone()
            })
            .await,
            all[1..2]
        );
        assert_eq!(
            list(CallbackFilter {
                room: Some(first),
                ..any.clone()
            })
            .await,
            [all[0], all[2]]
        );
        for receiver in ["b.example.com", "b.example.com:8443"] {
            let receiver = Some(receiver.to_owned());
            assert_eq!(
                list(CallbackFilter {
                    receiver,
                    ..any.clone()
                })
                .await,
                all[1..2]
            );
        }
        assert!(
            list(CallbackFilter {
                receiver: Some("example.com".to_owned()),
                ..any.clone()
            })
            .await
            .is_empty()
        );
        assert_eq!(
            list(CallbackFilter {
                since: Some(at(5)),
                ..any.clone()
            })
            .await,
            all[2..]
        );
        assert_eq!(
            list(CallbackFilter {
                before: Some(at(5)),
                ..any.clone()
            })
            .await,
            all[..2]
        );
        let rows = store.callbacks(any, due[0].id, 1).await.unwrap();
        assert_eq!((rows.len(), rows[0].room, &rows[0].last), (1, second, &Some(Ok(204))));
        let attempts = store.callback_attempts(due[0].id).await.unwrap();
        assert_eq!(attempts.len(), 1);
        assert_eq!((attempts[0].at, &attempts[0].answer), (at(10), &failed));
    });
}
