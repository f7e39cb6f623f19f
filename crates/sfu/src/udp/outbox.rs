//! Datagrams that are to be sent, in one buffer that is used again and again.
//!
//! They are kept by destination: those to one follow each other in the order in which they were put in, so that the
//! kernel can be given many in one piece. Between destinations there is no order.

use std::net::IpAddr;

use crate::ice::Path;

/// Room that a datagram gets which writes itself: more than any that is looked at, with its overhead.
pub(crate) const ROOM_BYTES: usize = 2048;

/// Bytes that the buffer keeps after a turn that needed more.
const KEPT_BYTES: usize = 2 << 20;

/// The end of a chain.
const NONE: u32 = u32::MAX;

/// What waits to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// As long as it ever had to be; what is in use is at its beginning.
    bytes: Vec<u8>,
    used: usize,
    datagrams: Vec<Datagram>,
    destinations: Vec<Destination>,
    /// Open addressing: one plus an index of a destination. Its length is a power of two, and twice as many as there are
    /// destinations at least.
    table: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Datagram {
    start: usize,
    length: usize,
    destination: u32,
    /// The next to the same destination.
    next: u32,
}

#[derive(Debug, Clone, Copy)]
struct Destination {
    path: Path,
    first: u32,
    last: u32,
}

impl Outbox {
    /// Puts in a copy.
    pub(crate) fn push(&mut self, path: Path, datagram: &[u8]) {
        self.reserve(datagram.len());
        self.bytes[self.used..self.used + datagram.len()].copy_from_slice(datagram);
        self.add(path, datagram.len());
    }

    /// Puts in what is written into the room, [`ROOM_BYTES`] of leftovers; nothing if `write` gives no length. Whether
    /// something was put in.
    pub(crate) fn push_with(&mut self, path: Path, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        self.reserve(ROOM_BYTES);
        let length = write(&mut self.bytes[self.used..self.used + ROOM_BYTES]);
        if let Some(length) = length {
            self.add(path, length.min(ROOM_BYTES));
        }
        length.is_some()
    }

    /// How many datagrams wait.
    pub(crate) fn len(&self) -> usize {
        self.datagrams.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// All that waits, in the order in which it was put in.
    #[cfg(any(test, feature = "measuring"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Path, &[u8])> {
        let destination = |datagram: &Datagram| self.destinations[datagram.destination as usize].path;
        (0..)
            .zip(&self.datagrams)
            .map(move |(index, datagram)| (destination(datagram), self.datagram(index)))
    }

    /// Throws all away. The buffer stays, unless it is uncommonly large.
    pub(crate) fn clear(&mut self) {
        self.datagrams.clear();
        self.destinations.clear();
        self.table.fill(0);
        self.used = 0;
        if self.bytes.len() > KEPT_BYTES {
            self.bytes.truncate(KEPT_BYTES);
            self.bytes.shrink_to(KEPT_BYTES);
        }
    }

    /// How many destinations there are.
    pub(super) fn destinations(&self) -> u32 {
        self.destinations.len() as u32
    }

    pub(super) fn path(&self, destination: u32) -> Path {
        self.destinations[destination as usize].path
    }

    /// The indices of the datagrams to a destination.
    pub(super) fn chain(&self, destination: u32) -> impl Iterator<Item = u32> {
        self.chain_from(self.destinations[destination as usize].first)
    }

    /// The index of a datagram and of those behind it to the same destination.
    pub(super) fn chain_from(&self, index: u32) -> impl Iterator<Item = u32> {
        let some = |index: u32| (index != NONE).then_some(index);
        std::iter::successors(some(index), move |index| some(self.datagrams[*index as usize].next))
    }

    pub(super) fn datagram(&self, index: u32) -> &[u8] {
        let datagram = &self.datagrams[index as usize];
        &self.bytes[datagram.start..datagram.start + datagram.length]
    }

    /// The bytes of so many datagrams from one on, in as few pieces as they lie in.
    pub(super) fn pieces(&self, first: u32, count: usize) -> impl Iterator<Item = &[u8]> {
        let mut chain = self.chain_from(first).take(count).peekable();
        std::iter::from_fn(move || {
            let Datagram { start, length, .. } = self.datagrams[chain.next()? as usize];
            let mut end = start + length;
            while let Some(next) = chain.next_if(|next| self.datagrams[*next as usize].start == end) {
                end += self.datagrams[next as usize].length;
            }
            Some(&self.bytes[start..end])
        })
    }

    fn reserve(&mut self, bytes: usize) {
        let end = self.used + bytes;
        if end > self.bytes.len() {
            self.bytes.resize(end.next_power_of_two(), 0);
        }
    }

