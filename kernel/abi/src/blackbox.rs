//! The black box: the last events and the ledgers, at a place that outlives the guest's wits.
//!
//! It is an array of 64-bit little-endian words, aligned to a page, in the guest's memory. A dump
//! of that memory is searched for [`MAGIC`] on page boundaries; `/blackbox` on the admin port
//! sends the same bytes.
//!
//! | word | content |
//! | --- | --- |
//! | 0 | [`MAGIC`] |
//! | 1 | [`VERSION`] |
//! | 2 | events that fit (*capacity*) |
//! | 3 | events written since boot; event *n* lies in slot *n* mod capacity |
//! | 4 | time of the last look at the rings, in microseconds since boot |
//! | 5 | wall clock at boot, in seconds since 1970 (0: unknown) |
//! | 6 | exit code (0: running) |
//! | 7 | length of the failure's text in bytes |
//! | 8–39 | the failure's text |
//! | 40–43 | version of the kernel, padded with zero bytes |
//! | 44–57 | receive ring: the fields of [`RingStats`] in order, a word each |
//! | 58–71 | transmit ring, likewise |
//! | 72–77 | physical addresses: descriptors, driver area, device area of the receive ring, then of the transmit ring |
//! | 78–79 | build id of the kernel (zero: unknown) |
//! | 80… | events of [`EVENT_WORDS`] words each |
//!
//! An event is: time in microseconds since boot; kind (bits 0–15), queue (bits 16–31) and count
//! (bits 32–63); two words whose meaning the kind gives (see [`EventKind`]).

use crate::build::BuildId;
use crate::exit::ExitCode;
use crate::ring::RingStats;
use core::fmt;

/// First word: the bytes `QUARTZBB`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"QUARTZBB");
/// Version of the layout.
pub const VERSION: u64 = 1;
/// Events that the guest keeps.
pub const CAPACITY: usize = 4096;
/// Words of an event.
pub const EVENT_WORDS: usize = 4;
/// Words before the first event.
pub const HEADER_WORDS: usize = 80;
/// Words in all.
pub const WORDS: usize = HEADER_WORDS + CAPACITY * EVENT_WORDS;
/// Alignment in memory, in bytes.
pub const ALIGNMENT: usize = 4096;
/// Longest text of a failure, in bytes.
pub const FAILURE_TEXT: usize = 256;

/// Word offsets of the header's fields.
pub mod word {
    /// [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::VERSION`].
    pub const VERSION: usize = 1;
    /// Events that fit.
    pub const CAPACITY: usize = 2;
    /// Events written since boot.
    pub const WRITTEN: usize = 3;
    /// Time of the last look at the rings.
    pub const LAST_LOOK: usize = 4;
    /// Wall clock at boot.
    pub const WALL_CLOCK: usize = 5;
    /// Exit code.
    pub const EXIT_CODE: usize = 6;
    /// Length of the failure's text.
    pub const FAILURE_LEN: usize = 7;
    /// The failure's text.
    pub const FAILURE: usize = 8;
    /// Version of the kernel.
    pub const KERNEL: usize = 40;
    /// Receive ring.
    pub const RX: usize = 44;
    /// Transmit ring.
    pub const TX: usize = 58;
    /// Addresses of both rings.
    pub const ADDRESSES: usize = 72;
    /// Build id of the kernel.
    pub const BUILD: usize = 78;
}

/// Words of one ring's figures.
pub const RING_WORDS: usize = 14;

/// Queue number of an event that concerns no queue.
pub const NO_QUEUE: u16 = u16::MAX;

