//! Session keys, and what they do to one packet (RFC 3711 sections 4.1 to 4.3, RFC 7714 sections 8, 9 and 11).
//!
//! Nothing here remembers which numbers were used: the callers do.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use super::{KeyError, Master, Profile, RTCP_INDEX_BYTES};

/// Bytes of an RTCP packet that are never encrypted: header and sender (RFC 3711 section 3.4).
pub(super) const RTCP_CLEAR_BYTES: usize = 8;

/// In the word behind an SRTCP packet: it is encrypted.
pub(super) const ENCRYPTED: u32 = 1 << 31;

const GCM_TAG_BYTES: usize = 16;
const GCM_NONCE_BYTES: usize = 12;
const CM_TAG_BYTES: usize = 10;
const CM_SALT_BYTES: usize = 14;
const MAC_KEY_BYTES: usize = 20;

impl From<Unspecified> for KeyError {
    fn from(_: Unspecified) -> Self {
        Self::Refused
    }
}

/// The packet has no room, is too short, or is not authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CipherError;

impl From<Unspecified> for CipherError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// The session keys of one direction for RTP or for RTCP, with their key schedules.
pub(super) enum Cipher {
    Gcm {
        key: LessSafeKey,
        salt: [u8; GCM_NONCE_BYTES],
    },
    Cm(Box<CounterMode>),
}

/// Counter mode with HMAC-SHA1.
pub(super) struct CounterMode {
    key: EncryptingKey,
    mac: hmac::Key,
    salt: [u8; CM_SALT_BYTES],
}

/// What a session key is for; the numbers are the labels of RFC 3711 section 4.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Label {
    RtpKey = 0,
    RtpMac = 1,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpMac = 4,
    RtcpSalt = 5,
}

impl Cipher {
    /// For RTP.
    pub(super) fn rtp(profile: Profile, master: &Master) -> Result<Self, KeyError> {
        Self::derive(profile, master, [Label::RtpKey, Label::RtpMac, Label::RtpSalt])
    }

    /// For RTCP.
    pub(super) fn rtcp(profile: Profile, master: &Master) -> Result<Self, KeyError> {
        Self::derive(profile, master, [Label::RtcpKey, Label::RtcpMac, Label::RtcpSalt])
    }

    fn derive(profile: Profile, master: &Master, [key, mac, salt]: [Label; 3]) -> Result<Self, KeyError> {
        let mut session = Master::new(&[], &[]);
        let mut mac_key = [0; MAC_KEY_BYTES];
        derive(profile, master, key, &mut session.key[..profile.key_bytes()])?;
        derive(profile, master, mac, &mut mac_key)?;
        derive(profile, master, salt, &mut session.salt[..profile.salt_bytes()])?;
        Self::of_session_keys(profile, &session, &mac_key)
    }

