//! The one loop: harvest → ingest → timers → flush → re-arm → re-check → `hlt`.
//!
//! Work per turn is bounded, so that timers and transmission never starve.

use crate::arch::{clock, cpu, interrupts};
use crate::blackbox;
use crate::console::{self, Answer, Command, Console};
use crate::failure::fail;
use crate::memory::dma::KernelHal;
use crate::memory::heap;
use crate::provoke;
use crate::serial;
use core::fmt::Write;
use quartz_abi::blackbox::NO_QUEUE;
use quartz_abi::cmdline::Fault;
use quartz_abi::{CommandLine, Event, EventKind, ExitCode, Heartbeat, RingStats};
use quartz_drivers::VirtioNet;
use quartz_drivers::offload::{Cut, Offload, Partial, Version};
use quartz_net::{Host, Instant, Outgoing, Snapshot, Stack};
use virtio_drivers::transport::mmio::MmioTransport;
use x86_64::instructions::interrupts as cpu_interrupts;

/// Frames taken in before the loop looks at timers and the console again.
const BUDGET: usize = 64;
/// Time between two looks at the invariants of the rings, in microseconds.
const TICK_US: u64 = 100_000;

/// Where in a TCP header its checksum lies (RFC 9293, 3.1).
const TCP_CHECKSUM: u16 = 16;

/// Events that the console shows.
const EVENTS: u64 = 32;

type Nic = VirtioNet<KernelHal, MmioTransport<'static>>;

/// Everything that the loop turns.
pub struct Machine {
    nic: Below,
    stack: Stack,
    console: Console,
    draining: bool,
    /// The serial port may have more to say.
    serial_due: bool,
    next_tick_us: u64,
    /// Time between two heartbeats, in microseconds, and when the next is due.
    heartbeat: Option<(u64, u64)>,
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
}

impl Host for Below {
    fn can_transmit(&mut self) -> bool {
        self.device.can_transmit()
    }

    fn transmit<R>(&mut self, frame: &Outgoing, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        let Some(start) = frame.partial else {
            return self.device.transmit(frame.len, fill).ok();
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
        self.device
            .transmit_offloaded(frame.len, &offload, fill)
            .ok()
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
        }
    }
}

impl Machine {
    /// A machine about to serve as `line` says; booting took `boot_us`.
    pub fn new(device: Nic, stack: Stack, line: &CommandLine, boot_us: u64) -> Machine {
        Machine {
            nic: Below { device, boot_us },
            stack,
            console: Console::new(),
            draining: false,
            // What was typed during boot raised its interrupt before anyone listened.
            serial_due: true,
            next_tick_us: 0,
            heartbeat: line.heartbeat_s.map(|s| (u64::from(s) * 1_000_000, 0)),
            provokable: line.provoke_on_console,
            deaf: line.provoke == Some(Fault::Deaf),
            armed_us: None,
        }
    }

    /// Serves until there is a reason to stop.
    pub fn run(mut self) -> ! {
        blackbox::record(Event {
            kind: EventKind::Boot,
            queue: NO_QUEUE,
            count: 0,
            a: self.nic.boot_us,
            b: 0,
        });
        loop {
            let busy = self.turn();
            if !busy {
                self.sleep();
            }
        }
    }

    /// One turn. Whether there is more to do at once.
    fn turn(&mut self) -> bool {
        let now = clock::now();
        let mut frames = 0;
        while frames < BUDGET && !self.deaf {
            let Some(frame) = self.nic.device.harvest() else {
                break;
            };
            self.stack
                .ingest(frame.bytes(), frame.checksum_verified(), &mut self.nic, now);
            frames += 1;
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
            self.next_tick_us = now_us + TICK_US;
            self.tick(now, now_us);
        }
        self.serial_due |= interrupts::take_serial();
        if self.serial_due {
            self.serial_due = self.listen();
            serial::pump();
        }
        if self.draining && self.stack.drained() {
            log::info!(target: "console", "drained");
            serial::flush();
            cpu::exit(ExitCode::CleanStop);
        }
        frames == BUDGET || pending || self.serial_due
    }

