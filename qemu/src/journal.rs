//! What a guest or QEMU said: the last lines, in memory, and for a person as they come.
//!
//! Text from a guest is not trusted: control characters are shown as escapes, so that it cannot
//! steer a terminal, and lines and their number are bounded.

use crate::console::Screen;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// The prompt of the guest's console.
pub const PROMPT: &str = "quartz> ";

/// Lines that are kept.
const MAX_LINES: usize = 4000;
/// Bytes of a line; a longer one is broken.
const MAX_LINE: usize = 2048;

/// The last lines of one stream of text.
pub struct Journal {
    state: Mutex<State>,
    changed: Condvar,
    echo: bool,
    /// For a person who types too: everything as it comes, on standard output.
    screen: Option<Mutex<Screen>>,
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    /// Number of the first line that is kept.
    first: u64,
    /// The line that has no end yet.
    open: Vec<u8>,
    /// The guest has shown its prompt: it is up.
    prompted: bool,
    closed: bool,
}

impl Journal {
    /// An empty journal; with `echo`, each line is printed to standard error as it comes.
    #[must_use]
    pub fn new(echo: bool) -> Arc<Journal> {
        Arc::new(Journal {
            state: Mutex::default(),
            changed: Condvar::new(),
            echo,
            screen: None,
        })
    }

    /// An empty journal of a guest at whose console a person sits.
    #[must_use]
    pub fn on_screen() -> Arc<Journal> {
        Arc::new(Journal {
            state: Mutex::default(),
            changed: Condvar::new(),
            echo: false,
            screen: Some(Mutex::default()),
        })
    }

    fn show(&self, text: impl FnOnce(&mut Screen) -> String) {
        if let Some(screen) = &self.screen {
            let text = text(&mut screen.lock().unwrap_or_else(PoisonError::into_inner));
            let mut stdout = io::stdout().lock();
            // If nobody reads it, it is lost.
            let _ = stdout.write_all(text.as_bytes());
            let _ = stdout.flush();
        }
    }

