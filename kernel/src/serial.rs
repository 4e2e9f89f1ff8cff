//! The serial port: a bounded queue out, bytes in, both by interrupt.
//!
//! Output never waits. A piece of text is queued as a whole, or dropped as a whole and counted.
//! The port is given a FIFO's load at a time, the next one when its interrupt says that it is
//! empty, so a slow reader costs the main loop nothing. Before interrupts come, at boot, the port
//! is given all that it takes at once. Only the last words of a failing kernel ([`Emergency`]) and
//! [`flush`] wait, for a bounded time.

use crate::arch::cpu;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use spin::Mutex;
use uart_16550::backend::PioBackend;
use uart_16550::spec::FIFO_SIZE;
use uart_16550::spec::registers::{IER, LSR};
use uart_16550::{Config, Uart16550};
use x86_64::instructions::interrupts::without_interrupts;

/// I/O port of the first serial port.
const BASE: u16 = 0x3f8;
/// Bytes that may wait for the port.
const QUEUE: usize = 16 * 1024;
/// What [`offer`] leaves free of that.
const SPARE: usize = QUEUE / 2;
/// Bytes that one call of [`receive`] takes at most.
pub const RECEIVE: usize = 64;
/// Polls of the line status that the last words spend on one batch of 16 bytes: some tenths of a
/// second, after which nobody is reading.
const EMERGENCY_POLLS: u32 = 100_000;

/// What went over the port.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes that the queue did not hold.
    pub dropped: u64,
    /// Times that the port reported received bytes as lost, because nobody took them in time.
    pub overruns: u64,
}

struct Port {
    uart: Uart16550<PioBackend>,
    head: usize,
    len: usize,
    figures: Figures,
    /// Interrupts come, and the main loop calls [`serve`].
    live: bool,
    interrupt_wanted: bool,
}

/// What waits for the port. On its own it begins as zeros, which take no room in the image's file.
/// Taken after [`PORT`].
static WAITING: Mutex<[u8; QUEUE]> = Mutex::new([0; QUEUE]);
static PRESENT: AtomicBool = AtomicBool::new(false);
static PORT: Mutex<Port> = Mutex::new(Port {
    uart: uart(),
    head: 0,
    len: 0,
    figures: Figures {
        sent: 0,
        received: 0,
        dropped: 0,
        overruns: 0,
    },
    live: false,
    interrupt_wanted: false,
});

const fn uart() -> Uart16550<PioBackend> {
    // SAFETY: the port is the PC's first serial port, or nothing answers there.
    match unsafe { Uart16550::new_port(BASE) } {
        Ok(uart) => uart,
        Err(_) => panic!("a fixed address that is valid"),
    }
}

/// Sets the port up. Without one, output goes nowhere and the guest runs on.
pub fn init() {
    let mut port = PORT.lock();
    let config = Config {
        interrupts: IER::DATA_READY,
        ..Config::default()
    };
    PRESENT.store(port.uart.init(config).is_ok(), Relaxed);
}

/// From now on the main loop calls [`serve`] after each interrupt of the port.
pub fn go_live() {
    let mut port = PORT.lock();
    port.live = true;
    port.want_interrupt();
}

/// Queues text, all of it or nothing; whether it fitted.
pub fn write(parts: &[&[u8]]) -> bool {
    queue(parts, 0)
}

/// Queues text that is worth less than what others have to say: half of the queue is theirs.
pub fn offer(parts: &[&[u8]]) -> bool {
    queue(parts, SPARE)
}

fn queue(parts: &[&[u8]], spare: usize) -> bool {
    if !PRESENT.load(Relaxed) {
        return true;
    }
    let mut port = PORT.lock();
    let fits = port.enqueue(parts, spare);
    if port.live {
        port.want_interrupt();
    } else {
        while port.load_fifo() {}
    }
    fits
}

/// Gives the port what it takes now. Called by the main loop after an interrupt.
pub fn serve() {
    if PRESENT.load(Relaxed) {
        let mut port = PORT.lock();
        port.load_fifo();
        port.want_interrupt();
    }
}

/// Bytes that may still be queued.
pub fn room() -> usize {
    QUEUE - PORT.lock().len
}

