//! Identifiers: two letters and 16 bytes, one type for each kind of thing.
//!
//! On the wire a SID is 34 characters, `^XX[0-9a-fA-F]{32}$` (reference: rest.md section 2).
//! It is parsed once, at the edge; the store keeps the 16 bytes.

use std::fmt;
use std::str::FromStr;

/// Why a text is not a SID of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidSid {
    /// The two letters that were wanted, for example `RM`.
    pub prefix: &'static str,
}

impl fmt::Display for InvalidSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} followed by 32 hexadecimal digits", self.prefix)
    }
}

impl std::error::Error for InvalidSid {}

fn parse(text: &str, prefix: &'static str) -> Result<[u8; 16], InvalidSid> {
    let invalid = InvalidSid { prefix };
    let hex = text.strip_prefix(prefix).ok_or(invalid)?.as_bytes();
    if hex.len() != 32 {
        return Err(invalid);
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let high = (pair[0] as char).to_digit(16).ok_or(invalid)?;
        let low = (pair[1] as char).to_digit(16).ok_or(invalid)?;
        *byte = (high << 4 | low) as u8;
    }
    Ok(bytes)
}

/// Pages of lists are full of SIDs: the text is made at once, not digit by digit through the formatter.
fn write_hex(f: &mut fmt::Formatter<'_>, prefix: &str, bytes: &[u8; 16]) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    f.write_str(prefix)?;
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The two letters that this kind of SID begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes a SID of 16 bytes, random ones where it is new.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, as the store keeps them.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, $prefix, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidSid;

            fn from_str(text: &str) -> Result<Self, InvalidSid> {
                parse(text, $prefix).map(Self)
            }
        }
    };
}

sid!(
    /// An account: the owner of rooms and keys.
    AccountSid, "AC"
);
sid!(
    /// An API key: signs access tokens and may call the REST API.
    ApiKeySid, "SK"
);
sid!(
    /// A room.
    RoomSid, "RM"
);
sid!(
    /// A participant: one stay of one identity in one room.
    ParticipantSid, "PA"
);
sid!(
    /// A published track, and the same track as seen by its subscribers.
    TrackSid, "MT"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_cases_and_writes_lower() {
        let sid: RoomSid = "RMABCDEFabcdef00000000000000000000"
            .parse()
            .expect("34 characters of the pattern");
        assert_eq!(sid.to_string(), "RMabcdefabcdef00000000000000000000");
    }

    #[test]
    fn refuses_other_kinds_lengths_and_digits() {
        for text in [
            "",
            "RM",
            "PA00000000000000000000000000000000",
            "RM0000000000000000000000000000000",
            "RM000000000000000000000000000000000",
            "RM0000000000000000000000000000000g",
            "RMé000000000000000000000000000000",
        ] {
            assert_eq!(text.parse::<RoomSid>(), Err(InvalidSid { prefix: "RM" }), "{text}");
        }
    }
}
