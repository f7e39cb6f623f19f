//! The plane over an engine that is only a notebook: routes, failures and bounds without a network.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use negotiation::{Fingerprint, MediaKind, NegotiatedSession};

use super::Plane;
use crate::engine::{
    Bindings, ChannelHandle, Delivery, Engine, EngineError, Engines, HeaderExtensions, Output, Packet, Polled,
    Received, RecvHandle, Reliability, SendHandle, SendPacket, Sent, Written,
};
use crate::fixture::{camera, path};
use crate::transport::Phase;
use crate::{Command, Event, LostReason, Route, RouteMedia, TransportId, fixture, limits};

mod overload;

/// On this stream a packet of stream 1 has its sequence number in eight bytes.
const NUMBERED: u8 = 255;

/// What all notebooks of a test have written.
#[derive(Debug, Default)]
struct Notes {
    sent: Vec<(String, SendHandle, SendPacket)>,
    keyframes: Vec<(String, RecvHandle)>,
    received: Vec<(String, Vec<u8>)>,
    moved: Vec<String>,
}

struct Notebooks(Arc<Mutex<Notes>>);

struct Notebook {
    name: String,
    notes: Arc<Mutex<Notes>>,
    outputs: Vec<Output>,
    now: Instant,
}

impl Engines for Notebooks {
    type Engine = Notebook;

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint([0; 32])
    }

    fn create(&self, session: &NegotiatedSession, now: Instant) -> Result<Notebook, EngineError> {
        let name = session.remote_ice.ufrag.clone();
        Ok(Notebook {
            name,
            notes: self.0.clone(),
            outputs: Vec::new(),
            now,
        })
    }
}

impl Engine for Notebook {
    fn apply(&mut self, session: &Arc<NegotiatedSession>, _: Instant) -> Result<Bindings, EngineError> {
        Ok(fixture::bindings(session))
    }

    fn start(&mut self, _: Instant) -> Result<(), EngineError> {
        self.outputs.push(Output::Connected);
        Ok(())
    }

    /// On stream 0 `!` panics, `?` fails, `B` says good-bye, `C` opens a channel and `M` is a message on
    /// it of as many bytes as follow tells; the rest is an RTP packet.
    fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<Received, EngineError> {
        self.now = now;
        self.notes
            .lock()
            .unwrap()
            .received
            .push((self.name.clone(), datagram.to_vec()));
        match (datagram.get(1), datagram.get(2)) {
            (Some(0), Some(b'!')) => panic!("as an engine may"),
            (Some(0), Some(b'?')) => return Err(EngineError::Failed("told to".into())),
            (Some(0), Some(b'B')) => self.outputs.push(Output::Closed),
            (Some(0), Some(b'C')) => self.outputs.push(Output::ChannelOpen {
                channel: ChannelHandle(7),
                label: "cam".into(),
                reliability: Reliability {
                    ordered: true,
                    limit: Delivery::Reliable,
                    protocol: String::new(),
                },
            }),
            (Some(0), Some(b'M')) => {
                let bytes = datagram[3..7].try_into().map(u32::from_be_bytes).unwrap();
                self.outputs.push(Output::ChannelMessage {
                    channel: ChannelHandle(7),
                    binary: true,
                    message: vec![0; bytes as usize],
                });
            }
            (Some(&NUMBERED), _) => self.outputs.push(Output::Packet(Packet {
                stream: RecvHandle(1),
                payload_type: 96,
                sequence: datagram[2..10].try_into().map(u64::from_be_bytes).unwrap(),
                timestamp: 0,
                marker: true,
                extensions: HeaderExtensions::default(),
                arrival: now,
                payload: datagram[10..].to_vec().into(),
            })),
            (Some(stream), Some(sequence)) => self.outputs.push(Output::Packet(Packet {
                stream: RecvHandle(u32::from(*stream)),
                payload_type: 96,
                sequence: 1000 + u64::from(*sequence),
                timestamp: 3000 * u32::from(*sequence),
                marker: true,
                extensions: HeaderExtensions::default(),
                arrival: now,
                payload: datagram[3..].to_vec().into(),
            })),
            _ => {}
        }
        Ok(Received::Taken)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), EngineError> {
        self.now = now;
        Ok(())
    }

