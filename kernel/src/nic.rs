//! Finding the network device and the interrupt line that it uses.
//!
//! QEMU's microvm has virtio-mmio slots, 512 bytes each, filled from the last one down, so that
//! the first device on QEMU's command line has the highest slot. Which I/O APIC pin a slot uses
//! depends on the machine:
//!
//! | machine | slots | pin of slot `i` |
//! | --- | --- | --- |
//! | `acpi=off` | 8 | first I/O APIC, 5 + i |
//! | `acpi=on` | 24 | second I/O APIC, i |
//! | `acpi=on,ioapic2=off` | 8 | first I/O APIC, 16 + i |

use crate::arch::apic::{self, IoApic};
use core::ops::Range;
use core::ptr::NonNull;
use quartz_abi::CommandLine;
use quartz_drivers::InterruptPort;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport};

const BASE: u64 = 0xfeb0_0000;
const SLOT: u64 = 512;
const SLOTS: u64 = 24;

/// Every slot's registers.
pub const REGISTERS: Range<u64> = BASE..BASE + SLOTS * SLOT;

/// A network device, found and not yet driven.
pub struct Nic {
    /// Its registers.
    pub transport: MmioTransport<'static>,
    /// Its interrupt registers.
    pub interrupts: InterruptPort,
    /// The controller that its line leads to.
    pub controller: IoApic,
    /// The line.
    pub pin: u32,
    /// Number of the slot.
    pub slot: u64,
}

/// The first network device on QEMU's command line, if there is one.
///
/// # Safety
/// Called once, with [`REGISTERS`] and the I/O APICs mapped: the device gets one owner.
pub unsafe fn find(command_line: &CommandLine, has_acpi: bool) -> Option<Nic> {
    let first = IoApic::find(&apic::IO_1)?;
    let second = IoApic::find(&apic::IO_2);
    for slot in (0..SLOTS).rev() {
        let base = BASE + slot * SLOT;
        let header = NonNull::new(base as *mut VirtIOHeader)?;
        // SAFETY: a slot's registers are mapped for good; an empty or foreign address reads as
        // something that `new` refuses. Dropping a transport resets its device, which is right
        // for devices that nobody drives.
        let transport = match unsafe { MmioTransport::new(header, SLOT as usize) } {
            Ok(transport) => transport,
            Err(_) => continue,
        };
        log::debug!("virtio slot {slot}: {:?}", transport.device_type());
        if transport.device_type() != DeviceType::Network {
            continue;
        }
        let hint = command_line.devices().find(|d| d.base == base);
        let (controller, pin) = match (hint, second) {
            (Some(hint), _) => (first, hint.irq),
            (None, Some(second)) => (second, slot as u32),
            (None, None) if has_acpi => (first, 16 + slot as u32),
            (None, None) => (first, 5 + slot as u32),
        };
        // SAFETY: the device's own registers, used for acknowledging only.
        let interrupts = unsafe { InterruptPort::new(header.cast()) };
        return Some(Nic {
            transport,
            interrupts,
            controller,
            pin,
            slot,
        });
    }
    None
}
