//! The file in which the plugin keeps its counters: mapped by QEMU, read by the benchmark at any
//! moment. 64-bit little-endian words.
//!
//! | word | is |
//! | --- | --- |
//! | 0 | [`MAGIC`] |
//! | 1…[`Word::COUNT`] | the counters, see [`Word`] |
//! | from byte [`ROWS_AT`] | rows of the profile: an instruction's address, how often it ran |

/// What the file begins with.
pub const MAGIC: u64 = u64::from_le_bytes(*b"QZCOUNT1");
/// Where the rows begin, in bytes.
pub const ROWS_AT: usize = 4096;
/// Bytes of a row.
pub const ROW: usize = 16;
/// Most rows.
pub const ROWS: usize = 1 << 18;

/// A counter's place, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Word {
    /// Instructions that were executed.
    Instructions = 1,
    /// HLT instructions among them.
    Halts,
    /// Writes to the local APIC's end-of-interrupt register.
    Interrupts,
    /// Writes to the queue-notify register of a virtio-mmio device.
    Notifications,
    /// Writes to the local APIC's initial-count register.
    Timers,
    /// Writes to the interrupt-acknowledge register of a virtio-mmio device.
    Acknowledgements,
    /// Other writes to device registers.
    OtherWrites,
    /// Rows that are in use.
    Rows,
    /// Instructions for which there was no row.
    RowsLost,
}

impl Word {
    /// Number of counters.
    pub const COUNT: usize = Word::RowsLost as usize;
}
