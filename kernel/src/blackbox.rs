//! The black box of this guest: written all the time, read when something went wrong.
//!
//! Its layout is [`quartz_abi::blackbox`]'s. Every word is an atomic, so that an interrupt handler
//! may record between two words of the main loop, and a reader may look at any time.

use crate::arch::clock;
use crate::memory::layout;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use quartz_abi::blackbox::{
    CAPACITY, EVENT_WORDS, FAILURE_TEXT, HEADER_WORDS, MAGIC, Record, VERSION, WORDS, ring_words,
    word,
};
use quartz_abi::{BuildId, Event, EventKind, ExitCode, RingStats};

#[repr(C, align(4096))]
struct Words([AtomicU64; WORDS]);

/// Its name is for debuggers, which find it by that.
#[unsafe(export_name = "quartz_black_box")]
static BOX: Words = Words([const { AtomicU64::new(0) }; WORDS]);

fn set(at: usize, value: u64) {
    BOX.0[at].store(value, Relaxed);
}

/// Opens the box. The magic number comes last: a box that is found is whole.
pub fn init(wall_clock: Option<u64>) {
    let build = layout::build_id().map_or([0; 2], BuildId::words);
    for (offset, value) in build.into_iter().enumerate() {
        set(word::BUILD + offset, value);
    }
    set(word::VERSION, VERSION);
    set(word::CAPACITY, CAPACITY as u64);
    set(word::WALL_CLOCK, wall_clock.unwrap_or(0));
    set_text(word::KERNEL, word::RX, env!("CARGO_PKG_VERSION").as_bytes());
    set(word::MAGIC, MAGIC);
}

/// Records `event` with the present time.
#[optimize(speed)]
pub fn record(event: Event) {
    let number = BOX.0[word::WRITTEN].fetch_add(1, Relaxed);
    let at = HEADER_WORDS + (number as usize % CAPACITY) * EVENT_WORDS;
    for (slot, value) in BOX.0[at..at + EVENT_WORDS]
        .iter()
        .zip(event.words(clock::now_us()))
    {
        slot.store(value, Relaxed);
    }
}

/// Keeps the rings' figures and, with them, the time at which the kernel last looked.
pub fn look(now_us: u64, rx: &RingStats, tx: &RingStats) {
    set(word::LAST_LOOK, now_us);
    for (at, ring) in [(word::RX, rx), (word::TX, tx)] {
        for (offset, value) in ring_words(ring).into_iter().enumerate() {
            set(at + offset, value);
        }
    }
}

/// Keeps where the rings lie: descriptors, driver area and device area of the receive queue, then
/// of the transmit queue.
pub fn set_addresses(queues: [[u64; 3]; 2]) {
    for (offset, address) in queues.into_iter().flatten().enumerate() {
        set(word::ADDRESSES + offset, address);
    }
}

/// Wall clock at boot, in seconds from 1970; 0 if there is none.
pub fn wall_clock() -> u64 {
    BOX.0[word::WALL_CLOCK].load(Relaxed)
}

/// Keeps how the kernel ends that was asked to.
pub fn end(code: ExitCode) {
    set(word::EXIT_CODE, code as u64);
}

/// Keeps why the kernel fails.
pub fn fail(code: ExitCode, reason: &dyn fmt::Display) {
    let mut text = Text {
        bytes: [0; FAILURE_TEXT],
        len: 0,
    };
    // A reason that is too long is cut.
    let _ = write!(text, "{reason}");
    set_text(word::FAILURE, word::KERNEL, &text.bytes[..text.len]);
    set(word::FAILURE_LEN, text.len as u64);
    set(word::EXIT_CODE, code as u64);
    record(Event {
        kind: EventKind::Failure,
        queue: quartz_abi::blackbox::NO_QUEUE,
        count: 0,
        a: code as u64,
        b: 0,
    });
}

/// The last `count` events, oldest first.
pub fn last(count: u64) -> impl Iterator<Item = Record> {
    let written = BOX.0[word::WRITTEN].load(Relaxed);
    let kept = written.min(CAPACITY as u64).min(count);
    (written - kept..written).map(|number| {
        let at = HEADER_WORDS + (number as usize % CAPACITY) * EVENT_WORDS;
        Record::new(
            number,
            core::array::from_fn(|word| BOX.0[at + word].load(Relaxed)),
        )
    })
}

fn set_text(from: usize, to: usize, text: &[u8]) {
    for (at, chunk) in (from..to).zip(text.chunks(8)) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        set(at, u64::from_le_bytes(bytes));
    }
}

/// Bytes of the box.
pub const LEN: usize = WORDS * 8;

/// Copies the bytes from `at` on, as many as fit into `target`; how many those are.
pub fn read(at: usize, target: &mut [u8]) -> usize {
    let len = LEN.saturating_sub(at).min(target.len());
    for (offset, byte) in (at..).zip(&mut target[..len]) {
        let word = BOX.0[offset / 8].load(Relaxed);
        *byte = word.to_le_bytes()[offset % 8];
    }
    len
}

struct Text {
    bytes: [u8; FAILURE_TEXT],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}
