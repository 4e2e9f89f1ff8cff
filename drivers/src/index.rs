//! Ring indices: counters modulo 2^16, and the one test that the specification defines on them.
//!
//! Owns the arithmetic. It never offers an order: of two indices modulo 2^16 neither is the
//! smaller one, and a comparison with `<` or `>=` is wrong once in 65,536 entries.

use core::fmt;

/// An index of the available or used ring (VIRTIO 1.2, 2.7.6 and 2.7.8).
///
/// Free-running: it counts entries, wraps at 65,536, and names slot `index mod size`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RingIndex(u16);

impl RingIndex {
    /// Where both rings begin after a reset.
    pub const ZERO: RingIndex = RingIndex(0);

    /// The index with this raw value.
    #[must_use]
    pub const fn new(raw: u16) -> RingIndex {
        RingIndex(raw)
    }

    /// The raw value, as it lies in ring memory.
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// The index `count` entries later.
    #[must_use]
    pub const fn plus(self, count: u16) -> RingIndex {
        RingIndex(self.0.wrapping_add(count))
    }

    /// The index `count` entries earlier.
    #[must_use]
    pub const fn minus(self, count: u16) -> RingIndex {
        RingIndex(self.0.wrapping_sub(count))
    }

    /// Entries from `earlier` to here, taking it that fewer than 65,536 lie between.
    #[must_use]
    pub const fn since(self, earlier: RingIndex) -> u16 {
        self.0.wrapping_sub(earlier.0)
    }
}

impl fmt::Display for RingIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether moving an index from `old` to `new` passes `event`, so that the other side wants to
/// be told: `vring_need_event` (VIRTIO 1.2, 2.7.7.2 and 2.7.10).
///
/// True when the entry with index `event` is among the entries `old..new`.
#[must_use]
pub const fn need_event(event: RingIndex, new: RingIndex, old: RingIndex) -> bool {
    new.since(event.plus(1)) < new.since(old)
}

#[cfg(test)]
mod tests;
