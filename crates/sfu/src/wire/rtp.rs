//! RTP packets (RFC 3550 section 5.1) with header extensions (RFC 8285).

use super::{u16_at, u32_at};

/// Bytes of a header without contributing sources and extensions.
pub(crate) const FIXED_HEADER_BYTES: usize = 12;

/// Profile of extensions with headers of one byte (RFC 8285 section 4.2).
const ONE_BYTE_PROFILE: u16 = 0xbede;

/// Profile of extensions with headers of two bytes; the last four bits mean nothing to us (section 4.3).
const TWO_BYTE_PROFILE: u16 = 0x1000;

/// A packet whose header is complete; what follows may be sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rtp<'a> {
    bytes: &'a [u8],
    /// Where the contributing sources end.
    sources_end: usize,
    header_len: usize,
}

impl<'a> Rtp<'a> {
    /// Reads the header.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let first = *bytes.first_chunk::<FIXED_HEADER_BYTES>()?.first()?;
        if first >> 6 != 2 {
            return None;
        }
        let sources_end = FIXED_HEADER_BYTES + 4 * usize::from(first & 0x0f);
        let header_len = match first & 0x10 {
            0 => sources_end,
            _ => sources_end + 4 + 4 * usize::from(u16_at(bytes, sources_end + 2)?),
        };
        let packet = Self {
            bytes,
            sources_end,
            header_len,
        };
        (header_len <= bytes.len()).then_some(packet)
    }

    pub(crate) fn payload_type(&self) -> u8 {
        self.bytes[1] & 0x7f
    }

    pub(crate) fn marker(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    pub(crate) fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.bytes[2], self.bytes[3]])
    }

    pub(crate) fn timestamp(&self) -> u32 {
        u32_at(self.bytes, 4).unwrap_or_default()
    }

    pub(crate) fn ssrc(&self) -> u32 {
        u32_at(self.bytes, 8).unwrap_or_default()
    }

    /// Contributing sources.
    #[allow(dead_code, reason = "a view shows all of a packet, and nobody mixes here")]
    pub(crate) fn sources(&self) -> impl Iterator<Item = u32> + use<'a> {
        let sources = &self.bytes[FIXED_HEADER_BYTES..self.sources_end];
        sources.chunks_exact(4).filter_map(|source| u32_at(source, 0))
    }

    /// Bytes of the header with sources and extensions: what SRTP leaves in the clear.
    pub(crate) fn header_len(&self) -> usize {
        self.header_len
    }

    /// Ids and data of all header extensions.
    pub(crate) fn extensions(&self) -> Extensions<'a> {
        let block = self.bytes.get(self.sources_end..self.header_len).unwrap_or_default();
        let (profile, rest) = match block.split_first_chunk::<4>() {
            Some((head, rest)) => (u16::from_be_bytes([head[0], head[1]]), rest),
            None => (0, &[][..]),
        };
        match profile {
            ONE_BYTE_PROFILE => Extensions {
                rest,
                form: ExtensionForm::OneByte,
            },
            _ if profile & 0xfff0 == TWO_BYTE_PROFILE => Extensions {
                rest,
                form: ExtensionForm::TwoByte,
            },
            _ => Extensions {
                rest: &[],
                form: ExtensionForm::OneByte,
            },
        }
    }

    /// What the packet carries, without padding; `None` if the padding is longer than what there is. Of an opened packet
    /// only: the length of the padding is sealed, too.
    pub(crate) fn payload(&self) -> Option<&'a [u8]> {
        let body = self.bytes.get(self.header_len..)?;
        if self.bytes[0] & 0x20 == 0 {
            return Some(body);
        }
        let padding = usize::from(*body.last()?);
        match padding {
            0 => None,
            _ => body.get(..body.len().checked_sub(padding)?),
        }
    }
}

/// How extensions are written: with one byte before each, up to id 14 and 16 bytes, or with two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtensionForm {
    OneByte,
    TwoByte,
}

