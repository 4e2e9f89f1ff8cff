//! From paths to files.

use super::case::{Case, case, get, head};
use super::site::{INDEX, MISSING, PAGE, STYLE};

pub fn cases() -> Vec<Case> {
    let mut cases = found();
    cases.extend(elsewhere());
    cases.extend(nowhere());
    cases
}

fn found() -> Vec<Case> {
    const ESCAPES: &str = "RFC 3986, 6.2.2.2";
    const DOTS: &str = "RFC 3986, 5.2.4";
    let file = |section, name, path: &str, body: &str| {
        case(section, name, get(path, ""))
            .gives(200)
            .body(body)
            .open()
    };
    vec![
        file("RFC 9110, 4.2.3", "the root", "/", INDEX),
        file(
            "RFC 9110, 4.2.3",
            "a page by its name",
            "/index.html",
            INDEX,
        ),
        file("RFC 9110, 4.2.3", "a directory", "/dir/", PAGE),
        file(
            "RFC 3986, 3.4",
            "a query is no matter for a file",
            "/style.css?v=2",
            STYLE,
        ),
        file("RFC 3986, 3.4", "an empty query", "/style.css?", STYLE),
        file(
            "RFC 3986, 3.4",
            "question marks in a query",
            "/style.css?a?b=/../c",
            STYLE,
        ),
        file(ESCAPES, "an escaped letter", "/%73tyle.css", STYLE),
        file(ESCAPES, "an escaped blank", "/dir/a%20b.txt", PAGE),
        file(ESCAPES, "an escaped percent sign", "/dir/100%25.txt", PAGE),
        file(
            ESCAPES,
            "escaped letters beyond ASCII",
            "/dir/caf%C3%A9.txt",
            PAGE,
        ),
        file(
            ESCAPES,
            "figures of escapes in small letters",
            "/dir/caf%c3%a9.txt",
            PAGE,
        ),
        file(ESCAPES, "an escaped slash", "/dir%2findex.html", PAGE),
        file(DOTS, "a dot part", "/./style.css", STYLE),
        file(DOTS, "two dots", "/dir/../style.css", STYLE),
        file(DOTS, "two dots at the end", "/dir/..", INDEX),
        file(DOTS, "a dot at the end", "/dir/.", PAGE),
        file(DOTS, "escaped dots", "/dir/%2e%2E/style.css", STYLE),
        file(
            DOTS,
            "dots behind an escaped slash",
            "/dir%2f..%2fstyle.css",
            STYLE,
        ),
    ]
}

fn elsewhere() -> Vec<Case> {
    const MOVED: &str = "RFC 9110, 15.4.2";
    vec![
        case(MOVED, "a directory without its slash", get("/dir", ""))
            .gives(301)
            .field("Location", "/dir/")
            .open(),
        case(MOVED, "its query goes along", get("/dir?a=b&c=/d", ""))
            .gives(301)
            .field("Location", "/dir/?a=b&c=/d")
            .open(),
        case(MOVED, "written in another way", get("/./%64ir", ""))
            .gives(301)
            .field("Location", "/dir/")
            .open(),
        case(MOVED, "with HEAD", head("/dir?q", ""))
            .gives(301)
            .field("Location", "/dir/?q")
            .open(),
        case(MOVED, "a file with a slash is none", get("/style.css/", ""))
            .gives(404)
            .open(),
    ]
}

fn nowhere() -> Vec<Case> {
    const NOT_FOUND: &str = "RFC 9110, 15.5.5";
    const TRAVERSAL: &str = "RFC 9110, 17.3";
    let nothing = |section, name, path: &str| {
        case(section, name, get(path, ""))
            .gives(404)
            .body(MISSING)
            .open()
    };
    let bad = |name, path: &str| case("RFC 3986, 2.1", name, get(path, "")).gives(400).open();
    vec![
        case(
            NOT_FOUND,
            "a path that leads nowhere shows the site's own page",
            get("/nothing", ""),
        )
        .gives(404)
        .field("Content-Type", "text/html; charset=utf-8")
        .field("Content-Length", &MISSING.len().to_string())
        .body(MISSING)
        .open(),
        nothing(NOT_FOUND, "names tell letters apart", "/Style.css"),
        nothing(NOT_FOUND, "two slashes are not one", "//style.css"),
        nothing(TRAVERSAL, "out of the root", "/../../etc/passwd"),
        nothing(
            TRAVERSAL,
            "out of the root by escapes",
            "/%2e%2e/%2e%2e/etc/passwd",
        ),
        nothing(
            TRAVERSAL,
            "out of the root by a backslash",
            "/..\\..\\etc\\passwd",
        ),
        nothing(
            TRAVERSAL,
            "out of the root by escapes that are escaped",
            "/%252e%252e/etc/passwd",
        ),
        bad("a zero byte at the end of a name", "/style.css%00"),
        bad("a percent sign alone", "/%"),
        bad("half an escape", "/%4"),
        bad("an escape of no figures", "/%zz"),
        case(NOT_FOUND, "a directory without a page", get("/bare/", ""))
            .gives(404)
            .body(MISSING)
            .open(),
        case(
            NOT_FOUND,
            "the page for what is missing can be asked for",
            get("/404.html", ""),
        )
        .gives(200)
        .body(MISSING)
        .open(),
    ]
}
