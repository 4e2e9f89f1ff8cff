//! The two protocols between driver and device that need a full fence.
//!
//! Owns the order of their steps. It never touches an entry or a buffer, and does not know where
//! the memory lies: the tests run these very functions on a model of it that reorders stores as
//! the processor does.
//!
//! Both are Dekker's pattern: each side writes its own word, then reads the other's. A processor
//! may let the read overtake the write (x86: a store waits in the store buffer), and then both
//! sides read the old value and both go to sleep. The full fence between write and read is what
//! forbids it; release and acquire do not.

use crate::index::{RingIndex, need_event};

/// Set in `avail.flags`: the driver wants no interrupts (VIRTIO 1.2, 2.7.6).
pub(crate) const NO_INTERRUPT: u16 = 1;
/// Set in `used.flags`: the device wants no notifications (VIRTIO 1.2, 2.7.8).
pub(crate) const NO_NOTIFY: u16 = 1;

/// The words that driver and device exchange about a queue.
pub(crate) trait Shared {
    /// Makes the entries before `idx` visible, then `idx`.
    fn store_avail_idx(&self, idx: RingIndex);
    /// Writes `avail.flags`.
    fn store_avail_flags(&self, flags: u16);
    /// Writes `used_event`.
    fn store_used_event(&self, event: RingIndex);
    /// Reads `used.idx`; the entries before it are visible then.
    fn load_used_idx(&self) -> RingIndex;
    /// Reads `used.flags`.
    fn load_used_flags(&self) -> u16;
    /// Reads `avail_event`.
    fn load_avail_event(&self) -> RingIndex;
    /// No later access begins before every earlier one is done.
    fn full_fence(&self);
}

/// How the two sides tell each other what they want to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Suppression {
    /// By the flags (VIRTIO 1.2, 2.7.7.1).
    Flags,
    /// By event indices: `VIRTIO_F_EVENT_IDX` (VIRTIO 1.2, 2.7.7.2).
    EventIdx,
}

/// Makes the entries `old..new` available. Whether the device wants to be notified of them.
#[must_use]
#[inline]
pub(crate) fn publish(
    shared: &impl Shared,
    suppression: Suppression,
    old: RingIndex,
    new: RingIndex,
) -> bool {
    shared.store_avail_idx(new);
    let wanted = || match suppression {
        Suppression::Flags => shared.load_used_flags() & NO_NOTIFY == 0,
        Suppression::EventIdx => need_event(shared.load_avail_event(), new, old),
    };
    // The device writes its wish, then reads the index; we write the index, then read its wish.
    // A wish that is seen early is true as well; only its absence has to be read behind the fence.
    wanted() || {
        shared.full_fence();
        wanted()
    }
}

/// Asks for an interrupt at the first used entry after `taken`. Whether there is one already: its
/// interrupt may never come, and the caller must not sleep.
#[must_use]
#[inline]
pub(crate) fn arm(shared: &impl Shared, suppression: Suppression, taken: RingIndex) -> bool {
    match suppression {
        Suppression::Flags => shared.store_avail_flags(0),
        Suppression::EventIdx => shared.store_used_event(taken),
    }
    // The device writes the index, then reads our wish; we write the wish, then read the index.
    // As above: an entry that is seen early is there.
    shared.load_used_idx() != taken || {
        shared.full_fence();
        shared.load_used_idx() != taken
    }
}

/// Asks for no interrupts. Advice, not order: one may come nevertheless.
///
/// With event indices the event is put just behind the last entry taken, where the device will
/// not pass for another 65,535 entries; `far` false leaves it where it is, for a queue on which
/// one more interrupt per 65,536 entries is cheaper than a write per batch.
#[inline]
pub(crate) fn disarm(shared: &impl Shared, suppression: Suppression, taken: RingIndex, far: bool) {
    match suppression {
        Suppression::Flags => shared.store_avail_flags(NO_INTERRUPT),
        Suppression::EventIdx if far => shared.store_used_event(taken.minus(1)),
        Suppression::EventIdx => {}
    }
}

#[cfg(test)]
mod tests;
