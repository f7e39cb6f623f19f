//! One peer with its socket, its network and its streams, as an engine's thread holds it.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use str0m::media::KeyframeRequest;
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpPacket;
use str0m::{Event, Input, Output};

use crate::engine::Tally;
use crate::link::{Conditions, Link, splitmix};
use crate::peer::Peer;
use crate::source::Source;
use crate::stamp::{Clock, Stamp};
use crate::stream::Stream;

/// Longest sleep of a peer; a bound for what an engine forgets to ask for.
const IDLE_MAX: Duration = Duration::from_millis(500);

/// The times at which publishers begin are spread over this, µs.
const FRAME_US: u64 = 33_333;

/// A number is given upper bits, so that earlier ones have a place below the first.
const NUMBERS: u64 = 1 << 16;

/// A peer and all that is its own.
pub(crate) struct Slot {
    pub(crate) socket: UdpSocket,
    peer: Peer,
    local: SocketAddr,
    far: SocketAddr,
    room: u32,
    publisher: u32,
    /// Media is not decrypted.
    only_counts: bool,
    network: Option<Network>,
    sources: Vec<Source>,
    silent: bool,
    streams: HashMap<u32, Stream>,
    /// When it has to be looked at next.
    pub(crate) deadline: Instant,
    /// For when it stands in the engine's table of times.
    pub(crate) scheduled: Option<Instant>,
}

/// The two directions of a relayed path.
struct Network {
    up: Link<Vec<u8>>,
    down: Link<Vec<u8>>,
}

/// What a slot is made of.
pub(crate) struct Parts {
    pub(crate) socket: UdpSocket,
    pub(crate) peer: Peer,
    pub(crate) far: SocketAddr,
    pub(crate) room: u32,
    pub(crate) publisher: u32,
    pub(crate) only_counts: bool,
    pub(crate) conditions: Option<(Conditions, Option<u64>)>,
    pub(crate) sources: Vec<Source>,
}

impl Slot {
    pub(crate) fn new(parts: Parts, now: Instant) -> io::Result<Self> {
        Ok(Self {
            local: parts.socket.local_addr()?,
            socket: parts.socket,
            peer: parts.peer,
            far: parts.far,
            room: parts.room,
            publisher: parts.publisher,
            only_counts: parts.only_counts,
            network: parts
                .conditions
                .map(|(conditions, rate)| Network::new(conditions, rate)),
            sources: parts.sources,
            silent: false,
            streams: HashMap::new(),
            deadline: now,
            scheduled: None,
        })
    }

    pub(crate) fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// A relayed path holds datagrams that are not in the engine's time.
    pub(crate) fn has_network(&self) -> bool {
        self.network.is_some()
    }

    /// Sends media, or no more.
    pub(crate) fn play(&mut self, playing: bool) {
        self.silent = !playing;
        self.start_sources();
    }

    pub(crate) fn mark(&mut self) {
        self.streams.values_mut().for_each(Stream::mark);
    }

