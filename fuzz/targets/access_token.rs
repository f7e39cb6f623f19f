//! Access tokens as they come, and with a valid signature.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rotunda::fuzz::access_token(bytes));
