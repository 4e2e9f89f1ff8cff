//! The words behind a command, and how they are read.

use super::{Command, MOST_ROWS, Sort, Target};
use crate::filter::Filter;
use core::ops::RangeInclusive;
use quartz_abi::cmdline::LogLevel;

/// Rows of a table unless told otherwise.
pub(super) const ROWS: u32 = 20;
/// Events shown unless told otherwise.
pub(super) const EVENTS: u32 = 32;
/// Events that may be asked for: what the guest's output takes at once.
pub(super) const MOST_EVENTS: u32 = 100;
/// Bytes of a frame that are captured unless told otherwise.
const SNAPLEN: u16 = 256;

/// The words behind a command.
pub(super) type Words<'a> = core::str::SplitAsciiWhitespace<'a>;

/// What an argument should have been.
pub(super) struct Wrong(pub &'static str);

/// A number in a range; without a word, the usual one.
pub(super) fn number(word: Option<&str>, range: RangeInclusive<u32>, usual: u32) -> Option<u32> {
    let Some(word) = word else {
        return Some(usual);
    };
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse()
        .ok()
        .filter(|number| digits && range.contains(number))
}

pub(super) fn flows(words: &mut Words<'_>) -> Result<Command, Wrong> {
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

pub(super) fn log(words: &mut Words<'_>) -> Result<Command, Wrong> {
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

pub(super) fn trace(words: &mut Words<'_>) -> Result<Command, Wrong> {
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

pub(super) fn pcap(words: &mut Words<'_>) -> Result<Command, Wrong> {
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

pub(super) fn heartbeat(words: &mut Words<'_>) -> Result<Command, Wrong> {
    match words.next() {
        None => Ok(Command::ShowHeartbeat),
        Some("off") => Ok(Command::Heartbeat(None)),
        word => match number(word, 1..=3600, 0) {
            Some(seconds) => Ok(Command::Heartbeat(Some(seconds as u16))),
            None => Err(Wrong("seconds, 1-3600, or off")),
        },
    }
}
