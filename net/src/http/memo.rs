//! What heads were read lately. A client says the same fields with each request, mostly to the
//! letter, and so does one that another person uses; then they need not be understood again.
//!
//! It keeps the bytes of such fields with what they came to, in a few places of fixed size that all
//! connections share. Only the plainest heads get in, and only those that come a second time before
//! another takes their place: fields that differ with each request cost a look and no copy. Whoever
//! asks with the same bytes gets the same answer as from [`request::parse`](super::request::parse),
//! which the fuzz target `request` checks.

use super::negotiation::{Accept, Wish};
use super::request::{Framing, Method, Request};
use super::target::Target;
use alloc::boxed::Box;
use alloc::collections::TryReserveError;
use alloc::vec::Vec;

/// Most bytes of a head's fields: what browsers send, with a cookie.
const MOST: usize = 1000;
/// Fields are looked at in so many places to tell them apart at first sight.
const SAMPLES: usize = 16;

/// Fields that were understood.
struct Entry {
    /// The fields with the empty line behind them; so many of these bytes.
    bytes: [u8; MOST],
    len: u16,
    /// The connection can go on.
    keep: bool,
    wish: Wish,
    /// The fields that asked for this place last, and are not in it.
    waiting: u64,
}

/// The places.
pub(crate) struct Memo {
    entries: Box<[Entry]>,
}

impl Memo {
    /// So many places as become a stack with `memory` bytes.
    pub fn places(memory: usize) -> usize {
        (memory >> 17).clamp(4, 256)
    }

    /// Bytes that they take.
    pub fn cost(memory: usize) -> usize {
        Self::places(memory) * size_of::<Entry>()
    }

    /// Reserves `places`, at least one.
    ///
    /// # Errors
    /// When the heap cannot give it.
    pub fn new(places: usize) -> Result<Memo, TryReserveError> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(places)?;
        entries.extend((0..places).map(|_| Entry {
            bytes: [0; MOST],
            len: 0,
            keep: false,
            wish: Wish::NONE,
            waiting: 0,
        }));
        Ok(Memo {
            entries: entries.into_boxed_slice(),
        })
    }

    /// The request that `bytes` are, if they are that and nothing else, and its fields are known.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn read<'a>(&self, bytes: &'a [u8]) -> Option<Request<'a>> {
        let (method, target, end) = line(bytes)?;
        let fields = &bytes[end..];
        if fields.is_empty() {
            // An entry that is not used has no bytes either.
            return None;
        }
        let entry = &self.entries[self.place(fingerprint(fields))];
        if entry.bytes.get(..usize::from(entry.len)) != Some(fields) {
            return None;
        }
        Some(Request::plain(
            method, target, entry.keep, entry.wish, bytes,
        ))
    }

    /// Takes note of a request whose head `bytes` are.
    pub fn note(&mut self, bytes: &[u8], request: &Request<'_>) {
        let Some((.., end)) = line(bytes) else {
            return;
        };
        let fields = &bytes[end..];
        let plain = request.framing == Framing::Empty && !request.is_conditional() && !request.old;
        if !plain || fields.len() > MOST {
            return;
        }
        let print = fingerprint(fields);
        let place = self.place(print);
        let entry = &mut self.entries[place];
        if entry.waiting != print {
            entry.waiting = print;
            return;
        }
        entry.bytes[..fields.len()].copy_from_slice(fields);
        entry.len = fields.len() as u16;
        entry.keep = request.keep;
        entry.wish = match request.codings() {
            Accept::Lines(lines) => Wish::read(&lines),
            Accept::Read(wish) => wish,
        };
    }

    fn place(&self, print: u64) -> usize {
        (print >> 32) as usize % self.entries.len()
    }
}

