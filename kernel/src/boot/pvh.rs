//! PVH entry: Xen's direct boot protocol (`XEN_ELFNOTE_PHYS32_ENTRY`), which QEMU's `-kernel`
//! speaks.
//!
//! The processor arrives in 32-bit protected mode, paging off, with the physical address of
//! `hvm_start_info` in `ebx`. The stub maps the first GiB one to one, enters long mode with SSE
//! on, and calls [`start`], which copies all that it needs out of the loader's memory.

use crate::memory::layout;
use bootloader_api::BootInfo;
use bootloader_api::info::{MemoryRegion, MemoryRegionKind, MemoryRegions, Optional};
use core::arch::global_asm;
use core::ptr::addr_of_mut;
use core::{slice, str};

global_asm!(
    r#"
    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, 18                  /* name size, value size, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long pvh_entry

    .section .boot.text, "ax", @progbits
    .code32
    .global pvh_entry
pvh_entry:
    cli
    cld
    movl %ebx, %ebp                 /* hvm_start_info */

    /* One PML4, one PDPT, one directory of 512 pages of 2 MiB: the first GiB, one to one. */
    movl $boot_pdpt + 0x3, boot_pml4
    movl $boot_pd + 0x3, boot_pdpt
    movl $boot_pd, %edi
    movl $0x83, %eax                /* present, writable, 2 MiB */
    movl $512, %ecx
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b

    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x620, %eax                /* PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $0xc0000080, %ecx          /* EFER: LME, NXE */
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl %cr0, %eax
    andl $0xfffffffb, %eax          /* EM off: SSE instructions run */
    orl $0x80010022, %eax           /* PG, WP, NE, MP */
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $8, $2f

    .code64
2:  xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movl $stack_main_top, %esp
    fninit
    movl $0x1f80, %eax              /* MXCSR: all SIMD exceptions masked */
    pushq %rax
    ldmxcsr (%rsp)
    popq %rax
    movl %ebp, %edi
    xorl %ebp, %ebp                 /* where a backtrace ends */
    call {start}
    ud2

    .section .rodata.boot, "a", @progbits
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff        /* 64-bit code */
boot_gdt_pointer:
    .word 15
    .long boot_gdt

    .section .bss.boot, "aw", @nobits
    .balign 4096
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd:   .skip 4096
    .text
    "#,
    start = sym start,
    options(att_syntax)
);

/// `hvm_start_info`, version 1 (Xen public headers, `arch-x86/hvm/start_info.h`).
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    reserved: u32,
}

/// `hvm_modlist_entry`.
#[repr(C)]
struct Module {
    address: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

/// `hvm_memmap_table_entry`: the types are those of E820.
#[repr(C)]
struct MapEntry {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

const MAGIC: u32 = 0x336e_c578;
const E820_RAM: u32 = 1;

/// Most regions kept; QEMU gives fewer than ten.
const MAX_REGIONS: usize = 64;
/// Longest command line that is read, in bytes.
const MAX_COMMAND_LINE: usize = 4096;

static mut REGIONS: [MemoryRegion; MAX_REGIONS] = [MemoryRegion::empty(); MAX_REGIONS];
static mut COMMAND_LINE: [u8; MAX_COMMAND_LINE] = [0; MAX_COMMAND_LINE];
static mut COMMAND_LINE_LEN: usize = 0;
static mut BOOT_INFO: Option<BootInfo> = None;

/// The command line as the loader gave it. Empty where the loader has none.
///
/// # Errors
/// The line is not UTF-8.
pub fn command_line() -> Result<&'static str, str::Utf8Error> {
    // SAFETY: both statics are written by `start` alone, before anything can call this.
    let bytes = unsafe {
        let len = COMMAND_LINE_LEN;
        slice::from_raw_parts((&raw const COMMAND_LINE).cast::<u8>(), len)
    };
    str::from_utf8(bytes)
}

/// First Rust code. Interrupts are off and the first GiB is mapped one to one.
extern "C" fn start(start_info: u64) -> ! {
    // SAFETY: `start` runs once, before anything else; the stub passes what the loader gave, and
    // the PVH protocol says that the structure and all it points to are intact physical memory,
    // which is mapped one to one.
    unsafe {
        let info = &*(start_info as *const StartInfo);
        assert!(info.magic == MAGIC, "the loader gave no hvm_start_info");
        copy_command_line(info.command_line);
        let module = (info.modules > 0).then(|| &*(info.module_list as *const Module));
        let entries: &[MapEntry] = if info.version >= 1 && info.memory_map != 0 {
            slice::from_raw_parts(
                info.memory_map as *const MapEntry,
                info.memory_map_entries as usize,
            )
        } else {
            &[]
        };
        let regions = &mut *addr_of_mut!(REGIONS);
        let mut count = 0;
        // The last entry of QEMU's table can be all zero.
        for entry in entries.iter().filter(|e| e.size != 0).take(MAX_REGIONS) {
            regions[count] = MemoryRegion {
                start: entry.address,
                end: entry.address.saturating_add(entry.size),
                kind: match entry.kind {
                    E820_RAM => MemoryRegionKind::Usable,
                    other => MemoryRegionKind::UnknownBios(other),
                },
            };
            count += 1;
        }
        let mut boot_info = BootInfo::new(MemoryRegions::from(&mut regions[..count]));
        boot_info.physical_memory_offset = Optional::Some(0);
        if info.rsdp != 0 {
            boot_info.rsdp_addr = Optional::Some(info.rsdp);
        }
        if let Some(module) = module {
            boot_info.ramdisk_addr = Optional::Some(module.address);
            boot_info.ramdisk_len = module.size;
        }
        let image = layout::image();
        boot_info.kernel_addr = image.start;
        boot_info.kernel_len = image.end - image.start;
        boot_info.kernel_image_offset = image.start;
        let stack = layout::main_stack().body;
        boot_info.kernel_stack_bottom = stack.start;
        boot_info.kernel_stack_len = stack.end - stack.start;
        let slot = &mut *addr_of_mut!(BOOT_INFO);
        crate::kernel_main(slot.insert(boot_info))
    }
}

/// # Safety
/// `address` is 0 or the physical address of a string that ends in a zero byte.
unsafe fn copy_command_line(address: u64) {
    if address == 0 {
        return;
    }
    // SAFETY: by the function's contract; the copy stops at the buffer's end.
    unsafe {
        let target = &mut *addr_of_mut!(COMMAND_LINE);
        let mut len = 0;
        while len < target.len() {
            let byte = *(address as *const u8).add(len);
            if byte == 0 {
                break;
            }
            target[len] = byte;
            len += 1;
        }
        COMMAND_LINE_LEN = len;
    }
}
