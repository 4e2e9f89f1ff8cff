//! A request's head: what of it matters to a server of files (RFC 9110, RFC 9112).
//!
//! Nothing that two readers could understand differently is accepted: such requests are how one is
//! smuggled past a proxy.

use super::fields::{Fields, Lines, Marks};
use super::negotiation::{Accept, Wish};
use super::status::Status;
use super::target::{self, Target};
use core::mem::MaybeUninit;
use httparse::{Error, Header};

/// Most fields of a head.
pub(super) const MOST_FIELDS: usize = 64;

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

/// The methods that a file or a handler may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// RFC 9110, 9.3.1.
    Get,
    /// RFC 9110, 9.3.2: the answer has no content.
    Head,
    /// RFC 9110, 9.3.7.
    Options,
    /// RFC 9110, 9.3.3: for handlers alone, as all that follow.
    Post,
    /// RFC 9110, 9.3.4.
    Put,
    /// RFC 5789.
    Patch,
    /// RFC 9110, 9.3.5.
    Delete,
}

/// A request's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// What is to be done.
    pub method: Method,
    /// The path, as it stands in the request; `*` for the server as a whole.
    pub path: &'a [u8],
    /// The query, without its question mark, if there is one.
    pub query: Option<&'a [u8]>,
    /// Sent as HTTP/1.0.
    pub old: bool,
    /// The connection can go on afterwards.
    pub keep: bool,
    /// How its content is framed.
    pub framing: Framing,
    /// The client waits for a 100 before it sends its content.
    pub waits: bool,
    /// All fields.
    fields: &'a [Header<'a>],
    /// Which of them are what.
    marks: Marks,
    /// What `Accept-Encoding` says, if that was read before.
    wish: Option<Wish>,
    /// The head as it was sent.
    pub text: &'a [u8],
}

/// The fields of conditional and range requests (RFC 9110, 13 and 14).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conditions<'a> {
    /// `If-Match`.
    pub if_match: Lines<'a>,
    /// `If-None-Match`.
    pub if_none_match: Lines<'a>,
    /// `If-Modified-Since`.
    pub if_modified_since: Lines<'a>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Lines<'a>,
    /// `If-Range`.
    pub if_range: Lines<'a>,
    /// `Range`.
    pub range: Lines<'a>,
}

impl<'a> Request<'a> {
    /// A GET or HEAD of HTTP/1.1 without content and conditions, whose fields were read before.
    pub(super) fn plain(
        method: Method,
        target: Target<'a>,
        keep: bool,
        wish: Wish,
        text: &'a [u8],
    ) -> Request<'a> {
        Request {
            method,
            path: target.path,
            query: target.query,
            old: false,
            keep,
            framing: Framing::Empty,
            waits: false,
            fields: &[],
            marks: Marks::default(),
            wish: Some(wish),
            text,
        }
    }

    /// `Accept-Encoding`.
    pub fn codings(&self) -> Accept<'a> {
        match self.wish {
            Some(wish) => Accept::Read(wish),
            None => Accept::Lines(Lines::new(self.fields, self.marks.codings)),
        }
    }

    /// Whether there is a condition that says anything by itself.
    pub fn is_conditional(&self) -> bool {
        let Marks {
            if_match,
            if_none_match,
            if_modified_since,
            if_unmodified_since,
            range,
            ..
        } = self.marks;
        if_match | if_none_match | if_modified_since | if_unmodified_since | range != 0
    }

    /// Under which conditions it is to be answered.
    pub fn conditions(&self) -> Conditions<'a> {
        let lines = |mask| Lines::new(self.fields, mask);
        Conditions {
            if_match: lines(self.marks.if_match),
            if_none_match: lines(self.marks.if_none_match),
            if_modified_since: lines(self.marks.if_modified_since),
            if_unmodified_since: lines(self.marks.if_unmodified_since),
            if_range: lines(self.marks.if_range),
            range: lines(self.marks.range),
        }
    }
}

/// Room for the fields of a head.
pub(crate) struct Room<'a>([MaybeUninit<Header<'a>>; MOST_FIELDS]);

impl Room<'_> {
    /// It costs nothing.
    pub const fn new() -> Self {
        Room([const { MaybeUninit::uninit() }; MOST_FIELDS])
    }
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
    /// One of a later HTTP/1, which is to be read as 1.1 (RFC 9110, 2.5): the place of the figure
    /// that says so.
    Newer(usize),
}

/// Empty lines in front of a request, in bytes: they are passed over (RFC 9112, 2.2).
pub(crate) fn empty_lines(buffer: &[u8]) -> usize {
    let mut rest = buffer;
    while let [b'\r', b'\n', more @ ..] | [b'\n', more @ ..] = rest {
        rest = more;
    }
    buffer.len() - rest.len()
}

