//! The buffers of one queue, and the frame that carries one away and brings it back.
//!
//! Owns the slots: equal pieces of DMA memory, slot *n* for descriptor *n*, from boot to the end.
//! It never decides who may use a slot: that is whoever shows the slot's [`Credit`], of which the
//! ledger gives out one at most and none while the device owns the slot.
#![allow(unsafe_code)]

use crate::ledger::Credit;
use crate::region::Region;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::mem::ManuallyDrop;
use core::slice;
use virtio_drivers::{Hal, PhysAddr};

/// Bytes of a slot: a full Ethernet frame with VLAN tag and virtio-net header, and a power of two
/// so that no slot straddles a page.
pub(crate) const SLOT: usize = 2048;

/// Slots, and the credits that came back and wait to be posted.
pub(crate) struct Pool<H: Hal> {
    region: Region<H>,
    slots: u16,
    returned: RefCell<Vec<Credit>>,
}

impl<H: Hal> Pool<H> {
    /// Bytes that `slots` slots take.
    pub const fn bytes(slots: u16) -> usize {
        SLOT * slots as usize
    }

    /// A pool of `slots` slots.
    pub fn new(slots: u16) -> Option<Rc<Pool<H>>> {
        Some(Rc::new(Pool {
            region: Region::new(Self::bytes(slots))?,
            slots,
            // Room for every credit: the list never allocates again.
            returned: RefCell::new(Vec::with_capacity(usize::from(slots))),
        }))
    }

    /// Physical address of slot `id`.
    pub fn physical(&self, id: u16) -> PhysAddr {
        self.region.physical(usize::from(id) * SLOT)
    }

    /// See [`Region::abandon`].
    pub fn abandon(&self) {
        self.region.abandon();
    }

    /// The first `len` bytes of the credit's slot, at most all of them.
    #[inline]
    pub fn bytes_of(&self, credit: &Credit, len: usize) -> &[u8] {
        let start = self.slot(credit);
        // SAFETY: the slot lies in the region, which lives as long as `self` and is initialised.
        // The credit is the only one for this slot and is borrowed as long as the bytes are: no
        // other part of the driver uses them, and the device does not own them.
        unsafe { slice::from_raw_parts(start, len.min(SLOT)) }
    }

    /// The first `len` bytes of the credit's slot, at most all of them, to be written.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the credit is what makes it exclusive")]
    pub fn bytes_of_mut<'a>(&'a self, credit: &'a mut Credit, len: usize) -> &'a mut [u8] {
        let start = self.slot(credit);
        // SAFETY: as in `bytes_of`, and the credit is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(start, len.min(SLOT)) }
    }

    #[inline]
    fn slot(&self, credit: &Credit) -> *mut u8 {
        assert!(credit.id() < self.slots, "a credit of another pool");
        // SAFETY: the slot is within the region.
        unsafe { self.region.start().add(usize::from(credit.id()) * SLOT) }.as_ptr()
    }

    /// Hands every credit that came back to `take`, which drops no frame.
    #[inline]
    pub fn take_returned(&self, take: impl FnMut(Credit)) {
        self.returned.borrow_mut().drain(..).for_each(take);
    }

    /// Credits that came back and were not taken yet.
    #[inline]
    pub fn returned(&self) -> u16 {
        self.returned.borrow().len() as u16
    }

    /// Brings a credit back.
    #[inline]
    pub fn put_back(&self, credit: Credit) {
        self.returned.borrow_mut().push(credit);
    }
}

/// A received Ethernet frame. Dropping it gives its buffer back to the receive ring; the driver's
/// next flush makes it available to the device again.
///
/// It may outlive a reset of the device, and the driver itself.
#[must_use = "a frame that is dropped unread is lost"]
pub struct RxFrame<H: Hal> {
    pool: Rc<Pool<H>>,
    credit: ManuallyDrop<Credit>,
    start: u16,
    end: u16,
    checksum_verified: bool,
}

impl<H: Hal> RxFrame<H> {
    /// The frame in bytes `start..end` of the credit's slot.
    #[inline]
    pub(crate) fn new(
        pool: &Rc<Pool<H>>,
        credit: Credit,
        start: u16,
        end: u16,
        checksum_verified: bool,
    ) -> RxFrame<H> {
        RxFrame {
            pool: Rc::clone(pool),
            credit: ManuallyDrop::new(credit),
            start,
            end,
            checksum_verified,
        }
    }

    /// The Ethernet frame, from its destination address to the end of its payload.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.pool
            .bytes_of(&self.credit, usize::from(self.end))
            .get(usize::from(self.start)..)
            .unwrap_or_default()
    }

    /// Whether the device vouches for the TCP or UDP checksum, so that it need not and, when the
    /// frame came from the same host, must not be checked (VIRTIO 1.2, 5.1.6.4.2).
    #[must_use]
    #[inline]
    pub fn checksum_verified(&self) -> bool {
        self.checksum_verified
    }
}

impl<H: Hal> Drop for RxFrame<H> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: taken once, here; the frame is gone afterwards.
        let credit = unsafe { ManuallyDrop::take(&mut self.credit) };
        self.pool.put_back(credit);
    }
}

impl<H: Hal> fmt::Debug for RxFrame<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RxFrame")
            .field("slot", &self.credit.id())
            .field("len", &(self.end - self.start))
            .field("checksum_verified", &self.checksum_verified)
            .finish()
    }
}