    pub(crate) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.streams.values()
    }

    /// Takes a datagram off the socket.
    pub(crate) fn receive(&mut self, datagram: &[u8], tally: &mut Tally, clock: &Clock) -> Result<(), String> {
        match &mut self.network {
            Some(network) => {
                network.down.send(datagram.to_vec(), datagram.len(), Instant::now());
                Ok(())
            }
            None => self.feed(datagram, tally, clock),
        }
    }

    /// Does what is due by now.
    pub(crate) fn step(&mut self, tally: &mut Tally, clock: &Clock) -> Result<(), String> {
        let now = Instant::now();
        while let Some(datagram) = self.network.as_mut().and_then(|network| network.down.arrived(now)) {
            self.feed(&datagram, tally, clock)?;
        }
        self.engine_time(now)?;
        self.drain(tally, clock)?;
        if self.play_due(now, tally, clock) {
            self.engine_time(now)?;
            self.drain(tally, clock)?;
        }
        while let Some(datagram) = self.network.as_mut().and_then(|network| network.up.arrived(now)) {
            self.transmit(&datagram, tally);
        }
        Ok(())
    }

    /// When there is something to do next, the engine's own time being `engine`.
    fn next(&self, engine: Instant) -> Instant {
        let links = self
            .network
            .iter()
            .flat_map(|network| [network.up.next(), network.down.next()]);
        let playing = self.peer.is_connected() && !self.silent;
        let sources = self.sources.iter().filter(|_| playing).map(|source| source.next);
        let all = links.flatten().chain(sources).min();
        all.map_or(engine, |next| next.min(engine))
    }

    fn feed(&mut self, datagram: &[u8], tally: &mut Tally, clock: &Clock) -> Result<(), String> {
        if self.only_counts
            && let Some((ssrc, number)) = rtp_header(datagram)
        {
            self.count(ssrc, number);
            return Ok(());
        }
        // What is neither STUN, DTLS nor SRTP is nobody's.
        let Ok(receive) = Receive::new(Protocol::Udp, self.far, self.local, datagram) else {
            return Ok(());
        };
        let input = Input::Receive(Instant::now(), receive);
        self.peer.rtc().handle_input(input).map_err(|error| error.to_string())?;
        self.drain(tally, clock)
    }

    fn engine_time(&mut self, now: Instant) -> Result<(), String> {
        let input = Input::Timeout(now);
        self.peer.rtc().handle_input(input).map_err(|error| error.to_string())
    }

    /// Sends the frames that are due; says whether there were any.
    fn play_due(&mut self, now: Instant, tally: &mut Tally, clock: &Clock) -> bool {
        if !self.peer.is_connected() || self.silent {
            return false;
        }
        let mut played = false;
        for source in &mut self.sources {
            while source.next <= now {
                tally.late.record(now - source.next);
                let stamp = Stamp {
                    room: self.room,
                    publisher: self.publisher,
                    sent: clock.now(),
                };
                tally.sent += source.advance(self.peer.rtc(), now, |payload| stamp.write(payload));
                played = true;
            }
        }
        played
    }

    fn drain(&mut self, tally: &mut Tally, clock: &Clock) -> Result<(), String> {
        loop {
            match self.peer.rtc().poll_output().map_err(|error| error.to_string())? {
                Output::Timeout(at) => {
                    self.deadline = self.next(at.min(Instant::now() + IDLE_MAX));
                    return Ok(());
                }
                Output::Transmit(transmit) => match &mut self.network {
                    Some(network) => {
                        let bytes = transmit.contents.to_vec();
                        let length = bytes.len();
                        network.up.send(bytes, length, Instant::now());
                    }
                    None => self.transmit(&transmit.contents, tally),
                },
                Output::Event(event) => self.handle_event(event, tally, clock)?,
            }
        }
    }

    fn transmit(&self, datagram: &[u8], tally: &mut Tally) {
        // A full buffer loses datagrams, as a network does; the report tells.
        if self.socket.send(datagram).is_err() {
            tally.unsent += 1;
        }
    }

    fn handle_event(&mut self, event: Event, tally: &mut Tally, clock: &Clock) -> Result<(), String> {
        match event {
            Event::Connected => {
                self.peer.handle_connected();
                tally.connected += 1;
                self.start_sources();
            }
            Event::RtpPacket(packet) => self.hear(&packet, tally, clock),
            Event::KeyframeRequest(KeyframeRequest { mid, rid, .. }) => {
                let ssrc = self.peer.ssrc_sent(mid, rid);
                for source in self.sources.iter_mut().filter(|source| Some(source.ssrc) == ssrc) {
                    tally.keyframes_asked += 1;
                    source.ask_for_keyframe();
                }
            }
            Event::Closed => return Err("the server closed the association".to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// Sources begin now, each at its own time within a frame, so that not all send at once.
    fn start_sources(&mut self) {
        let now = Instant::now();
        for source in &mut self.sources {
            let dice = splitmix(u64::from(self.publisher) << 32 | u64::from(source.ssrc));
            source.next = now + Duration::from_micros(dice % FRAME_US);
            source.ask_for_keyframe();
        }
    }

    /// A packet of which nothing but the header is looked at.
    fn count(&mut self, ssrc: u32, number: u16) {
        if let Some(stream) = self.streams.get_mut(&ssrc) {
            let sequence = stream.extended(number);
            stream.take(sequence);
        } else if self.peer.hears(ssrc) {
            let sequence = NUMBERS + u64::from(number);
            let mut stream = Stream::new(sequence);
            stream.take(sequence);
            self.streams.insert(ssrc, stream);
        }
    }

    fn hear(&mut self, packet: &RtpPacket, tally: &mut Tally, clock: &Clock) {
        let Some(stamp) = Stamp::read(&packet.payload) else {
            // Padding, such as a server probes with.
            return;
        };
        if stamp.room != self.room {
            tally.strays += 1;
            return;
        }
        let sequence = *packet.seq_no;
        let ssrc = *packet.header.ssrc;
        let stream = self.streams.entry(ssrc).or_insert_with(|| Stream::new(sequence));
        if stream.take(sequence) {
            tally.delays.record(clock.now().saturating_sub(stamp.sent));
        }
    }
}

/// SSRC and number of an RTP packet, which are in the clear (RFC 5761 section 4 tells it from RTCP).
fn rtp_header(datagram: &[u8]) -> Option<(u32, u16)> {
    let [first, second, high, low, _, _, _, _, ssrc @ ..] = datagram.first_chunk::<12>()?;
    let is_rtp = first >> 6 == 2 && !(192..224).contains(second);
    is_rtp.then(|| (u32::from_be_bytes(*ssrc), u16::from_be_bytes([*high, *low])))
}

impl Network {
    fn new(conditions: Conditions, rate: Option<u64>) -> Self {
        let link = |seed| {
            let link = Link::new(Conditions { seed, ..conditions });
            match rate {
                Some(bits) => link.with_rate(bits),
                None => link,
            }
        };
        Self {
            up: link(conditions.seed),
            down: link(!conditions.seed),
        }
    }
}
