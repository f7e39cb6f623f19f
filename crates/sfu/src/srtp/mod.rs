//! SRTP and SRTCP (RFC 3711, RFC 7714) of one transport: keys, sealing, opening.
//!
//! The rule of nonces: no two plaintexts are ever sealed under one key, SSRC and index. With GCM that would give
//! away both and the key of the authentication. [`Sealer`] itself refuses the second; who has to send a packet
//! again sends the same bytes, or seals on another SSRC (RTX) with a new number. SSRCs of ours with the same stream index
//! ascend, so that a number tells of all its streams that are over, however many came and went.

mod cipher;
mod open;
mod seal;
#[cfg(test)]
mod tests;
mod window;

use negotiation::DtlsRole;

pub(crate) use open::{OpenError, Opener};
pub(crate) use seal::Sealer;

/// Longest master key and salt of all profiles, bytes.
const KEY_BYTES_MAX: usize = 32;
const SALT_BYTES_MAX: usize = 14;

/// Bytes behind an SRTCP packet that say whether it is encrypted, and its index.
const RTCP_INDEX_BYTES: usize = 4;

/// How packets are protected, as DTLS agreed (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    AeadAes128Gcm,
    AeadAes256Gcm,
    Aes128CmSha1_80,
}

impl Profile {
    /// Bytes of a master key, and of the encryption keys made of it.
    pub(crate) const fn key_bytes(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of a master salt, and of the salts made of it.
    pub(crate) const fn salt_bytes(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmSha1_80 => 14,
        }
    }

    /// Bytes to ask DTLS for.
    pub(crate) const fn exported_bytes(self) -> usize {
        2 * (self.key_bytes() + self.salt_bytes())
    }

    /// Bytes that sealing adds to an RTP packet.
    pub(crate) const fn rtp_overhead(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmSha1_80 => 10,
        }
    }

    /// Bytes that sealing adds to an RTCP packet.
    pub(crate) const fn rtcp_overhead(self) -> usize {
        self.rtp_overhead() + RTCP_INDEX_BYTES
    }
}

/// Why there are no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// The bytes exported are not as many as the profile has.
    #[error("{0} bytes of keying material are not what the profile needs")]
    Length(usize),
    /// The cryptographic library refused.
    #[error("the keys were refused")]
    Refused,
}

/// Master keys of both directions.
pub(crate) struct Keys {
    profile: Profile,
    local: Master,
    remote: Master,
}

/// Master key and salt of one direction; of each as many bytes as the profile has.
#[derive(Clone)]
struct Master {
    key: [u8; KEY_BYTES_MAX],
    salt: [u8; SALT_BYTES_MAX],
}

impl Keys {
    /// Out of what DTLS exports under `EXTRACTOR-dtls_srtp` (RFC 5764 section 4.2): the client's key, the server's,
    /// the client's salt, the server's.
    pub(crate) fn from_exported(profile: Profile, material: &[u8], we_are: DtlsRole) -> Result<Self, KeyError> {
        if material.len() != profile.exported_bytes() {
            return Err(KeyError::Length(material.len()));
        }
        let (keys, salts) = material.split_at(2 * profile.key_bytes());
        let (client_key, server_key) = keys.split_at(profile.key_bytes());
        let (client_salt, server_salt) = salts.split_at(profile.salt_bytes());
        let client = Master::new(client_key, client_salt);
        let server = Master::new(server_key, server_salt);
        let (local, remote) = match we_are {
            DtlsRole::Client => (client, server),
            DtlsRole::Server => (server, client),
        };
        Ok(Self { profile, local, remote })
    }
}

impl Master {
    fn new(key: &[u8], salt: &[u8]) -> Self {
        let mut master = Self {
            key: [0; KEY_BYTES_MAX],
            salt: [0; SALT_BYTES_MAX],
        };
        master.key[..key.len()].copy_from_slice(key);
        master.salt[..salt.len()].copy_from_slice(salt);
        master
    }
}
