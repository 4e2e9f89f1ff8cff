//! Images of sites, archives and indexes: `cargo +nightly fuzz run image` in `net/`.
#![no_main]

use quartz_net::fuzzing::{images, made_of};

libfuzzer_sys::fuzz_target!(|data: &[u8]| made_of(data, read));

/// The reader takes an image that stays; this one goes when it has been read.
fn read(data: &[u8]) {
    let image: *mut [u8] = Box::into_raw(Box::from(data));
    // SAFETY: what the reader makes of the image is gone when it returns, and so the box is the
    // only one that has it.
    unsafe {
        images(&*image);
        drop(Box::from_raw(image));
    }
}
