//! One engine, one client and the wire between them, in simulated time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use negotiation::{DtlsRole, Fingerprint, Layer, MediaKind};
use testkit::media::{Far, Heard, Identity, Order, Scripted, SessionBuilder, Video, opus, vp8};

use super::super::{
    Bindings, ChannelHandle, Engine, EngineError, Engines, HeaderExtensions, Output, Packet, Polled, Received,
    RecvHandle, SendHandle, SendPacket, SenderReport, Sent,
};
use crate::ice::{IceLite, Path};
use crate::stun::BindingRequest;

/// How long anything may take, in simulated time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time on the wire, each way.
const DELAY: Duration = Duration::from_millis(5);

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToClient,
    ToEngine,
}

/// What the wire does with a datagram: how many copies arrive.
type Fate = Box<dyn FnMut(Way, &[u8]) -> usize>;

/// All of it.
pub(super) struct World<E: Engine> {
    pub(super) engine: E,
    pub(super) client: Scripted,
    pub(super) session: SessionBuilder,
    pub(super) heard: Heard,
    pub(super) bindings: Bindings,
    pub(super) now: Instant,
    pub(super) began: Instant,
    pub(super) packets: Vec<Packet>,
    pub(super) reports: Vec<SenderReport>,
    pub(super) keyframes_wanted: Vec<SendHandle>,
    pub(super) channels: Vec<(ChannelHandle, String, super::super::Reliability)>,
    pub(super) messages: Vec<(ChannelHandle, bool, Vec<u8>)>,
    pub(super) closed_channels: Vec<ChannelHandle>,
    pub(super) writable: Vec<ChannelHandle>,
    pub(super) connected: u32,
    pub(super) closed: u32,
    pub(super) undeclared: u32,
    pub(super) failed: Option<EngineError>,
    /// Datagrams that the engine sent, and that the client sent.
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) received: Vec<Vec<u8>>,
    pub(super) fate: Fate,
    ice: IceLite,
    started: bool,
    wire: VecDeque<(Instant, Way, Vec<u8>)>,
    engine_deadline: Instant,
    client_deadline: Instant,
    sequence: u64,
}

impl<E: Engine> World<E> {
    /// An engine and a client that agreed on what `agree` puts into the session.
    pub(super) fn new<F: Engines<Engine = E>>(
        engines: &F,
        role: DtlsRole,
        agree: impl FnOnce(&mut SessionBuilder),
    ) -> Self {
        let identity = Identity::new().unwrap();
        let announced = identity.fingerprint();
        Self::announcing(engines, role, identity, announced, agree)
    }

    /// The same, with a certificate announced that need not be the client's.
    pub(super) fn announcing<F: Engines<Engine = E>>(
        engines: &F,
        role: DtlsRole,
        identity: Identity,
        announced: Fingerprint,
        agree: impl FnOnce(&mut SessionBuilder),
    ) -> Self {
        let now = Instant::now();
        let far = Far {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            fingerprint: engines.fingerprint(),
        };
        let client = Scripted::new(identity, far, client_address()).observing();
        let mut session = SessionBuilder::new("c", announced, role);
        agree(&mut session);
        let first = session.build();
        let engine = engines.create(&first, now).unwrap();
        let mut world = Self {
            engine,
            client,
            session,
            heard: Heard::default(),
            bindings: Bindings::default(),
            now,
            began: now,
            packets: Vec::new(),
            reports: Vec::new(),
            keyframes_wanted: Vec::new(),
            channels: Vec::new(),
            messages: Vec::new(),
            closed_channels: Vec::new(),
            writable: Vec::new(),
            connected: 0,
            closed: 0,
            undeclared: 0,
            failed: None,
            sent: Vec::new(),
            received: Vec::new(),
            fate: Box::new(|_, _| 1),
            ice: IceLite::new(first.local_ice.clone()),
            started: false,
            wire: VecDeque::new(),
            engine_deadline: now,
            client_deadline: now,
            sequence: 1000,
        };
        world.take(&first);
        world
    }

    /// Both ends take the session as it is now.
    pub(super) fn apply(&mut self) {
        let session = self.session.build();
        self.take(&session);
    }

    fn take(&mut self, session: &Arc<negotiation::NegotiatedSession>) {
        self.ice.set_credentials(&session.local_ice);
        match self.engine.apply(session, self.now) {
            Ok(bindings) => self.bindings = bindings,
            Err(error) => self.failed = Some(error),
        }
        self.client.apply(session, self.now, &mut self.heard);
        self.drive();
        self.step_client();
    }

