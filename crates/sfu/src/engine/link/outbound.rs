//! Streams to the client: headers, sealing, and what is sent again.

use std::sync::Arc;
use std::time::Instant;

use negotiation::{Codec, Extension, Layer, MediaKind, Section, Send, stream_index};

use super::super::resend::ResendRing;
use super::super::rtx::RtxBudget;
use super::super::{HeaderExtensions, SendHandle, SendPacket, Vp8Ids};
use super::clock::Clock;
use super::history::History;
use super::slots::Slots;
use crate::codec::replace_vp8_ids;
use crate::feedback::sent::Sent as Record;
use crate::limits;
use crate::srtp::Sealer;
use crate::wire::extension::{AudioLevel, ExtensionIds, absolute_send_time, playout_delay_bytes};
use crate::wire::rtp::{ExtensionForm, RtpHeader, RtpWriter};
use crate::wire::twcc::Feedback;

/// Room for a packet: more than any that arrives, and what is added to it.
const ROOM_BYTES: usize = 2048;

/// Packets of a frame are padded to a multiple of so many bytes. Encoders cut frames into pieces that differ by a byte, and
/// only packets of one size go to the kernel in one piece.
const ROUND_BYTES: usize = 8;

/// So many packets say their mid; the descriptions name the SSRC already.
const MID_PACKETS: u32 = 50;

/// A stream to the client.
pub(super) struct SendStream {
    pub(super) layer: Layer,
    pub(super) cname: Arc<str>,
    ids: Ids,
    mid: Box<[u8]>,
    codecs: Vec<Codec>,
    repair: Repair,
    /// The number of the last FIR.
    fir: Option<u8>,
    /// Counted for sender reports, which wrap (RFC 3550 section 6.4.1).
    pub(super) packets: u32,
    pub(super) octets: u32,
    /// Of the newest packet.
    pub(super) latest: Option<Latest>,
}

/// What relates a stream's timestamps to our clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latest {
    pub(super) timestamp: u32,
    pub(super) captured: Instant,
    pub(super) clock_rate: u32,
    pub(super) sent: Instant,
}

/// How lost packets of a stream are repaired.
enum Repair {
    None,
    /// On a stream of its own, with numbers of its own.
    Rtx {
        ssrc: u32,
        next: u64,
        history: History,
    },
    /// By the same bytes again.
    Same(ResendRing),
}

/// The ids of header extensions in a section.
#[derive(Debug, Clone, Copy)]
struct Ids {
    audio_level: Option<u8>,
    rotation: Option<u8>,
    playout_delay: Option<u8>,
    mid: Option<u8>,
    send_time: Option<u8>,
    transport: Option<u8>,
    form: ExtensionForm,
}

/// What all streams to a client share.
pub(super) struct Outbound {
    streams: Slots<SendStream>,
    /// By the index that SSRCs tell.
    indices: Vec<Index>,
    /// SSRCs of streams that were added since somebody asked.
    begun: Vec<u32>,
    budget: RtxBudget,
    /// What was sent under which transport-wide number: an estimator of the way to the client will read it.
    record: Record,
    clock: Clock,
    /// When the first packet was sent on a stream that no report told of yet.
    pub(super) first_unreported: Option<Instant>,
}

/// What had an index.
#[derive(Debug, Clone, Copy, Default)]
struct Index {
    /// The highest SSRC. SSRCs of an index ascend: those up to it were used, and sealing with them again could reuse a
    /// nonce.
    ssrc: u32,
    /// The stream whose media has it now.
    media: Option<SendHandle>,
}

