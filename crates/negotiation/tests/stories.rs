//! Exchanges told one by one, with hand-written descriptions of a client.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use negotiation::{
    CodecFormat, Description, DescriptionError, DescriptionType, DesiredTrack, DtlsRole, Extension, Fingerprint,
    IceCredentials, Layer, LocalParameters, MediaKind, NegotiatedSession, Output, PeerConnection, VideoFormats,
};

const OPUS: &str = "a=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;useinbandfec=1;stereo=1\n";
const VP8: &str = "a=rtpmap:96 VP8/90000\na=rtcp-fb:* nack\na=rtcp-fb:96 ccm fir\n";

struct Peer {
    connection: PeerConnection,
    now: Instant,
}

impl Peer {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut LocalParameters)) -> Self {
        let mut local = LocalParameters {
            fingerprint: Fingerprint([1; 32]),
            candidates: ["192.0.2.1:8081".parse().unwrap()].into(),
            ice: IceCredentials {
                ufrag: "serverufrag0".to_owned(),
                pwd: "s".repeat(32),
            },
            seed: [9; 32],
            video_formats: VideoFormats {
                vp8: true,
                h264: true,
                vp9: true,
                av1: true,
            },
            first_revision: 0,
        };
        change(&mut local);
        Self {
            connection: PeerConnection::new(local),
            now: Instant::now(),
        }
    }

    fn hear(&mut self, kind: DescriptionType, revision: u64, sdp: &str) -> Told {
        let description = Description {
            kind,
            revision,
            sdp: sdp.to_owned(),
        };
        self.connection.handle_description(&description, self.now).unwrap();
        self.told()
    }

    fn offer(&mut self, revision: u64, sdp: &str) -> Told {
        self.hear(DescriptionType::Offer, revision, sdp)
    }

    fn answer(&mut self, revision: u64, sdp: &str) -> Told {
        self.hear(DescriptionType::Answer, revision, sdp)
    }

    fn sync(&mut self, kind: DescriptionType, revision: u64, sdp: &str) -> Told {
        let description = Description {
            kind,
            revision,
            sdp: sdp.to_owned(),
        };
        self.connection.handle_sync(Some(&description), self.now).unwrap();
        self.told()
    }

    fn desire(&mut self, tracks: &[(&str, MediaKind)]) -> Told {
        let track = |(id, kind): &(&str, MediaKind)| DesiredTrack {
            track_id: (*id).into(),
            stream_id: "stream".into(),
            kind: *kind,
        };
        self.connection
            .set_desired(tracks.iter().map(track).collect(), self.now);
        self.told()
    }

    fn wait(&mut self) -> Told {
        self.now += Duration::from_millis(400);
        self.connection.handle_timeout(self.now);
        self.told()
    }

    fn told(&mut self) -> Told {
        let mut told = Told {
            session: None,
            descriptions: Vec::new(),
        };
        while let Some(output) = self.connection.poll() {
            match output {
                Output::Apply(session) => told.session = Some(session),
                Output::Describe(description) => told.descriptions.push(description),
            }
        }
        told
    }
}

struct Told {
    session: Option<Arc<NegotiatedSession>>,
    descriptions: Vec<Description>,
}

impl Told {
    fn revisions(&self) -> Vec<(DescriptionType, u64)> {
        self.descriptions
            .iter()
            .map(|description| (description.kind, description.revision))
            .collect()
    }

    fn sdp(&self) -> &str {
        &self.descriptions[0].sdp
    }

    fn session(&self) -> &NegotiatedSession {
        self.session.as_ref().unwrap()
    }
}

/// A description of these sections with credentials `ufrag`.
fn sdp_of(ufrag: &str, sections: &[String]) -> String {
    let mids: Vec<_> = (0..sections.len()).map(|mid| mid.to_string()).collect();
    let mut sdp = format!(
        "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\na=group:BUNDLE {}\n",
        mids.join(" ")
    );
    for section in sections {
        let fingerprint = ["AA"; 32].join(":");
        let (first, rest) = section.split_once('\n').unwrap();
        let pwd = "p".repeat(24);
        sdp += &format!("{first}\na=ice-ufrag:{ufrag}\na=ice-pwd:{pwd}\na=fingerprint:sha-256 {fingerprint}\n");
        sdp += &format!("a=setup:actpass\na=rtcp-mux\n{rest}");
    }
    sdp.replace('\n', "\r\n")
}

