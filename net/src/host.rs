//! What the stack asks of the machine below it.

use quartz_abi::RingStats;

/// The machine as the stack sees it: a place to put frames, and figures to show.
pub trait Host {
    /// Whether [`Host::transmit`] would take a frame now.
    fn can_transmit(&mut self) -> bool;

    /// Queues one Ethernet frame, without frame check sequence, of which `fill` writes
    /// [`Outgoing::len`] bytes.
    ///
    /// `None`, with `fill` not called, when the transmit ring is full.
    fn transmit<R>(&mut self, frame: &Outgoing, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R>;

    /// Whether frames may be longer than the link allows now, to be [cut](Cut) below.
    fn cuts(&self) -> bool {
        false
    }

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

/// What there is to know of a frame before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Bytes that are written: all of the frame but its tail.
    pub len: usize,
    /// Its TCP header begins here, in bytes from the frame's first, and the sum of the
    /// pseudo-header lies in its checksum field: the checksum has to be completed below. Only for a
    /// stack whose configuration says that it may be left.
    pub partial: Option<u16>,
    /// It is longer than the link allows.
    pub cut: Option<Cut>,
}

impl Outgoing {
    /// A frame that goes as it is written.
    #[must_use]
    pub fn plain(len: usize) -> Outgoing {
        Outgoing {
            len,
            partial: None,
            cut: None,
        }
    }
}

/// How a TCP segment that is longer than the link allows is cut (segmentation offload).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// By IPv6, else by IPv4.
    pub ipv6: bool,
    /// Bytes of headers in front of the data, that of Ethernet included.
    pub headers: u16,
    /// Most bytes of data in each segment.
    pub size: u16,
    /// What follows the bytes that are written. They are read where they lie.
    pub tail: &'static [u8],
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
    /// How often memory was asked for since boot.
    pub heap_allocations: u64,
    /// Time from the first instruction to the main loop, in microseconds.
    pub boot_us: u64,
}
