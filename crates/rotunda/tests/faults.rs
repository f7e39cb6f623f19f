//! Faults of the machine under the real program: each has a defined behaviour (docs/operations.md), keeps running calls
//! running, loses nothing acknowledged, says one line when it begins and one when it ends.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "faults/caller.rs"]
mod caller;
#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/database.rs"]
mod database;
#[path = "faults/drain.rs"]
mod drain;
#[path = "faults/network.rs"]
mod network;
#[path = "faults/process.rs"]
mod process;
#[path = "faults/resources.rs"]
mod resources;
#[path = "faults/store.rs"]
mod store_faults;
