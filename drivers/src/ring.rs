//! The memory of one split virtqueue (VIRTIO 1.2, 2.7).
//!
//! Owns the descriptor table, the driver area and the device area, and every access to them. It
//! never decides anything: what an index or an id means is the ledger's business. No argument
//! can make an access leave the memory: slots are taken modulo the size.
#![allow(unsafe_code)]

use crate::index::RingIndex;
use crate::notify::Shared;
use crate::region::Region;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use virtio_drivers::{Hal, PAGE_SIZE, PhysAddr};

/// The device writes to the buffer (VIRTIO 1.2, 2.7.5).
pub(crate) const DESCRIPTOR_WRITE: u16 = 2;
/// The chain goes on with the next descriptor of its table.
const DESCRIPTOR_NEXT: u16 = 1;
/// The buffer is a table of descriptors (VIRTIO 1.2, 2.7.5.3).
pub(crate) const DESCRIPTOR_INDIRECT: u16 = 4;

const DESCRIPTOR: usize = 16;
const USED_ELEMENT: usize = 8;

/// Ring memory. The layout is the legacy one (2.7.2 of the specification, "Legacy Interfaces: A
/// Note on Virtqueue Layout"), which a modern device takes as well.
pub(crate) struct RingMemory<H: Hal> {
    region: Region<H>,
    mask: u16,
    descriptors: NonNull<u8>,
    /// `flags`, `idx`, `ring[size]`, `used_event`: 16 bits each.
    avail: NonNull<AtomicU16>,
    /// `flags`, `idx`: 16 bits each; `ring[size]` of two 32-bit words; `avail_event`.
    used: NonNull<AtomicU16>,
    fence: fn(),
}

/// Bytes of a table of two descriptors.
pub(crate) const PAIR: usize = 2 * DESCRIPTOR;

/// A table of two buffers that the device is to read one after the other.
pub(crate) fn pair(buffers: [(PhysAddr, u32); 2]) -> [u8; PAIR] {
    let mut table = [0; PAIR];
    let (entries, _) = table.as_chunks_mut::<DESCRIPTOR>();
    for (entry, (address, len)) in entries.iter_mut().zip(buffers) {
        entry[..8].copy_from_slice(&address.to_le_bytes());
        entry[8..12].copy_from_slice(&len.to_le_bytes());
    }
    // The first leads to the second, which ends the chain.
    table[12..14].copy_from_slice(&DESCRIPTOR_NEXT.to_le_bytes());
    table[14..16].copy_from_slice(&1_u16.to_le_bytes());
    table
}

impl<H: Hal> RingMemory<H> {
    /// Bytes that a queue of `size` takes, in whole pages.
    pub const fn bytes(size: u16) -> usize {
        let used = 6 + USED_ELEMENT * size as usize;
        Self::used_offset(size) + used.next_multiple_of(PAGE_SIZE)
    }

    const fn avail_offset(size: u16) -> usize {
        DESCRIPTOR * size as usize
    }

    const fn used_offset(size: u16) -> usize {
        (Self::avail_offset(size) + 2 * (3 + size as usize)).next_multiple_of(PAGE_SIZE)
    }

    /// Zeroed memory for a queue of `size` descriptors, a power of two from 2 to 32,768.
    /// `fence`: see [`NetConfig::fence`](crate::NetConfig::fence).
    pub fn new(size: u16, fence: fn()) -> Option<RingMemory<H>> {
        let region = Region::new(Self::bytes(size))?;
        Some(RingMemory {
            mask: size - 1,
            descriptors: region.pointer(0),
            avail: region.pointer(Self::avail_offset(size)),
            used: region.pointer(Self::used_offset(size)),
            region,
            fence,
        })
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.mask + 1
    }

    /// Physical addresses of descriptor table, driver area and device area.
    pub fn addresses(&self) -> [PhysAddr; 3] {
        let size = self.size();
        [
            self.region.physical(0),
            self.region.physical(Self::avail_offset(size)),
            self.region.physical(Self::used_offset(size)),
        ]
    }

    /// See [`Region::abandon`].
    pub fn abandon(&self) {
        self.region.abandon();
    }

    /// Makes the indices, flags and events what they are before a queue's first use. The device
    /// must be in reset.
    pub fn clear(&self) {
        for at in 0..usize::from(self.size()) + 3 {
            self.avail_word(at).store(0, Ordering::Relaxed);
        }
        let entries = usize::from(self.size());
        for at in [0, 1, 2 + entries * USED_ELEMENT / 2] {
            self.used_word(at).store(0, Ordering::Relaxed);
        }
        for slot in 0..self.size() {
            let (id, len) = self.used_element(slot);
            id.store(0, Ordering::Relaxed);
            len.store(0, Ordering::Relaxed);
        }
    }

