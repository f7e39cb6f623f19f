//! Datagrams of a client that has passed a check, before DTLS is up.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sfu::fuzz::handshake(bytes));
