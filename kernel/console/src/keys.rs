//! Bytes from a terminal as keys.

/// Bytes of an escape sequence after which it is none (ECMA-48, 5.4 knows no bound).
const LONGEST: u8 = 16;

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A printable character of ASCII.
    Char(u8),
    /// The line is complete.
    Enter,
    /// Takes the character before the cursor away.
    Backspace,
    /// Takes the character under the cursor away.
    Delete,
    /// One character back.
    Left,
    /// One character on.
    Right,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// The line before in the history.
    Up,
    /// The line after it.
    Down,
    /// Takes everything before the cursor away.
    KillBefore,
    /// Takes everything from the cursor on away.
    KillAfter,
    /// Takes the word before the cursor away.
    KillWord,
    /// Completes the word.
    Tab,
    /// Gives the line up.
    Cancel,
    /// Shows the line anew.
    Redraw,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After CR: an LF belongs to it.
    Return,
    /// After ESC.
    Escape,
    /// After ESC O.
    Single,
    /// After ESC [, with the first number and the bytes so far.
    Sequence { number: u8, bytes: u8, more: bool },
}

/// Reads keys out of bytes.
#[derive(Debug, Default)]
pub struct Keys {
    state: State,
}

impl Keys {
    /// Nothing was pressed yet.
    #[must_use]
    pub const fn new() -> Keys {
        Keys {
            state: State::Ground,
        }
    }

    /// Takes a byte in. A sequence that is no key is swallowed as a whole.
    pub fn take(&mut self, byte: u8) -> Option<Key> {
        let state = core::mem::take(&mut self.state);
        match state {
            State::Return if byte == b'\n' => None,
            State::Ground | State::Return => self.plain(byte),
            State::Escape => match byte {
                b'[' => {
                    self.state = State::Sequence {
                        number: 0,
                        bytes: 0,
                        more: false,
                    };
                    None
                }
                b'O' => {
                    self.state = State::Single;
                    None
                }
                // What was meant by the key itself is not known, but a line's end is one.
                b'\r' | b'\n' | 0x1b => self.plain(byte),
                _ => None,
            },
            State::Single => arrow(byte),
            State::Sequence {
                number,
                bytes,
                more,
            } => self.sequence(byte, number, bytes, more),
        }
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            b' '..=b'~' => Key::Char(byte),
            b'\r' => {
                self.state = State::Return;
                Key::Enter
            }
            b'\n' => Key::Enter,
            0x1b => {
                self.state = State::Escape;
                return None;
            }
            0x08 | 0x7f => Key::Backspace,
            b'\t' => Key::Tab,
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x03 => Key::Cancel,
            0x04 => Key::Delete,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x0b => Key::KillAfter,
            0x0c => Key::Redraw,
            0x0e => Key::Down,
            0x10 => Key::Up,
            0x15 => Key::KillBefore,
            0x17 => Key::KillWord,
            _ => return None,
        })
    }

    fn sequence(&mut self, byte: u8, number: u8, bytes: u8, more: bool) -> Option<Key> {
        match byte {
            // Parameters: the first says which key, the others with what it was pressed.
            0x20..=0x3f if bytes < LONGEST => {
                let digit = byte.is_ascii_digit() && !more;
                self.state = State::Sequence {
                    number: match digit {
                        true => number.saturating_mul(10).saturating_add(byte - b'0'),
                        false => number,
                    },
                    bytes: bytes + 1,
                    more: more || !digit,
                };
                None
            }
            b'~' => match number {
                1 | 7 => Some(Key::Home),
                3 => Some(Key::Delete),
                4 | 8 => Some(Key::End),
                _ => None,
            },
            // A line's end is none of a sequence: what stands before was cut.
            b'\r' | b'\n' | 0x1b => self.plain(byte),
            _ => arrow(byte),
        }
    }
}

fn arrow(byte: u8) -> Option<Key> {
    match byte {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'C' => Some(Key::Right),
        b'D' => Some(Key::Left),
        b'F' => Some(Key::End),
        b'H' => Some(Key::Home),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|byte| keys.take(*byte)).collect()
    }

    #[test]
    fn what_terminals_send_is_understood() {
        for (bytes, key) in [
            (&b"\x1b[A"[..], Key::Up),
            (b"\x1bOA", Key::Up),
            (b"\x1b[B", Key::Down),
            (b"\x1b[C", Key::Right),
            (b"\x1b[D", Key::Left),
            (b"\x1b[H", Key::Home),
            (b"\x1b[1~", Key::Home),
            (b"\x1bOH", Key::Home),
            (b"\x1b[F", Key::End),
            (b"\x1b[4~", Key::End),
            (b"\x1b[3~", Key::Delete),
            // With Control held.
            (b"\x1b[1;5C", Key::Right),
            (b"\x7f", Key::Backspace),
            (b"\x08", Key::Backspace),
            (b"\x01", Key::Home),
            (b"\x05", Key::End),
            (b"\x0b", Key::KillAfter),
            (b"\x15", Key::KillBefore),
            (b"\x17", Key::KillWord),
            (b"\x03", Key::Cancel),
        ] {
            assert_eq!(keys(bytes), [key], "{bytes:?}");
        }
    }

    #[test]
    fn each_kind_of_line_end_is_one() {
        for bytes in [&b"a\nb\n"[..], b"a\rb\r", b"a\r\nb\r\n"] {
            let (a, b) = (Key::Char(b'a'), Key::Char(b'b'));
            assert_eq!(keys(bytes), [a, Key::Enter, b, Key::Enter], "{bytes:?}");
        }
        assert_eq!(keys(b"\n\n\r\r"), [Key::Enter; 4]);
    }

    #[test]
    fn what_is_no_key_leaves_nothing_behind() {
        for bytes in [
            &b"\x1b[200~"[..],
            b"\x1b[24;80R",
            b"\x1b[?1;2c",
            b"\x1bOP",
            b"\x1b[5~",
            b"\x1bx",
            b"\x00\xff\xc3\xa4\x1a",
        ] {
            assert_eq!(keys(bytes), [], "{bytes:?}");
            let mut more = bytes.to_vec();
            more.push(b'x');
            assert_eq!(keys(&more), [Key::Char(b'x')], "{bytes:?}");
        }
    }

    #[test]
    fn a_sequence_without_an_end_ends() {
        let mut bytes = b"\x1b[".to_vec();
        bytes.extend([b'1'; 100]);
        assert!(!keys(&bytes).is_empty());
        assert_eq!(keys(b"\x1b[1\r"), [Key::Enter]);
        assert_eq!(keys(b"\x1b\x1b[A"), [Key::Up]);
    }
}
