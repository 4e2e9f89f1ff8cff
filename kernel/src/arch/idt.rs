//! The interrupt descriptor table and the stubs behind it.
//!
//! Vectors 0–31 are exceptions: everything is saved for the report, and none returns. The others
//! are interrupts: what a Rust function may change is saved, vector registers included, and the
//! interrupted code goes on.

use super::{exception, interrupts};
use core::arch::global_asm;
use spin::Once;
use x86_64::VirtAddr;
use x86_64::structures::idt::InterruptDescriptorTable;

global_asm!(
    r#"
    .section .text.vectors, "ax", @progbits
    .balign 16
    .global vector_stubs
vector_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    /* The processor pushes an error code for these; the others get a zero. */
    .if (vector == 8) || (vector == 10) || (vector == 11) || (vector == 12) || (vector == 13) || (vector == 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    pushq $0
    .endif
    pushq $vector
    .if vector < 32
    jmp exception_entry
    .else
    jmp interrupt_entry
    .endif
    .set vector, vector + 1
    .endr

exception_entry:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    andq $-16, %rsp
    call {exception}
    ud2

interrupt_entry:
    /* 7 words are on the stack, pushed from a 16-byte boundary; 9 more make it even again. */
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    movq 72(%rsp), %rdi             /* vector */
    subq $512, %rsp
    fxsave64 (%rsp)
    cld
    call {interrupt}
    fxrstor64 (%rsp)
    addq $512, %rsp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq
    .text
    "#,
    exception = sym exception::enter,
    interrupt = sym interrupts::dispatch,
    options(att_syntax)
);

unsafe extern "C" {
    static vector_stubs: u8;
}

/// Distance of two stubs, in bytes.
const STUB: u64 = 16;

static IDT: Once<InterruptDescriptorTable> = Once::new();

/// Loads the table. Exceptions that may come with a broken main stack switch to one of their own,
/// in the order of [`crate::memory::layout::fault_stacks`].
#[inline(never)]
#[optimize(size)]
pub fn init() {
    let stub =
        |vector: u8| VirtAddr::new((&raw const vector_stubs) as u64 + u64::from(vector) * STUB);
    let idt = IDT.call_once(|| {
        let mut idt = InterruptDescriptorTable::new();
        // SAFETY: each stub saves what its kind of vector needs and knows whether the processor
        // pushes an error code; the stack slots were filled by `gdt::init`.
        unsafe {
            idt.divide_error.set_handler_addr(stub(0));
            idt.debug.set_handler_addr(stub(1));
            idt.non_maskable_interrupt
                .set_handler_addr(stub(2))
                .set_stack_index(2);
            idt.breakpoint.set_handler_addr(stub(3));
            idt.overflow.set_handler_addr(stub(4));
            idt.bound_range_exceeded.set_handler_addr(stub(5));
            idt.invalid_opcode.set_handler_addr(stub(6));
            idt.device_not_available.set_handler_addr(stub(7));
            idt.double_fault
                .set_handler_addr(stub(8))
                .set_stack_index(1);
            idt.invalid_tss.set_handler_addr(stub(10));
            idt.segment_not_present.set_handler_addr(stub(11));
            idt.stack_segment_fault.set_handler_addr(stub(12));
            idt.general_protection_fault.set_handler_addr(stub(13));
            idt.page_fault.set_handler_addr(stub(14)).set_stack_index(0);
            idt.x87_floating_point.set_handler_addr(stub(16));
            idt.alignment_check.set_handler_addr(stub(17));
            idt.machine_check
                .set_handler_addr(stub(18))
                .set_stack_index(3);
            idt.simd_floating_point.set_handler_addr(stub(19));
            idt.virtualization.set_handler_addr(stub(20));
            idt.cp_protection_exception.set_handler_addr(stub(21));
            idt.hv_injection_exception.set_handler_addr(stub(28));
            idt.vmm_communication_exception.set_handler_addr(stub(29));
            idt.security_exception.set_handler_addr(stub(30));
            for vector in 32..=255 {
                idt[vector].set_handler_addr(stub(vector));
            }
        }
        idt
    });
    idt.load();
}
