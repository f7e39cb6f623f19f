//! Servers, scripted clients and networks for tests.

pub mod contract;
pub mod media;
pub mod relay;
pub mod signaling;
