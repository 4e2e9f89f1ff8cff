//! One virtqueue: ring memory, ledger, buffers and notifications together.
//!
//! Owns the steps that keep the four in agreement. It never knows what a frame is, and never
//! decides about recovery: it reports what cannot be true and stops there.

use crate::index::RingIndex;
use crate::ledger::{BadUsed, Counters, Credit, Ledger};
use crate::notify::{self, Shared, Suppression};
use crate::pool::{Pool, SLOT};
use crate::ring::{DESCRIPTOR_INDIRECT, DESCRIPTOR_WRITE, PAIR, RingMemory, pair};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use quartz_abi::RingStats;
use virtio_drivers::transport::Transport;
use virtio_drivers::{Hal, PhysAddr};

/// Which way a queue's frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// `receiveq1`, queue 0 (VIRTIO 1.2, 5.1.2).
    Receive,
    /// `transmitq1`, queue 1.
    Transmit,
}

impl Direction {
    /// Number of the queue.
    pub fn queue(self) -> u16 {
        match self {
            Self::Receive => 0,
            Self::Transmit => 1,
        }
    }
}

/// What one publication did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    /// Entries made available.
    pub count: u16,
    /// `avail.idx` afterwards.
    pub idx: RingIndex,
    /// Whether the device was notified.
    pub kicked: bool,
}

/// A virtqueue of single-descriptor buffers: descriptor *n* always describes slot *n*.
pub(crate) struct Queue<H: Hal> {
    direction: Direction,
    ring: RingMemory<H>,
    ledger: Ledger,
    pool: Rc<Pool<H>>,
    suppression: Suppression,
    /// An interrupt is due with the next used entry.
    armed: bool,
    /// Shortest length that a used entry may have.
    shortest: u32,
    /// Descriptors that lead to a table in their slot instead of describing the slot itself.
    gathered: Box<[bool]>,
}

/// Where in a slot the table of a buffer in two parts begins.
const TABLE: usize = SLOT - PAIR;
/// Most bytes of such a buffer that lie in the slot.
pub(crate) const MOST_GATHERED: usize = TABLE;

impl<H: Hal> Queue<H> {
    /// A queue of `size` descriptors, a power of two, that no device knows yet. `None` if there
    /// is no memory for it. `fence`: see [`NetConfig::fence`](crate::NetConfig::fence).
    pub fn new(direction: Direction, size: u16, fence: fn()) -> Option<Queue<H>> {
        Some(Queue {
            direction,
            ring: RingMemory::new(size, fence)?,
            ledger: Ledger::new(size),
            pool: Pool::new(size)?,
            suppression: Suppression::Flags,
            armed: false,
            shortest: 0,
            gathered: vec![false; usize::from(size)].into_boxed_slice(),
        })
    }

    /// Bytes of DMA memory that a queue of `size` takes, in whole pages.
    pub const fn dma_bytes(size: u16) -> usize {
        RingMemory::<H>::bytes(size) + Pool::<H>::bytes(size).next_multiple_of(4096)
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.ledger.size()
    }

    /// Physical addresses of descriptor table, driver area and device area.
    pub fn addresses(&self) -> [PhysAddr; 3] {
        self.ring.addresses()
    }

    /// Takes every buffer back from a device that is in reset.
    pub fn reclaim(&mut self) {
        self.ledger.reclaim();
        self.ledger.counters().resets += 1;
        self.armed = false;
    }

    /// Prepares the memory for a device that is in reset: descriptors as the driver wants them,
    /// whatever was written there, and interrupts off. Used entries will be `shortest` bytes long
    /// or longer.
    pub fn prepare(&mut self, suppression: Suppression, shortest: u32) {
        self.suppression = suppression;
        self.shortest = shortest;
        self.ring.clear();
        let (len, flags) = match self.direction {
            Direction::Receive => (SLOT as u32, DESCRIPTOR_WRITE),
            Direction::Transmit => (0, 0),
        };
        for id in 0..self.size() {
            self.ring
                .write_descriptor(id, self.pool.physical(id), len, flags);
        }
        self.gathered.fill(false);
        self.armed = true;
        self.disarm();
    }

    /// The pool of this queue's buffers.
    #[inline]
    pub fn pool(&self) -> &Rc<Pool<H>> {
        &self.pool
    }

    /// Gives the credit's buffer to the device, at the next publication.
    #[inline]
    pub fn post(&mut self, credit: Credit) {
        let id = credit.id();
        let at = self.ledger.post(credit);
        self.ring.write_avail(at, id);
    }

    /// The same for a buffer whose first `len` bytes the device is to read.
    #[inline]
    pub fn post_bytes(&mut self, credit: Credit, len: u32) {
        let id = credit.id();
        match self.gathered.get_mut(usize::from(id)) {
            Some(gathered) if *gathered => {
                *gathered = false;
                self.ring
                    .write_descriptor(id, self.pool.physical(id), len, 0);
            }
            _ => self.ring.write_descriptor_len(id, len),
        }
        self.post(credit);
    }

    /// The same for a buffer in two parts: the first `len` bytes of the slot, at most
    /// [`MOST_GATHERED`], and `tail`, an address with a length in bytes. It takes one descriptor
    /// like any other, so the ledger need not know.
    pub fn post_gathered(&mut self, mut credit: Credit, len: u32, tail: (PhysAddr, u32)) {
        let id = credit.id();
        let slot = self.pool.physical(id);
        let table = &mut self.pool.bytes_of_mut(&mut credit, SLOT)[TABLE..];
        table.copy_from_slice(&pair([(slot, len), tail]));
        let (at, len) = (slot + TABLE as u64, PAIR as u32);
        self.ring.write_descriptor(id, at, len, DESCRIPTOR_INDIRECT);
        if let Some(gathered) = self.gathered.get_mut(usize::from(id)) {
            *gathered = true;
        }
        self.post(credit);
    }

