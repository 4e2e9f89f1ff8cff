//! The line being typed: cursor, corrections, history.

use crate::history::History;
use crate::keys::{Key, Keys};
use crate::{LINE, PROMPT};

/// Where the editor shows what it does.
pub trait Screen {
    /// Shows bytes: printable ASCII, CR, LF and backspace.
    fn put(&mut self, bytes: &[u8]);
}

/// What a byte led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Nothing to be done.
    Nothing,
    /// The line is complete: [`Editor::line`].
    Line,
    /// More was typed than a line holds; nothing of it counts.
    TooLong,
    /// The line was given up.
    Cancelled,
}

/// The editor of one line.
pub struct Editor {
    keys: Keys,
    line: [u8; LINE],
    len: usize,
    cursor: usize,
    /// Characters that found no place.
    lost: bool,
    /// [`Editor::line`] is complete: the next byte begins a new one.
    complete: bool,
    history: History,
    /// The line of the history that is shown; 0 is the one being typed ...
    back: usize,
    /// ... which waits here meanwhile.
    draft: [u8; LINE],
    draft_len: usize,
    completes: fn(&str) -> Option<&'static str>,
}

impl Editor {
    /// An empty line. `completes` gives the one word that begins so.
    #[must_use]
    pub const fn new(completes: fn(&str) -> Option<&'static str>) -> Editor {
        Editor {
            keys: Keys::new(),
            line: [0; LINE],
            len: 0,
            cursor: 0,
            lost: false,
            complete: false,
            history: History::new(),
            back: 0,
            draft: [0; LINE],
            draft_len: 0,
            completes,
        }
    }

    /// What was typed, without the blanks around it.
    #[must_use]
    pub fn line(&self) -> &str {
        // Nothing but printable ASCII gets in.
        core::str::from_utf8(&self.line[..self.len])
            .unwrap_or("")
            .trim_ascii()
    }

    /// Takes a byte in and shows what that changes on a screen whose cursor stands where the last
    /// call left it.
    pub fn input(&mut self, byte: u8, screen: &mut impl Screen) -> Typed {
        if self.complete {
            self.clear();
        }
        let Some(key) = self.keys.take(byte) else {
            return Typed::Nothing;
        };
        match key {
            Key::Char(byte) => self.insert(byte, screen),
            Key::Enter => return self.enter(screen),
            Key::Cancel => {
                screen.put(b"^C\r\n");
                self.clear();
                return Typed::Cancelled;
            }
            Key::Backspace if self.cursor > 0 => {
                self.left(1, screen);
                self.remove(1, screen);
            }
            Key::Delete if self.cursor < self.len => self.remove(1, screen),
            Key::Left if self.cursor > 0 => self.left(1, screen),
            Key::Right if self.cursor < self.len => self.right(self.cursor + 1, screen),
            Key::Home => self.left(self.cursor, screen),
            Key::End => self.right(self.len, screen),
            Key::KillAfter => self.remove(self.len - self.cursor, screen),
            Key::KillBefore => self.kill(self.cursor, screen),
            Key::KillWord => {
                let before = &self.line[..self.cursor];
                let word = before.trim_ascii_end();
                let kept = word.iter().rposition(|byte| *byte == b' ');
                self.kill(self.cursor - kept.map_or(0, |at| at + 1), screen);
            }
            Key::Up => self.recall(self.back + 1, screen),
            Key::Down if self.back > 0 => self.recall(self.back - 1, screen),
            Key::Tab => self.complete_word(screen),
            Key::Redraw => {
                screen.put(b"\r\n");
                self.draw(screen);
            }
            Key::Backspace | Key::Delete | Key::Left | Key::Right | Key::Down => {}
        }
        Typed::Nothing
    }

    /// Shows prompt and line on an empty row.
    pub fn draw(&mut self, screen: &mut impl Screen) {
        if self.complete {
            self.clear();
        }
        screen.put(PROMPT.as_bytes());
        screen.put(&self.line[..self.len]);
        back_up(self.len - self.cursor, screen);
    }

    fn clear(&mut self) {
        self.len = 0;
        self.cursor = 0;
        self.lost = false;
        self.complete = false;
        self.back = 0;
    }

    fn enter(&mut self, screen: &mut impl Screen) -> Typed {
        screen.put(b"\r\n");
        let lost = self.lost;
        self.complete = true;
        if lost {
            self.len = 0;
            return Typed::TooLong;
        }
        self.history.keep(self.line[..self.len].trim_ascii());
        Typed::Line
    }

    fn insert(&mut self, byte: u8, screen: &mut impl Screen) {
        if self.len == LINE {
            self.lost = true;
            return;
        }
        self.line
            .copy_within(self.cursor..self.len, self.cursor + 1);
        self.line[self.cursor] = byte;
        self.len += 1;
        screen.put(&self.line[self.cursor..self.len]);
        self.cursor += 1;
        back_up(self.len - self.cursor, screen);
    }

    /// Takes `count` characters from the cursor on away.
    fn remove(&mut self, count: usize, screen: &mut impl Screen) {
        self.line
            .copy_within(self.cursor + count..self.len, self.cursor);
        self.len -= count;
        screen.put(&self.line[self.cursor..self.len]);
        blank(count, screen);
        back_up(self.len - self.cursor + count, screen);
        self.lost &= count == 0;
    }

    /// Takes `count` characters before the cursor away.
    fn kill(&mut self, count: usize, screen: &mut impl Screen) {
        self.left(count, screen);
        self.remove(count, screen);
    }

    fn left(&mut self, count: usize, screen: &mut impl Screen) {
        self.cursor -= count;
        back_up(count, screen);
    }

    fn right(&mut self, to: usize, screen: &mut impl Screen) {
        screen.put(&self.line[self.cursor..to]);
        self.cursor = to;
    }

    /// Shows a line of the history instead.
    fn recall(&mut self, back: usize, screen: &mut impl Screen) {
        if back > 0 && self.history.line(back).is_none() {
            return;
        }
        if self.back == 0 {
            self.draft = self.line;
            self.draft_len = self.len;
        }
        let text = match self.history.line(back) {
            Some(text) => text,
            None => &self.draft[..self.draft_len],
        };
        let before = self.len;
        back_up(self.cursor, screen);
        self.line[..text.len()].copy_from_slice(text);
        self.len = text.len();
        self.cursor = self.len;
        self.back = back;
        self.lost = false;
        screen.put(&self.line[..self.len]);
        let rest = before.saturating_sub(self.len);
        blank(rest, screen);
        back_up(rest, screen);
    }

    fn complete_word(&mut self, screen: &mut impl Screen) {
        let typed = core::str::from_utf8(&self.line[..self.len]).unwrap_or("");
        if self.cursor != self.len || typed.is_empty() || typed.contains(' ') {
            return;
        }
        if let Some(word) = (self.completes)(typed) {
            for byte in word.bytes().skip(typed.len()).chain(*b" ") {
                self.insert(byte, screen);
            }
        }
    }
}

fn repeat(byte: u8, mut count: usize, screen: &mut impl Screen) {
    while count > 0 {
        let run = count.min(16);
        screen.put(&[byte; 16][..run]);
        count -= run;
    }
}

fn back_up(count: usize, screen: &mut impl Screen) {
    repeat(0x08, count, screen);
}

fn blank(count: usize, screen: &mut impl Screen) {
    repeat(b' ', count, screen);
}

#[cfg(test)]
mod tests;
