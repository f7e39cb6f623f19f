//! Scripted WebRTC clients without SDP: both ends are given the same negotiated session.

mod client;
mod heard;
mod scripted;
mod session;

pub use client::Client;
pub use heard::{Feedback, Heard, MediaPacket, Message};
pub use load::frames::{Opus, Video, is_keyframe};
pub use load::peer::{Far, Identity};
pub use scripted::{Order, Scripted};
pub use session::{SessionBuilder, opus, red, vp8};

/// The environment variable that has the tests use another media engine than the default; the program reads it, too.
const ENGINE: &str = "ROTUNDA_MEDIA_ENGINE";

/// The name of the media engine that tests are to use, if one is named.
pub fn engine() -> Option<String> {
    std::env::var(ENGINE).ok()
}
