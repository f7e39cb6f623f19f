//! What both backends are given: a room in progress and one that is over.

use room::{AccountSid, Change, ParticipantSid, RoomSid, Timestamp, Track, TrackSid};
use store::conformance::{ordinary_join, ordinary_room, ordinary_track};
use store::{Account, CallbackOutcome, NewRoom, Store};

pub(crate) const ACCOUNT: AccountSid = AccountSid::from_bytes([0xa0; 16]);
pub(crate) const OPEN: RoomSid = RoomSid::from_bytes([1; 16]);
pub(crate) const OVER: RoomSid = RoomSid::from_bytes([2; 16]);
pub(crate) const ALICE: ParticipantSid = ParticipantSid::from_bytes([0x11; 16]);
pub(crate) const BOB: ParticipantSid = ParticipantSid::from_bytes([0x12; 16]);
pub(crate) const CAROL: ParticipantSid = ParticipantSid::from_bytes([0x13; 16]);

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp(1_700_000_000_000_000 + second * 1_000_000)
}

pub(crate) fn new_room(sid: RoomSid) -> NewRoom {
    ordinary_room(sid, at(0))
}

pub(crate) fn join(participant: ParticipantSid, identity: &str, second: i64) -> Change {
    ordinary_join(participant, identity.to_owned(), at(second))
}

pub(crate) fn leave(participant: ParticipantSid, second: i64) -> Change {
    Change::ParticipantDisconnected {
        participant,
        at: at(second),
        duration_s: 3,
    }
}

pub(crate) fn publish(participant: ParticipantSid, sid: u8, second: i64) -> Change {
    Change::TrackPublished {
        participant,
        track: Track {
            media_id: format!("media-{sid}"),
            name: format!("track {sid}"),
            ..ordinary_track(TrackSid::from_bytes([sid; 16]))
        },
        at: at(second),
    }
}

/// A room in progress, with Alice in it and Bob gone, and one that is over, where Carol was; the first callbacks
/// of each are delivered.
pub(crate) async fn story(store: &dyn Store) {
    let account = Account::new(ACCOUNT);
    store.put_account(account).await.unwrap();
    for sid in [OPEN, OVER] {
        store.create_room(ACCOUNT, new_room(sid)).await.unwrap();
    }
    let open = vec![
        join(ALICE, "alice", 1),
        join(BOB, "bob", 2),
        publish(ALICE, 0x21, 2),
        publish(BOB, 0x22, 3),
        Change::TrackUnpublished {
            participant: BOB,
            track: TrackSid::from_bytes([0x22; 16]),
            at: at(4),
        },
        leave(BOB, 5),
    ];
    store.write(ACCOUNT, OPEN, 1, open).await.unwrap();
    let over = vec![
        join(CAROL, "carol", 1),
        leave(CAROL, 5),
        Change::RoomCompleted {
            at: at(6),
            duration_s: 6,
        },
    ];
    store.write(ACCOUNT, OVER, 1, over).await.unwrap();
    for callback in store.lease_callbacks(at(10), at(20), 10).await.unwrap() {
        let recorded = store.record_callback(callback.id, at(11), Ok(200), CallbackOutcome::Delivered);
        recorded.await.unwrap();
    }
}