    /// Takes in everything that `source` says until its end, on a thread of its own.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn follow(self: &Arc<Self>, mut source: impl Read + Send + 'static) -> io::Result<()> {
        let journal = Arc::clone(self);
        thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                let mut buffer = [0; 4096];
                loop {
                    match source.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(n) => journal.take(&buffer[..n]),
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        // The other side is gone: the same as an end.
                        Err(_) => break,
                    }
                }
                journal.close();
            })
            .map(drop)
    }

    /// Takes in some bytes.
    pub fn take(&self, bytes: &[u8]) {
        self.show(|screen| screen.show(bytes));
        let mut state = self.lock();
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line(&mut state);
            } else {
                state.open.push(byte);
                state.prompted |= state.open == PROMPT.as_bytes();
                if state.open.len() == MAX_LINE {
                    self.end_line(&mut state);
                }
            }
        }
        self.changed.notify_all();
    }

    fn close(&self) {
        self.show(Screen::settle);
        let mut state = self.lock();
        if !state.open.is_empty() {
            self.end_line(&mut state);
        }
        state.closed = true;
        self.changed.notify_all();
    }

    fn end_line(&self, state: &mut State) {
        let open = std::mem::take(&mut state.open);
        let text = clean(&open);
        let line = text.strip_prefix(PROMPT).unwrap_or(&text);
        // A prompt that a line of the log has pushed away says nothing.
        if line.is_empty() && !text.is_empty() {
            return;
        }
        if self.echo {
            // If nobody reads it, it is lost.
            let _ = writeln!(io::stderr().lock(), "{line}");
        }
        if state.lines.len() == MAX_LINES {
            state.lines.pop_front();
            state.first += 1;
        }
        let line = line.to_owned();
        state.lines.push_back(line);
    }

    /// The number of the line that comes next: a point to wait from.
    #[must_use]
    pub fn mark(&self) -> u64 {
        let state = self.lock();
        state.first + state.lines.len() as u64
    }

    /// The lines from number `from` on, as far as they are kept, and the unfinished one.
    #[must_use]
    pub fn since(&self, from: u64) -> Vec<String> {
        let state = self.lock();
        let skip = usize::try_from(from.saturating_sub(state.first)).unwrap_or(usize::MAX);
        let mut lines: Vec<String> = state.lines.iter().skip(skip).cloned().collect();
        if !state.open.is_empty() {
            lines.push(clean(&state.open));
        }
        lines
    }

    /// The last `n` lines.
    #[must_use]
    pub fn tail(&self, n: usize) -> Vec<String> {
        let mut lines = self.since(0);
        lines.split_off(lines.len().saturating_sub(n))
    }

    /// Waits for a line, finished or not, at or after number `from` for which `wanted` holds.
    /// `None` when the deadline passes or the stream ends without one.
    pub fn wait_for(
        &self,
        from: u64,
        deadline: Instant,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let mut state = self.lock();
        let mut next = from;
        loop {
            let skip = usize::try_from(next.saturating_sub(state.first)).unwrap_or(usize::MAX);
            if let Some(line) = state.lines.iter().skip(skip).find(|line| wanted(line)) {
                return Some(line.clone());
            }
            let open = clean(&state.open);
            if !state.open.is_empty() && wanted(&open) {
                return Some(open);
            }
            if state.closed {
                return None;
            }
            next = next.max(state.first + state.lines.len() as u64);
            state = self.wait(state, deadline)?;
        }
    }

    /// Whether the guest has shown its prompt.
    #[must_use]
    pub fn prompted(&self) -> bool {
        self.lock().prompted
    }

    /// Waits until the guest has shown its prompt; whether it has before the deadline. A line of
    /// the log may have pushed it away again at once.
    pub fn wait_for_prompt(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while !state.prompted && !state.closed {
            match self.wait(state, deadline) {
                Some(again) => state = again,
                None => return false,
            }
        }
        state.prompted
    }

    /// Waits until the stream has ended; whether it did before the deadline.
    pub fn wait_closed(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while !state.closed {
            match self.wait(state, deadline) {
                Some(again) => state = again,
                None => return false,
            }
        }
        true
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Instant,
    ) -> Option<MutexGuard<'a, State>> {
        let left = deadline.checked_duration_since(Instant::now())?;
        let (state, _) = self
            .changed
            .wait_timeout(state, left)
            .unwrap_or_else(PoisonError::into_inner);
        Some(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements: a panic elsewhere changes nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Text that is safe to print: control characters other than tab, and what is no UTF-8, as
/// escapes. The carriage return before a line's end is dropped.
#[must_use]
pub fn clean(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() && c != '\t' {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn nothing_from_a_guest_steers_a_terminal() {
        assert_eq!(clean(b"\x1b[2Jboo\x07\tyes\r"), "\\u{1b}[2Jboo\\u{7}\tyes");
        assert_eq!(clean("grün \u{9b}x".as_bytes()), "grün \\u{9b}x");
        assert_eq!(clean(b"a\xffb\xc3"), "a\\xffb\\xc3");
    }

    #[test]
    fn prompts_are_no_lines() {
        let journal = Journal::new(false);
        journal.take(b"one\r\nquartz> \r\ntwo\r\nquartz> drain\r\n\r\nquartz> ");
        assert_eq!(journal.since(0), ["one", "two", "drain", "", "quartz> "]);
    }

    #[test]
    fn a_prompt_is_noticed_even_if_a_line_pushes_it_away() {
        let journal = Journal::new(false);
        let late = Instant::now() + Duration::from_millis(10);
        assert!(!journal.wait_for_prompt(late));
        journal.take(b"ready\r\nquartz> \r\n[ 0.1] address\r\n");
        assert!(journal.wait_for_prompt(soon()));
        let journal = Journal::new(false);
        journal.follow(&b"panicked\n"[..]).unwrap();
        assert!(!journal.wait_for_prompt(soon()));
    }

    #[test]
    fn the_journal_is_bounded() {
        let journal = Journal::new(false);
        for n in 0..MAX_LINES + 10 {
            journal.take(format!("{n}\n").as_bytes());
        }
        assert_eq!(journal.mark(), MAX_LINES as u64 + 10);
        assert_eq!(journal.since(0).len(), MAX_LINES);
        assert_eq!(journal.since(0)[0], "10");
        assert_eq!(journal.tail(1), [format!("{}", MAX_LINES + 9)]);
        let mark = journal.mark();
        journal.take(&[b'x'; 3 * MAX_LINE]);
        assert_eq!(journal.mark(), mark + 3);
    }

    #[test]
    fn waiting_finds_old_new_and_unfinished_lines() {
        let journal = Journal::new(false);
        journal.take(b"ready\nquartz> ");
        assert!(journal.wait_for(0, soon(), |l| l == "ready").is_some());
        assert!(journal.wait_for(0, soon(), |l| l == PROMPT).is_some());
        let mark = journal.mark();
        let short = Instant::now() + Duration::from_millis(10);
        assert!(journal.wait_for(mark, short, |l| l == "ready").is_none());
        thread::scope(|scope| {
            scope.spawn(|| journal.take(b"\nlate\n"));
            assert!(journal.wait_for(mark, soon(), |l| l == "late").is_some());
        });
    }

    #[test]
    fn an_ended_stream_ends_the_wait() {
        let journal = Journal::new(false);
        journal.follow(&b"last words"[..]).unwrap();
        assert!(journal.wait_closed(soon()));
        assert_eq!(journal.since(0), ["last words"]);
        assert!(journal.wait_for(0, soon(), |l| l == "more").is_none());
    }
}
