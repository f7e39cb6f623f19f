//! Signaling journeys: scripted clients on real sockets, a real server with a real database, and
//! the rows afterwards.
#![allow(clippy::unwrap_used, missing_docs)]

mod anonymize;
mod callbacks;
mod door;
mod join;
mod leave;
mod protocol;
mod reconnect;
mod restart;
mod room_kinds;
mod tracks;
mod workers;
mod world;
