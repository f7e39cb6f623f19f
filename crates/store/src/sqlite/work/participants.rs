//! The work of pages of participants.

use room::{AccountSid, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus, Timestamp};

use super::{ACCOUNT, Counted, Expected, LIVE, assert_bounded, bounds, requests};
use crate::sqlite::bulk::{BulkRoom, Stay, add_rooms, add_stays, key};
use crate::sqlite::participant;
use crate::{ParticipantFilter, ParticipantRow};

/// Rows that only one identity has, at either end: more than a page.
const ENDS: u32 = 120;

#[derive(Clone, Copy)]
enum Live {
    Oldest,
    Newest,
}

/// One room of the database: every `stride`th row from `first` on, with who is live at one end.
#[derive(Clone, Copy)]
struct Rows {
    first: u32,
    stride: u32,
    count: u32,
    live: Live,
    room: u32,
}

impl Rows {
    fn numbers(self) -> impl Iterator<Item = u32> {
        (0..self.count).map(move |place| self.first + place * self.stride)
    }

    /// From the end where who is live is.
    fn distance(self, number: u32) -> u32 {
        let place = (number - self.first) / self.stride;
        match self.live {
            Live::Oldest => place,
            Live::Newest => self.count - 1 - place,
        }
    }

    fn status(self, number: u32) -> ParticipantStatus {
        match self.distance(number) {
            distance @ 0..LIVE if distance % 2 == 0 => ParticipantStatus::Connected,
            0..LIVE => ParticipantStatus::Reconnecting,
            _ => ParticipantStatus::Disconnected,
        }
    }

    /// `alice` is live, and every second one; `near` and `far` are all together at one end.
    fn identity(self, number: u32) -> String {
        let distance = self.distance(number);
        match distance {
            0 => "alice".to_owned(),
            1..LIVE => format!("live {distance}"),
            _ if distance.is_multiple_of(2) => "alice".to_owned(),
            _ if distance < LIVE + ENDS * 2 => "near".to_owned(),
            _ if distance + ENDS * 2 >= self.count => "far".to_owned(),
            _ => format!("guest {number}"),
        }
    }

    fn stay(self, number: u32) -> Stay {
        Stay {
            number,
            room: self.room,
            identity: self.identity(number),
            status: self.status(number),
        }
    }

    fn row(self, number: u32) -> ParticipantRow {
        let status = self.status(number);
        let created = Timestamp(i64::from(number) * 1_000_000);
        let over = status == ParticipantStatus::Disconnected;
        ParticipantRow {
            sid: ParticipantSid::from_bytes(key(number)),
            room: RoomSid::from_bytes(key(self.room)),
            account: ACCOUNT,
            identity: self.identity(number),
            status,
            created,
            updated: created,
            ended: over.then_some(created),
            duration_s: over.then_some(0),
        }
    }

    /// Tries every combination of filters from everywhere; the most steps that a page took.
    fn check(self, counted: &Counted) -> u64 {
        let guest = self.first + self.stride * ((self.count / 2) | 1);
        let guest = format!("guest {guest}");
        let identities = ["alice", "live 1", "near", "far", guest.as_str(), "no"];
        let statuses = ParticipantStatus::ALL.iter().copied().map(Some);
        let mut most = 0;
        for identity in std::iter::once(None).chain(identities.map(Some)) {
            let named: Vec<u32> = self
                .numbers()
                .filter(|&number| identity.is_none_or(|wanted| self.identity(number) == wanted))
                .collect();
            for status in std::iter::once(None).chain(statuses.clone()) {
                let matching: Vec<u32> = named
                    .iter()
                    .copied()
                    .filter(|&number| status.is_none_or(|wanted| self.status(number) == wanted))
                    .collect();
                most = most.max(self.check_filter(counted, status, identity, &matching));
            }
        }
        most
    }

