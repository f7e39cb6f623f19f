//! What a client of the media plane has seen.

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

/// A packet that a client received and decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPacket {
    /// Of the stream; retransmissions carry that of what they repair.
    pub ssrc: u32,
    /// Under which it came.
    pub payload_type: u8,
    /// Extended.
    pub sequence: u64,
    /// RTP clock.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// RFC 6464 level, if it was there.
    pub audio_level: Option<i8>,
    /// Without header.
    pub payload: Vec<u8>,
    /// When it was received.
    pub at: Instant,
}

/// A data-channel message that a client received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Of the channel.
    pub label: String,
    /// Or text.
    pub binary: bool,
    /// As it came.
    pub bytes: Vec<u8>,
}

/// What a client was told of a stream that it sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feedback {
    /// How often.
    pub reports: u32,
    /// In the last report, of 256.
    pub fraction_lost: u8,
    /// A report named a sender report of the client's, from which it knows the round trip.
    pub names_report: bool,
}

/// What a client has seen so far.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// DTLS is up.
    pub connected: bool,
    /// The server closed the association.
    pub closed: bool,
    /// The engine failed.
    pub failed: Option<String>,
    /// All packets, unless only counts are kept.
    pub packets: Vec<MediaPacket>,
    /// Packets of each SSRC.
    pub counts: HashMap<u32, u64>,
    /// Key frames asked of us, by SSRC.
    pub keyframe_requests: HashMap<u32, u32>,
    /// Sender reports: SSRC, the sender's clock, RTP timestamp.
    pub sender_reports: Vec<(u32, SystemTime, u32)>,
    /// Reports on streams that it sends, by SSRC, if it observes.
    pub feedback: HashMap<u32, Feedback>,
    /// Messages of transport-wide feedback, if it observes.
    pub transport_feedback: u32,
    /// Open channels: label, whether ordered, retransmissions if limited.
    pub channels: Vec<(String, bool, Option<u16>)>,
    /// Channels that were closed.
    pub closed_channels: Vec<String>,
    /// Messages in order.
    pub messages: Vec<Message>,
    /// Datagrams that it sent, while it records.
    pub sent: Vec<Vec<u8>>,
    /// Datagrams of media that reached it, those that it does not read included.
    pub media_datagrams: u64,
}

impl Heard {
    /// Packets of one stream, in order of arrival.
    pub fn of(&self, ssrc: u32) -> Vec<&MediaPacket> {
        self.packets.iter().filter(|packet| packet.ssrc == ssrc).collect()
    }

    /// How many packets of one stream.
    pub fn count(&self, ssrc: u32) -> u64 {
        self.counts.get(&ssrc).copied().unwrap_or(0)
    }
}
