//! RTCP (RFC 3550 section 6) and its feedback messages (RFC 4585, RFC 5104, transport-wide congestion control).
//!
//! A compound packet is read packet by packet; whether it begins with a report is not asked (RFC 5506). Packets and
//! feedback that we have no use for, REMB among them, are stepped over.

use super::twcc::Feedback;
use super::{u16_at, u32_at};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
/// RFC 4585 section 6.1.
pub(super) const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Formats of transport feedback.
const NACK: u8 = 1;
pub(super) const TRANSPORT_WIDE: u8 = 15;
/// Formats of payload feedback.
const PLI: u8 = 1;
const FIR: u8 = 4;

/// An item of a source description.
const CNAME: u8 = 1;

const REPORT_BLOCK_BYTES: usize = 24;

/// The packets of a compound packet, up to the first that is cut or broken.
#[derive(Debug, Clone)]
pub(crate) struct Packets<'a> {
    rest: &'a [u8],
}

/// Reads an opened compound packet.
pub(crate) fn packets(compound: &[u8]) -> Packets<'_> {
    Packets { rest: compound }
}

/// A packet.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "a view shows all of a packet, also what only tests look at")]
pub(crate) enum Rtcp<'a> {
    /// RFC 3550 section 6.4.1.
    SenderReport {
        report: SenderReport,
        blocks: ReportBlocks<'a>,
    },
    /// RFC 3550 section 6.4.2.
    ReceiverReport { ssrc: u32, blocks: ReportBlocks<'a> },
    /// RFC 3550 section 6.5.
    SourceDescription(Descriptions<'a>),
    /// RFC 3550 section 6.6.
    Bye(Words<'a>),
    /// RFC 4585 section 6.2.1: what was lost.
    Nack { media: u32, lost: Lost<'a> },
    /// RFC 4585 section 6.3.1: the decoder lost its picture.
    Pli { media: u32 },
    /// RFC 5104 section 4.3.1: SSRCs of which a key frame is wanted, with a number that a repetition has again.
    Fir(FullIntraRequests<'a>),
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1.
    TransportWide(Feedback<'a>),
}

impl<'a> Iterator for Packets<'a> {
    type Item = Rtcp<'a>;

    fn next(&mut self) -> Option<Rtcp<'a>> {
        loop {
            let [first, packet_type, high, low, ..] = *self.rest else {
                return None;
            };
            let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
            let Some((packet, rest)) = self.rest.split_at_checked(length).filter(|_| first >> 6 == 2) else {
                self.rest = &[];
                return None;
            };
            self.rest = rest;
            let body = &packet[4..];
            let body = match first & 0x20 {
                0 => Some(body),
                // Padding is behind the last packet only (RFC 3550 section 6.4.1).
                _ => unpadded(body),
            };
            let parsed = body.and_then(|body| Rtcp::parse(packet_type, first & 0x1f, body));
            if parsed.is_some() {
                return parsed;
            }
        }
    }
}

fn unpadded(body: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*body.last()?);
    match padding {
        0 => None,
        _ => body.get(..body.len().checked_sub(padding)?),
    }
}

impl<'a> Rtcp<'a> {
    /// `count` is what the five bits of the first byte say: how many, or the format of feedback.
    fn parse(packet_type: u8, count: u8, body: &'a [u8]) -> Option<Self> {
        match (packet_type, count) {
            (SENDER_REPORT, _) => Some(Self::SenderReport {
                report: SenderReport {
                    ssrc: u32_at(body, 0)?,
                    ntp: u64::from(u32_at(body, 4)?) << 32 | u64::from(u32_at(body, 8)?),
                    timestamp: u32_at(body, 12)?,
                    packets: u32_at(body, 16)?,
                    octets: u32_at(body, 20)?,
                },
                blocks: ReportBlocks::new(count, &body[24..]),
            }),
            (RECEIVER_REPORT, _) => Some(Self::ReceiverReport {
                ssrc: u32_at(body, 0)?,
                blocks: ReportBlocks::new(count, &body[4..]),
            }),
            (SOURCE_DESCRIPTION, _) => Some(Self::SourceDescription(Descriptions {
                rest: body,
                left: count,
            })),
            (BYE, _) => Some(Self::Bye(Words {
                rest: body.get(..4 * usize::from(count)).unwrap_or(body),
            })),
            (TRANSPORT_FEEDBACK, NACK) => Some(Self::Nack {
                media: u32_at(body, 4)?,
                lost: Lost {
                    rest: &body[8..],
                    pending: 0,
                    base: 0,
                },
            }),
            (TRANSPORT_FEEDBACK, TRANSPORT_WIDE) => Feedback::parse(body).map(Self::TransportWide),
            (PAYLOAD_FEEDBACK, PLI) => Some(Self::Pli {
                media: u32_at(body, 4)?,
            }),
            (PAYLOAD_FEEDBACK, FIR) => Some(Self::Fir(FullIntraRequests { rest: body.get(8..)? })),
            _ => None,
        }
    }
}

/// What a sender says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SenderReport {
    pub(crate) ssrc: u32,
    /// Seconds since 1900 and, below, their fraction of 2^32.
    pub(crate) ntp: u64,
    /// The same moment in units of the media clock.
    pub(crate) timestamp: u32,
    /// Sent so far.
    pub(crate) packets: u32,
    /// Bytes of payload sent so far.
    pub(crate) octets: u32,
}

impl SenderReport {
    /// The middle half of its clock: how reports refer to it.
    pub(crate) fn compact_ntp(&self) -> u32 {
        (self.ntp >> 16) as u32
    }
}

/// What a receiver says about one stream (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ReportBlock {
    pub(crate) ssrc: u32,
    /// Since the last report, of 256.
    pub(crate) fraction_lost: u8,
    /// Since the beginning; 24 bits, and negative where packets came twice.
    pub(crate) cumulative_lost: i32,
    /// Sequence number, and how often it wrapped.
    pub(crate) highest_sequence: u32,
    /// In units of the media clock.
    pub(crate) jitter: u32,
    /// [`SenderReport::compact_ntp`] of the last sender report, 0 if there was none.
    pub(crate) last_sender_report: u32,
    /// Since it arrived, 1/65536 s.
    pub(crate) delay: u32,
}

impl ReportBlock {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let lost = u32_at(bytes, 4)?;
        Some(Self {
            ssrc: u32_at(bytes, 0)?,
            fraction_lost: (lost >> 24) as u8,
            // The sign is that of 24 bits.
            cumulative_lost: (lost << 8) as i32 >> 8,
            highest_sequence: u32_at(bytes, 8)?,
            jitter: u32_at(bytes, 12)?,
            last_sender_report: u32_at(bytes, 16)?,
            delay: u32_at(bytes, 20)?,
        })
    }

    fn bytes(&self) -> [u8; REPORT_BLOCK_BYTES] {
        let lost = self.cumulative_lost.clamp(-(1 << 23), (1 << 23) - 1) as u32 & 0xff_ffff;
        let words = [
            self.ssrc,
            u32::from(self.fraction_lost) << 24 | lost,
            self.highest_sequence,
            self.jitter,
            self.last_sender_report,
            self.delay,
        ];
        let mut bytes = [0; REPORT_BLOCK_BYTES];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }
}

