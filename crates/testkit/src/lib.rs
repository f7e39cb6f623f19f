//! Servers, scripted clients and networks for tests.

pub mod contract;
#[cfg(target_os = "linux")]
pub mod fault_layer;
pub mod history;
pub mod media;
pub mod mutate;
pub mod operations;
pub mod postgres;
pub mod relay;
pub mod signaling;
