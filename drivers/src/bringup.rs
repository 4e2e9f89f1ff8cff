//! Bringing a device up: reset, negotiation, queues (VIRTIO 1.2, 3.1.1).
//!
//! Owns the order of these steps, the features that the driver understands, and the bounds of
//! every wait: a device that does not answer costs a fixed number of register reads. It never
//! touches ring memory.

use crate::header;
use crate::notify::Suppression;
use crate::pool::SLOT;
use core::fmt;
use virtio_drivers::transport::{DeviceStatus, DeviceType, Transport};
use virtio_drivers::{Hal, PAGE_SIZE};

use crate::queue::{Direction, Queue};

/// Status reads while the device resets. One read is a microsecond or more.
const RESET_READS: u32 = 10_000;
/// Attempts to read the configuration while it does not change (VIRTIO 1.2, 2.5.2).
const CONFIG_READS: u32 = 16;

const CSUM: u64 = 1 << 0;
const GUEST_CSUM: u64 = 1 << 1;
const MTU: u64 = 1 << 3;
const MAC: u64 = 1 << 5;
const HOST_TSO4: u64 = 1 << 11;
const HOST_TSO6: u64 = 1 << 12;
const STATUS: u64 = 1 << 16;
const ANY_LAYOUT: u64 = 1 << 27;
const INDIRECT_DESC: u64 = 1 << 28;
const EVENT_IDX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;
/// What it takes to have segments cut: the frames, and a descriptor for each part of one.
const CUTTING: u64 = CSUM | HOST_TSO4 | HOST_TSO6 | INDIRECT_DESC;
/// What the driver understands. Without merged buffers and segmentation offloads for reception
/// every received frame fits one slot.
const UNDERSTOOD: u64 =
    GUEST_CSUM | MTU | MAC | STATUS | ANY_LAYOUT | EVENT_IDX | VERSION_1 | CUTTING;

/// Offsets in the configuration space (VIRTIO 1.2, 5.1.4).
const CONFIG_MAC: usize = 0;
const CONFIG_STATUS: usize = 6;
const CONFIG_MTU: usize = 10;
const LINK_UP: u16 = 1;

const ETHERNET_HEADER: u16 = 14;
/// Largest frame that a slot holds, in bytes.
pub(crate) const LARGEST_FRAME: u16 = SLOT as u16 - header::MODERN as u16;
/// Smallest MTU that IPv4 allows (RFC 791).
const SMALLEST_MTU: u16 = 68;
/// The MTU of a device that names none.
const USUAL_MTU: u16 = 1500;

/// Why a device cannot be used, or not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetError {
    /// The device is of another type.
    NotNetwork,
    /// The registers read as all ones: there is no device behind them any more.
    Gone,
    /// The device did not finish its reset in time.
    ResetRefused,
    /// The device did not accept a subset of the features that it offered.
    FeaturesRefused,
    /// A version 2 device that does not offer `VIRTIO_F_VERSION_1`.
    NotModern,
    /// The device has no address, or a group address, or a configuration that cannot be read.
    Configuration,
    /// The device does not have this queue.
    NoQueue(u16),
    /// The device shrank this queue below what it had at boot.
    QueueTooSmall(u16),
    /// The queue is in use although the device was reset.
    QueueInUse(u16),
    /// The device did not take up work.
    NotLive,
    /// There is not enough DMA memory.
    OutOfMemory,
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNetwork => f.write_str("it is no network device"),
            Self::Gone => f.write_str("its registers read as all ones"),
            Self::ResetRefused => f.write_str("it does not finish its reset"),
            Self::FeaturesRefused => f.write_str("it refuses features that it offered"),
            Self::NotModern => f.write_str("it is of version 2 and does not offer VERSION_1"),
            Self::Configuration => f.write_str("it has no usable address or configuration"),
            Self::NoQueue(queue) => write!(f, "it has no queue {queue}"),
            Self::QueueTooSmall(queue) => write!(f, "its queue {queue} shrank"),
            Self::QueueInUse(queue) => write!(f, "its queue {queue} is in use after a reset"),
            Self::NotLive => f.write_str("it does not take up work"),
            Self::OutOfMemory => f.write_str("there is not enough DMA memory"),
        }
    }
}

