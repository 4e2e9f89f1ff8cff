//! Captured frames as lines of text, for a serial line that carries other lines too.
//!
//! ```text
//! pcap begin frames=2 bytes=172
//! pcap 0 1MOyoQIABAAAAAAAAAAAAAABAAABAAAA...
//! pcap end crc32=1a2b3c4d
//! ```
//!
//! The bytes are those of a file for tcpdump and Wireshark (pcap 2.4, microseconds, Ethernet).
//! Lines are numbered, and the end has the CRC of all bytes, so that a lost line is noticed.
//! Whatever else stands on the serial line in between is passed over.

use crate::capture::{Capture, Place};
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use core::fmt::{self, Write};
use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};

/// Bytes in a line: a multiple of three, so that no line but the last is padded.
const RUN: usize = 240;
/// The same in base64.
const TEXT: usize = RUN / 3 * 4;
/// Longest line.
pub const LONGEST: usize = TEXT + 16;
/// Bytes before the first frame of a file, and before each.
const FILE_HEAD: usize = 24;
const FRAME_HEAD: usize = 16;
/// Most bytes that a reader takes.
const MOST: usize = 64 << 20;

/// The checksum of zip and PNG. Without a table: it is not worth one.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

const WORD: &str = "pcap ";

/// Writes the frames of a capture, a line at a time. No frame may be added meanwhile.
pub struct Dump {
    frames: u32,
    place: Option<Place>,
    /// How far the frame at that place is, with its head.
    at: usize,
    number: Option<u32>,
    /// Microseconds from 1970 to the capture's time 0.
    epoch_us: u64,
    digest: Digest<'static, u32, NoTable>,
    over: bool,
}

impl Dump {
    /// The last `most` frames. `epoch_us`: microseconds from 1970 to the capture's time 0.
    #[must_use]
    pub fn new(capture: &Capture, most: u32, epoch_us: u64) -> Dump {
        let frames = capture.frames().min(most);
        Dump {
            frames,
            place: capture.place(capture.frames() - frames),
            at: 0,
            number: None,
            epoch_us,
            digest: CRC.digest(),
            over: false,
        }
    }

    /// Writes the next line, without its end. False: there was none left.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn line(&mut self, capture: &Capture, out: &mut impl Write) -> Result<bool, fmt::Error> {
        if self.over {
            return Ok(false);
        }
        let Some(number) = self.number else {
            self.number = Some(0);
            let mut bytes = FILE_HEAD;
            let mut place = self.place;
            while let Some(kept) = place.and_then(|place| capture.get(place)) {
                bytes += FRAME_HEAD + usize::from(kept.kept);
                place = place.and_then(|place| capture.after(place));
            }
            write!(out, "{WORD}begin frames={} bytes={bytes}", self.frames)?;
            return Ok(true);
        };
        let mut bytes = [0; RUN];
        let mut len = 0;
        if number == 0 {
            bytes[..FILE_HEAD].copy_from_slice(&file_head(capture.snaplen()));
            len = FILE_HEAD;
        }
        while len < RUN {
            let Some(run) = self.run(capture, &mut bytes[len..]) else {
                break;
            };
            len += run;
        }
        if len == 0 {
            self.over = true;
            let crc = self.digest.clone().finalize();
            write!(out, "{WORD}end crc32={crc:08x}")?;
            return Ok(true);
        }
        self.digest.update(&bytes[..len]);
        self.number = Some(number + 1);
        let mut text = [0; TEXT];
        let written = STANDARD.encode_slice(&bytes[..len], &mut text);
        let text = written.map_or(&[][..], |written| &text[..written]);
        write!(
            out,
            "{WORD}{number} {}",
            core::str::from_utf8(text).unwrap_or("")
        )?;
        Ok(true)
    }

    /// Some of the bytes that are next; `None`: there are none.
    fn run(&mut self, capture: &Capture, target: &mut [u8]) -> Option<usize> {
        let place = self.place?;
        let kept = capture.get(place)?;
        let mut head = [0; FRAME_HEAD];
        let us = self.epoch_us + kept.at_us;
        let words = [
            (us / 1_000_000) as u32,
            (us % 1_000_000) as u32,
            u32::from(kept.kept),
            kept.len,
        ];
        for (slot, word) in head.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        let len = if self.at < FRAME_HEAD {
            let rest = &head[self.at..];
            let len = rest.len().min(target.len());
            target[..len].copy_from_slice(&rest[..len]);
            len
        } else {
            capture.read(place, self.at - FRAME_HEAD, target)
        };
        self.at += len;
        if self.at == FRAME_HEAD + usize::from(kept.kept) {
            self.at = 0;
            self.place = capture.after(place);
        }
        Some(len)
    }
}

