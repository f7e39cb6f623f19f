//! A client's descriptions, one after the other, and what we describe in between.
#![no_main]

use std::time::{Duration, Instant};

use negotiation::{
    Description, DescriptionType, DesiredTrack, Fingerprint, IceCredentials, LocalParameters, MediaKind, Output,
    PeerConnection, VideoFormats,
};

// Descriptions are separated by a line with a form feed.
libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut now = Instant::now();
    let mut connection = PeerConnection::new(LocalParameters {
        fingerprint: Fingerprint([1; 32]),
        candidates: ["[::1]:8081".parse().expect("an address")].into(),
        ice: IceCredentials {
            ufrag: "serverufrag0".to_owned(),
            pwd: "s".repeat(32),
        },
        seed: [5; 32],
        video_formats: VideoFormats {
            vp8: true,
            h264: true,
            vp9: true,
            av1: true,
        },
        first_revision: 0,
    });
    let track = |id: &str, kind| DesiredTrack {
        track_id: id.into(),
        stream_id: "s".into(),
        kind,
    };
    connection.set_desired(vec![track("a", MediaKind::Audio), track("v", MediaKind::Video)], now);
    for (revision, sdp) in (1..=4).zip(text.split("\u{c}")) {
        let (kind, sdp) = match sdp.strip_prefix("answer\n") {
            Some(sdp) => (DescriptionType::Answer, sdp),
            None => (DescriptionType::Offer, sdp),
        };
        let sdp = sdp.to_owned();
        let _taken = connection.handle_description(&Description { kind, revision, sdp }, now);
        now += Duration::from_millis(500);
        connection.handle_timeout(now);
        while let Some(output) = connection.poll() {
            if let Output::Describe(description) = output {
                assert!(description.sdp.ends_with("\r\n"));
            }
        }
    }
});
