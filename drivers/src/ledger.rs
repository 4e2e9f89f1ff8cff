//! The ledger of one queue: who owns each descriptor, and how far both sides have come.
//!
//! Owns the credits, the indices and the counters, and judges what the device says against them.
//! It never touches shared memory, so nothing that a device does can change it behind the
//! driver's back.
//!
//! Invariants, in the order of the indices (all modulo 2^16):
//! `taken ≤ seen ≤ published ≤ written`, and `written − taken` = descriptors owned by the device
//! ≤ size. A descriptor is either the device's, or it is a [`Credit`] that somebody holds.

use crate::index::RingIndex;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use quartz_abi::RingStats;

/// The right to one descriptor and its buffer.
///
/// There is at most one for each descriptor, and none while the device owns it: it can be neither
/// copied nor made up. Whoever holds it may use the buffer and has to bring it back.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Clone))]
#[must_use = "a credit that is dropped is a descriptor lost"]
pub(crate) struct Credit(u16);

impl Credit {
    /// Number of the descriptor.
    #[inline]
    pub fn id(&self) -> u16 {
        self.0
    }
}

/// What is wrong with a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Shorter than the header that the device had to write.
    Short,
    /// Longer than the buffer.
    Long,
}

/// Why the device's word about used buffers cannot be true (VIRTIO 1.2, 2.7.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadUsed {
    /// The id is no descriptor of this queue.
    NoSuchId {
        /// The id.
        id: u32,
        /// The length that came with it.
        len: u32,
    },
    /// The descriptor is not the device's: never made available, or used before.
    NotOutstanding {
        /// The id.
        id: u32,
        /// The length that came with it.
        len: u32,
    },
    /// The length does not fit the buffer.
    Length {
        /// The id.
        id: u32,
        /// The length.
        len: u32,
        /// In which way.
        fault: Length,
    },
    /// `used.idx` moved backward, or past what was made available.
    Index {
        /// The index that was read.
        idx: u16,
        /// The highest that it could be.
        limit: u16,
    },
}

impl BadUsed {
    /// Id and length, or index and limit: the words that the black box keeps.
    pub(crate) fn words(self) -> (u64, u64) {
        match self {
            Self::NoSuchId { id, len }
            | Self::NotOutstanding { id, len }
            | Self::Length { id, len, .. } => (id.into(), len.into()),
            Self::Index { idx, limit } => (idx.into(), limit.into()),
        }
    }
}

impl fmt::Display for BadUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchId { id, len } => {
                write!(f, "used entry with impossible id {id:#x} (length {len:#x})")
            }
            Self::NotOutstanding { id, len } => {
                write!(f, "used entry {id} is not outstanding (length {len:#x})")
            }
            Self::Length { id, len, fault } => {
                let fault = match fault {
                    Length::Short => "shorter than its header",
                    Length::Long => "beyond its buffer",
                };
                write!(f, "used entry {id} has length {len:#x}, {fault}")
            }
            Self::Index { idx, limit } => {
                write!(f, "used.idx jumped to {idx}; at most {limit} is possible")
            }
        }
    }
}

/// Entry of the owner table for a descriptor that is a [`Credit`] in somebody's hands. Any other
/// value is the batch with which the device got it.
const DRIVER: u64 = 0;

/// The ledger of one queue.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Ledger {
    owners: Vec<u64>,
    free: Vec<Credit>,
    /// The batch that is being written. 64 bits: it never comes round, so a buffer that the
    /// device keeps for very long cannot be taken for one that was just written.
    batch: u64,
    /// Next available entry to write.
    written: RingIndex,
    /// `avail.idx` as the device can see it.
    published: RingIndex,
    /// `used.idx` as last read.
    seen: RingIndex,
    /// Next used entry to take.
    taken: RingIndex,
    stats: Counters,
}

/// What only grows. The fields are those of [`RingStats`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub harvested: u64,
    pub posted: u64,
    pub kicks: u64,
    pub interrupts: u64,
    pub spurious: u64,
    pub missed_interrupts: u64,
    pub rekicks: u64,
    pub bad_used: u64,
    pub resets: u64,
}

impl Ledger {
    /// A ledger of `size` descriptors, all free.
    pub fn new(size: u16) -> Ledger {
        Ledger {
            owners: vec![DRIVER; usize::from(size)],
            // Taken from the end: the first descriptors first.
            free: (0..size).rev().map(Credit).collect(),
            batch: DRIVER + 1,
            written: RingIndex::ZERO,
            published: RingIndex::ZERO,
            seen: RingIndex::ZERO,
            taken: RingIndex::ZERO,
            stats: Counters::default(),
        }
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.owners.len() as u16
    }

    /// The counters, to count what the ledger cannot see itself.
    pub fn counters(&mut self) -> &mut Counters {
        &mut self.stats
    }

    /// Whether a descriptor is free.
    #[inline]
    pub fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Takes a free descriptor.
    #[inline]
    pub fn take_free(&mut self) -> Option<Credit> {
        self.free.pop()
    }

    /// Brings back a descriptor that is to be used later.
    #[inline]
    pub fn release(&mut self, credit: Credit) {
        self.free.push(credit);
    }

