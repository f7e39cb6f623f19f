//! A room with what is on its way to the store, and those who are in it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use room::{
    Announced, AnnouncedTrack, Change, Input, Join, Now, Output, ParticipantSid, Priority, Room, RoomSid, Rules,
    SessionHash, TrackKind, TrackSid,
};
use testkit::history::{Deed, Fact, History, Moment, Present, Said, Touches};

/// A live room.
pub(crate) struct Place {
    pub(crate) sid: RoomSid,
    pub(crate) name: Arc<str>,
    pub(crate) epoch: u64,
    pub(crate) room: Room,
    /// Not written yet.
    pub(crate) unwritten: VecDeque<(u64, Vec<Change>)>,
    /// Written, and the room does not know.
    pub(crate) unconfirmed: VecDeque<u64>,
    /// Who asked by the API for a change, what for, and which batch makes it so.
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) has_ended: bool,
}

/// An API call that waits until its change is durable.
pub(crate) struct Waiting {
    pub(crate) batch: u64,
    pub(crate) asked: Moment,
    pub(crate) deed: usize,
    /// `None`: the room's completion.
    pub(crate) participant: Option<ParticipantSid>,
}

/// A client, as far as it is simulated.
pub(crate) struct Client {
    pub(crate) place: RoomSid,
    pub(crate) identity: Arc<str>,
    pub(crate) revision: u64,
    pub(crate) tracks: Vec<AnnouncedTrack>,
    pub(crate) is_admitted: bool,
    pub(crate) is_dismissed: bool,
    pub(crate) hears: bool,
    /// The deed by which it wants in or back, and when it asked.
    pub(crate) arriving: Option<(usize, Moment)>,
    /// The deed by which its socket was lost.
    pub(crate) lost: Option<usize>,
}

/// What is recorded, with the time of the simulation.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) history: History,
    pub(crate) now: Moment,
}

impl Book {
    pub(crate) fn heard(&mut self, asked: Moment, said: Said) {
        let answered = self.now;
        self.history.facts.push(Fact { asked, answered, said });
    }

    pub(crate) fn told(&mut self, said: Said) {
        self.heard(Moment::default(), said);
    }

    pub(crate) fn begins(&mut self, touches: Touches) -> usize {
        let (began, over) = (self.now, Moment::NEVER);
        self.history.deeds.push(Deed { began, over, touches });
        self.history.deeds.len() - 1
    }

    pub(crate) fn over(&mut self, deed: usize) {
        self.history.deeds[deed].over = self.now;
    }
}

pub(crate) type Clients = BTreeMap<ParticipantSid, Client>;

impl Place {
    /// Tells the room, and does all it says.
    pub(crate) fn handle(&mut self, input: Input, now: Now, clients: &mut Clients, book: &mut Book) {
        self.room.handle(input, now);
        while let Some(output) = self.room.poll() {
            self.obey(output, clients, book);
        }
    }

    fn obey(&mut self, output: Output, clients: &mut Clients, book: &mut Book) {
        match output {
            Output::Persist { batch, changes } => self.unwritten.push_back((batch, changes)),
            Output::Admit { participant, view } | Output::Welcome { participant, view } => {
                let Some(client) = clients.get_mut(&participant) else {
                    return;
                };
                client.is_admitted = true;
                let Some((deed, asked)) = client.arriving.take() else {
                    return;
                };
                book.over(deed);
                if !client.hears {
                    return;
                }
                let present = Present {
                    room: self.sid,
                    name: self.name.clone(),
                    participant,
                    identity: client.identity.clone(),
                    others: view.others.iter().map(|other| (other.sid, other.status)).collect(),
                    deed,
                };
                book.heard(asked, Said::Present(present));
            }
            Output::Refuse { participant, .. } => {
                if let Some((deed, _)) = clients.remove(&participant).and_then(|client| client.arriving) {
                    book.over(deed);
                }
            }
            Output::TellParticipant { to, about } => {
                if clients
                    .get(&to)
                    .is_some_and(|client| client.hears && client.is_admitted)
                {
                    let (about, status) = (about.sid, about.status);
                    book.told(Said::Told { to, about, status });
                }
            }
            Output::Dismiss { participant, .. } => {
                if let Some(client) = clients.get_mut(&participant) {
                    client.is_dismissed = true;
                    if client.hears {
                        book.told(Said::Dismissed(participant));
                    }
                }
            }
            Output::Ended => self.has_ended = true,
            Output::TellPublished { .. } | Output::Subscribe { .. } => {}
        }
    }
}

impl Client {
    pub(crate) fn new(place: RoomSid, identity: Arc<str>) -> Self {
        Self {
            place,
            identity,
            revision: 0,
            tracks: Vec::new(),
            is_admitted: false,
            is_dismissed: false,
            hears: true,
            arriving: None,
            lost: None,
        }
    }

    /// A list of other tracks, or of the same ones muted.
    pub(crate) fn change_tracks(&mut self, dice: &mut fastrand::Rng, sids: &mut u128) {
        self.revision += 1;
        self.tracks.clear();
        for number in dice.u8(0..2)..dice.u8(2..5) {
            *sids += 1;
            self.tracks.push(AnnouncedTrack {
                media_id: format!("media{number}"),
                kind: TrackKind::ALL[usize::from(number) % TrackKind::ALL.len()],
                name: format!("name{number}"),
                enabled: dice.bool(),
                priority: Priority::ALL[dice.usize(0..Priority::ALL.len())],
                has_codec: true,
                fresh: TrackSid::from_bytes(sids.to_be_bytes()),
            });
        }
    }

    pub(crate) fn announced(&self) -> Announced {
        Announced {
            revision: self.revision,
            tracks: self.tracks.clone(),
        }
    }

    pub(crate) fn join(&self, participant: ParticipantSid) -> Input {
        Input::Join(Join {
            participant,
            identity: self.identity.to_string(),
            session: SessionHash([0; 32]),
            rules: Rules::everything(),
            announced: self.announced(),
        })
    }
}
