//! `quartz autopsy`: what a guest's black box tells, from a dump of its memory or a saved box.

use crate::cli::AutopsyArgs;
use crate::error::Error;
use crate::supervise::config::check_name;
use crate::supervise::examine::REPORT;
use crate::verdict::{Signature, Wire};
use quartz_abi::blackbox::{self, BlackBox};
use quartz_abi::{BlackBoxError, RingStats};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const CHUNK: usize = 4 << 20;
/// Bytes of a black box as this tool's kernel writes it.
const BOX: usize = blackbox::WORDS * 8;
/// The magic number as it stands in memory.
const NEEDLE: [u8; 8] = blackbox::MAGIC.to_le_bytes();

/// Why there is nothing to tell.
#[derive(Debug, thiserror::Error)]
pub enum AutopsyError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory that no autopsy has left.
    #[error("{} is no autopsy: there is neither {REPORT} nor blackbox in it", .0.display())]
    NoAutopsy(PathBuf),
    /// No black box is in it.
    #[error("{}: {source}", path.display())]
    NoBox {
        /// The file.
        path: PathBuf,
        /// The best that was found.
        source: BlackBoxError,
    },
}

/// `quartz autopsy`.
///
/// # Errors
/// The file cannot be read or holds no black box.
pub fn main(args: &AutopsyArgs) -> Result<(), Error> {
    let mut file = args.subject.clone();
    if let Some(name) = file.to_str()
        && !file.exists()
        && check_name(name).is_ok()
    {
        return crate::service::autopsy(name);
    }
    if file.is_dir() {
        // An autopsy that was taken: its report says more than the black box in it.
        let report = file.join(REPORT);
        if let Ok(text) = fs::read_to_string(&report) {
            let _ = io::stdout().lock().write_all(text.as_bytes());
            return Ok(());
        }
        file.push("blackbox");
        if !file.exists() {
            return Err(AutopsyError::NoAutopsy(args.subject.clone()).into());
        }
    }
    let bytes = find(&file)?;
    let found = BlackBox::parse(&bytes).map_err(|source| AutopsyError::NoBox {
        path: file.clone(),
        source,
    })?;
    let report = report(&found, args.events);
    // A reader that goes away has seen enough.
    let _ = io::stdout().lock().write_all(report.as_bytes());
    Ok(())
}

/// The bytes of the black box in `path`: a saved box, raw memory, or an ELF core.
///
/// # Errors
/// The file cannot be read or holds no black box.
pub fn find(path: &Path) -> Result<Vec<u8>, AutopsyError> {
    let unreadable = |source| AutopsyError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    search(&mut file)
        .map_err(unreadable)?
        .map_err(|source| AutopsyError::NoBox {
            path: path.to_owned(),
            source,
        })
}

/// Reads `source` to its end, a window at a time that overlaps the last by a whole box.
fn search(source: &mut impl Read) -> io::Result<Result<Vec<u8>, BlackBoxError>> {
    let mut window = Vec::new();
    let mut best = BlackBoxError::NoMagic;
    loop {
        let read = source.take_chunk(&mut window)?;
        let at_end = read == 0;
        let mut from = 0;
        while let Some(offset) = position(&window[from..]) {
            let at = from + offset;
            // The rest of the box may still be unread.
            if !at_end && window.len() - at < BOX {
                break;
            }
            match BlackBox::parse(&window[at..]) {
                Ok(found) => return Ok(Ok(found.bytes().to_vec())),
                Err(error) => best = error,
            }
            from = at + 8;
        }
        if at_end {
            return Ok(Err(best));
        }
        let keep = window.len().saturating_sub(BOX);
        window.drain(..keep);
    }
}

trait TakeChunk {
    /// Appends up to [`CHUNK`] bytes; how many.
    fn take_chunk(&mut self, to: &mut Vec<u8>) -> io::Result<usize>;
}

impl<R: Read> TakeChunk for R {
    fn take_chunk(&mut self, to: &mut Vec<u8>) -> io::Result<usize> {
        self.by_ref().take(CHUNK as u64).read_to_end(to)
    }
}

fn position(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(NEEDLE.len())
        .position(|window| window == NEEDLE)
}

/// The report: the verdict in its first line, then rings and the last `events` events.
#[must_use]
pub fn report(found: &BlackBox<'_>, events: usize) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "verdict: {}", verdict(found));
    let build = found
        .build()
        .map_or_else(String::new, |build| format!(" build {build}"));
    let _ = writeln!(
        text,
        "Quartz {}{build}, last look at the rings {:.6} s after boot, {} events since boot",
        clean(found.kernel_version()),
        found.last_look_us() as f64 / 1e6,
        found.written()
    );
    let _ = writeln!(text);
    ring_table(&mut text, &found.rx(), &found.tx());
    let _ = writeln!(text);
    let _ = writeln!(
        text,
        "{:>8} {:>13} {:<3} {:<16} detail",
        "number", "seconds", "q", "event"
    );
    let all: Vec<_> = found.events().collect();
    for record in &all[all.len().saturating_sub(events)..] {
        let _ = writeln!(text, "{record}");
    }
    text
}

