//! The engine over str0m, Direct API and RTP mode: the only module that names it.
//!
//! str0m sends only after its own ICE agent has nominated a pair, so [`RtcEngine::start`] feeds it
//! one nominating check with private credentials, and from then on its agent is left alone. The
//! transport's own lite agent decides where packets go.

mod ssrcs;
mod translate;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use negotiation::{Codec, DtlsRole, Extension, Fingerprint, Layer, MediaKind, NegotiatedSession, Section};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::format::CodecConfig;
use str0m::media::{KeyframeRequestKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::rtcp::Rtcp;
use str0m::rtp::{RawPacket, RtpPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event, Input, Rtc, RtcConfig};

use self::ssrcs::Ssrcs;
pub(super) use self::ssrcs::rtp_identity;
use self::translate::{
    extension_map, extension_values, failed, inner_credentials, media_kind, payload_params, takes_plain_resends,
    tens_of_ms, unix_us, vp8_patch,
};
use super::resend::ResendRing;
use super::rtx::RtxBudget;
use super::{
    Bindings, ChannelHandle, Delivery, Engine, EngineError, Engines, HeaderExtensions, Output, Packet, Polled,
    ReceiveBinding, Received, RecvHandle, Reliability, SendBinding, SendHandle, SendPacket, SenderReport, Sent,
    Written,
};
use crate::limits;
use crate::stun;

/// The two ends of the pair that str0m believes in; nothing is sent there.
const INNER_LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
const INNER_REMOTE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10);
const INNER_UFRAG: &str = "inner";
const INNER_PWD: &str = "inner-pair-that-never-leaves-us";

/// How many datagrams a handshake may refuse before it has failed.
const HANDSHAKE_ERRORS_MAX: u32 = 8;

/// One certificate and one set of ciphers for all transports.
#[derive(Debug, Clone)]
pub(crate) struct RtcEngines {
    certificate: DtlsCert,
    fingerprint: Fingerprint,
    crypto: Arc<CryptoProvider>,
}

impl RtcEngines {
    /// Makes the certificate of this process.
    pub(crate) fn new() -> Result<Self, EngineError> {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .ok_or_else(|| EngineError::Failed("the cipher library makes no certificates".into()))?;
        let fingerprint = Fingerprint(crypto.sha256_provider.sha256(&certificate.certificate));
        Ok(Self {
            certificate,
            fingerprint,
            crypto,
        })
    }
}

impl Engines for RtcEngines {
    type Engine = RtcEngine;

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn create(&self, session: &NegotiatedSession, now: Instant) -> Result<RtcEngine, EngineError> {
        let plain_resends = takes_plain_resends(session);
        let mut config = RtcConfig::new()
            .set_crypto_provider(self.crypto.clone())
            .set_dtls_cert(self.certificate.clone())
            // DTLS 1.3 would get no AEAD SRTP profile from browsers yet.
            .set_dtls_version(DtlsVersion::Dtls12)
            .set_ice_lite(true)
            .set_local_ice_credentials(inner_credentials())
            .set_rtp_mode(true)
            .set_extension_map(extension_map(session))
            .set_rtcp_report_interval_audio(Duration::from_secs(1))
            .set_rtcp_report_interval_video(Duration::from_secs(1))
            .set_sctp_max_message_size(limits::MESSAGE_BYTES_MAX as u32)
            .set_sctp_max_buffered_amount(limits::ASSOCIATION_BUFFER_BYTES_MAX)
            // The only way to see a NACK; costs two copies a packet, for these clients only.
            .enable_raw_packets(plain_resends);
        *config.codec_config() = CodecConfig::new_from_payload_params(payload_params(session));
        let mut rtc = config.build(now);
        let candidate = Candidate::host(INNER_LOCAL, "udp").map_err(|error| EngineError::Failed(error.to_string()))?;
        rtc.add_local_candidate(candidate);
        let mut api = rtc.direct_api();
        api.set_ice_controlling(false);
        api.set_remote_ice_credentials(inner_credentials());
        api.set_remote_fingerprint(str0m::config::Fingerprint {
            hash_func: "sha-256".into(),
            bytes: session.remote_fingerprint.0.to_vec(),
        });
        Ok(RtcEngine::new(rtc, session.dtls_role, now))
    }
}

