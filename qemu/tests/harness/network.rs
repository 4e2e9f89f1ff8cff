//! A network of the test's own: a namespace with a tap, gone when the test is.

use super::guest::{ADDRESS, Served, start};
use super::process::success;
use super::{STEP, kernel};
use quartz::machine::{Attachment, Machine};
use rustix::thread::UnshareFlags;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::process::Command;
use std::thread;

/// The tap's name in the namespace.
pub const TAP: &str = "tap0";

/// Runs `test` on a thread in a new network namespace with loopback and a tap at 10.0.2.2/24.
/// Processes that the thread starts are in the namespace too. It has no name, so the system
/// removes it with the last of them.
pub fn in_namespace<R: Send>(test: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: the thread gets another network, nothing else: no memory and no descriptor
            // stops being shared.
            let unshared = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) };
            if let Err(error) = unshared {
                panic!("no network namespace ({error}): run as root, or by `make test`");
            }
            ip("link set lo up");
            ip(&format!("tuntap add dev {TAP} mode tap"));
            ip(&format!("addr add 10.0.2.2/24 dev {TAP}"));
            ip(&format!("link set {TAP} up"));
            test()
        });
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Runs `ip` with these words.
pub fn ip(words: &str) {
    success(Command::new("ip").args(words.split(' ')), STEP);
}

/// Boots a guest on the namespace's tap and waits for its first answer.
pub fn boot_on_tap(configure: impl FnOnce(&mut Machine)) -> Served {
    let mut machine = Machine::new(kernel());
    machine.attachment = Attachment::Tap(TAP.into());
    configure(&mut machine);
    start(&machine, SocketAddr::from((ADDRESS, 80)))
}
