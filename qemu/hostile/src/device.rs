//! The network device: frames between the cable and the rings, and every lie of [`Fault`].

use crate::board::Board;
use crate::fault::{Fault, Moment, Queue};
use crate::link::Link;
use crate::noise::Noise;
use crate::ring::{Chain, Ring};
use crate::wake::Wake;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// VIRTIO_NET_F_MRG_RXBUF.
pub(crate) const MRG_RXBUF: u64 = 1 << 15;
/// VIRTIO_RING_F_EVENT_IDX.
pub(crate) const EVENT_IDX: u64 = 1 << 29;
/// VIRTIO_F_VERSION_1.
pub(crate) const VERSION_1: u64 = 1 << 32;

/// How late [`Fault::DelayedInterrupt`] is.
const DELAY: Duration = Duration::from_millis(300);
/// Time between two interrupts of [`Fault::InterruptStorm`].
const STORM: Duration = Duration::from_micros(500);
/// How long [`Fault::BurstAfterSilence`] is silent, and [`Fault::OutOfOrder`] waits for a second
/// buffer to swap with.
const SILENCE: Duration = Duration::from_millis(400);
const SWAP: Duration = Duration::from_millis(50);
/// Frames moved in one turn, so that messages of QEMU's are answered in between.
const BUDGET: usize = 256;
/// An Ethernet frame of a protocol that nobody speaks (IEEE 802 local experimental).
const FILLER: [u8; 60] = {
    let mut frame = [0; 60];
    let mut n = 0;
    while n < 6 {
        frame[n] = 0xff;
        n += 1;
    }
    frame[6] = 0x02;
    frame[12] = 0x88;
    frame[13] = 0xb5;
    frame
};

/// What the device offers.
#[derive(Clone, Copy, Debug)]
pub struct DeviceConfig {
    /// Offer VIRTIO_RING_F_EVENT_IDX.
    pub event_idx: bool,
    /// Offer VIRTIO_NET_F_MRG_RXBUF.
    pub merge: bool,
    /// Seed of the garbage.
    pub seed: u64,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        DeviceConfig {
            event_idx: true,
            merge: true,
            seed: 1,
        }
    }
}

impl DeviceConfig {
    /// Feature bits of the device.
    pub(crate) fn features(self) -> u64 {
        let mut features = VERSION_1;
        if self.event_idx {
            features |= EVENT_IDX;
        }
        if self.merge {
            features |= MRG_RXBUF;
        }
        features
    }
}

/// One ring, read from the guest's memory, and what the device knows about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingView {
    /// Number of descriptors; 0 while the ring is stopped.
    pub size: u16,
    /// `avail.idx` in memory.
    pub avail_idx: u16,
    /// `used.idx` in memory.
    pub used_idx: u16,
    /// `avail.idx − used.idx`: buffers that the device owns, if nobody lied.
    pub gap: u16,
    /// Buffers that the device owns, counted one by one.
    pub owned: u16,
    /// Buffers returned since the start of the back end.
    pub returned: u64,
    /// Notifications that came.
    pub kicks: u64,
    /// Interrupts sent.
    pub calls: u64,
}

/// What the back end sees of the guest.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Both rings run: the driver has set DRIVER_OK.
    pub running: bool,
    /// SET_MEM_TABLE messages so far; 0 means that QEMU serves the card itself.
    pub memory_tables: u64,
    /// Feature bits that the driver accepted.
    pub features: u64,
    /// Times that the receive ring was started: 1 and one more for each reset.
    pub starts: u64,
    /// Connections of QEMU's to the back end.
    pub sessions: u64,
    /// The receive ring.
    pub rx: RingView,
    /// The transmit ring.
    pub tx: RingView,
    /// What the driver did that VIRTIO forbids, as long as the device had not lied to it.
    pub breaches: Vec<String>,
    /// What went wrong on the vhost-user socket.
    pub errors: Vec<String>,
}

#[derive(Default)]
struct Lane {
    ring: Option<Ring>,
    returned: u64,
    kicks: u64,
    calls: u64,
    /// A completion held back for [`Fault::OutOfOrder`], and since when.
    held: Option<(Chain, u32, Instant)>,
    /// Interrupts that are due later.
    late_call: Option<Instant>,
    next_storm: Option<Instant>,
    /// [`Fault::BurstAfterSilence`]: until when.
    silent_until: Option<Instant>,
}

/// The device behind the protocol.
pub(crate) struct Device {
    link: Arc<Link>,
    board: Arc<Board>,
    noise: Noise,
    lanes: [Lane; 2],
    header: usize,
    /// A frame for which there was no buffer.
    next_frame: Option<Vec<u8>>,
    breaches: Vec<String>,
    /// More to do at once.
    pending: bool,
}

