//! Scripted clients, the load that they make, and what it costs a server.
//!
//! Tests use the parts by themselves, through `testkit`.

pub mod description;
pub mod engine;
pub mod frames;
pub mod janus;
pub mod limits;
pub mod link;
mod media;
pub mod participant;
pub mod peer;
pub mod plan;
pub mod process;
pub mod report;
pub mod rest;
pub mod run;
pub mod signaling;
mod slot;
pub mod source;
pub mod stamp;
pub mod stream;
