//! virtio-net as the kernel uses it (VIRTIO 1.2, 5.1).
//!
//! Owns the device, both queues, and the way of a frame through them. It never waits: each call
//! does what can be done now. What goes wrong is noted here and put right by the slow tick
//! (`upkeep`).

mod upkeep;

use crate::bringup::{self, LARGEST_FRAME, NetError, Session};
use crate::checksum;
use crate::header::{self, MODERN};
use crate::interrupt::InterruptLine;
use crate::offload::Offload;
use crate::pool::RxFrame;
use crate::probe::Probe;
use crate::queue::{Direction, MOST_GATHERED, Published, Queue};
use crate::recovery::{Announcement, Cause, Ladder, Stall, Time};
use core::fmt;
use quartz_abi::{Event, EventKind, RingStats};
use virtio_drivers::transport::{InterruptStatus, Transport};
use virtio_drivers::{Hal, PhysAddr};

/// Shortest frame that is one: its Ethernet header.
const SHORTEST_FRAME: usize = 14;
/// Longest tail: an IP packet has 65,535 bytes at most.
const LONGEST_TAIL: usize = 65_535;

/// How large the queues may become. The device's own maximum bounds them too.
#[derive(Clone, Copy, Debug)]
pub struct NetConfig {
    /// Most receive buffers: a power of two, 2 to 32,768.
    pub rx_size: u16,
    /// Most transmit buffers: a power of two, 2 to 32,768.
    pub tx_size: u16,
    /// Returns when every earlier store is visible to the device, and before any later load:
    /// `atomic::fence(SeqCst)`, or more where the processor is an emulator that leaves fences out.
    pub fence: fn(),
    /// Frames to send from which the device is notified of them twice, if ever. Under QEMU's
    /// `tx=timer` the first notification wakes the I/O thread, as ever, and the second has the
    /// frames sent at once, by the thread that executes the guest: the work is shared by two
    /// threads. To any other device the second says nothing new.
    pub twice_from: Option<u16>,
    /// The physical address of bytes that live for ever, which lie in one piece of physical
    /// memory.
    pub address: fn(&'static [u8]) -> PhysAddr,
}

/// Why a frame was not taken for transmission. The buffer was not filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransmitError {
    /// Every transmit buffer is the device's. An interrupt will tell when one comes back.
    Full,
    /// The length is below an Ethernet header or beyond a buffer.
    Length,
    /// The device does not cut segments, or does not any more.
    Cut,
    /// The device is being reset.
    Down,
}

impl fmt::Display for TransmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the transmit ring is full",
            Self::Length => "no frame has this length",
            Self::Cut => "the device does not cut segments",
            Self::Down => "the device is being reset",
        })
    }
}

impl core::error::Error for TransmitError {}

/// A virtio network device.
///
/// It keeps its transport for life: dropping a transport resets the device. All memory is taken
/// in [`new`](Self::new).
pub struct VirtioNet<H: Hal, T: Transport> {
    transport: T,
    line: &'static InterruptLine,
    rx: Queue<H>,
    tx: Queue<H>,
    session: Session,
    /// The address at boot: the one that the stack was told.
    mac: [u8; 6],
    ladder: Ladder,
    probe: Probe,
    /// The transmit ring was found full.
    starved: bool,
    /// Interrupts cannot be trusted for now.
    polls: bool,
    announcement: Announcement,
    /// Receive counter at the last harvest event.
    told: u64,
    /// Buffers of both queues that the device had used at the last interrupt.
    explained: (u64, u64),
    runts: u64,
    stall: Stall,
    time: Time,
    /// Frames received and sent when the last tick ended.
    ticked: [u64; 2],
    polls_until: u64,
    recorder: fn(Event),
    twice_from: Option<u16>,
    address: fn(&'static [u8]) -> PhysAddr,
}

impl<H: Hal, T: Transport> VirtioNet<H, T> {
    /// Brings the device up. `line` is where the interrupt handler leaves its notes.
    ///
    /// # Errors
    /// The device cannot be used, or there is no memory for its queues.
    pub fn new(
        mut transport: T,
        line: &'static InterruptLine,
        config: NetConfig,
    ) -> Result<VirtioNet<H, T>, NetError> {
        bringup::reset(&mut transport)?;
        let session = bringup::negotiate(&mut transport)?;
        let queue = |transport: &mut T, direction: Direction, wanted| {
            let size = bringup::queue_size(transport, direction.queue(), wanted)?;
            Queue::new(direction, size, config.fence).ok_or(NetError::OutOfMemory)
        };
        let rx = queue(&mut transport, Direction::Receive, config.rx_size)?;
        let tx = queue(&mut transport, Direction::Transmit, config.tx_size)?;
        let mut net = VirtioNet {
            transport,
            line,
            rx,
            tx,
            session,
            mac: session.mac,
            ladder: Ladder::default(),
            probe: Probe::new(),
            starved: false,
            polls: false,
            announcement: Announcement::default(),
            told: 0,
            explained: (0, 0),
            runts: 0,
            stall: Stall::default(),
            time: Time::default(),
            ticked: [0; 2],
            polls_until: 0,
            recorder: |_| {},
            twice_from: config.twice_from,
            address: config.address,
        };
        net.start(session)?;
        Ok(net)
    }