/// One transport's str0m instance and what it has been told.
pub(crate) struct RtcEngine {
    rtc: Rtc,
    role: DtlsRole,
    now: Instant,
    started: bool,
    connected: bool,
    handshake_errors: u32,
    sections: BTreeMap<String, SectionState>,
    receives: HashMap<u32, RecvHandle>,
    next_receive: u32,
    /// SSRCs that were sent on and given up. Sealing with them again could reuse a nonce.
    retired: HashSet<u32>,
    sctp_agreed: bool,
    sctp_started: bool,
    channels: HashMap<ChannelId, ChannelHandle>,
    channel_ids: HashMap<ChannelHandle, ChannelId>,
    next_channel: u32,
    closing: HashSet<ChannelHandle>,
    resends: HashMap<u32, ResendRing>,
    rtx: RtxBudget,
    rtx_payload_types: u128,
    ssrcs: Ssrcs,
    pending: VecDeque<Output>,
    unknown_payload_types: HashSet<u8>,
}

/// A section as str0m has it.
struct SectionState {
    mid: Mid,
    kind: MediaKind,
    receive: Option<ReceiveState>,
    send: Option<Layer>,
}

struct ReceiveState {
    track_id: Arc<str>,
    layers: Vec<(Option<Layer>, RecvHandle)>,
}

impl RtcEngine {
    fn new(rtc: Rtc, role: DtlsRole, now: Instant) -> Self {
        Self {
            rtc,
            role,
            now,
            started: false,
            connected: false,
            handshake_errors: 0,
            sections: BTreeMap::new(),
            receives: HashMap::new(),
            next_receive: 0,
            retired: HashSet::new(),
            sctp_agreed: false,
            sctp_started: false,
            channels: HashMap::new(),
            channel_ids: HashMap::new(),
            next_channel: 0,
            closing: HashSet::new(),
            resends: HashMap::new(),
            rtx: RtxBudget::new(),
            rtx_payload_types: 0,
            ssrcs: Ssrcs::default(),
            pending: VecDeque::new(),
            unknown_payload_types: HashSet::new(),
        }
    }

    /// Removes what the session does not have any more, so that an SSRC may move between sections.
    fn remove_stale(&mut self, session: &NegotiatedSession) {
        let stale: Vec<String> = self
            .sections
            .iter()
            .filter(|(mid, state)| !session.sections.iter().any(|s| s.mid == **mid && s.kind == state.kind))
            .map(|(mid, _)| mid.clone())
            .collect();
        for mid in stale {
            if let Some(state) = self.sections.remove(&mid) {
                self.forget_receive(state.receive);
                self.forget_send(state.send);
                self.rtc.direct_api().remove_media(state.mid);
            }
        }
        for section in &session.sections {
            let Some(state) = self.sections.get_mut(&section.mid) else {
                continue;
            };
            let receive = match &state.receive {
                Some(receive) if !receive.matches(section) => state.receive.take(),
                _ => None,
            };
            // A send side that only pauses is parked: if the same SSRC comes back it goes on.
            let send = match (&state.send, &section.send) {
                (Some(old), Some(new)) if *old != new.layer => state.send.take(),
                _ => None,
            };
            self.forget_receive(receive);
            self.forget_send(send);
        }
    }

    fn forget_receive(&mut self, receive: Option<ReceiveState>) {
        let Some(receive) = receive else { return };
        for (layer, handle) in receive.layers {
            if let Some(layer) = layer {
                self.rtc.direct_api().remove_stream_rx(Ssrc::from(layer.ssrc));
            }
            self.receives.retain(|_, known| *known != handle);
        }
    }

