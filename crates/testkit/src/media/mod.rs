//! Scripted WebRTC clients without SDP: both ends are given the same negotiated session.

mod client;
mod generate;
mod session;
mod source;

pub use client::{Client, Heard, MediaPacket, Message};
pub use generate::{Opus, Video, is_keyframe};
pub use session::{SessionBuilder, opus, red, vp8};
