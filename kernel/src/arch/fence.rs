//! The full fence between processor and device.
//!
//! Ring protocols rest on it (Intel SDM 3, 8.2.3.4: a load may overtake an older store). QEMU's
//! translator runs the guest in one thread and its devices in another, yet up to version 8.0 it
//! leaves every fence and lock prefix out when the machine has a single processor. What it cannot
//! leave out is the lock around its devices' registers.

use super::apic;
use core::arch::x86_64::__cpuid;
use core::sync::atomic::{Ordering::SeqCst, compiler_fence, fence};

/// Leaf of the hypervisor's name, if CPUID leaf 1 says that there is one (ECX bit 31).
const HYPERVISOR: u32 = 0x4000_0000;

/// The fence for this machine.
pub fn choose() -> fn() {
    match is_translated() {
        true => by_register,
        false => by_processor,
    }
}

/// Whether QEMU's translator (TCG) executes this.
fn is_translated() -> bool {
    if __cpuid(1).ecx & (1 << 31) == 0 {
        return false;
    }
    let name = __cpuid(HYPERVISOR);
    let words = [name.ebx, name.ecx, name.edx].map(u32::to_le_bytes);
    words.as_flattened() == b"TCGTCGTCGTCG"
}

fn by_processor() {
    fence(SeqCst);
}

fn by_register() {
    fence(SeqCst);
    apic::touch();
    compiler_fence(SeqCst);
}