    fn forget_send(&mut self, send: Option<Layer>) {
        let Some(layer) = send else { return };
        self.rtc.direct_api().remove_stream_tx(Ssrc::from(layer.ssrc));
        self.resends.remove(&layer.ssrc);
        self.retired.insert(layer.ssrc);
    }

    fn apply_section(&mut self, section: &Section) {
        if !self.sections.contains_key(&section.mid) {
            let mid = Mid::from(section.mid.as_str());
            // str0m's identifiers are short and alphanumeric; browsers number their sections.
            if *mid != *section.mid || self.sections.values().any(|state| state.mid == mid) {
                tracing::warn!(
                    mid = section.mid,
                    "left out a section whose mid the engine cannot carry"
                );
                return;
            }
            self.rtc.direct_api().declare_media(mid, media_kind(section.kind));
            let state = SectionState {
                mid,
                kind: section.kind,
                receive: None,
                send: None,
            };
            self.sections.insert(section.mid.clone(), state);
        }
        self.note_payload_types(section);
        self.apply_receive(section);
        self.apply_send(section);
    }

    fn apply_receive(&mut self, section: &Section) {
        let Some(state) = self.sections.get_mut(&section.mid) else {
            return;
        };
        let Some(receive) = &section.receive else { return };
        if state.receive.is_some() {
            return;
        }
        let nack = section.codecs.iter().any(|codec| codec.feedback.nack);
        let mut layers = Vec::new();
        let declared = receive.layers.iter().take(limits::LAYERS_MAX).map(|layer| Some(*layer));
        // Without SSRCs one stream is expected, to be found by its mid.
        let undeclared = receive.layers.is_empty().then_some(None);
        for layer in declared.chain(undeclared) {
            let handle = RecvHandle(self.next_receive);
            self.next_receive += 1;
            if let Some(layer) = layer {
                let mut api = self.rtc.direct_api();
                let rtx = layer.rtx.map(Ssrc::from);
                let stream = api.expect_stream_rx(Ssrc::from(layer.ssrc), rtx, state.mid, None);
                stream.suppress_nack(!nack);
                self.receives.insert(layer.ssrc, handle);
            }
            layers.push((layer, handle));
        }
        state.receive = Some(ReceiveState {
            track_id: receive.track_id.as_str().into(),
            layers,
        });
    }

    fn apply_send(&mut self, section: &Section) {
        let Some(state) = self.sections.get_mut(&section.mid) else {
            return;
        };
        let Some(send) = &section.send else { return };
        if state.send.is_some() {
            return;
        }
        if self.retired.contains(&send.layer.ssrc) {
            tracing::error!(
                ssrc = send.layer.ssrc,
                "left out a track whose SSRC was used and given up before"
            );
            return;
        }
        let rtx = send.layer.rtx.map(Ssrc::from);
        let mut api = self.rtc.direct_api();
        let stream = api.declare_stream_tx(Ssrc::from(send.layer.ssrc), rtx, state.mid, None);
        // No ratio cap: with one, resends are dropped just when loss is high. The budget is the bound.
        let age_max = match self.rtx.is_used_up() {
            true => Duration::ZERO,
            false => limits::RTX_AGE_MAX,
        };
        stream.set_rtx_cache(limits::RTX_PACKETS_MAX, age_max, None);
        stream.set_unpaced(true);
        state.send = Some(send.layer);
        let nack_without_rtx = section
            .codecs
            .iter()
            .any(|codec| codec.feedback.nack && codec.rtx.is_none());
        if section.kind == MediaKind::Video && nack_without_rtx && send.layer.rtx.is_none() {
            self.resends.insert(send.layer.ssrc, ResendRing::default());
        }
    }

    /// str0m's table of payload types cannot grow after its creation.
    fn note_payload_types(&mut self, section: &Section) {
        for codec in &section.codecs {
            let known = self
                .rtc
                .codec_config()
                .params()
                .iter()
                .any(|p| *p.pt() == codec.payload_type);
            if !known && self.unknown_payload_types.insert(codec.payload_type) {
                tracing::warn!(
                    payload_type = codec.payload_type,
                    "a payload type was agreed after the first session; the engine will not carry it"
                );
            }
        }
    }

