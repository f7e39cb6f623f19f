//! The messages that open a data channel (RFC 8832 section 5).

use super::super::{Delivery, Reliability};

const ACK: u8 = 0x02;
const OPEN: u8 = 0x03;

/// Bit of the channel type that says "any order".
const UNORDERED: u8 = 0x80;
const RELIABLE: u8 = 0x00;
const RETRANSMITS: u8 = 0x01;
const LIFETIME: u8 = 0x02;

/// Bytes before the label.
const OPEN_HEADER_BYTES: usize = 12;

/// What a message on a stream's control protocol says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// DATA_CHANNEL_OPEN.
    Open(Open),
    /// DATA_CHANNEL_ACK.
    Ack,
}

/// What is to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) label: String,
    pub(super) reliability: Reliability,
}

impl Message {
    /// Reads a message; `None` if it is none of the two.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        match *bytes.first()? {
            ACK => Some(Self::Ack),
            OPEN => Open::parse(bytes).map(Self::Open),
            _ => None,
        }
    }

    /// The message as it is sent.
    pub(super) fn write(&self) -> Vec<u8> {
        match self {
            Self::Ack => vec![ACK],
            Self::Open(open) => open.write(),
        }
    }
}

impl Open {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, texts) = bytes.split_at_checked(OPEN_HEADER_BYTES)?;
        let &[
            _,
            kind,
            _,
            _,
            a,
            b,
            c,
            d,
            label_high,
            label_low,
            protocol_high,
            protocol_low,
        ] = header
        else {
            return None;
        };
        // What is larger than we can say is as good as endless.
        let parameter = u16::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(u16::MAX);
        let limit = match kind & !UNORDERED {
            RELIABLE => Delivery::Reliable,
            RETRANSMITS => Delivery::Retransmits(parameter),
            LIFETIME => Delivery::LifetimeMs(parameter),
            _ => return None,
        };
        let label_bytes = usize::from(u16::from_be_bytes([label_high, label_low]));
        let protocol_bytes = usize::from(u16::from_be_bytes([protocol_high, protocol_low]));
        let (label, rest) = texts.split_at_checked(label_bytes)?;
        let protocol = rest.get(..protocol_bytes)?;
        Some(Self {
            label: String::from_utf8(label.to_vec()).ok()?,
            reliability: Reliability {
                ordered: kind & UNORDERED == 0,
                limit,
                protocol: String::from_utf8(protocol.to_vec()).ok()?,
            },
        })
    }

    fn write(&self) -> Vec<u8> {
        let (kind, parameter) = match self.reliability.limit {
            Delivery::Reliable => (RELIABLE, 0),
            Delivery::Retransmits(retransmits) => (RETRANSMITS, retransmits),
            Delivery::LifetimeMs(lifetime) => (LIFETIME, lifetime),
        };
        let order = if self.reliability.ordered { 0 } else { UNORDERED };
        let (label, protocol) = (counted(&self.label), counted(&self.reliability.protocol));
        let mut bytes = vec![OPEN, kind | order, 0, 0];
        bytes.extend_from_slice(&u32::from(parameter).to_be_bytes());
        bytes.extend_from_slice(&label.0.to_be_bytes());
        bytes.extend_from_slice(&protocol.0.to_be_bytes());
        bytes.extend_from_slice(label.1);
        bytes.extend_from_slice(protocol.1);
        bytes
    }
}

/// A text with its length; none at all if there is no number for it.
fn counted(text: &str) -> (u16, &[u8]) {
    u16::try_from(text.len()).map_or((0, &[]), |length| (length, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn open(ordered: bool, limit: Delivery) -> Message {
        Message::Open(Open {
            label: "chat".into(),
            reliability: Reliability {
                ordered,
                limit,
                protocol: "p".into(),
            },
        })
    }

    #[test]
    fn an_open_is_as_the_standard_draws_it() {
        let bytes = open(false, Delivery::Retransmits(3)).write();
        assert_eq!(bytes, b"\x03\x81\0\0\0\0\0\x03\0\x04\0\x01chatp");
        assert_eq!(open(true, Delivery::LifetimeMs(500)).write()[1], 0x02);
        assert_eq!(Message::Ack.write(), [2]);
    }

    #[test]
    fn what_is_written_is_read() {
        for limit in [
            Delivery::Reliable,
            Delivery::Retransmits(7),
            Delivery::LifetimeMs(u16::MAX),
        ] {
            for ordered in [false, true] {
                let message = open(ordered, limit);
                assert_eq!(Message::parse(&message.write()), Some(message));
            }
        }
        assert_eq!(Message::parse(&[2]), Some(Message::Ack));
    }

    #[test]
    fn a_limit_beyond_ours_is_the_largest_of_ours() {
        let mut bytes = open(true, Delivery::Retransmits(0)).write();
        bytes[4..8].copy_from_slice(&[0xff; 4]);
        let Message::Open(read) = Message::parse(&bytes).unwrap() else {
            unreachable!("it is an open");
        };
        assert_eq!(read.reliability.limit, Delivery::Retransmits(u16::MAX));
    }

    #[test]
    fn what_is_cut_or_unknown_is_nothing() {
        let whole = open(true, Delivery::Reliable).write();
        assert!((0..whole.len()).all(|length| Message::parse(&whole[..length]).is_none()));
        for (place, value) in [(0, 4), (1, 3), (8, 0xff), (12, 0xff)] {
            let mut bytes = whole.clone();
            bytes[place] = value;
            assert_eq!(Message::parse(&bytes), None, "{place}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(message) = Message::parse(&bytes) {
                prop_assert_eq!(Message::parse(&message.write()), Some(message));
            }
        }
    }
}