/// A quick look at some bytes. Who makes two that look alike makes himself be read twice.
#[cfg_attr(target_os = "none", optimize(speed))]
fn fingerprint(bytes: &[u8]) -> u64 {
    // Any odd number with well mixed bits.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut print = bytes.len() as u64;
    let step = (bytes.len() / SAMPLES).max(8);
    let mut rest = bytes;
    while let Some(word) = rest.first_chunk::<8>() {
        print = (print ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
        print ^= print >> 29;
        rest = rest.get(step..).unwrap_or(&[]);
    }
    if let Some(word) = bytes.last_chunk::<12>().and_then(|last| last.first_chunk()) {
        // The empty line behind them says nothing.
        print = (print ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
    }
    print
}

/// The bytes of a target's path and query that stand for themselves.
static IN_TARGET: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = b'!';
    while at <= b'~' {
        table[at as usize] = at != b'#';
        at += 1;
    }
    table
};

/// The plainest request line: GET or HEAD, a path, HTTP/1.1. Where it ends. Others are left to who
/// reads everything.
#[cfg_attr(target_os = "none", optimize(speed))]
fn line(bytes: &[u8]) -> Option<(Method, Target<'_>, usize)> {
    const END: &[u8; 11] = b" HTTP/1.1\r\n";
    let (method, start) = match bytes {
        [b'G', b'E', b'T', b' ', b'/', ..] => (Method::Get, 4),
        [b'H', b'E', b'A', b'D', b' ', b'/', ..] => (Method::Head, 5),
        _ => return None,
    };
    let rest = &bytes[start..];
    let len = rest.iter().position(|&b| !IN_TARGET[usize::from(b)])?;
    let (target, behind) = rest.split_at(len);
    if behind.first_chunk() != Some(END) {
        return None;
    }
    let (path, query) = match target.iter().position(|&b| b == b'?') {
        None => (target, None),
        Some(at) => (&target[..at], Some(&target[at + 1..])),
    };
    Some((method, Target { path, query }, start + len + END.len()))
}

#[cfg(test)]
mod tests {
    use super::super::request::{Parsed, Room, parse};
    use super::*;
    use std::format;
    use std::string::String;

    /// What a memo has to know of a head after it came so often.
    fn known_after(times: usize, head: &str) -> (Memo, bool) {
        let mut memo = Memo::new(4).unwrap();
        for _ in 0..times {
            let mut room = Room::new();
            if let Ok(Parsed::Whole(len, request)) = parse(head.as_bytes(), &mut room) {
                assert_eq!(len, head.len());
                memo.note(head.as_bytes(), &request);
            }
        }
        let known = memo.read(head.as_bytes()).is_some();
        (memo, known)
    }

    const FIELDS: &str =
        "Host: example.org\r\nUser-Agent: x\r\nAccept-Encoding: gzip, br;q=0.5\r\n\r\n";

    #[test]
    fn what_comes_twice_is_known() {
        let head = format!("GET /a?b=c HTTP/1.1\r\n{FIELDS}");
        assert!(!known_after(1, &head).1);
        let (memo, known) = known_after(2, &head);
        assert!(known);
        // With another path too, and without a query.
        let other = format!("HEAD /other HTTP/1.1\r\n{FIELDS}");
        let request = memo.read(other.as_bytes()).unwrap();
        assert_eq!(
            (request.method, request.path),
            (Method::Head, &b"/other"[..])
        );
        assert_eq!(
            (request.query, request.keep, request.old),
            (None, true, false)
        );
        // One letter less, or more, is another head.
        for other in [
            head.replace("example", "exemple"),
            head.replace("q=0.5", "q=0.6"),
            format!("{head}G"),
            String::from(&head[..head.len() - 1]),
            head.replace("HTTP/1.1", "HTTP/1.0"),
        ] {
            assert!(memo.read(other.as_bytes()).is_none(), "{other:?}");
        }
    }

    #[test]
    fn what_is_not_plain_is_read_each_time() {
        for head in [
            format!("POST / HTTP/1.1\r\n{FIELDS}"),
            format!("GET / HTTP/1.0\r\n{FIELDS}"),
            format!("GET http://x/ HTTP/1.1\r\n{FIELDS}"),
            format!("GET / HTTP/1.1\r\nContent-Length: 3\r\n{FIELDS}"),
            format!("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{FIELDS}"),
            format!("GET / HTTP/1.1\r\nRange: bytes=0-1\r\n{FIELDS}"),
            format!("GET / HTTP/1.1\r\nIf-None-Match: \"a\"\r\n{FIELDS}"),
            format!("GET / HTTP/1.1\r\nIf-Modified-Since: x\r\n{FIELDS}"),
            format!("GET / HTTP/1.1\r\nA: {}\r\n{FIELDS}", "x".repeat(MOST)),
            format!("GET /a#b HTTP/1.1\r\n{FIELDS}"),
            format!("GET /\u{e9} HTTP/1.1\r\n{FIELDS}"),
            String::from("GET / HTTP/1.1\r\n\r\n"),
            String::from("GET / HTTP/1.1\r\n"),
        ] {
            assert!(!known_after(5, &head).1, "{head:?}");
        }
    }

    #[test]
    fn fields_that_change_do_not_drive_out_those_that_stay() {
        let head = format!("GET / HTTP/1.1\r\n{FIELDS}");
        let (mut memo, _) = known_after(2, &head);
        for n in 0..10_000 {
            let other = format!("GET / HTTP/1.1\r\nX-Forwarded-For: {n}\r\n{FIELDS}");
            let mut room = Room::new();
            if let Ok(Parsed::Whole(_, request)) = parse(other.as_bytes(), &mut room) {
                memo.note(other.as_bytes(), &request);
            }
        }
        assert!(memo.read(head.as_bytes()).is_some());
    }

    #[test]
    fn it_takes_what_it_says() {
        assert_eq!(Memo::places(0), 4);
        assert_eq!(Memo::places(16 << 20), 128);
        assert!(Memo::cost(16 << 20) < 160 << 10);
    }
}
