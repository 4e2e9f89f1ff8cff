//! What a model device is like, and how it can misbehave.

use std::vec::Vec;
use virtio_drivers::transport::DeviceType;

/// Feature bits that the model knows.
pub mod feature {
    /// The device completes checksums.
    pub const CSUM: u64 = 1 << 0;
    /// The driver takes frames with partial checksums.
    pub const GUEST_CSUM: u64 = 1 << 1;
    /// The device tells its MTU.
    pub const MTU: u64 = 1 << 3;
    /// The device has an address.
    pub const MAC: u64 = 1 << 5;
    /// The device cuts TCP segments over IPv4.
    pub const HOST_TSO4: u64 = 1 << 11;
    /// The device cuts TCP segments over IPv6.
    pub const HOST_TSO6: u64 = 1 << 12;
    /// Merged receive buffers.
    pub const MRG_RXBUF: u64 = 1 << 15;
    /// The device reports the link.
    pub const STATUS: u64 = 1 << 16;
    /// Legacy: any layout of buffers.
    pub const ANY_LAYOUT: u64 = 1 << 27;
    /// Descriptors may lead to tables of descriptors.
    pub const INDIRECT_DESC: u64 = 1 << 28;
    /// Event indices.
    pub const EVENT_IDX: u64 = 1 << 29;
    /// Version 1.
    pub const VERSION_1: u64 = 1 << 32;
}

/// What the device is like. May be changed while it runs; the driver sees it at its next look.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// Legacy registers (version 1) and layout.
    pub legacy: bool,
    /// Features that it offers.
    pub features: u64,
    /// Largest size of each queue.
    pub queue_max: [u32; 2],
    /// Its address.
    pub mac: [u8; 6],
    /// Its MTU.
    pub mtu: u16,
    /// Whether its link is up.
    pub link_up: bool,
    /// Type of the device.
    pub device_type: DeviceType,
    /// Length that it writes in used entries of sent frames.
    pub sent_len: u32,
}

impl Attributes {
    /// A device as QEMU's on a tap: every feature that the driver understands.
    #[must_use]
    pub fn tap(legacy: bool) -> Attributes {
        use feature::{
            ANY_LAYOUT, CSUM, EVENT_IDX, GUEST_CSUM, HOST_TSO4, HOST_TSO6, INDIRECT_DESC, MAC,
            MRG_RXBUF, MTU, STATUS, VERSION_1,
        };
        let version = if legacy { ANY_LAYOUT } else { VERSION_1 };
        Attributes {
            legacy,
            features: CSUM
                | GUEST_CSUM
                | MTU
                | MAC
                | HOST_TSO4
                | HOST_TSO6
                | MRG_RXBUF
                | STATUS
                | INDIRECT_DESC
                | EVENT_IDX
                | version,
            queue_max: [1024; 2],
            mac: [0x52, 0x54, 0, 0x12, 0x34, 0x56],
            mtu: 1500,
            link_up: true,
            device_type: DeviceType::Network,
            sent_len: 0,
        }
    }

    /// The same without event indices: notifications are suppressed by flags.
    #[must_use]
    pub fn flags(legacy: bool) -> Attributes {
        let mut attributes = Attributes::tap(legacy);
        attributes.features &= !feature::EVENT_IDX;
        attributes
    }
}

/// A way to misbehave that lasts until it is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The status register never reads as 0 after a reset.
    ResetHangs,
    /// All registers read as all ones.
    Gone,
    /// `FEATURES_OK` does not stay set.
    RefusesFeatures,
    /// `DRIVER_OK` does not stay set.
    RefusesToStart,
    /// Queues stay in use over a reset.
    QueuesStay,
    /// The configuration's generation changes with each read.
    RestlessConfiguration,
    /// The configuration space cannot be read.
    NoConfiguration,
    /// The receive queue is not worked on: the incident.
    ReceiveFrozen,
    /// The transmit queue is not worked on.
    TransmitFrozen,
    /// Kicks are lost.
    Deaf,
    /// Interrupts are lost.
    Mute,
    /// Every used entry interrupts, wanted or not.
    Noisy,
    /// Used entries come in reverse order.
    Reversed,
    /// The driver's wish for silence is not heeded, and it is told to kick always.
    Eager,
    /// The device never asks for a kick, and sleeps nevertheless.
    Sulky,
}

/// What is wrong with the next used entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// Another id.
    Id(u32),
    /// Another length.
    Len(u32),
    /// The id of the entry before.
    Repeat,
    /// `used.idx` moves by this on top (modulo 2^16).
    Skip(u16),
    /// `used.idx` moves, and the entry is not written.
    Stale,
}

/// A frame that the driver sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The virtio-net header.
    pub header: Vec<u8>,
    /// The Ethernet frame.
    pub frame: Vec<u8>,
}