fn sdp(sections: &[String]) -> String {
    sdp_of("client", sections)
}

fn audio(mid: &str, direction: &str) -> String {
    format!("m=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:{mid}\na={direction}\n{OPUS}")
}

fn video(mid: &str, direction: &str) -> String {
    format!("m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:{mid}\na={direction}\n{VP8}")
}

fn data(mid: &str) -> String {
    format!("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:{mid}\na=sctp-port:5000\n")
}

use DescriptionType::{Answer, Offer};
use MediaKind::{Audio, Video};

#[test]
fn the_first_answer_places_tracks_and_data_channels_are_offered_after_it() {
    let mut peer = Peer::new();
    assert!(peer.desire(&[("a", Audio), ("v", Video)]).descriptions.is_empty());
    let told = peer.offer(1, &sdp(&[audio("0", "sendrecv"), video("1", "recvonly")]));
    assert_eq!(told.revisions(), [(Answer, 1), (Offer, 2)]);
    let sends: Vec<_> = told
        .session()
        .sections
        .iter()
        .map(|section| section.send.clone().unwrap())
        .collect();
    assert_eq!(sends.iter().map(|send| &*send.track_id).collect::<Vec<_>>(), ["a", "v"]);
    assert!(told.session().sctp.is_none());
    assert!(told.sdp().contains("a=setup:passive\r\n"));
    assert!(
        told.descriptions[1]
            .sdp
            .contains("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n")
    );
    let told = peer.answer(2, &sdp(&[audio("0", "sendrecv"), video("1", "recvonly"), data("2")]));
    assert_eq!(told.session().sctp.as_ref().unwrap().max_message_size, 65_536);
    assert_eq!((told.session().number, told.session().dtls_role), (2, DtlsRole::Server));
}

#[test]
fn a_client_may_bring_data_channels_itself() {
    let mut peer = Peer::new();
    let told = peer.offer(1, &sdp(&[audio("0", "sendrecv"), data("1")]));
    assert_eq!(told.revisions(), [(Answer, 1)]);
    assert_eq!(told.session().sctp.as_ref().unwrap().mid, "1");
}

#[test]
fn a_client_offer_that_crossed_ours_is_ignored_and_comes_again() {
    let mut peer = Peer::new();
    let first = sdp(&[audio("0", "recvonly")]);
    assert_eq!(peer.offer(1, &first).revisions(), [(Answer, 1), (Offer, 2)]);
    assert!(peer.offer(2, &first).descriptions.is_empty());
    assert!(peer.answer(1, &first).session.is_none());
    let agreed = sdp(&[audio("0", "recvonly"), data("1")]);
    assert!(peer.answer(2, &agreed).session.is_some());
    assert_eq!(peer.offer(3, &agreed).revisions(), [(Answer, 3)]);
    assert!(peer.offer(3, &agreed).descriptions.is_empty(), "answered once");
}

#[test]
fn sync_repeats_what_was_lost() {
    let mut peer = Peer::new();
    let first = sdp(&[audio("0", "recvonly")]);
    let told = peer.offer(1, &first);
    let both = told.descriptions.clone();
    assert_eq!(
        peer.sync(Offer, 1, &first).descriptions,
        both,
        "answer and offer were lost"
    );
    // While the client works on our offer it tells its old one under our revision.
    assert_eq!(peer.sync(Offer, 2, &first).descriptions, both[1..]);
    assert!(peer.connection.handle_sync(None, peer.now).is_ok());
    assert_eq!(peer.told().descriptions, both[1..]);
    let agreed = sdp(&[audio("0", "recvonly"), data("1")]);
    let told = peer.sync(Answer, 2, &agreed);
    assert!(
        told.descriptions.is_empty() && told.session().sctp.is_some(),
        "only the answer was lost"
    );
    assert!(
        peer.sync(Answer, 2, &agreed).descriptions.is_empty(),
        "nothing was lost"
    );
    assert_eq!(
        peer.sync(Offer, 3, &agreed).revisions(),
        [(Answer, 3)],
        "the client's offer was lost"
    );
}

#[test]
fn an_offer_above_ours_shows_that_our_offer_was_taken() {
    let mut peer = Peer::new();
    peer.offer(1, &sdp(&[audio("0", "recvonly")]));
    let told = peer.sync(
        Offer,
        3,
        &sdp(&[audio("0", "recvonly"), data("1"), video("2", "sendrecv")]),
    );
    assert_eq!(told.revisions(), [(Answer, 3)]);
    assert_eq!(told.session().sctp.as_ref().unwrap().mid, "1");
}

