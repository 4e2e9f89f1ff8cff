//! How long connections live, and the order of answers.

use super::case::{Case, case, get};
use super::site::{INDEX, MISSING, STYLE};

pub fn cases() -> Vec<Case> {
    const PERSISTENCE: &str = "RFC 9112, 9.3";
    const CLOSE: &str = "RFC 9112, 9.6";
    let old = |fields: &str| format!("GET / HTTP/1.0\r\n{fields}\r\n");
    vec![
        case(PERSISTENCE, "HTTP/1.1 goes on", get("/", "")).gives(200).lacks("Connection").open(),
        case(PERSISTENCE, "and says nothing when it is asked to", get("/", "Connection: keep-alive\r\n"))
            .gives(200)
            .open(),
        case(CLOSE, "until it is asked to close", get("/", "Connection: close\r\n"))
            .gives(200)
            .field("Connection", "close")
            .body(INDEX),
        case("RFC 9110, 7.6.1", "in any letters, in a list", get("/", "Connection: TE, CLOSE\r\n"))
            .gives(200)
            .field("Connection", "close"),
        case(
            "RFC 9110, 7.6.1",
            "in another line",
            get("/", "Connection: keep-alive\r\nConnection: close\r\n"),
        )
        .gives(200)
        .field("Connection", "close"),
        case(PERSISTENCE, "HTTP/1.0 ends", old("")).gives(200).field("Connection", "close").body(INDEX),
        case("RFC 9112, C.2.2", "HTTP/1.0 that asks goes on", old("Connection: Keep-Alive\r\n"))
            .gives(200)
            .field("Connection", "keep-alive")
            .open(),
        case(CLOSE, "HTTP/1.0 that asks for both ends", old("Connection: keep-alive, close\r\n"))
            .gives(200)
            .field("Connection", "close"),
        case("RFC 9110, 6.2", "an answer to HTTP/1.0 is in our own version", old("")).gives(200),
        case("RFC 9112, C.2.2", "Proxy-Connection is nothing", get("/", "Proxy-Connection: close\r\n"))
            .gives(200)
            .open(),
        case("RFC 9110, 7.8", "an upgrade that is not understood", get("/", "Connection: Upgrade\r\nUpgrade: h2c\r\n"))
            .gives(200)
            .body(INDEX)
            .open(),
        case("RFC 9110, 10.1.4", "TE is no matter", get("/", "TE: trailers\r\nConnection: TE\r\n"))
            .gives(200)
            .open(),
        case(
            "RFC 9112, 9.3.2",
            "requests in a row",
            get("/style.css", "") + &get("/nothing", "") + "HEAD / HTTP/1.1\r\nHost: t\r\n\r\n" + &get("/", ""),
        )
        .gives(200)
        .body(STYLE)
        .gives(404)
        .body(MISSING)
        .gives(200)
        .answers_head()
        .gives(200)
        .body(INDEX)
        .open(),
        case(
            "RFC 9112, 9.3.2",
            "content between requests in a row",
            format!(
                "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n{}",
                get("/", "")
            ),
        )
        .gives(405)
        .gives(200)
        .body(INDEX)
        .open(),
        case(
            CLOSE,
            "nothing behind a close is answered",
            get("/", "Connection: close\r\n") + &get("/style.css", ""),
        )
        .gives(200)
        .body(INDEX),
        case(
            "RFC 9112, 9.3.2",
            "nothing behind a malformed request is answered",
            "GET / HTTP/1.1\r\nHost t\r\n\r\n".to_owned() + &get("/style.css", ""),
        )
        .gives(400)
        .field("Connection", "close"),
        case(
            "RFC 9112, 2.2",
            "empty lines between requests",
            get("/style.css", "") + "\r\n\r\n" + &get("/", ""),
        )
        .gives(200)
        .body(STYLE)
        .gives(200)
        .body(INDEX)
        .open(),
        case(CLOSE, "a client that closes its side is answered", get("/", ""))
            .half_closed()
            .gives(200)
            .body(INDEX),
        case(
            CLOSE,
            "one that closes in the middle of a request is not",
            "GET / HTTP/1.1\r\nHost: t\r\n",
        )
        .half_closed(),
        case(
            CLOSE,
            "the client reads its refusal although it has sent more",
            "BAD\r\n\r\n".to_owned() + &"x".repeat(20_000),
        )
        .gives(400),
        case("RFC 9110, 15.5.9", "a request that does not end", "GET / HTTP/1.1\r\nHost: t\r\n")
            .gives(408),
        case(
            "RFC 9110, 15.5.9",
            "content that does not end",
            "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhell",
        )
        .gives(408),
    ]
}
