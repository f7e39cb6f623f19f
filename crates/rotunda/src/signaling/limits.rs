//! Bounds on what strangers can make the signaling side hold or wait for.

use std::time::Duration;

/// WebSockets open at once; one more is refused with 503. Each costs about 100 KiB at worst.
pub(super) const SOCKETS: usize = 20_000;

/// Bytes of one message. Offers grow by a few kB per section (signaling.md section 16); past it
/// the socket is closed.
pub(super) const MESSAGE_BYTES: usize = 1 << 20;

/// From the socket's opening to its hello, and again to being in a room.
pub(super) const HELLO_WAIT: Duration = Duration::from_secs(15);

/// See [`HELLO_WAIT`].
pub(super) const JOIN_WAIT: Duration = Duration::from_secs(60);

/// How long one message may take to be handed to the kernel before the client counts as gone.
pub(super) const SEND_WAIT: Duration = Duration::from_secs(10);

/// How long a client that was told to go may take to say goodbye.
pub(super) const FAREWELL_WAIT: Duration = Duration::from_secs(5);

/// Heartbeats that may be missed before the client counts as gone, as the SDK does with ours.
pub(super) const MISSED_HEARTBEATS: u32 = 3;

/// Telemetry sockets at once.
pub(super) const INSIGHTS_SOCKETS: usize = 2_000;

/// Bytes of one telemetry message; past it that socket is closed.
pub(super) const INSIGHTS_MESSAGE_BYTES: usize = 256 << 10;

/// Telemetry sockets that are silent this long are closed.
pub(super) const INSIGHTS_IDLE: Duration = Duration::from_secs(120);
