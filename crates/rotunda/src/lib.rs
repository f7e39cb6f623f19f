//! The server: wires rooms, media, store and the wire together, and its command line.

// Without the program it is what fuzzing calls, and what that needs.
#![cfg_attr(not(feature = "program"), allow(dead_code, unused_imports, unreachable_pub))]

pub mod access_token;
pub mod api;
pub mod app;
#[cfg(feature = "program")]
pub mod assets;
#[cfg(feature = "program")]
pub mod command;
pub mod config;
pub mod credentials;
pub mod door;
#[cfg(feature = "program")]
pub mod drain;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
pub mod limits;
pub mod master_key;
pub mod memory_watch;
#[cfg(feature = "program")]
pub mod operator;
pub mod proxy;
#[cfg(feature = "program")]
pub mod restore;
pub mod retention;
pub mod rooms;
#[cfg(feature = "program")]
pub mod server;
#[cfg(feature = "program")]
pub mod signaling;
pub mod store_watch;
#[cfg(feature = "program")]
pub mod tls;
pub mod vault;
pub mod webhooks;
