//! A request's head: what of it matters to a server of files.

use super::status::Status;
use core::mem::MaybeUninit;
use httparse::{Error, Header};

/// Most fields of a head.
const MOST_FIELDS: usize = 64;

/// How the request's content is framed (RFC 9112, 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    /// So many bytes, at least one.
    Sized(u64),
    /// In chunks.
    Chunked,
}

/// A request's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// HEAD: the answer has no content.
    pub head_only: bool,
    /// The path, as it stands in the request, with its query.
    pub target: &'a [u8],
    /// Sent as HTTP/1.0.
    pub old: bool,
    /// The connection can go on afterwards.
    pub keep: bool,
    /// How its content is framed.
    pub framing: Framing,
    /// Tags of the versions that the client has.
    pub if_none_match: Option<&'a [u8]>,
}

/// A head that is answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The answer.
    pub status: Status,
    /// Bytes of the head, if the request was understood so far that the next one can be found,
    /// and how to go on from there.
    pub rest: Option<(usize, Framing, bool)>,
}

/// What a buffer holds.
#[derive(Debug)]
pub(crate) enum Parsed<'a> {
    /// Less than a head.
    Partial,
    /// A head of so many bytes.
    Whole(usize, Request<'a>),
}

/// Parses the head that `buffer` begins with.
///
/// # Errors
/// With the answer, when it is not a request that a file can answer.
pub(crate) fn parse(buffer: &[u8]) -> Result<Parsed<'_>, Refused> {
    let refuse = |status| Refused { status, rest: None };
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(buffer, &mut fields) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(Error::TooManyHeaders) => return Err(refuse(Status::HeaderFieldsTooLarge)),
        Err(Error::Version) => return Err(refuse(version(buffer))),
        Err(_) => return Err(refuse(Status::BadRequest)),
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(refuse(Status::BadRequest));
    };
    let fields = Fields::read(parsed.headers).map_err(refuse)?;
    let old = minor == 0;
    // RFC 9112, 3.2: one Host field in every request of HTTP/1.1.
    if fields.hosts > 1 || (fields.hosts == 0 && !old) {
        return Err(refuse(Status::BadRequest));
    }
    let framing = fields.framing(old).map_err(refuse)?;
    let keep = !fields.close && (!old || fields.keep_alive);
    let status = match method {
        "GET" | "HEAD" => None,
        "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS" | "TRACE" | "CONNECT" => {
            Some(Status::MethodNotAllowed)
        }
        _ => Some(Status::NotImplemented),
    };
    // A client that waits for "100 Continue" gets its answer instead, and may then send its
    // content or not: nobody can tell, so the connection ends (RFC 9110, 10.1.1).
    let keep = keep && !(fields.expects && framing != Framing::Empty);
    if let Some(status) = status {
        // After CONNECT the bytes would not be HTTP any more.
        let rest = (method != "CONNECT").then_some((len, framing, keep));
        return Err(Refused { status, rest });
    }
    Ok(Parsed::Whole(
        len,
        Request {
            head_only: method == "HEAD",
            target: origin(target).ok_or(refuse(Status::BadRequest))?,
            old,
            keep,
            framing,
            if_none_match: fields.if_none_match,
        },
    ))
}