/// Header extensions of a packet, up to the first that makes no sense.
#[derive(Debug, Clone)]
pub(crate) struct Extensions<'a> {
    rest: &'a [u8],
    form: ExtensionForm,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // Zeros are padding (RFC 8285 section 4.1.2).
        let start = self.rest.iter().position(|byte| *byte != 0)?;
        let (id, length, data) = match (self.form, &self.rest[start..]) {
            // Section 4.2: id 0 with a length, and id 15, end it.
            (ExtensionForm::OneByte, [0..=15 | 240.., ..]) => {
                self.rest = &[];
                return None;
            }
            (ExtensionForm::OneByte, [head, data @ ..]) => (head >> 4, usize::from(head & 0x0f) + 1, data),
            (ExtensionForm::TwoByte, [id, length, data @ ..]) => (*id, usize::from(*length), data),
            _ => return None,
        };
        match data.split_at_checked(length) {
            Some((value, rest)) => {
                self.rest = rest;
                Some((id, value))
            }
            None => {
                self.rest = &[];
                None
            }
        }
    }
}

/// The fixed fields of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RtpHeader {
    /// 0 to 127.
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
}

/// Writes a header into a buffer: the fixed fields first, then extensions, then [`RtpWriter::finish`].
#[derive(Debug)]
pub(crate) struct RtpWriter<'a> {
    room: &'a mut [u8],
    length: usize,
    form: ExtensionForm,
}

