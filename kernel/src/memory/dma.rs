//! DMA pages: what the driver shares with its device. Taken at boot, never given back.

use super::PAGE;
use core::ops::Range;
use core::ptr::{self, NonNull};
use spin::Mutex;
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

static POOL: Mutex<Pool> = Mutex::new(Pool {
    left: 0..0,
    total: 0,
});

struct Pool {
    left: Range<u64>,
    total: u64,
}

/// Bytes of the pool.
pub struct Size {
    /// All.
    pub total: u64,
    /// Not handed out.
    pub left: u64,
}

/// How large the pool is.
pub fn size() -> Size {
    let pool = POOL.lock();
    Size {
        total: pool.total,
        left: pool.left.end - pool.left.start,
    }
}

/// Gives the pool its pages.
///
/// # Safety
/// Called once, with page-aligned mapped writable memory that nothing else uses.
pub unsafe fn init(range: Range<u64>) {
    *POOL.lock() = Pool {
        total: range.end - range.start,
        left: range,
    };
}

/// The kernel's answer to virtio-drivers: memory is identity mapped, so a device and the driver
/// use one address.
pub struct KernelHal;

/// The physical address of bytes that live for ever: memory is mapped one to one.
pub fn address(bytes: &'static [u8]) -> PhysAddr {
    bytes.as_ptr() as PhysAddr
}

// SAFETY: `dma_alloc` hands out each page of the pool once, zeroed and page-aligned; physical
// and virtual addresses are equal for all of memory.
unsafe impl Hal for KernelHal {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let len = pages as u64 * PAGE;
        let pool = &mut POOL.lock().left;
        assert!(
            pool.end - pool.start >= len,
            "the DMA pool is too small for {pages} more pages"
        );
        let start = pool.start;
        pool.start += len;
        let block = start as *mut u8;
        // SAFETY: the bytes are the pool's own and were not handed out before.
        unsafe { ptr::write_bytes(block, 0, len as usize) };
        (start, NonNull::new(block).expect("page 0 is in no range"))
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        // The driver keeps its pages for the life of the machine.
        -1
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(address as *mut u8).expect("no device has registers at 0")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
