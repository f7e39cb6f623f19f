//! A client of the media plane: a full ICE agent with DTLS, SRTP and SCTP on a thread of its own.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use load::frames::{Opus, Video};
use load::peer::{Far, Identity, Peer};
use load::source::{Media, Source};
use negotiation::{Fingerprint, NegotiatedSession};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{KeyframeRequestKind, Mid, Pt, Rid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpWrite, Ssrc};
use str0m::{Event, Input, Output};

/// A packet that a client received and decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPacket {
    /// Of the stream; retransmissions carry that of what they repair.
    pub ssrc: u32,
    /// Under which it came.
    pub payload_type: u8,
    /// Extended.
    pub sequence: u64,
    /// RTP clock.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// RFC 6464 level, if it was there.
    pub audio_level: Option<i8>,
    /// Without header.
    pub payload: Vec<u8>,
    /// When it was received.
    pub at: Instant,
}

/// A data-channel message that a client received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Of the channel.
    pub label: String,
    /// Or text.
    pub binary: bool,
    /// As it came.
    pub bytes: Vec<u8>,
}

/// What a client has seen so far.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// DTLS is up.
    pub connected: bool,
    /// The server closed the association.
    pub closed: bool,
    /// The engine failed.
    pub failed: Option<String>,
    /// All packets, unless only counts are kept.
    pub packets: Vec<MediaPacket>,
    /// Packets of each SSRC.
    pub counts: HashMap<u32, u64>,
    /// Key frames asked of us, by SSRC.
    pub keyframe_requests: HashMap<u32, u32>,
    /// Sender reports: SSRC, the sender's clock, RTP timestamp.
    pub sender_reports: Vec<(u32, SystemTime, u32)>,
    /// Open channels: label, whether ordered, retransmissions if limited.
    pub channels: Vec<(String, bool, Option<u16>)>,
    /// Channels that were closed.
    pub closed_channels: Vec<String>,
    /// Messages in order.
    pub messages: Vec<Message>,
    /// Datagrams that it sent, while it records.
    pub sent: Vec<Vec<u8>>,
    /// Datagrams of media that reached it, those that it does not read included.
    pub media_datagrams: u64,
}

impl Heard {
    /// Packets of one stream, in order of arrival.
    pub fn of(&self, ssrc: u32) -> Vec<&MediaPacket> {
        self.packets.iter().filter(|packet| packet.ssrc == ssrc).collect()
    }

    /// How many packets of one stream.
    pub fn count(&self, ssrc: u32) -> u64 {
        self.counts.get(&ssrc).copied().unwrap_or(0)
    }
}

/// A running client.
#[derive(Debug)]
pub struct Client {
    orders: Sender<Order>,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    fingerprint: Fingerprint,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Apply(Arc<NegotiatedSession>),
    Audio {
        ssrc: u32,
        payload_type: u8,
        red_of: Option<u8>,
    },
    Video {
        ssrcs: Vec<u32>,
        payload_type: u8,
        video: Video,
    },
    Silence {
        ssrc: u32,
        silent: bool,
    },
    RequestKeyframe {
        ssrc: u32,
        kind: KeyframeRequestKind,
    },
    ReadOneIn(u64),
    OpenChannel {
        label: String,
        ordered: bool,
        retransmits: Option<u16>,
    },
    Send {
        label: String,
        binary: bool,
        bytes: Vec<u8>,
    },
    CloseChannel {
        label: String,
    },
    Rebind,
    Raw(Vec<u8>),
    Payload {
        ssrc: u32,
        payload_type: u8,
        payload: Vec<u8>,
    },
    Record(bool),
    CountOnly,
    Close,
    Stop,
}