    pub(super) fn of_session_keys(
        profile: Profile,
        session: &Master,
        mac_key: &[u8; MAC_KEY_BYTES],
    ) -> Result<Self, KeyError> {
        let key = &session.key[..profile.key_bytes()];
        let algorithm = match profile {
            Profile::AeadAes128Gcm => &AES_128_GCM,
            Profile::AeadAes256Gcm => &AES_256_GCM,
            Profile::Aes128CmSha1_80 => {
                return Ok(Self::Cm(Box::new(CounterMode {
                    key: EncryptingKey::ctr(UnboundCipherKey::new(&AES_128, key)?)?,
                    mac: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, mac_key),
                    salt: session.salt,
                })));
            }
        };
        let [salt @ .., _, _] = session.salt;
        Ok(Self::Gcm {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key)?),
            salt,
        })
    }

    /// Seals the packet in `packet[..length]`, of which `header_len` bytes stay in the clear; returns the new length.
    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        length: usize,
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, CipherError> {
        let (header, rest) = packet.split_at_mut_checked(header_len).ok_or(CipherError)?;
        let body_len = length.checked_sub(header_len).ok_or(CipherError)?;
        let (body, room) = rest.split_at_mut_checked(body_len).ok_or(CipherError)?;
        match self {
            Self::Gcm { key, salt } => {
                let tag_room = room.get_mut(..GCM_TAG_BYTES).ok_or(CipherError)?;
                let nonce = gcm_nonce(salt, ssrc, index);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&*header), body)?;
                tag_room.copy_from_slice(tag.as_ref());
                Ok(length + GCM_TAG_BYTES)
            }
            Self::Cm(cm) => {
                let CounterMode { key, mac, salt } = &**cm;
                let tag_room = room.get_mut(..CM_TAG_BYTES).ok_or(CipherError)?;
                counter_mode(key, cm_counter(salt, ssrc, index), body)?;
                let tag = rtp_mac(mac, header, body, index);
                tag_room.copy_from_slice(&tag);
                Ok(length + CM_TAG_BYTES)
            }
        }
    }

    /// Opens a packet in place; returns the length of what was sealed. After an error its bytes are worth nothing.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, CipherError> {
        let (header, rest) = packet.split_at_mut_checked(header_len).ok_or(CipherError)?;
        match self {
            Self::Gcm { key, salt } => {
                let body_len = rest.len().checked_sub(GCM_TAG_BYTES).ok_or(CipherError)?;
                let (body, tag) = rest.split_at_mut(body_len);
                let nonce = gcm_nonce(salt, ssrc, index);
                key.open_in_place_separate_tag(nonce, Aad::from(&*header), tag, body)?;
                Ok(header_len + body_len)
            }
            Self::Cm(cm) => {
                let CounterMode { key, mac, salt } = &**cm;
                let body_len = rest.len().checked_sub(CM_TAG_BYTES).ok_or(CipherError)?;
                let (body, tag) = rest.split_at_mut(body_len);
                verify_slices_are_equal(&rtp_mac(mac, header, body, index), tag)?;
                counter_mode(key, cm_counter(salt, ssrc, index), body)?;
                Ok(header_len + body_len)
            }
        }
    }

    /// Seals the compound packet in `packet[..length]`; returns the new length.
    pub(super) fn seal_rtcp(
        &self,
        packet: &mut [u8],
        length: usize,
        ssrc: u32,
        index: u32,
    ) -> Result<usize, CipherError> {
        let word = (ENCRYPTED | index).to_be_bytes();
        let (header, rest) = packet.split_at_mut_checked(RTCP_CLEAR_BYTES).ok_or(CipherError)?;
        let body_len = length.checked_sub(RTCP_CLEAR_BYTES).ok_or(CipherError)?;
        let (body, room) = rest.split_at_mut_checked(body_len).ok_or(CipherError)?;
        match self {
            Self::Gcm { key, salt } => {
                let trailer = room.get_mut(..GCM_TAG_BYTES + RTCP_INDEX_BYTES).ok_or(CipherError)?;
                let nonce = gcm_nonce(salt, ssrc, u64::from(index));
                let aad = Aad::from(rtcp_aad(header, word));
                let tag = key.seal_in_place_separate_tag(nonce, aad, body)?;
                let (tag_room, word_room) = trailer.split_at_mut(GCM_TAG_BYTES);
                tag_room.copy_from_slice(tag.as_ref());
                word_room.copy_from_slice(&word);
                Ok(length + GCM_TAG_BYTES + RTCP_INDEX_BYTES)
            }
            Self::Cm(cm) => {
                let CounterMode { key, mac, salt } = &**cm;
                let trailer = room.get_mut(..RTCP_INDEX_BYTES + CM_TAG_BYTES).ok_or(CipherError)?;
                counter_mode(key, cm_counter(salt, ssrc, u64::from(index)), body)?;
                let (word_room, tag_room) = trailer.split_at_mut(RTCP_INDEX_BYTES);
                word_room.copy_from_slice(&word);
                tag_room.copy_from_slice(&mac_of(mac, &[header, body, &word]));
                Ok(length + RTCP_INDEX_BYTES + CM_TAG_BYTES)
            }
        }
    }

    /// The word with flag and index of an SRTCP packet, which is not authentic yet.
    pub(super) fn rtcp_word(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self {
            Self::Gcm { .. } => 0,
            Self::Cm(_) => CM_TAG_BYTES,
        };
        let (_, word) = packet
            .get(..packet.len().checked_sub(behind)?)?
            .split_last_chunk::<RTCP_INDEX_BYTES>()?;
        Some(u32::from_be_bytes(*word))
    }

    /// Opens a compound packet with this word in place; returns the length of what was sealed. After an error its bytes
    /// are worth nothing.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Result<usize, CipherError> {
        let index = u64::from(word & !ENCRYPTED);
        let is_encrypted = word & ENCRYPTED != 0;
        let word = word.to_be_bytes();
        let overhead = RTCP_INDEX_BYTES
            + match self {
                Self::Gcm { .. } => GCM_TAG_BYTES,
                Self::Cm(_) => CM_TAG_BYTES,
            };
        let length = packet.len().checked_sub(overhead).ok_or(CipherError)?;
        if length < RTCP_CLEAR_BYTES {
            return Err(CipherError);
        }
        match self {
            Self::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, ssrc, index);
                let mut tag = [0; GCM_TAG_BYTES];
                tag.copy_from_slice(&packet[length..length + GCM_TAG_BYTES]);
                if is_encrypted {
                    let (header, body) = packet[..length].split_at_mut(RTCP_CLEAR_BYTES);
                    key.open_in_place_separate_tag(nonce, Aad::from(rtcp_aad(header, word)), &tag, body)?;
                } else {
                    // All of it is associated data, and the word, which comes where the tag was (RFC 7714 section 9.3).
                    packet[length..length + RTCP_INDEX_BYTES].copy_from_slice(&word);
                    let aad = Aad::from(&packet[..length + RTCP_INDEX_BYTES]);
                    key.open_in_place_separate_tag(nonce, aad, &tag, &mut [])?;
                }
            }
            Self::Cm(cm) => {
                let CounterMode { key, mac, salt } = &**cm;
                let (sealed, trailer) = packet.split_at_mut(length);
                verify_slices_are_equal(&mac_of(mac, &[sealed, &word]), &trailer[RTCP_INDEX_BYTES..])?;
                if is_encrypted {
                    counter_mode(key, cm_counter(salt, ssrc, index), &mut sealed[RTCP_CLEAR_BYTES..])?;
                }
            }
        }
        Ok(length)
    }
}

