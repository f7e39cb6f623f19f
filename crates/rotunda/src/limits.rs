//! Bounds of the server, and what happens at them.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Seconds that a lost session may be kept. The SDK gives up by itself after some minutes.
pub const SESSION_TIMEOUT_S: RangeInclusive<u32> = 5..=300;
/// What `max_participants` may be set to.
pub const MAX_PARTICIPANTS: RangeInclusive<u32> = 1..=100_000;
/// Participants of a `go` room at most (rest.md section 8.2).
pub const GO_PARTICIPANTS_MAX: u32 = 2;
/// Participants of a `peer-to-peer` room at most.
pub const PEER_TO_PEER_PARTICIPANTS_MAX: u32 = 10;
/// Participants of a `group-small` room at most.
pub const GROUP_SMALL_PARTICIPANTS_MAX: u32 = 4;
/// Participants a room takes when its maker says nothing, if its type's or the server's own bound is not lower.
pub const MAX_PARTICIPANTS_DEFAULT: u32 = 50;
/// What `max_participant_duration_s` may be set to: 30 days at most.
pub const MAX_PARTICIPANT_DURATION_S: RangeInclusive<u32> = 600..=2_592_000;
/// Seconds a participant may stay when the room's maker says nothing, if the server's own bound is not lower.
pub const MAX_PARTICIPANT_DURATION_DEFAULT_S: u32 = 14_400;
/// What `max_room_duration_s` may be set to: a year at most.
pub const MAX_ROOM_DURATION_S: RangeInclusive<u32> = 60..=31_536_000;
/// Characters of a preset secret. Fewer could be guessed.
pub const SECRET_LEN: RangeInclusive<usize> = 16..=128;
/// Characters of a media region's name.
pub const MEDIA_REGION_LEN_MAX: usize = 32;
/// Media workers that may be asked for; 0 is as many as the machine is good for.
pub const MEDIA_WORKERS: RangeInclusive<u32> = 0..=64;
/// Media workers that are started without being asked for, so that the ports to open are known beforehand.
pub const MEDIA_WORKERS_DEFAULT_MAX: u32 = 8;
/// Tracks of sound that a participant may be sent at once; 0 is as many as it subscribes to.
pub const LOUDEST_AUDIO: RangeInclusive<u32> = 0..=1000;
/// Candidates in an answer; further addresses of the machine are not advertised.
pub const CANDIDATES_MAX: usize = 10;

/// HTTP connections at once, WebSockets included; fewer if the system grants fewer file descriptors.
/// Further ones are answered with 503 and closed.
pub const CONNECTIONS_MAX: usize = 20_000;
/// File descriptors that connections leave to the database, media, callbacks and operators.
pub const DESCRIPTORS_RESERVED: usize = 256;
/// Bytes of a request's head. Longer ones are answered with 431.
pub const REQUEST_HEAD_LEN_MAX: usize = 64 * 1024;
/// Time for a request's head to arrive, idle connections included. Later the connection is closed.
pub const REQUEST_HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// Time for a TLS handshake. Later the connection is closed.
pub const TLS_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a client may leave what was sent to it unread, or unacknowledged; then the kernel breaks
/// the connection (TCP_USER_TIMEOUT).
pub const UNREAD_TIME_MAX: Duration = Duration::from_secs(20);
/// Time from the signal to stop until the process ends, whoever is still being served.
pub const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a server that follows another one in its process waits until that one's database is closed.
pub const HAND_OVER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long it waits for that one's media port.
pub const MEDIA_PORT_WAIT: Duration = Duration::from_secs(5);
/// Pause between two looks at either.
pub const HAND_OVER_PAUSE: Duration = Duration::from_millis(10);

