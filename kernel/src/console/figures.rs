//! Figures, for reading.

use super::Console;
use super::print::Answer;
use crate::arch::interrupts;
use crate::machine::{Board, Machine};
use crate::memory::{dma, heap, layout};
use crate::serial;
use core::fmt::{self, Write};
use core::ops::Range;
use quartz_abi::RingStats;
use quartz_console::units::Bytes;

/// `version` and `uptime`.
#[optimize(size)]
pub fn uptime(out: &mut Answer, now_us: u64) -> fmt::Result {
    let s = now_us / 1_000_000;
    write!(out, "up {s} s")?;
    if s >= 60 {
        let (days, hours) = (s / 86_400, s / 3600 % 24);
        write!(
            out,
            " ({days} d {hours:02}:{:02}:{:02})",
            s / 60 % 60,
            s % 60
        )?;
    }
    writeln!(out)
}

/// `stats`.
#[optimize(size)]
pub fn stats(out: &mut Answer, machine: &Machine, console: &Console) -> fmt::Result {
    let (rx, tx) = machine.rings();
    ring(out, "rx", &rx)?;
    ring(out, "tx", &tx)?;
    let stats = machine.stack().stats();
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
    let port = serial::figures();
    writeln!(
        out,
        "serial: sent {} received {} dropped {} overruns {} answers given up {}",
        port.sent, port.received, port.dropped, port.overruns, console.given_up
    )?;
    let tap = machine.tap().figures();
    writeln!(
        out,
        "trace: shown {} left out {}; capture: missed {}",
        tap.shown, tap.left_out, tap.missed
    )?;
    let heap = heap::usage();
    writeln!(
        out,
        "heap: {} of {} bytes; unexpected interrupts {}",
        heap.used,
        heap.total,
        interrupts::counts().unexpected
    )
}

#[optimize(size)]
fn ring(out: &mut Answer, name: &str, r: &RingStats) -> fmt::Result {
    write!(out, "{name}:")?;
    for (figure, value) in columns(r) {
        // The words of the table, shortened where a line would get too long.
        let word = match figure {
            "avail.idx" => "avail",
            "used.idx" => "used",
            other => other,
        };
        write!(out, " {word} {value}")?;
    }
    writeln!(out)
}

fn columns(r: &RingStats) -> [(&'static str, u64); 14] {
    [
        ("size", r.size.into()),
        ("avail.idx", r.avail_idx.into()),
        ("used.idx", r.used_idx.into()),
        ("gap", r.gap.into()),
        ("free", r.free.into()),
        ("harvested", r.harvested),
        ("posted", r.posted),
        ("kicks", r.kicks),
        ("interrupts", r.interrupts),
        ("spurious", r.spurious),
        ("missed", r.missed_interrupts),
        ("rekicks", r.rekicks),
        ("bad", r.bad_used),
        ("resets", r.resets),
    ]
}

/// `rings`.
#[optimize(size)]
pub fn rings(out: &mut Answer, machine: &Machine) -> fmt::Result {
    let (rx, tx) = machine.rings();
    writeln!(out, "{:11} {:>14} {:>14}", "RING", "RX", "TX")?;
    for ((name, rx), (_, tx)) in columns(&rx).into_iter().zip(columns(&tx)) {
        writeln!(out, "{name:11} {rx:>14} {tx:>14}")?;
    }
    let [rx, tx] = machine.ring_addresses();
    for (name, at) in ["descriptors", "driver", "device"].into_iter().zip(0..) {
        writeln!(
            out,
            "{name:11} {:>14} {:>14}",
            Address(rx[at]),
            Address(tx[at])
        )?;
    }
    Ok(())
}

/// An address that takes the width it is given.
struct Address(u64);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = (16 - self.0.leading_zeros() as usize / 4).max(1);
        for _ in digits + 2..f.width().unwrap_or(0) {
            f.write_char(' ')?;
        }
        write!(f, "{:#x}", self.0)
    }
}

/// `mem`.
#[optimize(size)]
pub fn memory(out: &mut Answer, machine: &Machine) -> fmt::Result {
    let Board { free, site, .. } = machine.board();
    let heap = heap::usage();
    let kib = |range: Range<u64>| (range.end - range.start).div_ceil(1024);
    writeln!(
        out,
        "image      {:>8} KiB: text {} constants {} data and stacks {}",
        kib(layout::image()),
        kib(layout::text()),
        kib(layout::rodata()),
        kib(layout::data())
    )?;
    writeln!(out, "site       {:>8} KiB", site.div_ceil(1024))?;
    writeln!(out, "free       {:>8} KiB at boot", free / 1024)?;
    let rings = dma::size();
    writeln!(
        out,
        "DMA pages  {:>8} KiB, {} KiB left",
        rings.total / 1024,
        rings.left / 1024
    )?;
    writeln!(
        out,
        "heap       {:>8} KiB: {} KiB used, {} KiB free",
        heap.total / 1024,
        heap.used / 1024,
        (heap.total - heap.used) / 1024
    )?;
    let limit = machine.stack().stats().limit;
    writeln!(out, "connections {limit:>7} at most, reserved in the heap")?;
    match machine.tap().capture() {
        Some(capture) => writeln!(
            out,
            "capture    {:>8} KiB: {} frames, {} bytes",
            capture.size() / 1024,
            capture.frames(),
            Bytes(capture.content() as u64)
        ),
        None => writeln!(out, "capture           0 KiB: off"),
    }
}

/// `irq`.
#[optimize(size)]
pub fn interrupts(out: &mut Answer, machine: &Machine) -> fmt::Result {
    let counts = interrupts::counts();
    let (rx, tx) = machine.rings();
    let Board { pin, .. } = machine.board();
    writeln!(out, "{:6} {:22} {:>12}", "VECTOR", "SOURCE", "COUNT")?;
    let row = |out: &mut Answer, vector: u8, source: fmt::Arguments<'_>, count: u64| {
        write!(out, "{vector:#04x}   ")?;
        // Arguments do not pad themselves.
        let mut text = Column::new();
        let _ = text.write_fmt(source);
        writeln!(out, "{:22} {count:>12}", text.text())
    };
    row(out, interrupts::TIMER, format_args!("timer"), counts.timer)?;
    // Each is explained by a ring, or counted as spurious by the receive ring.
    let nic = rx.interrupts.max(tx.interrupts) + rx.spurious;
    row(
        out,
        interrupts::NIC,
        format_args!("virtio-net, pin {pin}"),
        nic,
    )?;
    row(
        out,
        interrupts::SERIAL,
        format_args!("serial port, pin 4"),
        counts.serial,
    )?;
    row(
        out,
        interrupts::SPURIOUS,
        format_args!("spurious"),
        counts.spurious,
    )?;
    writeln!(
        out,
        "virtio-net: rx {} tx {} spurious {}",
        rx.interrupts, tx.interrupts, rx.spurious
    )?;
    writeln!(out, "unexpected: {}", counts.unexpected)
}

/// A short text.
struct Column {
    bytes: [u8; 32],
    len: usize,
}

impl Column {
    fn new() -> Column {
        Column {
            bytes: [0; 32],
            len: 0,
        }
    }

    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

impl Write for Column {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len());
        room.ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
