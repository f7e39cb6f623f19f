//! A client of the media plane without socket, thread and clock: datagrams and time in, datagrams out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use load::frames::{Opus, Video};
use load::peer::{Far, Identity, Peer};
use load::source::{Media, SPEECH_DBOV, Source};
use negotiation::{Fingerprint, NegotiatedSession};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{KeyframeRequestKind, Mid, Pt, Rid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::rtcp::Rtcp;
use str0m::rtp::{RawPacket, RtpWrite, Ssrc};
use str0m::{Event, Input, Output};

use super::heard::{Heard, MediaPacket, Message};

/// What a client is to do.
#[derive(Debug, Clone)]
pub enum Order {
    /// Sends Opus every 20 ms from now on, or that in RED.
    Audio {
        /// Of the stream.
        ssrc: u32,
        /// Of its packets.
        payload_type: u8,
        /// Payload type of Opus, if it is sent in RED with the frame before as the redundant block.
        red_of: Option<u8>,
    },
    /// Sends 30 frames a second on each layer, with key frames first and when asked.
    Video {
        /// Of the layers.
        ssrcs: Vec<u32>,
        /// Of their packets.
        payload_type: u8,
        /// How a frame is made.
        video: Video,
    },
    /// Stops sending on a stream, or goes on.
    Silence {
        /// Of the stream.
        ssrc: u32,
        /// Or not.
        silent: bool,
    },
    /// Says of its packets from now on that they are so loud.
    Level {
        /// Of the stream.
        ssrc: u32,
        /// dBov, -127 to 0 (RFC 6464).
        level: i8,
    },
    /// Asks for a key frame of a stream received (RFC 4585 section 6.3.1).
    RequestKeyframe {
        /// Of the stream.
        ssrc: u32,
    },
    /// The same, as a mixer would (RFC 5104 section 4.3.1).
    RequestIntra {
        /// Of the stream.
        ssrc: u32,
    },
    /// Reads one in so many datagrams of media from now on, so that it asks for the rest again and again.
    ReadOneIn(u64),
    /// Opens a data channel.
    OpenChannel {
        /// Its name.
        label: String,
        /// Whether messages arrive in order.
        ordered: bool,
        /// Retransmissions of a message; `None` for as many as it takes.
        retransmits: Option<u16>,
    },
    /// Sends a message on a channel that is open.
    Send {
        /// Of the channel.
        label: String,
        /// Or text.
        binary: bool,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Closes a channel.
    CloseChannel {
        /// Of the channel.
        label: String,
    },
    /// Sends a packet with any payload on a stream that it sends, with the next numbers.
    Payload {
        /// Of the stream.
        ssrc: u32,
        /// Of the packet.
        payload_type: u8,
        /// Of the packet.
        payload: Vec<u8>,
    },
    /// Keeps what it sends in [`Heard::sent`], or ends that.
    Record(bool),
    /// Keeps counts of packets from now on, not the packets.
    CountOnly,
    /// Closes the association; the client goes on.
    Close,
}

/// The client.
pub struct Scripted {
    identity: Identity,
    far: Far,
    /// The address str0m believes to be at.
    candidate: SocketAddr,
    inner: Option<Inner>,
    count_only: bool,
    recording: bool,
    observing: bool,
    read_one_in: u64,
}

struct Inner {
    peer: Peer,
    sources: Vec<Source>,
    labels: HashMap<ChannelId, String>,
}

impl Scripted {
    /// A client at `candidate` of the server `far`; it begins with its first session.
    pub fn new(identity: Identity, far: Far, candidate: SocketAddr) -> Self {
        Self {
            identity,
            far,
            candidate,
            inner: None,
            count_only: false,
            recording: false,
            observing: false,
            read_one_in: 1,
        }
    }

    /// The same, which notes in [`Heard::feedback`] what it is told of its own streams.
    pub fn observing(mut self) -> Self {
        self.observing = true;
        self
    }

    /// Hash of its certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint()
    }

    /// Takes a session, the same value that the server takes.
    pub fn apply(&mut self, session: &Arc<NegotiatedSession>, now: Instant, heard: &mut Heard) {
        if let Some(inner) = &mut self.inner {
            inner.peer.apply(session);
            inner.sources.retain(|source| inner.peer.sends(source.ssrc));
            return;
        }
        let peer = match self.observing {
            false => Peer::new(&self.identity, self.candidate, &self.far, session, now),
            true => Peer::observing(&self.identity, self.candidate, &self.far, session, now),
        };
        match peer {
            Ok(peer) => {
                self.inner = Some(Inner {
                    peer,
                    sources: Vec::new(),
                    labels: HashMap::new(),
                });
            }
            Err(error) => heard.failed = Some(error.to_string()),
        }
    }

    /// Takes an order; what comes of it is sent with the next [`Self::drain`].
    pub fn handle_order(&mut self, order: Order, now: Instant) {
        match order {
            Order::CountOnly => self.count_only = true,
            Order::Record(recording) => self.recording = recording,
            Order::ReadOneIn(datagrams) => self.read_one_in = datagrams.max(1),
            order => {
                if let Some(inner) = &mut self.inner {
                    inner.handle_order(order, now);
                }
            }
        }
    }

    /// A datagram arrived.
    pub fn receive(&mut self, datagram: &[u8], now: Instant, heard: &mut Heard) {
        // RTP, and not RTCP (RFC 5761 section 4).
        if matches!(datagram, [128..=191, 0..=191 | 224.., ..]) {
            heard.media_datagrams += 1;
            if !heard.media_datagrams.is_multiple_of(self.read_one_in) {
                return;
            }
        }
        let Some(inner) = &mut self.inner else { return };
        let Ok(receive) = Receive::new(Protocol::Udp, self.far.address, self.candidate, datagram) else {
            return;
        };
        if let Err(error) = inner.peer.rtc().handle_input(Input::Receive(now, receive)) {
            heard.failed = Some(error.to_string());
        }
    }

    /// Time passed: sends what is due.
    pub fn step(&mut self, now: Instant, heard: &mut Heard, mut transmit: impl FnMut(&[u8])) -> Instant {
        self.handle_timeout(now, heard);
        let deadline = self.drain(now, heard, &mut transmit);
        let Some(inner) = &mut self.inner else { return deadline };
        inner.run_sources(now);
        let sources = inner.sources.iter().map(|source| source.next).min();
        let deadline = deadline.min(sources.unwrap_or(deadline));
        self.handle_timeout(now, heard);
        self.drain(now, heard, transmit).min(deadline)
    }

    /// Gives out what is to be sent, and says when it wants to be called again.
    pub fn drain(&mut self, now: Instant, heard: &mut Heard, mut transmit: impl FnMut(&[u8])) -> Instant {
        let far = now + Duration::from_millis(100);
        loop {
            let Some(inner) = &mut self.inner else { return far };
            match inner.peer.rtc().poll_output() {
                Ok(Output::Timeout(at)) => return at,
                Ok(Output::Transmit(sent)) => {
                    if self.recording {
                        heard.sent.push(sent.contents.to_vec());
                    }
                    transmit(&sent.contents);
                }
                Ok(Output::Event(event)) => inner.handle_event(event, self.count_only, heard),
                Err(error) => {
                    heard.failed = Some(error.to_string());
                    self.inner = None;
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant, heard: &mut Heard) {
        if let Some(inner) = &mut self.inner
            && let Err(error) = inner.peer.rtc().handle_input(Input::Timeout(now))
        {
            heard.failed = Some(error.to_string());
        }
    }
}

impl Inner {
    fn handle_event(&mut self, event: Event, count_only: bool, heard: &mut Heard) {
        match event {
            Event::Connected => {
                heard.connected = true;
                self.peer.handle_connected();
            }
            Event::Closed => heard.closed = true,
            Event::RtpPacket(packet) => {
                let ssrc = *packet.header.ssrc;
                *heard.counts.entry(ssrc).or_default() += 1;
                if !count_only {
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
                if let Some(ssrc) = self.wanted_keyframe(request.mid, request.rid) {
                    *heard.keyframe_requests.entry(ssrc).or_default() += 1;
                }
            }
            Event::RawPacket(raw) => note_feedback(&raw, heard),
            Event::ChannelOpen(id, label) => self.handle_channel_open(id, label, heard),
            Event::ChannelData(data) => {
                let label = self.labels.get(&data.id).cloned().unwrap_or_default();
                heard.messages.push(Message {
                    label,
                    binary: data.binary,
                    bytes: data.data,
                });
            }
            Event::ChannelClose(id) => {
                let label = self.labels.remove(&id).unwrap_or_default();
                heard.channels.retain(|(open, ..)| *open != label);
                heard.closed_channels.push(label);
            }
            _ => {}
        }
    }

    fn handle_channel_open(&mut self, id: ChannelId, label: String, heard: &mut Heard) {
        self.labels.insert(id, label.clone());
        let channel = self.peer.rtc().channel(id);
        let config = channel
            .and_then(|channel| channel.config().cloned())
            .unwrap_or_default();
        let retransmits = match config.reliability {
            Reliability::MaxRetransmits { retransmits } => Some(retransmits),
            _ => None,
        };
        heard.channels.push((label, config.ordered, retransmits));
    }

    fn handle_order(&mut self, order: Order, now: Instant) {
        match order {
            Order::Audio {
                ssrc,
                payload_type,
                red_of,
            } => self.send_audio(ssrc, payload_type, red_of, now),
            Order::Video {
                ssrcs,
                payload_type,
                video,
            } => self.send_video(&ssrcs, payload_type, &video, now),
            Order::Silence { ssrc, silent } => {
                for source in self.sources.iter_mut().filter(|source| source.ssrc == ssrc) {
                    source.silent = silent;
                }
            }
            Order::Level { ssrc, level } => {
                for source in self.sources.iter_mut().filter(|source| source.ssrc == ssrc) {
                    source.level = level;
                }
            }
            Order::RequestKeyframe { ssrc } => self.request_keyframe(ssrc, KeyframeRequestKind::Pli),
            Order::RequestIntra { ssrc } => self.request_keyframe(ssrc, KeyframeRequestKind::Fir),
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
            Order::Record(_) | Order::ReadOneIn(_) | Order::CountOnly => {}
        }
    }

    fn request_keyframe(&mut self, ssrc: u32, kind: KeyframeRequestKind) {
        if let Some(stream) = self.peer.rtc().direct_api().stream_rx(&Ssrc::from(ssrc)) {
            stream.request_keyframe(kind);
        }
    }

    fn send_audio(&mut self, ssrc: u32, payload_type: u8, red_of: Option<u8>, now: Instant) {
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
            level: SPEECH_DBOV,
            media,
        });
    }

    fn send_video(&mut self, ssrcs: &[u32], payload_type: u8, video: &Video, now: Instant) {
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
                ssrc: *ssrc,
                payload_type,
                sequence,
                timestamp,
                next: now,
                silent: false,
                level: SPEECH_DBOV,
                media,
            });
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

/// What the other side tells of the streams that it receives.
fn note_feedback(raw: &RawPacket, heard: &mut Heard) {
    let RawPacket::RtcpRx(packet) = raw else { return };
    let blocks = match packet {
        Rtcp::ReceiverReport(report) => &report.reports,
        Rtcp::SenderReport(report) => &report.reports,
        Rtcp::Twcc(_) => {
            heard.transport_feedback += 1;
            return;
        }
        _ => return,
    };
    for block in blocks.iter() {
        let feedback = heard.feedback.entry(*block.ssrc).or_default();
        feedback.reports += 1;
        feedback.fraction_lost = block.fraction_lost;
        feedback.names_report |= block.last_sr_time != 0;
    }
}