    /// The slow look at everything.
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
        if self.deaf {
            return;
        }
        if let Err(reason) = self.nic.device.tick(now_us) {
            fail(ExitCode::RingGivenUp, &reason);
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
        console::formatted(format_args!("{beat}"));
    }

    /// Waits for an interrupt, unless something came up in the meantime.
    fn sleep(&mut self) {
        cpu_interrupts::disable();
        if !self.deaf && self.nic.device.rearm() {
            cpu_interrupts::enable();
            return;
        }
        let now_us = clock::now_us();
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

    /// Reads what was typed. Whether there may be more.
    #[inline(never)]
    #[optimize(size)]
    fn listen(&mut self) -> bool {
        let mut bytes = [0; serial::RECEIVE];
        let count = serial::receive(&mut bytes);
        for &byte in &bytes[..count] {
            if let Some(command) = self.console.input(byte) {
                self.obey(command);
                console::prompt();
            }
        }
        count == bytes.len()
    }

    #[optimize(size)]
    fn obey(&mut self, command: Command) {
        let mut out = Answer;
        // The console takes everything or drops it, with a count.
        let _ = match command {
            Command::Help => console::COMMANDS
                .iter()
                .try_for_each(|(name, _, what)| writeln!(out, "{name:10} {what}")),
            Command::Version => {
                let s = clock::now_us() / 1_000_000;
                writeln!(out, "Quartz {}, up {s} s", env!("CARGO_PKG_VERSION"))
            }
            Command::Stats => self.print_stats(&mut out),
            Command::Events => {
                blackbox::last(EVENTS).try_for_each(|event| writeln!(out, "{event}"))
            }
            Command::Drain => {
                self.draining = true;
                self.stack.drain(clock::now());
                writeln!(out, "draining")
            }
            Command::Provoke(fault) if self.provokable => {
                self.deaf |= fault == Fault::Deaf;
                provoke::provoke(fault);
                Ok(())
            }
            Command::Provoke(_) | Command::Unknown => {
                writeln!(out, "unknown command; `help` lists them")
            }
        };
    }

    #[optimize(size)]
    fn print_stats(&self, out: &mut Answer) -> core::fmt::Result {
        let heap = heap::usage();
        print_ring(out, "rx", &self.nic.device.rx_stats())?;
        print_ring(out, "tx", &self.nic.device.tx_stats())?;
        let stats = self.stack.stats();
        writeln!(
            out,
            "connections: open {} half-open {} time-wait {} limit {} served {} evicted {} \
             syn-dropped {}",
            stats.open,
            stats.half_open,
            stats.time_wait,
            stats.limit,
            stats.connections_served,
            stats.evicted_total(),
            stats.syn_dropped
        )?;
        writeln!(
            out,
            "requests: served {}; frames: in {} out {} sent again {}",
            stats.requests_served, stats.frames_in, stats.frames_out, stats.retransmitted
        )?;
        writeln!(
            out,
            "heap: {} of {} bytes; serial: dropped {}; unexpected interrupts {}",
            heap.used,
            heap.total,
            serial::dropped(),
            crate::arch::interrupts::unexpected()
        )
    }
}

#[optimize(size)]
fn print_ring(out: &mut Answer, name: &str, r: &RingStats) -> core::fmt::Result {
    writeln!(
        out,
        "{name}: size {} avail {} used {} gap {} free {} harvested {} posted {} kicks {} \
         interrupts {} spurious {} missed {} rekicks {} bad {} resets {}",
        r.size,
        r.avail_idx,
        r.used_idx,
        r.gap,
        r.free,
        r.harvested,
        r.posted,
        r.kicks,
        r.interrupts,
        r.spurious,
        r.missed_interrupts,
        r.rekicks,
        r.bad_used,
        r.resets
    )
}
