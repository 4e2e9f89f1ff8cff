//! The serial port: a bounded queue out, bytes in.
//!
//! Output never waits: what the port does not take at once is queued, what the queue does not
//! hold is dropped and counted. Only [`Emergency`] waits, for a bounded time.

use crate::arch::cpu;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use spin::Mutex;
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::IER;
use uart_16550::{Config, Uart16550};

/// I/O port of the first serial port.
const BASE: u16 = 0x3f8;
/// Bytes that may wait for the port.
const QUEUE: usize = 16 * 1024;
/// Bytes that one call of [`receive`] takes at most.
pub const RECEIVE: usize = 64;
/// Polls of the line status that the last words spend on one batch of 16 bytes: some tenths of a
/// second, after which nobody is reading.
const EMERGENCY_POLLS: u32 = 100_000;

/// What waits for the port. It begins as zeros, which take no room in the image's file.
struct Queue {
    bytes: [u8; QUEUE],
    head: usize,
    len: usize,
    dropped: u64,
    interrupt_wanted: bool,
}

static PRESENT: AtomicBool = AtomicBool::new(false);
static PORT: Mutex<Uart16550<PioBackend>> = Mutex::new(uart());
/// Taken before [`PORT`].
static WAITING: Mutex<Queue> = Mutex::new(Queue {
    bytes: [0; QUEUE],
    head: 0,
    len: 0,
    dropped: 0,
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
    let config = Config {
        interrupts: IER::DATA_READY,
        ..Config::default()
    };
    PRESENT.store(PORT.lock().init(config).is_ok(), Relaxed);
}

/// Queues `bytes` and sends what the port takes.
pub fn write(bytes: &[u8]) {
    if PRESENT.load(Relaxed) {
        let mut queue = WAITING.lock();
        queue.enqueue(bytes);
        queue.pump();
    }
}

/// Sends what the port takes now. While bytes wait, the port's interrupt is on.
pub fn pump() {
    if PRESENT.load(Relaxed) {
        WAITING.lock().pump();
    }
}

/// Bytes that the queue did not hold.
pub fn dropped() -> u64 {
    WAITING.lock().dropped
}

/// Takes the bytes that have come in, at most [`RECEIVE`] of them.
pub fn receive(buffer: &mut [u8; RECEIVE]) -> usize {
    if !PRESENT.load(Relaxed) {
        return 0;
    }
    PORT.lock().receive_bytes(buffer)
}

impl Queue {
    fn enqueue(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.len == QUEUE {
                self.dropped += 1;
                continue;
            }
            self.bytes[(self.head + self.len) % QUEUE] = byte;
            self.len += 1;
        }
    }

    fn pump(&mut self) {
        let mut port = PORT.lock();
        while self.len > 0 {
            let run = self.len.min(QUEUE - self.head);
            let sent = port.send_bytes(&self.bytes[self.head..self.head + run]);
            if sent == 0 {
                break;
            }
            self.head = (self.head + sent) % QUEUE;
            self.len -= sent;
        }
        let wanted = self.len > 0;
        if wanted != self.interrupt_wanted {
            self.interrupt_wanted = wanted;
            if wanted {
                port.enable_interrupts(IER::THR_EMPTY);
            } else {
                port.disable_interrupts(IER::THR_EMPTY);
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
    if let Some(queue) = WAITING.try_lock() {
        for at in 0..queue.len {
            out.send(&[queue.bytes[(queue.head + at) % QUEUE]]);
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
