//! The text that resumes a session: which room, which participant, which API key it came with, and a secret.
//!
//! `{32 hex of RM}{32 hex of PA}{32 hex of SK}{64 hex of the secret}`, opaque to the client. The store keeps a hash of
//! key and secret, so that a stolen database resumes nothing, and nobody resumes with another key than it joined with.

use aws_lc_rs::digest;
use room::{ApiKeySid, ParticipantSid, RoomSid, SessionHash};

use super::random;

/// Digits of a session.
const WITH_KEY: usize = 160;
/// Digits of one that an earlier version made.
const WITHOUT_KEY: usize = 128;

/// A session as a client names it.
pub(crate) struct SessionKey {
    pub(crate) room: RoomSid,
    pub(crate) participant: ParticipantSid,
    /// The key of the token that it joined with; `None`: a session of a version that did not note it.
    pub(crate) key: Option<ApiKeySid>,
    pub(crate) hash: SessionHash,
}

/// Makes a session of a new participant: the text for the client and the hash for the store.
pub(crate) fn open(room: RoomSid, participant: ParticipantSid, key: ApiKeySid) -> (String, SessionHash) {
    let secret = [key.as_bytes().as_slice(), &random::<32>()].concat();
    let text = [room.as_bytes().as_slice(), participant.as_bytes(), &secret].concat();
    let text = text.iter().map(|byte| format!("{byte:02x}")).collect();
    (text, hash(&secret))
}

/// Reads a session; `None` for any text that this server did not make.
pub(crate) fn parse(text: &str) -> Option<SessionKey> {
    let digits = text.as_bytes();
    if ![WITHOUT_KEY, WITH_KEY].contains(&digits.len()) {
        return None;
    }
    let bytes: Option<Vec<u8>> = digits
        .chunks_exact(2)
        .map(|pair| {
            let high = (pair[0] as char).to_digit(16)?;
            let low = (pair[1] as char).to_digit(16)?;
            u8::try_from(high << 4 | low).ok()
        })
        .collect();
    let bytes = bytes?;
    Some(SessionKey {
        room: RoomSid::from_bytes(bytes[..16].try_into().ok()?),
        participant: ParticipantSid::from_bytes(bytes[16..32].try_into().ok()?),
        key: match bytes.len() == WITH_KEY / 2 {
            true => Some(ApiKeySid::from_bytes(bytes[32..48].try_into().ok()?)),
            false => None,
        },
        hash: hash(&bytes[32..]),
    })
}

fn hash(secret: &[u8]) -> SessionHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
    SessionHash(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_made_and_nothing_else() {
        let room = RoomSid::from_bytes([1; 16]);
        let participant = ParticipantSid::from_bytes([2; 16]);
        let sk = ApiKeySid::from_bytes([3; 16]);
        let (text, hash) = open(room, participant, sk);
        let key = parse(&text).expect("made above");
        assert_eq!((key.room, key.participant, key.hash), (room, participant, hash));
        assert_eq!(key.key, Some(sk));
        let stolen = text.replace(&"03".repeat(16), &"04".repeat(16));
        assert!(
            parse(&stolen).expect("a session").hash != hash,
            "the key is a part of it"
        );
        let earlier = text.replace(&"03".repeat(16), "");
        assert!(parse(&earlier).expect("a session").key.is_none());
        for wrong in ["", "x", &text[1..], &text.replace(|c: char| c.is_ascii_digit(), "g")] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
