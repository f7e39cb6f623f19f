//! The inbound side: opens what is authentic and new.
//!
//! Nothing that is not authentic changes anything. State is kept for the SSRCs that were declared, and for a number of
//! others that made themselves known by an authentic packet where that is allowed.

use super::cipher::{Cipher, CipherError, ENCRYPTED, RTCP_CLEAR_BYTES};
use super::window::{Known, Window};
use super::{KeyError, Keys, Profile};
use crate::limits;
use crate::wire::rtp::Rtp;

/// Why a packet was not opened. It is to be dropped; its bytes may be garbled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("no packet")]
    Malformed,
    /// Nobody declared its SSRC.
    #[error("an SSRC that was not declared")]
    Undeclared,
    /// It was there before, or is so old that it may have been.
    #[error("a replay")]
    Replayed,
    #[error("not authentic")]
    NotAuthentic,
}

impl From<CipherError> for OpenError {
    fn from(_: CipherError) -> Self {
        Self::NotAuthentic
    }
}

/// An RTP packet that was opened: `packet[..length]` is as the sender wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenedRtp {
    /// With the rollover counter above the lower 16 bits.
    pub(crate) sequence: u64,
    /// Bytes of header and extensions.
    pub(crate) header_len: usize,
    /// Bytes of the packet.
    pub(crate) length: usize,
}

/// Opens everything that one client sends. New keys mean a new opener.
pub(crate) struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
    /// By SSRC.
    streams: Vec<Stream>,
    /// How many SSRCs may make themselves known.
    learn: usize,
    /// By SSRC of the sender.
    reporters: Vec<Reporter>,
    /// Counts RTCP packets, to know which reporter was silent for longest.
    reports: u64,
}

struct Stream {
    ssrc: u32,
    standing: Standing,
    window: Window<{ limits::SRTP_WINDOW_WORDS }>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Declared,
    Learned,
    /// Not declared any more; remembered, so that what it sent cannot be replayed if it is again.
    Past,
}

struct Reporter {
    ssrc: u32,
    heard: u64,
    window: Window<{ limits::SRTCP_WINDOW_WORDS }>,
}

impl Opener {
    /// With the client's keys. It opens no RTP until SSRCs are declared.
    pub(crate) fn new(keys: &Keys) -> Result<Self, KeyError> {
        let (profile, remote): (Profile, _) = (keys.profile, &keys.remote);
        Ok(Self::with_ciphers(
            Cipher::rtp(profile, remote)?,
            Cipher::rtcp(profile, remote)?,
        ))
    }

    pub(super) fn with_ciphers(rtp: Cipher, rtcp: Cipher) -> Self {
        Self {
            rtp,
            rtcp,
            streams: Vec::new(),
            learn: 0,
            reporters: Vec::new(),
            reports: 0,
        }
    }

    /// Takes the SSRCs of a session, in the place of those before; SSRCs over the bound are left out. `learn` is how many
    /// others are opened, if they are authentic: those of sections that name none.
    pub(crate) fn declare(&mut self, ssrcs: impl IntoIterator<Item = u32>, learn: usize) {
        self.learn = learn;
        for stream in &mut self.streams {
            if stream.standing == Standing::Declared || learn == 0 {
                stream.standing = Standing::Past;
            }
        }
        for ssrc in ssrcs.into_iter().take(limits::OPENED_SSRCS_MAX) {
            match self.place(ssrc) {
                Ok(place) => self.streams[place].standing = Standing::Declared,
                Err(place) => self.streams.insert(place, Stream::new(ssrc, Standing::Declared)),
            }
        }
        for stream in &mut self.streams {
            if stream.standing == Standing::Past {
                stream.window.shrink();
            }
        }
        // Of the past ones as many are remembered as there is room for.
        let mut excess = self.streams.len().saturating_sub(2 * limits::OPENED_SSRCS_MAX);
        self.streams.retain(|stream| {
            let forget = excess > 0 && stream.standing == Standing::Past;
            excess -= usize::from(forget);
            !forget
        });
    }

