//! The terminal: raw and on its other screen while it is watched, restored when the value goes,
//! whatever ends that.

use super::screen::Line;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::SIGWINCH;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// To the other screen, without a cursor; lines are not wrapped.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";
/// The size of a terminal that does not tell it.
const USUAL: (usize, usize) = (80, 24);
/// Lines of a page.
const PAGE: usize = 10;

/// What a person typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Enough.
    Quit,
    /// By the next column.
    Sort,
    /// The other way round.
    Reverse,
    /// So many connections up.
    Up(usize),
    /// So many down.
    Down(usize),
}

/// The terminal.
pub struct Terminal {
    before: Termios,
    resized: UnixStream,
}

impl Terminal {
    /// Takes over standard input and output.
    ///
    /// # Errors
    /// What the system says.
    pub fn open() -> io::Result<Terminal> {
        let (resized, tell) = UnixStream::pair()?;
        resized.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGWINCH, tell)?;
        let before = tcgetattr(io::stdin())?;
        let terminal = Terminal { before, resized };
        let mut raw = terminal.before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        write(ENTER)?;
        Ok(terminal)
    }

    /// Columns and lines.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        drain(&self.resized);
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => USUAL,
        }
    }

    /// Can be read when the size has changed.
    #[must_use]
    pub fn resized(&self) -> BorrowedFd<'_> {
        self.resized.as_fd()
    }

    /// Shows these lines.
    ///
    /// # Errors
    /// What the system says.
    pub fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (number, line) in lines.iter().enumerate() {
            let end = if number + 1 < lines.len() { "\r\n" } else { "" };
            text += &format!("{}\x1b[K{end}", line.styled());
        }
        text += "\x1b[J";
        write(text.as_bytes())
    }

    /// The keys that were pressed; without waiting.
    ///
    /// # Errors
    /// What the system says.
    pub fn keys(&mut self) -> io::Result<Vec<Key>> {
        let stdin = io::stdin();
        let now = Some(std::time::Instant::now());
        if !crate::signals::wait_any(&[stdin.as_fd()], now)?[0] {
            return Ok(Vec::new());
        }
        let mut typed = [0; 64];
        let len = rustix::io::read(&stdin, &mut typed)?;
        // A terminal that is gone is one that nobody watches.
        Ok(match len {
            0 => vec![Key::Quit],
            len => keys(&typed[..len]),
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // There is nobody left to tell that it cannot be done.
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Takes what a stream holds that only tells of something.
pub fn drain(stream: &UnixStream) {
    let mut buffer = [0; 64];
    while matches!((&mut &*stream).read(&mut buffer), Ok(n) if n > 0) {}
}

/// What these bytes mean, as terminals of the family of the VT100 send them.
fn keys(mut typed: &[u8]) -> Vec<Key> {
    const KNOWN: [(&[u8], Key); 14] = [
        (b"\x1b[A", Key::Up(1)),
        (b"\x1b[B", Key::Down(1)),
        (b"\x1bOA", Key::Up(1)),
        (b"\x1bOB", Key::Down(1)),
        (b"\x1b[5~", Key::Up(PAGE)),
        (b"\x1b[6~", Key::Down(PAGE)),
        (b"k", Key::Up(1)),
        (b"j", Key::Down(1)),
        (b"s", Key::Sort),
        (b"r", Key::Reverse),
        (b"q", Key::Quit),
        (b"Q", Key::Quit),
        // Ctrl-C, Ctrl-D: a raw terminal makes no signals of them.
        (b"\x03", Key::Quit),
        (b"\x04", Key::Quit),
    ];
    let mut found = Vec::new();
    while !typed.is_empty() {
        if let Some((bytes, key)) = KNOWN.iter().find(|(bytes, _)| typed.starts_with(bytes)) {
            found.push(*key);
            typed = &typed[bytes.len()..];
        } else if typed == b"\x1b" {
            found.push(Key::Quit);
            typed = &[];
        } else if let [0x1b, b'[' | b'O', rest @ ..] = typed {
            // Another sequence: up to its last byte (ECMA-48, 5.4).
            let end = rest.iter().position(|b| (0x40..0x7f).contains(b));
            typed = end.map_or(&[][..], |end| &rest[end + 1..]);
        } else {
            typed = &typed[1..];
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_understood() {
        for (typed, expected) in [
            (&b"q"[..], vec![Key::Quit]),
            (b"\x1b", vec![Key::Quit]),
            (b"\x03", vec![Key::Quit]),
            (b"\x1b[A\x1b[B", vec![Key::Up(1), Key::Down(1)]),
            (
                b"\x1b[6~jk",
                vec![Key::Down(PAGE), Key::Down(1), Key::Up(1)],
            ),
            (b"\x1b[1;5Csr", vec![Key::Sort, Key::Reverse]),
            (b"xyz \xff", vec![]),
            (b"\x1b[", vec![]),
        ] {
            assert_eq!(keys(typed), expected, "{typed:?}");
        }
    }
}
