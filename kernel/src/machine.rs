//! The one loop: harvest → ingest → timers → flush → re-arm → re-check → `hlt`.
//!
//! Work per turn is bounded, so that timers and transmission never starve.

use crate::arch::{clock, interrupts};
use crate::blackbox;
use crate::console::{self, Answer, Console};
use crate::failure::fail;
use crate::memory::dma::KernelHal;
use crate::memory::heap;
use crate::reflect;
use crate::tap::Tap;
use core::fmt::Write;
use core::ops::RangeInclusive;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use quartz_abi::blackbox::NO_QUEUE;
use quartz_abi::cmdline::Fault;
use quartz_abi::{CommandLine, Event, EventKind, ExitCode, Heartbeat, RingStats};
use quartz_drivers::VirtioNet;
use quartz_drivers::offload::{Cut, Offload, Partial, Version};
use quartz_net::{Host, Instant, Outgoing, Snapshot, Stack};
use virtio_drivers::transport::mmio::MmioTransport;
use x86_64::instructions::interrupts as cpu_interrupts;

/// Frames taken in before their answers are sent and the loop looks at timers and the console
/// again: half of those that wait, within these bounds. The host works at one half while the guest
/// works at the other; fewer at once would cost more notifications than that is worth.
const BUDGET: RangeInclusive<usize> = 32..=64;
/// Time between two looks at the invariants of the rings while frames come and go, in microseconds.
const TICK_US: u64 = 100_000;

/// Where in a TCP header its checksum lies (RFC 9293, 3.1).
const TCP_CHECKSUM: u16 = 16;

type Nic = VirtioNet<KernelHal, MmioTransport<'static>>;

/// What was found at boot.
#[derive(Clone, Copy)]
pub struct Board {
    /// Bytes of memory that were free.
    pub free: u64,
    /// Bytes of the site's image.
    pub site: u64,
    /// The network device's pin on its I/O APIC.
    pub pin: u32,
}

/// Where the machine lies once it runs, for debuggers, which find it by the name of the symbol.
#[used]
#[unsafe(export_name = "quartz_machine")]
static RUNNING: AtomicPtr<Machine> = AtomicPtr::new(ptr::null_mut());

/// Everything that the loop turns.
pub struct Machine {
    nic: Below,
    stack: Stack,
    board: Board,
    draining: bool,
    next_tick_us: u64,
    /// Time between two heartbeats, in microseconds, and when the next is due.
    heartbeat: Option<(u64, u64)>,
    /// Datagrams to the echo port go back at once.
    reflects: bool,
    /// The console takes `provoke FAULT`.
    provokable: bool,
    /// [`Fault::Deaf`] was provoked.
    deaf: bool,
    /// When the timer will fire, in microseconds; reprogrammed only when it has fired or an
    /// earlier time is wanted.
    armed_us: Option<u64>,
}

/// What the protocol stack sees of the machine.
struct Below {
    device: Nic,
    boot_us: u64,
    tap: Tap,
}

impl Host for Below {
    fn can_transmit(&mut self) -> bool {
        self.device.can_transmit()
    }

    fn transmit<R>(&mut self, frame: &Outgoing, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        if self.tap.is_on() {
            let (mut fill, mut result) = (Some(fill), None);
            // Not by its type: the driver would be there twice for each kind of frame.
            self.transmit_seen(frame, &mut |bytes| {
                result = fill.take().map(|fill| fill(bytes));
            });
            return result;
        }
        transmit(&mut self.device, frame, fill)
    }

    fn cuts(&self) -> bool {
        self.device.tx_cut_offload()
    }

    fn black_box_len(&self) -> usize {
        blackbox::LEN
    }

    fn read_black_box(&self, at: usize, target: &mut [u8]) -> usize {
        blackbox::read(at, target)
    }

    fn snapshot(&self) -> Snapshot {
        let heap = heap::usage();
        Snapshot {
            boot_us: self.boot_us,
            rx: self.device.rx_stats(),
            tx: self.device.tx_stats(),
            heap_used: heap.used as u64,
            heap_total: heap.total as u64,
            heap_allocations: heap.allocations,
        }
    }
}

