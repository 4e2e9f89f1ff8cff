//! What the console says: whole lines, which push the prompt away; it comes back when all is said.

use crate::serial;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use quartz_console::{PROMPT, Screen};

/// Longest line of an answer; the rest of a longer one is cut.
const LINE: usize = 480;

/// Whether the cursor stands behind a prompt.
static PROMPTED: AtomicBool = AtomicBool::new(false);

/// Prints a line of the log.
pub fn line(text: &[u8]) {
    say(text, serial::write);
}

/// Prints a line that may as well be left out; whether it was printed.
pub fn aside(text: fmt::Arguments<'_>) -> bool {
    let mut line = Line::new();
    // A line that is too long is cut.
    let _ = line.write_fmt(text);
    say(line.text(), serial::offer)
}

fn say(text: &[u8], queue: impl FnOnce(&[&[u8]]) -> bool) -> bool {
    let away: &[u8] = match PROMPTED.load(Relaxed) {
        true => b"\r\n",
        false => b"",
    };
    let said = queue(&[away, text, b"\r\n"]);
    if said {
        PROMPTED.store(false, Relaxed);
    }
    said
}

/// Shows the prompt for the first time.
pub fn prompt() {
    if serial::write(&[PROMPT.as_bytes()]) {
        PROMPTED.store(true, Relaxed);
    }
}

/// Whether the cursor stands behind a prompt.
pub fn is_prompted() -> bool {
    PROMPTED.load(Relaxed)
}

/// Says whether the cursor stands behind a prompt.
pub fn set_prompted(prompted: bool) {
    PROMPTED.store(prompted, Relaxed);
}

/// The row with the prompt, for the editor.
pub struct Row;

impl Screen for Row {
    fn put(&mut self, bytes: &[u8]) {
        // What is lost of it comes back with the next prompt.
        let _ = serial::write(&[bytes]);
    }
}

/// Text for the console, line by line, as an answer to a command. A line that the queue does not
/// hold is dropped as a whole, and counted.
pub struct Answer(Line);

impl Answer {
    /// Nothing yet.
    pub fn new() -> Answer {
        Answer(Line::new())
    }
}

impl Write for Answer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            let (part, ends) = match part.strip_suffix('\n') {
                Some(part) => (part, true),
                None => (part, false),
            };
            // A line that is too long is cut.
            let _ = self.0.write_str(part);
            if ends {
                line(self.0.text());
                self.0.len = 0;
            }
        }
        Ok(())
    }
}

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
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}