impl Device {
    pub fn new(config: DeviceConfig, link: Arc<Link>, board: Arc<Board>) -> Device {
        Device {
            link,
            board,
            noise: Noise::new(config.seed),
            lanes: Default::default(),
            header: 12,
            next_frame: None,
            breaches: Vec::new(),
            pending: false,
        }
    }

    /// Length of the header before each frame follows from the features (VIRTIO 1.2, 5.1.6.1).
    pub fn set_features(&mut self, features: u64) {
        let long = features & (VERSION_1 | MRG_RXBUF) != 0;
        self.header = if long { 12 } else { 10 };
    }

    pub fn start(&mut self, queue: Queue, ring: Ring) {
        let lane = self.lane(queue);
        lane.ring = Some(ring);
        lane.held = None;
    }

    /// Ends a ring and says from where the driver's entries were not taken.
    pub fn stop(&mut self, queue: Queue) -> Option<u16> {
        let lane = self.lane(queue);
        lane.held = None;
        lane.late_call = None;
        lane.silent_until = None;
        let mut ring = lane.ring.take()?;
        let base = ring.next_avail();
        let breaches = std::mem::take(&mut ring.breaches);
        self.keep_breaches(queue, breaches);
        Some(base)
    }

    fn keep_breaches(&mut self, queue: Queue, breaches: Vec<String>) {
        let named = breaches.into_iter().map(|b| format!("{queue}: {b}"));
        self.breaches.extend(named);
        self.breaches.truncate(64);
    }

    pub fn ring(&mut self, queue: Queue) -> Option<&mut Ring> {
        self.lane(queue).ring.as_mut()
    }

    pub fn kick_file(&self, queue: Queue) -> Option<Arc<Wake>> {
        let ring = self.lanes[queue.index()].ring.as_ref()?;
        Some(Arc::clone(&ring.kick))
    }

    fn lane(&mut self, queue: Queue) -> &mut Lane {
        &mut self.lanes[queue.index()]
    }

    pub fn view(&self, queue: Queue) -> RingView {
        let lane = &self.lanes[queue.index()];
        let mut view = RingView {
            returned: lane.returned,
            kicks: lane.kicks,
            calls: lane.calls,
            ..RingView::default()
        };
        if let Some(ring) = &lane.ring {
            view.size = ring.size();
            view.avail_idx = ring.avail_idx();
            view.used_idx = ring.used_idx();
            view.gap = view.avail_idx.wrapping_sub(view.used_idx);
            view.owned = ring.owned();
        }
        view
    }

    pub fn breaches(&self) -> Vec<String> {
        let mut all = self.breaches.clone();
        for queue in Queue::ALL {
            if let Some(ring) = &self.lanes[queue.index()].ring {
                all.extend(ring.breaches.iter().map(|b| format!("{queue}: {b}")));
            }
        }
        all
    }

    /// A notification came.
    pub fn kicked(&mut self, queue: Queue) {
        let swallowed = self.board.take(Moment::Kick, queue).is_some();
        let lane = self.lane(queue);
        lane.kicks += 1;
        if let Some(ring) = lane.ring.as_mut().filter(|_| !swallowed) {
            ring.wake();
        }
    }

    /// Does what there is to do. When to come back at the latest.
    pub fn turn(&mut self) -> Option<Instant> {
        self.pending = false;
        let now = Instant::now();
        for queue in Queue::ALL {
            self.storm(queue, now);
            if self.may_work(queue, now) {
                self.release_held(queue, now);
                match queue {
                    Queue::Rx => self.deliver(),
                    Queue::Tx => self.collect(),
                }
            }
            if self.lane(queue).late_call.is_some_and(|at| at <= now) {
                self.lane(queue).late_call = None;
                self.interrupt(queue);
            }
        }
        if self.pending {
            return Some(now);
        }
        let lanes = self.lanes.iter();
        lanes
            .flat_map(|l| {
                let held = l.held.as_ref().map(|(_, _, since)| *since + SWAP);
                [held, l.late_call, l.next_storm, l.silent_until]
            })
            .flatten()
            .min()
    }

    fn storm(&mut self, queue: Queue, now: Instant) {
        let storming = self.board.has(Fault::InterruptStorm, queue);
        if !storming {
            self.lane(queue).next_storm = None;
            return;
        }
        let due = self.lane(queue).next_storm.is_none_or(|at| at <= now);
        if due && self.lane(queue).ring.is_some() {
            self.board.take_one(Fault::InterruptStorm, queue);
            self.lane(queue).next_storm = Some(now + STORM);
            self.interrupt(queue);
        }
    }

