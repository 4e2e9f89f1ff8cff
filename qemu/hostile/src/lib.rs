//! The hostile device: a vhost-user-net back end that misbehaves on command, and the other end of
//! its cable.
//!
//! QEMU attaches the [`Backend`] to the guest's virtio-mmio network card. The back end reads and
//! writes the guest's real rings, and the [`Board`] tells it which lies to tell. At the other end
//! of the cable sits a [`Client`]: a TCP/IP stack in this process, so that no test needs root, a
//! tap or a real network.
//!
//! ```text
//!   guest ── virtqueues in shared memory ── Backend ── Link ── Client ── the test
//!                                             ▲
//!                                           Board ◄── faults, from the test
//! ```
//!
//! It owns the device's side of VIRTIO 1.2, 2.7 and 5.1, and as much of the vhost-user protocol as
//! QEMU speaks to a network device. It shares no code with the guest's driver, so that the two
//! cannot agree on the same mistake; and it never runs in production.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod backend;
mod board;
mod client;
mod device;
mod fault;
mod http;
mod link;
mod memory;
mod noise;
mod protocol;
mod ring;
mod wake;

pub use backend::{Backend, BackendError};
pub use board::{Board, Lifetime, Order};
pub use client::{Client, ClientConfig, ClientError, Connection};
pub use device::{DeviceConfig, RingView, View};
pub use fault::{Fault, ParseFaultError, Queue};
pub use http::{HttpError, Response};
pub use link::Link;
