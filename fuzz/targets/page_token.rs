//! Page tokens as they come, and with a valid seal.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rotunda::fuzz::page_token(bytes));
