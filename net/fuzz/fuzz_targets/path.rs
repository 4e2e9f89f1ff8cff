//! Paths of requests, mapped to the files of a small site: `cargo +nightly fuzz run path` in
//! `net/`.
#![no_main]

use quartz_net::Site;
use quartz_net::fuzzing::Paths;
use std::sync::{LazyLock, Mutex};

static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(image);
static PATHS: LazyLock<Mutex<Paths>> = LazyLock::new(|| {
    let site = Site::from_tar(&IMAGE).expect("a good archive");
    Mutex::new(Paths::new(site))
});

libfuzzer_sys::fuzz_target!(|path: &[u8]| PATHS.lock().unwrap().check(path));

/// A tar archive of some names with nothing in them.
fn image() -> Vec<u8> {
    let mut image = Vec::new();
    for name in [
        "index.html",
        "a/index.html",
        "a/b/index.html",
        "a/100%.txt",
        "a b?#.txt",
        "...",
        "404.html",
    ] {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[156] = b'0';
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        image.extend_from_slice(&header);
    }
    image.resize(image.len() + 1024, 0);
    image
}
