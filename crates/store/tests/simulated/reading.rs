//! Those who look: rows fetched, and lists walked over page by page while the rest goes on.

use room::{ParticipantSid, ParticipantStatus, RoomSid, RoomStatus};
use store::{PageRequest, ParticipantFilter, Position, RoomFilter, Store};
use testkit::history::{Moment, Page, ParticipantRow, ParticipantsOf, RoomRow, RoomsOf, Said, Times};

use crate::simulation::{ACCOUNT, IDENTITIES, NAMES, Simulation};

/// Walks under way at once.
const WALKS: usize = 6;

/// A walk over a list, one page after the other.
pub(crate) struct Walk {
    pub(crate) number: u64,
    pub(crate) over: Over,
    pub(crate) size: usize,
    pub(crate) from: Option<Position>,
}

#[derive(Clone)]
pub(crate) enum Over {
    Participants(ParticipantsOf),
    Rooms(RoomsOf),
}

impl Simulation {
    pub(crate) fn fetch(&mut self) {
        let asked = self.book.now;
        if self.dice.bool() {
            let lately = self.participants.len().saturating_sub(20);
            let found = self
                .participants
                .get(lately..)
                .and_then(|lately| self.dice.choice(lately));
            if let Some((room, participant)) = found.copied() {
                self.read_participant(asked, room, participant);
            }
        } else if let Some(room) = self.dice.choice(&self.rooms).copied() {
            self.read_room(asked, room);
        }
    }

    pub(crate) fn read_participant(&mut self, asked: Moment, room: RoomSid, participant: ParticipantSid) {
        let row = self
            .runtime
            .block_on(self.store.participant(ACCOUNT, room, participant))
            .unwrap();
        let said = row.map_or(Said::NoParticipant(participant), |row| {
            Said::Participant(participant_row(&row))
        });
        let said = match self.read_before.insert(participant, said.clone()) {
            Some(before) if self.reads_late => before,
            _ => said,
        };
        self.book.heard(asked, said);
    }

    pub(crate) fn read_room(&mut self, asked: Moment, room: RoomSid) {
        let row = self.runtime.block_on(self.store.room(ACCOUNT, room)).unwrap();
        let said = row.map_or(Said::NoRoom(room), |row| Said::Room(room_row(&row)));
        self.book.heard(asked, said);
    }

    pub(crate) fn begin_walk(&mut self) {
        let Some(room) = self
            .dice
            .choice(&self.rooms[self.rooms.len().saturating_sub(4)..])
            .copied()
        else {
            return;
        };
        let dice = &mut self.dice;
        let now_s = self.now.wall.seconds();
        let over = if dice.u8(0..5) == 0 {
            let status = if dice.bool() {
                RoomStatus::InProgress
            } else {
                RoomStatus::Completed
            };
            let name = dice.bool().then(|| NAMES[dice.usize(0..NAMES.len())].into());
            Over::Rooms(RoomsOf { status, name })
        } else {
            let status = ParticipantStatus::ALL;
            Over::Participants(ParticipantsOf {
                room,
                status: status[dice.usize(0..status.len())],
                identity: (dice.u8(0..3) == 0).then(|| format!("guest{}", dice.u32(0..IDENTITIES)).into()),
                created_after_s: (dice.u8(0..4) == 0).then(|| now_s - dice.i64(0..200)),
                created_before_s: (dice.u8(0..4) == 0).then(|| now_s - dice.i64(-20..100)),
            })
        };
        self.numbers += 1;
        let number = u64::try_from(self.numbers).unwrap();
        let size = dice.usize(1..10);
        self.walks.push_back(Walk {
            number,
            over,
            size,
            from: None,
        });
        if self.walks.len() > WALKS {
            self.walks.pop_front();
        }
    }

    /// The next page of one of the walks.
    pub(crate) fn page(&mut self) {
        if self.walks.is_empty() {
            return;
        }
        let index = self.dice.usize(0..self.walks.len());
        let walk = &mut self.walks[index];
        let request = PageRequest {
            size: u32::try_from(walk.size).unwrap(),
            from: walk.from,
            backwards: false,
        };
        let (number, size) = (walk.number, walk.size);
        let (said, last, has_next) = match walk.over.clone() {
            Over::Participants(of) => {
                let filter = ParticipantFilter {
                    status: Some(of.status),
                    identity: of.identity.as_deref().map(str::to_owned),
                    created_after_s: of.created_after_s,
                    created_before_s: of.created_before_s,
                };
                let read = self.store.participants(ACCOUNT, of.room, filter, request);
                let page = self.runtime.block_on(read).unwrap();
                let last = page.rows.last().map(|row| Position {
                    created: row.created,
                    sid: *row.sid.as_bytes(),
                });
                let (rows, has_next) = (page.rows.iter().map(participant_row).collect(), page.has_next);
                (
                    Said::Participants(Page {
                        walk: number,
                        of,
                        size,
                        rows,
                        has_next,
                    }),
                    last,
                    has_next,
                )
            }
            Over::Rooms(of) => {
                let filter = RoomFilter {
                    status: of.status,
                    unique_name: of.name.as_deref().map(str::to_owned),
                    created_from_s: None,
                    created_before_s: None,
                };
                let page = self
                    .runtime
                    .block_on(self.store.rooms(ACCOUNT, filter, request))
                    .unwrap();
                let last = page.rows.last().map(|row| Position {
                    created: row.new.at,
                    sid: *row.new.sid.as_bytes(),
                });
                let (rows, has_next) = (page.rows.iter().map(room_row).collect(), page.has_next);
                (
                    Said::Rooms(Page {
                        walk: number,
                        of,
                        size,
                        rows,
                        has_next,
                    }),
                    last,
                    has_next,
                )
            }
        };
        walk.from = last;
        if !has_next {
            self.walks.remove(index);
        }
        let asked = self.book.now;
        self.book.heard(asked, said);
    }
}

fn participant_row(row: &store::ParticipantRow) -> ParticipantRow {
    ParticipantRow {
        sid: row.sid,
        room: row.room,
        identity: row.identity.as_str().into(),
        status: row.status,
        times: Times {
            created: row.created.0,
            updated: row.updated.0,
            ended: row.ended.map(|ended| ended.0),
            duration_s: row.duration_s,
        },
    }
}

pub(crate) fn room_row(row: &store::RoomRow) -> RoomRow {
    RoomRow {
        sid: row.new.sid,
        name: row.new.unique_name.clone().unwrap().into(),
        status: row.status,
        calls_back: row.new.status_callback.is_some(),
        times: Times {
            created: row.new.at.0,
            updated: row.updated.0,
            ended: row.ended.map(|ended| ended.0),
            duration_s: row.duration_s,
        },
    }
}