/// What happened. The comment says what `count`, `a` and `b` mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum EventKind {
    /// The main loop began. `a`: boot time in microseconds.
    Boot = 1,
    /// An interrupt of the device. `a`: its interrupt status.
    Interrupt = 2,
    /// Used entries taken in. `count` of them; `a`: used.idx then.
    Harvest = 3,
    /// Entries made available. `count` of them; `a`: avail.idx then.
    Publish = 4,
    /// The device was notified. `a`: avail.idx.
    Kick = 5,
    /// Used entries lay unannounced. `count` of them; `a`: used.idx.
    MissedInterrupt = 6,
    /// A kick repeated. `a`: avail.idx, `b`: used.idx.
    Rekick = 7,
    /// A used entry that cannot be true. `a`: its id, `b`: its length.
    BadUsed = 8,
    /// The device was reset. `a`: why (see the driver), `b`: attempt.
    Reset = 9,
    /// The driver gave the device up. `a`: why.
    GivenUp = 10,
    /// A connection came up. `a`: peer address (last 4 bytes), `b`: its port.
    FlowOpened = 11,
    /// A connection ended. `a`, `b`: as for `FlowOpened`.
    FlowClosed = 12,
    /// A connection made room for another. `a`, `b`: as for `FlowOpened`.
    FlowEvicted = 13,
    /// The guest began to drain.
    Drain = 14,
    /// The kernel failed. `a`: exit code.
    Failure = 15,
    /// A probe of the link was sent.
    Probe = 16,
}

impl EventKind {
    /// Every kind with its name.
    pub const ALL: [(EventKind, &'static str); 16] = [
        (EventKind::Boot, "boot"),
        (EventKind::Interrupt, "interrupt"),
        (EventKind::Harvest, "harvest"),
        (EventKind::Publish, "publish"),
        (EventKind::Kick, "kick"),
        (EventKind::MissedInterrupt, "missed-interrupt"),
        (EventKind::Rekick, "rekick"),
        (EventKind::BadUsed, "bad-used"),
        (EventKind::Reset, "reset"),
        (EventKind::GivenUp, "given-up"),
        (EventKind::FlowOpened, "flow-opened"),
        (EventKind::FlowClosed, "flow-closed"),
        (EventKind::FlowEvicted, "flow-evicted"),
        (EventKind::Drain, "drain"),
        (EventKind::Failure, "failure"),
        (EventKind::Probe, "probe"),
    ];

    fn from_number(number: u16) -> Option<(EventKind, &'static str)> {
        Self::ALL
            .into_iter()
            .find(|(kind, _)| *kind as u16 == number)
    }
}

/// One event, as the parts that cause it tell it; the recorder adds the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Queue that it concerns, or [`NO_QUEUE`].
    pub queue: u16,
    /// How many.
    pub count: u32,
    /// First word of detail.
    pub a: u64,
    /// Second word of detail.
    pub b: u64,
}

impl Event {
    /// The event's words.
    #[must_use]
    pub const fn words(self, time_us: u64) -> [u64; EVENT_WORDS] {
        let head = self.kind as u64 | (self.queue as u64) << 16 | (self.count as u64) << 32;
        [time_us, head, self.a, self.b]
    }
}

/// Words of a ring's figures, in the order of [`RingStats`].
#[must_use]
pub const fn ring_words(r: &RingStats) -> [u64; RING_WORDS] {
    [
        r.size as u64,
        r.avail_idx as u64,
        r.used_idx as u64,
        r.gap as u64,
        r.free as u64,
        r.harvested,
        r.posted,
        r.kicks,
        r.interrupts,
        r.spurious,
        r.missed_interrupts,
        r.rekicks,
        r.bad_used,
        r.resets,
    ]
}

/// Why bytes are no black box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlackBoxError {
    /// The magic number is not where it should be.
    NoMagic,
    /// The layout is of another version.
    Version(u64),
    /// The bytes end before the last event.
    Truncated,
}

impl fmt::Display for BlackBoxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMagic => f.write_str("no black box: the magic number is missing"),
            Self::Version(version) => {
                write!(
                    f,
                    "black box of version {version}, this tool reads {VERSION}"
                )
            }
            Self::Truncated => f.write_str("the black box is cut off"),
        }
    }
}

impl core::error::Error for BlackBoxError {}

