//! Counters of the media plane, kept by each worker and read by anyone.

use std::iter::Sum;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Totals since the start.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// Where the worker publishes its totals, once a turn and not once a packet.
        #[derive(Debug, Default)]
        pub(crate) struct SharedStats {
            $($name: AtomicU64,)*
        }

        impl SharedStats {
            pub(crate) fn publish(&self, stats: &Stats) {
                $(self.$name.store(stats.$name, Ordering::Relaxed);)*
            }

            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl Sum for Stats {
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                all.fold(Self::default(), |sum, one| Self { $($name: sum.$name + one.$name,)* })
            }
        }
    };
}

counters! {
    /// Datagrams received.
    datagrams_in,
    /// Their bytes.
    bytes_in,
    /// Times that the worker woke up, or went on because something waited.
    turns,
    /// Datagrams handed to the kernel.
    datagrams_out,
    /// In so many messages: those to one receiver go in one if their sizes are equal.
    messages_out,
    /// Their bytes.
    bytes_out,
    /// RTP packets received, after decryption.
    packets_in,
    /// RTP packets given to subscribers; one counts for each subscriber.
    packets_forwarded,
    /// Datagrams from an address that passed no check, other than checks.
    dropped_unknown_address,
    /// Checks with no valid credentials, and malformed ones.
    dropped_check,
    /// Datagrams larger than the bound.
    dropped_too_large,
    /// DTLS datagrams over the bound of those waiting.
    dropped_handshake,
    /// Datagrams of transports that sent more than they may in a tick.
    dropped_flood,
    /// Media that waited for too long while the worker was behind.
    dropped_behind,
    /// RTP packets of SSRCs that the client did not announce.
    dropped_undeclared,
    /// Key-frame requests of subscribers that ask too often.
    dropped_keyframe_demands,
    /// Packets that a subscriber has no payload type for.
    dropped_no_codec,
    /// Packets of layers that a subscriber was not sent, and those that came too late.
    dropped_not_forwarded,
    /// Packets of sound that was not among the loudest for a subscriber.
    dropped_quiet,
    /// Datagrams that the kernel refused to send.
    dropped_send,
    /// Data-channel messages over a bound.
    dropped_messages,
    /// Data-channel messages given to subscribers.
    messages_forwarded,
    /// Key frames asked of publishers.
    keyframe_requests,
    /// Transports lost to a failing engine.
    engine_failures,
    /// Panics outside of a transport, each of which cost all transports of its worker.
    worker_failures,
    /// Time spent waiting for something to do, ns; what is left of the time that passed, the worker was busy.
    idle_ns,
    /// Transports alive.
    transports,
}
