//! In steady state a packet costs no heap allocation: taken off the socket, opened, accounted for, rewritten, sealed for each
//! receiver, sent; nor does what receivers tell of it. Reports and requests of our own, so many a second, are not counted.

#![allow(clippy::unwrap_used)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use negotiation::{
    Codec, CodecFormat, DtlsRole, Extension, Fingerprint, Layer, MediaKind, NegotiatedSession, Receive, Section, Send,
};

use crate::engine::{Engine, Engines, HeaderExtensions, LinkEngines, Output, Polled, SendHandle, SendPacket, Sent};
use crate::fixture::{check, codec, session, video};
use crate::plane::Plane;
use crate::udp::{Bound, Socket};
use crate::{Command, Route, RouteMedia, TransportId};

type Link = <LinkEngines as Engines>::Engine;

const WATCHERS: u64 = 6;
const PACKETS_PER_FRAME: u64 = 5;

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    Pictures,
    /// In RED (RFC 2198); every second receiver takes Opus alone, and gets the block out of it.
    Sound,
}

/// The publisher is client 0.
struct World {
    plane: Plane<LinkEngines>,
    socket: Socket,
    clients: Vec<Client>,
    now: Instant,
}

/// The other end of a transport: the same engine, the other way round.
struct Client {
    media: Media,
    link: Link,
    socket: UdpSocket,
    sends: Option<SendHandle>,
    connected: bool,
    received: u64,
    /// Payload types that came, a bit each.
    formats: u128,
    sequence: u64,
}

/// The section of the one track of client `id`, as one end has it.
fn section(media: Media, id: u64, receives: bool) -> Section {
    let layer = Layer {
        ssrc: 10,
        rtx: (media == Media::Pictures).then_some(11),
    };
    let opus = || Codec {
        clock_rate: 48_000,
        ..codec(111, CodecFormat::Opus { inband_fec: true })
    };
    let red = || Codec {
        clock_rate: 48_000,
        ..codec(63, CodecFormat::Red { of: 111 })
    };
    let (kind, codecs) = match media {
        Media::Pictures => {
            let vp8 = Codec {
                rtx: Some(97),
                ..codec(96, CodecFormat::Vp8)
            };
            (MediaKind::Video, vec![vp8])
        }
        Media::Sound if id % 2 == 1 => (MediaKind::Audio, vec![opus()]),
        Media::Sound => (MediaKind::Audio, vec![red(), opus()]),
    };
    let receive = Receive {
        track_id: "cam".into(),
        layers: vec![layer],
    };
    let send = Send {
        track_id: "seen".into(),
        stream_id: "s".into(),
        cname: "c".into(),
        layer,
    };
    Section {
        kind,
        codecs,
        extensions: vec![(3, Extension::TransportWideCc)],
        receive: receives.then_some(receive),
        send: (!receives).then_some(send),
        ..video("0")
    }
}

fn agreed(media: Media, id: u64, role: DtlsRole, remote: Fingerprint, receives: bool) -> Arc<NegotiatedSession> {
    Arc::new(NegotiatedSession {
        dtls_role: role,
        remote_fingerprint: remote,
        ..session(id, 1, vec![section(media, id, receives)])
    })
}