impl Client {
    /// Starts a client of a server, or of a relay before it, on this machine.
    pub fn start(server: SocketAddr, server_fingerprint: &Fingerprint) -> io::Result<Self> {
        let identity = Identity::new().map_err(io::Error::other)?;
        let fingerprint = identity.fingerprint();
        let far = Far {
            address: server,
            fingerprint: server_fingerprint.clone(),
        };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (orders, receiver) = channel();
        let heard = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let run = Run {
            identity,
            far,
            candidate: socket.local_addr()?,
            socket,
            orders: receiver,
            heard: heard.clone(),
            inner: None,
            count_only: false,
            recording: false,
            read_one_in: 1,
            media_datagrams: 0,
        };
        let thread = std::thread::Builder::new()
            .name("client".into())
            .spawn(move || run.run())?;
        Ok(Self {
            orders,
            heard,
            fingerprint,
            thread: Some(thread),
        })
    }

    /// Hash of its certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    /// Takes a session, the same value that the server takes.
    pub fn apply(&self, session: &Arc<NegotiatedSession>) {
        self.order(Order::Apply(session.clone()));
    }

    /// Sends Opus every 20 ms from now on.
    pub fn send_audio(&self, ssrc: u32, payload_type: u8) {
        self.order(Order::Audio {
            ssrc,
            payload_type,
            red_of: None,
        });
    }

    /// Sends Opus in RED, with the frame before as the redundant block.
    pub fn send_red(&self, ssrc: u32, payload_type: u8, of: u8) {
        self.order(Order::Audio {
            ssrc,
            payload_type,
            red_of: Some(of),
        });
    }

    /// Sends 30 frames a second on each layer, with key frames first and when asked.
    pub fn send_video(&self, ssrcs: &[u32], payload_type: u8, video: Video) {
        self.order(Order::Video {
            ssrcs: ssrcs.to_vec(),
            payload_type,
            video,
        });
    }

    /// Stops sending on a stream, or goes on.
    pub fn silence(&self, ssrc: u32, silent: bool) {
        self.order(Order::Silence { ssrc, silent });
    }

    /// Asks for a key frame of a stream received.
    pub fn request_keyframe(&self, ssrc: u32) {
        let kind = KeyframeRequestKind::Pli;
        self.order(Order::RequestKeyframe { ssrc, kind });
    }

    /// Asks for a key frame as a mixer would (RFC 5104 section 4.3.1).
    pub fn request_intra(&self, ssrc: u32) {
        let kind = KeyframeRequestKind::Fir;
        self.order(Order::RequestKeyframe { ssrc, kind });
    }

    /// Reads one in so many datagrams of media from now on, so that it asks for the rest again and again.
    pub fn read_one_in(&self, datagrams: u64) {
        self.order(Order::ReadOneIn(datagrams.max(1)));
    }

    /// Opens a data channel.
    pub fn open_channel(&self, label: &str, ordered: bool, retransmits: Option<u16>) {
        self.order(Order::OpenChannel {
            label: label.into(),
            ordered,
            retransmits,
        });
    }

    /// Sends a message on a channel that is open.
    pub fn send_message(&self, label: &str, binary: bool, bytes: &[u8]) {
        self.order(Order::Send {
            label: label.into(),
            binary,
            bytes: bytes.to_vec(),
        });
    }

    /// Closes a channel.
    pub fn close_channel(&self, label: &str) {
        self.order(Order::CloseChannel { label: label.into() });
    }

    /// Goes on from another port, without telling anybody.
    pub fn rebind(&self) {
        self.order(Order::Rebind);
    }

    /// Sends a datagram as it is.
    pub fn send_raw(&self, datagram: &[u8]) {
        self.order(Order::Raw(datagram.to_vec()));
    }

    /// Sends a packet with any payload on a stream that it sends, with the next numbers.
    pub fn send_payload(&self, ssrc: u32, payload_type: u8, payload: &[u8]) {
        self.order(Order::Payload {
            ssrc,
            payload_type,
            payload: payload.to_vec(),
        });
    }

    /// Keeps what it sends in [`Heard::sent`], or ends that.
    pub fn record(&self, recording: bool) {
        self.order(Order::Record(recording));
    }

    /// Keeps counts of packets from now on, not the packets.
    pub fn count_only(&self) {
        self.order(Order::CountOnly);
    }

    /// Closes the association; the client goes on running.
    pub fn close(&self) {
        self.order(Order::Close);
    }

