//! Small things that the processor does: features, halting, the way out.

use core::arch::x86_64::{__cpuid, _rdtsc};
use quartz_abi::ExitCode;
use quartz_abi::exit::PORT;
use x86_64::instructions::{hlt, interrupts, port::Port};

/// The time stamp counter, in its own unit.
pub fn tsc() -> u64 {
    // SAFETY: every x86-64 processor has the instruction and ring 0 may use it.
    unsafe { _rdtsc() }
}

/// Whether RDRAND is there (Intel SDM 2A, CPUID leaf 1, ECX bit 30).
pub fn has_rdrand() -> bool {
    __cpuid(1).ecx & (1 << 30) != 0
}

/// Ends the machine with `code`. Without an `isa-debug-exit` device the processor stays halted.
pub fn exit(code: ExitCode) -> ! {
    interrupts::disable();
    // SAFETY: the port belongs to isa-debug-exit, or to nothing.
    unsafe { Port::<u32>::new(PORT).write(code as u32) };
    loop {
        hlt();
    }
}
