//! The server: wires rooms, media, store and the wire together, and its command line.

pub mod access_token;
pub mod api;
pub mod app;
pub mod assets;
pub mod command;
pub mod config;
pub mod credentials;
pub mod door;
pub mod drain;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
pub mod limits;
pub mod master_key;
pub mod memory_watch;
pub mod operator;
pub mod proxy;
pub mod restore;
pub mod retention;
pub mod rooms;
pub mod server;
pub mod signaling;
pub mod store_watch;
pub mod tls;
pub mod vault;
pub mod webhooks;