impl core::error::Error for NetError {}

/// What driver and device agreed on. It holds until the next reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Bytes of the header before each frame.
    pub header: usize,
    /// How notifications are suppressed.
    pub suppression: Suppression,
    /// The device's address.
    pub mac: [u8; 6],
    /// Largest packet, in bytes without Ethernet header.
    pub mtu: u16,
    /// The device completes checksums of frames sent.
    pub tx_checksum: bool,
    /// The device cuts segments that are longer than one may be.
    pub tx_cut: bool,
    /// The device vouches for checksums of frames received.
    pub rx_checksum: bool,
    /// The device reports the link's state.
    pub reports_link: bool,
}

/// Resets the device and waits until it says so.
pub(crate) fn reset<T: Transport>(transport: &mut T) -> Result<(), NetError> {
    transport.set_status(DeviceStatus::empty());
    for _ in 0..RESET_READS {
        let status = transport.get_status();
        if status.is_empty() {
            return Ok(());
        }
        if is_gone(status) {
            return Err(NetError::Gone);
        }
        core::hint::spin_loop();
    }
    Err(NetError::ResetRefused)
}

/// Whether a status register reads as nothing does.
pub(crate) fn is_gone(status: DeviceStatus) -> bool {
    status.bits() == u32::MAX
}

/// Agrees with a device that was reset on the features.
pub(crate) fn negotiate<T: Transport>(transport: &mut T) -> Result<Session, NetError> {
    if transport.device_type() != DeviceType::Network {
        return Err(NetError::NotNetwork);
    }
    let legacy = transport.requires_legacy_layout();
    let mut status = DeviceStatus::ACKNOWLEDGE;
    transport.set_status(status);
    status |= DeviceStatus::DRIVER;
    transport.set_status(status);

    let mut features = transport.read_device_features() & UNDERSTOOD;
    if legacy {
        // The bit cannot be negotiated through the legacy registers.
        features &= !VERSION_1;
    } else if features & VERSION_1 == 0 {
        return Err(NetError::NotModern);
    }
    // All of it or nothing: nobody needs the parts.
    let tx_cut = features & CUTTING == CUTTING;
    if !tx_cut {
        features &= !CUTTING | CSUM;
    }
    let mtu = read_mtu(transport, &mut features)?;
    transport.write_driver_features(features);
    if !legacy {
        status |= DeviceStatus::FEATURES_OK;
        transport.set_status(status);
        if !transport.get_status().contains(status) {
            return Err(NetError::FeaturesRefused);
        }
    }
    transport.set_guest_page_size(PAGE_SIZE as u32);
    if legacy && features & ANY_LAYOUT == 0 {
        log::warn!(
            "virtio-net: a legacy device without ANY_LAYOUT; header and frame share a descriptor nevertheless"
        );
    }

    let mac = read_stable(transport, |t| {
        let mut mac = [0; 6];
        for (at, byte) in mac.iter_mut().enumerate() {
            *byte = t.read_config_space(CONFIG_MAC + at).ok()?;
        }
        Some(mac)
    });
    let mac = mac
        .filter(|mac| features & MAC != 0 && mac[0] & 1 == 0 && *mac != [0; 6])
        .ok_or(NetError::Configuration)?;
    Ok(Session {
        header: if legacy {
            header::LEGACY
        } else {
            header::MODERN
        },
        suppression: if features & EVENT_IDX != 0 {
            Suppression::EventIdx
        } else {
            Suppression::Flags
        },
        mac,
        mtu,
        tx_checksum: features & CSUM != 0,
        tx_cut,
        rx_checksum: features & GUEST_CSUM != 0,
        reports_link: features & STATUS != 0,
    })
}

