//! Requests with their content: `cargo +nightly fuzz run request` in `net/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quartz_net::fuzzing::requests(data));
