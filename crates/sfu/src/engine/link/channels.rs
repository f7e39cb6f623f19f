//! Data channels of one client: SCTP streams (RFC 8831), opened by DCEP.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use sctp_proto::{
    Association, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload, PayloadProtocolIdentifier,
    ReliabilityType, ServerConfig, Stream, StreamEvent, TransportConfig,
};

use super::super::{ChannelHandle, Delivery, EngineError, Output, Reliability, Written};
use super::dcep;
use crate::limits;

/// Bytes of user data in one packet: with SCTP, DTLS, UDP and IPv6 around it, within 1280.
const PAYLOAD_BYTES_MAX: u32 = 1120;

/// The library wants an address; nothing is sent there.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

/// Channels are told of as writable again below this.
const LOW_BYTES: usize = limits::CHANNEL_BUFFER_BYTES_MAX / 2;

/// The channels, before and after there is an association to carry them.
#[derive(Default)]
pub(super) struct Channels {
    sctp: Option<Box<Sctp>>,
    /// Asked for by us and not yet on a stream.
    wanted: VecDeque<(ChannelHandle, dcep::Open)>,
    next_handle: u32,
}

struct Sctp {
    endpoint: Endpoint,
    association: Option<Association>,
    established: bool,
    lost: bool,
    /// RFC 8832 section 6: the DTLS client opens even streams.
    next_stream: u16,
    channels: BTreeMap<u16, Channel>,
    streams: HashMap<ChannelHandle, u16>,
    /// Streams that are being reset, and not to be opened before that is over.
    resetting: BTreeSet<u16>,
    /// At most so many bytes wait in the association; counted anew when it matters.
    buffered_at_most: usize,
    /// Channels that were refused a message for what waits on others.
    crowded: Vec<ChannelHandle>,
}

#[derive(Debug)]
struct Channel {
    handle: ChannelHandle,
    /// The other side has confirmed it, or opened it.
    open: bool,
    /// What we asked for, until it is confirmed.
    asked: Option<dcep::Open>,
}

impl Channels {
    /// The association may begin; `client` says whether we are the client of DTLS.
    pub(super) fn start(&mut self, client: bool) -> Result<(), EngineError> {
        if self.sctp.is_none() {
            self.sctp = Some(Box::new(Sctp::new(client)?));
        }
        Ok(())
    }

    /// A packet of SCTP.
    pub(super) fn receive(&mut self, packet: Vec<u8>, now: Instant) {
        if let Some(sctp) = &mut self.sctp {
            sctp.receive(packet, now);
        }
    }

    /// Time passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(association) = self.sctp.as_mut().and_then(|sctp| sctp.association.as_mut())
            && association.poll_timeout().is_some_and(|at| at <= now)
        {
            association.handle_timeout(now);
        }
    }

    /// When it wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sctp.as_ref()?.association.as_ref()?.poll_timeout()
    }

    /// Opens a channel, once there is an association.
    pub(super) fn open(&mut self, label: &str, reliability: Reliability) -> ChannelHandle {
        let handle = self.new_handle();
        let label = label.to_owned();
        self.wanted.push_back((handle, dcep::Open { label, reliability }));
        handle
    }

    /// Writes a message.
    pub(super) fn write(&mut self, handle: ChannelHandle, binary: bool, message: &[u8]) -> Written {
        self.sctp
            .as_mut()
            .map_or(Written::Closed, |sctp| sctp.write(handle, binary, message))
    }

    /// Closes a channel, open or not; true if it was there.
    pub(super) fn close(&mut self, handle: ChannelHandle) -> bool {
        let before = self.wanted.len();
        self.wanted.retain(|(wanted, _)| *wanted != handle);
        self.wanted.len() < before || self.sctp.as_mut().is_some_and(|sctp| sctp.close(handle))
    }

    /// What happened on the channels, and a packet to be sent; to be called until there is none.
    pub(super) fn poll(&mut self, now: Instant, outputs: &mut VecDeque<Output>) -> Vec<Vec<u8>> {
        let Some(sctp) = &mut self.sctp else {
            return Vec::new();
        };
        while let Some(event) = sctp.association.as_mut().and_then(Association::poll) {
            sctp.handle_event(event, &mut self.next_handle, outputs);
        }
        if sctp.established && !sctp.lost {
            while let Some((handle, open)) = self.wanted.pop_front() {
                if !sctp.open(handle, open) {
                    outputs.push_back(Output::ChannelClosed(handle));
                }
            }
            sctp.relieve(outputs);
        }
        sctp.packets(now)
    }

    fn new_handle(&mut self) -> ChannelHandle {
        self.next_handle += 1;
        ChannelHandle(self.next_handle - 1)
    }
}

