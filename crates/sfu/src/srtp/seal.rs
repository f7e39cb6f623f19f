//! The outbound side: seals packets of ours, and none of them twice.

use negotiation::stream_index;

use super::cipher::{Cipher, CipherError, RTCP_CLEAR_BYTES};
use super::window::{Known, Window};
use super::{KeyError, Keys, Profile};
use crate::limits;

/// Indices end here: 32 bits of rollover counter and 16 of sequence number (RFC 3711 section 3.2.1).
const RTP_INDEX_END: u64 = 1 << 48;

/// RTCP packets that one key may seal (RFC 3711 section 9.2).
const RTCP_INDEX_END: u32 = 1 << 31;

/// Why a packet was not sealed. It must not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    /// Under this SSRC and number a packet was sealed already: send those bytes again, or use a new number.
    #[error("the number was used")]
    Used,
    /// The number lies so far back that nobody knows whether it was used.
    #[error("the number is too old")]
    TooOld,
    /// The stream was not opened, or it is over.
    #[error("the stream is not open")]
    NotOpen,
    /// All numbers of this key are used up.
    #[error("the key is used up")]
    Exhausted,
    /// Another stream with this index is open.
    #[error("the index is another stream's")]
    Taken,
    /// Header, length, number and room do not fit together.
    #[error("no packet that can be sealed")]
    Malformed,
}

impl From<CipherError> for SealError {
    fn from(_: CipherError) -> Self {
        Self::Malformed
    }
}

/// Seals everything that one transport sends. New keys mean a new sealer.
pub(crate) struct Sealer {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    /// By the index that their SSRCs tell.
    streams: Vec<Stream>,
    /// Of all senders together.
    rtcp_next: u32,
}

/// The streams of one index, of which one is open at a time.
#[derive(Debug, Clone)]
struct Stream {
    /// The highest that was ever opened. All up to it but the one that is open are over: what was sealed must not be
    /// forgotten as long as the key lives, and this is all that has to be kept of it.
    ssrc: u32,
    began: bool,
    is_open: bool,
    used: Window<{ limits::SRTP_WINDOW_WORDS }>,
}

impl Stream {
    const NONE: Self = Self {
        ssrc: 0,
        began: false,
        is_open: false,
        used: Window::new(),
    };
}

impl Sealer {
    /// With our keys.
    pub(crate) fn new(keys: &Keys) -> Result<Self, KeyError> {
        let (profile, local) = (keys.profile, &keys.local);
        Ok(Self::with_ciphers(
            profile,
            Cipher::rtp(profile, local)?,
            Cipher::rtcp(profile, local)?,
        ))
    }

    pub(super) fn with_ciphers(profile: Profile, rtp: Cipher, rtcp: Cipher) -> Self {
        Self {
            profile,
            rtp,
            rtcp,
            streams: Vec::new(),
            // Peers that know no index 0 take the first one for a replay.
            rtcp_next: 1,
        }
    }

    /// How packets are protected.
    #[cfg(test)]
    pub(crate) fn profile(&self) -> Profile {
        self.profile
    }

    /// Seals the RTP packet in `packet[..length]` in place and returns its new length. Behind it there must be room for
    /// [`Profile::rtp_overhead`] bytes. `header_len` is the length of its header with extensions, `sequence` its number
    /// with the rollover counter above the lower 16 bits.
    ///
    /// # Errors
    /// A number that was tried counts as used, whatever came of it.
    pub(crate) fn seal_rtp(
        &mut self,
        packet: &mut [u8],
        length: usize,
        header_len: usize,
        sequence: u64,
    ) -> Result<usize, SealError> {
        let ssrc = rtp_ssrc(packet, sequence).ok_or(SealError::Malformed)?;
        if header_len < 12 || header_len > length || packet.len() < length + self.profile.rtp_overhead() {
            return Err(SealError::Malformed);
        }
        self.use_up(ssrc, sequence)?;
        Ok(self.rtp.seal_rtp(packet, length, header_len, ssrc, sequence)?)
    }

