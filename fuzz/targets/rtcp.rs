//! Compound packets of RTCP, and what they tell of what was sent.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sfu::fuzz::rtcp(bytes));