impl World {
    fn new(media: Media) -> Self {
        let (ours, theirs) = (LinkEngines::new().unwrap(), LinkEngines::new().unwrap());
        let (our_fingerprint, now) = (ours.fingerprint(), Instant::now());
        let bound = Bound::new(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let (address, socket) = (bound.local_addr(), Socket::new(bound));
        let mut plane = Plane::new(ours, |_| {}, now);
        let client = |id: u64| {
            let session = agreed(media, id, DtlsRole::Server, theirs.fingerprint(), id == 0);
            let transport = TransportId(id);
            plane.handle_command(Command::Apply { transport, session }, now);
            if id > 0 {
                let route = Route {
                    source: TransportId(0),
                    source_id: "cam".into(),
                    id: "seen".into(),
                    media: RouteMedia::Rtp(match media {
                        Media::Pictures => MediaKind::Video,
                        Media::Sound => MediaKind::Audio,
                    }),
                };
                let routes = vec![route];
                plane.handle_command(Command::Subscribe { transport, routes }, now);
            }
            let session = agreed(media, id, DtlsRole::Client, our_fingerprint.clone(), id > 0);
            let mut link = theirs.create(&session, now).unwrap();
            let bindings = link.apply(&session, now).unwrap();
            let client = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            client.set_nonblocking(true).unwrap();
            client.connect(address).unwrap();
            client.send(&check(id)).unwrap();
            link.start(now).unwrap();
            Client {
                media,
                link,
                socket: client,
                sends: bindings.sends.first().map(|send| send.stream),
                connected: false,
                received: 0,
                formats: 0,
                sequence: 65_000,
            }
        };
        let clients = (0..=WATCHERS).map(client).collect();
        Self {
            plane,
            socket,
            clients,
            now,
        }
    }

    /// What arrived is forwarded; how often memory was taken for it.
    fn forward(&mut self) -> u64 {
        let counted = allocation_counter::measure(|| {
            self.socket.receiver.receive().unwrap();
            for (path, datagram) in self.socket.receiver.datagrams() {
                self.plane.handle_datagram(path, datagram, self.now);
            }
            self.plane.send_run();
            let flushed = self.socket.sender.flush(&mut self.plane.outgoing);
            self.plane.handle_flushed(flushed);
        });
        self.plane.finish_turn(self.now);
        self.socket.sender.flush(&mut self.plane.outgoing);
        counted.count_total
    }

    /// A frame goes to all, and what they tell of it comes back; how often memory was taken.
    fn frame(&mut self) -> u64 {
        self.now += Duration::from_millis(33);
        for number in 1..=PACKETS_PER_FRAME {
            self.clients[0].send(number == PACKETS_PER_FRAME, self.now);
        }
        let forwarding = self.forward();
        self.clients.iter_mut().for_each(|client| client.run(self.now));
        forwarding + self.forward()
    }

    fn received(&self) -> u64 {
        self.clients.iter().map(|client| client.received).sum()
    }
}

impl Client {
    fn send(&mut self, marker: bool, now: Instant) {
        self.sequence += 1;
        let (payload_type, payload) = match self.media {
            Media::Pictures => (96, vec![0x90; 1000]),
            // An earlier block of 40 bytes, 960 ticks old, and the new one.
            Media::Sound => (63, [&[0x80 | 111, 0x0f, 0, 40, 111][..], &[7; 120]].concat()),
        };
        let packet = SendPacket {
            payload_type,
            sequence: self.sequence,
            timestamp: self.sequence as u32,
            marker,
            extensions: HeaderExtensions::default(),
            captured: now,
            repairable: self.media == Media::Pictures,
            rounded: false,
            vp8: None,
            payload: payload.into(),
        };
        let mut room = [0; 2048];
        let Sent::Written(length) = self.link.send(self.sends.unwrap(), &packet, now, &mut room) else {
            panic!("not sent");
        };
        self.socket.send(&room[..length]).unwrap();
    }

    fn run(&mut self, now: Instant) {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.link.receive(&buffer[..length], now).unwrap();
            self.poll();
        }
        self.link.handle_timeout(now).unwrap();
        self.poll();
    }

    fn poll(&mut self) {
        while let Polled::Output(output) = self.link.poll().unwrap() {
            match output {
                Output::Transmit(datagram) => {
                    self.socket.send(&datagram).unwrap();
                }
                Output::Connected => self.connected = true,
                Output::Packet(packet) => {
                    self.received += 1;
                    let length = match (self.media, packet.payload_type) {
                        (Media::Pictures, _) => 1000,
                        (Media::Sound, 111) => 80,
                        (Media::Sound, _) => 125,
                    };
                    assert_eq!(packet.payload.len(), length);
                    self.formats |= 1_u128 << packet.payload_type;
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_packet_costs_no_allocation() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(counted.count_total, 1, "the allocator counts");
    for media in [Media::Pictures, Media::Sound] {
        costs_nothing(media);
    }
}

fn costs_nothing(media: Media) {
    let mut world = World::new(media);
    for _ in 0..100 {
        world.forward();
        world.now += Duration::from_millis(10);
        world.clients.iter_mut().for_each(|client| client.run(world.now));
    }
    assert!(world.clients.iter().all(|client| client.connected));
    // Rings and tables grow to what they need, the slowest by one report a second; the numbers of packets wrap meanwhile.
    for _ in 0..450 {
        world.frame();
    }
    let received = world.received();
    let taken: u64 = (0..200).map(|_| world.frame()).sum();
    assert_eq!(world.received() - received, 200 * PACKETS_PER_FRAME * WATCHERS);
    assert_eq!(taken, 0, "memory was taken so often for {media:?}");
    let formats = |number: usize| world.clients[number].formats;
    let expected = match media {
        Media::Pictures => [1 << 96, 1 << 96],
        Media::Sound => [1 << 111, 1 << 63],
    };
    assert_eq!([formats(1), formats(2)], expected);
}
