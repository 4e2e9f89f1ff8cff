//! Methods.

use super::case::{Case, case, get, head};
use super::site::{INDEX, STYLE};

const ALLOWED: &str = "GET, HEAD, OPTIONS";

pub fn cases() -> Vec<Case> {
    const NOT_ALLOWED: &str = "RFC 9110, 15.5.6";
    let ask = |method: &str| format!("{method} / HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut cases = vec![
        case("RFC 9110, 9.3.1", "GET", get("/style.css", ""))
            .gives(200)
            .body(STYLE)
            .open(),
        case(
            "RFC 9110, 9.3.2",
            "HEAD has the fields of GET and no content",
            head("/style.css", ""),
        )
        .gives(200)
        .field("Content-Length", &STYLE.len().to_string())
        .field("Content-Type", "text/css; charset=utf-8")
        .field("Last-Modified", super::site::MODIFIED_TEXT)
        .field("ETag", "$TAG")
        .open(),
        case(
            "RFC 9110, 9.3.2",
            "HEAD of what is not there",
            head("/nothing", ""),
        )
        .gives(404)
        .open(),
        case("RFC 9110, 9.3.2", "HEAD of a directory", head("/dir", ""))
            .gives(301)
            .open(),
        case(
            "RFC 9110, 9.3.7",
            "OPTIONS of the server",
            "OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n",
        )
        .gives(204)
        .field("Allow", ALLOWED)
        .lacks("Content-Length")
        .open(),
        case(
            "RFC 9110, 9.3.7",
            "OPTIONS of a file",
            "OPTIONS /style.css HTTP/1.1\r\nHost: t\r\n\r\n",
        )
        .gives(204)
        .field("Allow", ALLOWED)
        .open(),
        case(
            "RFC 9112, 3.2.4",
            "OPTIONS of the server in absolute form",
            "OPTIONS http://t HTTP/1.1\r\nHost: t\r\n\r\n",
        )
        .gives(204)
        .open(),
        case(
            NOT_ALLOWED,
            "POST with its content",
            "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
        )
        .gives(405)
        .field("Allow", ALLOWED)
        .open(),
        case(
            NOT_ALLOWED,
            "POST with more content than is read",
            "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\nhello",
        )
        .gives(405),
        case(
            "RFC 9110, 9.3.6",
            "CONNECT",
            "CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n",
        )
        .gives(405)
        .field("Allow", ALLOWED),
        case("RFC 9110, 9.1", "a method in small letters", ask("get"))
            .gives(501)
            .open(),
        case(
            "RFC 9110, 15.6.2",
            "a method that is not known",
            ask("BREW"),
        )
        .gives(501)
        .open(),
        case("RFC 4918, 9.1", "a method of WebDAV", ask("PROPFIND"))
            .gives(501)
            .open(),
        case("RFC 9110, 5.6.2", "a method that is no token", ask("GE(T")).gives(400),
        case("RFC 9110, 5.6.2", "a long method", ask(&"A".repeat(1000)))
            .gives(501)
            .open(),
        case(
            "RFC 9110, 9.3.1",
            "GET with content",
            "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\n!",
        )
        .gives(200)
        .body(INDEX)
        .open(),
    ];
    for method in ["PUT", "DELETE", "PATCH", "TRACE"] {
        cases.push(
            case(NOT_ALLOWED, method, ask(method))
                .gives(405)
                .field("Allow", ALLOWED)
                .open(),
        );
    }
    cases
}
