//! Bounds on what clients and callers can make a live room hold.

use std::time::Duration;

/// Commands waiting for one room. A socket waits past it (its client is slowed down); the API is
/// told that the room is busy.
pub(super) const COMMANDS: usize = 1024;

/// Messages waiting for one socket. A client that reads slower loses the socket and resumes.
pub(super) const OUTGOING: usize = 256;

/// Tracks in one message of a client; a longer list is an invalid message. Twice what can be
/// published, so that each fault can be told.
pub(super) const ANNOUNCED_TRACKS: usize = 2 * room::limits::TRACKS_PER_PARTICIPANT;

/// Fresh peer connections that one participant is given within [`REPLACEMENT_WINDOW`] before its
/// media counts as failed.
pub(super) const REPLACEMENTS: u32 = 5;

/// See [`REPLACEMENTS`].
pub(super) const REPLACEMENT_WINDOW: Duration = Duration::from_secs(60);

/// How long the API waits for room in a room's queue.
pub(super) const COMMAND_WAIT: Duration = Duration::from_secs(5);

/// How long a shutdown waits for rooms to write down who is where.
pub(super) const SHUTDOWN_WAIT: Duration = Duration::from_secs(4);

/// Batches of changes that a room may have waiting for a slow store. Past it the room hears no
/// more commands until the store has caught up: sockets wait, the API is told that it is busy.
pub(super) const UNWRITTEN_BATCHES: usize = 256;
