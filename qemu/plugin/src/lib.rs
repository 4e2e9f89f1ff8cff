//! A plugin for QEMU's translator that counts what the guest executes.
//!
//! ```text
//! qemu-system-x86_64 ... -plugin libquartz_plugin.so,out=FILE[,exits=on][,profile=on]
//! ```
//!
//! | argument | counts |
//! | --- | --- |
//! | `out=FILE` | instructions, into this file, whose layout is that of [`sheet`] |
//! | `exits=on` | writes to device registers too: notifications, timer, end of interrupt |
//! | `profile=on` | how often each instruction ran |
//!
//! A `rep` instruction counts once for each time that it repeats, as the translator executes it.
//! Owns the counting; what the figures mean is the benchmark's business.

mod api;
mod counters;
pub mod sheet;

use core::ffi::{CStr, c_int, c_uint, c_void};
use counters::Counters;
use sheet::Word;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static COUNTERS: OnceLock<Counters> = OnceLock::new();
static EXITS: AtomicBool = AtomicBool::new(false);
static PROFILE: AtomicBool = AtomicBool::new(false);

/// The one-byte instruction HLT.
const HLT: u8 = 0xf4;
/// Registers of virtio-mmio devices on a microvm: slots of 512 bytes.
const VIRTIO: core::ops::Range<u64> = 0xfeb0_0000..0xfeb0_3000;
const VIRTIO_SLOT: u64 = 0x200;
const QUEUE_NOTIFY: u64 = 0x50;
const INTERRUPT_ACK: u64 = 0x64;
const APIC_EOI: u64 = 0xfee0_00b0;
const APIC_INITIAL_COUNT: u64 = 0xfee0_0380;

/// Read by QEMU before anything else.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: c_int = api::VERSION;

/// Called by QEMU when it loads the plugin. 0: it may stay.
///
/// # Safety
/// `words` are `count` strings, each ended by a zero, as QEMU passes them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: api::Id,
    _info: *const api::Info,
    count: c_int,
    words: api::Arguments,
) -> c_int {
    let mut out = None;
    for at in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller's promise.
        let word = unsafe { CStr::from_ptr(*words.add(at)) }.to_string_lossy();
        match word.split_once('=') {
            Some(("out", path)) => out = Some(path.to_owned()),
            Some(("exits", value)) => EXITS.store(value == "on", Relaxed),
            Some(("profile", value)) => PROFILE.store(value == "on", Relaxed),
            _ => return refuse(&format!("unknown argument {word}")),
        }
    }
    let Some(out) = out else {
        return refuse("out=FILE is missing");
    };
    match Counters::create(&out) {
        Ok(counters) => {
            if COUNTERS.set(counters).is_err() {
                return refuse("loaded twice");
            }
        }
        Err(error) => return refuse(&format!("{out}: {error}")),
    }
    // SAFETY: `id` is the one that QEMU gave; the function lives as long as the process.
    unsafe { api::qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate) };
    0
}

fn refuse(why: &str) -> c_int {
    eprintln!("quartz-plugin: {why}");
    -1
}

extern "C" fn on_translate(_id: api::Id, block: *mut api::Block) {
    let Some(counters) = COUNTERS.get() else {
        return;
    };
    let exits = EXITS.load(Relaxed);
    let profile = PROFILE.load(Relaxed);
    // SAFETY: the block is QEMU's for the time of this call, as are its instructions; the words
    // to count in are mapped for good.
    unsafe {
        let len = api::qemu_plugin_tb_n_insns(block);
        let all = counters.place(Word::Instructions);
        api::qemu_plugin_register_vcpu_tb_exec_inline(block, api::ADD, all, len as u64);
        for at in 0..len {
            let instruction = api::qemu_plugin_tb_get_insn(block, at);
            let size = api::qemu_plugin_insn_size(instruction);
            if size == 1 && *api::qemu_plugin_insn_data(instruction) == HLT {
                count(instruction, counters.place(Word::Halts));
            }
            if exits {
                api::qemu_plugin_register_vcpu_mem_cb(
                    instruction,
                    on_write,
                    api::NO_REGISTERS,
                    api::WRITES,
                    core::ptr::null_mut(),
                );
            }
            if profile && let Some(row) = counters.row(api::qemu_plugin_insn_vaddr(instruction)) {
                count(instruction, row);
            }
        }
    }
}

/// Has QEMU count each execution of `instruction`.
///
/// # Safety
/// The instruction belongs to the block that is being translated; `word` stays mapped.
unsafe fn count(instruction: *mut api::Instruction, word: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { api::qemu_plugin_register_vcpu_insn_exec_inline(instruction, api::ADD, word, 1) };
}

extern "C" fn on_write(_cpu: c_uint, access: api::Access, address: u64, _data: *mut c_void) {
    let Some(counters) = COUNTERS.get() else {
        return;
    };
    // SAFETY: asked in the callback of the access itself, where QEMU answers; what it gives is
    // its own and is not kept.
    let physical = unsafe {
        let place = api::qemu_plugin_get_hwaddr(access, address);
        if place.is_null() || !api::qemu_plugin_hwaddr_is_io(place) {
            return;
        }
        api::qemu_plugin_hwaddr_phys_addr(place)
    };
    counters.add(match physical {
        APIC_EOI => Word::Interrupts,
        APIC_INITIAL_COUNT => Word::Timers,
        at if VIRTIO.contains(&at) => match at % VIRTIO_SLOT {
            QUEUE_NOTIFY => Word::Notifications,
            INTERRUPT_ACK => Word::Acknowledgements,
            _ => Word::OtherWrites,
        },
        _ => Word::OtherWrites,
    });
}
