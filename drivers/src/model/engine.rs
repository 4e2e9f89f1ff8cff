//! The device's work on the rings, in QEMU's order of steps.

use super::attributes::{Attributes, Fault, Sent, Tamper, feature};
use super::memory;
use crate::index::{RingIndex, need_event};
use core::cell::Cell;
use std::collections::VecDeque;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;
use virtio_drivers::PhysAddr;
use virtio_drivers::transport::DeviceStatus;

const AVAIL_NO_INTERRUPT: u16 = 1;
/// Flags of descriptors (VIRTIO 1.2, 2.7.5).
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// Bytes that the device reads of one buffer at most.
const LARGEST: u32 = 1 << 16;
const USED_NO_NOTIFY: u16 = 1;

#[derive(Debug, Default)]
pub(super) struct DeviceQueue {
    pub(super) size: u16,
    pub(super) descriptors: PhysAddr,
    pub(super) driver: PhysAddr,
    pub(super) device: PhysAddr,
    /// Next available entry to take.
    pub(super) taken: u16,
    pub(super) used_idx: u16,
    /// `used.idx` when the driver was last told or not, as it wished.
    pub(super) signalled: Option<u16>,
    /// Entries were used since.
    pub(super) used_since: bool,
    pub(super) kicked: bool,
    /// The driver broke the rules on this queue: the device does not touch it until a reset.
    pub(super) broken: bool,
    /// Descriptors that the device owns, to catch a driver that gives one twice.
    pub(super) owned: Vec<bool>,
    pub(super) last_id: u32,
    /// Used entries written and not yet shown by `used.idx`.
    pub(super) hidden: Vec<(u32, u32)>,
}

/// Everything about the device.
#[derive(Debug)]
pub struct State {
    /// What it is like.
    pub attributes: Attributes,
    /// How it misbehaves.
    pub faults: Vec<Fault>,
    /// A reset ends all misbehaviour.
    pub heals_at_reset: bool,
    /// What it does to the next used entries of each queue; `None` leaves one as it is.
    pub tampers: [VecDeque<Option<Tamper>>; 2],
    /// Frames that came from the driver.
    pub sent: VecDeque<Sent>,
    /// Notifications that reached the device, for each queue.
    pub kicks: [u64; 2],
    /// Interrupts that it raised.
    pub interrupts: u64,
    /// Resets that it went through.
    pub resets: u64,
    /// Register reads.
    pub reads: Cell<u64>,
    /// What the driver did against the specification.
    pub violations: Vec<String>,
    /// Flags of the headers of frames that the device delivers.
    pub header_flags: u8,
    pub(super) status: u32,
    pub(super) driver_features: u64,
    pub(super) generation: Cell<u32>,
    pub(super) isr: u32,
    pub(super) queues: [DeviceQueue; 2],
    pub(super) backlog: VecDeque<Vec<u8>>,
}

/// The buffers in a table, along its chain. `None`: it leads astray, or to a buffer that is to be
/// written.
fn table_of(table: &[u8]) -> Option<Vec<(PhysAddr, u32)>> {
    let mut parts = Vec::new();
    let mut at = 0;
    loop {
        let entry = table.get(at * 16..at * 16 + 16)?;
        let address = u64::from_le_bytes(entry[..8].try_into().ok()?);
        let len = u32::from_le_bytes(entry[8..12].try_into().ok()?);
        let flags = u16::from_le_bytes(entry[12..14].try_into().ok()?);
        parts.push((address, len));
        let next = usize::from(u16::from_le_bytes(entry[14..16].try_into().ok()?));
        match flags {
            0 => return Some(parts),
            NEXT if parts.len() < table.len() / 16 => at = next,
            _ => return None,
        }
    }
}

impl State {
    pub(super) fn new(attributes: Attributes) -> State {
        State {
            attributes,
            faults: Vec::new(),
            heals_at_reset: false,
            tampers: [VecDeque::new(), VecDeque::new()],
            sent: VecDeque::new(),
            kicks: [0; 2],
            interrupts: 0,
            resets: 0,
            reads: Cell::new(0),
            violations: Vec::new(),
            header_flags: 0,
            status: 0,
            driver_features: 0,
            generation: Cell::new(0),
            isr: 0,
            queues: [DeviceQueue::default(), DeviceQueue::default()],
            backlog: VecDeque::new(),
        }
    }