impl Outbound {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            streams: Slots::default(),
            indices: Vec::new(),
            begun: Vec::new(),
            budget: RtxBudget::new(),
            record: Record::new(clock.epoch()),
            clock,
            first_unreported: None,
        }
    }

    /// What was sent is not sent again.
    pub(super) fn keep_nothing(&mut self) {
        self.streams.iter_mut().for_each(SendStream::keep_nothing);
    }

    /// Adds the stream of a section; `None` if its SSRCs were used before, or their indices are.
    pub(super) fn add(&mut self, section: &Section, send: &Send) -> Option<SendHandle> {
        let is_used = |ssrc: u32| {
            let index = self.indices.get(stream_index(ssrc));
            index.is_some_and(|index| index.media.is_some() || ssrc <= index.ssrc)
        };
        if ssrcs(send.layer).any(is_used) {
            tracing::error!(
                ssrc = send.layer.ssrc,
                "left out a track whose SSRC does not lie above those before"
            );
            return None;
        }
        let handle = SendHandle(self.streams.insert(SendStream::new(section, send, &self.clock))?);
        for ssrc in ssrcs(send.layer) {
            let index = stream_index(ssrc);
            if self.indices.len() <= index {
                self.indices.resize(index + 1, Index::default());
            }
            self.indices[index].ssrc = ssrc;
            self.begun.push(ssrc);
        }
        self.indices[stream_index(send.layer.ssrc)].media = Some(handle);
        Some(handle)
    }

    /// A later session has other ids or formats for a stream that stays.
    pub(super) fn update(&mut self, handle: SendHandle, section: &Section) {
        if let Some(stream) = self.streams.get_mut(handle.0) {
            stream.agree(section);
        }
    }

    /// Gives a stream up; its SSRCs are never used again.
    pub(super) fn remove(&mut self, handle: SendHandle) {
        if let Some(stream) = self.streams.remove(handle.0)
            && let Some(index) = self.indices.get_mut(stream_index(stream.layer.ssrc))
        {
            index.media = None;
        }
    }

    /// SSRCs of streams that were added since this was asked.
    pub(super) fn take_begun(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.begun)
    }

    /// All SSRCs.
    pub(super) fn ssrcs(&mut self) -> Vec<u32> {
        self.streams.iter_mut().flat_map(|stream| ssrcs(stream.layer)).collect()
    }

    pub(super) fn streams(&mut self) -> impl Iterator<Item = &mut SendStream> {
        self.streams.iter_mut()
    }

    /// The stream whose media has an SSRC.
    pub(super) fn by_ssrc(&self, ssrc: u32) -> Option<SendHandle> {
        let index = self.indices.get(stream_index(ssrc))?;
        index.media.filter(|_| index.ssrc == ssrc)
    }

    /// Whether the client asks for another key frame of a stream: a repetition has the same number (RFC 5104 section
    /// 4.3.1.1).
    pub(super) fn is_new_fir(&mut self, handle: SendHandle, number: u8) -> bool {
        let stream = self.streams.get_mut(handle.0);
        stream.is_some_and(|stream| stream.fir.replace(number) != Some(number))
    }

    /// An SSRC of ours; reports name one as their sender.
    pub(super) fn any_ssrc(&self) -> Option<u32> {
        let index = self.indices.iter().find(|index| index.media.is_some())?;
        Some(index.ssrc)
    }

    /// The client tells which packets arrived.
    pub(super) fn handle_feedback(&mut self, feedback: &Feedback<'_>, now: Instant) {
        self.record.feedback(feedback, now, |_| ());
    }

    /// Reads what [`Self::send`] will read.
    pub(super) fn touch(&self, handle: SendHandle, sealer: Option<&Sealer>) -> u64 {
        let stream = self.streams.get(handle.0).map_or(0, |stream| {
            stream.touch() ^ sealer.map_or(0, |sealer| sealer.touch(stream.layer.ssrc))
        });
        stream ^ self.record.touch()
    }

    /// Seals a packet into the room and returns its length; `None` if the stream is not there, or its number was used.
    pub(super) fn send(
        &mut self,
        handle: SendHandle,
        packet: &SendPacket,
        sealer: &mut Sealer,
        now: Instant,
        room: &mut [u8],
    ) -> Option<usize> {
        let stream = self.streams.get_mut(handle.0)?;
        let header = RtpHeader {
            payload_type: packet.payload_type,
            marker: packet.marker,
            sequence: packet.sequence as u16,
            timestamp: packet.timestamp,
            ssrc: stream.layer.ssrc,
        };
        let body = Body {
            header,
            sequence: packet.sequence,
            original: None,
            extensions: packet.extensions,
            vp8: packet.vp8,
            payload: &packet.payload,
            rounded: packet.rounded,
        };
        let stamp = Stamp::next(stream, &body, &mut self.record, &self.clock, now);
        let length = body.seal(stream, &stamp, sealer, room)?;
        if packet.repairable {
            self.budget.sent();
        }
        if stream.packets == 0 {
            self.first_unreported.get_or_insert(now);
        }
        stream.count(packet, now);
        stream.keep(packet, &room[..length], now);
        Some(length)
    }

    /// The client lacks a packet: it is sent again, if it may be.
    pub(super) fn send_again(
        &mut self,
        handle: SendHandle,
        sequence: u16,
        sealer: &mut Sealer,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let stream = self.streams.get_mut(handle.0)?;
        let (ssrc, number, sent) = match &mut stream.repair {
            Repair::None => return None,
            Repair::Same(ring) => return ring.resend(sequence, now),
            Repair::Rtx { ssrc, next, history } => {
                if self.budget.is_used_up() {
                    return None;
                }
                let sent = history.take(sequence, now)?;
                self.budget.take().ok()?;
                *next += 1;
                (*ssrc, *next, sent)
            }
        };
        let payload_type = stream.rtx(sent.payload_type)?;
        let header = RtpHeader {
            payload_type,
            marker: sent.marker,
            sequence: number as u16,
            timestamp: sent.timestamp,
            ssrc,
        };
        let body = Body {
            header,
            sequence: number,
            original: Some(sent.sequence),
            extensions: sent.extensions,
            vp8: sent.vp8,
            payload: &sent.payload,
            rounded: false,
        };
        let stamp = Stamp::next(stream, &body, &mut self.record, &self.clock, now);
        let mut room = [0; ROOM_BYTES];
        let length = body.seal(stream, &stamp, sealer, &mut room)?;
        Some(room[..length].to_vec())
    }
}

