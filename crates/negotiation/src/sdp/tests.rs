//! Tests of the reader and the writer together.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const CALL: &str = include_str!("../../tests/recordings/call-of-two-descriptions.json");

/// The recorded descriptions of a client: a first offer, one after unpublishing, one after
/// publishing again, and an answer.
fn recorded() -> Vec<SessionDescription> {
    let call: serde_json::Value = serde_json::from_str(CALL).unwrap();
    let descriptions = call.as_array().unwrap().iter();
    descriptions
        .map(|entry| parse(entry["description"]["sdp"].as_str().unwrap()).unwrap())
        .collect()
}

#[test]
fn recorded_descriptions_are_read() {
    let descriptions = recorded();
    let directions: Vec<Vec<_>> = descriptions
        .iter()
        .map(|sdp| sdp.media.iter().map(|media| media.direction).collect())
        .collect();
    use Direction::{RecvOnly, SendOnly, SendRecv};
    assert_eq!(
        directions,
        [
            vec![SendRecv, SendRecv],
            vec![SendRecv, RecvOnly, RecvOnly, RecvOnly, SendRecv],
            vec![SendRecv, SendRecv, RecvOnly, RecvOnly, SendRecv],
            vec![SendOnly, SendOnly, SendRecv, RecvOnly, RecvOnly, RecvOnly],
        ]
    );
    let video = &descriptions[0].media[1];
    assert_eq!((video.mid.as_deref(), video.setup), (Some("1"), Some(Setup::ActPass)));
    assert_eq!(video.ssrc_groups.len(), 4);
    assert_eq!(video.ice.as_ref().unwrap().ufrag, "gs/k");
    let again = crate::receive::receive(&descriptions[2].media[1]).unwrap();
    assert_eq!(again.track_id, "ca5a1138-d45d-4fa0-a245-97febf0ef65c");
    assert_eq!(
        again.layers.iter().map(|layer| layer.ssrc).collect::<Vec<_>>(),
        [1846283094, 1367098804, 1118753535]
    );
    assert_eq!(
        crate::receive::receive(&descriptions[1].media[1]),
        None,
        "unpublished, though it names SSRCs"
    );
}

#[test]
fn recorded_descriptions_survive_writing() {
    for description in recorded() {
        assert_eq!(parse(&description.to_string()).unwrap(), description);
    }
}

#[test]
fn session_level_attributes_hold_for_every_section() {
    let text = "v=0\na=ice-ufrag:u\na=ice-pwd:p\na=setup:active\na=inactive\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:a\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:b\na=sendonly\na=ice-pwd:q\n";
    let description = parse(text).unwrap();
    let read: Vec<_> = description
        .media
        .iter()
        .map(|media| (media.ice.as_ref().unwrap().pwd.as_str(), media.setup, media.direction))
        .collect();
    let setup = Some(Setup::Active);
    assert_eq!(
        read,
        [("p", setup, Direction::Inactive), ("q", setup, Direction::SendOnly)]
    );
}

#[test]
fn candidates_are_written_for_both_families() {
    let mut media = MediaDescription::new("audio", 9, "UDP/TLS/RTP/SAVPF", vec!["0".to_owned()]);
    media.candidates = ["192.0.2.1:1", "[2001:db8::2]:3", "[::ffff:192.0.2.9]:4"]
        .map(|text| text.parse().unwrap())
        .to_vec();
    let text = media.to_string();
    for line in [
        "a=candidate:1 1 udp 2130706431 192.0.2.1 1 typ host\r\n",
        "a=candidate:2 1 udp 2130706175 2001:db8::2 3 typ host\r\n",
        "a=candidate:3 1 udp 2130705919 192.0.2.9 4 typ host\r\n",
        "a=end-of-candidates\r\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9+/_.-]{1,12}"
}

fn media() -> impl Strategy<Value = MediaDescription> {
    let head = (
        prop_oneof![Just("audio"), Just("video"), Just("application"), Just("text")],
        any::<u16>(),
        token(),
        prop::collection::vec(token(), 1..4),
        token(),
        any::<(bool, bool, bool)>(),
    );
    let transport = (
        prop::option::of((token(), token())),
        prop::option::of(any::<[u8; 32]>()),
        prop::option::of(prop_oneof![
            Just(Setup::Active),
            Just(Setup::Passive),
            Just(Setup::ActPass)
        ]),
        any::<(bool, bool)>(),
        prop::option::of((token(), prop::option::of(token()))),
    );
    let formats = (
        prop::collection::btree_map(
            any::<u8>(),
            (
                token_without_slash(),
                any::<u32>(),
                any::<Option<u8>>(),
                prop::option::of(token()),
            ),
            0..4,
        ),
        prop::collection::vec((any::<u16>(), token()), 0..3),
        prop::collection::vec((any::<u32>(), token()), 0..4),
        prop::collection::vec((token(), prop::collection::vec(any::<u32>(), 1..4)), 0..3),
        any::<(Option<u16>, Option<u64>)>(),
    );
    (head, transport, formats).prop_map(|(head, transport, formats)| {
        let (media, port, protocol, words, mid, (bundle_only, rtcp_mux, rtcp_rsize)) = head;
        let mut media = MediaDescription::new(media, port, &protocol, words);
        media.mid = Some(mid);
        (media.bundle_only, media.rtcp_mux, media.rtcp_rsize) = (bundle_only, rtcp_mux, rtcp_rsize);
        let (ice, fingerprint, setup, (sends, receives), msid) = transport;
        media.ice = ice.map(|(ufrag, pwd)| IceCredentials { ufrag, pwd });
        media.fingerprint = fingerprint.map(Fingerprint);
        media.setup = setup;
        media.direction = Direction::new(sends, receives);
        media.msid = msid.map(|(stream, track)| Msid { stream, track });
        let (rtpmaps, extensions, ssrcs, groups, (sctp_port, max_message_size)) = formats;
        for (payload_type, (encoding, clock_rate, channels, fmtp)) in rtpmaps {
            media.rtpmaps.push(RtpMap {
                payload_type,
                encoding,
                clock_rate,
                channels,
            });
            media.feedback.push((Some(payload_type), "nack pli".to_owned()));
            media.fmtps.extend(fmtp.map(|fmtp| (payload_type, fmtp)));
        }
        media.extensions = extensions;
        let ssrc = |(ssrc, value)| SsrcAttribute {
            ssrc,
            name: "cname".to_owned(),
            value,
        };
        media.ssrcs = ssrcs.into_iter().map(ssrc).collect();
        media.ssrc_groups = groups;
        (media.sctp_port, media.max_message_size) = (sctp_port, max_message_size);
        media
    })
}

fn token_without_slash() -> impl Strategy<Value = String> {
    "[A-Za-z0-9-]{1,12}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_reads_the_same(
        (id, version, ice_lite, extmap_allow_mixed) in any::<(u64, u64, bool, bool)>(),
        bundle in prop::collection::vec(token(), 0..4),
        mut media in prop::collection::vec(media(), 0..4),
    ) {
        for (index, media) in media.iter_mut().enumerate() {
            media.mid = media.mid.take().map(|mid| format!("{index}{mid}"));
        }
        let description = SessionDescription { id, version, ice_lite, extmap_allow_mixed, bundle, media };
        prop_assert_eq!(parse(&description.to_string()).unwrap(), description);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "v=0\r\n(([amocs]=[a-z:-]{0,12}[ -~]{0,20}|\\PC{0,10})\r?\n){0,20}") {
        if let Ok(description) = parse(&text) {
            prop_assert_eq!(parse(&description.to_string()).unwrap(), description);
        }
    }
}