    fn poll(&mut self) -> Result<Polled, EngineError> {
        Ok(match self.outputs.is_empty() {
            true => Polled::Timeout(self.now + Duration::from_secs(3600)),
            false => Polled::Output(self.outputs.remove(0)),
        })
    }

    fn send(&mut self, stream: SendHandle, packet: &SendPacket, _: Instant, _: &mut [u8]) -> Sent {
        assert!(!packet.payload.starts_with(b"poison"), "as an engine may");
        self.notes
            .lock()
            .unwrap()
            .sent
            .push((self.name.clone(), stream, packet.clone()));
        Sent::Queued
    }

    fn wants_run(&self) -> bool {
        true
    }

    fn request_keyframe(&mut self, stream: RecvHandle) {
        self.notes.lock().unwrap().keyframes.push((self.name.clone(), stream));
    }

    fn path_changed(&mut self) {
        self.notes.lock().unwrap().moved.push(self.name.clone());
    }

    fn open_channel(&mut self, _: &str, _: Reliability) -> ChannelHandle {
        ChannelHandle(0)
    }

    fn write_channel(&mut self, _: ChannelHandle, _: bool, _: &[u8]) -> Written {
        Written::Closed
    }

    fn close_channel(&mut self, _: ChannelHandle) {}

    fn close(&mut self, _: Instant) -> Result<(), EngineError> {
        self.outputs.push(Output::Transmit(b"bye".to_vec()));
        Ok(())
    }
}

struct World {
    plane: Plane<Notebooks>,
    notes: Arc<Mutex<Notes>>,
    events: Arc<Mutex<Vec<Event>>>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let notes = Arc::new(Mutex::new(Notes::default()));
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = events.clone();
        let now = Instant::now();
        let plane = Plane::new(
            Notebooks(notes.clone()),
            move |event| seen.lock().unwrap().push(event),
            now,
        );
        Self {
            plane,
            notes,
            events,
            now,
        }
    }

    fn command(&mut self, command: Command) {
        self.plane.handle_command(command, self.now);
        self.plane.finish_turn(self.now);
    }

    fn datagram(&mut self, id: u64, bytes: &[u8]) {
        self.plane.handle_datagram(path(id), bytes, self.now);
        self.plane.finish_turn(self.now);
    }

    fn check(&mut self, id: u64) {
        self.datagram(id, &fixture::check(id));
    }

    /// A transport that publishes `cam` on `ssrc` and may be sent `seen` on `ssrc + 100`.
    fn join(&mut self, id: u64, ssrc: u32) {
        self.apply(id, 1, ssrc, ssrc + 100);
        self.check(id);
    }

    fn apply(&mut self, id: u64, number: u64, ssrc: u32, send: u32) {
        self.command(Command::Apply {
            transport: TransportId(id),
            session: camera(id, number, [ssrc], send),
        });
    }

    fn watch(&mut self, id: u64, source: u64) {
        let media = RouteMedia::Rtp(MediaKind::Video);
        let route = Route {
            source: TransportId(source),
            source_id: "cam".into(),
            id: "seen".into(),
            media,
        };
        self.command(Command::Subscribe {
            transport: TransportId(id),
            routes: vec![route],
        });
    }

    fn sent_to(&self, name: &str) -> Vec<SendPacket> {
        let notes = self.notes.lock().unwrap();
        notes
            .sent
            .iter()
            .filter(|(to, ..)| to == name)
            .map(|(_, _, packet)| packet.clone())
            .collect()
    }

    fn lost(&self, id: u64) -> Option<LostReason> {
        let events = self.events.lock().unwrap();
        events.iter().find_map(|event| match event {
            Event::Lost { transport, reason } if transport.0 == id => Some(reason.clone()),
            _ => None,
        })
    }
}

/// An SRTP-looking datagram that the notebook turns into a packet.
fn media(stream: u8, sequence: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x80, stream, sequence][..], payload].concat()
}