    fn bindings(&self, session: &NegotiatedSession) -> Bindings {
        let mut bindings = Bindings::default();
        for section in &session.sections {
            let Some(state) = self.sections.get(&section.mid) else {
                continue;
            };
            if let (Some(receive), Some(_)) = (&state.receive, &section.receive) {
                bindings.receives.push(ReceiveBinding {
                    track_id: receive.track_id.clone(),
                    kind: section.kind,
                    layers: receive.layers.iter().map(|(_, handle)| *handle).collect(),
                    codecs: section.codecs.clone(),
                });
            }
            if let (Some(layer), None) = (&state.send, &section.send) {
                bindings.paused.push(SendHandle(layer.ssrc));
            }
            if let (Some(layer), Some(send)) = (&state.send, &section.send)
                && *layer == send.layer
            {
                let usable = |codec: &&Codec| !self.unknown_payload_types.contains(&codec.payload_type);
                bindings.sends.push(SendBinding {
                    track_id: send.track_id.clone(),
                    kind: section.kind,
                    stream: SendHandle(layer.ssrc),
                    codecs: section.codecs.iter().filter(usable).cloned().collect(),
                });
            }
        }
        bindings
    }

    fn start_sctp_when_ready(&mut self) {
        if self.sctp_agreed && self.connected && !self.sctp_started {
            self.sctp_started = true;
            self.rtc.direct_api().start_sctp(self.role == DtlsRole::Client);
        }
    }

    fn convert(&mut self, output: str0m::Output) -> Option<Polled> {
        Some(Polled::Output(match output {
            str0m::Output::Timeout(at) => return Some(Polled::Timeout(at)),
            str0m::Output::Transmit(transmit) => {
                let datagram: Vec<u8> = transmit.contents.into();
                // str0m's answers to the inner check.
                if datagram.first().is_none_or(|byte| *byte < 4) {
                    return None;
                }
                if self.is_rtx(&datagram)
                    && let Err(used_up) = self.rtx.take()
                {
                    self.stop_retransmissions(used_up.first);
                    return None;
                }
                if !self.resends.is_empty()
                    && let Some((ssrc, sequence)) = rtp_identity(&datagram)
                    && let Some(ring) = self.resends.get_mut(&ssrc)
                {
                    ring.keep(sequence, &datagram);
                }
                Output::Transmit(datagram)
            }
            str0m::Output::Event(event) => return self.convert_event(event).map(Polled::Output),
        }))
    }

    /// Whether a datagram to the client is RTP of a payload type for retransmissions.
    fn is_rtx(&self, datagram: &[u8]) -> bool {
        let payload_type = datagram.get(1).map_or(0, |byte| byte & 0x7f);
        self.rtx_payload_types & (1 << payload_type) != 0 && rtp_identity(datagram).is_some()
    }

    /// Without a cache what was asked for is not found: the queue of the library empties at once.
    fn stop_retransmissions(&mut self, newly: bool) {
        if newly {
            tracing::debug!("a client asks for more retransmissions than it may have");
            self.set_rtx_caches(Duration::ZERO);
        }
    }

    fn set_rtx_caches(&mut self, age_max: Duration) {
        let mut api = self.rtc.direct_api();
        for layer in self.sections.values().filter_map(|state| state.send) {
            if let Some(stream) = api.stream_tx(&Ssrc::from(layer.ssrc)) {
                // No ratio cap: with one, resends are dropped just when loss is high.
                stream.set_rtx_cache(limits::RTX_PACKETS_MAX, age_max, None);
            }
        }
    }