    /// Gives `credit` to the device. Returns the index of the available entry to write for it;
    /// the device sees it once it is [published](Self::publish).
    #[must_use = "the available entry must be written"]
    #[inline]
    pub fn post(&mut self, credit: Credit) -> RingIndex {
        let at = self.written;
        if let Some(owner) = self.owners.get_mut(usize::from(credit.id())) {
            *owner = self.batch;
        }
        self.written = at.plus(1);
        at
    }

    /// Whether entries were written and not published.
    #[inline]
    pub fn has_unpublished(&self) -> bool {
        self.written != self.published
    }

    /// Declares every written entry published: old and new `avail.idx`.
    #[inline]
    pub fn publish(&mut self) -> (RingIndex, RingIndex) {
        let old = self.published;
        self.published = self.written;
        self.batch += 1;
        self.stats.posted += u64::from(self.written.since(old));
        (old, self.written)
    }

    /// Whether a used entry that was seen is still to be taken.
    #[inline]
    pub fn has_seen(&self) -> bool {
        self.seen != self.taken
    }

    /// Takes note of the device's `used.idx`.
    ///
    /// # Errors
    /// The device cannot have used that many buffers, or had used more before.
    #[inline]
    pub fn observe(&mut self, used_idx: RingIndex) -> Result<(), BadUsed> {
        let ahead = used_idx.since(self.taken);
        let possible = self.published.since(self.taken);
        if ahead > possible || ahead < self.seen.since(self.taken) {
            return Err(BadUsed::Index {
                idx: used_idx.raw(),
                limit: self.published.raw(),
            });
        }
        self.seen = used_idx;
        Ok(())
    }

    /// Takes the next used entry, which names `id` and `len`; a length is `shortest` bytes at
    /// least and `longest` at most.
    ///
    /// # Errors
    /// The entry cannot be true. The ledger stays as it was.
    #[inline]
    pub fn accept(
        &mut self,
        id: u32,
        len: u32,
        shortest: u32,
        longest: u32,
    ) -> Result<Credit, BadUsed> {
        let Some(owner) = self.owners.get_mut(id as usize) else {
            return Err(BadUsed::NoSuchId { id, len });
        };
        // The device has no right to what is ours, and cannot know of the batch not yet published.
        if *owner == DRIVER || *owner == self.batch {
            return Err(BadUsed::NotOutstanding { id, len });
        }
        if len < shortest || len > longest {
            let fault = if len < shortest {
                Length::Short
            } else {
                Length::Long
            };
            return Err(BadUsed::Length { id, len, fault });
        }
        *owner = DRIVER;
        self.taken = self.taken.plus(1);
        self.stats.harvested += 1;
        Ok(Credit(id as u16))
    }

    /// The next used entry to take.
    #[inline]
    pub fn taken(&self) -> RingIndex {
        self.taken
    }

    /// Used entries taken since boot.
    #[inline]
    pub fn harvested(&self) -> u64 {
        self.stats.harvested
    }

    /// `avail.idx` as the device can see it.
    pub fn published(&self) -> RingIndex {
        self.published
    }

    /// Published descriptors that the device has not used: the gap.
    pub fn gap(&self) -> u16 {
        self.published.since(self.seen)
    }

    /// Takes everything back from the device, which is in reset and owns nothing any more.
    /// Credits that somebody holds stay with their holders. Both rings begin at 0 again.
    pub fn reclaim(&mut self) {
        for (id, owner) in (0..).zip(&mut self.owners) {
            if *owner != DRIVER {
                *owner = DRIVER;
                self.free.push(Credit(id));
            }
        }
        self.written = RingIndex::ZERO;
        self.published = RingIndex::ZERO;
        self.seen = RingIndex::ZERO;
        self.taken = RingIndex::ZERO;
    }

    /// Whether the invariants hold: the slow look at what the rest keeps true.
    pub fn holds(&self) -> bool {
        let size = self.size();
        let outstanding = self.written.since(self.taken);
        let owned = self.owners.iter().filter(|o| **o != DRIVER).count();
        owned == usize::from(outstanding)
            && outstanding <= size
            && self.published.since(self.taken) <= outstanding
            && self.seen.since(self.taken) <= self.published.since(self.taken)
            && self.free.len() + owned <= usize::from(size)
    }

    /// Forgets one that the device owns, as nothing but a mistake in this module could.
    #[cfg(test)]
    pub fn lose_one(&mut self) {
        let owned = self.owners.iter_mut().find(|owner| **owner != DRIVER);
        *owned.expect("the device owns one") = DRIVER;
    }

    /// Indices and counters. `idle` credits lie outside the ledger with nobody using them.
    pub fn stats(&self, idle: u16) -> RingStats {
        let Counters {
            harvested,
            posted,
            kicks,
            interrupts,
            spurious,
            missed_interrupts,
            rekicks,
            bad_used,
            resets,
        } = self.stats;
        RingStats {
            size: self.size(),
            avail_idx: self.published.raw(),
            used_idx: self.seen.raw(),
            gap: self.gap(),
            free: self.free.len() as u16 + idle,
            harvested,
            posted,
            kicks,
            interrupts,
            spurious,
            missed_interrupts,
            rekicks,
            bad_used,
            resets,
        }
    }
}

#[cfg(test)]
mod tests;