/// The blocks of a report.
#[derive(Debug, Clone)]
pub(crate) struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl<'a> ReportBlocks<'a> {
    fn new(count: u8, bytes: &'a [u8]) -> Self {
        let length = REPORT_BLOCK_BYTES * usize::from(count);
        Self {
            rest: bytes.get(..length).unwrap_or(bytes),
        }
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.rest.split_at_checked(REPORT_BLOCK_BYTES)?;
        self.rest = rest;
        ReportBlock::parse(block)
    }
}

/// Words of four bytes.
#[derive(Debug, Clone)]
pub(crate) struct Words<'a> {
    rest: &'a [u8],
}

impl Iterator for Words<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let word = u32_at(self.rest, 0)?;
        self.rest = &self.rest[4..];
        Some(word)
    }
}

/// SSRCs with their canonical names.
#[derive(Debug, Clone)]
pub(crate) struct Descriptions<'a> {
    rest: &'a [u8],
    left: u8,
}

impl<'a> Iterator for Descriptions<'a> {
    /// The name is empty if there is none.
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let ssrc = u32_at(self.rest, 0)?;
        let mut at = 4;
        let mut name = &[][..];
        loop {
            match self.rest.get(at..) {
                Some([kind @ 1..=255, length, data @ ..]) => {
                    let value = data.get(..usize::from(*length))?;
                    if *kind == CNAME {
                        name = value;
                    }
                    at += 2 + value.len();
                }
                // A zero ends the chunk, which ends at a multiple of four.
                Some([0, ..]) => {
                    let end = (at + 1).next_multiple_of(4);
                    self.rest = self.rest.get(end..).unwrap_or_default();
                    return Some((ssrc, name));
                }
                _ => {
                    self.left = 0;
                    return None;
                }
            }
        }
    }
}

