//! Streams from the client: whose packet it is, retransmissions unwrapped, and what is to be told of them.

use std::time::{Duration, Instant};

use negotiation::{Codec, Extension, Layer, NegotiatedSession, Section};

use super::super::{HeaderExtensions, Packet, Pool, RecvHandle, SenderReport};
use super::clock::unix_us;
use super::slots::Slots;
use crate::feedback::arrivals::Arrivals;
use crate::feedback::missing::{Arrived, Missing};
use crate::feedback::reception::Reception;
use crate::limits;
use crate::srtp::Opener;
use crate::wire::extension::{AudioLevel, ExtensionIds, playout_delay, rotation, transport_sequence};
use crate::wire::rtcp::{self, ReportBlock};
use crate::wire::rtp::Rtp;

/// Browsers probe the bandwidth with padding on this SSRC.
const PROBE: u32 = 0;

/// How far before the first packet of another SSRC on the same stream late ones find a place.
const BACKFILL: u64 = 256;

/// Hz, of a packet whose payload type nobody agreed on.
const CLOCK_RATE_ASSUMED: u32 = 90_000;

/// What a packet was.
pub(super) enum Heard {
    Packet(Packet),
    /// A probe, padding, a repetition.
    Nothing,
    /// Authentic, and of no stream of the session.
    Stranger,
}

/// All streams from a client.
pub(super) struct Inbound {
    pub(super) streams: Slots<ReceiveStream>,
    /// Sorted.
    by_ssrc: Vec<(u32, Role)>,
    /// Mids of sections whose streams have no SSRC in the description.
    unnamed: Vec<(String, RecvHandle)>,
    /// Ids mean the same in all sections of a bundle, and so do payload types.
    ids: ExtensionIds,
    /// Payload types of retransmissions and what they repair, a place for each number.
    repairs: Box<[Option<u8>; 128]>,
    /// Of packets with a transport-wide number, if such were agreed on.
    pub(super) arrivals: Option<Arrivals>,
    epoch: Instant,
    /// The time that an answer of the client's takes, once it was measured.
    pub(super) round_trip: Option<Duration>,
    /// The next request for packets that were lost, and not before.
    pub(super) ask_at: Option<Instant>,
    /// A key frame is to be asked for on some stream.
    pub(super) keyframes_wanted: bool,
}

/// What an SSRC is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Media(RecvHandle),
    /// Retransmissions of that stream.
    Repair(RecvHandle),
}

/// One stream: a layer of a track.
pub(super) struct ReceiveStream {
    handle: RecvHandle,
    /// Of the media, once it is known.
    pub(super) ssrc: Option<u32>,
    repair: Option<u32>,
    codecs: Vec<Codec>,
    /// Since the first packet of its SSRC.
    pub(super) reception: Option<Reception>,
    pub(super) missing: Missing,
    /// The number of the first packet of its SSRC.
    first: Option<u64>,
    /// What is added to numbers, modulo 2^64: another SSRC goes on where the one before ended.
    offset: u64,
    highest: Option<u64>,
    pool: Pool,
    /// When the last packet came.
    heard: Option<Instant>,
    pub(super) keyframe_wanted: bool,
    /// Counts requests for key frames by FIR.
    pub(super) fir: u8,
}

