//! From the loader's hand to `kernel_main`.
//!
//! Owns the PVH entry and the translation of what the loader says into
//! [`bootloader_api::BootInfo`]. It never decides what to do with it.

mod pvh;

pub use pvh::command_line;
