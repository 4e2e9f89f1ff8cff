//! Content of requests: where it ends, what is refused, and what the client waits for.

use super::case::{Case, case};
use super::site::INDEX;

pub fn cases() -> Vec<Case> {
    let mut cases = bodies();
    cases.extend(chunks());
    cases.extend(ambiguities());
    cases.extend(expectations());
    cases
}

fn with(fields: &str, content: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n{content}")
}

fn chunked(content: &str) -> String {
    with("Transfer-Encoding: chunked\r\n", content)
}

fn bodies() -> Vec<Case> {
    const BODY: &str = "RFC 9112, 6.2";
    vec![
        case(
            BODY,
            "content of a given length is read and dropped",
            with("Content-Length: 5\r\n", "hello"),
        )
        .gives(200)
        .body(INDEX)
        .open(),
        case(BODY, "a length of zero", with("Content-Length: 0\r\n", ""))
            .gives(200)
            .open(),
        case(
            BODY,
            "a length with leading zeros",
            with("Content-Length: 0005\r\n", "hello"),
        )
        .gives(200)
        .open(),
        case(
            "RFC 9112, 9.3",
            "content that looks like a request is none",
            with("Content-Length: 28\r\n", "GET /404 HTTP/1.1\r\nHost: t\r\n"),
        )
        .gives(200)
        .body(INDEX)
        .open(),
        case(
            "RFC 9110, 15.5.14",
            "more content than is read and dropped",
            with("Content-Length: 65537\r\n", ""),
        )
        .gives(413),
        case(
            "RFC 9110, 15.5.14",
            "a length beyond all numbers",
            with("Content-Length: 18446744073709551616\r\n", ""),
        )
        .gives(400),
        case(
            "RFC 9112, 6.3",
            "content that ends too early",
            with("Content-Length: 50\r\n", "hello"),
        )
        .half_closed(),
    ]
}