    /// Whether the queue is not frozen or silent.
    fn may_work(&mut self, queue: Queue, now: Instant) -> bool {
        if self.lane(queue).ring.is_none() {
            return false;
        }
        if let Some(until) = self.lane(queue).silent_until {
            if now < until {
                return false;
            }
            self.lane(queue).silent_until = None;
            return true;
        }
        let waiting = match queue {
            Queue::Rx => self.next_frame.is_some() || self.link.waiting_for_guest() > 0,
            Queue::Tx => self
                .ring(queue)
                .is_some_and(|r| r.avail_idx() != r.next_avail()),
        };
        // Only work that is there can be left undone.
        if !waiting {
            return true;
        }
        match self.board.take(Moment::Work, queue) {
            Some(Fault::BurstAfterSilence) => {
                self.lane(queue).silent_until = Some(now + SILENCE);
                false
            }
            Some(_) => false,
            None => true,
        }
    }

    /// Frames to the guest.
    fn deliver(&mut self) {
        let queue = Queue::Rx;
        let deaf =
            self.board.has(Fault::SwallowKick, queue) || self.board.has(Fault::StaleFlags, queue);
        if deaf && self.ring(queue).is_some_and(|r| !r.is_asleep()) {
            self.exhaust();
        }
        for _ in 0..BUDGET {
            let Some(frame) = self.take_frame() else {
                break;
            };
            let before = self.board.take(Moment::Frame, queue);
            if let Some(fault) = before.filter(|f| *f != Fault::GarbageHeader) {
                let Some(chain) = self.take_chain(queue) else {
                    self.next_frame = Some(frame);
                    break;
                };
                let junk = self.junk(fault, chain.capacity());
                self.put(chain, [0; 12], &junk);
            }
            let Some(chain) = self.take_chain(queue) else {
                self.next_frame = Some(frame);
                break;
            };
            let mut header = [0; 12];
            if before == Some(Fault::GarbageHeader) {
                header = [0xff; 12];
            } else if self.header == 12 {
                // One buffer for each frame.
                header[10] = 1;
            }
            self.put(chain, header, &frame);
        }
        self.pending |= self.next_frame.is_none() && self.link.waiting_for_guest() > 0;
        self.announce(queue);
    }

    fn take_frame(&mut self) -> Option<Vec<u8>> {
        self.next_frame
            .take()
            .or_else(|| self.link.take_for_guest())
    }

    fn take_chain(&mut self, queue: Queue) -> Option<Chain> {
        let board = Arc::clone(&self.board);
        self.ring(queue)?
            .next(|| board.take(Moment::Sleep, queue).is_some())
    }

    /// Uses up every receive buffer there is, in one batch, and goes to sleep: the driver sees
    /// none of them before the device has asked for a notification.
    fn exhaust(&mut self) {
        let queue = Queue::Rx;
        let garbage = self.board.take(Moment::Sleep, queue).is_some();
        // The driver may be making one available just now: no more than this many.
        for _ in 0..BUDGET {
            if let Some(ring) = self.ring(queue) {
                ring.sleep(garbage);
                ring.look();
            }
            let mut none = true;
            while let Some(chain) = self.ring(queue).and_then(Ring::next_known) {
                none = false;
                let frame = self.take_frame().unwrap_or_else(|| FILLER.to_vec());
                let mut header = [0; 12];
                header[10] = 1;
                self.put(chain, header, &frame);
            }
            if none {
                break;
            }
        }
    }

    fn junk(&mut self, fault: Fault, capacity: usize) -> Vec<u8> {
        let room = capacity.saturating_sub(self.header);
        let len = match fault {
            Fault::Runt => self.noise.below(14),
            Fault::Giant => room,
            _ => 14 + self.noise.below(room.saturating_sub(14)),
        };
        let mut frame = self.noise.bytes(len);
        // Half of the junk looks like IPv4 for everybody, to get deeper.
        if fault != Fault::Runt && len > 14 && self.noise.below(2) == 0 {
            frame[..6].fill(0xff);
            frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        }
        frame
    }

    /// One frame into one buffer, which is then returned.
    fn put(&mut self, chain: Chain, header: [u8; 12], frame: &[u8]) {
        let mut bytes = header[..self.header].to_vec();
        bytes.extend_from_slice(frame);
        let capacity = chain.capacity();
        let Some(ring) = self.ring(Queue::Rx) else {
            return;
        };
        if capacity < bytes.len() {
            let need = bytes.len();
            ring.breach(format_args!(
                "receive buffer of {capacity} bytes for a frame of {need}"
            ));
        }
        let len = ring.write(&chain, &bytes) as u32;
        self.complete(Queue::Rx, chain, len);
    }

