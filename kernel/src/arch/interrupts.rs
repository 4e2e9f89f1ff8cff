//! What an interrupt does: acknowledge, note, return. All work is the main loop's.

use super::apic;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
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
static TIMERS: Count = Count::new();
static SERIALS: Count = Count::new();
static SPURIOUS_ONES: Count = Count::new();
static UNEXPECTED: Count = Count::new();

/// A number that grows in handlers alone, where nothing comes in between.
struct Count(AtomicU64);

impl Count {
    const fn new() -> Count {
        Count(AtomicU64::new(0))
    }

    fn add(&self) {
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }
}

/// Interrupts so far. Those of the network device are counted by its rings.
pub struct Counts {
    /// Of the timer.
    pub timer: u64,
    /// Of the serial port.
    pub serial: u64,
    /// That went away before they were taken.
    pub spurious: u64,
    /// On vectors that nothing was routed to.
    pub unexpected: u64,
}

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

/// Whether the serial port wants service. For who is about to sleep.
pub fn is_serial_noted() -> bool {
    SERIAL_NOTED.load(Relaxed)
}

/// How many interrupts there were.
pub fn counts() -> Counts {
    let read = |count: &Count| count.0.load(Relaxed);
    Counts {
        timer: read(&TIMERS),
        serial: read(&SERIALS),
        spurious: read(&SPURIOUS_ONES),
        unexpected: read(&UNEXPECTED),
    }
}

/// Called by the stubs with interrupts off.
pub extern "C" fn dispatch(vector: u64) {
    match vector as u8 {
        TIMER => {
            TIMERS.add();
            TIMER_FIRED.store(true, Relaxed);
        }
        SERIAL => {
            SERIALS.add();
            SERIAL_NOTED.store(true, Relaxed);
        }
        NIC => {
            // The device holds its line until it is told: before the end of interrupt, or the
            // level-triggered line fires again at once.
            if let Some(port) = NIC_PORT.get() {
                NIC_LINE.note(port.acknowledge());
            }
        }
        SPURIOUS => {
            SPURIOUS_ONES.add();
            return;
        }
        _ => UNEXPECTED.add(),
    }
    apic::end_of_interrupt();
}
