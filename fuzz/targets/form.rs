//! Queries and forms of both kinds, and a room made of their parameters.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rotunda::fuzz::form(bytes));
