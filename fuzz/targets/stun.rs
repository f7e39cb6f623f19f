//! STUN checks: read, verified and answered.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sfu::fuzz::stun(bytes));
