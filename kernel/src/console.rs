//! The serial console: a prompt, typed lines, and log lines that do not garble them.

use crate::serial;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use quartz_abi::cmdline::Fault;

const PROMPT: &[u8] = b"quartz> ";
/// Longest line that can be typed.
const LINE: usize = 128;

/// Whether the cursor stands behind a prompt.
static PROMPTED: AtomicBool = AtomicBool::new(false);

/// Prints a line of the log.
pub fn line(text: &[u8]) {
    if PROMPTED.swap(false, Relaxed) {
        serial::write(b"\r\n");
    }
    serial::write(text);
    serial::write(b"\r\n");
}

/// Prints a line for machines.
pub fn formatted(text: fmt::Arguments<'_>) {
    if PROMPTED.swap(false, Relaxed) {
        serial::write(b"\r\n");
    }
    // The console takes everything or drops it, with a count.
    let _ = writeln!(Answer, "{text}");
}

/// Prints the prompt.
pub fn prompt() {
    PROMPTED.store(true, Relaxed);
    serial::write(PROMPT);
}

/// Text for the console, as an answer to a command.
pub struct Answer;

impl Write for Answer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            match part.strip_suffix('\n') {
                Some(part) => {
                    serial::write(part.as_bytes());
                    serial::write(b"\r\n");
                }
                None => serial::write(part.as_bytes()),
            }
        }
        Ok(())
    }
}

/// What a person asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The list of commands.
    Help,
    /// Version and time since boot.
    Version,
    /// The figures of `/stats.json`, for reading.
    Stats,
    /// The last events of the black box.
    Events,
    /// Stop accepting, finish what is in flight, end with a clean stop.
    Drain,
    /// Cause a fault, where the command line allows it.
    Provoke(Fault),
    /// Nothing that is known.
    Unknown,
}

/// Each command with what it does.
pub const COMMANDS: [(&str, Command, &str); 5] = [
    ("help", Command::Help, "this list"),
    ("version", Command::Version, "version and time since boot"),
    (
        "stats",
        Command::Stats,
        "rings, connections and memory in figures",
    ),
    (
        "events",
        Command::Events,
        "the last events of the black box",
    ),
    (
        "drain",
        Command::Drain,
        "stop accepting, finish what is in flight, then power off",
    ),
];

/// The line being typed.
pub struct Console {
    line: [u8; LINE],
    len: usize,
}

impl Console {
    /// An empty line.
    pub fn new() -> Console {
        Console {
            line: [0; LINE],
            len: 0,
        }
    }

    /// Takes in a byte; a complete line is a command.
    pub fn input(&mut self, byte: u8) -> Option<Command> {
        match byte {
            b'\r' | b'\n' => {
                serial::write(b"\r\n");
                PROMPTED.store(false, Relaxed);
                let command = self.command();
                self.len = 0;
                if command.is_none() {
                    prompt();
                }
                command
            }
            // Backspace and delete.
            0x08 | 0x7f => {
                if self.len > 0 {
                    self.len -= 1;
                    serial::write(b"\x08 \x08");
                }
                None
            }
            b' '..=b'~' if self.len < LINE => {
                self.line[self.len] = byte;
                self.len += 1;
                serial::write(&[byte]);
                None
            }
            _ => None,
        }
    }

    fn command(&self) -> Option<Command> {
        let typed = self.line[..self.len].trim_ascii();
        if typed.is_empty() {
            return None;
        }
        let known = COMMANDS
            .iter()
            .find(|(name, ..)| name.as_bytes() == typed)
            .map(|(_, command, _)| *command);
        Some(
            known
                .or_else(|| provoked(typed))
                .unwrap_or(Command::Unknown),
        )
    }
}

/// `provoke FAULT`: for tests, so no word of it in the list of commands.
fn provoked(typed: &[u8]) -> Option<Command> {
    let name = core::str::from_utf8(typed.strip_prefix(b"provoke ")?).ok()?;
    Fault::named(name).map(Command::Provoke)
}