    fn convert_event(&mut self, event: Event) -> Option<Output> {
        match event {
            Event::Connected => {
                self.connected = true;
                self.start_sctp_when_ready();
                Some(Output::Connected)
            }
            Event::Closed => Some(Output::Closed),
            Event::RtpPacket(packet) => self.convert_packet(packet).map(Output::Packet),
            Event::SenderFeedback(feedback) => {
                let stream = *self.receives.get(&*feedback.sender_info.ssrc)?;
                Some(Output::SenderReport(SenderReport {
                    stream,
                    sender_clock_us: unix_us(feedback.sender_info.ntp_time),
                    timestamp: feedback.sender_info.rtp_time.numer() as u32,
                    arrival: feedback.received_at,
                }))
            }
            Event::KeyframeRequest(request) => {
                let state = self.sections.values().find(|state| state.mid == request.mid)?;
                state.send.map(|layer| Output::KeyframeWanted(SendHandle(layer.ssrc)))
            }
            Event::RawPacket(raw) => {
                self.handle_raw(*raw);
                None
            }
            Event::ChannelOpen(id, label) => self.handle_channel_open(id, label),
            Event::ChannelData(data) => {
                let channel = *self.channels.get(&data.id)?;
                Some(Output::ChannelMessage {
                    channel,
                    binary: data.binary,
                    message: data.data,
                })
            }
            Event::ChannelClose(id) => {
                let channel = self.channels.remove(&id)?;
                self.channel_ids.remove(&channel);
                self.closing.remove(&channel);
                Some(Output::ChannelClosed(channel))
            }
            Event::ChannelBufferedAmountLow(id) => self.channels.get(&id).copied().map(Output::ChannelWritable),
            _ => None,
        }
    }

    fn convert_packet(&mut self, packet: RtpPacket) -> Option<Packet> {
        let ssrc = *packet.header.ssrc;
        let stream = match self.receives.get(&ssrc) {
            Some(stream) => *stream,
            None => self.bind_by_mid(ssrc)?,
        };
        let values = &packet.header.ext_vals;
        Some(Packet {
            stream,
            payload_type: *packet.header.payload_type,
            sequence: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            extensions: HeaderExtensions {
                audio_level: values.audio_level.map(|level| (level, values.voice_activity)),
                rotation: values.video_orientation.map(|orientation| orientation as u8),
                playout_delay: values
                    .play_delay_min
                    .zip(values.play_delay_max)
                    .map(|(min, max)| (tens_of_ms(min), tens_of_ms(max))),
            },
            arrival: packet.timestamp,
            payload: packet.payload.into(),
        })
    }

    /// str0m matched a stream whose SSRC no description named, by the mid in its header.
    fn bind_by_mid(&mut self, ssrc: u32) -> Option<RecvHandle> {
        let mid = self.rtc.direct_api().stream_rx(&Ssrc::from(ssrc))?.mid();
        let state = self.sections.values().find(|state| state.mid == mid)?;
        let (_, handle) = *state
            .receive
            .as_ref()?
            .layers
            .iter()
            .find(|(layer, _)| layer.is_none())?;
        self.receives.retain(|_, known| *known != handle);
        self.receives.insert(ssrc, handle);
        Some(handle)
    }

    fn handle_raw(&mut self, raw: RawPacket) {
        let RawPacket::RtcpRx(Rtcp::Nack(nack)) = raw else {
            return;
        };
        let Some(ring) = self.resends.get_mut(&*nack.ssrc) else {
            return;
        };
        for entry in nack.reports.iter() {
            let following = (0..16)
                .filter(|bit| entry.blp & (1 << bit) != 0)
                .map(|bit| entry.pid.wrapping_add(bit + 1));
            for sequence in std::iter::once(entry.pid).chain(following) {
                if self.pending.len() >= limits::RESEND_QUEUE_MAX {
                    return;
                }
                self.pending
                    .extend(ring.resend(sequence, self.now).map(Output::Transmit));
            }
        }
    }

