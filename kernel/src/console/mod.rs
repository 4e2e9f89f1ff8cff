//! The serial console: typed bytes become lines, lines commands, and long answers are given in
//! pieces.
//!
//! Owns the operator's side of the guest. What needs no machine, the editor and the table of
//! commands above all, is `quartz-console`'s; how bytes come and go is [`serial`]'s. It never
//! waits: each turn of the main loop takes in some bytes, obeys one line at most, and goes on with
//! an answer as far as the serial port has taken the last piece.

mod answer;
mod ending;
mod figures;
mod obey;
mod print;

use answer::Progress;
pub use ending::drained;
pub use print::{Answer, aside, line, prompt};

use crate::serial;
use alloc::vec::Vec;
use answer::Long;
use print::Row;
use quartz_console::editor::Typed;
use quartz_console::top::Top;
use quartz_console::{Editor, command};
use quartz_net::{ClosedSnapshot, FlowSnapshot};

/// Bytes that may be typed ahead while an answer is given.
const AHEAD: usize = 256;
/// How long they wait for that.
const PATIENCE_US: u64 = 1_000_000;
/// How long an answer may stand still because nobody reads it.
const STALL_US: u64 = 3_000_000;
/// How long a question may be answered.
const QUESTION_US: u64 = 30_000_000;
/// Given up by Control-C.
const CANCEL: u8 = 0x03;

/// The console's state.
pub struct Console {
    editor: Editor,
    /// Typed and not looked at.
    ahead: [u8; AHEAD],
    ahead_from: usize,
    ahead_len: usize,
    /// A long answer, and since when it stands still and since when others wait for it.
    long: Option<Long>,
    stalled_us: Option<u64>,
    waiting_us: Option<u64>,
    /// When it was asked whether the guest is to panic.
    asked_us: Option<u64>,
    /// Rows of a table.
    flows: Top<FlowSnapshot>,
    closed: Vec<ClosedSnapshot>,
    /// There is something to do without an interrupt.
    pub due: bool,
    /// Answers that nobody read.
    given_up: u64,
}

/// What came of what was typed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entered {
    /// A line.
    Line,
    /// One that is too long.
    TooLong,
    /// One that was given up.
    Cancelled,
}

impl Console {
    /// Nothing was typed. Takes the memory for tables.
    pub fn new() -> Console {
        Console {
            editor: Editor::new(command::completion),
            ahead: [0; AHEAD],
            ahead_from: 0,
            ahead_len: 0,
            long: None,
            stalled_us: None,
            waiting_us: None,
            asked_us: None,
            flows: Top::with_capacity(command::MOST_ROWS as usize),
            closed: Vec::with_capacity(command::MOST_ROWS as usize),
            // What was typed during boot raised its interrupt before anyone listened.
            due: true,
            given_up: 0,
        }
    }

    /// Whether it wants to be looked after now and then, whatever interrupts say.
    pub fn is_busy(&self) -> bool {
        self.long.is_some() || !serial::is_quiet()
    }

    /// Takes in what was typed. Whether there may be more.
    #[optimize(size)]
    fn listen(&mut self) -> bool {
        let mut bytes = [0; serial::RECEIVE];
        let room = bytes.len().min(AHEAD - self.ahead_len);
        let count = serial::receive(&mut bytes[..room]);
        for &byte in &bytes[..count] {
            if byte == CANCEL && self.long.is_some() {
                self.long = None;
                self.ahead_len = 0;
                line(b"^C");
                continue;
            }
            self.ahead[(self.ahead_from + self.ahead_len) % AHEAD] = byte;
            self.ahead_len += 1;
        }
        count == room && room > 0
    }

    /// Looks at what was typed, up to the end of a line. A line that was typed while an answer is
    /// given waits for its end, or a while.
    #[optimize(size)]
    fn enter(&mut self, now_us: u64) -> Option<Entered> {
        while self.ahead_len > 0 {
            if self.long.is_some() {
                let since = *self.waiting_us.get_or_insert(now_us);
                if now_us < since + PATIENCE_US {
                    return None;
                }
            }
            let byte = self.ahead[self.ahead_from];
            self.ahead_from = (self.ahead_from + 1) % AHEAD;
            self.ahead_len -= 1;
            if !print::is_prompted() {
                self.editor.draw(&mut Row);
                print::set_prompted(true);
            }
            let entered = match self.editor.input(byte, &mut Row) {
                Typed::Nothing => continue,
                Typed::Line => Entered::Line,
                Typed::TooLong => Entered::TooLong,
                Typed::Cancelled => Entered::Cancelled,
            };
            print::set_prompted(false);
            self.waiting_us = None;
            return Some(entered);
        }
        self.waiting_us = None;
        None
    }

    /// Brings the prompt back once all is said.
    fn refresh(&mut self) {
        if !print::is_prompted() && self.long.is_none() && serial::is_quiet() {
            self.editor.draw(&mut Row);
            print::set_prompted(true);
        }
    }

    /// Takes note of how a long answer goes.
    fn note(&mut self, progress: Progress, now_us: u64) {
        match progress {
            Progress::More => self.stalled_us = None,
            Progress::Done => {
                self.long = None;
                self.stalled_us = None;
            }
            Progress::Full => {
                let since = *self.stalled_us.get_or_insert(now_us);
                if now_us >= since + STALL_US {
                    self.long = None;
                    self.stalled_us = None;
                    self.given_up += 1;
                }
            }
        }
    }
}
