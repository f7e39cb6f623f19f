//! Scripted clients, the load that they make, and what it costs a server.
//!
//! Tests use the parts by themselves, through `testkit`.

pub mod frames;
pub mod limits;
pub mod link;
pub mod peer;
pub mod signaling;
pub mod source;
