//! SSRCs of ours: each tells the index of its stream, and none has a second life.
//!
//! The lower [`INDEX_BITS`] bits are the stream's index in its connection: twice the number of its section, and one more for
//! retransmissions. Those above count how often the section began to send. A connection's count begins anywhere in the
//! lowest quarter.

use std::collections::BTreeSet;

use crate::limits::SECTIONS_MAX;
use crate::session::Layer;

/// Bits of an SSRC that are the stream's index.
const INDEX_BITS: u32 = 12;

/// Streams towards one client, those of retransmissions counted: an index lies below it.
pub const STREAMS_MAX: usize = 1 << INDEX_BITS;

const _: () = assert!(STREAMS_MAX == 2 * SECTIONS_MAX);

/// The highest count that the bits above hold.
const COUNT_MAX: u32 = u32::MAX >> INDEX_BITS;

/// The index of the stream that has this SSRC towards a client, below [`STREAMS_MAX`].
pub fn stream_index(ssrc: u32) -> usize {
    ssrc as usize % STREAMS_MAX
}

/// Gives SSRCs out.
#[derive(Debug)]
pub(crate) struct Ssrcs {
    /// Below all counts.
    floor: u32,
    /// The latest count of each section that ever sent.
    counts: Vec<u32>,
}

impl Ssrcs {
    /// Any number makes a floor.
    pub(crate) fn new(random: u32) -> Self {
        Self {
            floor: random >> (INDEX_BITS + 2),
            counts: Vec::new(),
        }
    }

    /// Whether the section can begin to send once more. After three quarters of a million times it cannot, and another
    /// section is to be used.
    pub(crate) fn are_left(&self, section: usize) -> bool {
        self.count(section) < COUNT_MAX
    }

    /// The next of a section, none of which is among `taken`.
    pub(crate) fn next(&mut self, section: usize, has_rtx: bool, taken: &BTreeSet<u32>) -> Option<Layer> {
        let media = u32::try_from(2 * section).ok().filter(|_| section < SECTIONS_MAX)?;
        let ssrc = |count: u32| count << INDEX_BITS | media;
        let is_free = |count: &u32| !taken.contains(&ssrc(*count)) && !taken.contains(&(ssrc(*count) + 1));
        let count = (self.count(section) + 1..=COUNT_MAX).find(is_free)?;
        if self.counts.len() <= section {
            self.counts.resize(section + 1, self.floor);
        }
        self.counts[section] = count;
        Some(Layer {
            ssrc: ssrc(count),
            rtx: has_rtx.then_some(ssrc(count) + 1),
        })
    }

    fn count(&self, section: usize) -> u32 {
        self.counts.get(section).copied().unwrap_or(self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ssrc_tells_the_index_of_its_stream() {
        let mut ssrcs = Ssrcs::new(u32::MAX);
        for section in [0, 7, 7, SECTIONS_MAX - 1] {
            let layer = ssrcs.next(section, true, &BTreeSet::new());
            let indices = layer.map(|layer| (stream_index(layer.ssrc), layer.rtx.map(stream_index)));
            assert_eq!(indices, Some((2 * section, Some(2 * section + 1))));
        }
        assert_eq!(ssrcs.next(SECTIONS_MAX, true, &BTreeSet::new()), None);
    }

    #[test]
    fn those_that_the_client_has_are_left_out() {
        let mut ssrcs = Ssrcs::new(0);
        let taken = BTreeSet::from([1 << INDEX_BITS | 6, 2 << INDEX_BITS | 7]);
        let layer = ssrcs.next(3, false, &taken);
        assert_eq!(
            layer.map(|layer| (layer.ssrc, layer.rtx)),
            Some((3 << INDEX_BITS | 6, None))
        );
    }

    #[test]
    fn a_section_has_so_many_and_none_twice() {
        let mut ssrcs = Ssrcs::new(u32::MAX);
        let mut given = 0;
        let mut last = 0;
        while ssrcs.are_left(1) {
            let ssrc = ssrcs.next(1, true, &BTreeSet::new()).map_or(0, |layer| layer.ssrc);
            assert!(ssrc > last);
            (given, last) = (given + 1, ssrc);
        }
        assert!(given >= 3 << 18, "{given}");
        assert_eq!(ssrcs.next(1, true, &BTreeSet::new()), None);
        assert!(ssrcs.are_left(2) && ssrcs.next(2, true, &BTreeSet::new()).is_some());
    }
}
