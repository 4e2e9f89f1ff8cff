//! The heap: one range, first fit, used at boot and hardly ever after it.

use core::alloc::{GlobalAlloc, Layout};
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use linked_list_allocator::Heap;
use spin::Mutex;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The allocator behind `alloc`. Never used in an interrupt handler, so the lock cannot be taken
/// twice.
struct LockedHeap(Mutex<Heap>);

#[global_allocator]
static HEAP: LockedHeap = LockedHeap(Mutex::new(Heap::empty()));

// SAFETY: `Heap` hands out what `init` gave it, under the lock; blocks are returned with the
// layout they were taken with, by the contract of `GlobalAlloc`.
unsafe impl GlobalAlloc for LockedHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        self.0
            .lock()
            .allocate_first_fit(layout)
            .map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller got `block` from `alloc` with this layout.
            unsafe { self.0.lock().deallocate(block, layout) }
        }
    }
}

/// Bytes used, and bytes in all.
#[derive(Clone, Copy)]
pub struct Usage {
    /// Bytes handed out.
    pub used: usize,
    /// Bytes that the heap was given.
    pub total: usize,
    /// How often memory was asked for since boot.
    pub allocations: u64,
}

/// How full the heap is.
pub fn usage() -> Usage {
    let heap = HEAP.0.lock();
    Usage {
        used: heap.used(),
        total: heap.size(),
        allocations: ALLOCATIONS.load(Relaxed),
    }
}

/// Gives the heap its memory.
///
/// # Safety
/// Called once, with mapped writable memory that nothing else uses.
pub unsafe fn init(range: Range<u64>) {
    let len = (range.end - range.start) as usize;
    // SAFETY: by the function's contract.
    unsafe { HEAP.0.lock().init(range.start as *mut u8, len) }
}