    /// What it has seen.
    pub fn heard(&self) -> Heard {
        self.lock().clone()
    }

    /// Forgets the packets and messages seen.
    pub fn forget(&self) {
        let mut heard = self.lock();
        heard.packets.clear();
        heard.counts.clear();
        heard.messages.clear();
        heard.keyframe_requests.clear();
        heard.sender_reports.clear();
    }

    /// Waits until what it has seen satisfies `check`; false if that takes too long.
    pub fn wait(&self, at_most: Duration, mut check: impl FnMut(&Heard) -> bool) -> bool {
        let deadline = Instant::now() + at_most;
        let mut heard = self.lock();
        while !check(&heard) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.heard.1.wait_timeout(heard, left);
            heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, order: Order) {
        // A client whose thread ended has said why in `failed`.
        if self.orders.send(order).is_err() {
            eprintln!("a client that has ended was given an order");
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.orders.send(Order::Stop).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("a client panicked");
        }
    }
}

struct Run {
    identity: Identity,
    far: Far,
    /// The address str0m believes to be at, also after a rebind.
    candidate: SocketAddr,
    socket: UdpSocket,
    orders: Receiver<Order>,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    inner: Option<Inner>,
    count_only: bool,
    recording: bool,
    read_one_in: u64,
    media_datagrams: u64,
}

struct Inner {
    peer: Peer,
    sources: Vec<Source>,
    labels: HashMap<ChannelId, String>,
}

