//! The free physical ranges, as the loader's map says, less what is already in use.

use super::PAGE;
use bootloader_api::info::{MemoryRegion, MemoryRegionKind};
use core::ops::Range;

/// Most separate free ranges kept; what does not fit is not used.
const MAX_RANGES: usize = 32;

/// Free, page-aligned physical ranges. Page 0 is never among them.
#[derive(Clone)]
pub struct FreeRanges {
    ranges: [Range<u64>; MAX_RANGES],
    count: usize,
}

impl FreeRanges {
    /// The usable regions of the loader's map without the bytes of `reserved`.
    pub fn new(map: &[MemoryRegion], reserved: &[Range<u64>]) -> FreeRanges {
        let mut free = FreeRanges {
            ranges: [const { 0..0 }; MAX_RANGES],
            count: 0,
        };
        for region in map.iter().filter(|r| r.kind == MemoryRegionKind::Usable) {
            let start = region.start.max(PAGE).next_multiple_of(PAGE);
            free.push(start..region.end & !(PAGE - 1));
        }
        for taken in reserved {
            free.remove(taken);
        }
        free
    }

    fn push(&mut self, range: Range<u64>) {
        if range.start < range.end && self.count < MAX_RANGES {
            self.ranges[self.count] = range;
            self.count += 1;
        }
    }

    fn remove(&mut self, taken: &Range<u64>) {
        let taken = (taken.start & !(PAGE - 1))..taken.end.next_multiple_of(PAGE);
        for at in 0..self.count {
            let range = self.ranges[at].clone();
            if taken.end <= range.start || range.end <= taken.start {
                continue;
            }
            self.ranges[at] = range.start..taken.start.clamp(range.start, range.end);
            self.push(taken.end.clamp(range.start, range.end)..range.end);
        }
    }

    /// Each range, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges[..self.count]
            .iter()
            .filter(|r| r.start < r.end)
            .cloned()
    }

    /// Takes `len` bytes (rounded up to pages) from the start of the smallest range that holds
    /// them, so that the largest one stays whole for the heap.
    pub fn carve(&mut self, len: u64) -> Option<Range<u64>> {
        let len = len.next_multiple_of(PAGE);
        let best = self.ranges[..self.count]
            .iter_mut()
            .filter(|r| r.end - r.start >= len)
            .min_by_key(|r| r.end - r.start)?;
        let start = best.start;
        best.start += len;
        Some(start..start + len)
    }

    /// Takes the largest range whole.
    pub fn carve_largest(&mut self) -> Option<Range<u64>> {
        let best = self.ranges[..self.count]
            .iter_mut()
            .max_by_key(|r| r.end - r.start)?;
        let all = best.clone();
        best.start = best.end;
        (all.start < all.end).then_some(all)
    }

    /// Bytes that are free, over all ranges.
    pub fn total(&self) -> u64 {
        self.iter().map(|r| r.end - r.start).sum()
    }
}