impl Below {
    /// The same with somebody who looks. `fill` was called if the frame is on its way.
    #[cold]
    #[inline(never)]
    fn transmit_seen(&mut self, frame: &Outgoing, fill: &mut dyn FnMut(&mut [u8])) {
        let tap = &mut self.tap;
        let tail = frame.cut.map_or(&[][..], |cut| cut.tail);
        // The caller knows by whether `fill` was called.
        let _ = transmit(&mut self.device, frame, |bytes| {
            fill(bytes);
            tap.sent(bytes, tail);
        });
    }
}

fn transmit<R>(device: &mut Nic, frame: &Outgoing, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
    let Some(start) = frame.partial else {
        return device.transmit(frame.len, fill).ok();
    };
    let offload = Offload {
        checksum: Partial {
            start,
            offset: TCP_CHECKSUM,
        },
        cut: frame.cut.map(|cut| Cut {
            version: if cut.ipv6 { Version::V6 } else { Version::V4 },
            headers: cut.headers,
            size: cut.size,
        }),
        tail: frame.cut.map_or(&[], |cut| cut.tail),
    };
    device.transmit_offloaded(frame.len, &offload, fill).ok()
}

impl Machine {
    /// A machine about to serve as `line` says; booting took `boot_us`.
    pub fn new(
        device: Nic,
        stack: Stack,
        line: &CommandLine,
        board: Board,
        boot_us: u64,
    ) -> Machine {
        Machine {
            nic: Below {
                device,
                boot_us,
                tap: Tap::default(),
            },
            stack,
            board,
            draining: false,
            next_tick_us: 0,
            heartbeat: line.heartbeat_s.map(|s| (u64::from(s) * 1_000_000, 0)),
            reflects: line.reflect,
            provokable: line.provoke_on_console,
            deaf: line.provoke == Some(Fault::Deaf),
            armed_us: None,
        }
    }

    /// Serves until there is a reason to stop.
    pub fn run(mut self) -> ! {
        RUNNING.store(&raw mut self, Relaxed);
        blackbox::record(Event {
            kind: EventKind::Boot,
            queue: NO_QUEUE,
            count: 0,
            a: self.nic.boot_us,
            b: 0,
        });
        let mut console = Console::new();
        loop {
            let busy = self.turn(&mut console);
            if !busy {
                self.sleep();
            }
        }
    }

    /// One turn. Whether there is more to do at once.
    #[optimize(speed)]
    fn turn(&mut self, console: &mut Console) -> bool {
        let now = clock::now();
        let half = usize::from(self.nic.device.waiting()) / 2;
        let budget = half.clamp(*BUDGET.start(), *BUDGET.end());
        let mut frames = 0;
        while frames < budget && !self.deaf {
            let Some(frame) = self.nic.device.harvest() else {
                break;
            };
            if self.nic.tap.is_on() {
                self.nic.tap.received(frame.bytes());
            }
            frames += 1;
            if self.reflects && reflect::takes(frame.bytes()) {
                let bytes = frame.bytes();
                // What finds no room is lost, as on any network.
                let _ = self
                    .nic
                    .device
                    .transmit(bytes.len(), |target| reflect::answer(bytes, target));
                continue;
            }
            self.stack
                .ingest(frame.bytes(), frame.checksum_verified(), &mut self.nic, now);
        }
        if self.stack.is_stalled() {
            // The frames of this turn have been dropped. Who waits for that, `/stats.json` above
            // all, is to see their buffers with the device again.
            self.nic.device.flush();
        }
        let pending = self.stack.timers(&mut self.nic, now);
        self.nic.device.flush();
        let now_us = now.total_micros() as u64;
        if now_us >= self.next_tick_us {
            self.tick(now, now_us);
            console.due |= console.is_busy();
        }
        if interrupts::take_serial() | console.due {
            console.attend(self, now);
        }
        if self.draining && self.stack.drained() {
            console::drained();
        }
        frames == budget || pending || console.due
    }