    /// Whether the device misbehaves in this way.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// Features that the driver accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.driver_features
    }

    fn event_idx(&self) -> bool {
        self.driver_features & feature::EVENT_IDX != 0
    }

    fn live(&self) -> bool {
        self.status & DeviceStatus::DRIVER_OK.bits() != 0
            && self.status & DeviceStatus::DEVICE_NEEDS_RESET.bits() == 0
    }

    fn header_len(&self) -> usize {
        if self.driver_features & (feature::VERSION_1 | feature::MRG_RXBUF) != 0 {
            12
        } else {
            10
        }
    }

    pub(super) fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(super) fn reset(&mut self) {
        self.status = 0;
        self.isr = 0;
        self.driver_features = 0;
        self.resets += 1;
        if core::mem::take(&mut self.heals_at_reset) {
            self.faults.clear();
        }
        if !self.has(Fault::QueuesStay) {
            self.queues = [DeviceQueue::default(), DeviceQueue::default()];
        }
    }

    /// The next available entry of a queue, if there is one.
    fn pop(&mut self, queue: usize) -> Option<u16> {
        if !self.has_available(queue) {
            return None;
        }
        let q = &self.queues[queue];
        let idx = memory::read_u16(q.driver + 2)?;
        if idx.wrapping_sub(q.taken) > q.size {
            let text = format!(
                "queue {queue}: avail.idx {idx} is beyond {} + size",
                q.taken
            );
            self.violate(text);
            self.queues[queue].broken = true;
            return None;
        }
        let slot = u64::from(q.taken % q.size);
        let id = memory::read_u16(q.driver + 4 + 2 * slot)?;
        let twice = q.owned.get(usize::from(id)).copied();
        if twice != Some(false) {
            self.violate(format!(
                "queue {queue}: descriptor {id} given twice or beyond"
            ));
            self.queues[queue].broken = true;
            return None;
        }
        let q = &mut self.queues[queue];
        q.owned[usize::from(id)] = true;
        q.taken = q.taken.wrapping_add(1);
        Some(id)
    }

    /// Says which notifications the device wants from now on.
    fn want_notifications(&mut self, queue: usize, wanted: bool) {
        let event_idx = self.event_idx();
        let eager = self.has(Fault::Eager);
        let q = &self.queues[queue];
        let sulky = self.has(Fault::Sulky);
        if q.size == 0 {
            return;
        }
        let wanted = wanted && !sulky;
        if event_idx {
            if wanted {
                let at = q.device + 4 + 8 * u64::from(q.size);
                let _ = memory::write_u16(at, q.taken);
            }
        } else {
            let flags = if wanted || eager { 0 } else { USED_NO_NOTIFY };
            let _ = memory::write_u16(q.device, flags);
        }
    }

    /// The buffer of a descriptor: address, length and flags.
    fn buffer(&mut self, queue: usize, id: u16) -> Option<(PhysAddr, u32, u16)> {
        let at = self.queues[queue].descriptors + 16 * u64::from(id);
        let bytes = memory::read::<16>(at)?;
        let address = u64::from_le_bytes(bytes[..8].try_into().ok()?);
        let len = u32::from_le_bytes(bytes[8..12].try_into().ok()?);
        let flags = u16::from_le_bytes(bytes[12..14].try_into().ok()?);
        // Tables are for sending alone.
        let table = queue == 1 && self.driver_features & feature::INDIRECT_DESC != 0;
        let known = if table { INDIRECT } else { WRITE };
        if len == 0 || flags & !known != 0 {
            self.violate(format!(
                "queue {queue}: descriptor {id}: length {len}, flags {flags}"
            ));
        }
        Some((address, len, flags))
    }

    /// What the driver gives to be sent by a descriptor: the bytes of its buffer, or of those in
    /// its table.
    fn outgoing(&mut self, id: u16) -> Option<Vec<u8>> {
        let (address, len, flags) = self.buffer(1, id)?;
        let mut parts = vec![(address, len)];
        if flags & INDIRECT != 0 {
            let mut table = vec![0; len.min(LARGEST) as usize];
            memory::read_into(address, &mut table)?;
            parts = table_of(&table)?;
        }
        let mut frame = Vec::new();
        for (address, len) in parts {
            let mut bytes = vec![0; len.min(LARGEST) as usize];
            memory::read_into(address, &mut bytes)?;
            frame.extend_from_slice(&bytes);
        }
        (flags & WRITE == 0).then_some(frame)
    }

    pub(super) fn transmit(&mut self) {
        if !self.live() || self.has(Fault::TransmitFrozen) {
            return;
        }
        self.want_notifications(1, false);
        loop {
            while let Some(id) = self.pop(1) {
                let header = self.header_len();
                match self.outgoing(id) {
                    Some(mut bytes) if bytes.len() >= header + 14 => {
                        let frame = bytes.split_off(header);
                        let header = bytes;
                        self.sent.push_back(Sent { header, frame });
                    }
                    _ => self.violate(format!("transmit descriptor {id} is no frame")),
                }
                let len = self.attributes.sent_len;
                self.push_used(1, id.into(), len);
            }
            // QEMU's order: wish first, then a last look.
            self.want_notifications(1, true);
            if !self.has_available(1) {
                break;
            }
            self.want_notifications(1, false);
        }
        self.signal(1);
    }

    fn has_available(&self, queue: usize) -> bool {
        let q = &self.queues[queue];
        q.size != 0 && !q.broken && memory::read_u16(q.driver + 2).is_some_and(|idx| idx != q.taken)
    }

    pub(super) fn receive(&mut self) {
        if !self.live() || self.has(Fault::ReceiveFrozen) {
            return;
        }
        while !self.backlog.is_empty() {
            let Some(id) = self.pop(0) else {
                self.want_notifications(0, true);
                if self.has_available(0) {
                    continue;
                }
                break;
            };
            self.want_notifications(0, false);
            let frame = self.backlog.pop_front().unwrap_or_default();
            let mut bytes = vec![0; self.header_len()];
            bytes[0] = self.header_flags;
            bytes.extend_from_slice(&frame);
            let fits = self
                .buffer(0, id)
                .filter(|(_, len, flags)| flags & WRITE != 0 && bytes.len() <= *len as usize)
                .and_then(|(address, ..)| memory::write(address, &bytes));
            if fits.is_none() {
                self.violate(format!("receive descriptor {id} holds no frame"));
            }
            self.push_used(0, id.into(), bytes.len() as u32);
        }
        self.signal(0);
    }

    pub(super) fn push_used(&mut self, queue: usize, id: u32, len: u32) {
        if let Some(owned) = self.queues[queue].owned.get_mut(id as usize) {
            *owned = false;
        }
        self.queues[queue].hidden.push((id, len));
        // Out of order needs several to choose from.
        if !self.has(Fault::Reversed) {
            self.show_used(queue);
        }
    }

    /// Writes the hidden used entries to the ring, tampered with as planned.
    fn show_used(&mut self, queue: usize) {
        let mut entries = core::mem::take(&mut self.queues[queue].hidden);
        if self.has(Fault::Reversed) {
            entries.reverse();
        }
        for (mut id, mut len) in entries {
            let mut skip = 0;
            let mut write = true;
            match self.tampers[queue].pop_front().flatten() {
                None => {}
                Some(Tamper::Id(other)) => id = other,
                Some(Tamper::Len(other)) => len = other,
                Some(Tamper::Repeat) => id = self.queues[queue].last_id,
                Some(Tamper::Skip(by)) => skip = by,
                Some(Tamper::Stale) => write = false,
            }
            let q = &mut self.queues[queue];
            q.last_id = id;
            if q.size == 0 {
                continue;
            }
            let at = q.device + 4 + 8 * u64::from(q.used_idx % q.size);
            let idx = q.used_idx.wrapping_add(1).wrapping_add(skip);
            if write {
                let _ = memory::write(at, &id.to_le_bytes());
                let _ = memory::write(at + 4, &len.to_le_bytes());
            }
            self.show_used_idx(queue, idx);
        }
    }

    pub(super) fn show_used_idx(&mut self, queue: usize, idx: u16) {
        let q = &mut self.queues[queue];
        q.used_idx = idx;
        q.used_since = true;
        if q.size != 0 {
            let _ = memory::write_u16(q.device + 2, idx);
        }
    }

    /// Interrupts if the driver wants that (QEMU: `virtio_should_notify`).
    fn signal(&mut self, queue: usize) {
        self.show_used(queue);
        let event_idx = self.event_idx();
        let q = &mut self.queues[queue];
        if q.size == 0 {
            return;
        }
        if !core::mem::take(&mut q.used_since) && !self.faults.contains(&Fault::Noisy) {
            return;
        }
        let old = q.signalled.replace(q.used_idx);
        let q = &self.queues[queue];
        let wanted = if event_idx {
            let event = memory::read_u16(q.driver + 4 + 2 * u64::from(q.size)).unwrap_or(0);
            old.is_none_or(|old| {
                let new = RingIndex::new(q.used_idx);
                need_event(RingIndex::new(event), new, RingIndex::new(old))
            })
        } else {
            let flags = memory::read_u16(q.driver).unwrap_or(0);
            flags & AVAIL_NO_INTERRUPT == 0
        };
        if (wanted || self.has(Fault::Noisy) || self.has(Fault::Eager)) && !self.has(Fault::Mute) {
            self.isr |= 1;
            self.interrupts += 1;
        }
    }

    pub(super) fn config_byte(&self, at: usize) -> Option<u8> {
        let a = &self.attributes;
        let mut bytes = [0; 12];
        bytes[..6].copy_from_slice(&a.mac);
        bytes[6..8].copy_from_slice(&u16::from(a.link_up).to_le_bytes());
        bytes[8..10].copy_from_slice(&1_u16.to_le_bytes());
        bytes[10..].copy_from_slice(&a.mtu.to_le_bytes());
        bytes.get(at).copied()
    }
}
