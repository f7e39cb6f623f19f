//! Derives what must look random (credentials, SSRCs, names) from the seed of a peer connection.

use sha2::{Digest, Sha256};

use crate::session::IceCredentials;

/// Letters and digits: the SDK recognises no other ufrag characters (signaling.md section 5.3).
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The secret seed. The same purpose and input give the same value; nothing derived tells about
/// anything else derived.
#[derive(Clone)]
pub(crate) struct Seed([u8; 32]);

impl Seed {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(seed)
    }

    /// ICE credentials of the exchange after `restarts` restarts: 71 and 190 bits.
    pub(crate) fn ice(&self, restarts: u64) -> IceCredentials {
        let ufrag = letters(&self.bytes("ice-ufrag", &restarts.to_be_bytes())[..12]);
        let pwd = letters(&self.bytes("ice-pwd", &restarts.to_be_bytes()));
        IceCredentials { ufrag, pwd }
    }

    /// Where SSRCs of ours begin.
    pub(crate) fn ssrc_start(&self) -> u32 {
        let [a, b, c, d, ..] = self.bytes("ssrc", &[]);
        u32::from_be_bytes([a, b, c, d])
    }

    /// RTCP CNAME of whoever sends this stream; says nothing about the stream's id.
    pub(crate) fn cname(&self, stream_id: &str) -> String {
        letters(&self.bytes("cname", stream_id.as_bytes())[..16])
    }

    /// `sess-id` of the `o=` line, 62 bits (RFC 9429 section 5.2.1).
    pub(crate) fn session_id(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes("session-id", &[]);
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 2
    }

    /// The input is hashed by itself first, so that the outer hash always has 64 bytes and cannot
    /// be extended.
    fn bytes(&self, purpose: &str, input: &[u8]) -> [u8; 32] {
        let mut inner = Sha256::new();
        inner.update(purpose.as_bytes());
        inner.update([0]);
        inner.update(input);
        let mut outer = Sha256::new();
        outer.update(self.0);
        outer.update(inner.finalize());
        outer.finalize().into()
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

fn letters(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_have_the_length_and_letters_that_ice_and_the_sdk_want() {
        let seed = Seed::new([7; 32]);
        let (first, second) = (seed.ice(1), seed.ice(2));
        assert_ne!(first, second);
        assert_eq!(first, seed.ice(1));
        for part in [&first.ufrag, &first.pwd] {
            assert!(part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
        assert_eq!((first.ufrag.len(), first.pwd.len()), (12, 32));
    }

    #[test]
    fn purposes_and_seeds_are_apart() {
        let (one, two) = (Seed::new([1; 32]), Seed::new([2; 32]));
        assert_ne!(one.ssrc_start(), two.ssrc_start());
        assert_ne!(one.bytes("a", b"b"), one.bytes("ab", b""));
        assert_ne!(one.cname("s"), two.cname("s"));
        assert!(one.session_id() < 1 << 62);
    }
}