/// Whether an [`offer`] of `len` bytes would be taken.
pub fn has_spare(len: usize) -> bool {
    room() >= SPARE + len
}

/// Whether nothing waits for the port.
pub fn is_quiet() -> bool {
    PORT.lock().len == 0
}

/// What went over the port so far.
pub fn figures() -> Figures {
    PORT.lock().figures
}

/// Takes the bytes that have come in, as many as fit.
pub fn receive(buffer: &mut [u8]) -> usize {
    if !PRESENT.load(Relaxed) {
        return 0;
    }
    let mut port = PORT.lock();
    let count = port.uart.receive_bytes(buffer);
    port.figures.received += count as u64;
    if port.uart.lsr().contains(LSR::OVERRUN_ERROR) {
        port.figures.overruns += 1;
    }
    count
}

impl Port {
    fn enqueue(&mut self, parts: &[&[u8]], spare: usize) -> bool {
        let needed: usize = parts.iter().map(|part| part.len()).sum();
        if self.len + needed + spare > QUEUE {
            self.figures.dropped += needed as u64;
            return false;
        }
        let mut queue = WAITING.lock();
        for part in parts {
            let at = (self.head + self.len) % QUEUE;
            let run = part.len().min(QUEUE - at);
            queue[at..at + run].copy_from_slice(&part[..run]);
            queue[..part.len() - run].copy_from_slice(&part[run..]);
            self.len += part.len();
        }
        true
    }

    /// Sends as much as the port's FIFO holds, if it is empty. Whether something was sent.
    fn load_fifo(&mut self) -> bool {
        let run = self.len.min(QUEUE - self.head).min(FIFO_SIZE);
        let queue = WAITING.lock();
        let bytes = &queue[self.head..self.head + run];
        // QEMU sends each byte as it is written, and interrupts each time: one is enough.
        let sent = without_interrupts(|| self.uart.send_bytes(bytes));
        self.head = (self.head + sent) % QUEUE;
        self.len -= sent;
        self.figures.sent += sent as u64;
        sent > 0
    }

    /// The interrupt for an empty FIFO is on as long as something waits. Turning it on raises it
    /// if the FIFO is empty.
    fn want_interrupt(&mut self) {
        let wanted = self.len > 0;
        if wanted != self.interrupt_wanted {
            self.interrupt_wanted = wanted;
            if wanted {
                self.uart.enable_interrupts(IER::THR_EMPTY);
            } else {
                self.uart.disable_interrupts(IER::THR_EMPTY);
            }
        }
    }
}

/// Writes past the queue, for the last words of a failing kernel.
pub struct Emergency {
    uart: Uart16550<PioBackend>,
    given_up: bool,
}

/// The port for last words, after what still waits in the queue.
pub fn emergency() -> Emergency {
    let mut out = Emergency {
        uart: uart(),
        given_up: !PRESENT.load(Relaxed),
    };
    // The failing code may hold the lock: then the queue stays unsaid.
    if let Some(mut port) = PORT.try_lock()
        && let Some(queue) = WAITING.try_lock()
    {
        while port.len > 0 {
            let run = port.len.min(QUEUE - port.head);
            out.send(&queue[port.head..port.head + run]);
            port.head = (port.head + run) % QUEUE;
            port.len -= run;
            port.figures.sent += run as u64;
        }
    }
    out
}

/// Sends what waits in the queue, for a bounded time.
pub fn flush() {
    let _ = emergency();
}

impl Emergency {
    fn send(&mut self, mut bytes: &[u8]) {
        let mut polls = 0;
        while !bytes.is_empty() && !self.given_up {
            let sent = self.uart.send_bytes(bytes);
            bytes = &bytes[sent..];
            polls = if sent == 0 { polls + 1 } else { 0 };
            self.given_up = polls > EMERGENCY_POLLS;
            if sent == 0 {
                // A turn through the emulator, so that a slow reader gets some time.
                let _ = cpu::tsc();
            }
        }
    }
}

impl fmt::Write for Emergency {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => {
                    self.send(line.as_bytes());
                    self.send(b"\r\n");
                }
                None => self.send(line.as_bytes()),
            }
        }
        Ok(())
    }
}