/// The device's MTU. One that the slots cannot hold is not accepted (VIRTIO 1.2, 5.1.4.2).
fn read_mtu<T: Transport>(transport: &mut T, features: &mut u64) -> Result<u16, NetError> {
    if *features & MTU == 0 {
        return Ok(USUAL_MTU);
    }
    let mtu: u16 = read_stable(transport, |t| t.read_config_space(CONFIG_MTU).ok())
        .ok_or(NetError::Configuration)?;
    if (SMALLEST_MTU..=LARGEST_FRAME - ETHERNET_HEADER).contains(&mtu) {
        return Ok(mtu);
    }
    *features &= !MTU;
    Ok(USUAL_MTU)
}

/// Reads from the configuration space while it does not change (VIRTIO 1.2, 2.5.2).
fn read_stable<T: Transport, R>(transport: &T, read: impl Fn(&T) -> Option<R>) -> Option<R> {
    for _ in 0..CONFIG_READS {
        let before = transport.read_config_generation();
        let value = read(transport)?;
        // A legacy device has no such register, and reads the same twice.
        if transport.read_config_generation() == before {
            return Some(value);
        }
    }
    None
}

/// Whether the link is up, as far as the device tells.
pub(crate) fn link_is_up<T: Transport>(transport: &T) -> bool {
    match transport.read_config_space::<u16>(CONFIG_STATUS) {
        Ok(status) => status & LINK_UP != 0,
        Err(_) => true,
    }
}

/// The size for a queue: at most `wanted`, at most what the device has, a power of two.
pub(crate) fn queue_size<T: Transport>(
    transport: &mut T,
    queue: u16,
    wanted: u16,
) -> Result<u16, NetError> {
    let most = transport.max_queue_size(queue).min(u32::from(wanted));
    // At most 16 bits, and 2^15 is the largest power of two among them.
    match most.checked_ilog2() {
        Some(log) if log > 0 => Ok(1 << log),
        _ => Err(NetError::NoQueue(queue)),
    }
}

/// Tells a device that was reset where `queue` lies.
pub(crate) fn attach<T: Transport, H: Hal>(
    transport: &mut T,
    direction: Direction,
    queue: &Queue<H>,
) -> Result<(), NetError> {
    let number = direction.queue();
    if transport.queue_used(number) {
        return Err(NetError::QueueInUse(number));
    }
    if transport.max_queue_size(number) < u32::from(queue.size()) {
        return Err(NetError::QueueTooSmall(number));
    }
    let [descriptors, driver, device] = queue.addresses();
    transport.queue_set(number, queue.size().into(), descriptors, driver, device);
    Ok(())
}

/// Lets the device begin, and looks whether it did.
pub(crate) fn go_live<T: Transport>(transport: &mut T) -> Result<(), NetError> {
    transport.set_status(working(transport));
    match standing(transport) {
        Standing::Working => Ok(()),
        Standing::Gone => Err(NetError::Gone),
        Standing::NeedsReset | Standing::Lost => Err(NetError::NotLive),
    }
}

fn working<T: Transport>(transport: &T) -> DeviceStatus {
    let status = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER | DeviceStatus::DRIVER_OK;
    if transport.requires_legacy_layout() {
        status
    } else {
        status | DeviceStatus::FEATURES_OK
    }
}

/// What the status register says about a device that was brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It works.
    Working,
    /// It asks for a reset (VIRTIO 1.2, 2.1.2).
    NeedsReset,
    /// It forgot that it was brought up.
    Lost,
    /// There is no device any more.
    Gone,
}

/// Asks the device how it stands: one register read.
pub(crate) fn standing<T: Transport>(transport: &T) -> Standing {
    let status = transport.get_status();
    if is_gone(status) {
        Standing::Gone
    } else if status.contains(DeviceStatus::DEVICE_NEEDS_RESET) {
        Standing::NeedsReset
    } else if !status.contains(working(transport)) || status.contains(DeviceStatus::FAILED) {
        Standing::Lost
    } else {
        Standing::Working
    }
}