    /// Seals the compound packet in `packet[..length]` in place, with the next index, and returns its new length. Behind
    /// it there must be room for [`Profile::rtcp_overhead`] bytes.
    ///
    /// # Errors
    /// A key lives for 2^31 of them.
    pub(crate) fn seal_rtcp(&mut self, packet: &mut [u8], length: usize) -> Result<usize, SealError> {
        let Some([_, _, _, _, ssrc @ ..]) = packet.first_chunk::<RTCP_CLEAR_BYTES>() else {
            return Err(SealError::Malformed);
        };
        let (ssrc, index) = (u32::from_be_bytes(*ssrc), self.rtcp_next);
        if length < RTCP_CLEAR_BYTES || packet.len() < length + self.profile.rtcp_overhead() {
            return Err(SealError::Malformed);
        }
        if index >= RTCP_INDEX_END {
            return Err(SealError::Exhausted);
        }
        self.rtcp_next += 1;
        Ok(self.rtcp.seal_rtcp(packet, length, ssrc, index)?)
    }

    /// A stream begins. Its SSRC lies above those of all streams of its index that began before, under the same key.
    ///
    /// # Errors
    /// [`SealError::Used`] if it does not: something may have been sealed on it. [`SealError::Taken`] if the stream before
    /// is still open.
    pub(crate) fn open_stream(&mut self, ssrc: u32) -> Result<(), SealError> {
        let index = stream_index(ssrc);
        if self.streams.len() <= index {
            self.streams.resize(index + 1, Stream::NONE);
        }
        let stream = &mut self.streams[index];
        if stream.began && ssrc <= stream.ssrc {
            return Err(SealError::Used);
        }
        if stream.is_open {
            return Err(SealError::Taken);
        }
        *stream = Stream {
            ssrc,
            began: true,
            is_open: true,
            used: Window::new(),
        };
        Ok(())
    }

    /// Reads what [`Self::seal_rtp`] will read of a stream, but for what the cipher keeps to itself.
    pub(crate) fn touch(&self, ssrc: u32) -> u64 {
        let stream = self.streams.get(stream_index(ssrc));
        stream.map_or(0, |stream| stream.used.touch())
    }

    /// A stream is over, for ever.
    pub(crate) fn end_stream(&mut self, ssrc: u32) {
        if let Some(stream) = self.open(ssrc) {
            stream.is_open = false;
            stream.used = Window::new();
        }
    }

    fn open(&mut self, ssrc: u32) -> Option<&mut Stream> {
        let stream = self.streams.get_mut(stream_index(ssrc))?;
        (stream.is_open && stream.ssrc == ssrc).then_some(stream)
    }

    /// The rule of nonces: each number of a stream once, and no stream twice.
    fn use_up(&mut self, ssrc: u32, sequence: u64) -> Result<(), SealError> {
        if sequence >= RTP_INDEX_END {
            return Err(SealError::Exhausted);
        }
        let window = &mut self.open(ssrc).ok_or(SealError::NotOpen)?.used;
        match window.known(sequence) {
            Known::New => {
                window.mark(sequence);
                Ok(())
            }
            Known::Marked => Err(SealError::Used),
            Known::TooOld => Err(SealError::TooOld),
        }
    }

    #[cfg(test)]
    pub(super) fn set_next_rtcp_index(&mut self, index: u32) {
        self.rtcp_next = index;
    }
}

/// The SSRC of a packet that has this number.
fn rtp_ssrc(packet: &[u8], sequence: u64) -> Option<u32> {
    let [first, _, high, low, _, _, _, _, ssrc @ ..] = packet.first_chunk::<12>()?;
    let fits = first >> 6 == 2 && u16::from_be_bytes([*high, *low]) == sequence as u16;
    fits.then(|| u32::from_be_bytes(*ssrc))
}
