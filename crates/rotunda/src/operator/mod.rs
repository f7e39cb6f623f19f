//! The operator's way to the running server: a Unix socket in the data directory, for its owner alone.
//!
//! `rotunda status` and its like connect, send one request ([`Request`]) and read its answer ([`Line`]). The server's
//! side is a [`Channel`], which hands each request to the serving loop as a [`Job`].

mod channel;
mod client;
mod path;

pub use channel::{Channel, Job, Reply};
pub use client::{AskError, ask};
pub use protocol::operator::{CredentialChange, CredentialChanged, Line, Request};

/// The name of the socket in the data directory.
pub const SOCKET: &str = "rotunda.sock";

#[cfg(test)]
mod tests;