    /// The client publishes pictures: three packets of 500 bytes a frame.
    pub(super) fn publish(&mut self) {
        self.order(Order::Video {
            ssrcs: vec![CAM],
            payload_type: 96,
            video: Video::new(3, 500, 1),
        });
    }

    pub(super) fn order(&mut self, order: Order) {
        self.client.handle_order(order, self.now);
        self.step_client();
    }

    /// Lets the engine say all that it has to say.
    pub(super) fn drive(&mut self) {
        while self.failed.is_none() {
            match self.engine.poll() {
                Ok(Polled::Timeout(at)) => {
                    self.engine_deadline = at.max(self.now + Duration::from_millis(1));
                    return;
                }
                Ok(Polled::Output(output)) => self.note(output),
                Err(error) => self.failed = Some(error),
            }
        }
    }

    fn note(&mut self, output: Output) {
        match output {
            Output::Transmit(datagram) => {
                self.sent.push(datagram.clone());
                self.put(Way::ToClient, &datagram);
            }
            Output::Connected => self.connected += 1,
            Output::Packet(packet) => self.packets.push(packet),
            Output::SenderReport(report) => self.reports.push(report),
            Output::KeyframeWanted(stream) => self.keyframes_wanted.push(stream),
            Output::ChannelOpen {
                channel,
                label,
                reliability,
            } => self.channels.push((channel, label, reliability)),
            Output::ChannelMessage {
                channel,
                binary,
                message,
            } => self.messages.push((channel, binary, message)),
            Output::ChannelClosed(channel) => self.closed_channels.push(channel),
            Output::ChannelWritable(channel) => self.writable.push(channel),
            Output::Closed => self.closed += 1,
        }
    }

    /// Puts a datagram onto the wire.
    pub(super) fn put(&mut self, way: Way, datagram: &[u8]) {
        for _ in 0..(self.fate)(way, datagram) {
            self.wire.push_back((self.now + DELAY, way, datagram.to_vec()));
        }
    }

    fn step_client(&mut self) {
        let mut sent = Vec::new();
        self.client_deadline = self
            .client
            .step(self.now, &mut self.heard, |datagram| sent.push(datagram.to_vec()));
        for datagram in sent {
            self.received.push(datagram.clone());
            self.put(Way::ToEngine, &datagram);
        }
    }

    /// Gives the engine a datagram of the client's.
    pub(super) fn deliver(&mut self, datagram: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if datagram.first().is_some_and(|byte| *byte < 4) {
            return self.check(datagram);
        }
        match self.engine.receive(datagram, self.now) {
            Ok(Received::Taken) => {}
            Ok(Received::Undeclared) => self.undeclared += 1,
            Err(error) => self.failed = Some(error),
        }
        self.drive();
    }

    fn check(&mut self, datagram: &[u8]) {
        let Some(request) = BindingRequest::parse(datagram) else {
            return;
        };
        let path = Path {
            remote: client_address(),
            local: None,
        };
        if let Some(checked) = self.ice.handle_check(&request, path, self.now) {
            self.put(Way::ToClient, &checked.response);
            if !std::mem::replace(&mut self.started, true)
                && let Err(error) = self.engine.start(self.now)
            {
                self.failed = Some(error);
            }
            self.drive();
        }
    }

    /// Goes on to the next thing that happens.
    pub(super) fn step(&mut self) {
        let arrival = self.wire.front().map(|(at, ..)| *at);
        let timers = self.engine_deadline.min(self.client_deadline);
        let next = arrival.map_or(timers, |at| at.min(timers));
        // No faster than a worker's own rest, whatever the timers say.
        self.now = next.clamp(
            self.now + Duration::from_micros(100),
            self.now + Duration::from_millis(100),
        );
        while let Some((_, way, datagram)) = self.wire.pop_front_if(|(at, ..)| *at <= self.now) {
            match way {
                Way::ToEngine => self.deliver(&datagram),
                Way::ToClient => {
                    self.client.receive(&datagram, self.now, &mut self.heard);
                    self.step_client();
                }
            }
        }
        if self.engine_deadline <= self.now && self.failed.is_none() {
            self.handle_timeout();
        }
        if self.client_deadline <= self.now {
            self.step_client();
        }
    }

