//! What the engine makes of a session, without a network.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::fixture::{self, receive, video};

fn session(layers: u32) -> Arc<NegotiatedSession> {
    let section = Section {
        receive: receive("cam", 1..=layers),
        ..video("0")
    };
    Arc::new(fixture::session(1, 1, vec![section]))
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
