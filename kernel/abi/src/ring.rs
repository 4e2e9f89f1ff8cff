//! The figures of one virtqueue, as `/stats.json`, the console and the black box show them.

/// Indices and counters of one split virtqueue (VIRTIO 1.2, 2.7).
///
/// Indices are the raw 16-bit values; they wrap at 65,536. Counters only grow, over resets too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RingStats {
    /// Number of descriptors in the ring.
    pub size: u16,
    /// `avail.idx`: the next entry that the driver will publish.
    pub avail_idx: u16,
    /// The device's `used.idx` as last read.
    pub used_idx: u16,
    /// `avail_idx − used_idx`: descriptors that the device owns.
    pub gap: u16,
    /// Descriptors that nobody holds: neither the device nor a live frame.
    pub free: u16,
    /// Used entries taken in.
    pub harvested: u64,
    /// Buffers made available to the device.
    pub posted: u64,
    /// Notifications sent to the device.
    pub kicks: u64,
    /// Interrupts that this queue's work explains.
    pub interrupts: u64,
    /// Interrupts that found nothing to do.
    pub spurious: u64,
    /// Times that used entries were found although no interrupt had announced them.
    pub missed_interrupts: u64,
    /// Kicks repeated because the device had not moved.
    pub rekicks: u64,
    /// Used entries that named no outstanding buffer, or a length beyond it.
    pub bad_used: u64,
    /// Device resets that this queue went through.
    pub resets: u64,
}