    /// Time passed for the engine, or it was given packets or messages.
    pub(super) fn handle_timeout(&mut self) {
        if let Err(error) = self.engine.handle_timeout(self.now) {
            self.failed = Some(error);
        }
        self.drive();
    }

    /// Goes on until something is so; false if it never is.
    #[must_use]
    pub(super) fn until(&mut self, mut so: impl FnMut(&mut Self) -> bool) -> bool {
        let deadline = self.now + PATIENCE;
        while self.now < deadline {
            if so(self) {
                return true;
            }
            self.step();
        }
        so(self)
    }

    pub(super) fn run(&mut self, time: Duration) {
        let deadline = self.now + time;
        while self.now < deadline {
            self.step();
        }
    }

    /// Until DTLS is up at both ends.
    pub(super) fn connect(&mut self) {
        assert!(
            self.until(|world| world.connected > 0 && world.heard.connected),
            "{:?} {:?}",
            self.failed,
            self.heard.failed
        );
    }

    /// Sends packets to the client, one frame each, 10 ms apart; returns their first sequence number.
    pub(super) fn send(&mut self, stream: SendHandle, payload_type: u8, count: u64) -> u64 {
        let first = self.sequence;
        for _ in 0..count {
            let packet = self.packet(payload_type);
            assert!(self.give(stream, &packet));
            self.handle_timeout();
            self.run(Duration::from_millis(10));
        }
        first
    }

    /// Gives the engine a packet to be sent; whether it takes it.
    pub(super) fn give(&mut self, stream: SendHandle, packet: &SendPacket) -> bool {
        let mut room = [0; 2048];
        let sent = self.engine.send(stream, packet, self.now, &mut room);
        if let Sent::Written(length) = sent {
            self.sent.push(room[..length].to_vec());
            self.put(Way::ToClient, &room[..length]);
        }
        if self.engine.wants_run() {
            self.engine_deadline = self.now;
        }
        sent != Sent::Refused
    }

    /// The next packet, whose payload has its number.
    pub(super) fn packet(&mut self, payload_type: u8) -> SendPacket {
        let sequence = self.sequence;
        self.sequence += 1;
        let mut payload = vec![0x90, 0x80, (sequence >> 8) as u8 & 0x7f, 0, 0, 0, 0, 0, 0, 0];
        payload.extend_from_slice(&sequence.to_be_bytes());
        payload.resize(600, sequence as u8);
        SendPacket {
            payload_type,
            sequence,
            timestamp: (sequence * 900) as u32,
            marker: true,
            extensions: HeaderExtensions::default(),
            captured: self.now,
            repairable: true,
            rounded: false,
            vp8: None,
            payload: payload.into(),
        }
    }

    /// The stream of the `index`th track sent.
    pub(super) fn stream(&self, index: usize) -> SendHandle {
        self.bindings.sends[index].stream
    }

    /// The only layer of the `index`th track received.
    pub(super) fn layer(&self, index: usize) -> RecvHandle {
        self.bindings.receives[index].layers[0]
    }

    pub(super) fn sequences(&self, stream: RecvHandle) -> Vec<u64> {
        let of_stream = self.packets.iter().filter(|packet| packet.stream == stream);
        of_stream.map(|packet| packet.sequence).collect()
    }
}

fn client_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 2))
}

/// Whether a datagram is RTP, of this stream.
pub(super) fn is_rtp_of(datagram: &[u8], ssrc: u32) -> bool {
    super::super::rtc::rtp_identity(datagram).is_some_and(|(of, _)| of == ssrc)
}

pub(super) const MIC: u32 = 100;
pub(super) const CAM: u32 = 200;
pub(super) const HEARD: u32 = 300;
pub(super) const SEEN: u32 = 400;

pub(super) fn plain(ssrc: u32) -> Layer {
    Layer { ssrc, rtx: None }
}

/// A layer whose retransmissions have the next number.
pub(super) fn repaired(ssrc: u32) -> Layer {
    Layer {
        ssrc,
        rtx: Some(ssrc + 1),
    }
}

/// Microphone and camera both ways, with RTX.
pub(super) fn both_ways(session: &mut SessionBuilder) {
    session
        .section("0", MediaKind::Audio, vec![opus(111)])
        .section("1", MediaKind::Video, vec![vp8(96, Some(97))])
        .receive("0", "mic", &[plain(MIC)])
        .receive("1", "cam", &[repaired(CAM)])
        .send("0", "heard", plain(HEARD))
        .send("1", "seen", repaired(SEEN));
}
