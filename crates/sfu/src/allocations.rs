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

/// The publisher is client 0.
struct World {
    plane: Plane<LinkEngines>,
    socket: Socket,
    clients: Vec<Client>,
    now: Instant,
}

/// The other end of a transport: the same engine, the other way round.
struct Client {
    link: Link,
    socket: UdpSocket,
    sends: Option<SendHandle>,
    connected: bool,
    received: u64,
    sequence: u64,
}

/// The section of the one track, as one end has it.
fn section(receives: bool) -> Section {
    let layer = Layer {
        ssrc: 10,
        rtx: Some(11),
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
        codecs: vec![Codec {
            rtx: Some(97),
            ..codec(96, CodecFormat::Vp8)
        }],
        extensions: vec![(3, Extension::TransportWideCc)],
        receive: receives.then_some(receive),
        send: (!receives).then_some(send),
        ..video("0")
    }
}

fn agreed(id: u64, role: DtlsRole, remote: Fingerprint, receives: bool) -> Arc<NegotiatedSession> {
    Arc::new(NegotiatedSession {
        dtls_role: role,
        remote_fingerprint: remote,
        ..session(id, 1, vec![section(receives)])
    })
}

impl World {
    fn new() -> Self {
        let (ours, theirs) = (LinkEngines::new().unwrap(), LinkEngines::new().unwrap());
        let (our_fingerprint, now) = (ours.fingerprint(), Instant::now());
        let bound = Bound::new(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let (address, socket) = (bound.local_addr(), Socket::new(bound));
        let mut plane = Plane::new(ours, |_| {}, now);
        let client = |id: u64| {
            let session = agreed(id, DtlsRole::Server, theirs.fingerprint(), id == 0);
            let transport = TransportId(id);
            plane.handle_command(Command::Apply { transport, session }, now);
            if id > 0 {
                let route = Route {
                    source: TransportId(0),
                    source_id: "cam".into(),
                    id: "seen".into(),
                    media: RouteMedia::Rtp(MediaKind::Video),
                };
                let routes = vec![route];
                plane.handle_command(Command::Subscribe { transport, routes }, now);
            }
            let session = agreed(id, DtlsRole::Client, our_fingerprint.clone(), id > 0);
            let mut link = theirs.create(&session, now).unwrap();
            let bindings = link.apply(&session, now).unwrap();
            let client = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            client.set_nonblocking(true).unwrap();
            client.connect(address).unwrap();
            client.send(&check(id)).unwrap();
            link.start(now).unwrap();
            Client {
                link,
                socket: client,
                sends: bindings.sends.first().map(|send| send.stream),
                connected: false,
                received: 0,
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
        let packet = SendPacket {
            payload_type: 96,
            sequence: self.sequence,
            timestamp: self.sequence as u32,
            marker,
            extensions: HeaderExtensions::default(),
            captured: now,
            repairable: true,
            rounded: false,
            vp8: None,
            payload: vec![0x90; 1000].into(),
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
                Output::Packet(_) => self.received += 1,
                _ => {}
            }
        }
    }
}

#[test]
fn a_packet_costs_no_allocation() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(counted.count_total, 1, "the allocator counts");
    let mut world = World::new();
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
    assert_eq!(taken, 0, "memory was taken so often");
}
