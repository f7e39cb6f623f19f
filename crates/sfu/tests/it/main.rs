//! The conformance suite of the media plane: real clients over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod address;
mod addresses;
mod call;
mod channels;
mod crowd;
mod hostile;
mod layers;
mod loss;
mod sections;
mod workers;
mod world;
