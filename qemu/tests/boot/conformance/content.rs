//! What is said of content, and in which form it is sent.

use super::case::{Case, case, get, head};
use super::site::{INDEX, MODIFIED_TEXT, STYLE, STYLE_BROTLI, STYLE_GZIP};

pub fn cases() -> Vec<Case> {
    let mut cases = fields();
    cases.extend(negotiation());
    cases
}

fn fields() -> Vec<Case> {
    const TYPE: &str = "RFC 9110, 8.3";
    let kind = |name, path: &str, kind: &str| {
        case(TYPE, name, get(path, ""))
            .gives(200)
            .field("Content-Type", kind)
            .open()
    };
    vec![
        kind("HTML", "/", "text/html; charset=utf-8"),
        kind("CSS", "/style.css", "text/css; charset=utf-8"),
        kind("text", "/digits.txt", "text/plain; charset=utf-8"),
        kind("JavaScript", "/more.js", "text/javascript; charset=utf-8"),
        kind("JSON", "/more.json", "application/json; charset=utf-8"),
        kind("SVG", "/picture.svg", "image/svg+xml; charset=utf-8"),
        kind("PNG", "/photo.png", "image/png"),
        kind("WebAssembly", "/m.wasm", "application/wasm"),
        kind(
            "what is not known",
            "/unknown.zzz",
            "application/octet-stream",
        ),
        case("RFC 9110, 6.6.1", "Date", get("/", ""))
            .gives(200)
            .has("Date")
            .open(),
        case("RFC 9110, 6.6.1", "Date on an error", get("/nothing", ""))
            .gives(404)
            .has("Date")
            .open(),
        case("RFC 9110, 10.2.4", "Server", get("/", ""))
            .gives(200)
            .has("Server")
            .open(),
        case("RFC 9110, 8.8.2", "Last-Modified", get("/digits.txt", ""))
            .gives(200)
            .field("Last-Modified", MODIFIED_TEXT)
            .open(),
        case("RFC 9110, 8.8.3", "ETag", get("/digits.txt", ""))
            .gives(200)
            .field("ETag", "$DIGITS")
            .open(),
        case("RFC 9110, 14.3", "Accept-Ranges", get("/digits.txt", ""))
            .gives(200)
            .field("Accept-Ranges", "bytes")
            .open(),
        case("RFC 9110, 8.6", "Content-Length", get("/digits.txt", ""))
            .gives(200)
            .field("Content-Length", "1000")
            .open(),
        case("RFC 9110, 8.6", "an empty file", get("/empty.txt", ""))
            .gives(200)
            .field("Content-Length", "0")
            .body("")
            .open(),
        case(
            "RFC 9110, 12.5.1",
            "Accept does not keep a file back",
            get("/", "Accept: image/png\r\n"),
        )
        .gives(200)
        .body(INDEX)
        .open(),
        case(
            "RFC 9110, 12.5.4",
            "nor does Accept-Language",
            get("/", "Accept-Language: tlh\r\n"),
        )
        .gives(200)
        .body(INDEX)
        .open(),
    ]
}

fn negotiation() -> Vec<Case> {
    const ENCODING: &str = "RFC 9110, 12.5.3";
    let accept = |value: &str| get("/style.css", &format!("Accept-Encoding: {value}\r\n"));
    let sent = |name, value: &str, body: &[u8]| {
        let case = case(ENCODING, name, accept(value)).gives(200).body(body);
        case.field("Vary", "Accept-Encoding")
            .field("Content-Length", &body.len().to_string())
            .open()
    };
    vec![
        case(
            ENCODING,
            "without a wish the file as it is",
            get("/style.css", ""),
        )
        .gives(200)
        .body(STYLE)
        .lacks("Content-Encoding")
        .field("Vary", "Accept-Encoding")
        .open(),
        sent("gzip", "gzip", STYLE_GZIP)
            .field("Content-Encoding", "gzip")
            .field("Content-Type", "text/css; charset=utf-8")
            .field("ETag", "$GZIP"),
        sent(
            "what browsers say",
            "gzip, deflate, br, zstd",
            STYLE_BROTLI.as_bytes(),
        )
        .field("Content-Encoding", "br"),
        sent("in any letters", "GZIP", STYLE_GZIP),
        sent("by another name", "x-gzip", STYLE_GZIP),
        sent("only what is not there", "deflate, zstd", STYLE.as_bytes()).lacks("Content-Encoding"),
        sent("an empty wish", "", STYLE.as_bytes()).lacks("Content-Encoding"),
        sent("everything", "*", STYLE_BROTLI.as_bytes()),
        sent("everything but", "br;q=0, *", STYLE_GZIP),
        sent("by weight", "br;q=0.3, gzip;q=0.8", STYLE_GZIP),
        sent(
            "the file as it is by weight",
            "gzip;q=0.5, identity",
            STYLE.as_bytes(),
        )
        .lacks("Content-Encoding"),
        sent("not that one", "gzip;q=0", STYLE.as_bytes()).lacks("Content-Encoding"),
        sent("a weight with blanks", "gzip ; q=1", STYLE_GZIP),
        sent(
            "in two lines",
            "deflate\r\nAccept-Encoding: gzip",
            STYLE_GZIP,
        ),
        case(
            ENCODING,
            "nothing at all",
            accept("identity;q=0, br;q=0, gzip;q=0"),
        )
        .gives(406)
        .open(),
        case(ENCODING, "nothing at all in short", accept("*;q=0"))
            .gives(406)
            .open(),
        case(
            ENCODING,
            "not as it is, when there is no other form",
            get("/digits.txt", "Accept-Encoding: gzip, identity;q=0\r\n"),
        )
        .gives(406)
        .open(),
        case(
            ENCODING,
            "HEAD is told of the same form",
            head("/style.css", "Accept-Encoding: gzip\r\n"),
        )
        .gives(200)
        .field("Content-Encoding", "gzip")
        .field("Content-Length", &STYLE_GZIP.len().to_string())
        .open(),
        case(
            ENCODING,
            "a file of one form varies by nothing",
            get("/digits.txt", "Accept-Encoding: gzip\r\n"),
        )
        .gives(200)
        .lacks("Vary")
        .lacks("Content-Encoding")
        .open(),
        case(
            "RFC 9110, 8.8.3.3",
            "each form has a tag of its own",
            get(
                "/style.css",
                "Accept-Encoding: gzip\r\nIf-None-Match: $TAG\r\n",
            ),
        )
        .gives(200)
        .body(STYLE_GZIP)
        .open(),
        case(
            "RFC 9110, 8.8.3.3",
            "and is not sent again",
            get(
                "/style.css",
                "Accept-Encoding: gzip\r\nIf-None-Match: $GZIP\r\n",
            ),
        )
        .gives(304)
        .field("ETag", "$GZIP")
        .field("Vary", "Accept-Encoding")
        .open(),
        case(
            "RFC 9110, 14.2",
            "ranges are those of the form that is sent",
            get(
                "/style.css",
                "Accept-Encoding: gzip\r\nRange: bytes=0-2\r\n",
            ),
        )
        .gives(206)
        .field("Content-Encoding", "gzip")
        .field("Content-Range", &format!("bytes 0-2/{}", STYLE_GZIP.len()))
        .body(&STYLE_GZIP[..3])
        .open(),
    ]
}
