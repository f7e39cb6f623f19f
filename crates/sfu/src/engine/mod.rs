//! The seam to the WebRTC engine: what one transport's engine is told and what it tells.
//!
//! The contract is that of a sans-IO state machine. After each call that takes `&mut self`, except
//! a run of [`Engine::send`] or channel calls that ends with [`Engine::handle_timeout`], the caller
//! polls until it gets [`Polled::Timeout`]:
//!
//! ```text
//!   apply, start, receive, handle_timeout ──► poll ──► Output … ──► Timeout(t) ──► wait until t
//! ```
//!
//! ICE is not the engine's: it is given datagrams from addresses that passed a check, and what it
//! transmits goes where the transport's ICE says. No type of an engine's library leaves its file.

#[cfg(test)]
mod conformance;
mod link;
mod payload;
mod resend;
#[cfg(any(test, feature = "library-engine"))]
mod rtc;
mod rtx;

use std::sync::Arc;
use std::time::Instant;

use negotiation::{Codec, Fingerprint, MediaKind, NegotiatedSession};

pub(crate) use link::LinkEngines;
pub(crate) use payload::{Payload, Pool};
#[cfg(any(test, feature = "library-engine"))]
pub(crate) use rtc::RtcEngines;

/// Makes engines that share one certificate.
pub(crate) trait Engines: Send + 'static {
    /// What it makes.
    type Engine: Engine;

    /// Hash of the certificate.
    fn fingerprint(&self) -> Fingerprint;

    /// An engine for a new transport. Payload types and header extensions that appear only in later
    /// sessions may be unknown to it.
    fn create(&self, session: &NegotiatedSession, now: Instant) -> Result<Self::Engine, EngineError>;
}

/// DTLS, SRTP, RTCP and SCTP of one transport.
pub(crate) trait Engine: Send {
    /// Takes a session; handles of streams that stay are the same as before.
    fn apply(&mut self, session: &Arc<NegotiatedSession>, now: Instant) -> Result<Bindings, EngineError>;

    /// There is a path to the client: the handshake may begin.
    fn start(&mut self, now: Instant) -> Result<(), EngineError>;

    /// A datagram from the client: DTLS, SRTP or SRTCP.
    fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<Received, EngineError>;

    /// Time passed, or packets were sent.
    fn handle_timeout(&mut self, now: Instant) -> Result<(), EngineError>;

    /// What it has to say.
    fn poll(&mut self) -> Result<Polled, EngineError>;

    /// Sends a packet: writes it into the room, sealed, or queues it. A sequence number is used once.
    fn send(&mut self, stream: SendHandle, packet: &SendPacket, now: Instant, room: &mut [u8]) -> Sent;

    /// Reads what [`Engine::send`] on a stream will read, so that it is in the processor's cache then. Its value means nothing.
    fn touch(&self, stream: SendHandle) -> u64 {
        u64::from(stream.0)
    }

    /// Whether it has to be run at once after [`Engine::send`], and not when it said.
    fn wants_run(&self) -> bool;

    /// Asks the client for a key frame of a stream.
    fn request_keyframe(&mut self, stream: RecvHandle);

    /// Packets were lost for a while, both ways, and key frames are asked for: what was missed or sent before is not repaired
    /// any more. It would be shown late, or not at all.
    fn path_changed(&mut self) {}

    /// Opens a data channel by DCEP; [`Output::ChannelOpen`] follows.
    fn open_channel(&mut self, label: &str, reliability: Reliability) -> ChannelHandle;

    /// Writes a message.
    fn write_channel(&mut self, channel: ChannelHandle, binary: bool, message: &[u8]) -> Written;

    /// Closes a data channel.
    fn close_channel(&mut self, channel: ChannelHandle);

    /// Says good-bye: what is polled after this ends the DTLS association.
    fn close(&mut self, now: Instant) -> Result<(), EngineError>;
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// It was read, or ignored since it is not authentic.
    Taken,
    /// It is RTP of an SSRC that the client did not announce.
    Undeclared,
}

/// What became of a packet to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The stream is not there, or the number was used.
    Refused,
    /// It is polled when the engine was run.
    #[cfg(any(test, feature = "library-engine"))]
    Queued,
    /// So many bytes of the room are to be transmitted.
    Written(usize),
}