impl Sctp {
    fn new(client: bool) -> Result<Self, EngineError> {
        let mut config = EndpointConfig::new();
        config.max_payload_size(PAYLOAD_BYTES_MAX);
        let transport = Arc::new(
            TransportConfig::default()
                .with_max_init_retransmits(None)
                .with_max_data_retransmits(None)
                .with_max_receive_message_size(limits::MESSAGE_BYTES_MAX as u32)
                .with_max_send_message_size(limits::MESSAGE_BYTES_MAX as u32),
        );
        let mut server = ServerConfig::new();
        server.transport = transport.clone();
        let mut endpoint = Endpoint::new(Arc::new(config), Some(Arc::new(server)));
        let mut association = None;
        if client {
            let mut config = ClientConfig::new();
            config.transport = transport;
            let connected = endpoint.connect(config, NOWHERE);
            let (_, made) = connected.map_err(|error| EngineError::Failed(error.to_string()))?;
            endpoint.reject_new_associations();
            association = Some(made);
        }
        Ok(Self {
            endpoint,
            association,
            established: false,
            lost: false,
            next_stream: u16::from(!client),
            channels: BTreeMap::new(),
            streams: HashMap::new(),
            resetting: BTreeSet::new(),
            buffered_at_most: 0,
            crowded: Vec::new(),
        })
    }

    fn receive(&mut self, packet: Vec<u8>, now: Instant) {
        match self.endpoint.handle(now, NOWHERE, None, None, packet.into()) {
            Some((_, DatagramEvent::NewAssociation(association))) => {
                // One client has one association.
                self.endpoint.reject_new_associations();
                self.association = Some(association);
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some(association) = &mut self.association {
                    association.handle_event(event);
                }
            }
            None => {}
        }
    }

    fn packets(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut take = |payload: Payload| {
            if let Payload::RawEncode(parts) = payload {
                packets.extend(parts.into_iter().map(Vec::from));
            }
        };
        while let Some(transmit) = self.endpoint.poll_transmit() {
            take(transmit.payload);
        }
        if let Some(association) = &mut self.association {
            while let Some(transmit) = association.poll_transmit(now) {
                take(transmit.payload);
            }
            // The endpoint has no other association that would need the place of one that ended.
            while association.poll_endpoint_event().is_some() {}
        }
        packets
    }

    fn handle_event(&mut self, event: Event, next_handle: &mut u32, outputs: &mut VecDeque<Output>) {
        match event {
            Event::Connected => self.established = true,
            Event::AssociationLost { reason } => {
                tracing::debug!(%reason, "the data channels are over");
                if !std::mem::replace(&mut self.lost, true) {
                    outputs.push_back(Output::Closed);
                }
            }
            Event::Stream(StreamEvent::Readable { id }) => {
                while let Some((kind, message)) = self.read(id) {
                    self.handle_message(id, kind, message, next_handle, outputs);
                }
            }
            Event::Stream(StreamEvent::Finished { id }) => {
                self.resetting.insert(id);
                if let Some(channel) = self.forget(id) {
                    outputs.push_back(Output::ChannelClosed(channel.handle));
                }
            }
            Event::Stream(StreamEvent::ResetComplete { id }) => {
                self.resetting.remove(&id);
            }
            Event::Stream(StreamEvent::BufferedAmountLow { id }) => {
                if let Some(channel) = self.channels.get(&id).filter(|channel| channel.open) {
                    outputs.push_back(Output::ChannelWritable(channel.handle));
                }
            }
            _ => {}
        }
    }

