//! Sealed packets kept for clients that take retransmissions but no RTX (RFC 4585 NACK alone).
//!
//! The identical ciphertext is sent again. Sealing the same sequence number a second time with other
//! bytes (a new transport-wide number is enough) would reuse a nonce of the AEAD.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limits;

/// The latest sealed packets of one stream.
#[derive(Debug, Default)]
pub(super) struct ResendRing {
    packets: VecDeque<Sealed>,
}

#[derive(Debug)]
struct Sealed {
    sequence: u16,
    datagram: Vec<u8>,
    resends: u8,
    last_resend: Option<Instant>,
}

/// A lost packet is asked for again after a round trip; what is asked for sooner is on its way.
const RESEND_INTERVAL_MIN: Duration = Duration::from_millis(15);

impl ResendRing {
    /// Keeps a packet; the oldest goes at the bound.
    pub(super) fn keep(&mut self, sequence: u16, datagram: &[u8]) {
        if self.packets.len() >= limits::RESEND_PACKETS_MAX {
            self.packets.pop_front();
        }
        self.packets.push_back(Sealed {
            sequence,
            datagram: datagram.to_vec(),
            resends: 0,
            last_resend: None,
        });
    }

    /// The packet as it was sent, unless it is too old or was sent too often.
    pub(super) fn resend(&mut self, sequence: u16, now: Instant) -> Option<Vec<u8>> {
        let packet = self
            .packets
            .iter_mut()
            .rev()
            .find(|packet| packet.sequence == sequence)?;
        let recent = packet
            .last_resend
            .is_some_and(|at| now.saturating_duration_since(at) < RESEND_INTERVAL_MIN);
        if recent || packet.resends >= limits::RESENDS_PER_PACKET_MAX {
            return None;
        }
        packet.resends += 1;
        packet.last_resend = Some(now);
        Some(packet.datagram.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_sent_again_a_bounded_number_of_times() {
        let start = Instant::now();
        let mut ring = ResendRing::default();
        ring.keep(7, &[1, 2, 3]);
        for i in 0..u32::from(limits::RESENDS_PER_PACKET_MAX) {
            assert_eq!(ring.resend(7, start + RESEND_INTERVAL_MIN * i), Some(vec![1, 2, 3]));
            assert_eq!(ring.resend(7, start + RESEND_INTERVAL_MIN * i), None);
        }
        assert_eq!(ring.resend(7, start + Duration::from_secs(1)), None);
        assert_eq!(ring.resend(8, start), None);
    }

    #[test]
    fn the_oldest_goes_first() {
        let now = Instant::now();
        let mut ring = ResendRing::default();
        for sequence in 0..=limits::RESEND_PACKETS_MAX as u16 {
            ring.keep(sequence, &sequence.to_be_bytes());
        }
        assert_eq!(ring.resend(0, now), None);
        assert_eq!(ring.resend(1, now), Some(vec![0, 1]));
    }
}
