//! What the stack asks of the machine below it.

use quartz_abi::RingStats;

/// The machine as the stack sees it: a place to put frames, and figures to show.
pub trait Host {
    /// Whether [`Host::transmit`] would take a frame now.
    fn can_transmit(&mut self) -> bool;

    /// Queues one Ethernet frame of `len` bytes, without frame check sequence, that `fill` writes.
    ///
    /// `None`, with `fill` not called, when the transmit ring is full.
    fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R>;

    /// Figures for `/stats.json`; called for that alone, and never while a received frame is
    /// being looked at.
    fn snapshot(&self) -> Snapshot;

    /// Bytes of the black box; 0: none is kept.
    fn black_box_len(&self) -> usize {
        0
    }

    /// Copies the black box from byte `at` on into `target`; says how many bytes those were.
    fn read_black_box(&self, _at: usize, _target: &mut [u8]) -> usize {
        0
    }
}

/// Figures of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The receive ring.
    pub rx: RingStats,
    /// The transmit ring.
    pub tx: RingStats,
    /// Bytes of the heap in use.
    pub heap_used: u64,
    /// Bytes of the heap.
    pub heap_total: u64,
    /// Time from the first instruction to the main loop, in microseconds.
    pub boot_us: u64,
}