/// Signaling sockets open at once; one more is answered with 503. Each costs about 100 KiB at worst.
pub const SOCKETS_MAX: usize = 20_000;
/// Signaling sockets that are in no room, so that those which join nothing do not fill the house;
/// one more is answered with 503.
pub const SOCKETS_OUTSIDE_ROOMS_MAX: usize = 10_000;
/// Seconds' worth of a rate that may be used at once: of requests and of joins. What comes faster is
/// told to wait.
pub const BURST_S: u32 = 2;
/// What the rates of `config.default.toml` may be set to.
pub const RATE_PER_S: RangeInclusive<u32> = 0..=1_000_000;
/// What the bounds on sockets and connections may be set to.
pub const PLACES: RangeInclusive<u32> = 0..=1_000_000;
/// How long a client's join is held back when joins come too fast; longer, and it is told to come
/// back later (53006).
pub const JOIN_HELD_MAX: Duration = Duration::from_secs(5);
/// Age of the oldest write under way from which new clients are told `busy`. A disk that takes two
/// seconds for a sync stays below it.
pub const STORE_LAG_BUSY: Duration = Duration::from_secs(6);
/// What `busy` tells a client to wait at least, and up to twice as long, so that not all come back
/// at the same time.
pub const BUSY_WAIT: Duration = Duration::from_secs(1);
/// Shortest time between two log lines about the same kind of refusal.
pub const NOTICE_INTERVAL: Duration = Duration::from_secs(10);
/// Time that a starting process waits for another one to release the database: longer than one that was
/// told to stop takes. Past it the start fails.
pub const PREDECESSOR_TIME_MAX: Duration = Duration::from_secs(8);
/// How often it tries meanwhile.
pub const PREDECESSOR_INTERVAL: Duration = Duration::from_millis(50);
/// How often the use of memory is looked at.
pub const MEMORY_WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// From this share of its limit on memory counts as nearly used up: new rooms and joins are refused.
pub const MEMORY_NEAR_PERCENT: u32 = 90;
/// Below this share they are taken again.
pub const MEMORY_AGAIN_PERCENT: u32 = 80;
/// What calls may be given to end while the server drains.
pub const DRAIN_WAIT_MAX: Duration = Duration::from_secs(86_400);
/// How often a draining server looks who is still there.
pub const DRAIN_INTERVAL: Duration = Duration::from_millis(100);
/// How often it says so if nothing changes.
pub const DRAIN_PROGRESS: Duration = Duration::from_secs(10);
/// Rooms that a draining server ends at once; the others wait for these.
pub const DRAIN_AT_ONCE: usize = 64;
/// Time for the callbacks of rooms that were ended by a drain. What is left is delivered by the next
/// process.
pub const DRAIN_CALLBACKS_TIME_MAX: Duration = Duration::from_secs(10);

/// How often the store's condition is looked at.
pub const STORE_WATCH_INTERVAL: Duration = Duration::from_millis(200);
/// A write that takes longer is told as slow. Everything goes on.
pub const STORE_SLOW: Duration = Duration::from_secs(1);
/// A write that takes longer counts as a failing store: new rooms and joins are refused.
pub const STORE_STALLED: Duration = Duration::from_secs(5);
/// Time without trouble after which the store is told to work again.
pub const STORE_QUIET: Duration = Duration::from_secs(2);

/// Callbacks on their way at once. Further ones stay in the outbox.
pub const CALLBACKS_IN_FLIGHT_MAX: usize = 128;
/// Callbacks on their way to one receiver at once, a host and port; fewer if less than twice as many places are free,
/// so that there is always one left for another receiver.
pub const CALLBACKS_PER_RECEIVER_MAX: usize = 32;
/// Callbacks on their way at once to a receiver that did not answer the last one, until it answers.
pub const CALLBACKS_PER_AILING_RECEIVER_MAX: usize = 4;
/// Receivers that are known not to answer. Further ones have the places of those that do.
pub const CALLBACK_RECEIVERS_AILING_MAX: usize = 1000;
/// Callbacks that are leased, and attempts that are noted, in one transaction, which other writes may have to wait for.
pub const CALLBACKS_AT_ONCE: usize = 64;
/// Time for a connection to a receiver. Later the attempt has failed.
pub const CALLBACK_CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Time for a receiver to answer a callback, redirects included. Later the attempt has failed.
pub const CALLBACK_TIME_MAX: Duration = Duration::from_secs(10);
/// Redirects that an attempt follows. One more, and the callback is given up.
pub const CALLBACK_REDIRECTS_MAX: usize = 5;
/// The longest wait that `Retry-After` can ask for; more is taken as this.
pub const CALLBACK_RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// Bytes of an answer's body that are read, to use the connection again; with more it is closed. Nothing of it is kept.
pub const CALLBACK_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Time to read them. Later the connection is closed.
pub const CALLBACK_ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// Receivers whose connections are kept open between callbacks; those of others are closed after each.
pub const CALLBACK_RECEIVERS_KEPT: usize = 2;
/// How long such a connection is kept without a callback.
pub const CALLBACK_IDLE_TIME_MAX: Duration = Duration::from_secs(10);
/// Names of receivers that are looked up at once. Further ones wait, within the time of their attempts.
pub const CALLBACK_LOOKUPS_MAX: usize = 64;
/// Names of one account's receivers that are looked up at once, so that names whose servers do not answer take no other
/// account's places. Further ones wait, within the time of their attempts.
pub const CALLBACK_LOOKUPS_PER_ACCOUNT_MAX: usize = 16;
/// How long a callback is leased. It outlasts the attempt and the note of its end.
pub const CALLBACK_LEASE: Duration = Duration::from_secs(30);
/// Characters of the error that is kept of a failed attempt.
pub const CALLBACK_ERROR_LEN_MAX: usize = 200;