    fn handle_channel_open(&mut self, id: ChannelId, label: String) -> Option<Output> {
        let channel = match self.channels.get(&id) {
            Some(channel) => *channel,
            None => self.remember_channel(id),
        };
        if self.closing.remove(&channel) {
            self.rtc.direct_api().close_data_channel(id);
            return None;
        }
        let mut writer = self.rtc.channel(id)?;
        writer.set_buffered_amount_low_threshold(limits::CHANNEL_BUFFER_BYTES_MAX / 2);
        let config = writer.config().cloned().unwrap_or_default();
        let limit = match config.reliability {
            str0m::channel::Reliability::Reliable => Delivery::Reliable,
            str0m::channel::Reliability::MaxPacketLifetime { lifetime } => Delivery::LifetimeMs(lifetime),
            str0m::channel::Reliability::MaxRetransmits { retransmits } => Delivery::Retransmits(retransmits),
        };
        let reliability = Reliability {
            ordered: config.ordered,
            limit,
            protocol: config.protocol,
        };
        Some(Output::ChannelOpen {
            channel,
            label,
            reliability,
        })
    }

    fn remember_channel(&mut self, id: ChannelId) -> ChannelHandle {
        let channel = ChannelHandle(self.next_channel);
        self.next_channel += 1;
        self.channels.insert(id, channel);
        self.channel_ids.insert(channel, id);
        channel
    }
}

impl Engine for RtcEngine {
    fn apply(&mut self, session: &Arc<NegotiatedSession>, now: Instant) -> Result<Bindings, EngineError> {
        self.now = now;
        self.ssrcs.apply(session);
        let codecs = session.sections.iter().flat_map(|section| &section.codecs);
        for rtx in codecs.filter_map(|codec| codec.rtx) {
            self.rtx_payload_types |= 1 << (rtx & 0x7f);
        }
        self.remove_stale(session);
        for section in &session.sections {
            self.apply_section(section);
        }
        let feedback = |section: &Section| section.extensions.iter().any(|(_, e)| *e == Extension::TransportWideCc);
        if session.sections.iter().any(feedback) {
            self.rtc.direct_api().enable_twcc_feedback();
        }
        self.sctp_agreed |= session.sctp.is_some();
        self.start_sctp_when_ready();
        Ok(self.bindings(session))
    }

