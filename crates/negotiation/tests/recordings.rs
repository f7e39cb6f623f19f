//! What we answer and offer to the recorded first offers of the real SDK.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::time::Instant;

use negotiation::{
    Description, DescriptionType, DesiredTrack, Fingerprint, IceCredentials, LocalParameters, MediaKind, Output,
    PeerConnection, VideoFormats,
};

fn local() -> LocalParameters {
    LocalParameters {
        fingerprint: Fingerprint(std::array::from_fn(|index| index as u8 * 8)),
        candidates: ["192.0.2.1:8081".parse().unwrap(), "[2001:db8::1]:8081".parse().unwrap()].into(),
        ice: IceCredentials {
            ufrag: "serverufrag0".to_owned(),
            pwd: "server0password0of0thirty0twoXXX".to_owned(),
        },
        seed: [42; 32],
        video_formats: VideoFormats {
            vp8: true,
            h264: true,
            vp9: true,
            av1: true,
        },
        first_revision: 0,
    }
}

fn recorded_offer(recording: &str) -> Description {
    let message: serde_json::Value = serde_json::from_str(recording).unwrap();
    let description = &message["body"]["peer_connections"][0]["description"];
    Description {
        kind: DescriptionType::Offer,
        revision: description["revision"].as_u64().unwrap(),
        sdp: description["sdp"].as_str().unwrap().to_owned(),
    }
}

fn desired(id: &str, stream: &str, kind: MediaKind) -> DesiredTrack {
    DesiredTrack {
        track_id: id.into(),
        stream_id: stream.into(),
        kind,
    }
}

/// Joins with the recorded offer while a camera, a microphone and a screen are there to be seen.
fn join(recording: &str) -> String {
    let mut connection = PeerConnection::new(local());
    let now = Instant::now();
    let tracks = vec![
        desired("track-mic", "stream-bob", MediaKind::Audio),
        desired("track-cam", "stream-bob", MediaKind::Video),
        desired("track-screen", "stream-bob-screen", MediaKind::Video),
    ];
    connection.set_desired(tracks, now);
    connection.handle_description(&recorded_offer(recording), now).unwrap();
    let mut text = String::new();
    while let Some(output) = connection.poll() {
        match output {
            Output::Apply(session) => writeln!(text, "--- apply\n{session:#?}").unwrap(),
            Output::Describe(description) => {
                let Description { kind, revision, sdp } = description;
                assert_eq!(sdp.matches('\n').count(), sdp.matches("\r\n").count());
                writeln!(text, "--- {kind:?} {revision}\n{}", sdp.replace("\r\n", "\n")).unwrap();
            }
        }
    }
    text
}

macro_rules! recordings {
    ($($name:ident: $file:literal;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(join(include_str!(concat!("recordings/", $file))));
        }
    )*};
}

recordings! {
    all_options_and_adaptive_simulcast: "connect-all-options.json";
    explicit_simulcast: "connect-explicit-simulcast.json";
    h264_preferred: "connect-h264.json";
    ice_servers_given: "connect-ice-servers-overrode.json";
    old_bandwidth_profile: "connect-legacy-bandwidth-profile.json";
    no_tracks: "connect-no-tracks.json";
    firefox: "connect-firefox.json";
}

/// The answer to the recorded first offer of a client with microphone and camera, where these formats are allowed.
fn answer_with(recording: &str, video_formats: VideoFormats) -> String {
    let mut connection = PeerConnection::new(LocalParameters {
        video_formats,
        ..local()
    });
    connection
        .handle_description(&recorded_offer(recording), Instant::now())
        .unwrap();
    loop {
        match connection.poll().unwrap() {
            Output::Describe(answer) => return answer.sdp,
            Output::Apply(_) => {}
        }
    }
}

#[test]
fn only_allowed_video_formats_are_answered() {
    const NONE: VideoFormats = VideoFormats {
        vp8: false,
        h264: false,
        vp9: false,
        av1: false,
    };
    let recordings = [
        include_str!("recordings/connect-h264.json"),
        include_str!("recordings/connect-explicit-simulcast.json"),
        include_str!("recordings/connect-firefox.json"),
    ];
    for recording in recordings {
        for (allowed, names) in [
            (VideoFormats { vp8: true, ..NONE }, &["VP8"][..]),
            (VideoFormats { h264: true, ..NONE }, &["H264"]),
            (NONE, &[]),
        ] {
            let answer = answer_with(recording, allowed);
            let video = answer.split("\r\nm=").find(|section| section.starts_with("video"));
            let video = video.expect("the offer has video");
            // This Firefox has no H264.
            let offer = recorded_offer(recording).sdp;
            let has_one = names.iter().any(|name| offer.contains(&format!(" {name}/90000")));
            assert_eq!(video.starts_with("video 0 "), !has_one, "{video}");
            let mut maps = video.split("\r\n").filter(|line| line.starts_with("a=rtpmap:"));
            let allowed =
                |line: &str| line.contains(" rtx/") || names.iter().any(|name| line.contains(&format!(" {name}/")));
            assert!(maps.all(allowed), "{video}");
        }
    }
}
