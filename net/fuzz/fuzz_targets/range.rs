//! `Range` fields, behind four bytes with the length of the content: `cargo +nightly fuzz run
//! range` in `net/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((len, field)) = data.split_first_chunk() {
        quartz_net::fuzzing::ranges(u32::from_le_bytes(*len), field);
    }
});
