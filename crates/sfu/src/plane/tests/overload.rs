//! More than the worker's processor can carry, in simulated time: it recovers by itself.
//!
//! Everybody publishes a picture a second and hears everybody. The burst of the first key frames is more than a
//! second of work; ordinary pictures are a third of what the processor can do.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::fixture::{receive, send, session, video};
use crate::transport::Allowance;
use crate::worker::BATCHES_PER_TURN;

const CLIENTS: u64 = 100;

/// So long a packet given to a subscriber takes.
const PACKET_COST: Duration = Duration::from_micros(10);

/// And a datagram that is read.
const DATAGRAM_COST: Duration = Duration::from_micros(5);

/// Datagrams that the socket's buffer holds: what Linux gives who may not have more, 212,992 bytes.
const SOCKET_BUFFER: usize = 185;

/// How often a client sends feedback.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

const PICTURE: usize = 3;
const KEY_FRAME: usize = 11;

/// How often a client checks its path. One check that is lost makes twice this of silence.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// Once a check was not answered by the time of the next, the one after that is sent so soon, and then twice as late
/// each time.
const CHECK_AGAIN: Duration = Duration::from_millis(250);

struct Client {
    next_picture: Instant,
    next_report: Instant,
    next_check: Instant,
    unanswered: u32,
    sequence: u64,
    wants_key_frame: bool,
}

struct Overload {
    world: World,
    clients: BTreeMap<u64, Client>,
    buffer: VecDeque<(u64, Vec<u8>)>,
    /// Datagrams that the socket's buffer had no place for.
    lost: u64,
    keyframes_asked: u64,
    forwarded: u64,
}

impl Overload {
    fn new() -> Self {
        let mut world = World::new();
        let name = |id: u64| format!("of{id}");
        for id in 1..=CLIENTS {
            let mut own = video("0");
            own.receive = receive("cam", [1]);
            let mut sections = vec![own];
            for other in (1..=CLIENTS).filter(|other| *other != id) {
                let mut section = video(&other.to_string());
                section.send = send(&name(other), 1000 + other as u32);
                sections.push(section);
            }
            let transport = TransportId(id);
            world.command(Command::Apply {
                transport,
                session: Arc::new(session(id, 1, sections)),
            });
            world.check(id);
            let route = |other: u64| Route {
                source: TransportId(other),
                source_id: "cam".into(),
                id: name(other).into(),
                media: RouteMedia::Rtp(MediaKind::Video),
            };
            let routes = (1..=CLIENTS).filter(|other| *other != id).map(route).collect();
            world.command(Command::Subscribe { transport, routes });
        }
        let client = |id: u64| Client {
            next_picture: world.now + Duration::from_millis(id),
            next_report: world.now + Duration::from_millis(3 * id),
            next_check: world.now + CHECK_INTERVAL * id as u32 / CLIENTS as u32,
            unanswered: 0,
            sequence: 0,
            wants_key_frame: true,
        };
        let clients = (1..=CLIENTS).map(|id| (id, client(id))).collect();
        let mut overload = Self {
            world,
            clients,
            buffer: VecDeque::new(),
            lost: 0,
            keyframes_asked: 0,
            forwarded: 0,
        };
        overload.read_notes();
        overload.keyframes_asked = 0;
        overload
    }

    /// What clients have sent by now is in the socket's buffer, or lost.
    fn arrive(&mut self) {
        let now = self.world.now;
        for (id, client) in &mut self.clients {
            let mut sent = Vec::new();
            while client.next_picture <= now {
                client.next_picture += Duration::from_secs(1);
                let is_key = std::mem::take(&mut client.wants_key_frame);
                for packet in 0..if is_key { KEY_FRAME } else { PICTURE } {
                    // VP8: the first packet of a key frame is told by its first bytes.
                    let payload: &[u8] = if is_key && packet == 0 {
                        &[0x10, 0, 0]
                    } else {
                        &[0, 1, 0]
                    };
                    client.sequence += 1;
                    sent.push([&[0x80, NUMBERED][..], &client.sequence.to_be_bytes(), payload].concat());
                }
            }
            while client.next_report <= now {
                client.next_report += REPORT_INTERVAL;
                sent.push(vec![0x80, 201]);
            }
            while client.next_check <= now {
                client.next_check += match client.unanswered {
                    0 => CHECK_INTERVAL,
                    count => CHECK_INTERVAL.min(CHECK_AGAIN * (1 << count.min(6)) / 2),
                };
                client.unanswered += 1;
                sent.push(fixture::check(*id));
            }
            for datagram in sent {
                match self.buffer.len() < SOCKET_BUFFER {
                    true => self.buffer.push_back((*id, datagram)),
                    false => self.lost += 1,
                }
            }
        }
    }

    /// One turn of the worker, and the time that it takes.
    fn turn(&mut self) {
        for _ in 0..BATCHES_PER_TURN {
            self.arrive();
            let count = self.buffer.len().min(limits::RECEIVE_BATCH_MAX);
            for (id, datagram) in self.buffer.drain(..count).collect::<Vec<_>>() {
                self.world.plane.handle_datagram(path(id), &datagram, self.world.now);
                self.world.now += DATAGRAM_COST;
                self.pass();
            }
            if count < limits::RECEIVE_BATCH_MAX {
                break;
            }
        }
        self.world.plane.finish_turn(self.world.now);
        self.pass();
        self.read_notes();
    }

