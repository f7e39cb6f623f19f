//! Whose sound each receiver is sent.

use std::time::Instant;

use negotiation::MediaKind;

use super::Plane;
use crate::engine::Engines;
use crate::limits;
use crate::loudest::{self, Candidate};

impl<E: Engines> Plane<E> {
    /// Chooses the loudest for all who receive more sound than is sent; no oftener than there is use in it.
    pub(super) fn choose_sound(&mut self, now: Instant) {
        let Some(most) = self.loudest else { return };
        if now < self.next_choice {
            return;
        }
        self.next_choice = now + limits::LOUDEST_INTERVAL;
        let candidates = &mut self.candidates;
        for transport in self.transports.values_mut() {
            // Each send is of sound or of pictures, so this spares most receivers a look at theirs.
            if transport.sends.len() <= most.get() && !transport.has_quiet {
                continue;
            }
            candidates.clear();
            for (stream, slot) in &transport.sends {
                let track = slot.source.and_then(|(_, key)| self.tracks.get(&key));
                if let Some(track) = track.filter(|track| track.kind == MediaKind::Audio)
                    && let Some(loudness) = track.loudness.get(now)
                {
                    candidates.push(Candidate {
                        track: *stream,
                        loudness,
                        standing: slot.standing,
                    });
                }
            }
            loudest::choose(candidates, most.get(), now);
            transport.has_quiet = candidates.iter().any(|candidate| candidate.standing.is_quiet);
            for candidate in candidates.iter() {
                let Some(slot) = transport.sends.get_mut(&candidate.track) else {
                    continue;
                };
                // Numbers go on from where they stopped, so that nothing seems lost (RFC 3550 section 6.4.1).
                if slot.standing.is_quiet && !candidate.standing.is_quiet {
                    slot.forwarder.attach();
                }
                slot.standing = candidate.standing;
            }
        }
    }
}
