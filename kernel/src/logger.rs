//! The `log` crate's records as lines on the serial port: `[ seconds.micros] LEVEL target: text`.

use crate::arch::clock;
use crate::console;
use core::fmt::{self, Write};
use log::{LevelFilter, Log, Metadata, Record};
use quartz_abi::cmdline::LogLevel;
use quartz_console::command::Target;
use spin::Mutex;

/// Longest line, in bytes; the rest of a longer one is cut.
const LINE: usize = 512;

struct SerialLog;

static LOG: SerialLog = SerialLog;

/// Targets that may have levels of their own.
const TARGETS: usize = 8;

/// Which records are printed.
struct Levels {
    all: LevelFilter,
    targets: [Option<(Target, LevelFilter)>; TARGETS],
}

static LEVELS: Mutex<Levels> = Mutex::new(Levels {
    all: LevelFilter::Info,
    targets: [None; TARGETS],
});

/// There is no place for one more target.
pub struct Full;

impl Levels {
    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let own = self.targets.iter().flatten();
        // The longest name is the nearest.
        let nearest = own
            .filter(|(target, _)| target.covers(metadata.target()))
            .max_by_key(|(target, _)| target.name().len());
        metadata.level() <= nearest.map_or(self.all, |(_, level)| *level)
    }

    fn most(&self) -> LevelFilter {
        let own = self.targets.iter().flatten().map(|(_, level)| *level);
        own.fold(self.all, Ord::max)
    }
}

/// Turns logging on at the default level.
pub fn init() {
    if log::set_logger(&LOG).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Sets the most verbose level that is printed.
pub fn set_level(level: LogLevel) {
    // Without a target there is always room.
    let _ = set(level, None);
}

/// Sets the most verbose level that is printed: of one target and what is below it, or of all.
///
/// # Errors
/// Too many targets have levels of their own.
pub fn set(level: LogLevel, target: Option<Target>) -> Result<(), Full> {
    let level = filter(level);
    let mut levels = LEVELS.lock();
    match target {
        None => {
            levels.all = level;
            levels.targets = [None; TARGETS];
        }
        Some(target) => {
            let known = |slot: &Option<(Target, _)>| slot.is_some_and(|(name, _)| name == target);
            let at = levels.targets.iter().position(known);
            let at = at.or_else(|| levels.targets.iter().position(Option::is_none));
            levels.targets[at.ok_or(Full)?] = Some((target, level));
        }
    }
    log::set_max_level(levels.most());
    Ok(())
}

/// Says what is printed.
pub fn show(out: &mut dyn Write) -> fmt::Result {
    let levels = LEVELS.lock();
    write!(out, "log: {}", levels.all)?;
    for (target, level) in levels.targets.iter().flatten() {
        write!(out, ", {} {level}", target.name())?;
    }
    writeln!(out)
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::Off,
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    }
}

impl Log for SerialLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        LEVELS.lock().takes(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = clock::now_us();
        let mut line = Line::new();
        // A line that is too long is cut, not lost.
        let _ = write!(
            line,
            "[{:5}.{:06}] {:5} {}: {}",
            now / 1_000_000,
            now % 1_000_000,
            record.level(),
            record.target(),
            record.args()
        );
        console::line(line.text());
    }

    fn flush(&self) {}
}

/// A line of bounded length. Control characters become dots, so that no text from outside can
/// forge a line or steer a terminal.
struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl Line {
    fn new() -> Line {
        Line {
            bytes: [0; LINE],
            len: 0,
        }
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let slot = self.bytes.get_mut(self.len).ok_or(fmt::Error)?;
            *slot = if byte.is_ascii_control() { b'.' } else { byte };
            self.len += 1;
        }
        Ok(())
    }
}