/// The fields that matter, as they stand.
#[derive(Default)]
struct Fields<'a> {
    hosts: u32,
    close: bool,
    keep_alive: bool,
    expects: bool,
    length: Option<u64>,
    /// Transfer codings, and whether they are the one that is understood.
    coding: Option<bool>,
    if_none_match: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(headers: &[Header<'a>]) -> Result<Fields<'a>, Status> {
        let mut fields = Fields::default();
        for Header { name, value } in headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            // The length alone rules most fields out.
            match name.len() {
                4 if is("host") => {
                    fields.hosts += 1;
                    let odd = |b: &u8| {
                        matches!(b, b' ' | b'\t' | b',' | b'/' | b'?' | b'#' | b'@' | b'\\')
                    };
                    if value.iter().any(odd) {
                        return Err(Status::BadRequest);
                    }
                }
                6 if is("expect") => fields.expects = value.eq_ignore_ascii_case(b"100-continue"),
                10 if is("connection") => {
                    for token in value.split(|&b| b == b',') {
                        let token = token.trim_ascii();
                        fields.close |= token.eq_ignore_ascii_case(b"close");
                        fields.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                13 if is("if-none-match") => {
                    // A second field would continue the list (RFC 9110, 5.3); the first decides.
                    fields.if_none_match.get_or_insert(value);
                }
                14 if is("content-length") => {
                    // Two lengths, even equal ones, are how requests are smuggled.
                    if fields.length.is_some() {
                        return Err(Status::BadRequest);
                    }
                    fields.length = Some(decimal(value).ok_or(Status::BadRequest)?);
                }
                17 if is("transfer-encoding") => {
                    let understood = value.eq_ignore_ascii_case(b"chunked");
                    if fields.coding.replace(understood).is_some() {
                        return Err(Status::BadRequest);
                    }
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    /// RFC 9112, 6.1 and 6.3: what could be read in two ways is refused.
    fn framing(&self, old: bool) -> Result<Framing, Status> {
        match (self.coding, self.length) {
            (None, None | Some(0)) => Ok(Framing::Empty),
            (None, Some(length)) => Ok(Framing::Sized(length)),
            (Some(_), Some(_)) => Err(Status::BadRequest),
            (Some(_), None) if old => Err(Status::BadRequest),
            (Some(true), None) => Ok(Framing::Chunked),
            (Some(false), None) => Err(Status::NotImplemented),
        }
    }
}

/// The path and query of a target: origin-form, or absolute-form (RFC 9112, 3.2).
fn origin(target: &str) -> Option<&[u8]> {
    let target = target.as_bytes();
    if target.first() == Some(&b'/') {
        return Some(target);
    }
    let scheme = target.get(..7)?;
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return None;
    }
    let authority = &target[7..];
    match authority.iter().position(|b| b"/?".contains(b)) {
        Some(0) => None,
        Some(at) if authority[at] == b'/' => Some(&authority[at..]),
        // An empty path stands for the root.
        _ if authority.is_empty() => None,
        _ => Some(b"/"),
    }
}

/// Whether a request line that httparse stumbled over asks for another HTTP.
fn version(buffer: &[u8]) -> Status {
    let line = buffer.trim_ascii_start();
    let line = line.split(|&b| b == b'\n').next().unwrap_or(line);
    let word = line.trim_ascii_end().rsplit(|&b| b == b' ').next();
    match word {
        Some([b'H', b'T', b'T', b'P', b'/', major, rest @ ..])
            if major.is_ascii_digit() && matches!(rest, [] | [b'.', b'0'..=b'9']) =>
        {
            Status::VersionNotSupported
        }
        _ => Status::BadRequest,
    }
}

/// Decimal figures and nothing else.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let figure = byte.checked_sub(b'0').filter(|figure| *figure < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(figure))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;

    fn status(text: &str) -> Status {
        match parse(text.as_bytes()) {
            Err(refused) => refused.status,
            Ok(other) => panic!("{text:?}: {other:?}"),
        }
    }

    fn whole(text: &str) -> (usize, Request<'_>) {
        match parse(text.as_bytes()) {
            Ok(Parsed::Whole(len, request)) => (len, request),
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_head_in_pieces_is_partial_until_its_end() {
        let text = "GET /a?b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n";
        for end in 0..text.len() {
            assert!(
                matches!(parse(&text.as_bytes()[..end]), Ok(Parsed::Partial)),
                "{end}"
            );
        }
        let (len, request) = whole(text);
        assert_eq!((len, request.target), (text.len(), &b"/a?b"[..]));
        assert!(request.keep && !request.old && !request.head_only);
    }

    #[test]
    fn connection_and_version_decide_what_comes_after() {
        let keep =
            |line: &str, fields: &str| whole(&format!("{line}\r\nHost: x\r\n{fields}\r\n")).1.keep;
        assert!(keep("GET / HTTP/1.1", ""));
        assert!(!keep("GET / HTTP/1.1", "Connection: close\r\n"));
        assert!(!keep("GET / HTTP/1.1", "connection: Upgrade, CLOSE\r\n"));
        assert!(!keep("GET / HTTP/1.0", ""));
        assert!(keep("GET / HTTP/1.0", "Connection: Keep-Alive\r\n"));
        assert!(!keep("GET / HTTP/1.0", "Connection: keep-alive, close\r\n"));
        assert!(!keep(
            "GET / HTTP/1.1",
            "Expect: 100-continue\r\nContent-Length: 3\r\n"
        ));
        assert!(keep("GET / HTTP/1.1", "Expect: 100-continue\r\n"));
    }

    #[test]
    fn targets() {
        let target = |t: &str| {
            String::from_utf8(
                whole(&format!("GET {t} HTTP/1.1\r\nHost: x\r\n\r\n"))
                    .1
                    .target
                    .to_vec(),
            )
            .unwrap()
        };
        assert_eq!(target("/"), "/");
        assert_eq!(target("http://example.org/a/b?c"), "/a/b?c");
        assert_eq!(target("HTTP://example.org"), "/");
        assert_eq!(target("http://example.org?q=/x"), "/");
        for bad in [
            "*",
            "a/b",
            "http:///x",
            "http://",
            "https://example.org/",
            "ftp://x/",
        ] {
            assert_eq!(
                status(&format!("GET {bad} HTTP/1.1\r\nHost: x\r\n\r\n")),
                Status::BadRequest,
                "{bad}"
            );
        }
    }

    #[test]
    fn methods() {
        for (method, expected) in [
            ("POST", Status::MethodNotAllowed),
            ("PUT", Status::MethodNotAllowed),
            ("DELETE", Status::MethodNotAllowed),
            ("OPTIONS", Status::MethodNotAllowed),
            ("TRACE", Status::MethodNotAllowed),
            ("CONNECT", Status::MethodNotAllowed),
            ("PATCH", Status::MethodNotAllowed),
            ("BREW", Status::NotImplemented),
            ("get", Status::NotImplemented),
        ] {
            assert_eq!(
                status(&format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n")),
                expected
            );
        }
    }

    #[test]
    fn a_refused_method_says_where_the_next_request_begins() {
        let text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
        let refused = parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            refused.rest,
            Some((text.len() - 5, Framing::Sized(5), true))
        );
        let refused = parse(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap_err();
        assert_eq!(refused.rest, None);
    }

    #[test]
    fn hosts() {
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), Status::BadRequest);
        assert_eq!(
            status("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
            Status::BadRequest
        );
        assert_eq!(
            status("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
            Status::BadRequest
        );
        assert_eq!(
            status("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
            Status::BadRequest
        );
        whole("GET / HTTP/1.1\r\nHost:\r\n\r\n");
        whole("GET / HTTP/1.0\r\n\r\n");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length : 5\r\n",
            " Content-Length: 5\r\n",
            "X: a\r\n Content-Length: 5\r\n",
            "X: a\0b\r\n",
            "X: a\rb\r\n",
            ": a\r\n",
        ] {
            assert_eq!(
                status(&format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n")),
                Status::BadRequest,
                "{fields:?}"
            );
        }
        assert_eq!(
            status("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Status::BadRequest
        );
        for coding in [
            "gzip",
            "gzip, chunked",
            "chunked, chunked",
            "identity",
            "xchunked",
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {coding}\r\n\r\n");
            assert_eq!(status(&text), Status::NotImplemented, "{coding}");
        }
    }

    #[test]
    fn versions() {
        assert_eq!(
            status("GET / HTTP/2.0\r\n\r\n"),
            Status::VersionNotSupported
        );
        assert_eq!(status("GET / HTTP/2\r\n\r\n"), Status::VersionNotSupported);
        assert_eq!(
            status("GET / HTTP/3.1\r\nHost: x\r\n\r\n"),
            Status::VersionNotSupported
        );
        assert_eq!(status("GET / HTTPS/1.1\r\n\r\n"), Status::BadRequest);
        assert_eq!(status("GET / http/1.1\r\n\r\n"), Status::BadRequest);
        assert_eq!(status("GET /\r\n\r\n"), Status::BadRequest);
        assert_eq!(
            status("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n"),
            Status::BadRequest
        );
    }

    #[test]
    fn too_many_fields() {
        let mut text = String::from("GET / HTTP/1.1\r\nHost: x\r\n");
        for n in 0..MOST_FIELDS {
            text += &format!("X-{n}: y\r\n");
        }
        text += "\r\n";
        assert_eq!(status(&text), Status::HeaderFieldsTooLarge);
    }
}
