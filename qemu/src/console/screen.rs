//! What a terminal is shown of a serial line: text and the little that moves the cursor, and no
//! heartbeats.
//!
//! The guest's console sends CR, LF and backspace alone. Everything else that could steer a
//! terminal did not come from it, and is shown as an escape.

use quartz_abi::Heartbeat;
use quartz_console::PROMPT;
use std::fmt::Write as _;

const BEAT: &[u8] = b"heartbeat ";
/// Bytes that are held back at most, to see what they are.
const HELD: usize = 512;

/// Cleans the bytes of a serial line for a terminal.
#[derive(Debug, Default)]
pub struct Screen {
    /// The beginning of the row.
    row: Vec<u8>,
    /// An end of a row behind which a heartbeat may come, and what of it has come.
    held: Vec<u8>,
}

impl Screen {
    /// A terminal whose cursor stands at the beginning of a row.
    #[must_use]
    pub fn new() -> Screen {
        Screen::default()
    }

    /// What the terminal is shown for these bytes.
    pub fn show(&mut self, bytes: &[u8]) -> String {
        let mut text = String::new();
        for &byte in bytes {
            self.take(byte, &mut text);
        }
        text
    }

    /// Shows what was held back, when nothing more has come for a while.
    pub fn settle(&mut self) -> String {
        let mut text = String::new();
        self.release(&mut text);
        text
    }

    fn take(&mut self, byte: u8, text: &mut String) {
        if self.held.is_empty() && byte != b'\r' && !(self.row.is_empty() && byte == BEAT[0]) {
            self.put(byte, text);
            return;
        }
        self.held.push(byte);
        let beat = self.held.strip_prefix(b"\r\n").unwrap_or(&self.held);
        if let Some(line) = beat.strip_suffix(b"\n") {
            let line = String::from_utf8_lossy(line);
            if Heartbeat::parse(line.trim_end()).is_some() {
                self.swallow(text);
            } else if !line.is_empty() || self.held.len() > 2 {
                self.release(text);
            }
            return;
        }
        let begins = match self.held.len() {
            1 | 2 if b"\r\n".starts_with(&self.held) => true,
            _ if self.held.starts_with(b"\r\n") || self.row.is_empty() => {
                beat.starts_with(BEAT) || BEAT.starts_with(beat)
            }
            _ => false,
        };
        if !begins || self.held.len() > HELD {
            // The last one may begin something itself.
            let last = self.held.pop();
            self.release(text);
            match last {
                Some(b'\r') => self.held.push(b'\r'),
                Some(last) => self.put(last, text),
                None => {}
            }
        }
    }

    /// Drops a heartbeat. If it has pushed a prompt away, that comes again behind it, and has its
    /// old row.
    fn swallow(&mut self, text: &mut String) {
        let pushed = self.held.starts_with(b"\r\n");
        self.held.clear();
        if pushed && self.row.starts_with(PROMPT.as_bytes()) {
            self.put(b'\r', text);
        } else if pushed {
            self.held.extend(b"\r\n");
        }
    }

    fn release(&mut self, text: &mut String) {
        for byte in std::mem::take(&mut self.held) {
            self.put(byte, text);
        }
    }

    fn put(&mut self, byte: u8, text: &mut String) {
        match byte {
            b'\n' => {
                self.row.clear();
                text.push('\n');
            }
            b'\r' => {
                self.row.clear();
                text.push('\r');
            }
            b' '..=b'~' | b'\t' | 0x08 => {
                if self.row.len() < PROMPT.len() && byte != 0x08 {
                    self.row.push(byte);
                }
                text.push(byte.into());
            }
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: &str = "heartbeat up_ms=1 requests=2 open=3 rx=1/2/3 tx=1/2/3\r\n";

    /// However it is cut, the same comes out.
    fn shown(bytes: &str) -> String {
        let mut whole = Screen::new();
        let text = whole.show(bytes.as_bytes()) + &whole.settle();
        let mut pieces = Screen::new();
        let parts: String = bytes.bytes().map(|byte| pieces.show(&[byte])).collect();
        assert_eq!(parts + &pieces.settle(), text);
        text
    }

    #[test]
    fn text_and_editing_pass() {
        for text in [
            "quartz> ver\x08 \x08\x08rsion\r\nQuartz 0.1.0, up 3 s\r\nquartz> ",
            "quartz> help\r\nhelp [COMMAND]  \r\nheart\r\nheartbeat of mine\r\n\r\n\r\n",
            "\r\r\r\nh",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn nothing_else_steers_the_terminal() {
        assert_eq!(
            shown("a\x1b[2J\x07\u{9b}x\x7f"),
            "a\\x1b[2J\\x07\\xc2\\x9bx\\x7f"
        );
    }

    #[test]
    fn heartbeats_leave_no_trace() {
        let prompt = format!("quartz> sta\r\n{HEARTBEAT}quartz> stats\r\n");
        assert_eq!(shown(&prompt), "quartz> sta\rquartz> stats\r\n");
        let table = format!("row 1\r\n{HEARTBEAT}{HEARTBEAT}row 2\r\n");
        assert_eq!(shown(&table), "row 1\r\nrow 2\r\n");
        assert_eq!(shown(&format!("{HEARTBEAT}quartz> ")), "quartz> ");
    }
}
