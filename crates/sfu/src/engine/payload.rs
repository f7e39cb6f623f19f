//! Bytes of a packet, shared by all who are sent it, in buffers that are used again.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::limits;

/// A payload. Small, since what was sent is remembered for each receiver.
#[derive(Clone)]
pub(crate) struct Payload(Arc<Buffer>);

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// The same as the library takes it: made once for all receivers.
    #[cfg(any(test, feature = "library-engine"))]
    whole: std::sync::OnceLock<Arc<[u8]>>,
}

impl Payload {
    /// Whether two are one and the same, not only equal.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// As the library takes it.
    #[cfg(any(test, feature = "library-engine"))]
    pub(crate) fn whole(&self) -> Arc<[u8]> {
        self.0.whole.get_or_init(|| Arc::from(&self[..])).clone()
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Buffer::new(bytes)))
    }
}

#[cfg(test)]
impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

#[cfg(any(test, feature = "library-engine"))]
impl From<Arc<[u8]>> for Payload {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self::from(bytes.to_vec())
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

impl Buffer {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            #[cfg(any(test, feature = "library-engine"))]
            whole: std::sync::OnceLock::new(),
        }
    }

    fn fill(&mut self, bytes: &[u8]) {
        let mut room = std::mem::take(&mut self.bytes);
        room.clear();
        room.reserve_exact(bytes.len());
        room.extend_from_slice(bytes);
        *self = Self::new(room);
    }
}

/// The buffers of one stream: each is used again when nobody has its payload any more.
#[derive(Default)]
pub(crate) struct Pool {
    /// In the order in which they were lent.
    lent: VecDeque<Arc<Buffer>>,
}

impl Pool {
    /// A payload of these bytes.
    pub(crate) fn lend(&mut self, bytes: &[u8]) -> Payload {
        let unused = |oldest: &mut Arc<Buffer>| Arc::get_mut(oldest).is_some();
        let mut buffer = self.lent.pop_front_if(unused).unwrap_or_default();
        if let Some(buffer) = Arc::get_mut(&mut buffer) {
            buffer.fill(bytes);
        }
        // Beyond what may be asked for again nobody should have them for long.
        if self.lent.len() < 2 * limits::RTX_PACKETS_MAX {
            self.lent.push_back(buffer.clone());
        }
        Payload(buffer)
    }

    /// Lets go of all buffers.
    pub(crate) fn clear(&mut self) {
        self.lent = VecDeque::new();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("lent", &self.lent.len()).finish()
    }
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
        assert!(Arc::ptr_eq(&again.whole(), &again.clone().whole()), "made once");
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
