//! The work of pages of rooms.

use room::{RoomSid, RoomStatus};

use super::{ACCOUNT, Counted, Expected, LIVE, assert_bounded, bounds, requests};
use crate::RoomFilter;
use crate::sqlite::bulk::{BulkRoom, add_rooms, key};
use crate::sqlite::room_row;

/// The oldest are in progress; of those that are over, every second was called `daily`, the next
/// oldest `early`, the newest `late`.
fn room(number: u32, count: u32) -> BulkRoom {
    let over = number >= LIVE;
    let name = match number {
        _ if !over => Some(format!("now {number}")),
        _ if number.is_multiple_of(2) => Some("daily".to_owned()),
        _ if number < LIVE + 200 => Some("early".to_owned()),
        _ if number + 200 >= count => Some("late".to_owned()),
        _ => None,
    };
    let status = match over {
        true => RoomStatus::Completed,
        false => RoomStatus::InProgress,
    };
    BulkRoom { number, name, status }
}

fn check(count: u32) {
    let mut counted = Counted::new();
    let account = counted.account;
    counted.fill(|db| {
        let rooms = (0..count).map(|number| room(number, count));
        add_rooms(db, account, rooms).expect("rooms that the schema allows");
    });
    let its_sid = RoomSid::from_bytes(key((count / 2) | 1)).to_string();
    let names = ["daily", "early", "late", "now 3", its_sid.as_str(), "no"];
    for name in std::iter::once(None).chain(names.map(Some)) {
        let named: Vec<BulkRoom> = (0..count)
            .map(|number| room(number, count))
            .filter(|room| {
                let own = || RoomSid::from_bytes(key(room.number)).to_string();
                name.is_none_or(|wanted| {
                    room.name
                        .as_deref()
                        .map_or_else(|| own() == wanted, |own| own == wanted)
                })
            })
            .collect();
        for status in RoomStatus::ALL.iter().copied() {
            let matching: Vec<u32> = named
                .iter()
                .filter(|room| room.status == status)
                .map(|room| room.number)
                .collect();
            check_filter(&counted, count, status, name, &matching);
        }
    }
}

fn check_filter(counted: &Counted, count: u32, status: RoomStatus, name: Option<&str>, matching: &[u32]) {
    for (created_from_s, created_before_s) in bounds(0, count) {
        let filter = RoomFilter {
            status,
            unique_name: name.map(str::to_owned),
            created_from_s,
            created_before_s,
        };
        for request in requests(0, count) {
            let (page, steps) = counted.steps(|db| room_row::list(db, ACCOUNT, &filter, request));
            let page = page.expect("the database works");
            let last_s = created_before_s.map(|second| second - 1);
            let expected = Expected::of(matching, created_from_s, last_s, request);
            let sids: Vec<RoomSid> = page.rows.iter().map(|row| row.new.sid).collect();
            let wanted = expected.rows.iter().map(|&number| RoomSid::from_bytes(key(number)));
            assert!(
                sids.iter().copied().eq(wanted),
                "other rows than expected: {filter:?} {request:?}"
            );
            assert!(
                page.rows.iter().all(|row| row.status == status),
                "{filter:?} {request:?}"
            );
            assert_eq!(page.has_previous, expected.has_previous, "{filter:?} {request:?}");
            assert_eq!(page.has_next, expected.has_next, "{filter:?} {request:?}");
            assert_bounded(steps, sids.len(), 1, (&filter, request));
        }
    }
}

#[test]
fn the_work_of_a_page_of_rooms_is_bounded_for_every_filter() {
    check(5_000);
}

#[test]
#[ignore = "fills a million rooms, which takes a minute: scripts/soak runs it"]
fn the_work_of_a_page_of_rooms_is_bounded_among_a_million() {
    check(1_000_000);
}
