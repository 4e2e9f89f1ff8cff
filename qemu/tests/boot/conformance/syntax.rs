//! Request lines, targets, versions, hosts, fields.

use super::case::{Case, case, get};
use super::site::{INDEX, PAGE, STYLE};

pub fn cases() -> Vec<Case> {
    let mut cases = lines();
    cases.extend(targets());
    cases.extend(hosts());
    cases.extend(fields());
    cases.extend(limits());
    cases
}

fn lines() -> Vec<Case> {
    const LINE: &str = "RFC 9112, 3";
    vec![
        case(LINE, "a request", "GET / HTTP/1.1\r\nHost: t\r\n\r\n")
            .gives(200)
            .body(INDEX)
            .open(),
        case(
            "RFC 9112, 2.2",
            "empty lines in front of it",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n",
        )
        .gives(200)
        .body(INDEX)
        .open(),
        case(
            "RFC 9112, 2.2",
            "lines that end with LF alone",
            "GET / HTTP/1.1\nHost: t\n\n",
        )
        .gives(400),
        case(
            "RFC 9112, 2.2",
            "one field line that ends with LF alone",
            "GET / HTTP/1.1\r\nHost: t\nX: y\r\n\r\n",
        )
        .gives(400),
        case(
            "RFC 9112, 2.2",
            "a carriage return in a field",
            get("/", "X: a\rb\r\n"),
        )
        .gives(400),
        case(LINE, "no version", "GET /\r\n\r\n").gives(400),
        case(LINE, "no target", "GET HTTP/1.1\r\nHost: t\r\n\r\n").gives(400),
        case(
            LINE,
            "blanks in the target",
            "GET /a b HTTP/1.1\r\nHost: t\r\n\r\n",
        )
        .gives(400),
        case(
            LINE,
            "a blank at the front",
            " GET / HTTP/1.1\r\nHost: t\r\n\r\n",
        )
        .gives(400),
        case(
            LINE,
            "a tab for a blank",
            "GET\t/ HTTP/1.1\r\nHost: t\r\n\r\n",
        )
        .gives(400),
        case(LINE, "garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n").gives(400),
        case(
            LINE,
            "a name of no protocol",
            "GET / XTTP/1.1\r\nHost: t\r\n\r\n",
        )
        .gives(400),
        case(
            "RFC 9112, 2.3",
            "a protocol in small letters",
            "GET / http/1.1\r\nHost: t\r\n\r\n",
        )
        .gives(400),
        case(
            "RFC 9112, 2.3",
            "a version without its minor figure",
            "GET / HTTP/1\r\nHost: t\r\n\r\n",
        )
        .gives(400),
        case(
            "RFC 9112, 2.3",
            "a version of two figures",
            "GET / HTTP/1.10\r\nHost: t\r\n\r\n",
        )
        .gives(400),
        case(
            "RFC 9110, 2.5",
            "a later HTTP/1 is read as 1.1",
            "GET / HTTP/1.2\r\nHost: t\r\n\r\n",
        )
        .gives(200)
        .body(INDEX)
        .open(),
        case(
            "RFC 9110, 15.6.6",
            "HTTP/2.0 in words",
            "GET / HTTP/2.0\r\nHost: t\r\n\r\n",
        )
        .gives(505),
        case(
            "RFC 9113, 3.4",
            "the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        )
        .gives(505),
        case(
            "RFC 9112, 2.3",
            "HTTP/0.9 in words",
            "GET / HTTP/0.9\r\nHost: t\r\n\r\n",
        )
        .gives(505),
    ]
}

fn targets() -> Vec<Case> {
    const TARGET: &str = "RFC 9112, 3.2.2";
    let line = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n");
    vec![
        case(TARGET, "absolute form", line("http://t/style.css"))
            .gives(200)
            .body(STYLE)
            .open(),
        case(
            TARGET,
            "absolute form for another host than Host says",
            line("http://other/style.css"),
        )
        .gives(200)
        .body(STYLE)
        .open(),
        case(
            TARGET,
            "absolute form with a port and a query",
            line("http://t:8080/style.css?a=b"),
        )
        .gives(200)
        .body(STYLE)
        .open(),
        case(TARGET, "absolute form without a path", line("http://t"))
            .gives(200)
            .body(INDEX)
            .open(),
        case(
            "RFC 9110, 4.2.3",
            "a scheme in capitals",
            line("HTTP://t/style.css"),
        )
        .gives(200)
        .body(STYLE)
        .open(),
        case(
            "RFC 9110, 7.4",
            "a scheme that is not served here",
            line("https://t/style.css"),
        )
        .gives(421),
        case(
            TARGET,
            "a scheme of something else",
            line("ftp://t/style.css"),
        )
        .gives(400),
        case(
            "RFC 9110, 4.2.1",
            "absolute form without a host",
            line("http:///style.css"),
        )
        .gives(400),
        case(
            "RFC 9110, 4.2.4",
            "a user's name before the host",
            line("http://me@t/style.css"),
        )
        .gives(400),
        case(
            "RFC 9112, 3.2.3",
            "authority form without CONNECT",
            line("t:80"),
        )
        .gives(400),
        case(
            "RFC 9112, 3.2.4",
            "asterisk form without OPTIONS",
            line("*"),
        )
        .gives(400),
        case(
            "RFC 9112, 3.2.1",
            "a path without its slash",
            line("style.css"),
        )
        .gives(400),
        case("RFC 9110, 7.1", "a fragment", line("/style.css#top")).gives(400),
        case(
            "RFC 3986, 3.3",
            "letters beyond ASCII that are not escaped",
            line("/dir/caf\u{e9}.txt"),
        )
        .gives(200)
        .body(PAGE)
        .open(),
    ]
}

fn hosts() -> Vec<Case> {
    const HOST: &str = "RFC 9112, 3.2";
    let with = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}\r\n");
    vec![
        case(HOST, "no Host", with("")).gives(400),
        case(HOST, "two of them", with("Host: t\r\nHost: u\r\n")).gives(400),
        case(
            HOST,
            "two that are the same",
            with("Host: t\r\nHost: t\r\n"),
        )
        .gives(400),
        case(HOST, "an empty one", with("Host:\r\n"))
            .gives(200)
            .open(),
        case(HOST, "one with a port", with("Host: t:8080\r\n"))
            .gives(200)
            .open(),
        case(HOST, "an address of IPv6", with("Host: [::1]:80\r\n"))
            .gives(200)
            .open(),
        case(HOST, "a blank in it", with("Host: a b\r\n")).gives(400),
        case(HOST, "a slash in it", with("Host: a/b\r\n")).gives(400),
        case(HOST, "a list", with("Host: a, b\r\n")).gives(400),
        case(HOST, "a user's name in it", with("Host: me@t\r\n")).gives(400),
        case(HOST, "a port of letters", with("Host: t:http\r\n")).gives(400),
        case(HOST, "none with HTTP/1.0", "GET / HTTP/1.0\r\n\r\n")
            .gives(200)
            .body(INDEX),
        case(HOST, "its name in any letters", with("hOsT: t\r\n"))
            .gives(200)
            .open(),
    ]
}