    fn check_filter(
        self,
        counted: &Counted,
        status: Option<ParticipantStatus>,
        identity: Option<&str>,
        matching: &[u32],
    ) -> u64 {
        let span = self.count * self.stride;
        let room = RoomSid::from_bytes(key(self.room));
        let mut most = 0;
        for (created_after_s, created_before_s) in bounds(self.first, span) {
            let filter = ParticipantFilter {
                status,
                identity: identity.map(str::to_owned),
                created_after_s,
                created_before_s,
            };
            for request in requests(self.first, span - self.stride + 1) {
                let (page, steps) = counted.steps(|db| participant::list(db, ACCOUNT, room, &filter, request));
                let page = page.expect("the database works");
                let first_s = created_after_s.map(|second| second + 1);
                let last_s = created_before_s.map(|second| second - 1);
                let expected = Expected::of(matching, first_s, last_s, request);
                let rows: Vec<ParticipantRow> = expected.rows.iter().map(|&number| self.row(number)).collect();
                // Without the rows, which would fill the screen.
                assert!(page.rows == rows, "other rows than expected: {filter:?} {request:?}");
                assert_eq!(page.has_previous, expected.has_previous, "{filter:?} {request:?}");
                assert_eq!(page.has_next, expected.has_next, "{filter:?} {request:?}");
                assert_bounded(steps, rows.len(), LIVE, (&filter, request));
                most = most.max(steps);
            }
        }
        most
    }
}

/// A database of these rooms and no other participants.
fn database(rooms: &[Rows]) -> Counted {
    let mut counted = Counted::new();
    let account = counted.account;
    counted.fill(|db| {
        let numbers = rooms.iter().map(|rows| BulkRoom {
            number: rows.room,
            name: None,
            status: RoomStatus::InProgress,
        });
        add_rooms(db, account, numbers).expect("rooms that the schema allows");
        let stays = rooms
            .iter()
            .flat_map(|rows| rows.numbers().map(|number| rows.stay(number)));
        add_stays(db, stays).expect("rows that the schema allows");
    });
    counted
}

fn check_one_room(count: u32, live: Live) {
    let rows = Rows {
        first: 0,
        stride: 1,
        count,
        live,
        room: 0,
    };
    let most = rows.check(&database(&[rows]));
    // The counter counts: a page of fifty can not be had for less.
    assert!(most > 500, "{most}");
    println!("{count} rows in one room: {most} steps at most for a page");
}

#[test]
fn the_work_of_a_page_of_participants_is_bounded_with_who_is_live_at_the_newest_end() {
    check_one_room(20_000, Live::Newest);
}

#[test]
fn the_work_of_a_page_of_participants_is_bounded_in_a_room_of_a_million() {
    check_one_room(1_000_000, Live::Oldest);
}

#[test]
#[ignore = "fills ten million rows, which takes minutes and gigabytes: scripts/soak runs it"]
fn the_work_of_a_page_of_participants_is_bounded_among_ten_million_in_many_rooms() {
    const ROWS: u32 = 10_000_000;
    const ROOMS: u32 = 10_000;
    let rooms: Vec<Rows> = (0..ROOMS)
        .map(|room| Rows {
            first: room,
            stride: ROOMS,
            count: ROWS / ROOMS,
            live: if room % 2 == 0 { Live::Oldest } else { Live::Newest },
            room,
        })
        .collect();
    let counted = database(&rooms);
    let checked = [0, 1, ROOMS / 2, ROOMS / 2 + 1, ROOMS - 2, ROOMS - 1];
    let most = checked
        .map(|room| rooms[room as usize].check(&counted))
        .into_iter()
        .max();
    let unknown = participant::list(
        &counted.db,
        AccountSid::from_bytes([9; 16]),
        RoomSid::from_bytes(key(0)),
        &ParticipantFilter::default(),
        requests(0, ROWS)[0],
    );
    assert_eq!(
        unknown.expect("the database works").rows,
        [],
        "another account sees nothing"
    );
    println!("{ROWS} rows in {ROOMS} rooms: {most:?} steps at most for a page");
}