/// Sequence numbers that were lost.
#[derive(Debug, Clone)]
pub(crate) struct Lost<'a> {
    rest: &'a [u8],
    /// Bits of the entry under way: of the number `base` + 1 and on.
    pending: u16,
    base: u16,
}

impl Iterator for Lost<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.pending != 0 {
            let skip = self.pending.trailing_zeros() as u16;
            self.pending &= self.pending - 1;
            return Some(self.base.wrapping_add(skip + 1));
        }
        let (base, pending) = (u16_at(self.rest, 0)?, u16_at(self.rest, 2)?);
        self.rest = &self.rest[4..];
        (self.base, self.pending) = (base, pending);
        Some(base)
    }
}

/// The entries of a FIR.
#[derive(Debug, Clone)]
pub(crate) struct FullIntraRequests<'a> {
    rest: &'a [u8],
}

impl Iterator for FullIntraRequests<'_> {
    /// SSRC and number.
    type Item = (u32, u8);

    fn next(&mut self) -> Option<Self::Item> {
        let (entry, rest) = self.rest.split_at_checked(8)?;
        self.rest = rest;
        Some((u32_at(entry, 0)?, entry[4]))
    }
}

/// Writes a compound packet into a buffer. A packet that has no room is left out whole, and its method says false.
#[derive(Debug)]
pub(crate) struct RtcpWriter<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl<'a> RtcpWriter<'a> {
    pub(crate) fn new(room: &'a mut [u8]) -> Self {
        Self { room, length: 0 }
    }

    /// Bytes written.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// A sender report with at most 31 blocks.
    pub(crate) fn sender_report(&mut self, report: &SenderReport, blocks: &[ReportBlock]) -> bool {
        let mut fields = [0; 24];
        fields[..4].copy_from_slice(&report.ssrc.to_be_bytes());
        fields[4..12].copy_from_slice(&report.ntp.to_be_bytes());
        fields[12..16].copy_from_slice(&report.timestamp.to_be_bytes());
        fields[16..20].copy_from_slice(&report.packets.to_be_bytes());
        fields[20..].copy_from_slice(&report.octets.to_be_bytes());
        self.report(SENDER_REPORT, &fields, blocks)
    }

    /// A receiver report with at most 31 blocks.
    pub(crate) fn receiver_report(&mut self, ssrc: u32, blocks: &[ReportBlock]) -> bool {
        self.report(RECEIVER_REPORT, &ssrc.to_be_bytes(), blocks)
    }

