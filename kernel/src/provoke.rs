//! Faults on purpose, so that tests can look at the reports (`provoke=` on the command line, and
//! `provoke FAULT` on the console where that allows it).

use crate::serial;
use alloc::vec::Vec;
use core::arch::asm;
use core::hint::black_box;
use core::ptr;
use quartz_abi::cmdline::Fault;

/// Causes `fault`; the one that returns, [`Fault::Deaf`], is the main loop's to act out.
pub fn provoke(fault: Fault) {
    log::warn!("provoking {fault:?}, as the command line says");
    // Who stands still sends nothing more.
    serial::flush();
    match fault {
        Fault::NullRead => null_read(),
        Fault::WriteText => write_text(),
        Fault::ExecuteData => execute_data(),
        Fault::StackOverflow => {
            black_box(recurse(black_box(1)));
        }
        // SAFETY: the divide error is the purpose; nothing runs after it.
        Fault::DivideError => unsafe {
            asm!("xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _)
        },
        // SAFETY: as above.
        Fault::InvalidOpcode => unsafe { asm!("ud2") },
        Fault::GeneralProtection => {
            // SAFETY: the address is not canonical, so the read faults and yields nothing.
            unsafe { asm!("mov rax, [rax]", inout("rax") 0x8000_0000_0000_0000_u64 => _) }
        }
        Fault::Panic => provoked(),
        Fault::OutOfMemory => {
            black_box(Vec::<u8>::with_capacity(isize::MAX as usize / 2));
        }
        Fault::Spin => {
            x86_64::instructions::interrupts::disable();
            loop {
                core::hint::spin_loop();
            }
        }
        Fault::Deaf => return,
    }
    panic!("{fault:?} was survived");
}

/// In a function of its own: where two places panic, the optimizer may make them one that is neither.
#[inline(never)]
fn provoked() -> ! {
    panic!("provoked")
}

#[inline(never)]
fn null_read() {
    // SAFETY: page 0 is unmapped: the read faults and yields nothing.
    unsafe { asm!("mov rax, [rax]", inout("rax") 0_u64 => _) }
}

#[inline(never)]
fn write_text() {
    let code = provoke as *mut u8;
    // SAFETY: text is read-only: the write faults and changes nothing.
    unsafe { ptr::write_volatile(code, 0xc3) }
}

#[inline(never)]
fn execute_data() {
    // A `ret` in data.
    static CODE: [u8; 1] = [0xc3];
    // SAFETY: constants are no-execute: the call faults and runs nothing.
    unsafe { asm!("call {}", in(reg) CODE.as_ptr(), clobber_abi("C")) }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let local = black_box([depth; 64]);
    if black_box(true) {
        recurse(depth + 1) + local[3]
    } else {
        depth
    }
}
