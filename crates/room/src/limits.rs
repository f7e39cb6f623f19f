//! Bounds on what a participant can make a room hold.

/// Tracks one participant may have published at once. Past it a track fails with code 53203.
/// Raising it costs every subscriber a section and every list a row.
pub const TRACKS_PER_PARTICIPANT: usize = 64;

/// Characters of a track's name (rest.md section 7). Past it the track fails with code 53302.
pub const TRACK_NAME_CHARS: usize = 128;

/// Bytes of the id that a track's media carries. Browsers use 36; past it the track fails.
pub const MEDIA_ID_BYTES: usize = 256;
