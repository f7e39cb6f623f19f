//! Bounds of scripted clients and of the load that they make, and what happens at each.

use std::time::Duration;

/// How long datagrams wait for a link that has a rate, as in a router of some 200 ms. Further ones
/// are lost.
pub const LINK_QUEUE_MAX: Duration = Duration::from_millis(200);
