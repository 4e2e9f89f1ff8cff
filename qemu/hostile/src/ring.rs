//! One split virtqueue, seen from the device (VIRTIO 1.2, 2.7).
//!
//! The driver's side is read through `virtio-queue`; the device's side, which must be able to lie,
//! is written word by word. The device is a strict one: it knows only of buffers that it looked
//! at, looks only when it is awake, and when it has gone to sleep only a notification wakes it. A
//! driver that forgets a notification is therefore found out at once.

use crate::wake::Wake;
use std::fmt;
use std::num::Wrapping;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use virtio_queue::{Queue as AvailQueue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap, Permissions};

/// `used.flags`: do not notify (VIRTIO 1.2, 2.7.10).
const NO_NOTIFY: u16 = 1;
/// `avail.flags`: do not interrupt (VIRTIO 1.2, 2.7.7).
const NO_INTERRUPT: u16 = 1;
/// Longest ring that a device may offer.
const MAX_SIZE: u16 = 32768;
/// Breaches of the driver that are kept in full; later ones are only counted.
const KEPT: usize = 16;

/// Where a ring lies and how it is used: what the vhost-user messages say about it.
#[derive(Debug)]
pub(crate) struct RingSetup {
    pub size: u16,
    pub descriptors: GuestAddress,
    pub avail: GuestAddress,
    pub used: GuestAddress,
    pub base: u16,
    pub event_idx: bool,
    pub kick: Arc<Wake>,
    pub call: Option<Arc<Wake>>,
}

/// A descriptor chain of the driver's, taken from the ring.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub head: u16,
    /// Address, length and whether the device may write, of each part.
    parts: Vec<(GuestAddress, u32, bool)>,
}

impl Chain {
    /// Bytes that the device may write.
    pub fn capacity(&self) -> usize {
        let writable = self.parts.iter().filter(|(_, _, w)| *w);
        writable.map(|(_, len, _)| *len as usize).sum()
    }
}

/// A running virtqueue.
pub(crate) struct Ring {
    avail: AvailQueue,
    memory: Arc<GuestMemoryMmap>,
    avail_at: GuestAddress,
    used_at: GuestAddress,
    size: u16,
    event_idx: bool,
    pub kick: Arc<Wake>,
    pub call: Option<Arc<Wake>>,
    /// `avail.idx` when last looked at.
    seen: u16,
    asleep: bool,
    /// Index of the next used entry; what is below and not published lies ready in the ring.
    used: u16,
    /// `used.idx` when the driver was last considered for an interrupt.
    announced: u16,
    /// Heads that the device owns.
    owned: Vec<bool>,
    /// When each head was returned last: numbers in ascending order.
    returned: Vec<u64>,
    /// The last of these numbers.
    turns: u64,
    /// A lie was told: what the driver does from now on proves nothing.
    pub lied: bool,
    /// What the driver did that it must not.
    pub breaches: Vec<String>,
    pub breach_count: u64,
}

/// The ring lies outside of memory or is malformed.
#[derive(Debug)]
pub(crate) struct BadRing;

impl Ring {
    pub fn start(setup: RingSetup, memory: Arc<GuestMemoryMmap>) -> Result<Ring, BadRing> {
        let mut avail = AvailQueue::new(MAX_SIZE).map_err(|_| BadRing)?;
        avail.try_set_size(setup.size).map_err(|_| BadRing)?;
        avail
            .try_set_desc_table_address(setup.descriptors)
            .and_then(|()| avail.try_set_avail_ring_address(setup.avail))
            .and_then(|()| avail.try_set_used_ring_address(setup.used))
            .map_err(|_| BadRing)?;
        avail.set_event_idx(setup.event_idx);
        avail.set_next_avail(setup.base);
        avail.set_ready(true);
        if !avail.is_valid(&*memory) {
            return Err(BadRing);
        }
        let used = avail
            .used_idx(&*memory, Ordering::Acquire)
            .map_err(|_| BadRing)?;
        Ok(Ring {
            avail,
            memory,
            avail_at: setup.avail,
            used_at: setup.used,
            size: setup.size,
            event_idx: setup.event_idx,
            kick: setup.kick,
            call: setup.call,
            seen: setup.base,
            asleep: true,
            used: used.0,
            announced: used.0,
            owned: vec![false; usize::from(setup.size)],
            returned: vec![0; usize::from(setup.size)],
            turns: 0,
            lied: false,
            breaches: Vec::new(),
            breach_count: 0,
        })
    }

