//! The work of reading what a participant publishes: bounded by that, whatever it published before.

use room::{ParticipantSid, ParticipantStatus, RoomSid, RoomStatus};
use rusqlite::params;

use super::{ACCOUNT, Counted, SIZE, assert_bounded, position};
use crate::sqlite::bulk::{BulkRoom, Stay, add_rooms, add_stays, key};
use crate::sqlite::track;
use crate::{PageRequest, TrackKey};

const PUBLISHED: u32 = 64;
const ENDED: u32 = 20_000;

#[test]
fn the_work_of_a_page_of_tracks_is_bounded_by_what_is_published() {
    let mut counted = Counted::new();
    let account = counted.account;
    counted.fill(|db| {
        let room = BulkRoom {
            number: 0,
            name: None,
            status: RoomStatus::InProgress,
        };
        add_rooms(db, account, std::iter::once(room)).expect("a room");
        let alice = Stay {
            number: 0,
            room: 0,
            identity: "alice".to_owned(),
            status: ParticipantStatus::Connected,
        };
        add_stays(db, std::iter::once(alice)).expect("a participant");
        let mut insert = db
            .prepare(
                "INSERT INTO tracks (sid, participant_id, media_id, kind, name, enabled, priority, created_us, updated_us,
                     ended_us)
                 VALUES (?1, 1, 'm', 'audio', 'track ' || ?2, 1, 'standard', ?2 * 1000000, ?2 * 1000000, ?3)",
            )
            .expect("the table is there");
        for number in 0..PUBLISHED + ENDED {
            let ended = (number % (ENDED / PUBLISHED) != 0).then_some(i64::MAX);
            insert.execute(params![key(number), number, ended]).expect("a track");
        }
    });
    let (room, alice) = (RoomSid::from_bytes(key(0)), ParticipantSid::from_bytes(key(0)));
    let mut from = None;
    let mut read = 0;
    loop {
        let request = PageRequest {
            size: SIZE,
            from,
            backwards: false,
        };
        let (page, steps) = counted.steps(|db| track::list(db, ACCOUNT, room, alice, request));
        let page = page.expect("the database works");
        assert_bounded(steps, page.rows.len(), 0, request);
        read += page.rows.len();
        let Some(last) = page.rows.last().filter(|_| page.has_next) else {
            break;
        };
        from = Some(position(
            u32::try_from(last.created.seconds()).expect("a number of ours"),
        ));
    }
    assert!(read >= PUBLISHED as usize, "{read}");
    let name = TrackKey::Name("track 0".to_owned());
    let (found, steps) = counted.steps(|db| track::fetch(db, ACCOUNT, room, alice, &name));
    assert!(found.expect("the database works").is_some());
    assert_bounded(steps, read, 0, name);
}