impl Run {
    fn run(mut self) {
        let mut buffer = vec![0; 2048];
        loop {
            while let Ok(order) = self.orders.try_recv() {
                if matches!(order, Order::Stop) {
                    return;
                }
                self.handle_order(order);
            }
            let deadline = self.step(Instant::now());
            let wait = deadline
                .saturating_duration_since(Instant::now())
                .clamp(Duration::from_millis(1), Duration::from_millis(5));
            if self.socket.set_read_timeout(Some(wait)).is_err() {
                return;
            }
            if let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
                self.receive(&buffer[..length]);
            }
        }
    }

    fn handle_order(&mut self, order: Order) {
        match order {
            Order::Apply(session) => self.apply(&session),
            Order::Rebind => {
                if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
                    self.socket = socket;
                }
            }
            Order::Raw(datagram) => {
                if let Err(error) = self.socket.send_to(&datagram, self.far.address) {
                    self.fail(&error.to_string());
                }
            }
            Order::CountOnly => self.count_only = true,
            Order::Record(recording) => self.recording = recording,
            Order::ReadOneIn(datagrams) => self.read_one_in = datagrams,
            order => {
                if let Some(inner) = &mut self.inner {
                    inner.handle_order(order);
                }
            }
        }
        self.drain();
    }

    fn apply(&mut self, session: &Arc<NegotiatedSession>) {
        if let Some(inner) = &mut self.inner {
            inner.peer.apply(session);
            inner.sources.retain(|source| inner.peer.sends(source.ssrc));
            return;
        }
        match Peer::new(&self.identity, self.candidate, &self.far, session, Instant::now()) {
            Ok(peer) => {
                self.inner = Some(Inner {
                    peer,
                    sources: Vec::new(),
                    labels: HashMap::new(),
                });
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn receive(&mut self, datagram: &[u8]) {
        // RTP, and not RTCP (RFC 5761 section 4).
        if matches!(datagram, [128..=191, 0..=191 | 224.., ..]) {
            self.media_datagrams += 1;
            self.heard
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .media_datagrams = self.media_datagrams;
            if !self.media_datagrams.is_multiple_of(self.read_one_in) {
                return;
            }
        }
        let Some(inner) = &mut self.inner else { return };
        let Ok(receive) = Receive::new(Protocol::Udp, self.far.address, self.candidate, datagram) else {
            return;
        };
        if let Err(error) = inner.peer.rtc().handle_input(Input::Receive(Instant::now(), receive)) {
            self.fail(&error.to_string());
        }
        self.drain();
    }

    fn step(&mut self, now: Instant) -> Instant {
        let Some(inner) = &mut self.inner else {
            return now + Duration::from_millis(5);
        };
        if let Err(error) = inner.peer.rtc().handle_input(Input::Timeout(now)) {
            self.fail(&error.to_string());
        }
        let mut deadline = self.drain();
        let Some(inner) = &mut self.inner else { return deadline };
        inner.run_sources(now);
        let sources = inner.sources.iter().map(|source| source.next).min();
        deadline = deadline.min(sources.unwrap_or(deadline));
        if let Err(error) = inner.peer.rtc().handle_input(Input::Timeout(now)) {
            self.fail(&error.to_string());
        }
        self.drain().min(deadline)
    }

    fn drain(&mut self) -> Instant {
        let far = Instant::now() + Duration::from_millis(100);
        loop {
            let Some(inner) = &mut self.inner else { return far };
            match inner.peer.rtc().poll_output() {
                Ok(Output::Timeout(at)) => return at,
                Ok(Output::Transmit(transmit)) => {
                    if self.recording {
                        let mut heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
                        heard.sent.push(transmit.contents.to_vec());
                    }
                    // A lossy loopback is still a network: what cannot be sent is lost.
                    if let Err(error) = self.socket.send_to(&transmit.contents, self.far.address) {
                        eprintln!("a client could not send: {error}");
                    }
                }
                Ok(Output::Event(event)) => self.handle_event(event),
                Err(error) => {
                    self.fail(&error.to_string());
                    self.inner = None;
                }
            }
        }
    }

    fn handle_event(&mut self, event: Event) {
        let Some(inner) = &mut self.inner else { return };
        let mut heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Connected => {
                heard.connected = true;
                inner.peer.handle_connected();
            }
            Event::Closed => heard.closed = true,
            Event::RtpPacket(packet) => {
                let ssrc = *packet.header.ssrc;
                *heard.counts.entry(ssrc).or_default() += 1;
                if !self.count_only {
                    heard.packets.push(MediaPacket {
                        ssrc,
                        payload_type: *packet.header.payload_type,
                        sequence: *packet.seq_no,
                        timestamp: packet.header.timestamp,
                        marker: packet.header.marker,
                        audio_level: packet.header.ext_vals.audio_level,
                        payload: packet.payload.to_vec(),
                        at: packet.timestamp,
                    });
                }
            }
            Event::SenderFeedback(feedback) => {
                let info = feedback.sender_info;
                heard
                    .sender_reports
                    .push((*info.ssrc, info.ntp_time, info.rtp_time.numer() as u32));
            }
            Event::KeyframeRequest(request) => {
                if let Some(ssrc) = inner.wanted_keyframe(request.mid, request.rid) {
                    *heard.keyframe_requests.entry(ssrc).or_default() += 1;
                }
            }
            Event::ChannelOpen(id, label) => {
                inner.labels.insert(id, label.clone());
                let config = inner
                    .peer
                    .rtc()
                    .channel(id)
                    .and_then(|channel| channel.config().cloned())
                    .unwrap_or_default();
                let retransmits = match config.reliability {
                    Reliability::MaxRetransmits { retransmits } => Some(retransmits),
                    _ => None,
                };
                heard.channels.push((label, config.ordered, retransmits));
            }
            Event::ChannelData(data) => {
                let label = inner.labels.get(&data.id).cloned().unwrap_or_default();
                heard.messages.push(Message {
                    label,
                    binary: data.binary,
                    bytes: data.data,
                });
            }
            Event::ChannelClose(id) => {
                let label = inner.labels.remove(&id).unwrap_or_default();
                heard.channels.retain(|(open, ..)| *open != label);
                heard.closed_channels.push(label);
            }
            _ => {}
        }
        self.heard.1.notify_all();
    }

    fn fail(&self, error: &str) {
        let mut heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.failed = Some(error.to_owned());
        self.heard.1.notify_all();
    }
}

impl Inner {
    fn handle_order(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            Order::Audio {
                ssrc,
                payload_type,
                red_of,
            } => {
                let media = Media::Audio {
                    opus: Opus::new(80),
                    red_of,
                    before: None,
                };
                self.sources.push(Source {
                    ssrc,
                    payload_type,
                    sequence: 60_000,
                    timestamp: 960,
                    next: now,
                    silent: false,
                    media,
                });
            }
            Order::Video {
                ssrcs,
                payload_type,
                video,
            } => {
                for (index, ssrc) in (0..).zip(ssrcs) {
                    let first = 1000 * (index + 1);
                    let layer = Video::new(video.packets, video.bytes, first as u16);
                    let media = Media::Video {
                        video: layer,
                        key: true,
                    };
                    let sequence = u64::from(first);
                    let timestamp = 100 * first;
                    self.sources.push(Source {
                        ssrc,
                        payload_type,
                        sequence,
                        timestamp,
                        next: now,
                        silent: false,
                        media,
                    });
                }
            }
            Order::Silence { ssrc, silent } => {
                for source in self.sources.iter_mut().filter(|source| source.ssrc == ssrc) {
                    source.silent = silent;
                }
            }
            Order::RequestKeyframe { ssrc, kind } => {
                if let Some(stream) = self.peer.rtc().direct_api().stream_rx(&Ssrc::from(ssrc)) {
                    stream.request_keyframe(kind);
                }
            }
            Order::OpenChannel {
                label,
                ordered,
                retransmits,
            } => {
                let reliability = retransmits.map_or(Reliability::Reliable, |retransmits| {
                    Reliability::MaxRetransmits { retransmits }
                });
                let config = ChannelConfig {
                    label,
                    ordered,
                    reliability,
                    ..ChannelConfig::default()
                };
                self.peer.rtc().direct_api().create_data_channel(config);
            }
            Order::Send { label, binary, bytes } => {
                let id = self.labels.iter().find(|(_, open)| **open == label).map(|(id, _)| *id);
                let written = id
                    .and_then(|id| self.peer.rtc().channel(id))
                    .map(|mut channel| channel.write(binary, &bytes));
                if !matches!(written, Some(Ok(true))) {
                    eprintln!("a client could not write to {label}");
                }
            }
            Order::CloseChannel { label } => {
                if let Some(id) = self.labels.iter().find(|(_, open)| **open == label).map(|(id, _)| *id) {
                    self.peer.rtc().direct_api().close_data_channel(id);
                }
            }
            Order::Close => {
                if let Err(error) = self.peer.rtc().close() {
                    eprintln!("a client could not close: {error}");
                }
            }
            Order::Payload {
                ssrc,
                payload_type,
                payload,
            } => self.send_payload(ssrc, payload_type, payload, now),
            Order::Apply(_)
            | Order::Rebind
            | Order::Raw(_)
            | Order::Record(_)
            | Order::ReadOneIn(_)
            | Order::CountOnly
            | Order::Stop => {}
        }
    }

    fn send_payload(&mut self, ssrc: u32, payload_type: u8, payload: Vec<u8>, now: Instant) {
        let Some(source) = self.sources.iter_mut().find(|source| source.ssrc == ssrc) else {
            return;
        };
        source.sequence += 1;
        let (sequence, timestamp) = (source.sequence.into(), source.timestamp);
        let mut api = self.peer.rtc().direct_api();
        if let Some(stream) = api.stream_tx(&Ssrc::from(ssrc)) {
            stream.write_rtp(RtpWrite::new(Pt::from(payload_type), sequence, timestamp, now, payload));
        }
    }

    fn run_sources(&mut self, now: Instant) {
        if !self.peer.is_connected() {
            return;
        }
        for source in &mut self.sources {
            while source.next <= now {
                source.advance(self.peer.rtc(), now, |_| ());
            }
        }
    }

    /// A key frame was asked for; returns the SSRC it was asked of.
    fn wanted_keyframe(&mut self, mid: Mid, rid: Option<Rid>) -> Option<u32> {
        let ssrc = self.peer.ssrc_sent(mid, rid)?;
        for source in self.sources.iter_mut().filter(|source| source.ssrc == ssrc) {
            source.ask_for_keyframe();
        }
        Some(ssrc)
    }
}