/// A black box in bytes: read, never trusted.
#[derive(Clone, Copy, Debug)]
pub struct BlackBox<'a> {
    bytes: &'a [u8],
    capacity: usize,
}

impl<'a> BlackBox<'a> {
    /// Looks at `bytes`, which begin with the magic number and may go on behind the box.
    ///
    /// # Errors
    /// They are no black box, or not a whole one.
    pub fn parse(bytes: &'a [u8]) -> Result<BlackBox<'a>, BlackBoxError> {
        let word = |at: usize| read_word(bytes, at);
        if word(word::MAGIC) != Some(MAGIC) {
            return Err(BlackBoxError::NoMagic);
        }
        match word(word::VERSION) {
            Some(VERSION) => {}
            Some(other) => return Err(BlackBoxError::Version(other)),
            None => return Err(BlackBoxError::Truncated),
        }
        let capacity = word(word::CAPACITY)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(BlackBoxError::Truncated)?;
        let len = capacity
            .checked_mul(EVENT_WORDS)
            .and_then(|words| words.checked_add(HEADER_WORDS))
            .and_then(|words| words.checked_mul(8))
            .filter(|len| capacity > 0 && *len <= bytes.len())
            .ok_or(BlackBoxError::Truncated)?;
        Ok(BlackBox {
            bytes: &bytes[..len],
            capacity,
        })
    }

    /// Searches a dump of memory, page by page, for a black box; `memory` begins on a page
    /// boundary of the guest, or at any multiple of 8 with `step` 8.
    #[must_use]
    pub fn find(memory: &'a [u8], step: usize) -> Option<BlackBox<'a>> {
        (0..memory.len())
            .step_by(step.max(8))
            .filter(|at| read_word(&memory[*at..], 0) == Some(MAGIC))
            .find_map(|at| BlackBox::parse(&memory[at..]).ok())
    }

    /// The box's own bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn word(&self, at: usize) -> u64 {
        read_word(self.bytes, at).unwrap_or(0)
    }

    /// Events written since boot, the lost ones included.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.word(word::WRITTEN)
    }

    /// Time of the last look at the rings, in microseconds since boot.
    #[must_use]
    pub fn last_look_us(&self) -> u64 {
        self.word(word::LAST_LOOK)
    }

    /// Why the guest ended; `None` while it runs, or if the code is unknown.
    #[must_use]
    pub fn exit_code(&self) -> Option<ExitCode> {
        let code = self.word(word::EXIT_CODE);
        ExitCode::ALL.into_iter().find(|c| *c as u64 == code)
    }

    /// The failure's text, as far as it is UTF-8.
    #[must_use]
    pub fn failure(&self) -> &'a str {
        let len = self.word(word::FAILURE_LEN).min(FAILURE_TEXT as u64) as usize;
        text(&self.bytes[word::FAILURE * 8..word::FAILURE * 8 + len])
    }

    /// The kernel's version.
    #[must_use]
    pub fn kernel_version(&self) -> &'a str {
        let field = &self.bytes[word::KERNEL * 8..word::RX * 8];
        let len = field.iter().position(|b| *b == 0).unwrap_or(field.len());
        text(&field[..len])
    }

    /// Which build of the kernel it is.
    #[must_use]
    pub fn build(&self) -> Option<BuildId> {
        BuildId::from_words([self.word(word::BUILD), self.word(word::BUILD + 1)])
    }

    /// The receive ring's figures.
    #[must_use]
    pub fn rx(&self) -> RingStats {
        self.ring(word::RX)
    }

    /// The transmit ring's figures.
    #[must_use]
    pub fn tx(&self) -> RingStats {
        self.ring(word::TX)
    }

    fn ring(&self, at: usize) -> RingStats {
        let word = |n: usize| self.word(at + n);
        RingStats {
            size: word(0) as u16,
            avail_idx: word(1) as u16,
            used_idx: word(2) as u16,
            gap: word(3) as u16,
            free: word(4) as u16,
            harvested: word(5),
            posted: word(6),
            kicks: word(7),
            interrupts: word(8),
            spurious: word(9),
            missed_interrupts: word(10),
            rekicks: word(11),
            bad_used: word(12),
            resets: word(13),
        }
    }

    /// The events that are kept, oldest first.
    pub fn events(&self) -> impl Iterator<Item = Record> + 'a {
        let this = *self;
        let written = this.written();
        let kept = written.min(this.capacity as u64);
        (written - kept..written).map(move |n| {
            let slot = (n % this.capacity as u64) as usize;
            let at = HEADER_WORDS + slot * EVENT_WORDS;
            Record::new(n, core::array::from_fn(|word| this.word(at + word)))
        })
    }
}

