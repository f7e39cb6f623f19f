//! What the generator writes into the end of every payload: who sent it, and when.
//!
//! Forwarders look at the beginnings of payloads only, so the end is ours. Both ends are in one
//! process, so that one clock tells how long a packet took.

use std::time::{Duration, Instant};

/// Bytes at the end of a payload.
pub const STAMP_BYTES: usize = 20;

const MAGIC: [u8; 4] = *b"ROTU";

/// Who sent a packet, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the room.
    pub room: u32,
    /// Number of the publisher, over all rooms.
    pub publisher: u32,
    /// Time since the run began.
    pub sent: Duration,
}

impl Stamp {
    /// Overwrites the end of a payload; one that is too short stays as it is.
    pub fn write(&self, payload: &mut [u8]) {
        let Some(begin) = payload.len().checked_sub(STAMP_BYTES) else {
            return;
        };
        let nanos = u64::try_from(self.sent.as_nanos()).unwrap_or(u64::MAX);
        let end = &mut payload[begin..];
        end[..4].copy_from_slice(&MAGIC);
        end[4..8].copy_from_slice(&self.room.to_be_bytes());
        end[8..12].copy_from_slice(&self.publisher.to_be_bytes());
        end[12..].copy_from_slice(&nanos.to_be_bytes());
    }

    /// The stamp of a payload, if it has one.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let end = payload.last_chunk::<STAMP_BYTES>()?;
        let (magic, rest) = end.split_first_chunk::<4>()?;
        let (room, rest) = rest.split_first_chunk::<4>()?;
        let (publisher, nanos) = rest.split_first_chunk::<4>()?;
        (*magic == MAGIC).then_some(Self {
            room: u32::from_be_bytes(*room),
            publisher: u32::from_be_bytes(*publisher),
            sent: Duration::from_nanos(u64::from_be_bytes(*nanos.first_chunk()?)),
        })
    }
}

/// Counts from the beginning of a run.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since the beginning.
    pub fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written_and_only_then() {
        let stamp = Stamp {
            room: 3,
            publisher: 70_000,
            sent: Duration::from_nanos(123_456_789_012),
        };
        let mut payload = vec![9; 80];
        assert_eq!(Stamp::read(&payload), None);
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert!(
            payload[..60].iter().all(|byte| *byte == 9),
            "the beginning is not touched"
        );
        let mut short = vec![9; 19];
        stamp.write(&mut short);
        assert_eq!((Stamp::read(&short), short), (None, vec![9; 19]));
    }
}