/// The head of a file (pcap 2.4): link type 1 is Ethernet.
fn file_head(snaplen: u16) -> [u8; FILE_HEAD] {
    let mut head = [0; FILE_HEAD];
    head[..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    head[4..6].copy_from_slice(&2_u16.to_le_bytes());
    head[6..8].copy_from_slice(&4_u16.to_le_bytes());
    head[16..20].copy_from_slice(&u32::from(snaplen).to_le_bytes());
    head[20..].copy_from_slice(&1_u32.to_le_bytes());
    head
}

/// Why a dump cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArmorError {
    /// A line is missing, or one was damaged.
    Lost {
        /// The line's number.
        line: u32,
    },
    /// The bytes are not those that were sent.
    Damaged,
    /// The beginning or the end makes no sense.
    Senseless(String),
}

impl fmt::Display for ArmorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArmorError::Lost { line } => write!(f, "line {line} of the dump is missing or damaged"),
            ArmorError::Damaged => f.write_str("the dump is damaged: its checksum is wrong"),
            ArmorError::Senseless(line) => write!(f, "`{line}` belongs to no dump"),
        }
    }
}

impl core::error::Error for ArmorError {}

/// A dump that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// How many frames there are.
    pub frames: u32,
    /// The bytes of a pcap file.
    pub bytes: Vec<u8>,
}

/// Reads a dump out of the lines of a serial line.
#[derive(Debug, Default)]
pub struct Reader {
    begun: Option<(u32, usize)>,
    next: u32,
    bytes: Vec<u8>,
}

impl Reader {
    /// Waits for the beginning of a dump.
    #[must_use]
    pub fn new() -> Reader {
        Reader::default()
    }

    /// Whether a line is one of a dump.
    #[must_use]
    pub fn owns(line: &str) -> bool {
        line.strip_prefix(WORD).is_some_and(|rest| {
            rest.starts_with("begin frames=")
                || rest.starts_with("end crc32=")
                || rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(' ')
        })
    }

