//! The editor before a terminal that knows no more than it may ask for.

use super::*;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

/// A terminal of 80 columns that shows its last row.
struct Terminal {
    row: Vec<u8>,
    column: usize,
}

impl Screen for Terminal {
    fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\r' => self.column = 0,
                b'\n' => self.row.fill(b' '),
                0x08 => self.column = self.column.checked_sub(1).expect("left of the row"),
                b' '..=b'~' => {
                    self.row[self.column] = byte;
                    self.column += 1;
                }
                _ => panic!("byte {byte:#x} is sent to the terminal"),
            }
        }
    }
}

struct Person {
    editor: Editor,
    terminal: Terminal,
}

fn completes(start: &str) -> Option<&'static str> {
    ["stats", "rings"]
        .into_iter()
        .find(|w| w.starts_with(start))
}

impl Person {
    fn new() -> Person {
        let mut person = Person {
            editor: Editor::new(completes),
            terminal: Terminal {
                row: vec![b' '; 80],
                column: 0,
            },
        };
        person.editor.draw(&mut person.terminal);
        person
    }

    /// Types, and gives the lines that came of it.
    fn types(&mut self, keys: &str) -> Vec<String> {
        let mut lines = vec![];
        for byte in keys.bytes() {
            match self.editor.input(byte, &mut self.terminal) {
                Typed::Nothing => {
                    if !self.editor.complete {
                        self.check();
                    }
                }
                Typed::Line => lines.push(self.editor.line().to_string()),
                Typed::TooLong => lines.push("too long".into()),
                Typed::Cancelled => lines.push("cancelled".into()),
            }
            if self.editor.complete || self.terminal.column == 0 {
                self.editor.draw(&mut self.terminal);
            }
        }
        lines
    }

    /// What the terminal shows is what the editor has.
    fn check(&self) {
        let shown = core::str::from_utf8(&self.terminal.row).unwrap();
        let has = core::str::from_utf8(&self.editor.line[..self.editor.len]).unwrap();
        assert_eq!(shown.trim_end(), format!("{PROMPT}{has}").trim_end());
        assert_eq!(self.terminal.column, PROMPT.len() + self.editor.cursor);
    }
}

const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";
const RIGHT: &str = "\x1b[C";
const LEFT: &str = "\x1b[D";

#[test]
fn plain_lines_are_taken_as_they_are() {
    let mut person = Person::new();
    assert_eq!(
        person.types("stats\n  flows age \r\n\n"),
        ["stats", "flows age", ""]
    );
}

#[test]
fn corrections_are_made_where_the_cursor_is() {
    for (keys, line) in [
        ("stsats\x7f\x7f\x7fats", "stsats"),
        (&format!("fows{LEFT}{LEFT}{LEFT}l"), "flows"),
        (&format!("xflows\x01{RIGHT}\x08"), "flows"),
        ("xflows\x01\x1b[3~", "flows"),
        ("flows age\x17bytes", "flows bytes"),
        ("flows age  \x17\x17stats", "stats"),
        ("flows age\x15stats", "stats"),
        (&format!("stats now{LEFT}{LEFT}{LEFT}{LEFT}\x0b"), "stats"),
        ("tats\x1b[Hs\x1b[F!", "stats!"),
        ("s\t", "stats"),
        ("x\t", "x"),
        (&format!("{LEFT}\x7f\x1b[3~{RIGHT}{DOWN}ok"), "ok"),
    ] {
        let mut person = Person::new();
        assert_eq!(person.types(&format!("{keys}\r")), [line], "{keys:?}");
    }
}

#[test]
fn lines_come_back_from_the_history() {
    let mut person = Person::new();
    person.types("one\rtwo\rlonger than the others\r");
    assert_eq!(person.types(&format!("{UP}{UP}{UP}{UP}\r")), ["one"]);
    assert_eq!(person.types(&format!("{UP}{UP}{DOWN}\r")), ["one"]);
    // What was begun comes back behind the last line.
    assert_eq!(
        person.types(&format!("dra{UP}{UP}{DOWN}{DOWN}ft\r")),
        ["draft"]
    );
    assert_eq!(
        person.types(&format!("{UP}{UP}{UP}{UP} more\r")),
        ["two more"]
    );
}

#[test]
fn a_line_that_is_too_long_does_nothing() {
    let mut person = Person::new();
    let most = "x".repeat(LINE);
    assert_eq!(person.types(&format!("{most}\r")), [most.as_str()]);
    assert_eq!(
        person.types(&format!("{most}y\rstats\r")),
        ["too long", "stats"]
    );
    // Who sees that the end is missing may mend it.
    assert_eq!(person.types(&format!("{most}y\x15stats\r")), ["stats"]);
}

#[test]
fn a_line_can_be_given_up() {
    let mut person = Person::new();
    assert_eq!(person.types("panic\x03stats\r"), ["cancelled", "stats"]);
}

#[test]
fn whatever_is_typed_terminal_and_editor_agree() {
    let mut random = 1_u64;
    let keys = [
        "a", "b c", LEFT, RIGHT, UP, DOWN, "\x01", "\x05", "\x0b", "\x15", "\x17", "\x7f",
        "\x1b[3~", "\t", "\r", "\x03", "\x0c", "\x1b[99~", "s", "  ", "\x1b", "[", "é",
    ];
    let mut person = Person::new();
    for _ in 0..100_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        person.types(keys[(random >> 33) as usize % keys.len()]);
        person.check();
    }
}
