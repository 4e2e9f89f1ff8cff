//! Exit codes: how the guest ended, told through QEMU's `isa-debug-exit` device.
//!
//! The guest writes the code to [`PORT`]; QEMU then ends with the process status
//! `(code << 1) | 1`, so no guest code can be taken for QEMU's own 0 or 1.

use core::fmt;

/// I/O port of the `isa-debug-exit` device (`-device isa-debug-exit,iobase=0xf4,iosize=4`).
pub const PORT: u16 = 0xf4;

/// Why the guest stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ExitCode {
    /// A stop that was asked for: drained, nothing in flight.
    CleanStop = 0x10,
    /// The kernel panicked: a bug in Quartz.
    Panic = 0x11,
    /// The network device could not be brought back by resets.
    RingGivenUp = 0x12,
    /// An allocation failed, or the machine has too little memory to start.
    OutOfMemory = 0x13,
    /// The command line names an unknown key or a bad value.
    BadCommandLine = 0x14,
    /// The processor raised an exception (page fault, divide error, …).
    Exception = 0x15,
    /// The site image (initrd) was refused.
    BadSite = 0x16,
    /// No usable virtio network device was found.
    NoDevice = 0x17,
    /// A stop that was asked for, to be started again.
    Reboot = 0x18,
}

impl ExitCode {
    /// Every code, in ascending order.
    pub const ALL: [ExitCode; 9] = [
        ExitCode::CleanStop,
        ExitCode::Panic,
        ExitCode::RingGivenUp,
        ExitCode::OutOfMemory,
        ExitCode::BadCommandLine,
        ExitCode::Exception,
        ExitCode::BadSite,
        ExitCode::NoDevice,
        ExitCode::Reboot,
    ];

    /// The status that the QEMU process ends with.
    #[must_use]
    pub const fn qemu_status(self) -> i32 {
        ((self as i32) << 1) | 1
    }

    /// The code behind a QEMU process status, if the guest wrote one.
    #[must_use]
    pub fn from_qemu_status(status: i32) -> Option<ExitCode> {
        Self::ALL
            .into_iter()
            .find(|code| code.qemu_status() == status)
    }

    /// One sentence for a person.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            ExitCode::CleanStop => "the guest stopped as asked",
            ExitCode::Panic => "the guest's kernel panicked",
            ExitCode::RingGivenUp => "the guest gave its network device up: resets did not help",
            ExitCode::OutOfMemory => "the guest ran out of memory",
            ExitCode::BadCommandLine => "the guest refused its command line",
            ExitCode::Exception => "the guest's processor raised an exception",
            ExitCode::BadSite => "the guest refused its site image",
            ExitCode::NoDevice => "the guest found no virtio network device",
            ExitCode::Reboot => "the guest asked to be started again",
        }
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_trip_through_qemu() {
        for code in ExitCode::ALL {
            assert_eq!(ExitCode::from_qemu_status(code.qemu_status()), Some(code));
        }
    }

    #[test]
    fn the_statuses_qemu_uses_itself_are_no_guest_codes() {
        for status in [-1, 0, 1, 2, 137] {
            assert_eq!(ExitCode::from_qemu_status(status), None);
        }
    }
}
