//! What can be typed: one table of commands, and how a line is understood.

use crate::filter::Filter;
use core::fmt;
use core::ops::RangeInclusive;
use quartz_abi::cmdline::{Fault, LogLevel};

/// Rows of a table unless told otherwise.
const ROWS: u32 = 20;
/// Rows that may be asked for.
pub const MOST_ROWS: u32 = 100;
/// Events shown unless told otherwise.
const EVENTS: u32 = 32;
/// Events that may be asked for: what the guest's output takes at once.
const MOST_EVENTS: u32 = 100;
/// Bytes of a frame that are captured unless told otherwise.
const SNAPLEN: u16 = 256;
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

/// A row of the table of commands.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What may follow it.
    pub arguments: &'static str,
    /// What it does, in a few words.
    pub help: &'static str,
    /// More, in lines.
    pub details: &'static str,
    parse: fn(&mut Words<'_>) -> Result<Command, Wrong>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.name == other.name
    }
}

impl Eq for Entry {}

/// The words behind a command.
type Words<'a> = core::str::SplitAsciiWhitespace<'a>;

/// What an argument should have been.
struct Wrong(&'static str);

/// Every command.
pub static COMMANDS: [Entry; 18] = [
    Entry {
        name: "help",
        arguments: "[COMMAND]",
        help: "this list, or more about one command",
        details: "",
        parse: |words| match words.next() {
            None => Ok(Command::Help(None)),
            Some(word) => find(word)
                .map(|entry| Command::Help(Some(entry)))
                .ok_or(Wrong("a command")),
        },
    },
    Entry {
        name: "version",
        arguments: "",
        help: "version and time since boot",
        details: "",
        parse: |_| Ok(Command::Version),
    },
    Entry {
        name: "uptime",
        arguments: "",
        help: "time since boot",
        details: "",
        parse: |_| Ok(Command::Uptime),
    },
    Entry {
        name: "stats",
        arguments: "",
        help: "rings, connections, memory and the console in figures",
        details: "",
        parse: |_| Ok(Command::Stats),
    },
    Entry {
        name: "rings",
        arguments: "",
        help: "both rings side by side",
        details: "gap: descriptors that the device owns. At rest that is all of rx and none of tx.\n",
        parse: |_| Ok(Command::Rings),
    },
    Entry {
        name: "flows",
        arguments: "[state|age|bytes] [ROWS]",
        help: "connections, the oldest first",
        details: "state: by what they do, then by age; bytes: those first that moved most.\n\
                  ROWS: 1-100, or 20. Bytes of a connection are counted modulo 4 GiB.\n",
        parse: flows,
    },
    Entry {
        name: "time-wait",
        arguments: "[ROWS]",
        help: "closed connections that are remembered",
        details: "Those first that are forgotten first. ROWS: 1-100, or 20.\n",
        parse: |words| {
            number(words.next(), 1..=MOST_ROWS, ROWS)
                .map(|rows| Command::TimeWait { rows })
                .ok_or(Wrong("rows, 1-100"))
        },
    },
    Entry {
        name: "mem",
        arguments: "",
        help: "where the memory is",
        details: "",
        parse: |_| Ok(Command::Mem),
    },
    Entry {
        name: "irq",
        arguments: "",
        help: "interrupts by source",
        details: "",
        parse: |_| Ok(Command::Irq),
    },
    Entry {
        name: "events",
        arguments: "[COUNT]",
        help: "the last events of the black box",
        details: "COUNT: 1-100, or 32.\n",
        parse: |words| {
            number(words.next(), 1..=MOST_EVENTS, EVENTS)
                .map(|count| Command::Events { count })
                .ok_or(Wrong("a number of events, 1-100"))
        },
    },
    Entry {
        name: "log",
        arguments: "[LEVEL [TARGET]]",
        help: "what is logged, or from now on",
        details: "LEVEL: off, error, warn, info, debug, trace. TARGET: as it stands in a line of the\n\
                  log, or a part of it up to a `::`. A level without a target is for all.\n",
        parse: log,
    },
    Entry {
        name: "trace",
        arguments: "[on [ADDRESS|PORT] | off]",
        help: "a line for each frame",
        details: "Lines that the serial port is too slow for are left out and counted.\n",
        parse: trace,
    },
    Entry {
        name: "pcap",
        arguments: "[on [SNAPLEN] | off | FRAMES]",
        help: "captures frames, and shows the last ones",
        details: "on: from now on, SNAPLEN bytes of each (64-1514, or 256). pcap alone shows them all.\n\
                  `quartz console NAME --pcap FILE` makes a file for tcpdump of them.\n",
        parse: pcap,
    },
    Entry {
        name: "heartbeat",
        arguments: "[SECONDS|off]",
        help: "a line for machines, every few seconds",
        details: "SECONDS: 1-3600. The supervisor of a service wants it: leave it on there.\n",
        parse: heartbeat,
    },
    Entry {
        name: "drain",
        arguments: "",
        help: "finishes what is in flight, then powers off",
        details: "",
        parse: |_| Ok(Command::Drain),
    },
    Entry {
        name: "poweroff",
        arguments: "",
        help: "ends at once, with exit code 0x10",
        details: "",
        parse: |_| Ok(Command::PowerOff),
    },
    Entry {
        name: "reboot",
        arguments: "",
        help: "starts over at once",
        details: "Ends with exit code 0x18, after which `quartz run` and services start again. Without\n\
                  an isa-debug-exit device the machine is reset.\n",
        parse: |_| Ok(Command::Reboot),
    },
    Entry {
        name: "panic",
        arguments: "",
        help: "ends by a panic, if you mean it",
        details: "",
        parse: |_| Ok(Command::Panic),
    },
];

/// `provoke FAULT`: for tests, so no word of it in the list.
static PROVOKE: Entry = Entry {
    name: "provoke",
    arguments: "FAULT",
    help: "",
    details: "",
    parse: |words| {
        let fault = words.next().and_then(Fault::named);
        fault.map(Command::Provoke).ok_or(Wrong("a fault"))
    },
};

fn find(name: &str) -> Option<&'static Entry> {
    COMMANDS.iter().find(|entry| entry.name == name)
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

/// A number in a range; without a word, the usual one.
fn number(word: Option<&str>, range: RangeInclusive<u32>, usual: u32) -> Option<u32> {
    let Some(word) = word else {
        return Some(usual);
    };
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse()
        .ok()
        .filter(|number| digits && range.contains(number))
}

fn flows(words: &mut Words<'_>) -> Result<Command, Wrong> {
    let expected = Wrong("state, age, bytes, or rows, 1-100");
    let first = words.next();
    let by = match first {
        Some("state") => Sort::State,
        Some("bytes") => Sort::Bytes,
        Some("age") | None => Sort::Age,
        Some(word) => {
            let rows = number(Some(word), 1..=MOST_ROWS, ROWS).ok_or(expected)?;
            return Ok(Command::Flows {
                by: Sort::Age,
                rows,
            });
        }
    };
    let rows = number(words.next(), 1..=MOST_ROWS, ROWS).ok_or(expected)?;
    Ok(Command::Flows { by, rows })
}

fn log(words: &mut Words<'_>) -> Result<Command, Wrong> {
    let level = match words.next() {
        None => return Ok(Command::ShowLog),
        Some("off") => LogLevel::Off,
        Some("error") => LogLevel::Error,
        Some("warn") => LogLevel::Warn,
        Some("info") => LogLevel::Info,
        Some("debug") => LogLevel::Debug,
        Some("trace") => LogLevel::Trace,
        Some(_) => return Err(Wrong("off, error, warn, info, debug or trace")),
    };
    let target = match words.next() {
        None => None,
        Some(word) => {
            Some(Target::parse(word).ok_or(Wrong("a target, such as quartz_net::stack"))?)
        }
    };
    Ok(Command::Log { level, target })
}

fn trace(words: &mut Words<'_>) -> Result<Command, Wrong> {
    match words.next() {
        None => Ok(Command::ShowTrace),
        Some("off") => Ok(Command::Trace(None)),
        Some("on") => match words.next() {
            None => Ok(Command::Trace(Some(Filter::All))),
            Some(word) => match Filter::parse(word) {
                Some(filter) => Ok(Command::Trace(Some(filter))),
                None => Err(Wrong("an IP address or a port")),
            },
        },
        Some(_) => Err(Wrong("on or off")),
    }
}

fn pcap(words: &mut Words<'_>) -> Result<Command, Wrong> {
    match words.next() {
        None => Ok(Command::Pcap { frames: u32::MAX }),
        Some("off") => Ok(Command::CaptureOff),
        Some("on") => match number(words.next(), 64..=1514, u32::from(SNAPLEN)) {
            Some(snaplen) => Ok(Command::Capture {
                snaplen: snaplen as u16,
            }),
            None => Err(Wrong("bytes of a frame, 64-1514")),
        },
        word => match number(word, 1..=u32::MAX, 0) {
            Some(frames) => Ok(Command::Pcap { frames }),
            None => Err(Wrong("on, off, or a number of frames")),
        },
    }
}

fn heartbeat(words: &mut Words<'_>) -> Result<Command, Wrong> {
    match words.next() {
        None => Ok(Command::ShowHeartbeat),
        Some("off") => Ok(Command::Heartbeat(None)),
        word => match number(word, 1..=3600, 0) {
            Some(seconds) => Ok(Command::Heartbeat(Some(seconds as u16))),
            None => Err(Wrong("seconds, 1-3600, or off")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LINE, PROMPT};
    use std::format;
    use std::string::ToString;

    #[test]
    fn lines_are_understood() {
        let target = |text| Target::parse(text);
        for (line, command) in [
            ("version", Command::Version),
            ("  stats ", Command::Stats),
            ("help", Command::Help(None)),
            ("help flows", Command::Help(find("flows"))),
            (
                "flows",
                Command::Flows {
                    by: Sort::Age,
                    rows: 20,
                },
            ),
            (
                "flows 100",
                Command::Flows {
                    by: Sort::Age,
                    rows: 100,
                },
            ),
            (
                "flows  bytes",
                Command::Flows {
                    by: Sort::Bytes,
                    rows: 20,
                },
            ),
            (
                "flows state 5",
                Command::Flows {
                    by: Sort::State,
                    rows: 5,
                },
            ),
            ("time-wait 3", Command::TimeWait { rows: 3 }),
            ("events", Command::Events { count: 32 }),
            ("log", Command::ShowLog),
            (
                "log debug",
                Command::Log {
                    level: LogLevel::Debug,
                    target: None,
                },
            ),
            (
                "log off quartz_net::stack",
                Command::Log {
                    level: LogLevel::Off,
                    target: target("quartz_net::stack"),
                },
            ),
            ("trace", Command::ShowTrace),
            ("trace off", Command::Trace(None)),
            ("trace on", Command::Trace(Some(Filter::All))),
            ("trace on 80", Command::Trace(Some(Filter::Port(80)))),
            ("pcap", Command::Pcap { frames: u32::MAX }),
            ("pcap 12", Command::Pcap { frames: 12 }),
            ("pcap on", Command::Capture { snaplen: 256 }),
            ("pcap on 1514", Command::Capture { snaplen: 1514 }),
            ("pcap off", Command::CaptureOff),
            ("heartbeat 5", Command::Heartbeat(Some(5))),
            ("heartbeat off", Command::Heartbeat(None)),
            ("provoke panic", Command::Provoke(Fault::Panic)),
        ] {
            assert_eq!(Command::parse(line), Ok(Some(command)), "{line}");
        }
        assert_eq!(Command::parse("  "), Ok(None));
    }

    #[test]
    fn errors_say_what_was_expected() {
        for (line, text) in [
            ("flub", "unknown command `flub`; `help` lists them"),
            ("STATS", "unknown command `STATS`; `help` lists them"),
            ("stats now", "stats: `now` is too much; usage: stats"),
            (
                "flows up",
                "flows: `up`: expected state, age, bytes, or rows, 1-100; \
                 usage: flows [state|age|bytes] [ROWS]",
            ),
            (
                "time-wait 101",
                "time-wait: `101`: expected rows, 1-100; usage: time-wait [ROWS]",
            ),
            (
                "log loud",
                "log: `loud`: expected off, error, warn, info, debug or trace; \
                 usage: log [LEVEL [TARGET]]",
            ),
            (
                "trace on host",
                "trace: `on host`: expected an IP address or a port; \
                 usage: trace [on [ADDRESS|PORT] | off]",
            ),
            (
                "help me",
                "help: `me`: expected a command; usage: help [COMMAND]",
            ),
        ] {
            assert_eq!(
                Command::parse(line).unwrap_err().to_string(),
                text,
                "{line}"
            );
        }
        for line in [
            "flows 0",
            "flows 101",
            "flows age x",
            "flows age 1 2",
            "events 0",
            "log info a b",
            "log info a/b",
            "pcap on 63",
            "pcap on 1515",
            "pcap 0",
            "pcap +1",
            "pcap off 1",
            "trace on 80 81",
            "trace maybe",
            "heartbeat 0",
            "heartbeat 3601",
            "heartbeat -1",
            "panic now",
            "drain x",
            "reboot x",
            "poweroff x",
            "provoke nothing",
            "irq 1",
            "mem 1",
            "uptime 1",
            "rings 1",
            "version 1",
        ] {
            assert!(Command::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_target_covers_what_is_below_it() {
        let target = Target::parse("quartz_net").unwrap();
        assert!(target.covers("quartz_net") && target.covers("quartz_net::stack"));
        assert!(!target.covers("quartz_network") && !target.covers("quartz"));
        assert_eq!(Target::parse(&"x".repeat(TARGET + 1)), None);
    }

    #[test]
    fn the_help_fits_a_terminal_and_names_can_be_typed() {
        for entry in &COMMANDS {
            let usage = Usage(entry).to_string();
            assert!(usage.len() <= LINE && PROMPT.len() + LINE < 80, "{usage}");
            assert!(usage.len() < 38);
            assert_eq!(format!("{:38}", Usage(entry)), format!("{usage:38}"));
            assert!(entry.details.lines().all(|line| line.len() < 100));
            assert!(entry.details.is_empty() || entry.details.ends_with('\n'));
        }
        assert_eq!(completion("he"), None);
        assert_eq!(completion("hel"), Some("help"));
        assert_eq!(completion("time"), Some("time-wait"));
        assert_eq!(completion("x"), None);
    }
}