    fn report(&mut self, packet_type: u8, fields: &[u8], blocks: &[ReportBlock]) -> bool {
        let length = fields.len() + REPORT_BLOCK_BYTES * blocks.len();
        let Some(body) = self.begin(packet_type, blocks.len(), length) else {
            return false;
        };
        let (head, rest) = body.split_at_mut(fields.len());
        head.copy_from_slice(fields);
        for (place, block) in rest.chunks_exact_mut(REPORT_BLOCK_BYTES).zip(blocks) {
            place.copy_from_slice(&block.bytes());
        }
        true
    }

    /// The canonical name of a source, of at most 255 bytes.
    pub(crate) fn source_description(&mut self, ssrc: u32, name: &[u8]) -> bool {
        let Ok(name_len) = u8::try_from(name.len()) else {
            return false;
        };
        let length = (4 + 2 + name.len() + 1).next_multiple_of(4);
        let Some(body) = self.begin(SOURCE_DESCRIPTION, 1, length) else {
            return false;
        };
        body.fill(0);
        body[..4].copy_from_slice(&ssrc.to_be_bytes());
        body[4..6].copy_from_slice(&[CNAME, name_len]);
        body[6..6 + name.len()].copy_from_slice(name);
        true
    }

    /// Sources that are over, at most 31.
    pub(crate) fn bye(&mut self, ssrcs: &[u32]) -> bool {
        let Some(body) = self.begin(BYE, ssrcs.len(), 4 * ssrcs.len()) else {
            return false;
        };
        for (place, ssrc) in body.chunks_exact_mut(4).zip(ssrcs) {
            place.copy_from_slice(&ssrc.to_be_bytes());
        }
        true
    }

    /// Asks for packets again, in the order of their numbers; returns how many there was room for.
    pub(crate) fn nack(&mut self, sender: u32, media: u32, lost: &[u16]) -> usize {
        let room = self.room.len().saturating_sub(self.length);
        let entries_max = room.saturating_sub(12) / 4;
        let (mut entries, mut written) = (0, 0);
        let start = self.length + 12;
        while let Some(base) = lost.get(written).filter(|_| entries < entries_max) {
            written += 1;
            let mut bits = 0_u16;
            while let Some(next) = lost.get(written) {
                let ahead = next.wrapping_sub(*base);
                match ahead {
                    1..=16 => bits |= 1 << (ahead - 1),
                    0 => {}
                    _ => break,
                }
                written += 1;
            }
            let place = start + 4 * entries;
            self.room[place..place + 2].copy_from_slice(&base.to_be_bytes());
            self.room[place + 2..place + 4].copy_from_slice(&bits.to_be_bytes());
            entries += 1;
        }
        if entries == 0 || !self.feedback(TRANSPORT_FEEDBACK, NACK, sender, media, 4 * entries) {
            return 0;
        }
        written
    }

    /// Asks for a key frame.
    pub(crate) fn pli(&mut self, sender: u32, media: u32) -> bool {
        self.feedback(PAYLOAD_FEEDBACK, PLI, sender, media, 0)
    }

    /// Asks for a key frame of those who know no PLI; a new request has a new number.
    pub(crate) fn fir(&mut self, sender: u32, media: u32, number: u8) -> bool {
        let place = self.length + 12;
        // RFC 5104 section 4.3.1.2: the SSRC of the media stands in the entry.
        if !self.feedback(PAYLOAD_FEEDBACK, FIR, sender, 0, 8) {
            return false;
        }
        self.room[place..place + 4].copy_from_slice(&media.to_be_bytes());
        self.room[place + 4..place + 8].copy_from_slice(&[number, 0, 0, 0]);
        true
    }