#[test]
fn a_panic_of_one_transport_leaves_the_others_alone() {
    let mut world = World::new();
    for id in 1..=3 {
        world.join(id, id as u32);
    }
    world.watch(2, 1);
    world.watch(3, 1);
    world.datagram(1, &media(1, 1, b"hello"));
    assert_eq!((world.sent_to("c2").len(), world.sent_to("c3").len()), (1, 1));
    world.datagram(2, &media(0, b'!', b""));
    assert!(matches!(world.lost(2), Some(LostReason::Engine(reason)) if reason.contains("panic")));
    world.datagram(1, &media(1, 2, b"hello"));
    assert_eq!((world.sent_to("c2").len(), world.sent_to("c3").len()), (1, 2));
    // A panic while sending, in the middle of a fan-out, too.
    world.datagram(1, &media(1, 3, b"poison"));
    assert!(world.lost(3).is_some());
    assert_eq!(world.lost(1), None);
    assert_eq!(world.plane.transports.len(), 1);
    // Sessions still on their way do not bring a lost transport back; after its end the id is free.
    world.apply(2, 2, 2, 102);
    assert_eq!(world.plane.transports.len(), 1);
    assert_eq!(world.plane.stats.engine_failures, 2);
}

#[test]
fn only_checked_addresses_reach_an_engine() {
    let mut world = World::new();
    world.apply(1, 1, 1, 101);
    world.datagram(1, &[22, 0, 9]);
    world.datagram(1, &media(1, 1, b""));
    assert!(world.notes.lock().unwrap().received.is_empty());
    assert_eq!(world.plane.stats.dropped_unknown_address, 2);
    world.check(1);
    world.datagram(1, &media(1, 1, b""));
    world.datagram(2, &media(1, 1, b""));
    assert_eq!(world.notes.lock().unwrap().received.len(), 1);
}

#[test]
fn routes_hold_in_whichever_order_ends_appear() {
    let mut world = World::new();
    world.watch(2, 1);
    world.join(2, 2);
    world.join(1, 1);
    world.datagram(1, &media(1, 1, b"a"));
    assert_eq!(world.sent_to("c2").len(), 1);
    world.command(Command::Subscribe {
        transport: TransportId(2),
        routes: Vec::new(),
    });
    world.datagram(1, &media(1, 2, b"a"));
    assert_eq!(world.sent_to("c2").len(), 1);
    // The source goes and comes under another id.
    world.watch(2, 3);
    world.join(3, 3);
    world.datagram(3, &media(3, 200, b"a"));
    let sequences: Vec<u64> = world.sent_to("c2").iter().map(|packet| packet.sequence).collect();
    assert_eq!(sequences, [sequences[0], sequences[0] + 1]);
}

#[test]
fn the_first_key_frame_is_asked_for_when_all_is_there() {
    let mut world = World::new();
    world.join(1, 1);
    world.apply(2, 1, 2, 102);
    world.watch(2, 1);
    assert!(
        world.notes.lock().unwrap().keyframes.is_empty(),
        "the subscriber is not connected"
    );
    world.check(2);
    assert_eq!(
        world.notes.lock().unwrap().keyframes,
        [("c1".to_owned(), RecvHandle(1))]
    );
    world.join(3, 3);
    world.watch(3, 1);
    assert_eq!(world.notes.lock().unwrap().keyframes.len(), 1, "merged");
    world.now += limits::KEYFRAME_INTERVAL_MIN;
    world.plane.finish_turn(world.now);
    assert_eq!(world.notes.lock().unwrap().keyframes.len(), 2);
    // A key frame ends the asking.
    world.datagram(1, &media(1, 1, &[0x10, 0, 0]));
    world.now += Duration::from_secs(10);
    world.plane.finish_turn(world.now);
    assert_eq!(world.notes.lock().unwrap().keyframes.len(), 2);
}

