//! What can be typed, and how a line is understood.

mod arguments;
mod table;

use crate::filter::Filter;
use arguments::Wrong;
use core::fmt;
use quartz_abi::cmdline::{Fault, LogLevel};
use table::{PROVOKE, find};

pub use table::{COMMANDS, Entry};

/// Rows that may be asked for.
pub const MOST_ROWS: u32 = 100;
/// Longest name of a log target.
const TARGET: usize = 40;

/// How connections are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// By what they are doing, then the oldest first.
    State,
    /// The oldest first.
    Age,
    /// Those first that have moved most.
    Bytes,
}

/// A target of the log, as it stands in its lines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Target {
    bytes: [u8; TARGET],
    len: usize,
}

impl Target {
    fn parse(text: &str) -> Option<Target> {
        let mut bytes = [0; TARGET];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-' | b'.');
        (!text.is_empty() && text.bytes().all(known)).then_some(Target {
            bytes,
            len: text.len(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }

    /// Whether a record of this target is meant: of the same name, or of a module below it.
    #[must_use]
    pub fn covers(&self, target: &str) -> bool {
        target
            .strip_prefix(self.name())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// What a person asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The list of commands, or one of them in full.
    Help(Option<&'static Entry>),
    /// The version.
    Version,
    /// Time since boot.
    Uptime,
    /// The figures of `/stats.json`, for reading.
    Stats,
    /// Both rings side by side.
    Rings,
    /// The table of connections.
    Flows {
        /// In which order.
        by: Sort,
        /// How many.
        rows: u32,
    },
    /// Records of closed connections.
    TimeWait {
        /// How many.
        rows: u32,
    },
    /// Where the memory is.
    Mem,
    /// Where interrupts come from.
    Irq,
    /// The last events of the black box.
    Events {
        /// How many.
        count: u32,
    },
    /// What is logged.
    ShowLog,
    /// Log this level and what is graver; of one target or of all.
    Log {
        /// The level.
        level: LogLevel,
        /// Of whom.
        target: Option<Target>,
    },
    /// Whether frames are shown.
    ShowTrace,
    /// Show frames as they pass, or stop that.
    Trace(Option<Filter>),
    /// Begin to capture frames.
    Capture {
        /// Bytes of each.
        snaplen: u16,
    },
    /// Stop, and give the memory back.
    CaptureOff,
    /// Show the captured frames, in armor.
    Pcap {
        /// How many of the last ones.
        frames: u32,
    },
    /// How often the heartbeat comes.
    ShowHeartbeat,
    /// Seconds between heartbeats; `None`: no more.
    Heartbeat(Option<u16>),
    /// Stop accepting, finish what is in flight, end with a clean stop.
    Drain,
    /// End at once.
    PowerOff,
    /// Start over.
    Reboot,
    /// End by a panic, once that is confirmed.
    Panic,
    /// Cause a fault, where the command line allows it.
    Provoke(Fault),
}

/// The one command whose name begins so.
#[must_use]
pub fn completion(start: &str) -> Option<&'static str> {
    let mut found = COMMANDS
        .iter()
        .map(|entry| entry.name)
        .filter(|name| name.starts_with(start));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError<'a> {
    /// There is none of this name.
    Unknown(&'a str),
    /// An argument is wrong.
    Argument {
        /// The command.
        entry: &'static Entry,
        /// What was typed behind it.
        typed: &'a str,
        /// What was expected.
        expected: &'static str,
    },
    /// There are too many arguments.
    Unexpected {
        /// The command.
        entry: &'static Entry,
        /// The first that is too many.
        word: &'a str,
    },
}

impl fmt::Display for CommandError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::Unknown(name) => {
                write!(f, "unknown command `{name}`; `help` lists them")
            }
            CommandError::Argument {
                entry,
                typed,
                expected,
            } => {
                write!(f, "{}: `{typed}`: expected {expected}", entry.name)?;
                write!(f, "; usage: {}", Usage(entry))
            }
            CommandError::Unexpected { entry, word } => {
                write!(f, "{}: `{word}` is too much", entry.name)?;
                write!(f, "; usage: {}", Usage(entry))
            }
        }
    }
}

impl core::error::Error for CommandError<'_> {}

/// Name and arguments of a command.
pub struct Usage(pub &'static Entry);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry {
            name, arguments, ..
        } = self.0;
        let gap = usize::from(!arguments.is_empty());
        write!(f, "{name}{:gap$}{arguments}", "")?;
        let len = name.len() + gap + arguments.len();
        let rest = f.width().unwrap_or(0).saturating_sub(len);
        write!(f, "{:rest$}", "")
    }
}

impl Command {
    /// Understands a line; `None` if there is nothing on it.
    ///
    /// # Errors
    /// It is no command.
    pub fn parse(line: &str) -> Result<Option<Command>, CommandError<'_>> {
        let line = line.trim_ascii();
        let (name, typed) = line.split_once(' ').unwrap_or((line, ""));
        if name.is_empty() {
            return Ok(None);
        }
        let hidden = Some(&PROVOKE).filter(|entry| entry.name == name);
        let entry = find(name).or(hidden).ok_or(CommandError::Unknown(name))?;
        let mut words = typed.split_ascii_whitespace();
        let command =
            (entry.parse)(&mut words).map_err(|Wrong(expected)| CommandError::Argument {
                entry,
                typed: typed.trim_ascii(),
                expected,
            })?;
        match words.next() {
            Some(word) => Err(CommandError::Unexpected { entry, word }),
            None => Ok(Some(command)),
        }
    }
}

#[cfg(test)]
mod tests;
