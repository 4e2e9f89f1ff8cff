//! The interrupt controllers: the processor's local APIC with its timer, and the I/O APICs
//! (Intel SDM 3, chapter 11; 82093AA data sheet).

use core::ops::Range;
use x86_64::instructions::port::Port;

/// Registers of the local APIC.
pub const LOCAL: Range<u64> = 0xfee0_0000..0xfee0_1000;
/// Registers of the first I/O APIC.
pub const IO_1: Range<u64> = 0xfec0_0000..0xfec0_1000;
/// Registers of microvm's second I/O APIC (`acpi=on`).
pub const IO_2: Range<u64> = 0xfec1_0000..0xfec1_1000;

/// Ticks of the timer in a second at divide 1: QEMU's `APIC_BUS_FREQUENCY`, for TCG and for KVM.
pub const TIMER_HZ: u64 = 1_000_000_000;

#[derive(Clone, Copy)]
#[repr(u64)]
enum Register {
    Eoi = 0xb0,
    Spurious = 0xf0,
    Timer = 0x320,
    Lint0 = 0x350,
    Lint1 = 0x360,
    Error = 0x370,
    InitialCount = 0x380,
    CurrentCount = 0x390,
    Divide = 0x3e0,
}

const MASKED: u32 = 1 << 16;
const NMI: u32 = 0b100 << 8;
const ENABLE: u32 = 1 << 8;
const DIVIDE_BY_1: u32 = 0b1011;

fn write(register: Register, value: u32) {
    // SAFETY: the local APIC answers at its architectural address, which is mapped uncached.
    unsafe { ((LOCAL.start + register as u64) as *mut u32).write_volatile(value) }
}

fn read(register: Register) -> u32 {
    // SAFETY: as for `write`.
    unsafe { ((LOCAL.start + register as u64) as *const u32).read_volatile() }
}

/// Turns the local APIC on, the old 8259 pair off, and the 8254 timer quiet. The APIC's timer is
/// one-shot and silent.
pub fn init(timer_vector: u8, spurious_vector: u8) {
    // SAFETY: masks every line of the two 8259s, whose mask registers these are.
    unsafe {
        Port::<u8>::new(0x21).write(0xff);
        Port::<u8>::new(0xa1).write(0xff);
    }
    // SAFETY: the 8254's mode register and its first counter. From reset on that counter makes a
    // square wave, for which QEMU's thread gets up 36 times a second. In mode 0 it counts once.
    unsafe {
        Port::<u8>::new(0x43).write(0x30);
        Port::<u8>::new(0x40).write(1);
        Port::<u8>::new(0x40).write(0);
    }
    write(Register::Spurious, ENABLE | u32::from(spurious_vector));
    write(Register::Lint0, MASKED);
    write(Register::Lint1, NMI);
    write(Register::Error, MASKED);
    write(Register::Divide, DIVIDE_BY_1);
    write(Register::Timer, u32::from(timer_vector));
    write(Register::InitialCount, 0);
}

/// Ends the interrupt in service.
pub fn end_of_interrupt() {
    write(Register::Eoi, 0);
}

/// Lets the timer fire once, after `ticks`; 0 stops it.
pub fn start_timer(ticks: u32) {
    write(Register::InitialCount, ticks);
}

/// Ticks that are left.
pub fn timer_left() -> u32 {
    read(Register::CurrentCount)
}

/// Reads a register, for the sake of the access.
pub fn touch() {
    read(Register::Spurious);
}

/// How a line tells that it wants service.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// On a rising edge (ISA).
    Edge,
    /// As long as the line is up.
    Level,
}

/// One I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApic {
    base: u64,
}

impl IoApic {
    /// The controller at `registers`, if one answers there.
    pub fn find(registers: &Range<u64>) -> Option<IoApic> {
        let apic = IoApic {
            base: registers.start,
        };
        // An address without a device reads as all zero or all one.
        let version = apic.read(1);
        (version != 0 && version != u32::MAX).then_some(apic)
    }

    /// How many lines it has.
    pub fn pins(self) -> u32 {
        ((self.read(1) >> 16) & 0xff) + 1
    }

    /// Delivers line `pin` to this processor as `vector`.
    ///
    /// # Panics
    /// The controller has no such line.
    pub fn route(self, pin: u32, vector: u8, trigger: Trigger) {
        assert!(pin < self.pins(), "the I/O APIC has no pin {pin}");
        let level = u32::from(trigger == Trigger::Level) << 15;
        // Destination: local APIC 0, the only one. High half first: the low half unmasks.
        self.write(0x10 + 2 * pin + 1, 0);
        self.write(0x10 + 2 * pin, level | u32::from(vector));
    }

    fn read(self, index: u32) -> u32 {
        // SAFETY: select and window register of a mapped I/O APIC, or an address without device.
        unsafe {
            (self.base as *mut u32).write_volatile(index);
            ((self.base + 0x10) as *const u32).read_volatile()
        }
    }

    fn write(self, index: u32, value: u32) {
        // SAFETY: as for `read`.
        unsafe {
            (self.base as *mut u32).write_volatile(index);
            ((self.base + 0x10) as *mut u32).write_volatile(value);
        }
    }
}
