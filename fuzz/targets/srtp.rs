//! Forgeries of SRTP and SRTCP: none is opened.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sfu::fuzz::srtp(bytes));
