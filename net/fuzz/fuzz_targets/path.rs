//! Paths of requests, mapped to the files of a small site: `cargo +nightly fuzz run path` in
//! `net/`.
#![no_main]

use quartz_net::Site;
use quartz_net::fuzzing::{Paths, paths_image};
use std::sync::{LazyLock, Mutex};

static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(paths_image);
static PATHS: LazyLock<Mutex<Paths>> = LazyLock::new(|| {
    let site = Site::from_tar(&IMAGE).expect("a good archive");
    Mutex::new(Paths::new(site))
});

libfuzzer_sys::fuzz_target!(|path: &[u8]| PATHS.lock().unwrap().check(path));
