//! The head of a file's answer, prepared at boot.
//!
//! Its fields stand in an order in which every answer about the file finds what it needs at the
//! end, as one piece of memory that is never copied:
//!
//! ```text
//! HTTP/1.1 200 OK ... Content-Length, Accept-Ranges    the whole of it: 200
//! Content-Type                                         from here: 206 with one part, 404
//! Content-Encoding                                     from here: 206 with several parts
//! ETag, Last-Modified, Vary, fields of `_headers`      from here: 304
//! ```
//!
//! `Date`, `Connection` and the empty line are added when it is sent.

use crate::http::date;
use alloc::vec::Vec;
use core::fmt::Write as _;
use quartz_abi::site::Coding;

/// What a head says.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    /// Media type, with its charset.
    pub kind: &'a [&'a [u8]],
    /// The coding of the content.
    pub coding: Coding,
    /// Bytes of the content, as it is coded.
    pub len: usize,
    /// Entity tag with its quotes.
    pub tag: &'a [u8],
    /// When the file was last changed, in seconds since 1970, if that is known.
    pub modified: Option<u64>,
    /// The file has other codings too.
    pub varies: bool,
    /// Further fields, each with its line end.
    pub more: &'a [u8],
}

/// Where in a head its parts begin, in bytes from its start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    kind: u16,
    coding: u16,
    shared: u16,
    tag: u16,
}

/// A prepared head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    bytes: &'static [u8],
    marks: Marks,
}

impl Fields<'_> {
    /// Adds the head at the end of `heads`.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn write(&self, heads: &mut Vec<u8>) -> Marks {
        let start = heads.len();
        let at = |heads: &Vec<u8>| (heads.len() - start) as u16;
        heads.extend_from_slice(b"HTTP/1.1 200 OK\r\nServer: Quartz\r\nContent-Length: ");
        let _ = write!(Tail(heads), "{}", self.len);
        heads.extend_from_slice(b"\r\nAccept-Ranges: bytes\r\n");
        let kind = at(heads);
        heads.extend_from_slice(b"Content-Type: ");
        for part in self.kind {
            heads.extend_from_slice(part);
        }
        heads.extend_from_slice(b"\r\n");
        let coding = at(heads);
        if self.coding != Coding::Identity {
            heads.extend_from_slice(b"Content-Encoding: ");
            heads.extend_from_slice(self.coding.name().as_bytes());
            heads.extend_from_slice(b"\r\n");
        }
        let shared = at(heads);
        heads.extend_from_slice(b"ETag: ");
        let tag = at(heads);
        heads.extend_from_slice(self.tag);
        heads.extend_from_slice(b"\r\n");
        if let Some(modified) = self.modified {
            heads.extend_from_slice(b"Last-Modified: ");
            heads.extend_from_slice(&date::imf(modified));
            heads.extend_from_slice(b"\r\n");
        }
        if self.varies {
            heads.extend_from_slice(b"Vary: Accept-Encoding\r\n");
        }
        heads.extend_from_slice(self.more);
        Marks {
            kind,
            coding,
            shared,
            tag,
        }
    }
}

impl Head {
    /// One that says nothing.
    #[cfg(test)]
    pub const EMPTY: Head = Head {
        bytes: &[],
        marks: Marks {
            kind: 0,
            coding: 0,
            shared: 0,
            tag: 0,
        },
    };

    /// The head that was written to these bytes.
    pub(super) fn new(bytes: &'static [u8], marks: Marks) -> Head {
        Head { bytes, marks }
    }

    /// That of a 200 answer.
    pub fn whole(self) -> &'static [u8] {
        self.bytes
    }

    /// All fields but the content's length: those that go with some part of it too.
    pub fn fields(self) -> &'static [u8] {
        self.from(self.marks.kind)
    }

    /// The line of `Content-Type`, with its end.
    pub fn kind(self) -> &'static [u8] {
        &self.bytes[usize::from(self.marks.kind)..usize::from(self.marks.coding)]
    }

    /// The fields without the content's type.
    pub fn untyped(self) -> &'static [u8] {
        self.from(self.marks.coding)
    }

    /// The fields of an answer without the content: validators and what caches want to know.
    pub fn shared(self) -> &'static [u8] {
        self.from(self.marks.shared)
    }

    /// The entity tag, with its quotes.
    pub fn tag(self) -> &'static [u8] {
        let rest = self.from(self.marks.tag);
        let len = rest.iter().position(|&b| b == b'\r').unwrap_or(0);
        &rest[..len]
    }

    fn from(self, mark: u16) -> &'static [u8] {
        &self.bytes[usize::from(mark)..]
    }
}

/// Text goes to the end of some bytes.
struct Tail<'a>(&'a mut Vec<u8>);

impl core::fmt::Write for Tail<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_finds_its_fields_in_one_piece() {
        let mut heads = b"the head before".to_vec();
        let start = heads.len();
        let marks = Fields {
            kind: &[b"text/css", b"; charset=utf-8"],
            coding: Coding::Brotli,
            len: 1234,
            tag: b"\"abc\"",
            modified: Some(784_111_777),
            varies: true,
            more: b"Cache-Control: no-cache\r\n",
        }
        .write(&mut heads);
        let head = Head::new(&heads.leak()[start..], marks);
        let shared = "ETag: \"abc\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                      Vary: Accept-Encoding\r\nCache-Control: no-cache\r\n";
        assert_eq!(head.shared(), shared.as_bytes());
        assert_eq!(
            head.untyped(),
            std::format!("Content-Encoding: br\r\n{shared}").as_bytes()
        );
        assert_eq!(head.kind(), b"Content-Type: text/css; charset=utf-8\r\n");
        assert!(head.fields().starts_with(head.kind()));
        assert!(head.whole().starts_with(
            b"HTTP/1.1 200 OK\r\nServer: Quartz\r\nContent-Length: 1234\r\nAccept-Ranges: bytes\r\n\
              Content-Type"
        ));
        assert!(head.whole().ends_with(head.fields()));
        assert_eq!(head.tag(), b"\"abc\"");
    }
}
