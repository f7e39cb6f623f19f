//! Published vectors, and attacks on the rule of nonces and on replay protection.

#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};

use negotiation::{DtlsRole, STREAMS_MAX};
use proptest::prelude::*;

use super::cipher::{Cipher, Label, derive};
use super::seal::SealError;
use super::*;
use crate::limits;

const PROFILES: [Profile; 3] = [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmSha1_80];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// RFC 3711 appendix B.3.
fn appendix_b3() -> Master {
    Master::new(
        &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        &hex("0EC675AD498AFEEBB6960B3AABE6"),
    )
}

/// Both ends with the same keys, and streams 1 to 9 open.
fn ends(profile: Profile, generation: u8) -> (Sealer, Opener) {
    let (mut sealer, opener) = fresh_ends(profile, generation);
    (1..10).for_each(|ssrc| sealer.open_stream(ssrc).unwrap());
    (sealer, opener)
}

/// Both ends with the same keys; `generation` makes others.
fn fresh_ends(profile: Profile, generation: u8) -> (Sealer, Opener) {
    let material: Vec<u8> = (0..profile.exported_bytes()).map(|i| i as u8 ^ generation).collect();
    let ours = Keys::from_exported(profile, &material, DtlsRole::Client).unwrap();
    let theirs = Keys::from_exported(profile, &material, DtlsRole::Server).unwrap();
    (Sealer::new(&ours).unwrap(), Opener::new(&theirs).unwrap())
}

/// Ends with session keys as RFC 7714 has them.
fn vector_ends(profile: Profile) -> (Sealer, Opener) {
    let key: Vec<u8> = (0..profile.key_bytes() as u8).collect();
    let session = Master::new(&key, b"Quid pro quo");
    let cipher = || Cipher::of_session_keys(profile, &session, &[0; 20]).unwrap();
    let mut opener = Opener::with_ciphers(cipher(), cipher());
    opener.declare([0x5501_a0b2], 0);
    let mut sealer = Sealer::with_ciphers(profile, cipher(), cipher());
    sealer.open_stream(0x5501_a0b2).unwrap();
    (sealer, opener)
}

fn rtp(ssrc: u32, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let sequence = (sequence as u16).to_be_bytes();
    let header = [&[0x80, 96][..], &sequence, &[0, 0, 0, 9], &ssrc.to_be_bytes()].concat();
    [&header[..], payload].concat()
}

fn seal(sealer: &mut Sealer, packet: &[u8], sequence: u64) -> Result<Vec<u8>, SealError> {
    let mut room = packet.to_vec();
    room.resize(packet.len() + sealer.profile().rtp_overhead(), 0);
    let length = sealer.seal_rtp(&mut room, packet.len(), 12, sequence)?;
    assert_eq!(length, room.len());
    Ok(room)
}

fn seal_rtcp(sealer: &mut Sealer, packet: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut room = packet.to_vec();
    room.resize(packet.len() + sealer.profile().rtcp_overhead(), 0);
    let length = sealer.seal_rtcp(&mut room, packet.len())?;
    assert_eq!(length, room.len());
    Ok(room)
}

fn open(opener: &mut Opener, sealed: &[u8]) -> Result<(u64, Vec<u8>), OpenError> {
    let mut packet = sealed.to_vec();
    let opened = opener.open_rtp(&mut packet)?;
    Ok((opened.sequence, packet[..opened.length].to_vec()))
}

fn open_rtcp(opener: &mut Opener, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut packet = sealed.to_vec();
    let length = opener.open_rtcp(&mut packet)?;
    Ok(packet[..length].to_vec())
}