    pub fn size(&self) -> u16 {
        self.size
    }

    pub fn next_avail(&self) -> u16 {
        self.avail.next_avail()
    }

    pub fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// A notification came: the device may look again.
    pub fn wake(&mut self) {
        self.asleep = false;
    }

    /// `avail.idx` as it stands in memory.
    pub fn avail_idx(&self) -> u16 {
        let read = self.avail.avail_idx(&*self.memory, Ordering::Acquire);
        read.map_or(0, |idx| idx.0)
    }

    /// `used.idx` as it stands in memory.
    pub fn used_idx(&self) -> u16 {
        let read = self.avail.used_idx(&*self.memory, Ordering::Acquire);
        read.map_or(0, |idx| idx.0)
    }

    /// Buffers that the device owns: those it took and those that wait in the available ring.
    pub fn owned(&self) -> u16 {
        let taken = self.owned.iter().filter(|o| **o).count() as u16;
        taken.wrapping_add(self.avail_idx().wrapping_sub(self.next_avail()))
    }

    /// Looks how far the driver has got.
    pub fn look(&mut self) {
        let idx = self.avail_idx();
        if idx.wrapping_sub(self.next_avail()) > self.size {
            let next = self.next_avail();
            self.breach(format_args!(
                "avail.idx {idx} is more than the ring beyond {next}"
            ));
            return;
        }
        self.seen = idx;
    }

    /// The next buffer that the device knows of.
    pub fn next_known(&mut self) -> Option<Chain> {
        while self.seen != self.next_avail() {
            let taken = self.avail.pop_descriptor_chain(Arc::clone(&self.memory))?;
            let head = taken.head_index();
            let mut parts = Vec::new();
            for part in taken {
                parts.push((part.addr(), part.len(), part.is_write_only()));
            }
            let reachable = |(at, len, _): &(GuestAddress, u32, bool)| {
                self.memory
                    .check_range(*at, *len as usize, Permissions::Read)
            };
            if parts.is_empty() || !parts.iter().all(reachable) {
                self.breach(format_args!("head {head} names no memory"));
                continue;
            }
            match self.owned.get_mut(usize::from(head)) {
                Some(owned) if !*owned => *owned = true,
                Some(_) => {
                    self.breach(format_args!("head {head} was made available twice"));
                    continue;
                }
                None => {
                    self.breach(format_args!("head {head} is beyond the ring"));
                    continue;
                }
            }
            return Some(Chain { head, parts });
        }
        None
    }

    /// The next buffer; looks again when the known ones are used up, and asks for a notification
    /// when there is none at all (VIRTIO 1.2, 2.7.7.4). `garbage`: asks wrongly.
    pub fn next(&mut self, garbage: impl FnOnce() -> bool) -> Option<Chain> {
        if self.asleep {
            return None;
        }
        if self.seen == self.next_avail() {
            self.suppress_kicks();
            self.look();
        }
        if self.seen == self.next_avail() {
            self.sleep(garbage());
            self.look();
            if self.seen == self.next_avail() {
                return None;
            }
            self.asleep = false;
        }
        self.next_known()
    }

    fn suppress_kicks(&mut self) {
        if !self.event_idx {
            self.store(self.used_at, NO_NOTIFY);
        }
    }

    /// Asks for a notification of the next buffer and does not look again. `garbage`: writes what
    /// keeps the driver from notifying.
    pub fn sleep(&mut self, garbage: bool) {
        self.asleep = true;
        let next = self.next_avail();
        let (flags, event) = if garbage {
            (0xffff, next.wrapping_add(0x7fff))
        } else {
            (0, next)
        };
        self.store(self.used_at, flags);
        if self.event_idx {
            let offset = 4 + 8 * u64::from(self.size);
            self.store(GuestAddress(self.used_at.0 + offset), event);
        }
        fence(Ordering::SeqCst);
    }

    /// Writes into a chain, as far as it goes. How many bytes it took.
    pub fn write(&self, chain: &Chain, mut bytes: &[u8]) -> usize {
        let whole = bytes.len();
        for (at, len, writable) in &chain.parts {
            if *writable {
                let (now, rest) = bytes.split_at(bytes.len().min(*len as usize));
                if self.memory.write_slice(now, *at).is_err() {
                    break;
                }
                bytes = rest;
            }
        }
        whole - bytes.len()
    }