/// Parses the head that `buffer` begins with. Its fields lie in `room` then.
///
/// # Errors
/// With the answer, when it is not a request that a file can answer.
#[cfg_attr(target_os = "none", optimize(size))]
pub(crate) fn parse<'a>(buffer: &'a [u8], room: &'a mut Room<'a>) -> Result<Parsed<'a>, Refused> {
    let refuse = |status| Refused { status, rest: None };
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(buffer, &mut room.0) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(Error::TooManyHeaders) => return Err(refuse(Status::HeaderFieldsTooLarge)),
        Err(Error::Version) => return other_version(buffer).map_err(refuse),
        Err(_) => return Err(refuse(Status::BadRequest)),
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(refuse(Status::BadRequest));
    };
    let headers: &'a [Header<'a>] = parsed.headers;
    if !lines_end_well(&buffer[..len], headers) {
        return Err(refuse(Status::BadRequest));
    }
    let fields = Fields::read(headers).map_err(refuse)?;
    let old = minor == 0;
    // RFC 9112, 3.2: one Host field in every request of HTTP/1.1.
    if fields.hosts > 1 || (fields.hosts == 0 && !old) {
        return Err(refuse(Status::BadRequest));
    }
    let framing = fields.framing(old).map_err(refuse)?;
    let keep = !fields.close && (!old || fields.keep_alive);
    // RFC 9110, 10.1.1: HTTP/1.0 knows no expectations.
    let waits = fields.expects && !old && framing != Framing::Empty;
    let known = match method {
        "GET" => Ok(Method::Get),
        "HEAD" => Ok(Method::Head),
        "OPTIONS" => Ok(Method::Options),
        "POST" => Ok(Method::Post),
        "PUT" => Ok(Method::Put),
        "PATCH" => Ok(Method::Patch),
        "DELETE" => Ok(Method::Delete),
        "TRACE" | "CONNECT" => Err(Status::MethodNotAllowed),
        _ => Err(Status::NotImplemented),
    };
    let method = match known {
        _ if fields.unknown_expectation && !old => Err(Status::ExpectationFailed),
        Ok(method) => Ok(method),
        // After CONNECT the bytes would not be HTTP any more.
        Err(status) if method == "CONNECT" => return Err(refuse(status)),
        Err(status) => Err(status),
    };
    let method = method.map_err(|status| {
        // A client that waits for a 100 gets this answer instead, and may then send its content
        // or not: nobody can tell, so the connection ends (RFC 9110, 10.1.1).
        let keep = keep && !waits && !fields.unknown_expectation;
        let rest = Some((len, framing, keep));
        Refused { status, rest }
    })?;
    let Target { path, query } =
        target::read(target.as_bytes(), method == Method::Options).map_err(refuse)?;
    Ok(Parsed::Whole(
        len,
        Request {
            method,
            path,
            query,
            old,
            keep,
            framing,
            waits,
            fields: headers,
            marks: fields.marks,
            wish: None,
            text: &buffer[..len],
        },
    ))
}

