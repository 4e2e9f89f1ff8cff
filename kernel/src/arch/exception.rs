//! Exceptions: a report for a person, then the exit code. None is recoverable, for the kernel
//! takes none on purpose.

use crate::failure;
use crate::memory::layout;
use core::fmt;
use quartz_abi::ExitCode;
use x86_64::registers::control::{Cr0, Cr2, Cr3, Cr4};

/// All that the stub saved, in the order in which it lies on the stack.
#[repr(C)]
pub struct Frame {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    r11: u64,
    r10: u64,
    r9: u64,
    r8: u64,
    rbp: u64,
    rdi: u64,
    rsi: u64,
    rdx: u64,
    rcx: u64,
    rbx: u64,
    rax: u64,
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// Names of the vectors 0–31 (Intel SDM 3, table 7-1).
const NAMES: [&str; 32] = [
    "divide error",
    "debug",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid TSS",
    "segment not present",
    "stack-segment fault",
    "general protection fault",
    "page fault",
    "reserved",
    "x87 floating-point error",
    "alignment check",
    "machine check",
    "SIMD floating-point error",
    "virtualization exception",
    "control protection exception",
    "reserved",
    "reserved",
    "reserved",
    "reserved",
    "reserved",
    "reserved",
    "hypervisor injection exception",
    "VMM communication exception",
    "security exception",
    "reserved",
];

const PAGE_FAULT: u64 = 14;

/// Called by the stub with interrupts off.
pub extern "C" fn enter(frame: &Frame) -> ! {
    failure::report(
        ExitCode::Exception,
        &Headline(frame),
        &Registers(frame),
        frame.rip,
        frame.rbp,
    )
}

/// The first line: which exception, where, and for a page fault what was tried.
struct Headline<'a>(&'a Frame);

impl fmt::Display for Headline<'_> {
    #[optimize(size)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Frame {
            vector, error, rip, ..
        } = self.0;
        let name = NAMES.get(*vector as usize).unwrap_or(&"unknown");
        write!(
            f,
            "exception {vector} ({name}), error {error:#x}, at {rip:#018x}"
        )?;
        if *vector == PAGE_FAULT {
            let address = Cr2::read_raw();
            let what = if error & 0x10 != 0 {
                "execute"
            } else if error & 2 != 0 {
                "write"
            } else {
                "read"
            };
            let why = if error & 1 != 0 {
                "forbidden by the page's rights"
            } else {
                "the page is not mapped"
            };
            write!(f, ": {what} of {address:#018x}, {why}{}", Place(address))?;
        }
        Ok(())
    }
}

/// What stands at an address that faulted, where it tells something.
struct Place(u64);

impl fmt::Display for Place {
    #[optimize(size)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.0;
        if address < crate::memory::PAGE {
            return f.write_str(" (page 0: a null pointer)");
        }
        for stack in layout::stacks() {
            if (stack.guard()..stack.body.start).contains(&address) {
                let name = stack.name;
                return write!(f, " (guard page of the {name} stack: stack overflow)");
            }
        }
        if layout::text().contains(&address) {
            return f.write_str(" (kernel code)");
        }
        if layout::data().contains(&address) {
            return f.write_str(" (kernel data)");
        }
        Ok(())
    }
}

/// The register dump.
struct Registers<'a>(&'a Frame);

impl fmt::Display for Registers<'_> {
    #[optimize(size)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = self.0;
        let rows = [
            [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx)],
            [("rdx", r.rdx), ("rsi", r.rsi), ("rdi", r.rdi)],
            [("rbp", r.rbp), ("rsp", r.rsp), ("r8 ", r.r8)],
            [("r9 ", r.r9), ("r10", r.r10), ("r11", r.r11)],
            [("r12", r.r12), ("r13", r.r13), ("r14", r.r14)],
            [("r15", r.r15), ("rip", r.rip), ("rfl", r.rflags)],
            [
                ("cr0", Cr0::read_raw()),
                ("cr2", Cr2::read_raw()),
                ("cr3", Cr3::read_raw().0.start_address().as_u64()),
            ],
            [("cr4", Cr4::read_raw()), ("cs ", r.cs), ("ss ", r.ss)],
        ];
        for row in rows {
            for (name, value) in row {
                write!(f, "  {name} {value:#018x}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
