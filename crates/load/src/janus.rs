//! Janus' VideoRoom as the server under load: the same clients and media, another way in.

mod participant;
mod server;
mod session;

pub(crate) use participant::{Feeds, Member};
pub use server::{Janus, JanusError};
pub(crate) use session::Session;