    /// The room for a packet of feedback that writes itself; see [`RtcpWriter::advance`].
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.room[self.length..]
    }

    /// So many bytes of the room are a packet now.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.length = (self.length + bytes).min(self.room.len());
    }

    /// Header of a packet, sender and media; what is in the `length` bytes behind is left as it is.
    fn feedback(&mut self, packet_type: u8, format: u8, sender: u32, media: u32, length: usize) -> bool {
        let Some(body) = self.begin(packet_type, usize::from(format), 8 + length) else {
            return false;
        };
        body[..4].copy_from_slice(&sender.to_be_bytes());
        body[4..8].copy_from_slice(&media.to_be_bytes());
        true
    }

    /// Writes the four bytes before each packet and returns the place of its body, `length` bytes, a multiple of four.
    fn begin(&mut self, packet_type: u8, count: usize, length: usize) -> Option<&mut [u8]> {
        let packet = self.room.get_mut(self.length..)?.get_mut(..4 + length)?;
        if count > 31 {
            return None;
        }
        let words = u16::try_from(length / 4).ok()?.to_be_bytes();
        packet[..4].copy_from_slice(&[0x80 | count as u8, packet_type, words[0], words[1]]);
        self.length += 4 + length;
        Some(&mut packet[4..])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    const REPORT: SenderReport = SenderReport {
        ssrc: 1,
        ntp: 0x0102_0304_0506_0708,
        timestamp: 90_000,
        packets: 7,
        octets: 8000,
    };

    fn block() -> impl Strategy<Value = ReportBlock> {
        let numbers = (any::<u32>(), any::<u8>(), -(1_i32 << 23)..1 << 23, any::<[u32; 4]>());
        numbers.prop_map(|(ssrc, fraction_lost, cumulative_lost, rest)| ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost,
            highest_sequence: rest[0],
            jitter: rest[1],
            last_sender_report: rest[2],
            delay: rest[3],
        })
    }

    #[test]
    fn a_compound_packet_of_everything() {
        let mut room = [0xff; 400];
        let mut writer = RtcpWriter::new(&mut room);
        let block = ReportBlock {
            ssrc: 5,
            cumulative_lost: -3,
            ..ReportBlock::default()
        };
        assert!(writer.sender_report(&REPORT, &[block]) && writer.receiver_report(2, &[block, block]));
        assert!(writer.source_description(1, b"name") && writer.pli(1, 9) && writer.fir(1, 9, 77));
        assert_eq!(writer.nack(1, 9, &[65_535, 0, 16, 17, 40]), 5);
        assert!(writer.bye(&[1, 2]));
        let length = writer.len();
        let found: Vec<_> = packets(&room[..length]).collect();
        let [sender, receiver, description, pli, fir, nack, bye] = found.try_into().unwrap();
        assert!(
            matches!(sender, Rtcp::SenderReport { report, blocks } if report == REPORT && blocks.clone().eq([block]))
        );
        assert!(matches!(receiver, Rtcp::ReceiverReport { ssrc: 2, blocks } if blocks.clone().count() == 2));
        assert!(matches!(description, Rtcp::SourceDescription(names) if names.clone().eq([(1, &b"name"[..])])));
        assert!(matches!(pli, Rtcp::Pli { media: 9 }));
        assert!(matches!(fir, Rtcp::Fir(entries) if entries.clone().eq([(9, 77)])));
        assert!(matches!(nack, Rtcp::Nack { media: 9, lost } if lost.clone().eq([65_535, 0, 16, 17, 40])));
        assert!(matches!(bye, Rtcp::Bye(ssrcs) if ssrcs.clone().eq([1, 2])));
        assert_eq!(REPORT.compact_ntp(), 0x0304_0506);
    }

    #[test]
    fn what_nobody_knows_is_stepped_over() {
        let remb = [
            0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 0, 0, 0, 0,
        ];
        let extended_report = [0x80, 207, 0, 1, 0, 0, 0, 1];
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
        let compound = [&remb[..], &extended_report, &pli].concat();
        let found: Vec<_> = packets(&compound).collect();
        assert!(matches!(found[..], [Rtcp::Pli { media: 9 }]), "{found:?}");
        // Reduced size (RFC 5506): no report before it.
        assert_eq!(packets(&pli).count(), 1);
    }

    #[test]
    fn what_is_cut_ends_it() {
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
        assert!((0..pli.len()).all(|length| packets(&pli[..length]).count() == 0));
        let other_version = [&[0x41, 206, 0, 2][..], &[0; 8], &pli].concat();
        assert_eq!(packets(&other_version).count(), 0);
        let padded = [&[0xa1, 206, 0, 3][..], &pli[4..], &[0, 0, 0, 4]].concat();
        assert_eq!(packets(&padded).count(), 1);
        let too_much_padding = [&[0xa1, 206, 0, 3][..], &pli[4..], &[0, 0, 0, 40]].concat();
        assert_eq!(packets(&too_much_padding).count(), 0);
        // More blocks are claimed than are there.
        let claims = [0x9f, 201, 0, 1, 0, 0, 0, 1];
        assert!(
            matches!(packets(&claims).next(), Some(Rtcp::ReceiverReport { blocks, .. }) if blocks.clone().count() == 0)
        );
    }

    #[test]
    fn what_has_no_room_is_left_out_whole() {
        let mut room = [0; 30];
        let mut writer = RtcpWriter::new(&mut room);
        assert!(!writer.sender_report(&REPORT, &[ReportBlock::default()]));
        assert!(!writer.receiver_report(1, &[ReportBlock::default(); 32]) && !writer.source_description(1, &[0; 256]));
        assert!(writer.pli(1, 2));
        assert_eq!(writer.nack(1, 2, &[1, 100, 200]), 1);
        assert_eq!(
            (writer.len(), writer.nack(1, 2, &[5]), writer.bye(&[1])),
            (28, 0, false)
        );
        assert_eq!(packets(&room[..28]).count(), 2);
    }

    proptest! {
        #[test]
        fn blocks_are_read_as_they_are_written(blocks in prop::collection::vec(block(), 0..32)) {
            let mut room = [0; 1000];
            let mut writer = RtcpWriter::new(&mut room);
            prop_assert!(writer.receiver_report(3, &blocks));
            let length = writer.len();
            let found = packets(&room[..length]).next();
            let Some(Rtcp::ReceiverReport { ssrc: 3, blocks: read }) = found else {
                return Err(TestCaseError::fail("no report"));
            };
            prop_assert_eq!(read.collect::<Vec<_>>(), blocks);
        }

        #[test]
        fn lost_numbers_are_read_as_they_are_written(first: u16, steps in prop::collection::vec(1_u16..30, 1..60)) {
            let lost: Vec<u16> = steps.iter().scan(first, |at, step| { *at = at.wrapping_add(*step); Some(*at) }).collect();
            let mut room = [0; 400];
            let mut writer = RtcpWriter::new(&mut room);
            prop_assert_eq!(writer.nack(1, 2, &lost), lost.len());
            let length = writer.len();
            let Some(Rtcp::Nack { media: 2, lost: read }) = packets(&room[..length]).next() else {
                return Err(TestCaseError::fail("no nack"));
            };
            prop_assert_eq!(read.collect::<Vec<_>>(), lost);
        }

        #[test]
        fn no_bytes_panic(kind in 200_u8..208, count in 0_u8..32, bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let words = (bytes.len() / 4) as u8;
            let compound = [&[0x80 | count, kind, 0, words][..], &bytes].concat();
            for compound in [&compound[..], &bytes] {
                for packet in packets(compound) {
                    let items = match packet {
                        Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => blocks.count(),
                        Rtcp::SourceDescription(names) => names.count(),
                        Rtcp::Bye(ssrcs) => ssrcs.count(),
                        Rtcp::Nack { lost, .. } => lost.count() / 17,
                        Rtcp::Fir(entries) => entries.count(),
                        Rtcp::TransportWide(feedback) => feedback.arrivals().count() / 14,
                        Rtcp::Pli { .. } => 0,
                    };
                    prop_assert!(items <= compound.len() / 2);
                }
            }
        }
    }
}
