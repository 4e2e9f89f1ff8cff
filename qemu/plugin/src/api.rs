//! The part of QEMU's plugin interface (version 1: QEMU 6.0 to 8.x) that is used here, as
//! `qemu-plugin.h` declares it. QEMU gives these functions to the plugins that it loads.

use core::ffi::{c_char, c_int, c_uint, c_void};

/// The version that this plugin is written for.
pub const VERSION: c_int = 1;
/// A callback that does not read registers (`QEMU_PLUGIN_CB_NO_REGS`).
pub const NO_REGISTERS: c_int = 0;
/// Writes to memory (`QEMU_PLUGIN_MEM_W`).
pub const WRITES: c_int = 2;
/// Adds to a 64-bit word (`QEMU_PLUGIN_INLINE_ADD_U64`).
pub const ADD: c_int = 0;

/// Identifies the plugin to QEMU.
pub type Id = u64;
/// What is known of one access to memory.
pub type Access = u32;

/// A block of translated instructions.
#[repr(C)]
pub struct Block {
    _opaque: [u8; 0],
}

/// One translated instruction.
#[repr(C)]
pub struct Instruction {
    _opaque: [u8; 0],
}

/// Where an access leads.
#[repr(C)]
pub struct HardwareAddress {
    _opaque: [u8; 0],
}

/// What QEMU tells of itself.
#[repr(C)]
pub struct Info {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, on: extern "C" fn(Id, *mut Block));
    pub fn qemu_plugin_register_vcpu_tb_exec_inline(
        block: *mut Block,
        operation: c_int,
        word: *mut c_void,
        operand: u64,
    );
    pub fn qemu_plugin_register_vcpu_insn_exec_inline(
        instruction: *mut Instruction,
        operation: c_int,
        word: *mut c_void,
        operand: u64,
    );
    pub fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Instruction,
        on: extern "C" fn(c_uint, Access, u64, *mut c_void),
        flags: c_int,
        accesses: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub fn qemu_plugin_tb_get_insn(block: *const Block, at: usize) -> *mut Instruction;
    pub fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    pub fn qemu_plugin_insn_data(instruction: *const Instruction) -> *const u8;
    pub fn qemu_plugin_insn_size(instruction: *const Instruction) -> usize;
    pub fn qemu_plugin_get_hwaddr(access: Access, address: u64) -> *const HardwareAddress;
    pub fn qemu_plugin_hwaddr_is_io(address: *const HardwareAddress) -> bool;
    pub fn qemu_plugin_hwaddr_phys_addr(address: *const HardwareAddress) -> u64;
}

/// Arguments as C hands them over.
pub type Arguments = *mut *mut c_char;