#[test]
fn five_hundred_joins_and_leaves_leave_nothing_behind() {
    let mut world = World::new();
    world.join(1, 1);
    for id in 2..502 {
        world.join(id, 50);
        world.watch(id, 1);
        world.watch(1, id);
        world.datagram(1, &media(1, (id % 200) as u8, b"x"));
        assert_eq!(world.sent_to(&format!("c{id}")).len(), 1);
        match id % 3 {
            0 => world.command(Command::Close {
                transport: TransportId(id),
            }),
            1 => world.datagram(id, &media(0, b'B', b"")),
            _ => world.datagram(id, &media(0, b'?', b"")),
        }
        world.command(Command::Close {
            transport: TransportId(id),
        });
        // Routes of one that never gets a session.
        world.watch(10_000 + id, 1);
        world.command(Command::Close {
            transport: TransportId(10_000 + id),
        });
    }
    world.command(Command::Subscribe {
        transport: TransportId(1),
        routes: Vec::new(),
    });
    let plane = &world.plane;
    assert_eq!(
        (
            plane.transports.len(),
            plane.tracks.len(),
            plane.by_address.len(),
            plane.by_ufrag.len()
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(
        (plane.lost.len(), plane.early_routes.len(), plane.handshakes.len()),
        (0, 0, 0)
    );
    assert!(
        plane.listeners.is_empty() && plane.timers.len() <= 1,
        "{:?} {}",
        plane.listeners,
        plane.timers.len()
    );
    assert!(plane.tracks.values().all(|track| track.subscribers.is_empty()));
}

#[test]
fn a_hundred_subscriptions_of_one_stream_never_repeat_a_number() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.join(3, 3);
    for round in 0..100_u8 {
        let source = 1 + u64::from(round % 2);
        world.watch(3, source);
        for sequence in [round, round + 2, round + 1] {
            world.datagram(source, &media(source as u8, sequence, b"x"));
        }
    }
    let mut numbers: HashMap<u64, u32> = HashMap::new();
    for packet in world.sent_to("c3") {
        *numbers.entry(packet.sequence).or_default() += 1;
    }
    assert!(numbers.len() > 200 && numbers.values().all(|count| *count == 1));
}

#[test]
fn old_sessions_are_ignored_and_streams_stay() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.watch(2, 1);
    world.datagram(1, &media(1, 1, b"x"));
    world.apply(1, 3, 1, 101);
    world.apply(1, 2, 77, 101);
    world.datagram(1, &media(1, 2, b"x"));
    let sequences: Vec<u64> = world.sent_to("c2").iter().map(|packet| packet.sequence).collect();
    assert_eq!(sequences, [sequences[0], sequences[0] + 1]);
}

#[test]
fn silence_interrupts_and_a_check_brings_back() {
    let mut world = World::new();
    world.join(1, 1);
    world.now += limits::INTERRUPTED_AFTER + Duration::from_secs(1);
    world.plane.finish_turn(world.now);
    assert_eq!(world.plane.transports[&TransportId(1)].phase, Phase::Interrupted);
    world.check(1);
    let events = world.events.lock().unwrap();
    assert!(matches!(
        events[..],
        [
            Event::Connected { .. },
            Event::Interrupted { .. },
            Event::Connected { .. }
        ]
    ));
}

#[test]
fn who_comes_back_out_of_the_dark_gets_key_frames_before_the_next_check() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.watch(2, 1);
    world.watch(1, 2);
    for id in [1, 2] {
        world.datagram(id, &media(id as u8, 1, &[0x10, 0, 0]));
    }
    let asked = |world: &World| std::mem::take(&mut world.notes.lock().unwrap().keyframes);
    let moved = |world: &World| std::mem::take(&mut world.notes.lock().unwrap().moved);
    let names = |asked: Vec<(String, RecvHandle)>| asked.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    asked(&world);
    moved(&world);
    world.now += limits::OUTAGE;
    world.datagram(1, &media(1, 2, &[0x11, 0, 0]));
    assert!(asked(&world).is_empty() && moved(&world).is_empty(), "a pause");
    world.now += limits::OUTAGE + Duration::from_millis(1);
    world.datagram(1, &media(1, 3, &[0x11, 0, 0]));
    // What it sends, and what it is sent.
    assert_eq!(moved(&world), ["c1"]);
    assert_eq!(names(asked(&world)), ["c1", "c2"]);
    world.datagram(2, &media(2, 2, &[0x10, 0, 0]));
    world.datagram(1, &media(1, 4, &[0x11, 0, 0]));
    // The other was out of reach as well when the key frame of the first came, and does not wait.
    assert_eq!(moved(&world), ["c2"]);
    asked(&world);
    world.now += limits::KEYFRAME_INTERVAL_URGENT;
    world.datagram(1, &media(1, 5, &[0x11, 0, 0]));
    assert!(moved(&world).is_empty());
    world.plane.finish_turn(world.now);
    assert_eq!(names(asked(&world)), ["c1"]);
}