/// Why an engine failed; its transport is lost then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The handshake, or the client's certificate.
    #[error("DTLS failed: {0}")]
    Dtls(String),
    /// Anything else.
    #[error("the engine failed: {0}")]
    Failed(String),
}

/// A stream from the client: one layer of one track. Valid as long as the layer is negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecvHandle(pub(crate) u32);

/// A stream to the client: its SSRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SendHandle(pub(crate) u32);

/// A data channel, opened by either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChannelHandle(pub(crate) u32);

/// All streams of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bindings {
    pub(crate) receives: Vec<ReceiveBinding>,
    pub(crate) sends: Vec<SendBinding>,
    /// Streams that are sent on no more, and may be again with numbers that go on.
    pub(crate) paused: Vec<SendHandle>,
}

/// A track that the client publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceiveBinding {
    pub(crate) track_id: Arc<str>,
    pub(crate) kind: MediaKind,
    /// Lowest to highest.
    pub(crate) layers: Vec<RecvHandle>,
    pub(crate) codecs: Vec<Codec>,
}

/// A track that the client is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SendBinding {
    pub(crate) track_id: Arc<str>,
    pub(crate) kind: MediaKind,
    pub(crate) stream: SendHandle,
    pub(crate) codecs: Vec<Codec>,
}

/// What polling gives.
#[derive(Debug)]
pub(crate) enum Polled {
    Output(Output),
    /// Nothing more until this time.
    Timeout(Instant),
}

/// What an engine tells.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send this to the client.
    Transmit(Vec<u8>),
    /// DTLS is up.
    Connected,
    /// Media arrived.
    Packet(Packet),
    /// A sender report arrived.
    SenderReport(SenderReport),
    /// The client asks for a key frame of what we send.
    KeyframeWanted(SendHandle),
    /// A channel of either side is open.
    ChannelOpen {
        channel: ChannelHandle,
        label: String,
        reliability: Reliability,
    },
    /// A message arrived.
    ChannelMessage {
        channel: ChannelHandle,
        binary: bool,
        message: Vec<u8>,
    },
    /// A channel is gone.
    ChannelClosed(ChannelHandle),
    /// Less than half of the bound waits on this channel.
    ChannelWritable(ChannelHandle),
    /// The client closed the association.
    Closed,
}

/// A packet from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) stream: RecvHandle,
    pub(crate) payload_type: u8,
    /// Extended.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) extensions: HeaderExtensions,
    pub(crate) arrival: Instant,
    pub(crate) payload: Payload,
}

/// Header extensions that travel from end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HeaderExtensions {
    /// RFC 6464: minus dBov, and whether it is voice.
    pub(crate) audio_level: Option<(i8, Option<bool>)>,
    /// `urn:3gpp:video-orientation`: quarter turns, 0 to 3.
    pub(crate) rotation: Option<u8>,
    /// Smallest and largest playout delay, 10 ms units.
    pub(crate) playout_delay: Option<(u16, u16)>,
}

/// A packet to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SendPacket {
    pub(crate) payload_type: u8,
    /// Extended.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) extensions: HeaderExtensions,
    /// When it was captured, on our clock; never in the future.
    pub(crate) captured: Instant,
    /// May be asked for again.
    pub(crate) repairable: bool,
    /// Its frame has other packets: a little padding may make them equally long.
    pub(crate) rounded: bool,
    /// New values for the VP8 payload descriptor, in places that are there.
    pub(crate) vp8: Option<Vp8Ids>,
    pub(crate) payload: Payload,
}

/// Counters in a VP8 payload descriptor (RFC 7741 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Vp8Ids {
    pub(crate) picture_id: Option<u16>,
    pub(crate) tl0_pic_idx: Option<u8>,
}

/// The client's own claim of what time it was (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SenderReport {
    pub(crate) stream: RecvHandle,
    /// Its clock, µs since some epoch of its own.
    pub(crate) sender_clock_us: i64,
    pub(crate) timestamp: u32,
    pub(crate) arrival: Instant,
}

/// Reliability and order of a data channel (RFC 8832 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reliability {
    pub(crate) ordered: bool,
    pub(crate) limit: Delivery,
    /// The subprotocol.
    pub(crate) protocol: String,
}

/// How hard a message is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Reliable,
    LifetimeMs(u16),
    Retransmits(u16),
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Accepted,
    /// Try again after [`Output::ChannelWritable`].
    Full,
    /// Not open.
    Closed,
}
