//! Which SSRCs a client may send on: those it announced, and a few where it announced none.
//!
//! The engine's library finds the stream of an unknown SSRC by the mid in its header before it has
//! verified the packet, and moves the stream to it: whoever can write under a client's address
//! could silence the client so.

use std::collections::HashSet;

use negotiation::NegotiatedSession;

use crate::limits;
use crate::wire::Kind;
use crate::wire::rtp::Rtp;

/// What was announced in the session, and what was heard beyond it.
#[derive(Debug, Default)]
pub(super) struct Ssrcs {
    declared: HashSet<u32>,
    /// There is a section whose stream is to be found by its mid.
    has_unnamed: bool,
    unnamed: HashSet<u32>,
}

impl Ssrcs {
    /// Takes what a session announces.
    pub(super) fn apply(&mut self, session: &NegotiatedSession) {
        let receives = || session.sections.iter().filter_map(|section| section.receive.as_ref());
        self.declared = receives()
            .flat_map(|receive| &receive.layers)
            .flat_map(|layer| std::iter::once(layer.ssrc).chain(layer.rtx))
            .collect();
        self.has_unnamed = receives().any(|receive| receive.layers.is_empty());
        self.unnamed.clear();
    }

    /// Whether a datagram may be given to the library. Whatever is not RTP may.
    pub(super) fn admit(&mut self, datagram: &[u8]) -> bool {
        // Browsers probe the bandwidth with padding on SSRC 0.
        const PROBE: u32 = 0;
        let Some((ssrc, _)) = rtp_identity(datagram) else {
            return true;
        };
        if ssrc == PROBE || self.declared.contains(&ssrc) || self.unnamed.contains(&ssrc) {
            return true;
        }
        let has_room = self.has_unnamed && self.unnamed.len() < limits::UNDECLARED_SSRCS_MAX;
        has_room && self.unnamed.insert(ssrc)
    }
}

/// SSRC and sequence number of an RTP packet, sealed or not; `None` for RTCP and DTLS.
pub(in super::super) fn rtp_identity(datagram: &[u8]) -> Option<(u32, u16)> {
    let packet = Rtp::parse(datagram).filter(|_| Kind::of(datagram) == Some(Kind::Rtp))?;
    Some((packet.ssrc(), packet.sequence()))
}

#[cfg(test)]
mod tests {
    use negotiation::{Layer, NegotiatedSession, Receive, Section};

    use super::*;
    use crate::fixture::{self, video};

    fn session(layers: Vec<Layer>) -> NegotiatedSession {
        let track_id = "cam".into();
        let section = Section {
            receive: Some(Receive { track_id, layers }),
            ..video("0")
        };
        fixture::session(1, 1, vec![section])
    }

    fn rtp(ssrc: u32) -> Vec<u8> {
        [&[0x80, 96, 0, 1, 0, 0, 0, 0][..], &ssrc.to_be_bytes()].concat()
    }

    #[test]
    fn only_what_was_announced() {
        let mut ssrcs = Ssrcs::default();
        assert!(!ssrcs.admit(&rtp(7)), "nothing was announced yet");
        ssrcs.apply(&session(vec![Layer { ssrc: 7, rtx: Some(8) }]));
        assert!(ssrcs.admit(&rtp(7)) && ssrcs.admit(&rtp(8)) && ssrcs.admit(&rtp(0)));
        assert!((100..10_000).all(|ssrc| !ssrcs.admit(&rtp(ssrc))));
        // RTCP and DTLS are the library's.
        assert!(ssrcs.admit(&[0x80, 200, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9]) && ssrcs.admit(&[22; 20]));
    }

    #[test]
    fn a_few_where_none_was_announced() {
        let mut ssrcs = Ssrcs::default();
        ssrcs.apply(&session(Vec::new()));
        let admitted = (100..10_000).filter(|ssrc| ssrcs.admit(&rtp(*ssrc))).count();
        assert_eq!(admitted, limits::UNDECLARED_SSRCS_MAX);
        assert!(ssrcs.admit(&rtp(100)), "a stream that is known goes on");
    }

    #[test]
    fn rtcp_and_dtls_are_not_rtp() {
        assert_eq!(rtp_identity(&[0x80, 96, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9]), Some((9, 5)));
        assert_eq!(rtp_identity(&[0x80, 200, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9]), None);
        assert_eq!(rtp_identity(&[22; 12]), None);
        assert_eq!(rtp_identity(&[0x80; 4]), None);
    }
}