    /// Opens an SRTP packet in place.
    ///
    /// # Errors
    /// If it is not authentic, was there before, or nobody declared its SSRC.
    pub(crate) fn open_rtp(&mut self, packet: &mut [u8]) -> Result<OpenedRtp, OpenError> {
        let header = Rtp::parse(packet).ok_or(OpenError::Malformed)?;
        let (ssrc, sequence, header_len) = (header.ssrc(), header.sequence(), header.header_len());
        let place = self.place(ssrc);
        let known = place.ok().map(|place| &self.streams[place]);
        let is_known = known.is_some_and(|stream| stream.standing != Standing::Past);
        if !is_known && !self.may_learn() {
            return Err(OpenError::Undeclared);
        }
        let highest = known.and_then(|stream| stream.window.highest());
        let index = extend(highest, sequence).ok_or(OpenError::Replayed)?;
        if known.is_some_and(|stream| stream.window.known(index) != Known::New) {
            return Err(OpenError::Replayed);
        }
        let length = self.rtp.open_rtp(packet, header_len, ssrc, index)?;
        let place = place.unwrap_or_else(|place| {
            self.streams.insert(place, Stream::new(ssrc, Standing::Learned));
            place
        });
        let stream = &mut self.streams[place];
        if stream.standing == Standing::Past {
            stream.standing = Standing::Learned;
        }
        stream.window.mark(index);
        Ok(OpenedRtp {
            sequence: index,
            header_len,
            length,
        })
    }

    /// Opens an SRTCP packet in place; returns the length of the compound packet in it.
    ///
    /// # Errors
    /// If it is not authentic, or was there before.
    pub(crate) fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, OpenError> {
        let Some([first, _, _, _, ssrc @ ..]) = packet.first_chunk::<RTCP_CLEAR_BYTES>() else {
            return Err(OpenError::Malformed);
        };
        if first >> 6 != 2 {
            return Err(OpenError::Malformed);
        }
        let ssrc = u32::from_be_bytes(*ssrc);
        let word = self.rtcp.rtcp_word(packet).ok_or(OpenError::Malformed)?;
        let index = u64::from(word & !ENCRYPTED);
        let place = self.reporters.binary_search_by_key(&ssrc, |reporter| reporter.ssrc);
        if let Ok(place) = place
            && self.reporters[place].window.known(index) != Known::New
        {
            return Err(OpenError::Replayed);
        }
        let length = self.rtcp.open_rtcp(packet, ssrc, word)?;
        let place = place.unwrap_or_else(|place| self.add_reporter(place, ssrc));
        self.reports += 1;
        let reporter = &mut self.reporters[place];
        reporter.heard = self.reports;
        reporter.window.mark(index);
        Ok(length)
    }

    fn place(&self, ssrc: u32) -> Result<usize, usize> {
        self.streams.binary_search_by_key(&ssrc, |stream| stream.ssrc)
    }

    fn may_learn(&self) -> bool {
        // Without sections that name none nothing has to be counted.
        self.learn > 0 && {
            let learned = self
                .streams
                .iter()
                .filter(|stream| stream.standing == Standing::Learned);
            learned.count() < self.learn
        }
    }

    /// Makes room for an authentic reporter at the bound: the one that was silent for longest goes. Returns its place.
    fn add_reporter(&mut self, place: usize, ssrc: u32) -> usize {
        let mut place = place;
        if self.reporters.len() >= limits::SRTCP_SSRCS_MAX {
            let silent = (0..self.reporters.len()).min_by_key(|at| self.reporters[*at].heard);
            if let Some(silent) = silent {
                self.reporters.remove(silent);
                place -= usize::from(silent < place);
            }
        }
        let reporter = Reporter {
            ssrc,
            heard: 0,
            window: Window::new(),
        };
        self.reporters.insert(place, reporter);
        place
    }

    #[cfg(test)]
    pub(super) fn state_len(&self) -> (usize, usize) {
        (self.streams.len(), self.reporters.len())
    }
}

impl Stream {
    fn new(ssrc: u32, standing: Standing) -> Self {
        Self {
            ssrc,
            standing,
            window: Window::new(),
        }
    }
}

/// The number with its rollover counter that is nearest to the highest seen (RFC 3711 section 3.3.1 and appendix A);
/// the first packet has the counter 0. `None` below the beginning and above the end.
fn extend(highest: Option<u64>, sequence: u16) -> Option<u64> {
    let Some(highest) = highest else {
        return Some(u64::from(sequence));
    };
    let ahead = sequence.wrapping_sub(highest as u16);
    let index = match ahead {
        0..=0x8000 => highest + u64::from(ahead),
        _ => highest.checked_sub(u64::from(ahead.wrapping_neg()))?,
    };
    (index < 1 << 48).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::extend;

    #[test]
    fn the_nearest_counter_is_guessed() {
        assert_eq!(extend(None, 65_535), Some(65_535));
        assert_eq!(extend(Some(65_535), 0), Some(65_536));
        assert_eq!(extend(Some(65_536), 65_535), Some(65_535));
        assert_eq!(extend(Some(5), 65_535), None, "before the first");
        assert_eq!(extend(Some(0x1_0000), 0x8000), Some(0x1_8000));
        assert_eq!(extend(Some(0x1_0000), 0x8001), Some(0x8001));
        assert_eq!(extend(Some((1 << 48) - 1), 0), None);
    }
}
