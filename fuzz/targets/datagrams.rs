//! Datagrams of clients and strangers, through the demultiplexer and the forwarding of packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sfu::fuzz::datagrams(bytes));
