//! Memory: who may use which bytes.
//!
//! Owns the image's layout, the list of free physical ranges, the heap and the DMA pages. All of
//! it is identity mapped, so a physical address is a pointer. It never gives memory back to a
//! range: what is carved at boot stays carved.

pub mod dma;
pub mod heap;
pub mod layout;
pub mod ranges;

pub use ranges::FreeRanges;

/// Size of a page and of a DMA unit, in bytes.
pub const PAGE: u64 = 4096;
