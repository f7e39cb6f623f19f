//! The words for what is published: kinds, priorities, a track.

use crate::TrackSid;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire and in the store.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads the word; `None` for any other text.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use words;

words!(
    /// What a track carries.
    TrackKind {
        /// Sound, by RTP.
        Audio = "audio",
        /// Pictures, by RTP.
        Video = "video",
        /// Messages, by a data channel.
        Data = "data",
    }
);

words!(
    /// How a publisher (or a subscriber, for itself) ranks a track.
    Priority {
        /// Switched off first.
        Low = "low",
        /// The default.
        Standard = "standard",
        /// Kept longest.
        High = "high",
    }
);

/// A published track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Its SID, the same for everyone.
    pub sid: TrackSid,
    /// The id its media carries from the publisher: the msid track id in SDP, or the label of the
    /// data channel (signaling.md section 3.3).
    pub media_id: String,
    /// What it carries; fixed.
    pub kind: TrackKind,
    /// Its name, unique among the publisher's tracks; fixed.
    pub name: String,
    /// False while muted. Always true for data.
    pub enabled: bool,
    /// The publisher's rank for it.
    pub priority: Priority,
}