#[test]
fn an_offer_that_the_client_could_not_apply_is_made_again() {
    let mut peer = Peer::new();
    let first = sdp(&[audio("0", "recvonly")]);
    peer.offer(1, &first);
    assert_eq!(peer.offer(3, &first).revisions(), [(Answer, 3)]);
    assert_eq!(peer.wait().revisions(), [(Offer, 4)]);
}

#[test]
fn an_ice_restart_changes_credentials_and_nothing_else() {
    let mut peer = Peer::new();
    let sections = [audio("0", "sendrecv"), data("1")];
    let before = peer.offer(1, &sdp(&sections));
    let told = peer.offer(2, &sdp_of("other", &sections));
    let (old, new) = (before.session(), told.session());
    assert_ne!(new.local_ice, old.local_ice);
    assert_eq!((new.remote_ice.ufrag.as_str(), new.dtls_role), ("other", old.dtls_role));
    assert_eq!(
        (&new.sections, &new.remote_fingerprint),
        (&old.sections, &old.remote_fingerprint)
    );
    assert!(told.sdp().contains(&format!("a=ice-ufrag:{}\r\n", new.local_ice.ufrag)));
    assert!(told.sdp().contains("a=setup:passive\r\n"));
    assert_eq!(peer.sync(Offer, 2, "v=0").descriptions, told.descriptions);
    let kept = peer.offer(3, &sdp_of("other", &sections));
    assert!(kept.session.is_none(), "nothing changed");
}

#[test]
fn revisions_of_a_restored_room_are_above_those_of_its_predecessor() {
    let mut peer = Peer::with(|local| local.first_revision = 5 << 32);
    assert_eq!(peer.connection.request_offer(), (5 << 32) + 1);
    let told = peer.offer((5 << 32) + 2, &sdp(&[audio("0", "recvonly")]));
    assert_eq!(told.revisions(), [(Answer, (5 << 32) + 2), (Offer, (5 << 32) + 3)]);

    let mut peer = Peer::with(|local| local.first_revision = 5 << 32);
    let sections = sdp(&[audio("0", "recvonly"), data("1")]);
    assert_eq!(peer.offer(1, &sections).revisions(), [(Answer, 1)]);
    assert_eq!(
        peer.offer(2, &sections).revisions(),
        [(Answer, 2)],
        "not stale before ours"
    );
    let told = peer.desire(&[("a", Audio), ("b", Audio)]);
    assert_eq!(told.revisions(), [(Offer, (5 << 32) + 1)]);
}

#[test]
fn a_section_is_silent_for_one_exchange_between_two_tracks() {
    let mut peer = Peer::new();
    let sections = |direction| sdp(&[audio("0", direction), data("1")]);
    peer.desire(&[("a", Audio)]);
    peer.offer(1, &sections("recvonly"));
    let told = peer.desire(&[("b", Audio)]);
    assert_eq!(told.revisions(), [(Offer, 2)]);
    assert!(told.sdp().contains("a=inactive\r\n") && !told.sdp().contains("msid:stream"));
    peer.answer(2, &sections("inactive"));
    assert!(peer.connection.poll_timeout().is_some());
    let told = peer.wait();
    assert!(told.sdp().contains("a=sendonly\r\n") && told.sdp().contains("a=msid:stream b\r\n"));
    let told = peer.answer(3, &sections("recvonly"));
    assert_eq!(&*told.session().sections[0].send.as_ref().unwrap().track_id, "b");
    // The client offers while the track changes: the answer frees the section, no more.
    peer.now += Duration::from_millis(100);
    assert!(
        peer.desire(&[("c", Audio)]).descriptions.is_empty(),
        "too soon for an offer"
    );
    let told = peer.offer(4, &sections("sendrecv"));
    assert!(told.sdp().contains("a=recvonly\r\n"), "the client still sends");
    let told = peer.offer(5, &sections("sendrecv"));
    assert!(told.sdp().contains("a=sendrecv\r\n") && told.sdp().contains("a=msid:stream c\r\n"));
}