    /// The time that what was forwarded took.
    fn pass(&mut self) {
        let forwarded = self.world.plane.stats.packets_forwarded;
        self.world.now += PACKET_COST * (forwarded - self.forwarded) as u32;
        self.forwarded = forwarded;
    }

    /// Answers and requests reach the clients at once.
    fn read_notes(&mut self) {
        let mut notes = self.world.notes.lock().unwrap();
        for (name, _) in notes.keyframes.drain(..) {
            let id: u64 = name.trim_start_matches('c').parse().unwrap();
            self.clients.get_mut(&id).unwrap().wants_key_frame = true;
            self.keyframes_asked += 1;
        }
        notes.sent.clear();
        notes.received.clear();
        for (path, _) in self.world.plane.outgoing.iter() {
            let id = u64::from(path.remote.port()) - 1000;
            self.clients.get_mut(&id).unwrap().unanswered = 0;
        }
        self.world.plane.outgoing.clear();
    }

    fn run(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.now < end {
            self.turn();
            if self.buffer.is_empty() && !self.world.plane.has_backlog() {
                self.world.now += Duration::from_millis(1);
            }
        }
    }
}

#[test]
fn a_room_that_was_too_much_at_first_recovers() {
    let mut overload = Overload::new();
    overload.run(Duration::from_secs(15));
    let (lost, asked, forwarded) = (overload.lost, overload.keyframes_asked, overload.forwarded);
    let dropped = overload.world.plane.stats.dropped_behind;
    assert!(dropped > 0, "the first burst was more than it could carry in time");
    assert!(asked <= 2 * CLIENTS, "{asked} key frames asked for");
    overload.run(Duration::from_secs(5));
    let later = (
        overload.lost - lost,
        overload.keyframes_asked - asked,
        overload.world.plane.stats.dropped_behind - dropped,
    );
    assert_eq!(later, (0, 0, 0), "lost in the socket's buffer, key frames, dropped");
    let pictures = CLIENTS * (CLIENTS - 1) * PICTURE as u64 * 5;
    assert_eq!(overload.forwarded - forwarded, pictures, "all of five seconds");
}

/// A client whose checks are lost and whose media arrives was never away.
#[test]
fn lost_checks_ask_for_no_key_frames_while_media_arrives() {
    let mut world = World::new();
    for id in 1..=2 {
        world.join(id, id as u32);
    }
    world.watch(2, 1);
    world.watch(1, 2);
    for id in 1..=2 {
        world.datagram(id, &media(id as u8, 1, &[0x10, 0, 0]));
    }
    let asked = |world: &World| world.notes.lock().unwrap().keyframes.len();
    let before = asked(&world);
    for step in 2..62 {
        world.now += Duration::from_secs(1);
        for id in 1..=2 {
            world.datagram(id, &media(id as u8, step, b"x"));
            // Two of three are lost; then all for long enough to be told.
            if step % 9 == 0 && step != 27 {
                world.check(id);
            }
        }
    }
    assert_eq!(asked(&world), before);
    let told = world.events.lock().unwrap();
    let interrupted = told.iter().filter(|event| matches!(event, Event::Interrupted { .. }));
    assert!(interrupted.count() > 0, "checks were missed all the same");
    drop(told);
    // Who was silent altogether has missed what was sent meanwhile.
    world.now += limits::CHECK_GAP + Duration::from_secs(1);
    world.check(1);
    assert_eq!(asked(&world), before + 2, "of both, since it receives and sends");
}

/// In a turn that is full, media waits and feedback does not; sound goes before pictures.
#[test]
fn feedback_and_sound_go_before_pictures() {
    let mut world = World::new();
    world.join(2, 2);
    let mut session = (*camera(1, 1, [1], 101)).clone();
    let mut sound = video("1");
    sound.kind = MediaKind::Audio;
    sound.codecs = vec![fixture::codec(111, negotiation::CodecFormat::Opus { inband_fec: true })];
    session.sections.push(sound);
    world.command(Command::Apply {
        transport: TransportId(1),
        session: Arc::new(session),
    });
    world.check(1);
    let received = |world: &World| world.notes.lock().unwrap().received.clone();
    let picture = |number: u64| [&[0x80, NUMBERED][..], &number.to_be_bytes(), b"x"].concat();
    let said = [0x80, 111, 9];
    let report = [0x80, 201, 9];
    // Another client makes the turn full; the first is what counts here.
    for number in 0..limits::PACKETS_PER_TURN {
        world.plane.handle_datagram(path(2), &picture(number), world.now);
        if number % 900 == 899 {
            world.plane.transports.get_mut(&TransportId(2)).unwrap().allowance = Allowance::default();
        }
    }
    world.notes.lock().unwrap().received.clear();
    for datagram in [&picture(1)[..], &said, &report] {
        world.plane.handle_datagram(path(1), datagram, world.now);
    }
    assert_eq!(received(&world), [("c1".to_owned(), report.to_vec())]);
    assert!(world.plane.has_backlog());
    world.plane.finish_turn(world.now);
    assert_eq!(received(&world).len(), 1, "the turn is full");
    world.plane.finish_turn(world.now);
    let then: Vec<Vec<u8>> = received(&world).drain(1..).map(|(_, datagram)| datagram).collect();
    assert_eq!(then, [said.to_vec(), picture(1)]);
    assert!(!world.plane.has_backlog());
}