/// Accounts of a server.
pub const ACCOUNTS_MAX: usize = 1000;
/// API keys of an account that are not revoked.
pub const KEYS_PER_ACCOUNT_MAX: usize = 100;
/// Secrets of an account or key that are valid at once: the newest, and older ones until their overlap ends.
pub const SECRETS_MAX: usize = 4;
/// How long an older secret may stay valid after a newer one was made.
pub const OVERLAP_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Characters of what an operator calls an account or key.
pub const CREDENTIAL_NAME_CHARS_MAX: usize = 64;

/// Bytes of a header by which proxies tell whom they forward for; a longer one says nothing.
pub const FORWARDED_LEN_MAX: usize = 4 * 1024;
/// Proxies between the client and this server that are looked through; beyond them nobody is looked for.
pub const FORWARDED_HOPS_MAX: usize = 16;

/// What a client is told to wait when as many requests of its address are under way as may be.
pub const ADDRESS_FULL_WAIT: Duration = Duration::from_secs(1);

/// Days that rows may be kept, a hundred years at most.
pub const KEEP_DAYS: RangeInclusive<u32> = 1..=36_500;
/// Pause between the starts of two runs that forget what is older.
pub const FORGET_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Rows that are forgotten in one transaction, which other writes may have to wait for.
pub const FORGET_ROWS: u32 = 500;
/// Pause between two such transactions.
pub const FORGET_PAUSE: Duration = Duration::from_millis(50);

/// Operators' connections at once; further ones wait to be accepted. Their requests are done one after the other.
pub const OPERATORS_MAX: usize = 8;
/// Bytes of an operator's request, and of a line of its answer. A longer one is refused.
pub const OPERATOR_REQUEST_LEN_MAX: u64 = 16 * 1024;
/// Time for an operator to send a request, and to read a line. Later the connection is closed.
pub const OPERATOR_TIME_MAX: Duration = Duration::from_secs(5);
/// Lines that wait for an operator; further ones that only tell progress are left out.
pub const OPERATOR_LINES: usize = 64;
/// Pause after a failed accept on the operator's socket: descriptors ran out, and they come back.
pub const OPERATOR_ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const _: () = assert!(SOCKETS_OUTSIDE_ROOMS_MAX <= SOCKETS_MAX && SOCKETS_MAX <= CONNECTIONS_MAX);
const _: () = assert!(PREDECESSOR_TIME_MAX.as_secs() > SHUTDOWN_TIME_MAX.as_secs());
const _: () = assert!(CALLBACKS_AT_ONCE <= CALLBACKS_IN_FLIGHT_MAX);
// The database, media and operators have the rest.
const _: () = assert!(
    CALLBACKS_IN_FLIGHT_MAX + CALLBACK_RECEIVERS_KEPT * CALLBACKS_PER_RECEIVER_MAX <= DESCRIPTORS_RESERVED - 64
);
const _: () = assert!(CALLBACK_LEASE.as_secs() > 2 * CALLBACK_TIME_MAX.as_secs());

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
