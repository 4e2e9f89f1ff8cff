//! What the tests that boot the kernel share: guests, networks, clients, figures.
//!
//! Every wait has a deadline; processes end with the thread that started them; nothing is written
//! but below the temporary directory. Traffic stays on loopback and in namespaces made here.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod badlink;
pub mod browser;
pub mod crowd;
pub mod exposition;
pub mod flood;
pub mod guest;
pub mod load;
pub mod network;
pub mod process;
pub mod pty;
pub mod relay;
pub mod stats;
pub mod steady;

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// The limit for a single small step: a boot, a request, a command.
pub const STEP: Duration = Duration::from_secs(20);

/// The end of a step that begins now.
pub fn soon() -> Instant {
    Instant::now() + STEP
}

/// What the build leaves in `target/`.
pub fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target")
        .join(name)
}

/// The kernel under test.
pub fn kernel() -> PathBuf {
    let path = target("quartz-unikernel.elf");
    assert!(
        path.exists(),
        "the kernel is not built: run `make kernel` first"
    );
    path
}

/// The HTML manual of PostgreSQL: a real site with over 1,000 files.
pub fn manual() -> PathBuf {
    let inside = "usr/share/doc/postgresql-doc-15/html";
    let places = [Path::new("/").join(inside), target("manual").join(inside)];
    let found = places.into_iter().find(|p| p.join("index.html").exists());
    found.expect("the manual is missing: run `qemu/setup.sh test` first")
}

static MACHINE: RwLock<()> = RwLock::new(());

/// For a test that takes little: such tests may run side by side.
pub fn light() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// For a test that keeps the whole machine busy, or must not be disturbed: it runs alone.
pub fn heavy() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `condition` holds; the message says what for.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = soon();
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