impl SendStream {
    fn new(section: &Section, send: &Send, clock: &Clock) -> Self {
        let mut stream = Self {
            layer: send.layer,
            cname: send.cname.clone(),
            ids: Ids::new(&[]),
            mid: Box::default(),
            codecs: Vec::new(),
            repair: Repair::None,
            fir: None,
            packets: 0,
            octets: 0,
            latest: None,
        };
        stream.agree(section);
        let nack_without_rtx = |codec: &Codec| codec.feedback.nack && codec.rtx.is_none();
        stream.repair = match send.layer.rtx {
            Some(ssrc) => Repair::Rtx {
                ssrc,
                next: 0,
                history: History::new(clock.epoch()),
            },
            None if section.kind == MediaKind::Video && section.codecs.iter().any(nack_without_rtx) => {
                Repair::Same(ResendRing::default())
            }
            None => Repair::None,
        };
        stream
    }

    fn agree(&mut self, section: &Section) {
        self.ids = Ids::new(&section.extensions);
        self.mid = section.mid.as_bytes().into();
        self.codecs.clone_from(&section.codecs);
    }

    fn touch(&self) -> u64 {
        let history = match &self.repair {
            Repair::Rtx { history, .. } => history.touch(),
            Repair::None | Repair::Same(_) => 0,
        };
        let codec = self.codecs.first().map_or(0, |codec| codec.payload_type);
        // A stream lies in several lines of the cache.
        history ^ u64::from(codec) ^ u64::from(self.packets) ^ u64::from(self.ids.mid.unwrap_or(0))
    }

    fn codec(&self, payload_type: u8) -> Option<&Codec> {
        self.codecs.iter().find(|codec| codec.payload_type == payload_type)
    }

    fn rtx(&self, payload_type: u8) -> Option<u8> {
        self.codec(payload_type)?.rtx
    }

    fn count(&mut self, packet: &SendPacket, now: Instant) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
        // A packet that comes late says nothing new.
        let is_newer = |latest: Latest| (packet.timestamp.wrapping_sub(latest.timestamp) as i32) > 0;
        if self.latest.is_none_or(is_newer)
            && let Some(codec) = self.codec(packet.payload_type)
        {
            self.latest = Some(Latest {
                timestamp: packet.timestamp,
                captured: packet.captured,
                clock_rate: codec.clock_rate,
                sent: now,
            });
        }
    }

    fn keep(&mut self, packet: &SendPacket, datagram: &[u8], now: Instant) {
        if !packet.repairable {
            return;
        }
        match &mut self.repair {
            Repair::None => {}
            Repair::Same(ring) => ring.keep(packet.sequence as u16, datagram),
            Repair::Rtx { history, .. } => history.keep(packet, now),
        }
    }

    fn keep_nothing(&mut self) {
        match &mut self.repair {
            Repair::None => {}
            Repair::Same(ring) => *ring = ResendRing::default(),
            Repair::Rtx { history, .. } => history.clear(),
        }
    }

    /// Lets go of what nobody will ask for any more.
    pub(super) fn expire(&mut self, now: Instant) {
        if let Repair::Rtx { history, .. } = &mut self.repair {
            history.expire(now);
        }
    }
}

