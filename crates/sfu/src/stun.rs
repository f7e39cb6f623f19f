//! STUN binding requests and our answers to them (RFC 8489, RFC 8445 section 7).

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::hmac;

const MAGIC_COOKIE: u32 = 0x2112_a442;
const HEADER_BYTES: usize = 20;
const INTEGRITY_BYTES: usize = 20;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;

const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// A binding request whose integrity has not been checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BindingRequest<'a> {
    message: &'a [u8],
    username: &'a str,
    integrity_at: usize,
    /// USE-CANDIDATE: the client has chosen this path.
    pub(crate) nominates: bool,
    /// ICE-CONTROLLED: the client believes that we choose, which a lite agent never does.
    pub(crate) controlled: bool,
}

impl<'a> BindingRequest<'a> {
    /// Reads a datagram; `None` if it is anything but a well-formed request with credentials.
    pub(crate) fn parse(message: &'a [u8]) -> Option<Self> {
        let header = message.get(..HEADER_BYTES)?;
        let length = usize::from(u16_at(header, 2)?);
        if u16_at(header, 0)? != BINDING_REQUEST
            || u32_at(header, 4)? != MAGIC_COOKIE
            || message.len() != HEADER_BYTES + length
        {
            return None;
        }
        let mut username = None;
        let mut integrity_at = None;
        let mut nominates = false;
        let mut controlled = false;
        let mut at = HEADER_BYTES;
        while at < message.len() {
            let kind = u16_at(message, at)?;
            let length = usize::from(u16_at(message, at + 2)?);
            let value = message.get(at + 4..at + 4 + length)?;
            // Attributes after MESSAGE-INTEGRITY are not covered by it (RFC 8489 section 14.5).
            match kind {
                FINGERPRINT if u32_at(value, 0)? != fingerprint(&message[..at]) => return None,
                _ if integrity_at.is_some() => {}
                USERNAME => username = Some(std::str::from_utf8(value).ok()?),
                MESSAGE_INTEGRITY if length == INTEGRITY_BYTES => integrity_at = Some(at),
                USE_CANDIDATE => nominates = true,
                ICE_CONTROLLED => controlled = true,
                _ => {}
            }
            at += 4 + length.next_multiple_of(4);
        }
        let (username, integrity_at) = (username?, integrity_at?);
        Some(Self {
            message,
            username,
            integrity_at,
            nominates,
            controlled,
        })
    }

    /// The user name fragment of the agent asked: ours.
    pub(crate) fn local_ufrag(&self) -> &'a str {
        self.username.split_once(':').map_or(self.username, |(local, _)| local)
    }

    /// Whether it was signed with our password.
    pub(crate) fn is_authentic(&self, pwd: &str) -> bool {
        let key = integrity_key(pwd);
        // The length field counts up to and including MESSAGE-INTEGRITY and nothing behind it.
        let signed = integrity_input(&self.message[..self.integrity_at]);
        let tag = &self.message[self.integrity_at + 4..self.integrity_at + 4 + INTEGRITY_BYTES];
        hmac::verify(&key, &signed, tag).is_ok()
    }

    /// The answer that tells the client which address we see.
    pub(crate) fn success(&self, source: SocketAddr, pwd: &str) -> Vec<u8> {
        let mut response = self.response(BINDING_SUCCESS);
        let value = xor_address(source, &self.message[8..HEADER_BYTES]);
        push_attribute(&mut response, XOR_MAPPED_ADDRESS, &value);
        finish(response, pwd)
    }

    /// 487 Role Conflict (RFC 8445 section 7.3.1.1).
    pub(crate) fn role_conflict(&self, pwd: &str) -> Vec<u8> {
        let mut response = self.response(BINDING_ERROR);
        push_attribute(&mut response, ERROR_CODE, &[0, 0, 4, 87]);
        finish(response, pwd)
    }

    fn response(&self, kind: u16) -> Vec<u8> {
        let mut response = Vec::with_capacity(80);
        response.extend_from_slice(&kind.to_be_bytes());
        response.extend_from_slice(&[0, 0]);
        response.extend_from_slice(&self.message[4..HEADER_BYTES]);
        response
    }
}