impl Inbound {
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            streams: Slots::default(),
            by_ssrc: Vec::new(),
            unnamed: Vec::new(),
            ids: ExtensionIds::default(),
            repairs: Box::new([None; 128]),
            arrivals: None,
            epoch,
            round_trip: None,
            ask_at: None,
            keyframes_wanted: false,
        }
    }

    /// Takes what a session says of all sections together.
    pub(super) fn agree(&mut self, session: &NegotiatedSession) {
        let mut agreed: Vec<(u8, Extension)> = Vec::new();
        for extension in session.sections.iter().flat_map(|section| &section.extensions) {
            if !agreed.contains(extension) {
                agreed.push(*extension);
            }
        }
        if agreed
            .iter()
            .any(|(_, extension)| *extension == Extension::TransportWideCc)
        {
            let epoch = self.epoch;
            self.arrivals.get_or_insert_with(|| Arrivals::new(epoch));
        }
        self.ids = ExtensionIds::new(&agreed);
        self.repairs.fill(None);
        for codec in session.sections.iter().flat_map(|section| &section.codecs) {
            if let Some(rtx) = codec.rtx {
                self.repairs[usize::from(rtx & 0x7f)] = Some(codec.payload_type);
            }
        }
    }

    /// Adds a stream of a section; without a layer it is found by the section's mid.
    pub(super) fn add(&mut self, section: &Section, layer: Option<Layer>) -> Option<RecvHandle> {
        let handle = RecvHandle(self.streams.insert(ReceiveStream {
            handle: RecvHandle(0),
            ssrc: layer.map(|layer| layer.ssrc),
            repair: layer.and_then(|layer| layer.rtx),
            codecs: section.codecs.clone(),
            reception: None,
            missing: Missing::default(),
            first: None,
            offset: 0,
            highest: None,
            pool: Pool::default(),
            heard: None,
            keyframe_wanted: false,
            fir: 0,
        })?);
        if let Some(stream) = self.streams.get_mut(handle.0) {
            stream.handle = handle;
        }
        match layer {
            Some(layer) => {
                self.assign(layer.ssrc, Role::Media(handle));
                if let Some(rtx) = layer.rtx {
                    self.assign(rtx, Role::Repair(handle));
                }
            }
            None => self.unnamed.push((section.mid.clone(), handle)),
        }
        Some(handle)
    }

    /// A later session has other formats for a stream that stays.
    pub(super) fn update(&mut self, handle: RecvHandle, section: &Section) {
        if let Some(stream) = self.streams.get_mut(handle.0) {
            stream.codecs.clone_from(&section.codecs);
        }
    }

    pub(super) fn remove(&mut self, handle: RecvHandle) {
        self.streams.remove(handle.0);
        self.by_ssrc.retain(|(_, role)| role.handle() != handle);
        self.unnamed.retain(|(_, unnamed)| *unnamed != handle);
    }

    /// Tells which SSRCs may be opened.
    pub(super) fn declare(&self, opener: &mut Opener) {
        let declared = self.by_ssrc.iter().map(|(ssrc, _)| *ssrc);
        let learn = match self.unnamed.is_empty() {
            true => 0,
            false => limits::UNDECLARED_SSRCS_MAX,
        };
        opener.declare(declared.chain(std::iter::once(PROBE)), learn);
    }

    /// Any SSRC of the client's: feedback for all has to name one.
    pub(super) fn any_ssrc(&self) -> u32 {
        self.by_ssrc.first().map_or(PROBE, |(ssrc, _)| *ssrc)
    }

    pub(super) fn request_keyframe(&mut self, handle: RecvHandle) {
        if let Some(stream) = self.streams.get_mut(handle.0) {
            stream.keyframe_wanted = true;
            self.keyframes_wanted = true;
        }
    }

    /// What is missing is not asked for.
    pub(super) fn miss_nothing(&mut self) {
        for stream in self.streams.iter_mut() {
            stream.missing = Missing::default();
        }
    }

    pub(super) fn set_round_trip(&mut self, measured: Duration) {
        self.round_trip = Some(measured);
    }

    /// A packet that was opened, with its sequence number extended.
    pub(super) fn receive(&mut self, packet: &[u8], sequence: u64, now: Instant) -> Heard {
        let Some(rtp) = Rtp::parse(packet) else {
            return Heard::Nothing;
        };
        let mut extensions = HeaderExtensions::default();
        let mut mid = None;
        for (id, data) in rtp.extensions() {
            match self.ids.extension(id) {
                Some(Extension::TransportWideCc) => self.arrived(data, now),
                Some(Extension::Mid) => mid = Some(data),
                Some(Extension::AudioLevel) => {
                    extensions.audio_level =
                        AudioLevel::parse(data).map(|audio| (-(audio.level as i8), Some(audio.voice)));
                }
                Some(Extension::VideoOrientation) => extensions.rotation = rotation(data),
                Some(Extension::PlayoutDelay) => extensions.playout_delay = playout_delay(data),
                Some(Extension::AbsSendTime) | None => {}
            }
        }
        let ssrc = rtp.ssrc();
        let role = match self.role(ssrc) {
            Some(role) => role,
            None if ssrc == PROBE => return Heard::Nothing,
            None => match self.learn(&rtp, mid) {
                Some(role) => role,
                None => return Heard::Stranger,
            },
        };
        let Some(payload) = rtp.payload() else {
            return Heard::Nothing;
        };
        let handle = role.handle();
        let Some(stream) = self.streams.get_mut(handle.0) else {
            return Heard::Nothing;
        };
        let found = match role {
            Role::Media(_) => stream
                .received(&rtp, sequence, now)
                .map(|sequence| (rtp.payload_type(), sequence, payload)),
            Role::Repair(_) => stream.repaired(&rtp, payload, &self.repairs, now),
        };
        if let Some(at) = stream.missing.due_at() {
            self.ask_at = Some(self.ask_at.map_or(at, |before| before.min(at)));
        }
        let Some((payload_type, sequence, payload)) = found else {
            return Heard::Nothing;
        };
        Heard::Packet(Packet {
            stream: handle,
            payload_type,
            sequence,
            timestamp: rtp.timestamp(),
            marker: rtp.marker(),
            extensions,
            arrival: now,
            payload: stream.pool.lend(payload),
        })
    }

    /// A report of the client's on one of its streams.
    pub(super) fn handle_sender_report(&mut self, report: &rtcp::SenderReport, now: Instant) -> Option<SenderReport> {
        let Some(Role::Media(handle)) = self.role(report.ssrc) else {
            return None;
        };
        let stream = self.streams.get_mut(handle.0)?;
        if let Some(reception) = &mut stream.reception {
            reception.sender_report(report, now);
        }
        Some(SenderReport {
            stream: handle,
            sender_clock_us: unix_us(report.ntp),
            timestamp: report.timestamp,
            arrival: now,
        })
    }

    fn arrived(&mut self, data: &[u8], now: Instant) {
        if let (Some(arrivals), Some(sequence)) = (&mut self.arrivals, transport_sequence(data)) {
            arrivals.received(sequence, now);
        }
    }

    fn role(&self, ssrc: u32) -> Option<Role> {
        let place = self.by_ssrc.binary_search_by_key(&ssrc, |(of, _)| *of).ok()?;
        Some(self.by_ssrc[place].1)
    }

    fn assign(&mut self, ssrc: u32, role: Role) {
        match self.by_ssrc.binary_search_by_key(&ssrc, |(of, _)| *of) {
            Ok(place) => self.by_ssrc[place].1 = role,
            Err(place) => self.by_ssrc.insert(place, (ssrc, role)),
        }
    }

    /// A stream whose SSRC no description named is found by the mid in its header.
    fn learn(&mut self, rtp: &Rtp<'_>, mid: Option<&[u8]>) -> Option<Role> {
        let mid = mid?;
        let (_, handle) = *self.unnamed.iter().find(|(unnamed, _)| unnamed.as_bytes() == mid)?;
        let is_repair = self.repairs[usize::from(rtp.payload_type())].is_some();
        let stream = self.streams.get_mut(handle.0)?;
        let (before, role) = match is_repair {
            true => (stream.repair.replace(rtp.ssrc()), Role::Repair(handle)),
            false => {
                stream.go_on();
                (stream.ssrc.replace(rtp.ssrc()), Role::Media(handle))
            }
        };
        if let Some(before) = before {
            self.by_ssrc.retain(|(ssrc, _)| *ssrc != before);
        }
        self.assign(rtp.ssrc(), role);
        Some(role)
    }
}