fn ssrcs(layer: Layer) -> impl Iterator<Item = u32> {
    std::iter::once(layer.ssrc).chain(layer.rtx)
}

/// What a packet says of the transport: different each time one is sent.
struct Stamp {
    transport: u16,
    send_time: [u8; 3],
}

impl Stamp {
    fn next(stream: &SendStream, body: &Body<'_>, record: &mut Record, clock: &Clock, now: Instant) -> Self {
        Self {
            transport: stream.ids.transport.map_or(0, |_| record.send(body.payload.len(), now)),
            send_time: absolute_send_time(clock.micros(now)),
        }
    }
}

/// A packet before it is written.
struct Body<'a> {
    header: RtpHeader,
    /// Extended.
    sequence: u64,
    /// It is a retransmission of this one.
    original: Option<u16>,
    extensions: HeaderExtensions,
    vp8: Option<Vp8Ids>,
    payload: &'a [u8],
    /// Is padded to a multiple of [`ROUND_BYTES`].
    rounded: bool,
}

impl Body<'_> {
    /// Writes and seals it into the room; returns its length.
    fn seal(&self, stream: &SendStream, stamp: &Stamp, sealer: &mut Sealer, room: &mut [u8]) -> Option<usize> {
        let header_len = self.write_header(stream, stamp, room)?;
        let original = self.original.map(u16::to_be_bytes);
        let original = original.as_ref().map_or(&[][..], |original| &original[..]);
        let payload_at = header_len + original.len();
        let length = payload_at + self.payload.len();
        room.get_mut(header_len..payload_at)?.copy_from_slice(original);
        let payload = room.get_mut(payload_at..length)?;
        payload.copy_from_slice(self.payload);
        if let Some(ids) = self.vp8 {
            replace_vp8_ids(payload, ids);
        }
        let length = match self.rounded {
            true => pad(room, length),
            false => length,
        };
        let sealed = sealer.seal_rtp(room, length, header_len, self.sequence);
        sealed
            .map_err(|error| tracing::debug!(ssrc = self.header.ssrc, %error, "a packet was not sealed"))
            .ok()
    }

    fn write_header(&self, stream: &SendStream, stamp: &Stamp, room: &mut [u8]) -> Option<usize> {
        let ids = &stream.ids;
        let mut writer = RtpWriter::new(room, &self.header, ids.form)?;
        // Extensions without room are left out: none of them is needed to play the packet.
        if let Some(id) = ids.transport {
            writer.extension(id, &stamp.transport.to_be_bytes());
        }
        if let Some(id) = ids.send_time {
            writer.extension(id, &stamp.send_time);
        }
        if let (Some(id), Some((level, voice))) = (ids.audio_level, self.extensions.audio_level) {
            let level = AudioLevel {
                level: level.unsigned_abs().min(127),
                voice: voice.unwrap_or(false),
            };
            writer.extension(id, &level.bytes());
        }
        if let (Some(id), Some(rotation)) = (ids.rotation, self.extensions.rotation) {
            writer.extension(id, &[rotation & 0x03]);
        }
        if let (Some(id), Some(delay)) = (ids.playout_delay, self.extensions.playout_delay) {
            writer.extension(id, &playout_delay_bytes(delay));
        }
        if let Some(id) = ids.mid.filter(|_| stream.packets < MID_PACKETS) {
            writer.extension(id, &stream.mid);
        }
        Some(writer.finish())
    }
}

/// Rounds the length of a packet up by padding (RFC 3550 section 5.1), if there is room; returns the new length.
fn pad(room: &mut [u8], length: usize) -> usize {
    let padded = length.next_multiple_of(ROUND_BYTES);
    let Some([padding @ .., count]) = room.get_mut(length..padded) else {
        return length;
    };
    padding.fill(0);
    *count = (padded - length) as u8;
    room[0] |= 0x20;
    padded
}

impl Ids {
    fn new(agreed: &[(u8, Extension)]) -> Self {
        let ids = ExtensionIds::new(agreed);
        Self {
            audio_level: ids.id(Extension::AudioLevel),
            rotation: ids.id(Extension::VideoOrientation),
            playout_delay: ids.id(Extension::PlayoutDelay),
            mid: ids.id(Extension::Mid),
            send_time: ids.id(Extension::AbsSendTime),
            transport: ids.id(Extension::TransportWideCc),
            form: ids.form(),
        }
    }
}

const _: () = assert!(limits::RTX_PACKETS_MAX.is_power_of_two());
