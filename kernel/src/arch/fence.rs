//! The full fence between processor and device.
//!
//! Ring protocols rest on it (Intel SDM 3, 8.2.3.4: a load may overtake an older store). QEMU's
//! translator runs the guest in one thread and its devices in another, yet up to version 8.0 it
//! leaves every fence and lock prefix out when the machine has a single processor. What it cannot
//! leave out is the lock around its devices' registers.

use super::{apic, cpu};
use core::sync::atomic::{Ordering::SeqCst, compiler_fence, fence};

/// The fence for this machine.
pub fn choose() -> fn() {
    match cpu::is_translated() {
        true => by_register,
        false => by_processor,
    }
}

fn by_processor() {
    fence(SeqCst);
}

fn by_register() {
    fence(SeqCst);
    apic::touch();
    compiler_fence(SeqCst);
}
