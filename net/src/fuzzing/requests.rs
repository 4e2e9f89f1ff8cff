//! The request parser: the same in pieces as in one, and nothing that two readers could
//! understand differently.

use crate::http::Memo;
use crate::http::body::{Body, Progress};
use crate::http::request::{self, Framing, Method, Parsed, Request, Room};
use alloc::vec::Vec;

/// What a parser says of the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Not whole.
    Partial,
    /// Answered with this status; where the next request begins, if that is known.
    Refused(u16, Option<(usize, Framing, bool)>),
    /// Accepted: bytes of the head, framing, whether the connection goes on.
    Whole(usize, Framing, bool),
}

/// Reads what a client sent.
///
/// # Panics
/// The verdict depends on the pieces in which the bytes came, or an accepted head is ambiguous.
pub fn requests(data: &[u8]) {
    let mut head = data.to_vec();
    let whole = read(&mut head, check);
    for cut in cuts(data.len()) {
        let (verdict, passed) = in_pieces(data, cut);
        let shifted = match verdict {
            Verdict::Partial => Verdict::Partial,
            Verdict::Whole(len, framing, keep) => Verdict::Whole(len + passed, framing, keep),
            Verdict::Refused(status, rest) => {
                let rest = rest.map(|(len, framing, keep)| (len + passed, framing, keep));
                Verdict::Refused(status, rest)
            }
        };
        assert_eq!(shifted, whole, "cut at {cut}");
    }
    if let Verdict::Whole(len, framing, _) | Verdict::Refused(_, Some((len, framing, _))) = whole {
        content(framing, &data[len..]);
    }
}

/// Where the bytes are cut in two: everywhere, in short ones.
fn cuts(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(len / 128 + 1)
}

/// First the bytes up to `cut`, then all of them, as a connection does; also how many empty lines
/// it has passed over in between.
fn in_pieces(data: &[u8], cut: usize) -> (Verdict, usize) {
    let mut first = data[..cut].to_vec();
    match read(&mut first, |_, _| ()) {
        Verdict::Partial => {
            let passed = request::empty_lines(&first);
            let mut all = data[passed..].to_vec();
            (read(&mut all, |_, _| ()), passed)
        }
        verdict => (verdict, 0),
    }
}

fn read(data: &mut [u8], check: impl Fn(&Request<'_>, &[u8])) -> Verdict {
    if let Ok(Parsed::Newer(figure)) = request::parse(data, &mut Room::new()) {
        data[figure] = b'1';
    }
    let mut room = Room::new();
    match request::parse(data, &mut room) {
        Ok(Parsed::Partial) => Verdict::Partial,
        Ok(Parsed::Newer(_)) => panic!("a version that is too new twice"),
        Ok(Parsed::Whole(len, request)) => {
            check(&request, &data[..len]);
            remember(&request, &data[..len]);
            Verdict::Whole(len, request.framing, request.keep)
        }
        Err(refused) => Verdict::Refused(refused.status.code(), refused.rest),
    }
}

/// A head that is known is read as it was at first.
fn remember(request: &Request<'_>, head: &[u8]) {
    let mut memo = Memo::new(1).expect("there is memory");
    for _ in 0..2 {
        memo.note(head, request);
    }
    let Some(known) = memo.read(head) else {
        return;
    };
    let told = |r: &Request<'_>| (r.method, r.old, r.keep, r.framing, r.waits);
    assert_eq!(told(&known), told(request));
    assert_eq!((known.path, known.query), (request.path, request.query));
    assert!(!request.is_conditional());
}

/// An accepted head, read in the plainest way.
fn check(request: &Request<'_>, head: &[u8]) {
    let text = core::str::from_utf8(head).map_or_else(
        |_| head.iter().map(|&b| char::from(b)).collect(),
        alloc::string::String::from,
    );
    let text = text.trim_start_matches(['\r', '\n']);
    let text = text
        .strip_suffix("\r\n\r\n")
        .expect("an empty line at the end");
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']));
    let values = |name: &str| -> Vec<&str> {
        let fields = lines[1..].iter().map(|line| {
            let (name, value) = line.split_once(':').expect("a colon");
            assert!(!name.is_empty() && !name.contains([' ', '\t']), "{name:?}");
            (name, value.trim_matches([' ', '\t']))
        });
        let named = fields.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value).collect()
    };
    let (hosts, lengths, codings) = (
        values("host").len(),
        values("content-length"),
        values("transfer-encoding"),
    );
    assert!(hosts == 1 || (hosts == 0 && request.old));
    assert!(
        lengths.len() + codings.len() <= 1,
        "{lengths:?} {codings:?}"
    );
    match request.framing {
        Framing::Empty => assert!(codings.is_empty() && lengths.iter().all(|l| l.parse() == Ok(0))),
        Framing::Sized(len) => assert_eq!(lengths[0].parse(), Ok(len)),
        Framing::Chunked => assert!(!request.old && codings[0].eq_ignore_ascii_case("chunked")),
    }
    match request.path {
        b"*" => assert_eq!(request.method, Method::Options),
        path => assert!(path.starts_with(b"/") && !path.contains(&b'?')),
    }
    assert!(!request.path.contains(&b'#') && !request.path.contains(&b' '));
}

/// Content ends where it ends, however it comes.
fn content(framing: Framing, data: &[u8]) {
    let body = match framing {
        Framing::Empty => Body::NONE,
        Framing::Sized(len) => Body::sized(len),
        Framing::Chunked => Body::chunked(),
    };
    let whole = { body }.read(data);
    assert!(whole.0 <= data.len());
    for step in [1, 2, 7] {
        let (mut body, mut used) = (body, 0);
        let mut progress = match framing {
            Framing::Empty => Progress::Done,
            _ => Progress::More,
        };
        for piece in data.chunks(step) {
            if progress != Progress::More {
                break;
            }
            let read = body.read(piece);
            used += read.0;
            progress = read.1;
        }
        match (progress, whole.1) {
            // Too much is noticed at the end of a piece.
            (Progress::TooLarge, Progress::TooLarge) => {}
            (progress, expected) => assert_eq!((used, progress), (whole.0, expected)),
        }
    }
}