    /// Takes a line in. Gives the file when it is whole.
    ///
    /// # Errors
    /// The dump cannot be read; the next one may.
    pub fn take(&mut self, line: &str) -> Result<Option<File>, ArmorError> {
        let line = line.trim_end();
        if !Reader::owns(line) {
            return Ok(None);
        }
        let senseless = || ArmorError::Senseless(line.into());
        let rest = &line[WORD.len()..];
        if let Some(figures) = rest.strip_prefix("begin frames=") {
            let (frames, bytes) = figures.split_once(" bytes=").ok_or_else(senseless)?;
            let frames = frames.parse().map_err(|_| senseless())?;
            let bytes = bytes.parse().map_err(|_| senseless())?;
            if bytes > MOST {
                return Err(senseless());
            }
            *self = Reader::new();
            self.begun = Some((frames, bytes));
            return Ok(None);
        }
        // The tail of a dump whose beginning nobody saw.
        let Some((frames, total)) = self.begun else {
            return Ok(None);
        };
        let lost = ArmorError::Lost { line: self.next };
        if let Some(crc) = rest.strip_prefix("end crc32=") {
            let bytes = core::mem::take(&mut self.bytes);
            self.begun = None;
            if bytes.len() != total {
                return Err(lost);
            }
            return match u32::from_str_radix(crc, 16) {
                Ok(crc) if crc == CRC.checksum(&bytes) => Ok(Some(File { frames, bytes })),
                _ => Err(ArmorError::Damaged),
            };
        }
        let (number, text) = rest.split_once(' ').ok_or_else(senseless)?;
        let decoded = STANDARD.decode(text);
        match (number.parse() == Ok(self.next), decoded) {
            (true, Ok(bytes)) if self.bytes.len() + bytes.len() <= total => {
                self.bytes.extend(bytes);
                self.next += 1;
                Ok(None)
            }
            _ => {
                self.begun = None;
                Err(lost)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn capture() -> Capture {
        let mut capture = Capture::new(0, 100).unwrap();
        for n in 0..40_u16 {
            capture.keep(
                u64::from(n) * 400_000,
                &vec![n as u8; 14 + usize::from(n) * 5],
                b"",
            );
        }
        capture
    }

    fn lines(capture: &Capture, most: u32) -> Vec<String> {
        let mut dump = Dump::new(capture, most, 1_700_000_000_000_000);
        let mut lines = vec![];
        loop {
            let mut line = String::new();
            if !dump.line(capture, &mut line).unwrap() {
                return lines;
            }
            assert!(line.len() <= LONGEST, "{line}");
            assert!(Reader::owns(&line), "{line}");
            lines.push(line);
        }
    }

    #[test]
    fn what_is_dumped_is_read() {
        let capture = capture();
        for most in [0, 1, 7, 40, 100] {
            let mut reader = Reader::new();
            let mut found = None;
            for line in lines(&capture, most) {
                assert_eq!(
                    reader.take("[    1.000000] INFO  net: something else"),
                    Ok(None)
                );
                assert_eq!(reader.take("quartz> pcap"), Ok(None));
                assert_eq!(found, None);
                found = reader.take(&std::format!("{line}\r")).unwrap();
            }
            let file = found.unwrap();
            assert_eq!(file.frames, most.min(40));
            let word =
                |at: usize| u32::from_le_bytes(file.bytes[at..at + 4].try_into().unwrap()) as usize;
            assert_eq!((word(0), word(16), word(20)), (0xa1b2_c3d4, 100, 1));
            let mut at = 24;
            for n in 40 - most.min(40) as usize..40 {
                assert_eq!(word(at), 1_700_000_000 + n * 2 / 5);
                assert_eq!(word(at + 4), n * 400_000 % 1_000_000);
                let kept = word(at + 8);
                assert_eq!((kept, word(at + 12)), ((14 + n * 5).min(100), 14 + n * 5));
                assert!(
                    file.bytes[at + 16..at + 16 + kept]
                        .iter()
                        .all(|b| *b == n as u8)
                );
                at += 16 + kept;
            }
            assert_eq!(at, file.bytes.len());
        }
    }

    #[test]
    fn losses_are_noticed() {
        let all = lines(&capture(), 40);
        for lost in 1..all.len() {
            let mut reader = Reader::new();
            let mut results = vec![];
            for (_, line) in all.iter().enumerate().filter(|(n, _)| *n != lost) {
                results.push(reader.take(line));
            }
            assert!(results.iter().all(|r| !matches!(r, Ok(Some(_)))), "{lost}");
            let silent = results.iter().all(Result::is_ok);
            // Without an end there is nothing to complain about yet.
            assert_eq!(silent, lost == all.len() - 1, "{lost}");
        }
        // Who comes too late sees nothing.
        let mut reader = Reader::new();
        for line in &all[1..] {
            assert_eq!(reader.take(line), Ok(None));
        }
    }

    #[test]
    fn damage_is_noticed() {
        let mut reader = Reader::new();
        let all = lines(&capture(), 40);
        let end = all.len() - 1;
        for line in &all[..end] {
            reader.take(line).unwrap();
        }
        assert_eq!(
            reader.take("pcap end crc32=00000000"),
            Err(ArmorError::Damaged)
        );
        reader.take(&all[0]).unwrap();
        assert_eq!(reader.take("pcap 0 ###"), Err(ArmorError::Lost { line: 0 }));
        let huge = "pcap begin frames=1 bytes=99999999999";
        assert!(matches!(reader.take(huge), Err(ArmorError::Senseless(_))));
    }
}
