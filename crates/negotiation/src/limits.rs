//! Bounds on what a client's description may make us hold, and what happens at each.

use std::time::Duration;

/// Largest description read, bytes. A browser writes about 2.4 kB a section, so this is room for
/// several hundred remote participants; a larger description is refused.
pub(crate) const SDP_BYTES_MAX: usize = 4 << 20;

/// Longest line, bytes. The longest one a browser writes is the `BUNDLE` group, five bytes a
/// section; a longer line refuses the description.
pub(crate) const LINE_BYTES_MAX: usize = 32 << 10;

/// Most m= lines. A description with more is refused, and we offer no more: tracks beyond it wait
/// until a section is free. It stands above what any browser can decode and below what makes
/// descriptions that no WebSocket message holds.
pub(crate) const SECTIONS_MAX: usize = 2048;

/// Most attribute lines in one section. Chromium writes 200 at most; more refuse the description.
pub(crate) const ATTRIBUTES_MAX: usize = 1024;

/// Most different SSRCs in one section. Simulcast of three with retransmissions names six; more
/// refuse the description.
pub(crate) const SSRCS_MAX: usize = 64;

/// Longest mid, ufrag, password, msid part, bytes. RFC 8839 allows 256 for ICE and RFC 8830 64 for
/// msid parts; a longer one refuses the description.
pub(crate) const TOKEN_BYTES_MAX: usize = 256;

/// Least time from one of our offers to the next. It makes many joins share an offer: 50 in 5 s
/// cost each client 13 offers. Longer delays new tracks, shorter costs exchanges of growing size.
pub(crate) const OFFER_INTERVAL: Duration = Duration::from_millis(400);

/// Highest revision taken from a client: JavaScript counts exactly up to here, and a server's own
/// revisions (epoch << 32) stay far below. A description above it is refused.
pub(crate) const REVISION_MAX: u64 = 1 << 53;

// A BUNDLE line that names every section must fit.
const _: () = assert!(SECTIONS_MAX * 8 <= LINE_BYTES_MAX);