    /// The slow look at everything. The driver says when it wants the next.
    #[inline(never)]
    #[optimize(size)]
    fn tick(&mut self, now: Instant, now_us: u64) {
        blackbox::look(
            now_us,
            &self.nic.device.rx_stats(),
            &self.nic.device.tx_stats(),
        );
        if let Some((period, due)) = &mut self.heartbeat
            && now_us >= *due
        {
            *due = now_us + *period;
            self.beat(now_us);
        }
        self.next_tick_us = now_us + TICK_US;
        if self.deaf {
            return;
        }
        match self.nic.device.tick(now_us) {
            Ok(pause) => self.next_tick_us = now_us + pause,
            Err(reason) => fail(ExitCode::RingGivenUp, &reason),
        }
        if let Some((_, due)) = self.heartbeat {
            self.next_tick_us = self.next_tick_us.min(due);
        }
        if self.nic.device.wants_probe() {
            self.stack.probe(&mut self.nic, now);
            self.nic.device.flush();
        }
    }

    /// Writes the heartbeat.
    #[optimize(size)]
    fn beat(&self, now_us: u64) {
        let stats = self.stack.stats();
        let beat = Heartbeat {
            up_ms: now_us / 1000,
            requests: stats.requests_served,
            open: stats.open,
            rx: (&self.nic.device.rx_stats()).into(),
            tx: (&self.nic.device.tx_stats()).into(),
        };
        // The console takes the line or drops it, with a count.
        let _ = writeln!(Answer::new(), "{beat}");
    }

    /// Waits for an interrupt, unless something came up in the meantime.
    #[optimize(speed)]
    fn sleep(&mut self) {
        cpu_interrupts::disable();
        // An interrupt of the serial port since the turn looked has nobody else to wake the loop.
        let noted = interrupts::is_serial_noted();
        if noted || (!self.deaf && self.nic.device.rearm()) {
            cpu_interrupts::enable();
            return;
        }
        let now_us = clock::now_us();
        if self.next_tick_us > now_us + TICK_US && self.nic.device.has_moved() {
            self.next_tick_us = now_us + TICK_US;
        }
        let due = self
            .stack
            .deadline()
            .map_or(u64::MAX, |at| at.total_micros().max(0) as u64)
            .min(self.next_tick_us);
        if due <= now_us {
            cpu_interrupts::enable();
            return;
        }
        // The flag and not the clock says whether the timer is spent: the two differ by the
        // error of the clock's measurement, and a spent timer taken for a running one would
        // never wake us.
        if interrupts::take_timer() {
            self.armed_us = None;
        }
        if self.armed_us.is_none_or(|armed| due < armed) {
            self.armed_us = Some(due);
            clock::wake_in(due - now_us);
        }
        // `sti` takes effect after the next instruction: an interrupt that came since the check
        // ends the `hlt`.
        cpu_interrupts::enable_and_hlt();
    }

    /// Begins to stop: what is in flight is finished.
    pub fn drain(&mut self, now: Instant) {
        self.draining = true;
        self.stack.drain(now);
    }

    /// From now on nothing is taken in from the receive ring.
    pub fn go_deaf(&mut self) {
        self.deaf = true;
    }

    /// Whether the console takes `provoke FAULT`.
    pub fn is_provokable(&self) -> bool {
        self.provokable
    }

    /// Seconds between two heartbeats, if there are any.
    pub fn heartbeat_s(&self) -> Option<u64> {
        self.heartbeat.map(|(period, _)| period / 1_000_000)
    }

    /// Changes that; the next heartbeat is due at once.
    pub fn set_heartbeat(&mut self, seconds: Option<u16>) {
        self.next_tick_us = 0;
        self.heartbeat = seconds.map(|s| (u64::from(s) * 1_000_000, 0));
    }

    /// The protocol stack.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// What frames pass by.
    pub fn tap(&self) -> &Tap {
        &self.nic.tap
    }

    /// The same, to be changed.
    pub fn tap_mut(&mut self) -> &mut Tap {
        &mut self.nic.tap
    }

    /// Figures of the receive and of the transmit ring.
    pub fn rings(&self) -> (RingStats, RingStats) {
        (self.nic.device.rx_stats(), self.nic.device.tx_stats())
    }

    /// Where both rings lie: descriptors, driver area, device area.
    pub fn ring_addresses(&self) -> [[u64; 3]; 2] {
        self.nic.device.addresses()
    }

    /// What was found at boot.
    pub fn board(&self) -> Board {
        self.board
    }
}
