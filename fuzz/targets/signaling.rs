//! Frames of the signaling protocol, TCMP with RSP inside.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    // Either result is right; what counts is that there is one.
    let _frame = serde_json::from_str::<protocol::signaling::ClientFrame>(text);
});
