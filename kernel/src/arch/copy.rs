//! `memcpy` and its kin, which the compiler calls by name.
//!
//! Those of compiler-builtins move eight bytes a step (`rep movsq`), which a translator executes one
//! by one. These move 16, or 32 where the processor has AVX2 and [`widen`] was called. They load
//! what is short wholly before they store it, so `memmove` shares the way.
//!
//! Interrupt handlers save what SSE has of the registers and not the upper halves of AVX: they copy
//! at most 64 bytes at a time, for which no wide register is used.

use super::cpu;
use core::arch::global_asm;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// 1: wide registers may be used. The functions read it.
// SAFETY: no other symbol has this name.
#[unsafe(export_name = "quartz_copy_wide")]
static WIDE: AtomicU8 = AtomicU8::new(0);

/// Lets copies use AVX2, if the processor has it.
pub fn widen() {
    if cpu::enable_avx2() {
        WIDE.store(1, Relaxed);
    }
}

global_asm!(include_str!("copy.s"));

global_asm!(
    ".globl memcpy, memmove, memset, memcmp, bcmp",
    ".set memcpy, quartz_memcpy",
    ".set memmove, quartz_memmove",
    ".set memset, quartz_memset",
    ".set memcmp, quartz_memcmp",
    ".set bcmp, quartz_bcmp",
);
