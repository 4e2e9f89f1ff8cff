//! The network device of Quartz: a virtqueue that cannot wedge, and virtio-net on it.
//!
//! Owns the split virtqueue with its ledger, the frames' buffers, the notifications in both
//! directions, and the way back when the device or the host misbehaves. It never knows a socket,
//! an address or HTTP. It uses virtio-drivers' transport, `Hal` and register types, and none of
//! its queues.
//!
//! From the bottom up:
//! - [`index`]: ring indices and the one comparison that the specification defines for them;
//! - `region`, `ring`, `pool`: DMA memory; with the interrupt registers, the only unsafe code;
//! - `ledger`: who owns each descriptor, checked and counted;
//! - `notify`: the two protocols with a fence in them, publishing and arming;
//! - `queue`: a virtqueue out of these;
//! - [`offload`], `header`, `checksum`: what is left to the device, and how it is told;
//! - `bringup`: reset, negotiation, set-up, each wait bounded;
//! - `probe`, `recovery`: a quiet network or a dead ring, and what to do about it;
//! - [`net`]: the driver as the kernel sees it;
//! - [`interrupt`]: what an interrupt handler needs of it.
#![cfg_attr(target_os = "none", feature(optimize_attribute))]
#![no_std]
#![deny(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(any(test, feature = "model"))]
extern crate std;

mod bringup;
mod checksum;
mod header;
pub mod index;
pub mod interrupt;
mod ledger;
#[cfg(any(test, feature = "model"))]
pub mod model;
pub mod net;
mod notify;
pub mod offload;
mod pool;
mod probe;
mod queue;
mod recovery;
mod region;
mod ring;

pub use bringup::NetError;
pub use interrupt::{InterruptLine, InterruptPort};
pub use ledger::{BadUsed, Length};
pub use net::{NetConfig, TransmitError, VirtioNet};
pub use offload::Offload;
pub use pool::RxFrame;
pub use recovery::{Cause, GivenUp};
