//! The end of a head: its date and the empty line. It follows from a number, the second in which it
//! was said, so nothing else of it has to be kept until it is acknowledged.

use crate::http::date;

/// Bytes of it: the `Date` field with its line end, and the empty line.
pub(crate) const STAMP: usize = date::LEN + 2;

/// The stamp that was said last, ready to be copied.
pub(super) struct Stamp {
    unix: u32,
    text: [u8; STAMP],
}

impl Stamp {
    /// That of the beginning of time.
    pub fn new() -> Stamp {
        Stamp {
            unix: 0,
            text: text(0),
        }
    }

    /// Makes another one the last.
    #[inline]
    pub fn turn(&mut self, unix: u32) {
        if unix != self.unix {
            self.unix = unix;
            self.text = text(unix);
        }
    }

    /// Copies from a stamp, `skip` bytes behind its beginning.
    #[inline]
    pub fn copy(&self, unix: u32, skip: usize, target: &mut [u8]) {
        let range = skip..skip + target.len();
        if unix == self.unix {
            target.copy_from_slice(&self.text[range]);
        } else {
            target.copy_from_slice(&text(unix)[range]);
        }
    }
}

#[cold]
fn text(unix: u32) -> [u8; STAMP] {
    let mut text = *b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
    text[6..6 + date::DATE].copy_from_slice(&date::imf(unix.into()));
    text
}