fn fields() -> Vec<Case> {
    const FIELD: &str = "RFC 9112, 5.1";
    vec![
        case(FIELD, "no blank behind the colon", get("/", "X:y\r\n"))
            .gives(200)
            .open(),
        case(
            FIELD,
            "blanks and tabs around a value",
            get("/", "X: \t y\t \r\n"),
        )
        .gives(200)
        .open(),
        case(FIELD, "an empty value", get("/", "X:\r\n"))
            .gives(200)
            .open(),
        case(FIELD, "a blank before the colon", get("/", "X : y\r\n")).gives(400),
        case(FIELD, "no colon", get("/", "X\r\n")).gives(400),
        case(FIELD, "no name", get("/", ": y\r\n")).gives(400),
        case(FIELD, "a name that is no token", get("/", "X(: y\r\n")).gives(400),
        case("RFC 9112, 5.2", "a folded line", get("/", "X: a\r\n b\r\n")).gives(400),
        case(
            "RFC 9112, 2.2",
            "a blank before the first field",
            "GET / HTTP/1.1\r\n Host: t\r\n\r\n",
        )
        .gives(400),
        case(
            "RFC 9110, 5.5",
            "a zero byte in a value",
            get("/", "X: a\0b\r\n"),
        )
        .gives(400),
        case(
            "RFC 9110, 5.5",
            "a control character in a value",
            get("/", "X: a\x01b\r\n"),
        )
        .gives(400),
        case(
            "RFC 9110, 5.5",
            "letters beyond ASCII in a value",
            get("/", "X: caf\u{e9}\r\n"),
        )
        .gives(200)
        .open(),
        case(
            "RFC 9110, 5.1",
            "an unknown field",
            get("/", "Sec-Whatever: ?1\r\n"),
        )
        .gives(200)
        .open(),
    ]
}

fn limits() -> Vec<Case> {
    let long = "a".repeat(9000);
    let many: String = (0..70).map(|n| format!("X-{n}: y\r\n")).collect();
    vec![
        case(
            "RFC 9110, 15.5.15",
            "a target longer than the buffer",
            format!("GET /{long} HTTP/1.1\r\nHost: t\r\n\r\n"),
        )
        .gives(414),
        case(
            "RFC 9112, 3",
            "a target of 4,000 letters",
            get(&format!("/style.css?{}", "a".repeat(4000)), ""),
        )
        .gives(200)
        .body(STYLE)
        .open(),
        case(
            "RFC 6585, 5",
            "a field longer than the buffer",
            get("/", &format!("X: {long}\r\n")),
        )
        .gives(431),
        case("RFC 6585, 5", "seventy fields", get("/", &many)).gives(431),
        case(
            "RFC 9110, 5.4",
            "fields of 4,000 bytes",
            get("/", &format!("Cookie: {}\r\n", "a".repeat(4000))),
        )
        .gives(200)
        .open(),
    ]
}