    /// Frames from the guest.
    fn collect(&mut self) {
        let queue = Queue::Tx;
        for n in 0.. {
            if n == BUDGET {
                self.pending = true;
                break;
            }
            let Some(chain) = self.take_chain(queue) else {
                break;
            };
            let header = self.header;
            let Some(ring) = self.ring(queue) else {
                break;
            };
            let mut bytes = ring.read(&chain);
            if bytes.len() <= header {
                let len = bytes.len();
                ring.breach(format_args!("sent {len} bytes: no frame behind the header"));
            } else {
                bytes.drain(..header);
                self.link.send_to_client(bytes);
            }
            self.complete(queue, chain, 0);
            if self.lane(queue).silent_until.is_some() {
                // The rest of the batch would hide what was just done.
                break;
            }
        }
        self.announce(queue);
    }

    /// Returns a buffer, or commits a fault instead.
    fn complete(&mut self, queue: Queue, chain: Chain, len: u32) {
        self.lane(queue).returned += 1;
        let header = self.header as u32;
        let fault = self.board.take(Moment::Entry, queue);
        let lane = &mut self.lanes[queue.index()];
        let Some(ring) = lane.ring.as_mut() else {
            return;
        };
        let (head, size) = (chain.head, u32::from(ring.size()));
        let capacity = chain.capacity() as u32;
        if fault.is_some_and(|f| f != Fault::OutOfOrder) {
            ring.lied = true;
        }
        match fault {
            None => ring.give_back(head, len),
            Some(Fault::OutOfOrder) => {
                // A second one that is held lets the first one go.
                if let Some((first, len, _)) = lane.held.replace((chain, len, Instant::now())) {
                    ring.give_back(first.head, len);
                }
                return;
            }
            Some(Fault::IdOutOfRange) => ring.entry(size + 7, len),
            Some(Fault::IdNotOutstanding) => match ring.foreign_head() {
                Some(foreign) => ring.entry(u32::from(foreign), len),
                // It owns nearly all of them.
                None => {
                    ring.give_back(head, len);
                    ring.entry(u32::from(head), len);
                }
            },
            Some(Fault::IdRepeated) => {
                ring.give_back(head, len);
                ring.entry(u32::from(head), len);
            }
            Some(Fault::LenZero) => ring.give_back(head, 0),
            Some(Fault::LenShort) => ring.give_back(head, header - 1),
            Some(Fault::LenBeyond) => ring.give_back(head, capacity + 1),
            Some(Fault::LenMax) => ring.give_back(head, u32::MAX),
            Some(Fault::UsedStale) => {
                ring.give_back(head, len);
                ring.skip(1);
            }
            Some(Fault::UsedJumpForward) => {
                ring.give_back(head, len);
                let by = i32::from(ring.owned()) + 1;
                ring.skip(by);
            }
            Some(Fault::UsedJumpBack) => {
                ring.give_back(head, len);
                ring.skip(-3);
                // Entries written at once would hide it: nobody looks back.
                lane.silent_until = Some(Instant::now() + SILENCE);
            }
            // The other faults belong to other moments.
            Some(_) => ring.give_back(head, len),
        }
        if let Some((held, len, _)) = lane.held.take() {
            ring.give_back(held.head, len);
        }
    }

    /// A buffer held back for a swap goes out alone when no second one comes.
    fn release_held(&mut self, queue: Queue, now: Instant) {
        let lane = self.lane(queue);
        if let (Some((held, len, since)), Some(ring)) = (lane.held.take(), lane.ring.as_mut()) {
            if now < since + SWAP {
                lane.held = Some((held, len, since));
            } else {
                ring.give_back(held.head, len);
            }
        }
    }

    /// Publishes what was returned and interrupts the driver if it wants that.
    fn announce(&mut self, queue: Queue) {
        let Some(ring) = self.ring(queue) else {
            return;
        };
        if !ring.publish() || !ring.wants_call() {
            return;
        }
        match self.board.take(Moment::Call, queue) {
            Some(Fault::DelayedInterrupt) => {
                let at = Instant::now() + DELAY;
                self.lane(queue).late_call.get_or_insert(at);
            }
            Some(_) => {}
            None => self.interrupt(queue),
        }
    }

    fn interrupt(&mut self, queue: Queue) {
        let lane = self.lane(queue);
        if let Some(call) = lane.ring.as_ref().and_then(|r| r.call.as_ref()) {
            lane.calls += 1;
            // A full eventfd counter is an interrupt all the same.
            let _ = call.signal();
        }
    }
}
