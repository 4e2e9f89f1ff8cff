//! Small things that the processor does: features, halting, the way out.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count, _rdtsc};
use quartz_abi::ExitCode;
use quartz_abi::exit::PORT;
use x86_64::VirtAddr;
use x86_64::instructions::tables::lidt;
use x86_64::instructions::{hlt, interrupts, port::Port};
use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::registers::xcontrol::{XCr0, XCr0Flags};
use x86_64::structures::DescriptorTablePointer;

/// The time stamp counter, in its own unit.
pub fn tsc() -> u64 {
    // SAFETY: every x86-64 processor has the instruction and ring 0 may use it.
    unsafe { _rdtsc() }
}

/// Whether RDRAND is there (Intel SDM 2A, CPUID leaf 1, ECX bit 30).
pub fn has_rdrand() -> bool {
    __cpuid(1).ecx & (1 << 30) != 0
}

/// Whether QEMU's translator (TCG) executes this.
pub fn is_translated() -> bool {
    /// Leaf of the hypervisor's name, if leaf 1 says that there is one (ECX bit 31).
    const HYPERVISOR: u32 = 0x4000_0000;
    if __cpuid(1).ecx & (1 << 31) == 0 {
        return false;
    }
    let name = __cpuid(HYPERVISOR);
    let words = [name.ebx, name.ecx, name.edx].map(u32::to_le_bytes);
    words.as_flattened() == b"TCGTCGTCGTCG"
}

/// Lets AVX2 be used, if the processor has it. Whether it has.
pub fn enable_avx2() -> bool {
    /// CPUID leaf 1, ECX: XSAVE and AVX (Intel SDM 1, 14.3).
    const XSAVE_AND_AVX: u32 = 1 << 26 | 1 << 28;
    /// CPUID leaf 7, EBX.
    const AVX2: u32 = 1 << 5;
    let basic = __cpuid(1).ecx & XSAVE_AND_AVX == XSAVE_AND_AVX;
    if !basic || __cpuid(0).eax < 7 || __cpuid_count(7, 0).ebx & AVX2 == 0 {
        return false;
    }
    // SAFETY: the processor has XSAVE, and its state for AVX. Nobody switches contexts, so no other
    // state has to be saved by it.
    unsafe {
        Cr4::update(|cr4| cr4.insert(Cr4Flags::OSXSAVE));
        XCr0::write(XCr0Flags::X87 | XCr0Flags::SSE | XCr0Flags::AVX);
    }
    true
}

/// Ends the machine with `code`. Without an `isa-debug-exit` device the processor stays halted.
pub fn exit(code: ExitCode) -> ! {
    interrupts::disable();
    tell(code);
    loop {
        hlt();
    }
}

/// Ends the machine so that it is started again. Without an `isa-debug-exit` device it resets
/// itself, by the one way that every machine type has: an exception for which there is no handler,
/// and none for that either (Intel SDM 3, 6.15, "triple fault").
pub fn reboot() -> ! {
    interrupts::disable();
    tell(ExitCode::Reboot);
    let none = DescriptorTablePointer {
        limit: 0,
        base: VirtAddr::zero(),
    };
    // SAFETY: with interrupts off, the next exception is the last thing that happens.
    unsafe {
        lidt(&none);
        asm!("ud2", options(noreturn));
    }
}

/// Tells QEMU how the guest ends, which ends QEMU if it listens.
fn tell(code: ExitCode) {
    // SAFETY: the port belongs to isa-debug-exit, or to nothing.
    unsafe { Port::<u32>::new(PORT).write(code as u32) };
}
