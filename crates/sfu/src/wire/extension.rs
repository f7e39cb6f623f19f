//! Values of the header extensions we know, and their ids in a session.

use negotiation::Extension;

use super::rtp::ExtensionForm;

/// Which extension has which id; few, so that looking along is fastest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ExtensionIds(Vec<(u8, Extension)>);

impl ExtensionIds {
    /// As agreed for a section.
    pub(crate) fn new(agreed: &[(u8, Extension)]) -> Self {
        Self(agreed.to_vec())
    }

    /// What an id means.
    pub(crate) fn extension(&self, id: u8) -> Option<Extension> {
        let found = self.0.iter().find(|(known, _)| *known == id);
        found.map(|(_, extension)| *extension)
    }

    /// The id of an extension.
    pub(crate) fn id(&self, extension: Extension) -> Option<u8> {
        let found = self.0.iter().find(|(_, known)| *known == extension);
        found.map(|(id, _)| *id)
    }

    /// The form that has a place for all of them (RFC 8285 section 4.1.2: one form in a packet).
    pub(crate) fn form(&self) -> ExtensionForm {
        match self.0.iter().all(|(id, _)| *id <= 14) {
            true => ExtensionForm::OneByte,
            false => ExtensionForm::TwoByte,
        }
    }
}

/// RFC 6464 section 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AudioLevel {
    /// Minus dBov: 0 is loudest, 127 silence.
    pub(crate) level: u8,
    pub(crate) voice: bool,
}

impl AudioLevel {
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let byte = *data.first()?;
        Some(Self {
            level: byte & 0x7f,
            voice: byte & 0x80 != 0,
        })
    }

    pub(crate) fn bytes(self) -> [u8; 1] {
        [u8::from(self.voice) << 7 | self.level & 0x7f]
    }
}

/// A transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2.1).
pub(crate) fn transport_sequence(data: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*data.first_chunk()?))
}

/// `abs-send-time`: seconds as a 24-bit number with 18 bits of fraction, of a clock that went for `micros`.
pub(crate) fn absolute_send_time(micros: u64) -> [u8; 3] {
    let fraction = (u128::from(micros) << 18) / 1_000_000;
    let [.., a, b, c] = fraction.to_be_bytes();
    [a, b, c]
}

/// `urn:3gpp:video-orientation` (3GPP TS 26.114 section 7.4.5): quarter turns, 0 to 3.
pub(crate) fn rotation(data: &[u8]) -> Option<u8> {
    Some(data.first()? & 0x03)
}

/// `playout-delay`: smallest and largest, 12 bits each, in units of 10 ms.
pub(crate) fn playout_delay(data: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c] = *data.first_chunk()?;
    let (a, b, c) = (u16::from(a), u16::from(b), u16::from(c));
    Some((a << 4 | b >> 4, (b & 0x0f) << 8 | c))
}

/// The bytes of a playout delay.
pub(crate) fn playout_delay_bytes((min, max): (u16, u16)) -> [u8; 3] {
    let (min, max) = (min & 0xfff, max & 0xfff);
    [(min >> 4) as u8, (min << 4) as u8 | (max >> 8) as u8, max as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        let level = AudioLevel { level: 33, voice: true };
        assert_eq!(level.bytes(), [0x80 | 33]);
        assert_eq!(AudioLevel::parse(&level.bytes()), Some(level));
        assert_eq!(playout_delay_bytes((0xabc, 0x123)), [0xab, 0xc1, 0x23]);
        assert_eq!(playout_delay(&[0xab, 0xc1, 0x23]), Some((0xabc, 0x123)));
        assert_eq!(rotation(&[0x0b]), Some(3));
        assert_eq!(transport_sequence(&[1, 2]), Some(0x102));
        assert_eq!(absolute_send_time(1_500_000), [0x06, 0, 0]);
        assert_eq!(absolute_send_time(64_000_000), [0, 0, 0], "it wraps after 64 s");
    }

    #[test]
    fn what_is_too_short_has_no_value() {
        assert_eq!(AudioLevel::parse(&[]), None);
        assert_eq!(
            (playout_delay(&[1, 2]), rotation(&[]), transport_sequence(&[1])),
            (None, None, None)
        );
    }

    #[test]
    fn ids_both_ways() {
        let ids = ExtensionIds::new(&[(1, Extension::AudioLevel), (3, Extension::TransportWideCc)]);
        assert_eq!(ids.extension(3), Some(Extension::TransportWideCc));
        assert_eq!(
            (ids.extension(2), ids.id(Extension::AudioLevel), ids.id(Extension::Mid)),
            (None, Some(1), None)
        );
        assert_eq!(ids.form(), ExtensionForm::OneByte);
        assert_eq!(
            ExtensionIds::new(&[(15, Extension::Mid)]).form(),
            ExtensionForm::TwoByte
        );
    }
}
