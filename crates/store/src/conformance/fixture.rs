//! Short ways to say what the behaviours need: SIDs by number, rooms, joins, leaves.

use room::{
    AccountSid, Change, ParticipantSid, Priority, RoomSid, RoomType, Rules, SessionHash, Timestamp, Track, TrackKind,
    TrackSid,
};

use crate::{
    Account, CallbackMethod, NewRoom, Page, PageRequest, ParticipantFilter, ParticipantRow, RoomRow, Store, StoreError,
};

pub(super) const OURS: AccountSid = AccountSid::from_bytes([0xa0; 16]);
pub(super) const THEIRS: AccountSid = AccountSid::from_bytes([0xb0; 16]);

/// A time of day long ago, on a whole second.
pub(super) const NOON: Timestamp = Timestamp(1_700_000_000_000_000);

pub(super) fn later(time: Timestamp, micros: i64) -> Timestamp {
    Timestamp(time.0 + micros)
}

/// Sixteen bytes for a number, in no order.
pub(super) fn bytes(number: u32) -> [u8; 16] {
    let mixed = u128::from(number) + 1;
    mixed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        .to_be_bytes()
}

pub(super) fn room_sid(number: u32) -> RoomSid {
    RoomSid::from_bytes(bytes(number))
}

pub(super) fn pa(number: u32) -> ParticipantSid {
    ParticipantSid::from_bytes(bytes(number))
}

pub(super) fn mt(number: u32) -> TrackSid {
    TrackSid::from_bytes(bytes(number))
}

/// A room without a name, whose callbacks go to an example.
pub fn ordinary_room(sid: RoomSid, at: Timestamp) -> NewRoom {
    NewRoom {
        sid,
        unique_name: None,
        kind: RoomType::Group,
        audio_only: false,
        large_room: false,
        ad_hoc: false,
        status_callback: Some("https://example.com/rooms".to_owned()),
        status_callback_method: CallbackMethod::Post,
        max_participants: 50,
        max_participant_duration_s: 14_400,
        empty_room_timeout_min: 5,
        unused_room_timeout_min: 5,
        video_codecs: vec!["VP8".to_owned()],
        media_region: None,
        at,
    }
}

/// Somebody comes, receives everything, and has a session that nobody resumes.
pub fn ordinary_join(participant: ParticipantSid, identity: String, at: Timestamp) -> Change {
    Change::ParticipantConnected {
        participant,
        identity,
        session: SessionHash([0; 32]),
        rules: Rules::everything(),
        at,
    }
}

/// A microphone that is on.
pub fn ordinary_track(sid: TrackSid) -> Track {
    Track {
        sid,
        media_id: "microphone".to_owned(),
        kind: TrackKind::Audio,
        name: "microphone".to_owned(),
        enabled: true,
        priority: Priority::Standard,
    }
}

pub(super) fn new_room(number: u32, name: Option<&str>) -> NewRoom {
    NewRoom {
        unique_name: name.map(str::to_owned),
        video_codecs: vec!["VP8".to_owned(), "H264".to_owned()],
        media_region: Some("us1".to_owned()),
        ..ordinary_room(room_sid(number), NOON)
    }
}

/// Makes both accounts.
pub(super) async fn accounts(store: &dyn Store) {
    for sid in [OURS, THEIRS] {
        store.put_account(Account::new(sid)).await.unwrap();
    }
}

/// Makes both accounts and a room of ours.
pub(super) async fn room(store: &dyn Store) -> RoomRow {
    accounts(store).await;
    store.create_room(OURS, new_room(0, Some("daily"))).await.unwrap()
}

/// Writes to a room of ours at its first epoch.
pub(super) async fn write(store: &dyn Store, room: RoomSid, changes: Vec<Change>) -> Result<(), StoreError> {
    store.write(OURS, room, 1, changes).await
}

pub(super) fn join(number: u32, identity: &str, at: Timestamp) -> Change {
    Change::ParticipantConnected {
        participant: pa(number),
        identity: identity.to_owned(),
        session: SessionHash([number as u8; 32]),
        rules: match number.is_multiple_of(2) {
            true => Rules::everything(),
            false => Rules::nothing(),
        },
        at,
    }
}

pub(super) fn leave(number: u32, at: Timestamp) -> Change {
    Change::ParticipantDisconnected {
        participant: pa(number),
        at,
        duration_s: 12,
    }
}

pub(super) fn lose(number: u32, at: Timestamp) -> Change {
    Change::ParticipantReconnecting {
        participant: pa(number),
        at,
    }
}

pub(super) fn publish(number: u32, track: u32, at: Timestamp) -> Change {
    Change::TrackPublished {
        participant: pa(number),
        track: self::track(track),
        at,
    }
}

pub(super) fn mute(number: u32, track: u32, enabled: bool, at: Timestamp) -> Change {
    Change::TrackEnabled {
        participant: pa(number),
        track: mt(track),
        enabled,
        at,
    }
}

pub(super) fn unpublish(number: u32, track: u32, at: Timestamp) -> Change {
    Change::TrackUnpublished {
        participant: pa(number),
        track: mt(track),
        at,
    }
}

pub(super) fn complete(at: Timestamp) -> Change {
    Change::RoomCompleted { at, duration_s: 60 }
}

pub(super) fn track(number: u32) -> Track {
    Track {
        sid: mt(number),
        media_id: format!("media-{number}"),
        kind: TrackKind::ALL[number as usize % TrackKind::ALL.len()],
        name: format!("track {number}"),
        enabled: true,
        priority: Priority::Standard,
    }
}

pub(super) const FIRST_PAGE: PageRequest = PageRequest {
    size: 1000,
    from: None,
    backwards: false,
};

/// The first page of the participants of a room of ours.
pub(super) async fn everyone(store: &dyn Store, room: RoomSid) -> Page<ParticipantRow> {
    store
        .participants(OURS, room, ParticipantFilter::default(), FIRST_PAGE)
        .await
        .unwrap()
}

/// Asserts that a call was refused as a bug of its caller.
#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Backend(_))), "{result:?}");
}
