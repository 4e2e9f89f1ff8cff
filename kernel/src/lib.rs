//! The Quartz kernel: the machine under a web site, as a library. A program is an [`Application`]
//! and one line; `src/main.rs` is the one that serves files alone.
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
//!
//! A program of one's own:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! use quartz_kernel::app::{Application, Body, Guest, Handler, Method, Reply, Request};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn handle(&mut self, _: &Request<'_>, _: &mut Reply<'_>, _: &Guest<'_>) -> Body {
//!         Body::Static(b"Hello\n")
//!     }
//! }
//!
//! quartz_kernel::application!(|| Application::new().route(Method::Get, "/hello", Hello));
//! ```
//!
//! Its build script hands the linker script on, which this package's build script names:
//!
//! ```ignore
//! fn main() {
//!     let script = std::env::var("DEP_QUARTZ_KERNEL_LINK_SCRIPT").expect("quartz-kernel is a dependency");
//!     println!("cargo:rustc-link-arg-bins=-T{script}");
//! }
//! ```
#![no_std]
#![feature(alloc_error_handler, optimize_attribute)]

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
mod reflect;
mod serial;
mod startup;
mod tap;

pub use quartz_net::app::{self, Application};
pub use quartz_net::{Duration, Instant};

use bootloader_api::BootInfo;

unsafe extern "Rust" {
    /// What [`application!`] defines.
    safe fn quartz_application() -> Application;
}

/// Makes a program of an application: the kernel boots, calls this function once, before there is
/// a network, and serves. It may allocate; what it returns lives as long as the guest.
#[macro_export]
macro_rules! application {
    ($make:expr) => {
        // SAFETY: the kernel alone declares this name, with this type.
        #[unsafe(no_mangle)]
        extern "Rust" fn quartz_application() -> $crate::Application {
            let make: fn() -> $crate::Application = $make;
            make()
        }
    };
}

/// Entry from the loader: the PVH stub here, or a `bootloader` disk image.
fn kernel_main(boot_info: &'static mut BootInfo) -> ! {
    startup::start(boot_info, quartz_application).run()
}
