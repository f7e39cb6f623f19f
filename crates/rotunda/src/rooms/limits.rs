//! Bounds on what clients and callers can make a live room hold.

use std::time::Duration;

/// Commands waiting for one room. A socket waits past it (its client is slowed down); the API is
/// told that the room is busy.
pub(super) const COMMANDS: usize = 1024;

/// Commands that a room hears before it tells its participants what came of them.
pub(super) const COMMANDS_PER_TURN: usize = 64;

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

/// The longest pause between two tries to write a room's changes while the store cannot be written.
/// Their order is kept; there is no last try.
pub(super) const WRITE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long the API waits for a change to be stored. Past it the answer is "busy", and the change is
/// made when it can be.
pub(super) const STORED_WAIT: Duration = Duration::from_secs(10);

/// How long a client that wants in waits for its row to be stored. Past it it is told that the server
/// is busy, and its row ends as soon as it begins.
pub(super) const ADMISSION_WAIT: Duration = Duration::from_secs(10);

/// A room that the store refuses is restored from what is stored, unless it lived shorter than this:
/// then it would be refused for ever, and stands still until the next start.
pub(super) const REOPEN_AGE: Duration = Duration::from_secs(2);

/// How long nothing may arrive from any client before an operator is told.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// How often that is looked at.
pub(super) const SILENCE_WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How long a worker's business is measured before it counts for where rooms are placed: it is as old as this and
/// [`SILENCE_WATCH_INTERVAL`] at most.
pub(super) const LOAD_INTERVAL: Duration = Duration::from_secs(1);

/// How long participants who are about to come into a room that was just placed count as load, whether they come or not.
pub(super) const AWAITED_TIME_MAX: Duration = Duration::from_secs(10);
