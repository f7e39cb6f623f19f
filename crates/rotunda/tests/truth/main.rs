//! Everything that a server acknowledges, over random scenarios, held against itself: nothing is
//! lost, repeated, invented or older than what was known before.
#![allow(clippy::unwrap_used, missing_docs)]

mod callbacks;
mod flood;
mod guest;
mod kills;
mod mutations;
mod random;
mod receiver;
mod scenario;
mod storm;
mod trace;
mod world;