#[test]
fn a_section_without_a_common_format_is_rejected_alone() {
    let mut peer = Peer::with(|local| {
        local.video_formats = VideoFormats {
            vp8: false,
            h264: true,
            vp9: true,
            av1: true,
        };
    });
    peer.desire(&[("a", Audio), ("v", Video)]);
    assert!(peer.connection.unplaceable().is_empty(), "nothing is known yet");
    assert!(!peer.connection.lacks(Video));
    let told = peer.offer(1, &sdp(&[video("0", "sendrecv"), audio("1", "sendrecv"), data("2")]));
    assert_eq!(told.revisions(), [(Answer, 1)]);
    assert!(told.sdp().contains("m=video 0 UDP/TLS/RTP/SAVPF 96\r\n"));
    assert!(told.sdp().contains("a=group:BUNDLE 1 2\r\n"));
    assert!(told.sdp().contains("a=mid:0\r\n"));
    assert_eq!(told.session().sections.len(), 1);
    assert_eq!(peer.connection.unplaceable(), ["v".into()]);
    assert!(peer.connection.formats(Video).is_empty());
    assert!(peer.connection.lacks(Video) && !peer.connection.lacks(Audio));
    assert_eq!(peer.connection.formats(Audio), [CodecFormat::Opus { inband_fec: true }]);
    assert!(peer.connection.poll_timeout().is_none(), "nothing to offer");
}

#[test]
fn what_the_client_does_not_take_is_not_offered_again() {
    let mut peer = Peer::new();
    peer.desire(&[("a", Audio), ("b", Audio)]);
    peer.offer(1, &sdp(&[audio("0", "recvonly")]));
    let refused = |section: String| section.replacen(" 9 ", " 0 ", 1);
    let sections = [
        audio("0", "recvonly"),
        refused(audio("1", "inactive")),
        refused(data("2")),
    ];
    let told = peer.answer(2, &sdp(&sections));
    assert_eq!(
        told.session.as_ref().map(|session| session.number),
        None,
        "nothing new was agreed"
    );
    assert_eq!(peer.connection.unplaceable(), ["b".into()]);
    assert!(peer.connection.poll_timeout().is_none());
    peer.desire(&[("a", Audio)]);
    assert!(peer.connection.unplaceable().is_empty());
}

#[test]
fn a_track_leaves_a_section_that_the_client_closes() {
    let mut peer = Peer::new();
    peer.desire(&[("a", Audio)]);
    peer.offer(1, &sdp(&[audio("0", "recvonly"), data("1")]));
    let closed = audio("0", "inactive").replacen(" 9 ", " 0 ", 1);
    let told = peer.offer(2, &sdp(&[closed, data("1")]).replace("BUNDLE 0 1", "BUNDLE 1"));
    assert_eq!(told.revisions(), [(Answer, 2), (Offer, 3)]);
    assert!(told.sdp().contains("m=audio 0 "));
    assert!(
        told.descriptions[1].sdp.contains("a=mid:2\r\n"),
        "a section of its own for the track"
    );
    let told = peer.answer(3, &sdp(&[audio("0", "inactive"), data("1"), audio("2", "recvonly")]));
    assert_eq!(told.session().sections[0].mid, "2");
    // The client gives the closed m= line to a new section.
    let again = [audio("7", "sendrecv"), data("1"), audio("2", "recvonly")];
    let told = peer.offer(4, &sdp(&again).replace("BUNDLE 0 1 2", "BUNDLE 7 1 2"));
    let mids: Vec<_> = told
        .session()
        .sections
        .iter()
        .map(|section| section.mid.as_str())
        .collect();
    assert_eq!(mids, ["7", "2"]);
}

#[test]
fn bundle_only_sections_are_not_rejected() {
    let mut peer = Peer::new();
    let bundled = video("1", "sendrecv\na=bundle-only").replacen(" 9 ", " 0 ", 1);
    let told = peer.offer(1, &sdp(&[audio("0", "sendrecv"), bundled]));
    assert_eq!(told.session().sections.len(), 2);
}