/// RFC 3711 section 4.3.1, with a derivation rate of 0; for AES-256 RFC 6188. A salt of 12 bytes is padded behind (RFC
/// 7714 section 11).
pub(super) fn derive(profile: Profile, master: &Master, label: Label, out: &mut [u8]) -> Result<(), KeyError> {
    let algorithm = match profile.key_bytes() {
        16 => &AES_128,
        _ => &AES_256,
    };
    let key = UnboundCipherKey::new(algorithm, &master.key[..profile.key_bytes()])?;
    let mut counter = [0; 16];
    counter[..master.salt.len()].copy_from_slice(&master.salt);
    counter[7] ^= label as u8;
    out.fill(0);
    Ok(counter_mode(&EncryptingKey::ctr(key)?, counter, out)?)
}

fn counter_mode(key: &EncryptingKey, counter: [u8; 16], in_out: &mut [u8]) -> Result<(), Unspecified> {
    let context = EncryptionContext::Iv128(FixedLength::from(counter));
    key.less_safe_encrypt(in_out, context)?;
    Ok(())
}

/// RFC 7714 sections 8.1 and 9.1: two zeros, SSRC, rollover counter and sequence number (or the index of RTCP), all
/// xor the salt.
fn gcm_nonce(salt: &[u8; GCM_NONCE_BYTES], ssrc: u32, index: u64) -> Nonce {
    let number = u128::from(ssrc) << 48 | u128::from(index & 0xffff_ffff_ffff);
    let [_, _, _, _, bytes @ ..] = number.to_be_bytes();
    Nonce::assume_unique_for_key(std::array::from_fn(|i| bytes[i] ^ salt[i]))
}

/// RFC 3711 section 4.1.1: salt · 2^16 xor SSRC · 2^64 xor index · 2^16.
fn cm_counter(salt: &[u8; CM_SALT_BYTES], ssrc: u32, index: u64) -> [u8; 16] {
    let mut counter = [0; 16];
    counter[..CM_SALT_BYTES].copy_from_slice(salt);
    let number = u128::from_be_bytes(counter) ^ u128::from(ssrc) << 64 ^ u128::from(index & 0xffff_ffff_ffff) << 16;
    number.to_be_bytes()
}

/// RFC 7714 section 9.2: the first eight bytes, and the word with flag and index.
fn rtcp_aad(header: &[u8], word: [u8; RTCP_INDEX_BYTES]) -> [u8; RTCP_CLEAR_BYTES + RTCP_INDEX_BYTES] {
    let mut aad = [0; RTCP_CLEAR_BYTES + RTCP_INDEX_BYTES];
    aad[..RTCP_CLEAR_BYTES].copy_from_slice(&header[..RTCP_CLEAR_BYTES]);
    aad[RTCP_CLEAR_BYTES..].copy_from_slice(&word);
    aad
}

/// RFC 3711 section 4.2: the packet, and the rollover counter behind it.
fn rtp_mac(key: &hmac::Key, header: &[u8], body: &[u8], index: u64) -> [u8; CM_TAG_BYTES] {
    let rollover = ((index >> 16) as u32).to_be_bytes();
    mac_of(key, &[header, body, &rollover])
}

fn mac_of(key: &hmac::Key, parts: &[&[u8]]) -> [u8; CM_TAG_BYTES] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let tag = context.sign();
    let mut short = [0; CM_TAG_BYTES];
    short.copy_from_slice(&tag.as_ref()[..CM_TAG_BYTES]);
    short
}