    /// Gives the device every buffer that lies free or that a dropped frame brought back.
    #[inline]
    pub fn post_returned(&mut self) {
        let Queue {
            ledger, ring, pool, ..
        } = self;
        pool.take_returned(|credit| {
            let id = credit.id();
            ring.write_avail(ledger.post(credit), id);
        });
    }

    /// Gives the device every buffer that lies free: the beginning of a receive queue's life.
    pub fn post_free(&mut self) {
        while let Some(credit) = self.ledger.take_free() {
            self.post(credit);
        }
    }

    /// Whether there is a free buffer.
    #[inline]
    pub fn has_free(&self) -> bool {
        self.ledger.has_free()
    }

    /// Takes a free buffer.
    #[inline]
    pub fn take_free(&mut self) -> Option<Credit> {
        self.ledger.take_free()
    }

    /// Brings back a buffer taken by [`take_free`](Self::take_free) or that was used.
    #[inline]
    pub fn release(&mut self, credit: Credit) {
        self.ledger.release(credit);
    }

    /// Publishes what was posted, and notifies the device if it wants that. `None` if there is
    /// nothing to publish.
    #[inline]
    pub fn publish(&mut self, transport: &mut impl Transport) -> Option<Published> {
        if !self.ledger.has_unpublished() {
            return None;
        }
        let (old, new) = self.ledger.publish();
        let kicked = notify::publish(&self.ring, self.suppression, old, new);
        if kicked {
            self.kick(transport);
        }
        Some(Published {
            count: new.since(old),
            idx: new,
            kicked,
        })
    }

    /// Notifies the device, whether it asked for that or not.
    pub fn kick(&mut self, transport: &mut impl Transport) {
        self.ledger.counters().kicks += 1;
        transport.notify(self.direction.queue());
    }

    /// Takes the next used buffer with the length that the device gives it.
    ///
    /// # Errors
    /// What the device says cannot be true; it is counted, and the device must be reset.
    #[inline]
    pub fn take_used(&mut self) -> Result<Option<(Credit, u32)>, BadUsed> {
        if !self.ledger.has_seen() {
            self.observe()?;
            if !self.ledger.has_seen() {
                return Ok(None);
            }
        }
        let (id, len) = self.ring.used_entry(self.ledger.taken());
        match self.ledger.accept(id, len, self.shortest, SLOT as u32) {
            Ok(credit) => Ok(Some((credit, len))),
            Err(bad) => Err(self.bad(bad)),
        }
    }

    /// Reads `used.idx` and holds it against the ledger.
    ///
    /// # Errors
    /// As for [`take_used`](Self::take_used).
    #[inline]
    pub fn observe(&mut self) -> Result<(), BadUsed> {
        let idx = self.ring.load_used_idx();
        self.ledger.observe(idx).map_err(|bad| self.bad(bad))
    }

    #[cold]
    fn bad(&mut self, bad: BadUsed) -> BadUsed {
        self.ledger.counters().bad_used += 1;
        bad
    }

    /// Buffers that the device used and that were not taken in, if it is to be believed.
    #[inline]
    pub fn waiting(&self) -> u16 {
        self.ring.load_used_idx().since(self.ledger.taken())
    }

    /// Whether the device used buffers that were not taken in.
    pub fn has_used(&self) -> bool {
        self.waiting() != 0
    }

    /// Whether an interrupt is due with the next used buffer.
    #[inline]
    pub fn is_armed(&self) -> bool {
        self.armed
    }

    /// Asks for an interrupt with the next used buffer. If there is one already, says true and
    /// asks for nothing.
    #[inline]
    pub fn arm(&mut self) -> bool {
        self.armed = true;
        let work = notify::arm(&self.ring, self.suppression, self.ledger.taken());
        if work {
            self.disarm();
        }
        work
    }

    /// Asks for no interrupts.
    #[inline]
    pub fn disarm(&mut self) {
        if self.armed {
            self.armed = false;
            self.keep_quiet();
        }
    }

    /// Moves the event out of the device's way, where suppression needs that.
    #[inline]
    pub fn keep_quiet(&self) {
        let far = self.direction == Direction::Transmit;
        notify::disarm(&self.ring, self.suppression, self.ledger.taken(), far);
    }

    /// Buffers used since boot, taken in or not, if the device is to be believed.
    pub fn used(&self) -> u64 {
        self.ledger.harvested() + u64::from(self.waiting())
    }

    /// Used buffers taken in since boot.
    #[inline]
    pub fn harvested(&self) -> u64 {
        self.ledger.harvested()
    }

    /// Published buffers that the device has not used, as far as was seen.
    pub fn gap(&self) -> u16 {
        self.ledger.gap()
    }

    /// `avail.idx`, and `used.idx` as far as it was taken in.
    pub fn indices(&self) -> (RingIndex, RingIndex) {
        (self.ledger.published(), self.ledger.taken())
    }

    /// The counters, to count what the queue cannot see itself.
    pub fn counters(&mut self) -> &mut Counters {
        self.ledger.counters()
    }

    /// Whether the ledger's invariants hold.
    pub fn holds(&self) -> bool {
        self.ledger.holds()
    }

    /// The ledger, to spoil it.
    #[cfg(test)]
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Indices and counters.
    pub fn stats(&self) -> RingStats {
        self.ledger.stats(self.pool.returned())
    }

    /// Keeps the memory for ever, since the device may still use it.
    pub fn abandon(&self) {
        self.ring.abandon();
        self.pool.abandon();
    }
}
