//! The end of a kernel that cannot go on: one report on the serial line, then the exit code.
//!
//! Owns the panic and the out-of-memory handler, the backtrace, and the order of the last words.
//! It never allocates, takes no lock that the failing code may hold, and never returns.

use crate::arch::cpu;
use crate::blackbox;
use crate::memory::layout;
use crate::serial;
use core::alloc::Layout;
use core::arch::asm;
use core::fmt::{Display, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use quartz_abi::ExitCode;
use quartz_abi::build::LABEL;

/// Most frames that a backtrace shows.
const MAX_FRAMES: usize = 32;

static FAILING: AtomicBool = AtomicBool::new(false);

/// Says what happened and ends the machine. A failure inside the report ends it at once.
#[optimize(size)]
pub fn report(
    code: ExitCode,
    headline: &dyn Display,
    details: &dyn Display,
    rip: u64,
    rbp: u64,
) -> ! {
    if FAILING.swap(true, Relaxed) {
        cpu::exit(code);
    }
    x86_64::instructions::interrupts::disable();
    blackbox::fail(code, headline);
    let mut out = serial::emergency();
    // Writing to the port cannot fail: what it does not take in time is lost.
    let _ = writeln!(out, "\nFATAL: {headline}");
    let _ = write!(out, "{details}");
    if let Some(build) = layout::build_id() {
        let _ = writeln!(out, "{LABEL}{build}");
    }
    let _ = writeln!(out, "backtrace (innermost first):");
    let _ = writeln!(out, "  #0 {rip:#018x}");
    for (depth, address) in Backtrace::from(rbp).take(MAX_FRAMES).enumerate() {
        let _ = writeln!(out, "  #{} {address:#018x}", depth + 1);
    }
    let _ = writeln!(out, "exit code {:#x}: {code}", code as u32);
    cpu::exit(code)
}

/// Refuses to start for a reason that lies outside the kernel: no backtrace would help.
pub fn refuse(code: ExitCode, headline: &dyn Display) -> ! {
    blackbox::fail(code, headline);
    let mut out = serial::emergency();
    let _ = writeln!(out, "\nFATAL: {headline}");
    let _ = writeln!(out, "exit code {:#x}: {code}", code as u32);
    cpu::exit(code)
}

/// Reports a failure that is no exception, from where it was noticed.
pub fn fail(code: ExitCode, headline: &dyn Display) -> ! {
    report(code, headline, &"", here(), frame_pointer())
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // The place is in the backtrace; the image has no room for the names of all places.
    fail(
        ExitCode::Panic,
        &format_args!("panicked: {}", info.message()),
    )
}

#[alloc_error_handler]
fn out_of_memory(layout: Layout) -> ! {
    let usage = crate::memory::heap::usage();
    fail(
        ExitCode::OutOfMemory,
        &format_args!(
            "out of memory: {} bytes asked for, {} of {} in use",
            layout.size(),
            usage.used,
            usage.total
        ),
    )
}

#[inline(always)]
fn here() -> u64 {
    let rip: u64;
    // SAFETY: reads the instruction pointer.
    unsafe { asm!("lea {}, [rip]", out(reg) rip, options(nomem, nostack, preserves_flags)) };
    rip
}

#[inline(always)]
fn frame_pointer() -> u64 {
    let rbp: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack, preserves_flags)) };
    rbp
}

/// Return addresses along the chain of frame pointers, as long as it stays on a stack and grows.
struct Backtrace {
    frame: u64,
}

impl Backtrace {
    fn from(frame: u64) -> Backtrace {
        Backtrace { frame }
    }
}

impl Iterator for Backtrace {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let frame = self.frame;
        let on_a_stack = layout::stacks()
            .any(|s| s.body.start <= frame && frame <= s.body.end - 16)
            && frame.is_multiple_of(8);
        if !on_a_stack {
            return None;
        }
        // SAFETY: two aligned words that lie on a mapped stack.
        let (next, address) = unsafe {
            (
                (frame as *const u64).read(),
                ((frame + 8) as *const u64).read(),
            )
        };
        if !layout::text().contains(&address) {
            return None;
        }
        // A chain that does not climb would never end.
        self.frame = if next > frame { next } else { 0 };
        Some(address)
    }
}