fn read_word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at * 8..at * 8 + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// The longest prefix that is UTF-8.
fn text(bytes: &[u8]) -> &str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""),
    }
}

/// An event out of a black box. Shown as one line of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which event since boot, from 0.
    pub number: u64,
    /// Microseconds since boot.
    pub time_us: u64,
    /// Number of the [`EventKind`]; unknown ones are shown as a number.
    pub kind: u16,
    /// Queue, or [`NO_QUEUE`].
    pub queue: u16,
    /// How many.
    pub count: u32,
    /// First word of detail.
    pub a: u64,
    /// Second word of detail.
    pub b: u64,
}

impl Record {
    /// Event `number`, out of its words.
    #[must_use]
    pub const fn new(number: u64, words: [u64; EVENT_WORDS]) -> Record {
        let [time_us, head, a, b] = words;
        Record {
            number,
            time_us,
            kind: head as u16,
            queue: (head >> 16) as u16,
            count: (head >> 32) as u32,
            a,
            b,
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, us) = (self.time_us / 1_000_000, self.time_us % 1_000_000);
        write!(f, "{:>8} {s:>6}.{us:06} ", self.number)?;
        match self.queue {
            0 => f.write_str("rx ")?,
            1 => f.write_str("tx ")?,
            NO_QUEUE => f.write_str("-  ")?,
            other => write!(f, "q{other:<2}")?,
        }
        let Some((kind, name)) = EventKind::from_number(self.kind) else {
            return write!(
                f,
                " kind {} {} {:#x} {:#x}",
                self.kind, self.count, self.a, self.b
            );
        };
        write!(f, " {name:<16} ")?;
        let (count, a, b) = (self.count, self.a, self.b);
        match kind {
            EventKind::Boot => write!(f, "serving after {a} us"),
            EventKind::Interrupt => write!(f, "status {a:#x}"),
            EventKind::Harvest => write!(f, "{count} entries, used.idx {a}"),
            EventKind::Publish => write!(f, "{count} entries, avail.idx {a}"),
            EventKind::Kick => write!(f, "avail.idx {a}"),
            EventKind::MissedInterrupt => write!(f, "{count} entries unannounced, used.idx {a}"),
            EventKind::Rekick => write!(f, "avail.idx {a}, used.idx {b}"),
            EventKind::BadUsed => write!(f, "id {a:#x}, length {b:#x}"),
            EventKind::Reset => write!(f, "reason {a}, attempt {b}"),
            EventKind::GivenUp => write!(f, "reason {a}"),
            EventKind::FlowOpened | EventKind::FlowClosed | EventKind::FlowEvicted => {
                let [w, x, y, z] = (a as u32).to_be_bytes();
                write!(f, "{w}.{x}.{y}.{z}:{b}")
            }
            EventKind::Failure => write!(f, "exit code {a:#x}"),
            EventKind::Drain | EventKind::Probe => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    fn kick(n: u64) -> Event {
        Event {
            kind: EventKind::Kick,
            queue: 0,
            count: 0,
            a: n,
            b: 0,
        }
    }

    /// A box with room for `capacity` events into which `count` kicks were written.
    fn sample(capacity: usize, count: u64) -> Vec<u8> {
        let mut words = vec![0u64; HEADER_WORDS + capacity * EVENT_WORDS];
        words[word::MAGIC] = MAGIC;
        words[word::VERSION] = VERSION;
        words[word::CAPACITY] = capacity as u64;
        words[word::WRITTEN] = count;
        words[word::EXIT_CODE] = ExitCode::Panic as u64;
        words[word::FAILURE_LEN] = 5;
        words[word::FAILURE] = u64::from_le_bytes(*b"oops!\0\0\0");
        words[word::KERNEL] = u64::from_le_bytes(*b"0.1.0\0\0\0");
        let ring = RingStats {
            size: 256,
            avail_idx: 65535,
            resets: 3,
            ..RingStats::default()
        };
        words[word::RX..word::RX + RING_WORDS].copy_from_slice(&ring_words(&ring));
        for n in 0..count {
            let at = HEADER_WORDS + (n % capacity as u64) as usize * EVENT_WORDS;
            words[at..at + EVENT_WORDS].copy_from_slice(&kick(n).words(n * 1000));
        }
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = sample(8, 5);
        let found = BlackBox::parse(&bytes).unwrap();
        assert_eq!(found.failure(), "oops!");
        assert_eq!(found.kernel_version(), "0.1.0");
        assert_eq!(found.exit_code(), Some(ExitCode::Panic));
        assert_eq!(
            (found.rx().size, found.rx().avail_idx, found.rx().resets),
            (256, 65535, 3)
        );
        let times: Vec<u64> = found.events().map(|e| e.time_us).collect();
        assert_eq!(times, [0, 1000, 2000, 3000, 4000]);
    }

    #[test]
    fn a_wrapped_ring_gives_the_last_events_oldest_first() {
        let bytes = sample(8, 21);
        let numbers: Vec<u64> = BlackBox::parse(&bytes)
            .unwrap()
            .events()
            .map(|e| e.a)
            .collect();
        assert_eq!(numbers, (13..21).collect::<Vec<_>>());
    }

    #[test]
    fn it_is_found_in_a_dump_by_its_magic() {
        let mut memory = vec![0xaau8; 3 * ALIGNMENT];
        // A stray magic number with nothing behind it must not end the search.
        memory[0..8].copy_from_slice(&MAGIC.to_le_bytes());
        memory.truncate(2 * ALIGNMENT);
        memory.extend(sample(8, 1));
        let found = BlackBox::find(&memory, ALIGNMENT).unwrap();
        assert_eq!(found.written(), 1);
        assert!(BlackBox::find(&memory[..ALIGNMENT], ALIGNMENT).is_none());
    }

    #[test]
    fn bytes_that_are_no_box_are_refused() {
        let good = sample(8, 5);
        assert_eq!(BlackBox::parse(&[]).unwrap_err(), BlackBoxError::NoMagic);
        for len in 8..good.len() {
            assert_eq!(
                BlackBox::parse(&good[..len]).unwrap_err(),
                BlackBoxError::Truncated
            );
        }
        let mut other = good.clone();
        other[8] = 9;
        assert_eq!(
            BlackBox::parse(&other).unwrap_err(),
            BlackBoxError::Version(9)
        );
        for capacity in [0, 9, u64::MAX, u64::MAX / 32] {
            let mut lying = good.clone();
            lying[16..24].copy_from_slice(&capacity.to_le_bytes());
            assert_eq!(
                BlackBox::parse(&lying).unwrap_err(),
                BlackBoxError::Truncated
            );
        }
    }

    #[test]
    fn a_record_reads_as_a_line() {
        let bytes = sample(8, 2);
        let line = BlackBox::parse(&bytes).unwrap().events().last().unwrap();
        assert_eq!(
            line.to_string(),
            "       1      0.001000 rx  kick             avail.idx 1"
        );
        let unknown = Record { kind: 999, ..line };
        assert!(format!("{unknown}").contains("kind 999"));
    }
}
