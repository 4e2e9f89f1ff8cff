//! What an interrupt handler needs of the driver.
//!
//! Owns the two interrupt registers of a virtio-mmio device and the note that the handler leaves
//! for the main loop. It never touches a ring.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use virtio_drivers::transport::InterruptStatus;

/// Offset of `InterruptStatus` (VIRTIO 1.2, 4.2.2).
const STATUS: usize = 0x60;
/// Offset of `InterruptACK` (VIRTIO 1.2, 4.2.2).
const ACKNOWLEDGE: usize = 0x64;
/// Marks that there was an interrupt, whatever its status.
const NOTED: u32 = 1 << 31;

/// The note from the interrupt handler to the main loop: an interrupt came, and why.
#[derive(Debug, Default)]
pub struct InterruptLine(AtomicU32);

impl InterruptLine {
    /// A line that nothing came on.
    #[must_use]
    pub const fn new() -> InterruptLine {
        InterruptLine(AtomicU32::new(0))
    }

    /// Notes an interrupt. For the interrupt handler, after [`InterruptPort::acknowledge`].
    #[inline]
    pub fn note(&self, status: InterruptStatus) {
        // Release: what the device wrote before it interrupted is visible to who sees the note.
        self.0.fetch_or(status.bits() | NOTED, Ordering::Release);
    }

    /// Whether an interrupt was noted and not yet taken.
    #[must_use]
    #[inline]
    pub fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Takes the note: the status bits of the interrupts since the last time, if there were any.
    #[inline]
    pub(crate) fn take(&self) -> Option<InterruptStatus> {
        if !self.is_noted() {
            return None;
        }
        let bits = self.0.swap(0, Ordering::Acquire);
        Some(InterruptStatus::from_bits_truncate(bits))
    }
}

/// The interrupt registers of one virtio-mmio device, for use while the driver owns its transport.
///
/// Reading the status and writing what was read is all that it does; no other part of the driver
/// uses these two registers.
#[derive(Debug)]
pub struct InterruptPort {
    base: NonNull<u8>,
}

// SAFETY: the port is an address; the registers may be used from any core and any context.
unsafe impl Send for InterruptPort {}
// SAFETY: as above: `acknowledge` is one read and one write of a register, in any order with
// those of another caller.
unsafe impl Sync for InterruptPort {}

impl InterruptPort {
    /// The port of the device whose registers begin at `base`.
    ///
    /// # Safety
    /// `base` is the start of a virtio-mmio device's registers (VIRTIO 1.2, 4.2.2), mapped for as
    /// long as the port is used.
    #[must_use]
    pub unsafe fn new(base: NonNull<u8>) -> InterruptPort {
        InterruptPort { base }
    }

    /// Reads why the device interrupted and tells it so, upon which it lowers its line. Empty if
    /// it did not interrupt.
    #[inline]
    pub fn acknowledge(&self) -> InterruptStatus {
        // SAFETY: `new` was promised a device's registers; this one has no side effect.
        let status = unsafe { self.base.add(STATUS).cast::<u32>().read_volatile() };
        if status != 0 {
            // SAFETY: as above; writing lowers the line and does nothing else.
            unsafe {
                self.base
                    .add(ACKNOWLEDGE)
                    .cast::<u32>()
                    .write_volatile(status)
            };
        }
        InterruptStatus::from_bits_truncate(status)
    }
}

#[cfg(test)]
mod tests;