fn chunks() -> Vec<Case> {
    const CHUNK: &str = "RFC 9112, 7.1";
    vec![
        case(
            CHUNK,
            "chunks",
            chunked("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
        )
        .gives(200)
        .body(INDEX)
        .open(),
        case(
            CHUNK,
            "sizes in both letters, with zeros in front",
            chunked("000A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
        )
        .gives(200)
        .open(),
        case(
            "RFC 9112, 7.1.1",
            "an extension",
            chunked("5;name=\"value\"\r\nhello\r\n0\r\n\r\n"),
        )
        .gives(200)
        .open(),
        case(
            "RFC 9112, 7.1.2",
            "trailer fields",
            chunked("0\r\nX: y\r\nContent-Length: 9\r\n\r\n"),
        )
        .gives(200)
        .open(),
        case(
            "RFC 9112, 7",
            "the coding's name in any letters",
            with("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"),
        )
        .gives(200)
        .open(),
        case(
            CHUNK,
            "a size that is no number",
            chunked("x\r\nhello\r\n0\r\n\r\n"),
        )
        .gives(400),
        case(CHUNK, "no size", chunked("\r\nhello\r\n0\r\n\r\n")).gives(400),
        case(
            CHUNK,
            "a size with a sign",
            chunked("+5\r\nhello\r\n0\r\n\r\n"),
        )
        .gives(400),
        case(
            CHUNK,
            "a size with 0x",
            chunked("0x5\r\nhello\r\n0\r\n\r\n"),
        )
        .gives(400),
        case(
            CHUNK,
            "a size beyond all numbers",
            chunked("fffffffffffffffff\r\n"),
        )
        .gives(400),
        case(
            CHUNK,
            "a chunk longer than it says",
            chunked("3\r\nhello\r\n0\r\n\r\n"),
        )
        .gives(400),
        case(
            CHUNK,
            "a size line that ends with LF alone",
            chunked("5\nhello\r\n0\r\n\r\n"),
        )
        .gives(400),
        case(
            CHUNK,
            "a chunk that ends with LF alone",
            chunked("5\r\nhello\n0\r\n\r\n"),
        )
        .gives(400),
        case(
            CHUNK,
            "a carriage return alone behind a size",
            chunked("5\rhello\r\n0\r\n\r\n"),
        )
        .gives(400),
    ]
}

fn ambiguities() -> Vec<Case> {
    const SMUGGLING: &str = "RFC 9112, 11.2";
    const LENGTH: &str = "RFC 9110, 8.6";
    const CODING: &str = "RFC 9112, 6.1";
    let length = |value: &str| with(&format!("Content-Length: {value}\r\n"), "hello");
    let coding = |value: &str| with(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n");
    vec![
        case(
            SMUGGLING,
            "a length and chunks",
            with(
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        )
        .gives(400),
        case(
            SMUGGLING,
            "chunks and a length",
            with(
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                "0\r\n\r\n",
            ),
        )
        .gives(400),
        case(
            SMUGGLING,
            "two lengths",
            with("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        )
        .gives(400),
        case(
            SMUGGLING,
            "two lengths that are the same",
            with("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        )
        .gives(400),
        case(LENGTH, "a list of lengths", length("5, 5")).gives(400),
        case(LENGTH, "a length with a sign", length("+5")).gives(400),
        case(LENGTH, "a negative length", length("-5")).gives(400),
        case(LENGTH, "a length with 0x", length("0x5")).gives(400),
        case(LENGTH, "a length with a blank in it", length("5 5")).gives(400),
        case(LENGTH, "no length in the field", length("")).gives(400),
        case(
            SMUGGLING,
            "a blank before a length's colon",
            with("Content-Length : 5\r\n", "hello"),
        )
        .gives(400),
        case(
            CODING,
            "chunks with HTTP/1.0",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        )
        .gives(400),
        case(
            CODING,
            "a coding that is not known, in chunks",
            coding("gzip, chunked"),
        )
        .gives(501),
        case(
            "RFC 9112, 6.3",
            "a coding that does not end with chunks",
            coding("gzip"),
        )
        .gives(400),
        case(
            "RFC 9112, 6.3",
            "chunks in a coding",
            coding("chunked, gzip"),
        )
        .gives(400),
        case(CODING, "chunks in chunks", coding("chunked, chunked")).gives(400),
        case(
            CODING,
            "the field twice",
            with(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        )
        .gives(400),
        case(
            "RFC 9112, 7",
            "the identity, which is no transfer coding",
            coding("identity"),
        )
        .gives(400),
        case(
            SMUGGLING,
            "something that only looks like chunked",
            coding("xchunked"),
        )
        .gives(400),
        case(
            SMUGGLING,
            "a control character before the coding",
            coding("\x0bchunked"),
        )
        .gives(400),
        case(SMUGGLING, "a quoted coding", coding("\"chunked\"")).gives(400),
    ]
}

fn expectations() -> Vec<Case> {
    const EXPECT: &str = "RFC 9110, 10.1.1";
    vec![
        case(
            EXPECT,
            "the client is told to go on",
            with("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
        )
        .gives(100)
        .gives(200)
        .body(INDEX)
        .open(),
        case(
            EXPECT,
            "in any letters, and for chunks",
            with(
                "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        )
        .gives(100)
        .gives(200)
        .open(),
        case(
            EXPECT,
            "not without content",
            with("Expect: 100-continue\r\n", ""),
        )
        .gives(200)
        .open(),
        case(
            EXPECT,
            "not with HTTP/1.0",
            "GET / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        )
        .gives(200)
        .body(INDEX),
        case(
            EXPECT,
            "a refusal comes at once",
            "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        )
        .gives(405),
        case(
            EXPECT,
            "too much content is refused before it is sent",
            with("Expect: 100-continue\r\nContent-Length: 1000000\r\n", ""),
        )
        .gives(413),
        case(
            "RFC 9110, 15.5.18",
            "another expectation",
            with("Expect: tea\r\n", ""),
        )
        .gives(417),
    ]
}