impl<'a> RtpWriter<'a> {
    /// Begins; `None` if there is no room for the fixed fields.
    pub(crate) fn new(room: &'a mut [u8], header: &RtpHeader, form: ExtensionForm) -> Option<Self> {
        let fixed = room.first_chunk_mut::<FIXED_HEADER_BYTES>()?;
        fixed[0] = 0x80;
        fixed[1] = u8::from(header.marker) << 7 | header.payload_type & 0x7f;
        fixed[2..4].copy_from_slice(&header.sequence.to_be_bytes());
        fixed[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
        fixed[8..12].copy_from_slice(&header.ssrc.to_be_bytes());
        Some(Self {
            room,
            length: FIXED_HEADER_BYTES,
            form,
        })
    }

    /// Adds an extension; false, and nothing is written, if there is no room or the form has no place for it.
    pub(crate) fn extension(&mut self, id: u8, data: &[u8]) -> bool {
        let fits = match self.form {
            ExtensionForm::OneByte => (1..=14).contains(&id) && (1..=16).contains(&data.len()),
            ExtensionForm::TwoByte => id != 0 && data.len() <= 255,
        };
        let head_len = match self.form {
            ExtensionForm::OneByte => 1,
            ExtensionForm::TwoByte => 2,
        };
        let start = match self.length {
            FIXED_HEADER_BYTES => FIXED_HEADER_BYTES + 4,
            length => length,
        };
        let end = start + head_len + data.len();
        // Room for the padding, too.
        if !fits || end.next_multiple_of(4) > self.room.len() {
            return false;
        }
        match self.form {
            ExtensionForm::OneByte => self.room[start] = id << 4 | (data.len() - 1) as u8,
            ExtensionForm::TwoByte => self.room[start..start + 2].copy_from_slice(&[id, data.len() as u8]),
        }
        self.room[start + head_len..end].copy_from_slice(data);
        self.length = end;
        true
    }

    /// Ends the header; returns its length.
    pub(crate) fn finish(self) -> usize {
        if self.length == FIXED_HEADER_BYTES {
            return self.length;
        }
        let end = self.length.next_multiple_of(4);
        self.room[self.length..end].fill(0);
        let profile = match self.form {
            ExtensionForm::OneByte => ONE_BYTE_PROFILE,
            ExtensionForm::TwoByte => TWO_BYTE_PROFILE,
        };
        let words = (end - FIXED_HEADER_BYTES - 4) / 4;
        self.room[0] |= 0x10;
        self.room[12..14].copy_from_slice(&profile.to_be_bytes());
        self.room[14..16].copy_from_slice(&(words as u16).to_be_bytes());
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: RtpHeader = RtpHeader {
        payload_type: 96,
        marker: true,
        sequence: 0xfffe,
        timestamp: 0x0102_0304,
        ssrc: 0xdead_beef,
    };

    #[test]
    fn a_packet_with_everything() {
        let bytes = [
            0xb2, 0xe0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5, // P, X, two sources, marker, type 96
            0, 0, 0, 1, 0, 0, 0, 2, // sources
            0xbe, 0xde, 0, 2, 0x10, 0xff, 0x00, 0x31, 0xab, 0xcd, 0, 0, // 1: ff, padding, 3: abcd
            7, 8, 9, 0, 2, // payload and padding
        ];
        let packet = Rtp::parse(&bytes).expect("a packet");
        assert_eq!(
            (packet.payload_type(), packet.marker(), packet.sequence()),
            (96, true, 7)
        );
        assert_eq!((packet.timestamp(), packet.ssrc(), packet.header_len()), (9, 5, 32));
        assert!(packet.sources().eq([1, 2]));
        assert!(packet.extensions().eq([(1, &[0xff][..]), (3, &[0xab, 0xcd][..])]));
        assert_eq!(packet.payload(), Some(&[7, 8, 9][..]));
    }

    #[test]
    fn what_is_cut_is_no_packet() {
        let whole = [
            0x91, 96, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x10, 1, 0, 0,
        ];
        assert!(Rtp::parse(&whole).is_some());
        assert!((0..whole.len()).all(|length| Rtp::parse(&whole[..length]).is_none()));
        assert!(Rtp::parse(&[0x40; 12]).is_none(), "another version");
        let too_much_padding = [&[0xa0][..], &[0; 11], &[1, 4]].concat();
        assert_eq!(Rtp::parse(&too_much_padding).and_then(|packet| packet.payload()), None);
    }

    fn extensions(profile: [u8; 2], block: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let words = (block.len() / 4) as u8;
        let head = [&[0x90][..], &[0; 11], &profile, &[0, words]].concat();
        let bytes = [&head[..], block].concat();
        let packet = Rtp::parse(&bytes).expect("a packet");
        packet.extensions().map(|(id, data)| (id, data.to_vec())).collect()
    }

    #[test]
    fn extensions_end_where_they_make_no_sense() {
        let one = [0xbe, 0xde];
        assert_eq!(extensions(one, &[0x10, 1, 0xf0, 2]), [(1, vec![1])], "15 is the end");
        assert_eq!(extensions(one, &[0x10, 1, 0x01, 2]), [(1, vec![1])], "0 has no length");
        assert_eq!(extensions(one, &[0x10, 1, 0x22, 2]), [(1, vec![1])], "cut");
        let two = [0x10, 0x05];
        assert_eq!(
            extensions(two, &[1, 0, 0, 200, 1, 9, 0, 0]),
            [(1, vec![]), (200, vec![9])]
        );
        assert_eq!(extensions(two, &[0, 0, 0, 1]), []);
        assert_eq!(extensions([1, 2], &[0x10, 1, 0, 0]), [], "a profile that nobody knows");
    }

    #[test]
    fn a_header_without_room() {
        assert!(RtpWriter::new(&mut [0; 11], &HEADER, ExtensionForm::OneByte).is_none());
        let mut room = [0; 20];
        let mut writer = RtpWriter::new(&mut room, &HEADER, ExtensionForm::OneByte).expect("room");
        assert!(!writer.extension(15, &[1]) && !writer.extension(1, &[]) && !writer.extension(1, &[0; 17]));
        assert!(writer.extension(1, &[1, 2]) && !writer.extension(2, &[1]));
        assert_eq!(writer.finish(), 20);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            two_byte: bool,
            values in prop::collection::vec((1_u8..=14, prop::collection::vec(any::<u8>(), 1..16)), 0..6),
        ) {
            let form = if two_byte { ExtensionForm::TwoByte } else { ExtensionForm::OneByte };
            let mut room = [0xff; 200];
            let mut writer = RtpWriter::new(&mut room, &HEADER, form).expect("room");
            for (id, data) in &values {
                prop_assert!(writer.extension(*id, data));
            }
            let length = writer.finish();
            let packet = Rtp::parse(&room[..length]).expect("a packet");
            let read = RtpHeader {
                payload_type: packet.payload_type(),
                marker: packet.marker(),
                sequence: packet.sequence(),
                timestamp: packet.timestamp(),
                ssrc: packet.ssrc(),
            };
            prop_assert_eq!(read, HEADER);
            prop_assert_eq!((packet.header_len(), packet.payload()), (length, Some(&[][..])));
            let extensions: Vec<_> = packet.extensions().map(|(id, data)| (id, data.to_vec())).collect();
            prop_assert_eq!(extensions, values);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(packet) = Rtp::parse(&bytes) {
                prop_assert!(packet.sources().count() <= 15);
                prop_assert!(packet.extensions().map(|(_, data)| data.len()).sum::<usize>() < bytes.len());
                prop_assert!(packet.payload().is_none_or(|payload| payload.len() + packet.header_len() <= bytes.len()));
            }
        }
    }
}
