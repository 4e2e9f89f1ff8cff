//! The guest's memory, mapped: what SET_MEM_TABLE hands over.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use thiserror::Error;
use vhost::vhost_user::message::VhostUserMemoryRegion;
use vm_memory::mmap::GuestRegionMmap;
use vm_memory::{FileOffset, GuestAddress, GuestMemoryMmap, MmapRegion};

/// Why a memory table was refused.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// Not one file for each region.
    #[error("{regions} regions but {files} files")]
    Count {
        /// Regions named.
        regions: usize,
        /// Files that came along.
        files: usize,
    },
    /// A region could not be mapped.
    #[error("region at {at:#x} of {size:#x} bytes: {reason}")]
    Map {
        /// Guest physical address.
        at: u64,
        /// Length in bytes.
        size: u64,
        /// What the system said.
        reason: String,
    },
}

/// The guest's memory and the translation of QEMU's addresses, in which vhost-user gives rings.
#[derive(Clone)]
pub(crate) struct Memory {
    pub map: Arc<GuestMemoryMmap>,
    regions: Vec<VhostUserMemoryRegion>,
}

impl Memory {
    pub fn new(
        mut regions: Vec<VhostUserMemoryRegion>,
        files: Vec<OwnedFd>,
    ) -> Result<Memory, MemoryError> {
        if regions.len() != files.len() {
            return Err(MemoryError::Count {
                regions: regions.len(),
                files: files.len(),
            });
        }
        let mut mapped = Vec::new();
        for (region, file) in regions.iter().zip(files) {
            let (at, size) = (region.guest_phys_addr, region.memory_size);
            let failed = |reason: String| MemoryError::Map { at, size, reason };
            let file = FileOffset::new(File::from(file), region.mmap_offset);
            let mapping = MmapRegion::from_file(file, size as usize)
                .map_err(|error| failed(error.to_string()))?;
            let mapping = GuestRegionMmap::new(mapping, GuestAddress(at))
                .ok_or_else(|| failed("wraps around".to_owned()))?;
            mapped.push(mapping);
        }
        mapped.sort_by_key(|region| vm_memory::GuestMemoryRegion::start_addr(region).0);
        regions.sort_by_key(|region| region.guest_phys_addr);
        let map = GuestMemoryMmap::from_regions(mapped).map_err(|error| MemoryError::Map {
            at: 0,
            size: 0,
            reason: error.to_string(),
        })?;
        Ok(Memory {
            map: Arc::new(map),
            regions,
        })
    }

    /// Guest physical address of an address in QEMU's own address space.
    pub fn translate(&self, user: u64) -> Option<GuestAddress> {
        self.regions.iter().find_map(|region| {
            let (from, len, to) = (region.user_addr, region.memory_size, region.guest_phys_addr);
            let offset = user.checked_sub(from)?;
            (offset < len).then(|| GuestAddress(to + offset))
        })
    }
}