    /// Bytes of DMA memory, in whole pages, that queues of these sizes take.
    #[must_use]
    pub const fn dma_bytes(rx_size: u16, tx_size: u16) -> u64 {
        (Queue::<H>::dma_bytes(rx_size) + Queue::<H>::dma_bytes(tx_size)) as u64
    }

    /// Has every event of the driver told to `recorder`, which keeps it for the black box.
    pub fn set_recorder(&mut self, recorder: fn(Event)) {
        self.recorder = recorder;
    }

    /// The device's Ethernet address.
    #[must_use]
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Largest packet that fits a frame, in bytes without the Ethernet header.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.session.mtu
    }

    /// Whether the device completes checksums: then
    /// [`transmit_offloaded`](Self::transmit_offloaded) costs less than computing them.
    #[must_use]
    pub fn tx_checksum_offload(&self) -> bool {
        self.session.tx_checksum
    }

    /// Whether the device cuts segments, so that frames may have a
    /// [`tail`](crate::Offload::tail). A reset can change that.
    #[must_use]
    #[inline]
    pub fn tx_cut_offload(&self) -> bool {
        self.session.tx_cut
    }

    /// Whether frames may come with [`RxFrame::checksum_verified`].
    #[must_use]
    pub fn rx_checksum_offload(&self) -> bool {
        self.session.rx_checksum
    }

    /// Physical addresses of descriptor table, driver area and device area of the receive queue
    /// and of the transmit queue.
    #[must_use]
    pub fn addresses(&self) -> [[PhysAddr; 3]; 2] {
        [self.rx.addresses(), self.tx.addresses()]
    }

    /// Figures of the receive queue.
    #[must_use]
    pub fn rx_stats(&self) -> RingStats {
        self.rx.stats()
    }

    /// Figures of the transmit queue.
    #[must_use]
    pub fn tx_stats(&self) -> RingStats {
        self.tx.stats()
    }

    /// Received frames too short to hold an Ethernet header. They were dropped.
    #[must_use]
    pub fn runts(&self) -> u64 {
        self.runts
    }

    /// Whether the stack should ask the gateway for its address now (ARP or neighbour
    /// discovery), so that the driver can tell a quiet network from a dead ring. To be asked
    /// after each tick; the request may be left out if there is no gateway.
    #[must_use]
    pub fn wants_probe(&self) -> bool {
        self.probe.is_wanted()
    }

    /// Takes in one received frame, if there is one.
    ///
    /// While the driver waits for an interrupt it does not look into the ring before there was
    /// one, so that one that never comes can be told from one that is on its way.
    #[inline]
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn harvest(&mut self) -> Option<RxFrame<H>> {
        if (self.rx.is_armed() || self.ladder.is_down()) && !self.is_announced() {
            return None;
        }
        // Each turn uses up an entry, and there are as many as buffers were published.
        loop {
            let (credit, len) = match self.rx.take_used() {
                Ok(used) => used?,
                Err(bad) => {
                    self.bad_used(Direction::Receive, bad);
                    return None;
                }
            };
            let start = self.session.header;
            let flags = self.rx.pool().bytes_of(&credit, 1).first().copied();
            let verified = self.session.rx_checksum && header::vouches(flags.unwrap_or(0));
            let frame = RxFrame::new(self.rx.pool(), credit, start as u16, len as u16, verified);
            if (len as usize) < start + SHORTEST_FRAME {
                self.runts += 1;
                continue;
            }
            if self.probe.watches() {
                self.probe.received(frame.bytes());
            }
            return Some(frame);
        }
    }

