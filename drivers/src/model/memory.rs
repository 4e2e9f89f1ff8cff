//! Guest memory of the model: what the driver allocates, and the device's view of it.
//!
//! Owns the pages and every access of the model device to them. An address outside of them is
//! refused, as an IOMMU would.
#![allow(unsafe_code)]

use core::ptr::{self, NonNull};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::vec::Vec;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

struct Pages {
    start: NonNull<u8>,
    len: usize,
}

std::thread_local! {
    static REGIONS: RefCell<Vec<Pages>> = const { RefCell::new(Vec::new()) };
}

std::thread_local! {
    static LENT: RefCell<Vec<&'static [u8]>> = const { RefCell::new(Vec::new()) };
}

/// Lets the device read bytes that live for ever; their address.
pub(super) fn lend(bytes: &'static [u8]) -> PhysAddr {
    LENT.with_borrow_mut(|lent| {
        if !lent.iter().any(|known| core::ptr::eq(*known, bytes)) {
            lent.push(bytes);
        }
    });
    bytes.as_ptr().addr() as PhysAddr
}

/// The `len` bytes at `address`, if they were lent.
fn lent(address: PhysAddr, len: usize) -> Option<&'static [u8]> {
    LENT.with_borrow(|lent| {
        lent.iter().find_map(|bytes| {
            let at = usize::try_from(address)
                .ok()?
                .checked_sub(bytes.as_ptr().addr())?;
            bytes.get(at..at.checked_add(len)?)
        })
    })
}

/// Regions of this thread that were allocated and not given back.
#[must_use]
pub fn live_regions() -> usize {
    REGIONS.with_borrow(Vec::len)
}

/// A `Hal` over the host's allocator: physical addresses are addresses of this process. Each
/// thread has its own memory.
#[derive(Debug)]
pub struct ModelHal;

fn layout(pages: usize) -> Layout {
    Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).expect("a few pages")
}

// SAFETY: the pages come zeroed and page-aligned from the allocator, and are nobody else's.
unsafe impl Hal for ModelHal {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let layout = layout(pages);
        // SAFETY: the driver asks for one page at least.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        REGIONS.with_borrow_mut(|regions| {
            regions.push(Pages {
                start,
                len: layout.size(),
            });
        });
        (start.as_ptr().addr() as PhysAddr, start)
    }

    unsafe fn dma_dealloc(_: PhysAddr, start: NonNull<u8>, pages: usize) -> i32 {
        let known = REGIONS.with_borrow_mut(|regions| {
            let at = regions
                .iter()
                .position(|r| r.start == start && r.len == pages * PAGE_SIZE)?;
            Some(regions.swap_remove(at))
        });
        if known.is_none() {
            return -1;
        }
        // SAFETY: allocated above with this layout, and no longer in the list.
        unsafe { dealloc(start.as_ptr(), layout(pages)) };
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::dangling()
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr().addr() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// The `len` bytes at `address`, if all of them are the driver's DMA memory.
fn locate(address: PhysAddr, len: usize) -> Option<NonNull<u8>> {
    REGIONS.with_borrow(|regions| {
        regions.iter().find_map(|r| {
            let offset = usize::try_from(address)
                .ok()?
                .checked_sub(r.start.as_ptr().addr())?;
            let end = offset.checked_add(len)?;
            // SAFETY: within the region, as the filter below makes sure before it is used.
            (end <= r.len).then(|| unsafe { r.start.add(offset) })
        })
    })
}

/// Reads `N` bytes.
pub(super) fn read<const N: usize>(address: PhysAddr) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    read_into(address, &mut bytes)?;
    Some(bytes)
}

/// Fills `target`.
pub(super) fn read_into(address: PhysAddr, target: &mut [u8]) -> Option<()> {
    if let Some(bytes) = lent(address, target.len()) {
        target.copy_from_slice(bytes);
        return Some(());
    }
    let source = locate(address, target.len())?;
    // SAFETY: the source lies in a live region. The model and the driver run on one thread, and
    // the driver lends no part of a buffer that the device owns.
    unsafe { ptr::copy_nonoverlapping(source.as_ptr(), target.as_mut_ptr(), target.len()) };
    Some(())
}

/// Writes `bytes`.
pub(super) fn write(address: PhysAddr, bytes: &[u8]) -> Option<()> {
    let target = locate(address, bytes.len())?;
    // SAFETY: as for reading.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target.as_ptr(), bytes.len()) };
    Some(())
}

/// Reads a 16-bit word.
pub(super) fn read_u16(address: PhysAddr) -> Option<u16> {
    read(address).map(u16::from_le_bytes)
}

/// Writes a 16-bit word.
pub(super) fn write_u16(address: PhysAddr, value: u16) -> Option<()> {
    write(address, &value.to_le_bytes())
}
