//! Bounds on what a participant can make a room hold.

use std::time::Duration;

/// Tracks one participant may have published at once. Past it a track fails with code 53203.
/// Raising it costs every subscriber a section and every list a row.
pub const TRACKS_PER_PARTICIPANT: usize = 64;

/// Characters of a track's name (rest.md section 7). Past it the track fails with code 53302.
pub const TRACK_NAME_CHARS: usize = 128;

/// Bytes of the id that a track's media carries. Browsers use 36; past it the track fails.
pub const MEDIA_ID_BYTES: usize = 256;

/// The longest wait for anything: 100 years, which every monotonic clock can add. A longer timeout
/// (`Duration::MAX` for "never") counts as this one.
pub const WAIT_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Rules of one participant (rest.md section 14). A longer list is invalid: code 53215.
pub const RULES_MAX: usize = 20;

/// Characters of an identity or a track's name in a rule: no participant and no track has a longer one. A rule with one
/// is invalid: code 53215.
pub const RULE_TEXT_CHARS: usize = 128;
