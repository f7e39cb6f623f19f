//! A scripted client and the server's negotiation come to the same session.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use load::description::{Descriptions, Published, VideoCodec, Wishes};
use negotiation::{
    CodecFormat, Description, DescriptionType, DesiredTrack, Fingerprint, IceCredentials, Layer, LocalParameters,
    MediaKind, NegotiatedSession, Output, PeerConnection, VideoFormats,
};

struct Pair {
    server: PeerConnection,
    client: Descriptions,
    now: Instant,
    /// What each had last.
    sessions: (Option<Arc<NegotiatedSession>>, Option<Arc<NegotiatedSession>>),
    answers: u64,
}

impl Pair {
    fn new(audio: bool, layers: usize, codecs: &[VideoCodec]) -> Self {
        let layers: Vec<Layer> = (0..layers as u32)
            .map(|layer| Layer {
                ssrc: 2000 + 2 * layer,
                rtx: Some(2001 + 2 * layer),
            })
            .collect();
        let published = |id: &str, layers| Published { id: id.into(), layers };
        let wishes = Wishes {
            fingerprint: Fingerprint([7; 32]),
            ice: credentials('c'),
            audio: audio.then(|| published("mic", vec![Layer { ssrc: 1000, rtx: None }])),
            video: (!layers.is_empty()).then(|| published("cam", layers)),
            codecs: codecs.to_vec(),
            receives: true,
            candidates: Vec::new(),
        };
        let server = PeerConnection::new(LocalParameters {
            fingerprint: Fingerprint([9; 32]),
            candidates: ["192.0.2.1:8081".parse().unwrap()].into(),
            ice: credentials('s'),
            seed: [3; 32],
            video_formats: VideoFormats {
                vp8: true,
                h264: true,
                vp9: true,
                av1: true,
            },
            first_revision: 0,
        });
        let mut pair = Self {
            server,
            client: Descriptions::new(wishes),
            now: Instant::now(),
            sessions: (None, None),
            answers: 0,
        };
        let offer = pair.client.offer().unwrap();
        pair.tell_server(DescriptionType::Offer, 1, offer);
        pair.settle();
        pair
    }

    fn tell_server(&mut self, kind: DescriptionType, revision: u64, sdp: String) {
        let description = Description { kind, revision, sdp };
        self.server.handle_description(&description, self.now).unwrap();
    }

    /// Lets both talk until neither has anything to say.
    fn settle(&mut self) {
        loop {
            while let Some(output) = self.server.poll() {
                match output {
                    Output::Apply(session) => self.sessions.0 = Some(session),
                    Output::Describe(said) if said.kind == DescriptionType::Answer => {
                        self.sessions.1 = Some(self.client.accept(&said.sdp).unwrap());
                    }
                    Output::Describe(offer) => {
                        let (answer, session) = self.client.answer(&offer.sdp).unwrap();
                        self.sessions.1 = Some(session);
                        self.answers += 1;
                        self.tell_server(DescriptionType::Answer, offer.revision, answer);
                    }
                }
            }
            let Some(due) = self.server.poll_timeout() else { return };
            self.now = due.max(self.now + Duration::from_millis(1));
            self.server.handle_timeout(self.now);
        }
    }

    fn desire(&mut self, tracks: &[(&str, MediaKind)]) {
        let tracks = tracks.iter().map(|(id, kind)| DesiredTrack {
            track_id: (*id).into(),
            stream_id: "stream".into(),
            kind: *kind,
        });
        self.server.set_desired(tracks.collect(), self.now);
        self.settle();
    }

    /// Both have the same session; what only the server names is left out.
    fn agree(&self) -> &NegotiatedSession {
        let plain = |session: &Option<Arc<NegotiatedSession>>| {
            let mut session = NegotiatedSession::clone(session.as_ref().unwrap());
            session.number = 0;
            session.sctp.iter_mut().for_each(|sctp| sctp.max_message_size = 0);
            for send in session.sections.iter_mut().filter_map(|section| section.send.as_mut()) {
                (send.stream_id, send.cname) = ("".into(), "".into());
            }
            session
        };
        assert_eq!(plain(&self.sessions.0), plain(&self.sessions.1));
        self.sessions.0.as_ref().unwrap()
    }
}

fn credentials(letter: char) -> IceCredentials {
    IceCredentials {
        ufrag: letter.to_string().repeat(8),
        pwd: letter.to_string().repeat(24),
    }
}

#[test]
fn publishers_and_listeners_agree_with_the_server() {
    for (audio, layers) in [(true, 1), (true, 3), (false, 1), (true, 0), (false, 0)] {
        let pair = Pair::new(audio, layers, &[VideoCodec::Vp8, VideoCodec::H264]);
        let session = pair.agree();
        let sent: Vec<usize> = session
            .sections
            .iter()
            .map(|section| section.receive.as_ref().map_or(0, |receive| receive.layers.len()))
            .collect();
        assert_eq!(sent, [usize::from(audio), layers]);
        assert!(
            pair.answers > 0 && session.sctp.is_some(),
            "the server's first offer adds data channels"
        );
        assert_eq!(pair.client.far().unwrap().address, "192.0.2.1:8081".parse().unwrap());
    }
}

#[test]
fn tracks_come_and_go_on_sections_that_both_know() {
    let mut pair = Pair::new(true, 1, &[VideoCodec::H264]);
    let first = &pair.agree().sections[1].codecs[0].format;
    assert!(matches!(first, CodecFormat::H264 { .. }));
    let names: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
    let kind = |index: usize| [MediaKind::Audio, MediaKind::Video][index % 2];
    let all: Vec<(&str, MediaKind)> = names
        .iter()
        .enumerate()
        .map(|(index, name)| (name.as_str(), kind(index)))
        .collect();
    for wanted in [&all[..2], &all[..], &all[7..13], &[], &all[3..]] {
        pair.desire(wanted);
        let mut heard: Vec<String> = pair
            .agree()
            .sections
            .iter()
            .filter_map(|section| Some(section.send.as_ref()?.track_id.to_string()))
            .collect();
        heard.sort();
        let mut expected: Vec<String> = wanted.iter().map(|(id, _)| (*id).to_owned()).collect();
        expected.sort();
        assert_eq!(heard, expected);
        let own = pair.agree().sections.iter().filter(|section| section.receive.is_some());
        assert_eq!(own.count(), 2, "the client goes on sending on its own sections");
    }
}

#[test]
fn what_is_no_description_is_an_error() {
    let mut pair = Pair::new(true, 1, &[VideoCodec::Vp8]);
    for text in ["", "v=0", "hello", "v=0\r\nm=audio"] {
        assert!(pair.client.answer(text).is_err() || text == "v=0", "{text:?}");
        assert!(pair.client.accept(text).is_err(), "{text:?}");
    }
}
