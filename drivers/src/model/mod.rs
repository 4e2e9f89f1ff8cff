//! A virtio-net device in software, for tests on a host: the other side of every ring.
//!
//! Owns a device that works through the rings the way QEMU's does, behind virtio-drivers'
//! `Transport` and `Hal`, and that can be told to misbehave. It also watches the driver and keeps
//! a list of what the driver did against the specification. It is never part of a kernel.

mod attributes;
mod device;
mod engine;
mod memory;
mod registers;
mod rig;
mod script;
mod town;

pub use attributes::{Attributes, Fault, Sent, Tamper, feature};
pub use device::Model;
pub use engine::State;
pub use memory::{ModelHal, live_regions};
pub use registers::ModelTransport;
pub use rig::{Rig, TICK_US};
pub use script::{End, play};
pub use town::Town;
