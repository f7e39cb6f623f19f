//! Payload descriptors of the video codecs, and RED.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sfu::fuzz::payload(bytes));
