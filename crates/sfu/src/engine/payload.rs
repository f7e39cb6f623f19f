//! Bytes of a packet, shared by all who are sent it, in buffers that are used again.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::limits;

/// Buffers have a multiple of so many bytes, so that one fits the next packet of a stream, too.
const STEP_BYTES: usize = 128;

/// A payload.
#[derive(Clone)]
pub(crate) struct Payload {
    buffer: Arc<[u8]>,
    length: usize,
}

impl Payload {
    /// Whether two are one and the same, not only equal.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.buffer, &other.buffer) && self.length == other.length
    }

    /// As a buffer without anything behind.
    #[cfg(any(test, feature = "library-engine"))]
    pub(crate) fn whole(&self) -> Arc<[u8]> {
        match self.length == self.buffer.len() {
            true => self.buffer.clone(),
            false => Arc::from(&self[..]),
        }
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl From<Arc<[u8]>> for Payload {
    fn from(buffer: Arc<[u8]>) -> Self {
        let length = buffer.len();
        Self { buffer, length }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Arc::<[u8]>::from(bytes))
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self::from(Arc::<[u8]>::from(bytes))
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Payload {}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The buffers of one stream: each is used again when nobody has its payload any more.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// In the order in which they were lent.
    lent: VecDeque<Arc<[u8]>>,
}

impl Pool {
    /// A payload of these bytes.
    pub(crate) fn lend(&mut self, bytes: &[u8]) -> Payload {
        let length = bytes.len();
        let buffer = match self.lent.pop_front() {
            Some(mut oldest) => match Arc::get_mut(&mut oldest) {
                Some(room) if room.len() >= length => {
                    room[..length].copy_from_slice(bytes);
                    oldest
                }
                // Too small from now on.
                Some(_) => new_buffer(bytes),
                None => {
                    self.lent.push_front(oldest);
                    new_buffer(bytes)
                }
            },
            None => new_buffer(bytes),
        };
        // Beyond what may be asked for again nobody should have them for long.
        if self.lent.len() < 2 * limits::RTX_PACKETS_MAX {
            self.lent.push_back(buffer.clone());
        }
        Payload { buffer, length }
    }

    /// Lets go of all buffers.
    pub(crate) fn clear(&mut self) {
        self.lent = VecDeque::new();
    }
}

fn new_buffer(bytes: &[u8]) -> Arc<[u8]> {
    let mut buffer = bytes.to_vec();
    buffer.resize(bytes.len().next_multiple_of(STEP_BYTES), 0);
    buffer.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_when_nobody_has_it() {
        let mut pool = Pool::default();
        let first = pool.lend(&[1; 100]);
        let place = first.as_ptr();
        let second = pool.lend(&[2; 100]);
        assert_ne!(second.as_ptr(), place);
        let shared = first.clone();
        drop(first);
        assert_ne!(pool.lend(&[3; 100]).as_ptr(), place, "somebody has it");
        assert_eq!(shared[..], [1; 100]);
        drop(shared);
        let again = pool.lend(&[4; 90]);
        assert_eq!((again.as_ptr(), &again[..]), (place, &[4; 90][..]));
        assert_eq!(again.whole()[..], [4; 90]);
        drop(again);
        assert_eq!(pool.lend(&[5; 1000]).len(), 1000);
    }

    #[test]
    fn so_many_are_kept() {
        let mut pool = Pool::default();
        let lent: Vec<Payload> = (0..5000).map(|_| pool.lend(&[1; 10])).collect();
        assert_eq!((lent.len(), pool.lent.len()), (5000, 2 * limits::RTX_PACKETS_MAX));
        pool.clear();
        assert!(pool.lent.is_empty());
    }

    #[test]
    fn payloads_are_equal_by_their_bytes() {
        let (one, other) = (Payload::from(vec![1, 2]), Pool::default().lend(&[1, 2]));
        assert!(one == other && !one.is(&other) && one.is(&one.clone()));
        assert_eq!(format!("{other:?}"), "[1, 2]");
    }
}