    fn start(&mut self, now: Instant) -> Result<(), EngineError> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        self.now = now;
        let check = stun::nominating_request(&format!("{INNER_UFRAG}:{INNER_UFRAG}"), INNER_PWD, [1; 12]);
        let receive = Receive::new(Protocol::Udp, INNER_REMOTE, INNER_LOCAL, &check)
            .map_err(|error| EngineError::Failed(error.to_string()))?;
        self.rtc.handle_input(Input::Receive(now, receive)).map_err(failed)?;
        self.rtc
            .direct_api()
            .start_dtls(self.role == DtlsRole::Client)
            .map_err(failed)
    }

    fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<Received, EngineError> {
        self.now = now;
        if !self.ssrcs.admit(datagram) {
            return Ok(Received::Undeclared);
        }
        let Ok(receive) = Receive::new(Protocol::Udp, INNER_REMOTE, INNER_LOCAL, datagram) else {
            return Ok(Received::Taken);
        };
        if let Err(error) = self.rtc.handle_input(Input::Receive(now, receive)) {
            // Once connected, a datagram that does not fit is a forgery, not the client's end.
            self.handshake_errors += u32::from(!self.connected);
            if !self.rtc.is_alive() || self.handshake_errors > HANDSHAKE_ERRORS_MAX {
                return Err(failed(error));
            }
            tracing::debug!(%error, "ignored a datagram");
        }
        Ok(Received::Taken)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), EngineError> {
        self.now = now;
        self.rtc.handle_input(Input::Timeout(now)).map_err(failed)
    }

    fn poll(&mut self) -> Result<Polled, EngineError> {
        loop {
            if let Some(output) = self.pending.pop_front() {
                return Ok(Polled::Output(output));
            }
            let output = self.rtc.poll_output().map_err(failed)?;
            match self.convert(output) {
                // A NACK that was just read may have put packets into the queue.
                Some(Polled::Timeout(_)) if !self.pending.is_empty() => {}
                Some(polled) => return Ok(polled),
                None => {}
            }
        }
    }

    fn send(&mut self, stream: SendHandle, packet: &SendPacket, now: Instant, _: &mut [u8]) -> Sent {
        self.now = now;
        if packet.repairable && self.rtx.sent() {
            self.set_rtx_caches(limits::RTX_AGE_MAX);
        }
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx(&Ssrc::from(stream.0)) else {
            return Sent::Refused;
        };
        let patch = packet.vp8.and_then(|ids| vp8_patch(&packet.payload, ids));
        let mut write = RtpWrite::new(
            Pt::from(packet.payload_type),
            packet.sequence.into(),
            packet.timestamp,
            packet.captured.min(self.now),
            packet.payload.whole(),
        )
        .marker(packet.marker)
        .ext_vals(extension_values(packet.extensions))
        .nackable(packet.repairable);
        if let Some(patch) = patch {
            write = write.vp8_patch(patch);
        }
        stream.write_rtp(write);
        Sent::Queued
    }

    fn wants_run(&self) -> bool {
        true
    }

    fn request_keyframe(&mut self, stream: RecvHandle) {
        let ssrc = self
            .receives
            .iter()
            .find(|(_, handle)| **handle == stream)
            .map(|(ssrc, _)| *ssrc);
        let mut api = self.rtc.direct_api();
        if let Some(stream) = ssrc.and_then(|ssrc| api.stream_rx(&Ssrc::from(ssrc))) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    fn open_channel(&mut self, label: &str, reliability: Reliability) -> ChannelHandle {
        let config = ChannelConfig {
            label: label.to_owned(),
            ordered: reliability.ordered,
            reliability: match reliability.limit {
                Delivery::Reliable => str0m::channel::Reliability::Reliable,
                Delivery::LifetimeMs(lifetime) => str0m::channel::Reliability::MaxPacketLifetime { lifetime },
                Delivery::Retransmits(retransmits) => str0m::channel::Reliability::MaxRetransmits { retransmits },
            },
            negotiated: None,
            protocol: reliability.protocol,
        };
        let id = self.rtc.direct_api().create_data_channel(config);
        self.remember_channel(id)
    }

    fn write_channel(&mut self, channel: ChannelHandle, binary: bool, message: &[u8]) -> Written {
        let Some(mut writer) = self.channel_ids.get(&channel).and_then(|id| self.rtc.channel(*id)) else {
            return Written::Closed;
        };
        if writer.buffered_amount() + message.len() > limits::CHANNEL_BUFFER_BYTES_MAX {
            return Written::Full;
        }
        match writer.write(binary, message) {
            Ok(true) => Written::Accepted,
            Ok(false) => Written::Full,
            Err(error) => {
                tracing::debug!(%error, "a message was not written");
                Written::Closed
            }
        }
    }

    fn close_channel(&mut self, channel: ChannelHandle) {
        let Some(id) = self.channel_ids.get(&channel).copied() else {
            return;
        };
        // Before it is open there is nothing to close: its opening is awaited.
        if self.rtc.channel(id).is_some() {
            self.rtc.direct_api().close_data_channel(id);
        } else {
            self.closing.insert(channel);
        }
    }

    fn close(&mut self, now: Instant) -> Result<(), EngineError> {
        self.now = now;
        self.rtc.close().map_err(failed)
    }
}

impl ReceiveState {
    /// Whether the section still means the same streams.
    fn matches(&self, section: &Section) -> bool {
        let Some(receive) = &section.receive else { return false };
        let wanted = receive.layers.iter().take(limits::LAYERS_MAX);
        *self.track_id == *receive.track_id
            && self.layers.iter().filter_map(|(layer, _)| layer.as_ref()).eq(wanted)
            && receive.layers.is_empty() == self.layers.iter().all(|(layer, _)| layer.is_none())
    }
}

#[cfg(test)]
mod tests;