/// One line: how the guest ended, or what its receive ring looks like.
#[must_use]
pub fn verdict(found: &BlackBox<'_>) -> String {
    match found.exit_code() {
        // A stop that was asked for has no reason.
        Some(code) if found.failure().is_empty() => code.to_string(),
        Some(code) => format!("{code}: {}", clean(found.failure())),
        None => format!(
            "no failure recorded; {}",
            Signature::of_guest(&found.rx(), Wire::Unknown)
        ),
    }
}

fn clean(text: &str) -> String {
    crate::journal::clean(text.as_bytes())
}

fn ring_table(text: &mut String, rx: &RingStats, tx: &RingStats) {
    let _ = writeln!(text, "{:18} {:>14} {:>14}", "ring", "rx", "tx");
    for (name, value) in [
        ("size", (|r| r.size.into()) as fn(&RingStats) -> u64),
        ("avail_idx", |r| r.avail_idx.into()),
        ("used_idx", |r| r.used_idx.into()),
        ("gap", |r| r.gap.into()),
        ("free", |r| r.free.into()),
        ("harvested", |r| r.harvested),
        ("posted", |r| r.posted),
        ("kicks", |r| r.kicks),
        ("interrupts", |r| r.interrupts),
        ("spurious", |r| r.spurious),
        ("missed_interrupts", |r| r.missed_interrupts),
        ("rekicks", |r| r.rekicks),
        ("bad_used", |r| r.bad_used),
        ("resets", |r| r.resets),
    ] {
        let _ = writeln!(text, "{name:18} {:>14} {:>14}", value(rx), value(tx));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quartz_abi::blackbox::{CAPACITY, EVENT_WORDS, HEADER_WORDS, NO_QUEUE, WORDS, word};
    use quartz_abi::{Event, EventKind, ExitCode};

    fn sample(exit: Option<ExitCode>) -> Vec<u8> {
        let mut words = vec![0u64; WORDS];
        words[word::MAGIC] = blackbox::MAGIC;
        words[word::VERSION] = blackbox::VERSION;
        words[word::CAPACITY] = CAPACITY as u64;
        words[word::WRITTEN] = 2;
        words[word::EXIT_CODE] = exit.map_or(0, |code| code as u64);
        let text = *b"the end ";
        words[word::FAILURE_LEN] = 7;
        words[word::FAILURE] = u64::from_le_bytes(text);
        let rx = RingStats {
            size: 256,
            avail_idx: 300,
            used_idx: 44,
            gap: 256,
            harvested: 44,
            ..RingStats::default()
        };
        let ring = blackbox::ring_words(&rx);
        words[word::RX..word::RX + ring.len()].copy_from_slice(&ring);
        for (n, kind) in [EventKind::Boot, EventKind::Drain].into_iter().enumerate() {
            let event = Event {
                kind,
                queue: NO_QUEUE,
                count: 0,
                a: 7,
                b: 0,
            };
            let at = HEADER_WORDS + n * EVENT_WORDS;
            words[at..at + EVENT_WORDS].copy_from_slice(&event.words(n as u64));
        }
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    #[test]
    fn a_box_across_two_windows_is_found() {
        for before in [0, 4096, CHUNK - 4096, CHUNK - 8, CHUNK, CHUNK + 24] {
            let mut memory = vec![0x51u8; before];
            memory.extend(sample(None));
            memory.extend(vec![0u8; 10_000]);
            let found = search(&mut memory.as_slice()).unwrap().unwrap();
            assert_eq!(found, sample(None), "{before} bytes before it");
        }
    }

    #[test]
    fn a_stray_magic_number_is_passed_over() {
        let mut memory = NEEDLE.to_vec();
        memory.extend(vec![0u8; 4088]);
        memory.extend(sample(None));
        assert!(search(&mut memory.as_slice()).unwrap().is_ok());
        let found = search(&mut &memory[..4096]).unwrap();
        assert_eq!(found, Err(BlackBoxError::Version(0)));
        assert_eq!(search(&mut &[][..]).unwrap(), Err(BlackBoxError::NoMagic));
    }

    #[test]
    fn the_verdict_comes_first() {
        let bytes = sample(Some(ExitCode::Panic));
        let text = report(&BlackBox::parse(&bytes).unwrap(), 10);
        assert!(
            text.starts_with("verdict: the guest's kernel panicked: the end\n"),
            "{text}"
        );
        let bytes = sample(None);
        let text = report(&BlackBox::parse(&bytes).unwrap(), 10);
        assert!(
            text.starts_with("verdict: no failure recorded; gap = size"),
            "{text}"
        );
        assert!(
            text.contains("boot             serving after 7 us"),
            "{text}"
        );
    }

    #[test]
    fn only_the_last_events_are_shown() {
        let bytes = sample(None);
        let text = report(&BlackBox::parse(&bytes).unwrap(), 1);
        assert!(
            text.contains("drain") && !text.contains("serving after"),
            "{text}"
        );
    }
}
