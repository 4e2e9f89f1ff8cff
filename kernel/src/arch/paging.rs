//! The final page tables: memory one to one, each kind with its own rights, nothing both writable
//! and executable, page 0 and the stack guards absent.

use crate::memory::{FreeRanges, PAGE, layout};
use core::ops::Range;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, PageTable, PageTableFlags, PhysFrame, Size2MiB,
    Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

/// What the entry stub has mapped: page tables must come from below.
const MAPPED_AT_ENTRY: u64 = 1 << 30;

const READ: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::NO_EXECUTE);
const WRITE: PageTableFlags = READ.union(PageTableFlags::WRITABLE);
const EXECUTE: PageTableFlags = PageTableFlags::PRESENT;
const DEVICE: PageTableFlags = WRITE
    .union(PageTableFlags::NO_CACHE)
    .union(PageTableFlags::WRITE_THROUGH);

/// Page-table frames out of the free ranges.
struct Frames<'a>(&'a mut FreeRanges);

// SAFETY: `carve` never hands the same bytes out twice.
unsafe impl FrameAllocator<Size4KiB> for Frames<'_> {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let range = self.0.carve(PAGE)?;
        assert!(
            range.end <= MAPPED_AT_ENTRY,
            "a page table beyond the first GiB"
        );
        Some(PhysFrame::containing_address(PhysAddr::new(range.start)))
    }
}

/// Builds the tables and switches to them: the image by section, `free` readable and writable,
/// `site` readable, `devices` uncached.
///
/// # Safety
/// Called once, at boot, on the stub's identity mapping; the ranges do not overlap.
pub unsafe fn init(free: &mut FreeRanges, site: Range<u64>, devices: &[Range<u64>]) {
    let writable = free.clone();
    let mut frames = Frames(free);
    let root = frames.allocate_frame().expect("memory for page tables");
    // SAFETY: the frame is free memory, mapped one to one by the stub, and ours alone.
    let table = unsafe {
        let table = root.start_address().as_u64() as *mut PageTable;
        table.write(PageTable::new());
        &mut *table
    };
    // SAFETY: physical memory is mapped at offset 0.
    let mut mapper = unsafe { OffsetPageTable::new(table, VirtAddr::zero()) };
    let mut map = |range: Range<u64>, flags| {
        // SAFETY: one to one, and each range once: no address gets a second meaning.
        unsafe { map_range(&mut mapper, &mut frames, range, flags) }
    };

    map(layout::text(), EXECUTE);
    map(layout::rodata(), READ);
    let mut next = layout::data().start;
    for stack in layout::stacks() {
        map(next..stack.guard(), WRITE);
        next = stack.body.start;
    }
    map(next..layout::data().end, WRITE);
    for range in writable.iter() {
        map(range, WRITE);
    }
    map(site, READ);
    for range in devices {
        map(range.clone(), DEVICE);
    }
    // SAFETY: the new tables map all that the old ones served: image, stack, free memory.
    unsafe { Cr3::write(root, Cr3Flags::empty()) };
}

/// Maps whole pages around `range`, 2 MiB at a time where both ends allow.
///
/// # Safety
/// As for [`Mapper::identity_map`]: the caller decides that the range may be reached so.
unsafe fn map_range(
    mapper: &mut OffsetPageTable<'_>,
    frames: &mut Frames<'_>,
    range: Range<u64>,
    flags: PageTableFlags,
) {
    const LARGE: u64 = 2 << 20;
    let end = range.end.next_multiple_of(PAGE);
    let mut at = range.start & !(PAGE - 1);
    while at < end {
        let start = PhysAddr::new(at);
        // SAFETY: by the function's contract. The new tables are not live yet: nothing to flush.
        let done = unsafe {
            if at.is_multiple_of(LARGE) && end - at >= LARGE {
                at += LARGE;
                let frame = PhysFrame::<Size2MiB>::containing_address(start);
                mapper
                    .identity_map(frame, flags, frames)
                    .map(|f| f.ignore())
                    .is_ok()
            } else {
                at += PAGE;
                let frame = PhysFrame::<Size4KiB>::containing_address(start);
                mapper
                    .identity_map(frame, flags, frames)
                    .map(|f| f.ignore())
                    .is_ok()
            }
        };
        assert!(done, "cannot map {:#x}", start.as_u64());
    }
}