#[test]
fn transports_that_never_connect_are_bounded() {
    let mut world = World::new();
    world.join(1, 1);
    for id in 2..(limits::HANDSHAKES_MAX as u64 + 4) {
        world.now += Duration::from_micros(1);
        world.plane.handle_command(
            Command::Apply {
                transport: TransportId(id),
                session: camera(id, 1, [1], 101),
            },
            world.now,
        );
    }
    assert_eq!(world.plane.transports.len(), limits::HANDSHAKES_MAX + 1);
    assert!(world.lost(2).is_some() && world.lost(3).is_some());
    assert!(world.lost(1).is_none() && world.lost(4).is_none());
}

/// A ClientHello, as far as the plane looks at it.
fn hello(mark: u8) -> Vec<u8> {
    vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, mark]
}

#[test]
fn a_client_hello_that_overtakes_its_check_is_neither_answered_nor_lost() {
    let mut world = World::new();
    world.apply(1, 1, 1, 101);
    world.datagram(1, &hello(7));
    assert!(world.plane.outgoing.is_empty() && world.notes.lock().unwrap().received.is_empty());
    world.check(1);
    let received = world.notes.lock().unwrap().received.clone();
    assert_eq!(
        received,
        [("c1".to_owned(), hello(7))],
        "at once, without another from the client"
    );
    // Of another address nothing is taken.
    world.datagram(3, &hello(8));
    world.apply(2, 1, 2, 102);
    world.check(2);
    assert_eq!(world.notes.lock().unwrap().received.len(), 1);
}

#[test]
fn one_client_does_not_fill_the_queue_of_handshakes() {
    let mut world = World::new();
    for id in 1..=2 {
        world.apply(id, 1, id as u32, 100 + id as u32);
    }
    // The notebook is connected by its first check; these two are put back to where a client is that
    // has passed a check and not sent its hello.
    for id in 1..=2 {
        world.check(id);
        let since = world.now;
        world.plane.transports.get_mut(&TransportId(id)).unwrap().phase = Phase::Handshaking { since };
    }
    for mark in 0..200 {
        world.plane.handle_datagram(path(1), &hello(mark), world.now);
    }
    assert_eq!(world.plane.handshakes.len(), limits::HANDSHAKE_DATAGRAMS_PER_TRANSPORT);
    world.plane.handle_datagram(path(2), &hello(1), world.now);
    let mut turns = 0;
    while world.plane.has_backlog() {
        let before = world.notes.lock().unwrap().received.len();
        world.plane.finish_turn(world.now);
        let handled = world.notes.lock().unwrap().received.len() - before;
        assert!(handled <= limits::HANDSHAKE_DATAGRAMS_PER_TURN);
        turns += 1;
    }
    assert_eq!(
        turns,
        (limits::HANDSHAKE_DATAGRAMS_PER_TRANSPORT + 1).div_ceil(limits::HANDSHAKE_DATAGRAMS_PER_TURN)
    );
    assert!(
        world
            .notes
            .lock()
            .unwrap()
            .received
            .contains(&("c2".to_owned(), hello(1)))
    );
    assert_eq!(
        world.plane.stats.dropped_handshake,
        200 - limits::HANDSHAKE_DATAGRAMS_PER_TRANSPORT as u64
    );
    assert!(
        world
            .plane
            .transports
            .values()
            .all(|transport| transport.waiting_handshakes == 0)
    );
}

#[test]
fn the_queue_of_handshakes_is_bounded() {
    let mut world = World::new();
    let clients = (limits::HANDSHAKE_QUEUE_MAX / limits::HANDSHAKE_DATAGRAMS_PER_TRANSPORT + 2) as u64;
    for id in 1..=clients {
        world.apply(id, 1, 1, 101);
        world.check(id);
    }
    let since = world.now;
    for transport in world.plane.transports.values_mut() {
        transport.phase = Phase::Handshaking { since };
    }
    for id in 1..=clients {
        for mark in 0..100 {
            world.plane.handle_datagram(path(id), &hello(mark), world.now);
        }
    }
    assert_eq!(world.plane.handshakes.len(), limits::HANDSHAKE_QUEUE_MAX);
}