    /// Describes the one buffer of descriptor `slot`.
    pub fn write_descriptor(&self, slot: u16, address: PhysAddr, len: u32, flags: u16) {
        let at = usize::from(slot & self.mask) * DESCRIPTOR;
        // SAFETY: the slot is within the table, whose entries are 16 bytes and 16-aligned: an
        // address, a length, and flags with the next descriptor, of which there is none. The
        // table is only ever accessed through atomics of these sizes.
        let (address_word, len_word, flags_word) = unsafe {
            let entry = self.descriptors.add(at);
            (
                entry.cast::<AtomicU64>().as_ref(),
                entry.add(8).cast::<AtomicU32>().as_ref(),
                entry.add(12).cast::<AtomicU32>().as_ref(),
            )
        };
        address_word.store(address, Ordering::Relaxed);
        len_word.store(len, Ordering::Relaxed);
        flags_word.store(flags.into(), Ordering::Relaxed);
    }

    /// Changes the length of descriptor `slot`'s buffer, in bytes.
    #[inline]
    pub fn write_descriptor_len(&self, slot: u16, len: u32) {
        let at = usize::from(slot & self.mask) * DESCRIPTOR + 8;
        // SAFETY: as above; the length is 4-aligned.
        let word = unsafe { self.descriptors.add(at).cast::<AtomicU32>().as_ref() };
        word.store(len, Ordering::Relaxed);
    }

    /// Writes descriptor `id` as the available entry with index `at`.
    #[inline]
    pub fn write_avail(&self, at: RingIndex, id: u16) {
        self.avail_word(2 + usize::from(at.raw() & self.mask))
            .store(id, Ordering::Relaxed);
    }

    /// The used entry with index `at`: id and length, as the device wrote them.
    #[inline]
    pub fn used_entry(&self, at: RingIndex) -> (u32, u32) {
        let (id, len) = self.used_element(at.raw());
        (id.load(Ordering::Relaxed), len.load(Ordering::Relaxed))
    }

    /// The two words of the used entry in `slot`.
    #[inline]
    fn used_element(&self, slot: u16) -> (&AtomicU32, &AtomicU32) {
        let offset = 4 + usize::from(slot & self.mask) * USED_ELEMENT;
        // SAFETY: the slot is within the ring; entries are two 32-bit words and 4-aligned.
        unsafe {
            let entry = self.used.cast::<u8>().add(offset).cast::<AtomicU32>();
            (entry.as_ref(), entry.add(1).as_ref())
        }
    }

    /// Word `at` of the driver area; `at` is below size + 3.
    #[inline]
    fn avail_word(&self, at: usize) -> &AtomicU16 {
        debug_assert!(at < usize::from(self.size()) + 3);
        // SAFETY: every caller stays below size + 3, the length of the area.
        unsafe { self.avail.add(at).as_ref() }
    }

    /// 16-bit word `at` of the device area, no part of an entry; `at` is below 4 · size + 3.
    #[inline]
    fn used_word(&self, at: usize) -> &AtomicU16 {
        debug_assert!(at < usize::from(self.size()) * 4 + 3);
        // SAFETY: every caller stays below 4 · size + 3, the length of the area.
        unsafe { self.used.add(at).as_ref() }
    }
}

impl<H: Hal> Shared for RingMemory<H> {
    #[inline]
    fn store_avail_idx(&self, idx: RingIndex) {
        self.avail_word(1).store(idx.raw(), Ordering::Release);
    }

    #[inline]
    fn store_avail_flags(&self, flags: u16) {
        self.avail_word(0).store(flags, Ordering::Relaxed);
    }

    #[inline]
    fn store_used_event(&self, event: RingIndex) {
        self.avail_word(2 + usize::from(self.size()))
            .store(event.raw(), Ordering::Relaxed);
    }

    #[inline]
    fn load_used_idx(&self) -> RingIndex {
        RingIndex::new(self.used_word(1).load(Ordering::Acquire))
    }

    #[inline]
    fn load_used_flags(&self) -> u16 {
        self.used_word(0).load(Ordering::Relaxed)
    }

    #[inline]
    fn load_avail_event(&self) -> RingIndex {
        let at = 2 + usize::from(self.size()) * USED_ELEMENT / 2;
        RingIndex::new(self.used_word(at).load(Ordering::Relaxed))
    }

    #[inline]
    fn full_fence(&self) {
        (self.fence)();
    }
}

#[cfg(test)]
mod tests;