#[test]
fn tracks_layers_and_repairs_are_read() {
    let mut peer = Peer::new();
    let simulcast = video("0", "sendrecv")
        + "a=msid:- camera\na=ssrc:1 cname:c\na=ssrc-group:FID 1 11\na=ssrc-group:FID 2 12\na=ssrc-group:FID 3 13\n"
        + "a=ssrc:2 cname:c\na=ssrc:3 cname:c\na=ssrc-group:SIM 3 1 2\n";
    let single = video("1", "sendonly") + "a=ssrc-group:FID 4 14\na=ssrc:14 msid:- screen\na=ssrc:4 msid:- screen\n";
    let unnamed = audio("2", "sendrecv") + "a=ssrc:5 cname:c\n";
    let silent = audio("3", "recvonly") + "a=msid:- gone\na=ssrc:6 cname:c\n";
    let without_ssrc = audio("4", "sendrecv") + "a=msid:- microphone\n";
    let told = peer.offer(1, &sdp(&[simulcast, single, unnamed, silent, without_ssrc, data("5")]));
    let layer = |(ssrc, rtx)| Layer { ssrc, rtx: Some(rtx) };
    let receives: Vec<_> = told
        .session()
        .sections
        .iter()
        .map(|section| section.receive.clone())
        .collect();
    let named = |index: usize| receives[index].as_ref().map(|receive| receive.track_id.as_str());
    assert_eq!(
        [named(0), named(1), named(4)],
        [Some("camera"), Some("screen"), Some("microphone")]
    );
    assert_eq!(
        receives[0].as_ref().unwrap().layers,
        [(3, 13), (1, 11), (2, 12)].map(layer)
    );
    assert_eq!(receives[1].as_ref().unwrap().layers, [layer((4, 14))]);
    assert_eq!((&receives[2], &receives[3]), (&None, &None));
    assert!(receives[4].as_ref().unwrap().layers.is_empty());
    let expected = ["a=recvonly", "a=recvonly", "a=recvonly", "a=inactive", "a=recvonly"];
    let directions: Vec<_> = told.sdp().lines().filter(|line| expected.contains(line)).collect();
    assert_eq!(directions, expected, "received even where no track is named");
}

#[test]
fn codecs_feedback_and_extensions_are_those_of_both_sides() {
    let mut peer = Peer::new();
    let section = "m=video 9 UDP/TLS/RTP/SAVPF 70 96 97 98 99 100 101 102 96\na=mid:0\na=sendrecv\n\
        a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\na=extmap:4/sendonly urn:3gpp:video-orientation\n\
        a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\n\
        a=extmap:15 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\n\
        a=rtpmap:70 VP8/90000\na=rtpmap:96 vp8/90000\na=rtcp-fb:96 nack pli\na=rtcp-fb:96 goog-remb\n\
        a=rtpmap:97 RTX/90000\na=fmtp:97 apt=96\na=rtpmap:98 H264/90000\na=fmtp:98 packetization-mode=2\n\
        a=rtpmap:99 H264/90000\na=rtpmap:100 rtx/90000\na=fmtp:100 apt=98\n\
        a=rtpmap:101 VP9/90000\na=fmtp:101 profile-id=2\na=rtpmap:102 red/90000\n"
        .to_owned();
    let told = peer.offer(1, &sdp(&[section, data("1")]));
    let section = &told.session().sections[0];
    let codecs: Vec<_> = section
        .codecs
        .iter()
        .map(|c| (c.payload_type, c.rtx, c.format.clone()))
        .collect();
    let h264 = CodecFormat::H264 {
        packetization_mode: 0,
        profile_level_id: 0x42_000a,
    };
    let expected = [
        (96, Some(97), CodecFormat::Vp8),
        (99, None, h264),
        (101, None, CodecFormat::Vp9 { profile: 2 }),
    ];
    assert_eq!(codecs, expected);
    let feedback = section.codecs[0].feedback;
    assert!(feedback.pli && !feedback.nack && !feedback.fir && !feedback.transport_cc);
    assert_eq!(section.extensions, [(3, Extension::Mid)]);
    assert!(told.sdp().contains("m=video 9 UDP/TLS/RTP/SAVPF 96 97 99 101\r\n"));
}

#[test]
fn a_payload_type_means_the_same_in_all_sections() {
    let mut peer = Peer::new();
    let other =
        "m=video 9 UDP/TLS/RTP/SAVPF 96 98\na=mid:1\na=sendrecv\na=rtpmap:96 VP9/90000\na=rtpmap:98 VP8/90000\n";
    let told = peer.offer(1, &sdp(&[video("0", "sendrecv"), other.to_owned(), data("2")]));
    let second: Vec<_> = told.session().sections[1]
        .codecs
        .iter()
        .map(|codec| codec.payload_type)
        .collect();
    assert_eq!(second, [98]);
}