#[test]
fn key_derivation_of_rfc_3711_b3() {
    let master = appendix_b3();
    let derived = |label, length| {
        let mut out = vec![0xff; length];
        derive(Profile::Aes128CmSha1_80, &master, label, &mut out).unwrap();
        out
    };
    assert_eq!(derived(Label::RtpKey, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(Label::RtpSalt, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    let mac = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF7227098\
               6371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2DC68";
    assert_eq!(derived(Label::RtpMac, 94), hex(mac)[..94]);
}

/// RFC 3711 appendix B.2: the key stream of counter mode, seen through a payload of zeros.
#[test]
fn counter_mode_of_rfc_3711_b2() {
    let profile = Profile::Aes128CmSha1_80;
    let session = Master::new(
        &hex("2B7E151628AED2A6ABF7158809CF4F3C"),
        &hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"),
    );
    let cipher = || Cipher::of_session_keys(profile, &session, &[0; 20]).unwrap();
    let mut sealer = Sealer::with_ciphers(profile, cipher(), cipher());
    sealer.open_stream(0).unwrap();
    let sealed = seal(&mut sealer, &rtp(0, 0, &[0; 48]), 0).unwrap();
    let stream = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
    assert_eq!(sealed[12..60], hex(stream));
}

/// The reference packets of libsrtp's self-test, under the master key of RFC 3711 appendix B.3.
#[test]
fn whole_packets_in_counter_mode() {
    let profile = Profile::Aes128CmSha1_80;
    let master = appendix_b3();
    let ciphers = || {
        (
            Cipher::rtp(profile, &master).unwrap(),
            Cipher::rtcp(profile, &master).unwrap(),
        )
    };
    let (rtp, rtcp) = ciphers();
    let mut sealer = Sealer::with_ciphers(profile, rtp, rtcp);
    sealer.open_stream(0xcafe_babe).unwrap();
    let packet = hex("800f1234decafbadcafebabe abababababababababababababababab");
    let sealed = hex("800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb");
    assert_eq!(seal(&mut sealer, &packet, 0x1234).unwrap(), sealed);
    let report = hex("81c8000bcafebabe abababababababababababababababab");
    let sealed_report = hex("81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798");
    assert_eq!(seal_rtcp(&mut sealer, &report).unwrap(), sealed_report);
    let (rtp, rtcp) = ciphers();
    let mut opener = Opener::with_ciphers(rtp, rtcp);
    opener.declare([0xcafe_babe], 0);
    assert_eq!(open(&mut opener, &sealed).unwrap(), (0x1234, packet));
    assert_eq!(open_rtcp(&mut opener, &sealed_report).unwrap(), report);
}

const GALLIA: &str =
    "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
const MARS: &str =
    "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

/// RFC 7714 sections 16.1.1, 16.1.2, 16.2.1 and 16.2.2.
#[test]
fn rtp_of_rfc_7714_16() {
    let sealed = [
        (
            Profile::AeadAes128Gcm,
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
             899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            Profile::AeadAes256Gcm,
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
             7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ];
    for (profile, sealed) in sealed {
        let (mut sealer, mut opener) = vector_ends(profile);
        assert_eq!(seal(&mut sealer, &hex(GALLIA), 0xf17b).unwrap(), hex(sealed));
        assert_eq!(open(&mut opener, &hex(sealed)).unwrap(), (0xf17b, hex(GALLIA)));
    }
}

/// RFC 7714 sections 17.1 to 17.3.
#[test]
fn rtcp_of_rfc_7714_17() {
    let sealed = [
        (
            Profile::AeadAes128Gcm,
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b\
             c84aa45896cf4d2fc5abf87245d9eade800005d4",
        ),
        (
            Profile::AeadAes256Gcm,
            "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad\
             1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
        ),
    ];
    for (profile, sealed) in sealed {
        let (mut sealer, mut opener) = vector_ends(profile);
        sealer.set_next_rtcp_index(0x5d4);
        assert_eq!(seal_rtcp(&mut sealer, &hex(MARS)).unwrap(), hex(sealed));
        assert_eq!(open_rtcp(&mut opener, &hex(sealed)).unwrap(), hex(MARS));
        assert_eq!(open_rtcp(&mut opener, &hex(sealed)), Err(OpenError::Replayed));
    }
    let (_, mut opener) = vector_ends(Profile::AeadAes128Gcm);
    let in_the_clear = hex(&format!("{MARS}841dd9683dd78ec92ae58790125f62b3000005d4"));
    assert_eq!(open_rtcp(&mut opener, &in_the_clear).unwrap(), hex(MARS));
}

#[test]
fn keys_are_where_rfc_5764_has_them() {
    let material: Vec<u8> = (0..56).collect();
    let keys = Keys::from_exported(Profile::AeadAes128Gcm, &material, DtlsRole::Server).unwrap();
    assert_eq!(
        (&keys.local.key[..16], &keys.remote.key[..16]),
        (&material[16..32], &material[..16])
    );
    assert_eq!(
        (&keys.local.salt[..12], &keys.remote.salt[..12]),
        (&material[44..], &material[32..44])
    );
    let short = Keys::from_exported(Profile::AeadAes256Gcm, &material, DtlsRole::Server);
    assert_eq!(short.err(), Some(KeyError::Length(56)));
}

#[test]
fn a_number_is_sealed_once() {
    for profile in PROFILES {
        let (mut sealer, _) = ends(profile, 0);
        let mut try_number = |sequence: u64| seal(&mut sealer, &rtp(7, sequence, b"x"), sequence).map(|_| ());
        let width = 64 * limits::SRTP_WINDOW_WORDS as u64;
        assert_eq!(try_number(70_000), Ok(()));
        assert_eq!(try_number(70_000), Err(SealError::Used));
        assert_eq!(try_number(70_000 - width + 1), Ok(()));
        assert_eq!(try_number(70_000 - width), Err(SealError::TooOld));
        assert_eq!(try_number((1 << 48) - 1), Ok(()));
        assert_eq!(try_number(1 << 48), Err(SealError::Exhausted));
        // Another stream has numbers of its own.
        assert!(seal(&mut sealer, &rtp(8, 70_000, b"x"), 70_000).is_ok());
    }
}

#[test]
fn a_stream_that_is_over_never_comes_back() {
    let (mut sealer, _) = ends(Profile::AeadAes128Gcm, 0);
    let try_stream = |sealer: &mut Sealer, ssrc| seal(sealer, &rtp(ssrc, 1, b"x"), 1).map(|_| ());
    assert_eq!(try_stream(&mut sealer, 8), Ok(()));
    sealer.end_stream(8);
    assert_eq!(try_stream(&mut sealer, 8), Err(SealError::NotOpen));
    assert_eq!(sealer.open_stream(8), Err(SealError::Used));
    assert_eq!(sealer.open_stream(9), Err(SealError::Used), "it is open");
    assert_eq!(try_stream(&mut sealer, 9), Ok(()));
    assert_eq!(try_stream(&mut sealer, 10), Err(SealError::NotOpen));
    // The next of the same index, once the one before is over.
    let next = |ssrc, lives: u32| ssrc + lives * STREAMS_MAX as u32;
    assert_eq!(sealer.open_stream(next(9, 1)), Err(SealError::Taken));
    assert_eq!(sealer.open_stream(next(8, 2)), Ok(()));
    assert_eq!(sealer.open_stream(next(8, 1)), Err(SealError::Used), "it may have been");
    assert_eq!(try_stream(&mut sealer, next(8, 2)), Ok(()));
    assert_eq!(try_stream(&mut sealer, 8), Err(SealError::NotOpen));
    sealer.end_stream(8);
    assert_eq!(
        try_stream(&mut sealer, next(8, 2)),
        Err(SealError::Used),
        "it is not over"
    );
}

#[test]
fn what_does_not_fit_together_is_not_sealed() {
    let (mut sealer, _) = ends(Profile::AeadAes128Gcm, 0);
    let mut room = rtp(7, 5, &[0; 20]);
    assert_eq!(
        sealer.seal_rtp(&mut room, 16, 12, 6),
        Err(SealError::Malformed),
        "another number"
    );
    assert_eq!(
        sealer.seal_rtp(&mut room, 17, 12, 5),
        Err(SealError::Malformed),
        "no room for the tag"
    );
    assert_eq!(
        sealer.seal_rtp(&mut room, 16, 17, 5),
        Err(SealError::Malformed),
        "a long header"
    );
    assert_eq!(sealer.seal_rtp(&mut [0x80; 11], 11, 11, 5), Err(SealError::Malformed));
    assert_eq!(sealer.seal_rtcp(&mut [0x80; 27], 8), Err(SealError::Malformed));
    assert_eq!(sealer.seal_rtcp(&mut [0x80; 40], 7), Err(SealError::Malformed));
    assert_eq!(
        sealer.seal_rtp(&mut room, 16, 12, 5),
        Ok(32),
        "none of these used the number up"
    );
}

#[test]
fn indices_of_rtcp_end() {
    let (mut sealer, _) = ends(Profile::AeadAes128Gcm, 0);
    sealer.set_next_rtcp_index((1 << 31) - 1);
    assert!(seal_rtcp(&mut sealer, &[0x80; 8]).is_ok());
    assert_eq!(seal_rtcp(&mut sealer, &[0x80; 8]), Err(SealError::Exhausted));
}

#[test]
fn streams_that_one_key_seals_are_bounded() {
    let (mut sealer, _) = ends(Profile::AeadAes128Gcm, 0);
    let opened = (10..1_000_000).filter(|ssrc| sealer.open_stream(*ssrc).is_ok());
    assert_eq!(9 + opened.count(), STREAMS_MAX);
    assert_eq!(sealer.open_stream(u32::MAX), Err(SealError::Taken));
    let before = u32::MAX % STREAMS_MAX as u32;
    sealer.end_stream(before);
    assert_eq!(sealer.open_stream(u32::MAX), Ok(()));
}

#[test]
fn only_declared_streams_are_opened() {
    let (mut sealer, mut opener) = ends(Profile::AeadAes128Gcm, 0);
    let mut packet = |ssrc, sequence| seal(&mut sealer, &rtp(ssrc, sequence, b"hi"), sequence).unwrap();
    assert_eq!(open(&mut opener, &packet(7, 1)), Err(OpenError::Undeclared));
    opener.declare([7], 0);
    assert!(open(&mut opener, &packet(7, 2)).is_ok());
    let kept = packet(7, 3);
    assert!(open(&mut opener, &kept).is_ok());
    // It goes and comes back: what it sent before is no news.
    opener.declare([8], 0);
    assert_eq!(open(&mut opener, &packet(7, 4)), Err(OpenError::Undeclared));
    opener.declare([7, 8], 0);
    assert_eq!(open(&mut opener, &kept), Err(OpenError::Replayed));
    assert!(open(&mut opener, &packet(7, 5)).is_ok());
}

#[test]
fn a_few_make_themselves_known_by_authentic_packets() {
    let (mut sealer, mut opener) = ends(Profile::AeadAes128Gcm, 0);
    (20..23).for_each(|ssrc| sealer.open_stream(ssrc).unwrap());
    let mut packet = |ssrc, sequence| seal(&mut sealer, &rtp(ssrc, sequence, b"hi"), sequence).unwrap();
    opener.declare([7], 2);
    for ssrc in 100..1000 {
        let forged = rtp(ssrc, 1, &[0; 30]);
        assert_eq!(open(&mut opener, &forged), Err(OpenError::NotAuthentic));
    }
    assert_eq!(opener.state_len(), (1, 0));
    assert!(open(&mut opener, &packet(20, 1)).is_ok() && open(&mut opener, &packet(21, 1)).is_ok());
    assert_eq!(open(&mut opener, &packet(22, 1)), Err(OpenError::Undeclared));
    // A later session does not stop them, and makes room for no more.
    opener.declare([7, 9], 2);
    assert!(open(&mut opener, &packet(20, 2)).is_ok());
    assert_eq!(open(&mut opener, &packet(22, 2)), Err(OpenError::Undeclared));
    opener.declare([7], 0);
    assert_eq!(open(&mut opener, &packet(20, 3)), Err(OpenError::Undeclared));
}

#[test]
fn state_of_streams_is_bounded() {
    let (mut sealer, mut opener) = ends(Profile::AeadAes128Gcm, 0);
    opener.declare(0..u32::MAX, 0);
    assert_eq!(opener.state_len().0, limits::OPENED_SSRCS_MAX);
    for generation in 1..10 {
        let first = generation * 100_000;
        opener.declare(first..first + 5000, 0);
    }
    assert!(opener.state_len().0 <= 2 * limits::OPENED_SSRCS_MAX);
    for ssrc in 0..2 * limits::SRTCP_SSRCS_MAX as u32 {
        let report = [&[0x80, 201, 0, 1][..], &ssrc.to_be_bytes()].concat();
        let sealed = seal_rtcp(&mut sealer, &report).unwrap();
        assert!(open_rtcp(&mut opener, &sealed).is_ok());
        assert_eq!(open_rtcp(&mut opener, &sealed), Err(OpenError::Replayed));
    }
    assert_eq!(opener.state_len().1, limits::SRTCP_SSRCS_MAX);
}

#[test]
fn a_forgery_changes_nothing() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = ends(profile, 0);
        opener.declare([7], 0);
        let packets: Vec<_> = (1..4)
            .map(|i| seal(&mut sealer, &rtp(7, i, b"payload"), i).unwrap())
            .collect();
        assert!(open(&mut opener, &packets[0]).is_ok());
        // A number far ahead would move the window and the rollover counter.
        let mut ahead = packets[1].clone();
        ahead[2] = 0x7f;
        assert_eq!(open(&mut opener, &ahead), Err(OpenError::NotAuthentic));
        for at in 0..packets[1].len() {
            let mut forged = packets[1].clone();
            forged[at] ^= 0x10;
            assert!(open(&mut opener, &forged).is_err(), "byte {at}");
        }
        assert_eq!(open(&mut opener, &packets[1]).unwrap(), (2, rtp(7, 2, b"payload")));
        assert_eq!(open(&mut opener, &packets[1]), Err(OpenError::Replayed));
        assert!((0..packets[2].len()).all(|length| open(&mut opener, &packets[2][..length]).is_err()));
        assert!(open(&mut opener, &packets[2]).is_ok());
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A stream, how far ahead of its highest, and the text.
    Send(u32, i64, u8),
    /// The latest of a stream again with another text, as a retransmission done wrong would be.
    Again(u32, u8),
    EndStream(u32),
    /// Asks for an SSRC, whatever became of it.
    OpenStream(u32),
    Report(u32, u8),
    /// New keys.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    // Three lives of each index.
    let stream = (1_u32..5, 0_u32..3).prop_map(|(index, life)| index + life * STREAMS_MAX as u32);
    prop_oneof![
        30 => (stream.clone(), -40_i64..20, any::<u8>()).prop_map(|(ssrc, ahead, text)| Step::Send(ssrc, ahead, text)),
        3 => (stream.clone(), -2000_i64..0x7000, any::<u8>()).prop_map(|(ssrc, ahead, text)| Step::Send(ssrc, ahead, text)),
        5 => (stream.clone(), any::<u8>()).prop_map(|(ssrc, text)| Step::Again(ssrc, text)),
        2 => stream.clone().prop_map(Step::EndStream),
        5 => stream.clone().prop_map(Step::OpenStream),
        5 => (stream, any::<u8>()).prop_map(|(ssrc, text)| Step::Report(ssrc, text)),
        1 => Just(Step::Restart),
    ]
}

/// Others may begin later.
fn ends_with_three_streams(profile: Profile, generation: u8) -> (Sealer, Opener) {
    let (mut sealer, mut opener) = fresh_ends(profile, generation);
    (1..4).for_each(|ssrc| sealer.open_stream(ssrc).unwrap());
    opener.declare(
        (0..3).flat_map(|life| (1..5).map(move |index| index + life * STREAMS_MAX as u32)),
        0,
    );
    (sealer, opener)
}

proptest! {
    /// Reordering, retransmission, streams that come and go, restart and rollover: no key, SSRC and number ever has two
    /// plaintexts, and what is sealed is opened once, under the number that it has.
    #[test]
    fn no_nonce_has_two_plaintexts(
        profile in prop::sample::select(PROFILES.to_vec()),
        first in prop_oneof![0_u64..100, 65_400_u64..65_600, 0x1_2345_fff0_u64..0x1_2346_0010],
        steps in prop::collection::vec(step(), 1..250),
    ) {
        let mut generation = 0;
        let (mut sealer, mut opener) = ends_with_three_streams(profile, generation);
        let mut over: HashSet<(u8, u32)> = HashSet::new();
        let mut highest: HashMap<u32, u64> = HashMap::new();
        let mut sealed_under: HashMap<(u8, u32, u64), Vec<u8>> = HashMap::new();
        let mut indices = HashMap::new();
        for step in steps {
            let (ssrc, sequence, text) = match step {
                Step::Send(ssrc, ahead, text) => {
                    let highest = highest.entry(ssrc).or_insert(first);
                    (ssrc, highest.saturating_add_signed(ahead), text)
                }
                Step::Again(ssrc, text) => (ssrc, *highest.entry(ssrc).or_insert(first), text),
                Step::EndStream(ssrc) => {
                    sealer.end_stream(ssrc);
                    over.insert((generation, ssrc));
                    continue;
                }
                Step::OpenStream(ssrc) => {
                    let opened = sealer.open_stream(ssrc);
                    prop_assert!(opened.is_err() || sealed_under.keys().all(|(key, of, _)| (*key, *of) != (generation, ssrc)));
                    if opened.is_ok() {
                        over.remove(&(generation, ssrc));
                    }
                    continue;
                }
                Step::Report(ssrc, text) => {
                    let report = [&[0x80, 201, 0, 2][..], &ssrc.to_be_bytes(), &[text; 4]].concat();
                    let sealed = seal_rtcp(&mut sealer, &report).unwrap();
                    let behind = match profile {
                        Profile::Aes128CmSha1_80 => 14,
                        _ => 4,
                    };
                    let index = sealed[sealed.len() - behind..][..4].to_vec();
                    prop_assert!(indices.insert((generation, index), text).is_none());
                    prop_assert_eq!(open_rtcp(&mut opener, &sealed), Ok(report));
                    continue;
                }
                Step::Restart => {
                    generation += 1;
                    (sealer, opener) = ends_with_three_streams(profile, generation);
                    continue;
                }
            };
            let packet = rtp(ssrc, sequence, &[text; 9]);
            let nonce = (generation, ssrc, sequence);
            match seal(&mut sealer, &packet, sequence) {
                Ok(sealed) => {
                    prop_assert!(!over.contains(&(generation, ssrc)), "{} was over", ssrc);
                    prop_assert!(sealed_under.insert(nonce, packet.clone()).is_none(), "{:?} twice", nonce);
                    prop_assert!(seal(&mut sealer, &packet, sequence).is_err());
                    let highest = highest.entry(ssrc).or_insert(first);
                    *highest = sequence.max(*highest);
                    // The first packet tells no rollover counter: with another than 0 it is not authentic (RFC 3711
                    // section 3.3.1), which is not what this is about.
                    if first < 65_536
                        && let Ok((number, opened)) = open(&mut opener, &sealed)
                    {
                        prop_assert_eq!((number, opened), (sequence, packet));
                        prop_assert_eq!(open(&mut opener, &sealed), Err(OpenError::Replayed));
                    }
                }
                Err(error) => {
                    prop_assert!(matches!(error, SealError::NotOpen | SealError::Used | SealError::TooOld));
                    prop_assert!(error != SealError::Used || sealed_under.contains_key(&nonce) || sequence < highest[&ssrc]);
                }
            }
        }
    }

    /// In order or nearly so, over two rollovers: everything arrives.
    #[test]
    fn reordering_over_a_rollover_loses_nothing(
        profile in prop::sample::select(PROFILES.to_vec()),
        swaps in prop::collection::vec(0_usize..40, 300),
    ) {
        let (mut sealer, mut opener) = ends(profile, 0);
        opener.declare([7], 0);
        let mut order: Vec<u64> = (0..300).map(|i| 100 + i * 500).collect();
        for (at, swap) in swaps.iter().enumerate().skip(1) {
            let other = at.saturating_sub(*swap % 3).max(1);
            order.swap(at, other);
        }
        for sequence in order {
            let packet = rtp(7, sequence, b"text");
            // The sealer's window is 1024 wide: what is farther back it does not seal.
            if let Ok(sealed) = seal(&mut sealer, &packet, sequence) {
                prop_assert_eq!(open(&mut opener, &sealed), Ok((sequence, packet)));
            }
        }
    }
}