    /// What was written behind the used bytes is a datagram.
    fn add(&mut self, path: Path, length: usize) {
        let destination = self.destination(path);
        let index = self.datagrams.len() as u32;
        let place = &mut self.destinations[destination as usize];
        match place.last {
            NONE => place.first = index,
            last => self.datagrams[last as usize].next = index,
        }
        place.last = index;
        self.datagrams.push(Datagram {
            start: self.used,
            length,
            destination,
            next: NONE,
        });
        self.used += length;
    }

    /// The index of a path's destination, which is made if there is none.
    fn destination(&mut self, path: Path) -> u32 {
        // Often it is that of the datagram before.
        if let Some(last) = self.datagrams.last()
            && self.destinations[last.destination as usize].path == path
        {
            return last.destination;
        }
        if 2 * (self.destinations.len() + 1) > self.table.len() {
            self.grow_table();
        }
        let slot = self.slot(&path);
        if let Some(found) = self.table[slot].checked_sub(1) {
            return found;
        }
        self.destinations.push(Destination {
            path,
            first: NONE,
            last: NONE,
        });
        self.table[slot] = self.destinations.len() as u32;
        self.table[slot] - 1
    }

    /// Where a path is in the table, or where it belongs.
    fn slot(&self, path: &Path) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = hash(path) & mask;
        while let Some(taken) = self.table[slot].checked_sub(1)
            && self.destinations[taken as usize].path != *path
        {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow_table(&mut self) {
        let length = (2 * self.table.len()).max(64);
        self.table.clear();
        self.table.resize(length, 0);
        for index in 0..self.destinations.len() {
            let slot = self.slot(&self.destinations[index].path);
            self.table[slot] = index as u32 + 1;
        }
    }
}

/// Spreads addresses over the table. They are of clients that passed a check, so nobody gains by collisions.
fn hash(path: &Path) -> usize {
    let ip = match path.remote.ip() {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    };
    let folded = ip as u64 ^ (ip >> 64) as u64 ^ u64::from(path.remote.port()) << 40;
    // Fibonacci hashing: the upper bits depend on all of them.
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::SocketAddr;

    fn path(port: u16) -> Path {
        Path {
            remote: SocketAddr::from(([192, 0, 2, 1], port)),
            local: None,
        }
    }

    #[test]
    fn what_lies_together_is_one_piece() {
        let mut outbox = Outbox::default();
        outbox.push(path(1), &[1, 1]);
        assert!(outbox.push_with(path(1), |room| {
            room[0] = 2;
            Some(1)
        }));
        assert!(!outbox.push_with(path(1), |_| None));
        outbox.push(path(2), &[9]);
        outbox.push(path(1), &[3]);
        assert_eq!((outbox.len(), outbox.destinations()), (4, 2));
        assert!(outbox.pieces(0, 3).eq([&[1, 1, 2][..], &[3]]));
        assert!(outbox.pieces(0, 2).eq([&[1, 1, 2][..]]));
        assert!(outbox.chain(0).eq([0, 1, 3]));
        outbox.clear();
        assert!(outbox.is_empty() && outbox.iter().next().is_none() && outbox.destinations() == 0);
    }

    #[test]
    fn an_uncommonly_large_buffer_is_given_back() {
        let mut outbox = Outbox::default();
        for _ in 0..100 {
            outbox.push(path(1), &[0; 60_000]);
        }
        outbox.clear();
        assert!(outbox.bytes.capacity() <= KEPT_BYTES);
    }

    proptest! {
        #[test]
        fn each_destination_keeps_its_order(ports in prop::collection::vec(0_u16..200, 0..600)) {
            let mut outbox = Outbox::default();
            for _ in 0..2 {
                outbox.clear();
                for (number, port) in (0_u32..).zip(&ports) {
                    outbox.push(path(*port), &number.to_be_bytes());
                }
                let all: Vec<(Path, Vec<u8>)> = outbox.iter().map(|(path, bytes)| (path, bytes.to_vec())).collect();
                let expected: Vec<_> =
                    (0_u32..).zip(&ports).map(|(number, port)| (path(*port), number.to_be_bytes().to_vec())).collect();
                prop_assert_eq!(&all, &expected);
                for destination in 0..outbox.destinations() {
                    let to = outbox.path(destination);
                    let chain: Vec<u8> = outbox.chain(destination).flat_map(|index| outbox.datagram(index).to_vec()).collect();
                    let own: Vec<u8> = all.iter().filter(|(path, _)| *path == to).flat_map(|(_, bytes)| bytes.clone()).collect();
                    prop_assert_eq!(&chain, &own);
                    let first = outbox.chain(destination).next().unwrap_or_default();
                    let pieces: Vec<u8> = outbox.pieces(first, usize::MAX).flatten().copied().collect();
                    prop_assert_eq!(pieces, own);
                }
            }
        }
    }
}