/// Whether every line of a head ends with CR LF. httparse takes LF alone, as a server may (RFC
/// 9112, 2.2); a proxy that does not would see other fields than we do.
#[cfg_attr(target_os = "none", optimize(size))]
fn lines_end_well(head: &[u8], fields: &[Header<'_>]) -> bool {
    let start = head.as_ptr().addr();
    let ends_at = |at: usize| head[..at].ends_with(b"\r\n");
    head.ends_with(b"\r\n\r\n")
        && fields
            .iter()
            .all(|field| ends_at(field.name.as_ptr().addr() - start))
}

/// What becomes of a request line that httparse found no HTTP/1.0 or 1.1 in.
#[cfg_attr(target_os = "none", optimize(size))]
fn other_version(buffer: &[u8]) -> Result<Parsed<'_>, Status> {
    let start = empty_lines(buffer);
    let line = &buffer[start..];
    let Some(end) = line.iter().position(|&b| b == b'\n') else {
        return Ok(Parsed::Partial);
    };
    let line = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
    let word = line.iter().rposition(|&b| b == b' ').map_or(0, |at| at + 1);
    match line[word..].strip_prefix(b"HTTP/") {
        Some([b'1', b'.', b'2'..=b'9']) => Ok(Parsed::Newer(start + line.len() - 1)),
        Some([b'0' | b'2'..=b'9'] | [b'0' | b'2'..=b'9', b'.', b'0'..=b'9']) => {
            Err(Status::VersionNotSupported)
        }
        _ => Err(Status::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::format;
    use std::string::String;

    /// Tests have room for everything.
    fn parse(buffer: &[u8]) -> Result<Parsed<'_>, Refused> {
        super::parse(buffer, Box::leak(Box::new(Room::new())))
    }

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
        assert_eq!((len, request.path), (text.len(), &b"/a"[..]));
        assert_eq!(request.query, Some(&b"b"[..]));
        assert!(request.keep && !request.old && request.method == Method::Get);
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
    }

    #[test]
    fn expectations() {
        let waits = |line: &str, fields: &str| {
            whole(&format!("{line}\r\nHost: x\r\nExpect: {fields}\r\n"))
                .1
                .waits
        };
        let body = "100-continue\r\nContent-Length: 3\r\n";
        assert!(waits("GET / HTTP/1.1", body));
        assert!(waits(
            "GET / HTTP/1.1",
            "100-Continue\r\nTransfer-Encoding: chunked\r\n"
        ));
        assert!(!waits("GET / HTTP/1.1", "100-continue\r\n"));
        assert!(!waits("GET / HTTP/1.0", body));
        assert!(!waits("GET / HTTP/1.0", "tea\r\n"));
        for unknown in ["tea", "100-continue, tea", "100-continue;q=1", ""] {
            let text = format!("GET / HTTP/1.1\r\nHost: x\r\nExpect: {unknown}\r\n\r\n");
            assert_eq!(status(&text), Status::ExpectationFailed, "{unknown}");
        }
        let refused = parse(
            b"TRACE / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        );
        let refused = refused.unwrap_err();
        assert_eq!(refused.status, Status::MethodNotAllowed);
        assert!(matches!(refused.rest, Some((_, Framing::Sized(3), false))));
    }

    #[test]
    fn every_line_ends_with_both() {
        for text in [
            "GET / HTTP/1.1\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\n",
            "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
            "GET / HTTP/1.0\n\r\n",
            "GET / HTTP/1.0\r\n\n",
            "GET / HTTP/1.0\n\n",
        ] {
            assert_eq!(status(text), Status::BadRequest, "{text:?}");
        }
        whole("\r\n\r\nGET / HTTP/1.0\r\n\r\n");
        assert_eq!(empty_lines(b"\r\n\n\r\nGET"), 5);
        assert_eq!(empty_lines(b"\r"), 0);
    }

    #[test]
    fn methods() {
        for (method, expected) in [
            ("TRACE", Status::MethodNotAllowed),
            ("CONNECT", Status::MethodNotAllowed),
            ("BREW", Status::NotImplemented),
            ("get", Status::NotImplemented),
        ] {
            assert_eq!(
                status(&format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n")),
                expected
            );
        }
        for (method, expected) in [
            ("POST", Method::Post),
            ("PUT", Method::Put),
            ("DELETE", Method::Delete),
            ("PATCH", Method::Patch),
        ] {
            let text = format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(whole(&text).1.method, expected);
        }
    }

    #[test]
    fn a_refused_method_says_where_the_next_request_begins() {
        let text = "TRACE / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
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
        let status_of = |coding: &str| {
            status(&format!(
                "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {coding}\r\n\r\n"
            ))
        };
        for coding in ["gzip, chunked", "x,chunked", "identity, Chunked"] {
            assert_eq!(status_of(coding), Status::NotImplemented, "{coding}");
        }
        for coding in [
            "",
            "gzip",
            "identity",
            "xchunked",
            "chunked, gzip",
            "chunked, chunked",
            "chunked;a=b",
            "\"chunked\"",
            ",chunked",
            "chunked,",
        ] {
            assert_eq!(status_of(coding), Status::BadRequest, "{coding}");
        }
        for value in ["chunked", "Chunked", "\tchunked "] {
            let text = format!("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {value}\r\n\r\n");
            assert_eq!(whole(&text).1.framing, Framing::Chunked, "{value}");
        }
    }

    #[test]
    fn versions() {
        for newer in ["1.2", "1.9"] {
            let text = format!("\r\nGET / HTTP/{newer}\r\nHost: x\r\n\r\n");
            let Ok(Parsed::Newer(at)) = parse(text.as_bytes()) else {
                panic!("{text:?}");
            };
            let mut bytes = text.into_bytes();
            bytes[at] = b'1';
            assert!(matches!(parse(&bytes), Ok(Parsed::Whole(..))));
        }
        assert!(matches!(parse(b"GET / HTTP/2"), Ok(Parsed::Partial)));
        assert_eq!(status("GET / HTTP/1.10\r\n\r\n"), Status::BadRequest);
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