/// A signed binding request with USE-CANDIDATE, for feeding an engine and for tests.
#[cfg(any(test, feature = "library-engine"))]
pub(crate) fn nominating_request(username: &str, pwd: &str, transaction: [u8; 12]) -> Vec<u8> {
    let mut request = Vec::with_capacity(120);
    request.extend_from_slice(&BINDING_REQUEST.to_be_bytes());
    request.extend_from_slice(&[0, 0]);
    request.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
    request.extend_from_slice(&transaction);
    push_attribute(&mut request, USERNAME, username.as_bytes());
    push_attribute(&mut request, 0x0024, &0x6e00_01ff_u32.to_be_bytes()); // PRIORITY
    push_attribute(&mut request, 0x802a, &1_u64.to_be_bytes()); // ICE-CONTROLLING
    push_attribute(&mut request, USE_CANDIDATE, &[]);
    finish(request, pwd)
}

fn finish(mut message: Vec<u8>, pwd: &str) -> Vec<u8> {
    let signed = integrity_input(&message);
    let tag = hmac::sign(&integrity_key(pwd), &signed);
    push_attribute(&mut message, MESSAGE_INTEGRITY, tag.as_ref());
    set_length(&mut message, 8);
    let checksum = fingerprint(&message);
    push_attribute(&mut message, FINGERPRINT, &checksum.to_be_bytes());
    set_length(&mut message, 0);
    message
}

fn integrity_key(pwd: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, pwd.as_bytes())
}

fn integrity_input(before: &[u8]) -> Vec<u8> {
    let mut signed = before.to_vec();
    set_length(&mut signed, 4 + INTEGRITY_BYTES);
    signed
}

/// Sets the header's length to that of the message plus what is still to come.
fn set_length(message: &mut [u8], to_come: usize) {
    let length = (message.len() - HEADER_BYTES + to_come) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

fn push_attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&(value.len() as u16).to_be_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).
fn xor_address(address: SocketAddr, transaction: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(20);
    let port = address.port() ^ (MAGIC_COOKIE >> 16) as u16;
    let mask = MAGIC_COOKIE
        .to_be_bytes()
        .into_iter()
        .chain(transaction.iter().copied());
    let (family, bytes) = match address.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    value.extend_from_slice(&[0, family]);
    value.extend_from_slice(&port.to_be_bytes());
    value.extend(bytes.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    value
}

/// FINGERPRINT over what stands before it; the length in the header already counts it.
fn fingerprint(before: &[u8]) -> u32 {
    crc32(before) ^ FINGERPRINT_XOR
}

/// CRC-32 of ITU V.42, bit by bit: 100 bytes a check, a few checks a second and client.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    /// RFC 5769 section 2.1.
    const SAMPLE: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";

    fn sample() -> Vec<u8> {
        (0..SAMPLE.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&SAMPLE[i..i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn the_sample_of_the_rfc_is_read_and_authentic() {
        let bytes = sample();
        let request = BindingRequest::parse(&bytes).unwrap();
        assert_eq!(request.local_ufrag(), "evtj");
        assert!(request.controlled);
        assert!(!request.nominates);
        assert!(request.is_authentic("VOkJxbRl1RmTxUk/WvJxBt"));
        assert!(!request.is_authentic("VOkJxbRl1RmTxUk/WvJxBu"));
    }

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        // RFC 5769 section 2.2 but for its SOFTWARE attribute: the address is what we compare.
        let bytes = sample();
        let request = BindingRequest::parse(&bytes).unwrap();
        let answer = request.success("192.0.2.1:32853".parse().unwrap(), "VOkJxbRl1RmTxUk/WvJxBt");
        assert_eq!(&answer[..2], &[1, 1]);
        assert_eq!(
            &answer[20..32],
            &[0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]
        );
        let end = answer.len();
        assert_eq!(u32_at(&answer, end - 4).unwrap(), fingerprint(&answer[..end - 8]));
    }

    #[test]
    fn our_own_request_is_read_back() {
        let bytes = nominating_request("ours:theirs", "password", [7; 12]);
        let request = BindingRequest::parse(&bytes).unwrap();
        assert!(request.nominates && request.is_authentic("password"));
        assert_eq!(request.local_ufrag(), "ours");
    }

    proptest! {
        #[test]
        fn any_flipped_bit_of_what_is_signed_is_refused(bit in 0_usize..(100 * 8)) {
            let mut bytes = sample();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let accepted = BindingRequest::parse(&bytes).is_some_and(|r| r.is_authentic("VOkJxbRl1RmTxUk/WvJxBt"));
            prop_assert!(!accepted);
        }

        #[test]
        fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut message = vec![0, 1, 0, bytes.len() as u8, 0x21, 0x12, 0xa4, 0x42];
            message.extend_from_slice(&[0; 12]);
            message.extend_from_slice(&bytes);
            BindingRequest::parse(&message);
            BindingRequest::parse(&bytes);
        }
    }
}
