//! The driver against a hostile device, the order of events chosen by coverage.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run script` in `drivers/`; `docs/testing.md` says more. The corpus
//! is also a test: `tests/scripts.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| {
    let _ = quartz_drivers::model::play(script);
});
