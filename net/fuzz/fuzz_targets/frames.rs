//! The stack under frames that nobody should send, chosen by coverage.
//!
//! `cargo +nightly fuzz run frames` in `net/`. The corpus is also a test: `tests/scripts.rs`.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|script: &[u8]| common::script::play(script));
