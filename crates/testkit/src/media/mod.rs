//! Scripted WebRTC clients without SDP: both ends are given the same negotiated session.

mod client;
mod session;

pub use client::{Client, Heard, MediaPacket, Message};
pub use load::frames::{Opus, Video, is_keyframe};
pub use session::{SessionBuilder, opus, red, vp8};
