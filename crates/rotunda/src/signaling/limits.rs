//! Bounds on what strangers can make the signaling side hold or wait for.

use std::time::Duration;

/// Bytes of one message. Offers grow by a few kB per section (signaling.md section 16); past it
/// the socket is closed.
pub(super) const MESSAGE_BYTES: usize = 1 << 20;

/// Bytes that one read takes; each socket has room for them all its life, and more only while a longer message comes.
pub(super) const READ_BYTES: usize = 8 << 10;

/// From the socket's opening to its hello; then it is closed with 4008.
pub(super) const HELLO_WAIT: Duration = Duration::from_secs(15);

/// From the hello to being in a room; then the socket is closed with 4008.
pub(super) const JOIN_WAIT: Duration = Duration::from_secs(30);

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

/// Telemetry sockets that are silent this long are closed; the SDK reports every 10 s.
pub(super) const INSIGHTS_IDLE: Duration = Duration::from_secs(30);
