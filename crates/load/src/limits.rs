//! Bounds of scripted clients and of the load that they make, and what happens at each.

use std::time::Duration;

/// How long datagrams wait for a link that has a rate, as in a router of some 200 ms. Further ones
/// are lost.
pub const LINK_QUEUE_MAX: Duration = Duration::from_millis(200);

/// Datagrams taken by one receive call. The next call takes the rest.
pub const RECEIVE_BATCH_MAX: usize = 32;

/// What is asked of the kernel for a peer's buffers, bytes; it may give less, and then loses some.
pub const SOCKET_BUFFER_BYTES: usize = 1 << 20;

/// Failures that a report names; further ones are only missing among those that joined.
pub const FAILURES_KEPT_MAX: usize = 10;

/// How long any one answer of a server is waited for. Later the participant counts as refused.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// How long everybody is waited for to hear everybody. Later the measurement begins without.
pub const SETTLE_TIME_MAX: Duration = Duration::from_secs(60);
