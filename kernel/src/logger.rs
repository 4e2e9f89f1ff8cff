//! The `log` crate's records as lines on the serial port: `[ seconds.micros] LEVEL target: text`.

use crate::arch::clock;
use crate::console;
use core::fmt::{self, Write};
use log::{LevelFilter, Log, Metadata, Record};
use quartz_abi::cmdline::LogLevel;

/// Longest line, in bytes; the rest of a longer one is cut.
const LINE: usize = 512;

struct SerialLog;

static LOG: SerialLog = SerialLog;

/// Turns logging on at the default level.
pub fn init() {
    if log::set_logger(&LOG).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Sets the most verbose level that is printed.
pub fn set_level(level: LogLevel) {
    log::set_max_level(match level {
        LogLevel::Off => LevelFilter::Off,
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    });
}

impl Log for SerialLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
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