    fn stream(&mut self, id: u16) -> Option<Stream<'_>> {
        self.association.as_mut()?.stream(id).ok()
    }

    fn read(&mut self, id: u16) -> Option<(PayloadProtocolIdentifier, Vec<u8>)> {
        let chunks = self.stream(id)?.read().ok()??;
        let mut message = vec![0; chunks.len()];
        let length = chunks.read(&mut message).ok()?;
        message.truncate(length);
        Some((chunks.ppi, message))
    }

    fn handle_message(
        &mut self,
        id: u16,
        kind: PayloadProtocolIdentifier,
        mut message: Vec<u8>,
        next_handle: &mut u32,
        outputs: &mut VecDeque<Output>,
    ) {
        if kind == PayloadProtocolIdentifier::Dcep {
            return match dcep::Message::parse(&message) {
                Some(dcep::Message::Open(open)) if !self.channels.contains_key(&id) => {
                    let handle = ChannelHandle(*next_handle);
                    *next_handle += 1;
                    self.accept(id, handle, open, outputs);
                }
                Some(dcep::Message::Ack) => self.confirm(id, outputs),
                _ => self.refuse(id, outputs),
            };
        }
        let binary = match kind {
            PayloadProtocolIdentifier::Binary => true,
            PayloadProtocolIdentifier::String => false,
            // An empty message is sent as one byte (RFC 8831 section 6.6).
            PayloadProtocolIdentifier::BinaryEmpty | PayloadProtocolIdentifier::StringEmpty => {
                message.clear();
                kind == PayloadProtocolIdentifier::BinaryEmpty
            }
            _ => return self.refuse(id, outputs),
        };
        // What comes out of order may overtake the confirmation.
        self.confirm(id, outputs);
        match self.channels.get(&id) {
            Some(channel) => outputs.push_back(Output::ChannelMessage {
                channel: channel.handle,
                binary,
                message,
            }),
            None => self.refuse(id, outputs),
        }
    }

    /// The client opened a channel.
    fn accept(&mut self, id: u16, handle: ChannelHandle, open: dcep::Open, outputs: &mut VecDeque<Output>) {
        let ack = dcep::Message::Ack.write();
        let written = self.stream(id).is_some_and(|mut stream| {
            configure(&mut stream, &open.reliability)
                && stream.write_with_ppi(&ack, PayloadProtocolIdentifier::Dcep).is_ok()
        });
        if !written {
            return;
        }
        self.remember(
            id,
            Channel {
                handle,
                open: true,
                asked: None,
            },
        );
        outputs.push_back(Output::ChannelOpen {
            channel: handle,
            label: open.label,
            reliability: open.reliability,
        });
    }

    /// The client has a channel that we opened.
    fn confirm(&mut self, id: u16, outputs: &mut VecDeque<Output>) {
        if let Some(channel) = self.channels.get_mut(&id)
            && let Some(asked) = channel.asked.take()
        {
            channel.open = true;
            outputs.push_back(Output::ChannelOpen {
                channel: channel.handle,
                label: asked.label,
                reliability: asked.reliability,
            });
        }
    }

    /// The client says on a stream what may not be said there.
    fn refuse(&mut self, id: u16, outputs: &mut VecDeque<Output>) {
        self.reset(id);
        if let Some(channel) = self.forget(id) {
            outputs.push_back(Output::ChannelClosed(channel.handle));
        }
    }

    fn open(&mut self, handle: ChannelHandle, open: dcep::Open) -> bool {
        let Some(id) = self.free_stream() else { return false };
        let Some(association) = &mut self.association else {
            return false;
        };
        let message = dcep::Message::Open(open.clone()).write();
        let opened = association
            .open_stream(id, PayloadProtocolIdentifier::Binary)
            .is_ok_and(|mut stream| {
                configure(&mut stream, &open.reliability)
                    && stream.write_with_ppi(&message, PayloadProtocolIdentifier::Dcep).is_ok()
            });
        if opened {
            self.buffered_at_most += message.len();
            self.remember(
                id,
                Channel {
                    handle,
                    open: false,
                    asked: Some(open),
                },
            );
        }
        opened
    }

    /// A stream of ours that is in no use. The search goes on where the last one ended, so that it is short.
    fn free_stream(&mut self) -> Option<u16> {
        let first = self.next_stream;
        loop {
            let id = self.next_stream;
            // 65535 is none (RFC 8832 section 6).
            self.next_stream = if id >= u16::MAX - 2 { id % 2 } else { id + 2 };
            let in_use = self.channels.contains_key(&id) || self.resetting.contains(&id);
            if !in_use && self.stream(id).is_none() {
                return Some(id);
            }
            if self.next_stream == first {
                return None;
            }
        }
    }

    fn write(&mut self, handle: ChannelHandle, binary: bool, message: &[u8]) -> Written {
        let Some(id) = self.streams.get(&handle).copied().filter(|_| !self.lost) else {
            return Written::Closed;
        };
        if self.channels.get(&id).is_none_or(|channel| !channel.open) {
            return Written::Closed;
        }
        if self.buffered_at_most + message.len() > limits::ASSOCIATION_BUFFER_BYTES_MAX {
            self.buffered_at_most = self.buffered();
        }
        if self.buffered_at_most + message.len() > limits::ASSOCIATION_BUFFER_BYTES_MAX {
            if !self.crowded.contains(&handle) {
                self.crowded.push(handle);
            }
            return Written::Full;
        }
        let Some(mut stream) = self.stream(id) else {
            return Written::Closed;
        };
        let waiting = stream.buffered_amount().unwrap_or(0);
        if waiting + message.len() > limits::CHANNEL_BUFFER_BYTES_MAX {
            return Written::Full;
        }
        let (bytes, kind) = match (message.is_empty(), binary) {
            (false, true) => (message, PayloadProtocolIdentifier::Binary),
            (false, false) => (message, PayloadProtocolIdentifier::String),
            (true, true) => (&[0][..], PayloadProtocolIdentifier::BinaryEmpty),
            (true, false) => (&[0][..], PayloadProtocolIdentifier::StringEmpty),
        };
        match stream.write_with_ppi(bytes, kind) {
            Ok(_) => {
                self.buffered_at_most += bytes.len();
                Written::Accepted
            }
            Err(error) => {
                tracing::debug!(%error, "a message was not written");
                Written::Closed
            }
        }
    }

    /// Bytes that wait in the association.
    fn buffered(&mut self) -> usize {
        let ids: Vec<u16> = self.channels.keys().copied().collect();
        let waiting = |id| self.stream(id).and_then(|stream| stream.buffered_amount().ok());
        ids.into_iter().filter_map(waiting).sum()
    }

    /// Tells channels that others had crowded out when there is room again.
    fn relieve(&mut self, outputs: &mut VecDeque<Output>) {
        if self.crowded.is_empty() {
            return;
        }
        self.buffered_at_most = self.buffered();
        if self.buffered_at_most <= limits::ASSOCIATION_BUFFER_BYTES_MAX / 2 {
            let there = |handle: &ChannelHandle| self.streams.contains_key(handle);
            let crowded = std::mem::take(&mut self.crowded);
            outputs.extend(crowded.into_iter().filter(there).map(Output::ChannelWritable));
        }
    }

    fn close(&mut self, handle: ChannelHandle) -> bool {
        let Some(id) = self.streams.get(&handle).copied() else {
            return false;
        };
        self.reset(id);
        self.forget(id).is_some()
    }

    fn reset(&mut self, id: u16) {
        if self.stream(id).is_some_and(|mut stream| stream.close().is_ok()) {
            self.resetting.insert(id);
        }
    }

    fn remember(&mut self, id: u16, channel: Channel) {
        self.streams.insert(channel.handle, id);
        self.channels.insert(id, channel);
    }

    fn forget(&mut self, id: u16) -> Option<Channel> {
        let channel = self.channels.remove(&id)?;
        self.streams.remove(&channel.handle);
        Some(channel)
    }
}

/// Sets how hard messages of a stream are tried, and when to tell that there is room.
fn configure(stream: &mut Stream<'_>, reliability: &Reliability) -> bool {
    let (kind, value) = match reliability.limit {
        Delivery::Reliable => (ReliabilityType::Reliable, 0),
        Delivery::Retransmits(retransmits) => (ReliabilityType::Rexmit, retransmits),
        Delivery::LifetimeMs(lifetime) => (ReliabilityType::Timed, lifetime),
    };
    stream.set_buffered_amount_low_threshold(LOW_BYTES).is_ok()
        && stream
            .set_reliability_params(!reliability.ordered, kind, u32::from(value))
            .is_ok()
}