#[test]
fn opus_says_only_what_concerns_both_and_red_needs_it() {
    let mut peer = Peer::new();
    let red = "m=audio 9 UDP/TLS/RTP/SAVPF 63 111 64\na=mid:0\na=sendrecv\na=rtpmap:63 red/48000/2\na=fmtp:63 111/111\n\
        a=rtpmap:64 red/48000/2\na=fmtp:64 9/9\n";
    let told = peer.offer(1, &sdp(&[red.to_owned() + OPUS, data("1")]));
    assert!(told.sdp().contains("m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\n"));
    assert!(told.sdp().contains("a=fmtp:111 minptime=10;useinbandfec=1\r\n"));
    assert!(told.sdp().contains("a=fmtp:63 111/111\r\n"));
}

#[test]
fn a_refused_description_changes_nothing() {
    let mut peer = Peer::new();
    peer.desire(&[("a", Audio)]);
    let good = sdp(&[audio("0", "recvonly"), data("1")]);
    let mut refuse = |kind, revision, sdp: String| {
        let description = Description { kind, revision, sdp };
        let result = peer.connection.handle_description(&description, peer.now);
        assert!(peer.connection.poll().is_none());
        result.unwrap_err()
    };
    for broken in [
        String::new(),
        "v=0\r\n".to_owned(),
        "hello".to_owned(),
        good.replace("a=mid:1", "a=mid:0"),
        good.replace("a=mid:0\r\n", ""),
        good.replace("a=ice-ufrag", "a=x"),
        good.replace("sha-256", "sha-1"),
        good.replace("111 opus", "x opus"),
        good.replace("AA:AA", "AA:A"),
        good.replace("m=audio 9", "m=audio 99999"),
        good.replace("a=setup:actpass", "a=setup:holdconn"),
        good.replace("a=sctp-port", "a=x\u{7}"),
    ] {
        assert!(matches!(refuse(Offer, 1, broken), DescriptionError::Malformed(_)));
    }
    let many = sdp(&(0..2049).map(|mid| data(&mid.to_string())).collect::<Vec<_>>());
    for (huge, bound) in [
        (good.clone() + &"a=x\r\n".repeat(1 << 20), "SDP_BYTES_MAX"),
        (good.clone() + &"a=x\r\n".repeat(1025), "ATTRIBUTES_MAX"),
        (good.clone() + &"x".repeat(40_000), "LINE_BYTES_MAX"),
        (
            good.replace("a=mid:0", &format!("a=mid:{}", "0".repeat(257))),
            "TOKEN_BYTES_MAX",
        ),
        (
            good.clone() + &(0..65).map(|ssrc| format!("a=ssrc:{ssrc} x:y\r\n")).collect::<String>(),
            "SSRCS_MAX",
        ),
        (many, "SECTIONS_MAX"),
    ] {
        assert_eq!(refuse(Offer, 1, huge), DescriptionError::TooLarge(bound));
    }
    assert_eq!(
        refuse(Offer, u64::MAX, good.clone()),
        DescriptionError::TooLarge("REVISION_MAX")
    );

    assert_eq!(peer.offer(1, &good).revisions(), [(Answer, 1)]);
    peer.desire(&[("b", Audio)]);
    for broken in [
        sdp(&[audio("0", "inactive")]),
        sdp(&[audio("1", "inactive"), data("0")]),
    ] {
        let description = Description {
            kind: Answer,
            revision: 2,
            sdp: broken,
        };
        let result = peer.connection.handle_description(&description, peer.now);
        assert!(matches!(result, Err(DescriptionError::Malformed(_))));
    }
    let told = peer.answer(2, &sdp(&[audio("0", "inactive"), data("1")]));
    assert!(told.session().sections[0].send.is_none());
    let fewer = Description {
        kind: Offer,
        revision: 3,
        sdp: sdp(&[audio("0", "inactive")]),
    };
    assert!(peer.connection.handle_description(&fewer, peer.now).is_err());
}

#[test]
fn a_passive_client_makes_us_start_the_handshake() {
    let mut peer = Peer::new();
    let told = peer.offer(1, &sdp(&[audio("0", "sendrecv")]).replace("actpass", "passive"));
    assert_eq!(told.session().dtls_role, DtlsRole::Client);
    assert!(told.sdp().contains("a=setup:active\r\n"));
}

#[test]
fn a_client_without_retransmissions_gets_none() {
    let mut peer = Peer::new();
    peer.desire(&[("v", Video), ("w", Video)]);
    let told = peer.offer(1, &sdp(&[video("0", "recvonly")]));
    assert!(told.session().sections[0].send.as_ref().unwrap().layer.rtx.is_none());
    assert!(!told.descriptions[1].sdp.contains("FID"));
}
