//! The image in memory: its sections as the linker script lays them, and the stacks.

use super::PAGE;
use core::arch::global_asm;
use core::ops::Range;
use core::slice;
use quartz_abi::BuildId;

/// Bytes of the stack that the kernel runs on.
const MAIN_LEN: u64 = 128 * 1024;
/// Bytes of each stack that an exception switches to.
const FAULT_LEN: u64 = 16 * 1024;

// Each stack stands above a page that is left unmapped, so that an overflow faults and touches
// nothing. They are not part of the file.
global_asm!(
    r#"
    .macro stack name, len
    .balign 4096
    .skip 4096
    .global stack_\name
stack_\name:
    .skip \len
    .global stack_\name\()_top
stack_\name\()_top:
    .endm

    .section .stacks, "aw", @nobits
    stack main, {main}
    stack page_fault, {fault}
    stack double_fault, {fault}
    stack nmi, {fault}
    stack machine_check, {fault}
    .text
    "#,
    main = const MAIN_LEN,
    fault = const FAULT_LEN,
    options(att_syntax)
);

unsafe extern "C" {
    static __image_start: u8;
    static __image_end: u8;
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static __build_id_start: u8;
    static __build_id_end: u8;
    static __data_start: u8;
    static stack_main: u8;
    static stack_page_fault: u8;
    static stack_double_fault: u8;
    static stack_nmi: u8;
    static stack_machine_check: u8;
}

fn address(symbol: *const u8) -> u64 {
    symbol as u64
}

/// The whole image, stacks and zeroed data included.
pub fn image() -> Range<u64> {
    address(&raw const __image_start)..address(&raw const __image_end)
}

/// Code: readable and executable.
pub fn text() -> Range<u64> {
    address(&raw const __text_start)..address(&raw const __text_end)
}

/// Constants: readable.
pub fn rodata() -> Range<u64> {
    address(&raw const __rodata_start)..address(&raw const __rodata_end)
}

/// Data, zeroed data and stacks: readable and writable.
pub fn data() -> Range<u64> {
    address(&raw const __data_start)..image().end
}

/// Which build this is; `None` if the linker made no id.
pub fn build_id() -> Option<BuildId> {
    let start = &raw const __build_id_start;
    let len = address(&raw const __build_id_end) - address(start);
    // SAFETY: the linker script puts these symbols around the notes, which are constants.
    BuildId::from_note(unsafe { slice::from_raw_parts(start, len as usize) })
}

/// A stack: its name and its usable bytes. The page below is its guard.
#[derive(Clone)]
pub struct Stack {
    /// What runs on it.
    pub name: &'static str,
    /// Lowest and one past the highest usable address.
    pub body: Range<u64>,
}

impl Stack {
    fn new(name: &'static str, bottom: *const u8, len: u64) -> Stack {
        let bottom = address(bottom);
        Stack {
            name,
            body: bottom..bottom + len,
        }
    }

    /// Address of the unmapped page below.
    pub fn guard(&self) -> u64 {
        self.body.start - PAGE
    }
}

/// The stack that the kernel runs on.
pub fn main_stack() -> Stack {
    Stack::new("main", &raw const stack_main, MAIN_LEN)
}

/// The stacks of the exceptions that may come while the main stack is unusable, in the order of
/// their slots in the interrupt stack table.
pub fn fault_stacks() -> [Stack; 4] {
    [
        Stack::new("page fault", &raw const stack_page_fault, FAULT_LEN),
        Stack::new("double fault", &raw const stack_double_fault, FAULT_LEN),
        Stack::new("NMI", &raw const stack_nmi, FAULT_LEN),
        Stack::new("machine check", &raw const stack_machine_check, FAULT_LEN),
    ]
}

/// Every stack.
pub fn stacks() -> impl Iterator<Item = Stack> {
    core::iter::once(main_stack()).chain(fault_stacks())
}
