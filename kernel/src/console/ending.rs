//! The ways in which an operator ends the guest.

use crate::arch::cpu;
use crate::blackbox;
use crate::serial;
use quartz_abi::ExitCode;

/// `drain`, when nothing is in flight any more.
pub fn drained() -> ! {
    log::info!(target: "console", "drained");
    serial::flush();
    cpu::exit(ExitCode::CleanStop)
}

/// `poweroff`.
pub fn power_off() -> ! {
    log::info!(target: "console", "powering off");
    blackbox::end(ExitCode::CleanStop);
    serial::flush();
    cpu::exit(ExitCode::CleanStop)
}

/// `reboot`.
pub fn reboot() -> ! {
    log::info!(target: "console", "rebooting");
    blackbox::end(ExitCode::Reboot);
    serial::flush();
    cpu::reboot()
}

/// `panic`, once it is confirmed.
pub fn panic() -> ! {
    panic!("asked for on the console");
}
