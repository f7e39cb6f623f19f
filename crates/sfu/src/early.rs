//! ClientHellos that overtook the ICE check of their address: neither answered nor lost.
//!
//! DTLS is answered only where a check has passed, else whoever writes under a false address would
//! make us send a flight of certificates to a stranger. A network may change the order of the two,
//! and the client would send its hello again after a second only.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use crate::limits;

/// Hellos of addresses that are nobody's yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct EarlyHellos(VecDeque<Early>);

#[derive(Debug)]
struct Early {
    from: SocketAddr,
    at: Instant,
    datagram: Vec<u8>,
}

impl EarlyHellos {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps a datagram that is a ClientHello, one for each address; the oldest goes at the bound.
    pub(crate) fn keep(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        if !is_client_hello(datagram) {
            return;
        }
        self.0.retain(|early| early.from != from);
        if self.0.len() >= limits::EARLY_HELLOS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Early {
            from,
            at: now,
            datagram: datagram.to_vec(),
        });
    }

    /// The hello of an address that has passed a check now, unless it is too old.
    pub(crate) fn take(&mut self, from: SocketAddr, now: Instant) -> Option<Vec<u8>> {
        let index = self.0.iter().position(|early| early.from == from)?;
        let early = self.0.remove(index)?;
        let age = now.saturating_duration_since(early.at);
        (age <= limits::EARLY_HELLO_TIME_MAX).then_some(early.datagram)
    }
}

/// A DTLS record of epoch 0 that holds a handshake message of type 1 (RFC 6347 section 4).
fn is_client_hello(datagram: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    matches!(
        datagram,
        [HANDSHAKE, _, _, 0, 0, _, _, _, _, _, _, _, _, CLIENT_HELLO, ..]
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    pub(crate) fn hello(mark: u8) -> Vec<u8> {
        vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, mark]
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn the_newest_hello_of_an_address_is_kept_for_a_second() {
        let now = Instant::now();
        let mut early = EarlyHellos::default();
        early.keep(address(1), &hello(1), now);
        early.keep(address(1), &hello(2), now);
        early.keep(address(2), &[23; 40], now);
        assert_eq!(early.take(address(2), now), None);
        assert_eq!(early.take(address(1), now), Some(hello(2)));
        assert!(early.is_empty());
        early.keep(address(1), &hello(1), now);
        let late = now + limits::EARLY_HELLO_TIME_MAX + Duration::from_millis(1);
        assert_eq!(early.take(address(1), late), None);
    }

    #[test]
    fn strangers_fill_a_bounded_table() {
        let now = Instant::now();
        let mut early = EarlyHellos::default();
        for port in 0..1000 {
            early.keep(address(port), &hello(0), now);
        }
        assert_eq!(early.0.len(), limits::EARLY_HELLOS_MAX);
        assert_eq!(early.take(address(0), now), None);
        assert!(early.take(address(999), now).is_some());
    }
}
