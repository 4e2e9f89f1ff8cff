//! DMA memory: pages that the driver shares with its device.
//!
//! Owns the allocation and gives out pointers into it. It never gives the pages back while the
//! device might still write to them.
#![allow(unsafe_code)]

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::NonNull;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// Pages with one physical range, zeroed, at the same place for life.
pub(crate) struct Region<H: Hal> {
    physical: PhysAddr,
    start: NonNull<u8>,
    pages: usize,
    abandoned: Cell<bool>,
    hal: PhantomData<H>,
}

impl<H: Hal> Region<H> {
    /// Takes at least `bytes` bytes, in whole pages. `None` if the machine has none left.
    pub fn new(bytes: usize) -> Option<Region<H>> {
        let pages = bytes.div_ceil(PAGE_SIZE).max(1);
        let (physical, start) = H::dma_alloc(pages, BufferDirection::Both);
        (physical != 0).then_some(Region {
            physical,
            start,
            pages,
            abandoned: Cell::new(false),
            hal: PhantomData,
        })
    }

    /// Physical address of the byte at `offset`.
    pub fn physical(&self, offset: usize) -> PhysAddr {
        self.physical + offset as u64
    }

    /// Bytes in the region.
    pub fn len(&self) -> usize {
        self.pages * PAGE_SIZE
    }

    /// The first byte.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Pointer to the `T` at `offset`, which lies within the region and is aligned for `T`.
    ///
    /// # Panics
    /// It does not. Offsets come from the driver, once, at set-up.
    pub fn pointer<T>(&self, offset: usize) -> NonNull<T> {
        assert!(offset + size_of::<T>() <= self.len(), "outside the region");
        // SAFETY: the offset is within the allocation.
        let pointer = unsafe { self.start.add(offset) }.cast::<T>();
        assert!(pointer.is_aligned(), "misaligned");
        pointer
    }

    /// Keeps the pages for ever: the device has not confirmed that it stopped using them.
    pub fn abandon(&self) {
        self.abandoned.set(true);
    }
}

impl<H: Hal> Drop for Region<H> {
    fn drop(&mut self) {
        if !self.abandoned.get() {
            // SAFETY: allocated in `new` with these very values, and not given back before. A
            // kernel that cannot take pages back says so; there is nothing to do about it.
            let _ = unsafe { H::dma_dealloc(self.physical, self.start, self.pages) };
        }
    }
}