    /// Whether [`transmit`](Self::transmit) will find a buffer. Takes in what the device has sent
    /// if that is needed.
    #[inline]
    pub fn can_transmit(&mut self) -> bool {
        if self.ladder.is_down() {
            return false;
        }
        if !self.tx.has_free() {
            self.reclaim();
            self.starved = !self.tx.has_free();
        }
        self.tx.has_free() && !self.ladder.is_down()
    }

    /// Queues one Ethernet frame of `len` bytes, which `fill` writes, checksums and all. `fill`
    /// writes every byte: the buffer holds an earlier frame. [`flush`](Self::flush) publishes it.
    ///
    /// # Errors
    /// There is no buffer now, or never for this length. `fill` was not called.
    #[inline]
    pub fn transmit<R>(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, TransmitError> {
        self.enqueue(len, None, fill)
    }

    /// The same for a frame of which something is left to the device. A checksum is completed by
    /// the device if it offers that, and otherwise here; an IPv4 header needs its own. A frame
    /// with a tail is up to 64 KiB long and needs a device that cuts it: see
    /// [`tx_cut_offload`](Self::tx_cut_offload).
    ///
    /// # Errors
    /// As for [`transmit`](Self::transmit).
    #[inline]
    pub fn transmit_offloaded<R>(
        &mut self,
        len: usize,
        offload: &Offload,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, TransmitError> {
        self.enqueue(len, Some(offload), fill)
    }

    #[inline]
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn enqueue<R>(
        &mut self,
        len: usize,
        offload: Option<&Offload>,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, TransmitError> {
        let tail = offload.map_or(&[][..], |offload| offload.tail);
        let cut = offload.and_then(|offload| offload.cut);
        if (cut.is_some() || !tail.is_empty()) && !self.session.tx_cut {
            return Err(TransmitError::Cut);
        }
        let longest = match tail.is_empty() {
            true => usize::from(LARGEST_FRAME),
            false => MOST_GATHERED - MODERN,
        };
        if !(SHORTEST_FRAME..=longest).contains(&len) || tail.len() > LONGEST_TAIL {
            return Err(TransmitError::Length);
        }
        if !self.can_transmit() {
            return Err(if self.ladder.is_down() {
                TransmitError::Down
            } else {
                TransmitError::Full
            });
        }
        let Some(mut credit) = self.tx.take_free() else {
            return Err(TransmitError::Full);
        };
        let end = self.session.header + len;
        let buffer = self.tx.pool().bytes_of_mut(&mut credit, end);
        if let Some(bytes) = buffer.first_chunk_mut::<MODERN>() {
            *bytes = header::PLAIN;
        }
        let (head, frame) = buffer.split_at_mut(self.session.header);
        let result = fill(frame);
        if let Some(offload) = offload {
            if self.session.tx_checksum {
                header::set_partial(head, offload.checksum);
            } else {
                checksum::complete(frame, offload.checksum);
            }
            if let Some(cut) = cut {
                header::set_cut(head, cut);
            }
        }
        if self.probe.watches() {
            self.probe.sent(frame);
        }
        if tail.is_empty() {
            self.tx.post_bytes(credit, end as u32);
        } else {
            let tail = ((self.address)(tail), tail.len() as u32);
            self.tx.post_gathered(credit, end as u32, tail);
        }
        Ok(result)
    }

    /// Frames that the device says it has delivered and that were not taken in. It may be wrong.
    #[must_use]
    #[inline]
    pub fn waiting(&self) -> u16 {
        self.rx.waiting()
    }

    /// Publishes queued frames and the buffers that dropped frames gave back: one publication and
    /// at most one notification for each queue, or two of many frames to send
    /// ([`twice_from`](NetConfig::twice_from)).
    #[inline]
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn flush(&mut self) {
        if self.ladder.is_down() {
            return;
        }
        if self.told != self.rx.harvested() {
            self.tell_harvest();
        }
        self.rx.post_returned();
        if let Some(published) = self.rx.publish(&mut self.transport) {
            self.tell_published(Direction::Receive, published);
        }
        if let Some(published) = self.tx.publish(&mut self.transport) {
            if published.kicked && self.twice_from.is_some_and(|from| published.count >= from) {
                self.tx.kick(&mut self.transport);
            }
            self.tell_published(Direction::Transmit, published);
        }
    }

    /// Prepares for sleep: publishes what is left, asks for interrupts, and looks again. True
    /// means that there is work and the caller must not sleep.
    ///
    /// To be called with interrupts off, and `sti; hlt` after a false: an interrupt between the
    /// look and the `hlt` must end the `hlt`.
    #[inline]
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn rearm(&mut self) -> bool {
        if self.ladder.is_down() {
            return false;
        }
        self.flush();
        self.look();
        let starved = self.starved;
        self.reclaim();
        if self.polls {
            return true;
        }
        if self.starved && !self.tx.is_armed() && self.tx.arm() {
            self.reclaim();
        }
        // Whoever found the ring full wants to know that it is not.
        let mut work = starved && !self.starved;
        if !self.rx.is_armed() {
            self.announcement.clear();
            work |= self.rx.arm();
        }
        work || self.line.is_noted()
    }

    /// Whether an interrupt announced frames, while the driver waits for one.
    #[cold]
    fn is_announced(&mut self) -> bool {
        !self.ladder.is_down() && self.look()
    }

    /// Takes the interrupt handler's note, if there is one, and finds out what it was about.
    #[inline]
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn look(&mut self) -> bool {
        match self.line.take() {
            Some(status) => {
                self.interrupted(status);
                true
            }
            None => false,
        }
    }

    #[cfg_attr(target_os = "none", optimize(speed))]
    fn interrupted(&mut self, status: InterruptStatus) {
        // Whatever was used since the last interrupt explains this one.
        let used = (self.rx.used(), self.tx.used());
        let rx = used.0 != self.explained.0;
        let tx = used.1 != self.explained.1;
        self.explained = used;
        if rx {
            self.rx.counters().interrupts += 1;
        }
        if tx && self.tx.is_armed() {
            self.tx.counters().interrupts += 1;
        }
        let configuration = status.contains(InterruptStatus::DEVICE_CONFIGURATION_INTERRUPT);
        if !rx && !tx && !configuration {
            // One line serves both queues: the receive queue keeps the count for both.
            self.rx.counters().spurious += 1;
        }
        self.announcement.clear();
        self.rx.disarm();
        self.tx.disarm();
        self.tell(EventKind::Interrupt, None, 1, status.bits().into(), 0);
    }

    /// Takes in the frames that the device has sent.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn reclaim(&mut self) {
        let before = self.tx.harvested();
        loop {
            match self.tx.take_used() {
                Ok(Some((credit, _))) => self.tx.release(credit),
                Ok(None) => break,
                Err(bad) => {
                    self.bad_used(Direction::Transmit, bad);
                    return;
                }
            }
        }
        if self.tx.harvested() == before {
            return;
        }
        self.starved = false;
        if self.tx.is_armed() {
            self.tx.disarm();
        } else {
            self.tx.keep_quiet();
        }
    }

    #[cold]
    fn bad_used(&mut self, direction: Direction, bad: crate::BadUsed) {
        let (a, b) = bad.words();
        self.tell(EventKind::BadUsed, Some(direction), 1, a, b);
        self.ladder.fail(Cause::BadUsed {
            queue: direction.queue(),
            bad,
        });
    }

    fn tell_harvest(&mut self) {
        let count = self.rx.harvested() - self.told;
        self.told = self.rx.harvested();
        let (_, taken) = self.rx.indices();
        self.tell(
            EventKind::Harvest,
            Some(Direction::Receive),
            count as u32,
            taken.raw().into(),
            0,
        );
    }

    fn tell_published(&self, direction: Direction, published: Published) {
        let idx = published.idx.raw().into();
        let count = published.count.into();
        self.tell(EventKind::Publish, Some(direction), count, idx, 0);
        if published.kicked {
            self.tell(EventKind::Kick, Some(direction), 1, idx, 0);
        }
    }

    /// The one place that every event passes.
    fn tell(&self, kind: EventKind, direction: Option<Direction>, count: u32, a: u64, b: u64) {
        (self.recorder)(Event {
            kind,
            queue: direction.map_or(quartz_abi::blackbox::NO_QUEUE, Direction::queue),
            count,
            a,
            b,
        });
    }
}

impl<H: Hal, T: Transport> Drop for VirtioNet<H, T> {
    fn drop(&mut self) {
        // The device must have stopped before its memory goes; else the memory stays.
        if bringup::reset(&mut self.transport).is_err() {
            self.rx.abandon();
            self.tx.abandon();
        }
    }
}

impl<H: Hal, T: Transport> fmt::Debug for VirtioNet<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtioNet")
            .field("session", &self.session)
            .field("rx", &self.rx.stats())
            .field("tx", &self.tx.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
