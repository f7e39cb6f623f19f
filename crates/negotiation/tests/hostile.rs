//! Whatever a client sends, nothing panics, and what follows is still answered.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use negotiation::{
    Description, DescriptionType, DesiredTrack, Fingerprint, IceCredentials, LocalParameters, MediaKind, Output,
    PeerConnection, VideoFormats,
};
use proptest::prelude::*;

const RECORDING: &str = include_str!("recordings/connect-all-options.json");

#[derive(Debug, Clone)]
enum Mutation {
    Delete(usize),
    Double(usize),
    Swap(usize, usize),
    Replace(usize, String),
    Cut(usize),
    Number(usize, u64),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any::<usize>().prop_map(Mutation::Delete),
        any::<usize>().prop_map(Mutation::Double),
        any::<(usize, usize)>().prop_map(|(one, other)| Mutation::Swap(one, other)),
        (any::<usize>(), "[amc]=[ -~]{0,30}").prop_map(|(line, text)| Mutation::Replace(line, text)),
        any::<usize>().prop_map(Mutation::Cut),
        (any::<usize>(), any::<u64>()).prop_map(|(line, number)| Mutation::Number(line, number)),
    ]
}

fn mutate(sdp: &str, mutations: &[Mutation]) -> String {
    let mut lines: Vec<String> = sdp.lines().map(str::to_owned).collect();
    for mutation in mutations {
        let count = lines.len().max(1);
        match mutation {
            _ if lines.is_empty() => {}
            Mutation::Delete(line) => drop(lines.remove(line % count)),
            Mutation::Double(line) => lines.push(lines[line % count].clone()),
            Mutation::Swap(one, other) => lines.swap(one % count, other % count),
            Mutation::Replace(line, text) => lines[line % count].clone_from(text),
            Mutation::Cut(line) => lines.truncate(line % count),
            Mutation::Number(line, number) => {
                let line = &mut lines[line % count];
                let is_digit = |c: char| c.is_ascii_digit();
                let start = line.find(is_digit).unwrap_or(line.len());
                let rest = line[start..].trim_start_matches(is_digit).to_owned();
                *line = format!("{}{number}{rest}", &line[..start]);
            }
        }
    }
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

fn recorded_offer() -> String {
    let message: serde_json::Value = serde_json::from_str(RECORDING).unwrap();
    message["body"]["peer_connections"][0]["description"]["sdp"]
        .as_str()
        .unwrap()
        .to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mutated_descriptions_are_taken_or_refused(
        descriptions in prop::collection::vec(
            (any::<bool>(), 0..8_u64, prop::collection::vec(mutation(), 0..6)), 1..6),
    ) {
        let offer = recorded_offer();
        let mut now = Instant::now();
        let mut connection = PeerConnection::new(LocalParameters {
            fingerprint: Fingerprint([1; 32]),
            candidates: ["[::1]:8081".parse().unwrap()].into(),
            ice: IceCredentials { ufrag: "serverufrag0".to_owned(), pwd: "s".repeat(32) },
            seed: [5; 32],
            video_formats: VideoFormats { vp8: true, h264: true, vp9: true, av1: true },
            first_revision: 0,
        });
        let track = |id: &str, kind| DesiredTrack { track_id: id.into(), stream_id: "s".into(), kind };
        connection.set_desired(vec![track("a", MediaKind::Audio), track("v", MediaKind::Video)], now);
        let mut ours = offer.clone();
        for (is_answer, revision, mutations) in descriptions {
            let (kind, base) = if is_answer {
                (DescriptionType::Answer, &ours)
            } else {
                (DescriptionType::Offer, &offer)
            };
            let description = Description { kind, revision, sdp: mutate(base, &mutations) };
            // Either result is right; what counts is that there is one.
            if revision.is_multiple_of(2) {
                let _refused_or_not = connection.handle_description(&description, now);
            } else {
                let _refused_or_not = connection.handle_sync(Some(&description), now);
            }
            now += Duration::from_millis(300);
            connection.handle_timeout(now);
            while let Some(output) = connection.poll() {
                if let Output::Describe(description) = output {
                    prop_assert!(description.sdp.ends_with("\r\n"));
                    ours = description.sdp;
                }
            }
        }
    }
}