    /// Reads what the driver put into a chain; at most 64 KiB.
    pub fn read(&self, chain: &Chain) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (at, len, writable) in &chain.parts {
            let from = bytes.len();
            if *writable || from + *len as usize > 65536 {
                continue;
            }
            bytes.resize(from + *len as usize, 0);
            if self.memory.read_slice(&mut bytes[from..], *at).is_err() {
                bytes.truncate(from);
            }
        }
        bytes
    }

    /// Returns a buffer; the driver sees it after [`Ring::publish`].
    pub fn give_back(&mut self, head: u16, len: u32) {
        self.turns += 1;
        let slot = usize::from(head);
        if let (Some(owned), Some(at)) = (self.owned.get_mut(slot), self.returned.get_mut(slot)) {
            *owned = false;
            *at = self.turns;
        }
        self.entry(u32::from(head), len);
    }

    /// Writes a used entry, true or not.
    pub fn entry(&mut self, id: u32, len: u32) {
        let slot = u64::from(self.used % self.size);
        let at = GuestAddress(self.used_at.0 + 4 + 8 * slot);
        let entry = u64::from(id) | u64::from(len) << 32;
        // The ring was checked against the memory when it started.
        let _ = self.memory.write_slice(&entry.to_le_bytes(), at);
        self.used = self.used.wrapping_add(1);
    }

    /// Moves the index without an entry.
    pub fn skip(&mut self, by: i32) {
        self.used = self.used.wrapping_add(by as u16);
    }

    /// A head that the device does not own, and that the driver will not make available in the
    /// next moment: neither the first nor the last to have come back. `None` if there are too few
    /// to be sure.
    pub fn foreign_head(&self) -> Option<u16> {
        let waiting = self.waiting_heads();
        let foreign = |head: &u16| !self.owned[usize::from(*head)] && !waiting.contains(head);
        let mut heads: Vec<u16> = (0..self.size).filter(foreign).collect();
        heads.sort_by_key(|head| self.returned[usize::from(*head)]);
        (heads.len() >= 4).then(|| heads[heads.len() / 2])
    }

    /// Heads that stand in the available ring and were not taken yet.
    fn waiting_heads(&self) -> Vec<u16> {
        let (mut at, end) = (Wrapping(self.next_avail()), Wrapping(self.avail_idx()));
        let mut heads = Vec::new();
        while at != end && heads.len() < usize::from(self.size) {
            let offset = 4 + 2 * u64::from(at.0 % self.size);
            heads.push(self.load(GuestAddress(self.avail_at.0 + offset)));
            at += 1;
        }
        heads
    }

    /// Shows the driver the entries written so far. Whether there were any.
    pub fn publish(&mut self) -> bool {
        if self.used == self.used_idx() {
            return false;
        }
        let at = GuestAddress(self.used_at.0 + 2);
        let _ = self.memory.store(self.used.to_le(), at, Ordering::Release);
        fence(Ordering::SeqCst);
        true
    }

    /// Whether the driver wants to be told of what was published since it was last asked
    /// (VIRTIO 1.2, 2.7.7.2).
    pub fn wants_call(&mut self) -> bool {
        let old = self.announced;
        self.announced = self.used;
        if !self.event_idx {
            return self.load(self.avail_at) & NO_INTERRUPT == 0;
        }
        let offset = 4 + 2 * u64::from(self.size);
        let event = self.load(GuestAddress(self.avail_at.0 + offset));
        self.used.wrapping_sub(event).wrapping_sub(1) < self.used.wrapping_sub(old)
    }

    fn load(&self, at: GuestAddress) -> u16 {
        let word = self.memory.load::<u16>(at, Ordering::Acquire);
        word.map_or(0, u16::from_le)
    }

    fn store(&self, at: GuestAddress, value: u16) {
        let _ = self.memory.store(value.to_le(), at, Ordering::Release);
    }

    pub fn breach(&mut self, what: fmt::Arguments<'_>) {
        if self.lied {
            return;
        }
        self.breach_count += 1;
        if self.breaches.len() < KEPT {
            self.breaches.push(what.to_string());
        }
    }
}