impl Role {
    fn handle(self) -> RecvHandle {
        match self {
            Self::Media(handle) | Self::Repair(handle) => handle,
        }
    }
}

impl ReceiveStream {
    /// A packet of the media itself; its number on this stream, unless it was repaired before.
    fn received(&mut self, rtp: &Rtp<'_>, sequence: u64, now: Instant) -> Option<u64> {
        self.heard = Some(now);
        let first = *self.first.get_or_insert_with(|| {
            if let Some(highest) = self.highest {
                self.offset = (highest + 1 + BACKFILL).wrapping_sub(sequence);
            }
            sequence
        });
        let clock_rate = self.clock_rate(rtp.payload_type());
        self.reception
            .get_or_insert_with(|| Reception::new(rtp.ssrc(), clock_rate))
            .received(sequence, rtp.timestamp(), now);
        let is_new = !self.is_asked_for()
            || self.missing.received(sequence, now) != Arrived::Unexpected
            // What was overtaken by the first.
            || sequence < first;
        is_new.then(|| self.place(sequence))
    }

    /// A retransmission (RFC 4588 section 4): payload type, number and payload of what it repairs.
    fn repaired<'p>(
        &mut self,
        rtp: &Rtp<'_>,
        payload: &'p [u8],
        repairs: &[Option<u8>; 128],
        now: Instant,
    ) -> Option<(u8, u64, &'p [u8])> {
        let payload_type = (*repairs.get(usize::from(rtp.payload_type()))?)?;
        let (original, payload) = payload.split_first_chunk::<2>()?;
        let sequence = self.missing.extended(u16::from_be_bytes(*original))?;
        match self.missing.received(sequence, now) {
            Arrived::Newest | Arrived::Awaited => Some((payload_type, self.place(sequence), payload)),
            Arrived::Unexpected => None,
        }
    }

    /// The number of a packet of the present SSRC on this stream.
    fn place(&mut self, sequence: u64) -> u64 {
        let sequence = sequence.wrapping_add(self.offset);
        self.highest = Some(self.highest.map_or(sequence, |highest| highest.max(sequence)));
        sequence
    }

    /// Another SSRC takes the stream over.
    fn go_on(&mut self) {
        self.reception = None;
        self.missing = Missing::default();
        self.first = None;
    }

    /// What is told of it, if anything came; a stream that fell silent lets go of its buffers.
    pub(super) fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        if self
            .heard
            .is_none_or(|at| now.saturating_duration_since(at) > limits::RTX_AGE_MAX)
        {
            self.pool.clear();
        }
        self.reception.as_mut()?.report(now)
    }

    /// Whether the client sends again what is asked for.
    fn is_asked_for(&self) -> bool {
        self.codecs.iter().any(|codec| codec.feedback.nack)
    }

    /// Whether the client knows PLI for this stream.
    pub(super) fn knows_pli(&self) -> bool {
        let video = || {
            self.codecs
                .iter()
                .filter(|codec| codec.feedback.pli || codec.feedback.fir)
        };
        video().next().is_none() || video().any(|codec| codec.feedback.pli)
    }

    fn clock_rate(&self, payload_type: u8) -> u32 {
        let codec = self.codecs.iter().find(|codec| codec.payload_type == payload_type);
        codec.map_or(CLOCK_RATE_ASSUMED, |codec| codec.clock_rate)
    }
}