#[test]
fn an_address_in_use_is_not_given_away() {
    let mut world = World::new();
    world.join(1, 1);
    world.apply(2, 1, 2, 102);
    // Client 2 has valid credentials of its own and writes under the address of client 1.
    let check = fixture::check(2);
    world.plane.handle_datagram(path(1), &check, world.now);
    world.plane.finish_turn(world.now);
    world.datagram(1, &media(1, 1, b"x"));
    let received = world.notes.lock().unwrap().received.clone();
    assert_eq!(received.last(), Some(&("c1".to_owned(), media(1, 1, b"x"))));
    assert_eq!(world.plane.stats.dropped_check, 1);
    // An address that fell silent may be another's: a network hands them out again.
    world.now += limits::CHECK_GAP;
    world.plane.handle_datagram(path(1), &check, world.now);
    world.datagram(1, &media(2, 2, b"x"));
    let received = world.notes.lock().unwrap().received.clone();
    assert_eq!(received.last(), Some(&("c2".to_owned(), media(2, 2, b"x"))));
}

#[test]
fn a_flood_of_one_client_is_dropped_and_the_others_are_read() {
    let mut world = World::new();
    for id in 1..=2 {
        world.join(id, id as u32);
    }
    let before = world.notes.lock().unwrap().received.len();
    for sequence in 0..5 * limits::DATAGRAMS_PER_TICK {
        world
            .plane
            .handle_datagram(path(1), &media(1, sequence as u8, b"x"), world.now);
    }
    world.plane.handle_datagram(path(2), &media(2, 1, b"x"), world.now);
    let taken = world.notes.lock().unwrap().received.len() - before;
    assert_eq!(taken, limits::DATAGRAMS_PER_TICK as usize + 1);
    assert_eq!(
        world.plane.stats.dropped_flood,
        u64::from(4 * limits::DATAGRAMS_PER_TICK)
    );
    world.now += Duration::from_millis(100);
    world.plane.finish_turn(world.now);
    world.plane.handle_datagram(path(1), &media(1, 1, b"x"), world.now);
    assert_eq!(
        world.notes.lock().unwrap().received.len() - before,
        taken + 1,
        "the next tick"
    );
}

#[test]
fn a_subscriber_that_always_asks_costs_a_key_frame_now_and_then() {
    let mut world = World::new();
    for id in 1..=2 {
        world.join(id, id as u32);
    }
    world.watch(2, 1);
    let before = world.notes.lock().unwrap().keyframes.len();
    // The publisher answers every request at once; the subscriber asks on, twenty times a second.
    for step in 0..1200_u32 {
        world.now += Duration::from_millis(50);
        let asked = world.notes.lock().unwrap().keyframes.len();
        world
            .plane
            .handle_keyframe_wanted(TransportId(2), SendHandle(102), world.now);
        world.plane.finish_turn(world.now);
        if world.notes.lock().unwrap().keyframes.len() > asked {
            world.datagram(1, &media(1, step as u8, &[0x10, 0, 0]));
        }
        world.check(1);
        world.check(2);
    }
    let asked = world.notes.lock().unwrap().keyframes.len() - before;
    let most = limits::KEYFRAME_DEMANDS_MAX + 60_000 / limits::KEYFRAME_DEMAND_INTERVAL.as_millis() as u32 + 2;
    assert!((20..=most as usize).contains(&asked), "{asked} key frames in a minute");
    assert!(world.plane.stats.dropped_keyframe_demands > 1000);
}

#[test]
fn a_handshake_that_takes_too_long_ends() {
    let mut world = World::new();
    world.join(1, 1);
    let since = world.now;
    world.plane.transports.get_mut(&TransportId(1)).unwrap().phase = Phase::Handshaking { since };
    world.now += limits::HANDSHAKE_TIME_MAX;
    world.plane.finish_turn(world.now);
    assert_eq!(world.lost(1), None);
    world.now += Duration::from_millis(200);
    world.plane.finish_turn(world.now);
    assert_eq!(world.lost(1), Some(LostReason::Dtls));
}

#[test]
fn messages_over_the_bound_are_dropped() {
    let mut world = World::new();
    world.join(1, 1);
    world.datagram(1, &media(0, b'C', b""));
    // Nobody listens, so only what is refused counts as dropped.
    let mut dropped = |bytes: usize| {
        world.datagram(1, &media(0, b'M', &(bytes as u32).to_be_bytes()));
        std::mem::take(&mut world.plane.stats.dropped_messages)
    };
    assert_eq!(dropped(limits::MESSAGE_BYTES_MAX), 0);
    assert_eq!(dropped(limits::MESSAGE_BYTES_MAX + 1), 1);
    assert_eq!(dropped(1 << 26), 1);
}
