//! The lines that were typed last.

use crate::LINE;

/// Lines that are kept.
pub const KEPT: usize = 16;

#[derive(Clone, Copy)]
struct Entry {
    bytes: [u8; LINE],
    len: usize,
}

/// The last lines, each different from the one before.
pub struct History {
    entries: [Entry; KEPT],
    /// Lines that were ever kept.
    written: usize,
}

impl Default for History {
    fn default() -> History {
        History::new()
    }
}

impl History {
    /// No line.
    #[must_use]
    pub const fn new() -> History {
        History {
            entries: [Entry {
                bytes: [0; LINE],
                len: 0,
            }; KEPT],
            written: 0,
        }
    }

    /// Keeps a line, the oldest goes. Empty ones and repetitions are not kept.
    pub fn keep(&mut self, line: &[u8]) {
        if line.is_empty() || line.len() > LINE || self.line(1) == Some(line) {
            return;
        }
        let entry = &mut self.entries[self.written % KEPT];
        entry.bytes[..line.len()].copy_from_slice(line);
        entry.len = line.len();
        self.written += 1;
    }

    /// The line that is `back` lines ago; 1 is the last one.
    #[must_use]
    pub fn line(&self, back: usize) -> Option<&[u8]> {
        if back == 0 || back > self.written.min(KEPT) {
            return None;
        }
        let entry = &self.entries[(self.written - back) % KEPT];
        Some(&entry.bytes[..entry.len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn the_last_lines_are_kept() {
        let mut history = History::new();
        assert_eq!(history.line(1), None);
        for n in 0..100 {
            let line = format!("line {n}");
            history.keep(line.as_bytes());
            history.keep(line.as_bytes());
            history.keep(b"");
        }
        assert_eq!(history.line(0), None);
        assert_eq!(history.line(1), Some(&b"line 99"[..]));
        assert_eq!(history.line(KEPT), Some(&b"line 84"[..]));
        assert_eq!(history.line(KEPT + 1), None);
        history.keep(&[b'x'; LINE + 1]);
        assert_eq!(history.line(1), Some(&b"line 99"[..]));
    }
}
