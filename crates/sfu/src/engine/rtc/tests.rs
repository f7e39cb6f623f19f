//! What the engine makes of a session, without a network.

#![allow(clippy::unwrap_used)]

use negotiation::{IceCredentials, Receive};

use super::*;

fn session(layers: u32) -> Arc<NegotiatedSession> {
    let credentials = || IceCredentials {
        ufrag: "ufrag".into(),
        pwd: "password-of-some-length".into(),
    };
    Arc::new(NegotiatedSession {
        number: 1,
        local_ice: credentials(),
        remote_ice: credentials(),
        remote_fingerprint: Fingerprint([0; 32]),
        dtls_role: DtlsRole::Server,
        sctp: None,
        sections: vec![Section {
            mid: "0".into(),
            kind: MediaKind::Video,
            codecs: Vec::new(),
            extensions: Vec::new(),
            receive: Some(Receive {
                track_id: "cam".into(),
                layers: (1..=layers).map(|ssrc| Layer { ssrc, rtx: None }).collect(),
            }),
            send: None,
        }],
    })
}

#[test]
fn more_layers_than_browsers_have_are_ignored() {
    let engines = RtcEngines::new().unwrap();
    let now = Instant::now();
    let mut engine = engines.create(&session(60), now).unwrap();
    let bindings = engine.apply(&session(60), now).unwrap();
    assert_eq!(bindings.receives[0].layers.len(), limits::LAYERS_MAX);
    let again = engine.apply(&session(60), now).unwrap();
    assert_eq!(again.receives, bindings.receives, "the same streams");
}
