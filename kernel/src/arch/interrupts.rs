//! What an interrupt does: acknowledge, note, return. All work is the main loop's.

use super::apic;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use quartz_drivers::{InterruptLine, InterruptPort};
use spin::Once;

/// Vector of the local APIC's timer.
pub const TIMER: u8 = 0x20;
/// Vector of the network device.
pub const NIC: u8 = 0x21;
/// Vector of the serial port.
pub const SERIAL: u8 = 0x22;
/// Vector that the local APIC raises when an interrupt went away. It wants no end.
pub const SPURIOUS: u8 = 0xff;

/// What the network device's interrupts said.
pub static NIC_LINE: InterruptLine = InterruptLine::new();
static NIC_PORT: Once<InterruptPort> = Once::new();
static TIMER_FIRED: AtomicBool = AtomicBool::new(false);
static SERIAL_NOTED: AtomicBool = AtomicBool::new(false);
static UNEXPECTED: AtomicU32 = AtomicU32::new(0);

/// Gives the handler the device's interrupt registers. Before this, its line must not be routed.
pub fn set_nic(port: InterruptPort) {
    NIC_PORT.call_once(|| port);
}

/// Whether the timer fired since the last call.
pub fn take_timer() -> bool {
    TIMER_FIRED.load(Relaxed) && TIMER_FIRED.swap(false, Relaxed)
}

/// Whether the serial port wanted service since the last call.
pub fn take_serial() -> bool {
    SERIAL_NOTED.load(Relaxed) && SERIAL_NOTED.swap(false, Relaxed)
}

/// Interrupts on vectors that nothing was routed to.
pub fn unexpected() -> u32 {
    UNEXPECTED.load(Relaxed)
}

/// Called by the stubs with interrupts off.
pub extern "C" fn dispatch(vector: u64) {
    match vector as u8 {
        TIMER => TIMER_FIRED.store(true, Relaxed),
        SERIAL => SERIAL_NOTED.store(true, Relaxed),
        NIC => {
            // The device holds its line until it is told: before the end of interrupt, or the
            // level-triggered line fires again at once.
            if let Some(port) = NIC_PORT.get() {
                NIC_LINE.note(port.acknowledge());
            }
        }
        SPURIOUS => return,
        _ => {
            UNEXPECTED.fetch_add(1, Relaxed);
        }
    }
    apic::end_of_interrupt();
}
