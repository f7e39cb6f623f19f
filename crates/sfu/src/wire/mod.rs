//! RTP and RTCP as they are on the wire: views over received bytes, and writers into a buffer.
//!
//! A view borrows the bytes, never panics and never allocates; what it cannot make sense of is `None`, or the end
//! of an iterator. Its work is bounded by the number of bytes, whatever counts these claim.

pub(crate) mod extension;
pub(crate) mod red;
pub(crate) mod rtcp;
pub(crate) mod rtp;
pub(crate) mod twcc;

/// What a datagram is: several protocols share one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
}

impl Kind {
    /// By the first byte (RFC 7983 section 7), and RTCP where RTP has marker and payload type (RFC 5761 section 4).
    pub(crate) fn of(datagram: &[u8]) -> Option<Self> {
        match datagram {
            [0..=3, ..] => Some(Self::Stun),
            [20..=63, ..] => Some(Self::Dtls),
            [128..=191, 192..=223, ..] => Some(Self::Rtcp),
            [128..=191, ..] => Some(Self::Rtp),
            _ => None,
        }
    }
}

/// Four bytes at an offset, in network order.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Two bytes at an offset, in network order.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_on_one_port() {
        assert_eq!(Kind::of(&[0, 1]), Some(Kind::Stun));
        assert_eq!(Kind::of(&[22, 254]), Some(Kind::Dtls));
        assert_eq!(Kind::of(&[0x80, 96]), Some(Kind::Rtp));
        assert_eq!(Kind::of(&[0x80, 0x80 | 96]), Some(Kind::Rtp));
        assert_eq!(Kind::of(&[0x81, 200]), Some(Kind::Rtcp));
        assert_eq!(Kind::of(&[0x8f, 205]), Some(Kind::Rtcp));
        // A channel of TURN, an old key exchange, nothing.
        for strange in [&[64, 0][..], &[5], &[255, 200], &[]] {
            assert_eq!(Kind::of(strange), None);
        }
    }
}
