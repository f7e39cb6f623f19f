//! What a request may cost, and what happens beyond it.

use std::time::Duration;

/// Bytes of a request's body; more is 413. Every parameter of the API fits many times over.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Time for a request's body to arrive; later is 408.
pub(super) const BODY_TIME_MAX: Duration = Duration::from_secs(20);

/// Bytes of a query string; more is 400.
pub(super) const QUERY_BYTES_MAX: usize = 16 * 1024;

/// Parameters of a request, unknown ones included; more is 400.
pub(super) const PARAMETERS_MAX: usize = 100;

/// Bytes of a page token; a longer one was not issued here: 400.
pub(super) const PAGE_TOKEN_BYTES_MAX: usize = 4 * 1024;

/// Rows of a page when the client says nothing (rest.md section 5).
pub(super) const PAGE_SIZE_DEFAULT: u32 = 50;

/// Rows of a page; more is taken as this (rest.md 26.2).
pub(super) const PAGE_SIZE_MAX: u32 = 1000;

/// Bytes of a date; a longer one is no date: 400. Leaves 30 digits for the fraction.
pub(super) const DATE_BYTES_MAX: usize = 56;

/// Bytes of a `Host` header; a longer one is 400 (RFC 1035 section 2.3.4, and a port).
pub(super) const HOST_BYTES_MAX: usize = 255 + 6;

/// Bytes of an `Authorization` header; a longer one is 401.
pub(super) const AUTHORIZATION_BYTES_MAX: usize = 1024;

/// Characters kept of a request's own id in the audit log; the rest is cut.
pub(super) const REQUEST_ID_CHARS_MAX: usize = 128;

/// Characters of a room's name; more is 53101.
pub(super) const ROOM_NAME_CHARS_MAX: usize = 128;

/// Characters of a `StatusCallback`; as many or more is 53111 (rest.md section 4).
pub(super) const STATUS_CALLBACK_CHARS: usize = 1024;

/// Tracks that may be published in a room at once, as rooms report it (rest.md section 8.1).
pub(super) const MAX_CONCURRENT_PUBLISHED_TRACKS: u32 = 170;

const _: () = assert!(PAGE_SIZE_DEFAULT <= PAGE_SIZE_MAX);

/// Characters of why a request is refused, where the reason may quote the request.
pub(super) const REASON_CHARS_MAX: usize = 200;
