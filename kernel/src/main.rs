//! The Quartz kernel: the machine under a web site.
//!
//! Owns the processor, memory, interrupts, time, the console, the way a failing kernel ends, and
//! the one loop that moves frames between the network device (`quartz-drivers`) and the protocol
//! stack (`quartz-net`). It never contains protocol or ring logic.
//!
//! Principles:
//! - One core, one loop, one address space. An interrupt acknowledges, notes and returns.
//! - Everything is reserved at boot and bounded by the machine's memory.
//! - Nothing is both writable and executable; page 0 and the guard pages are absent.
//! - An end has a reason, a report and an exit code; there is no silent one.
#![no_std]
#![no_main]
#![feature(alloc_error_handler)]

extern crate alloc;

mod arch;
mod blackbox;
mod boot;
mod console;
mod failure;
mod logger;
mod machine;
mod memory;
mod nic;
mod provoke;
mod serial;
mod startup;

use bootloader_api::BootInfo;

/// Entry from the loader: the PVH stub here, or a `bootloader` disk image.
fn kernel_main(boot_info: &'static mut BootInfo) -> ! {
    startup::start(boot_info).run()
}
