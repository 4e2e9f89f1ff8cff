//! `_headers` and `_redirects`: what the site itself says. The sections are those of what is sent.

use super::case::{Case, case, get, head};
use super::site::{INDEX, MISSING, PAGE, STYLE};

/// The site's own fields.
pub const HEADERS: &str = "\
# everything below dir
/dir/*
  X-Dir: yes
  Cache-Control: public, max-age=60
/dir/a b.txt
  ! X-Dir
/data.json
  Content-Type: application/vnd.example+json
";

/// The site's own redirects.
pub const REDIRECTS: &str = "\
/old/*         /new/:splat              302
/blog/:year/*  /archive/:year/:splat
/go            https://example.org/x    307
/search        /find?from=search        308
/spa/*         /index.html              200
/gone/*        /dir/index.html          404
/style.css     /index.html              301
/app.js        /photo.png               301!
";

pub fn cases() -> Vec<Case> {
    let mut cases = fields();
    cases.extend(redirects());
    cases
}

fn fields() -> Vec<Case> {
    const CACHE: &str = "RFC 9111, 5.2.2";
    vec![
        case(CACHE, "fields of a rule", get("/dir/", ""))
            .gives(200)
            .field("Cache-Control", "public, max-age=60")
            .field("X-Dir", "yes")
            .body(PAGE)
            .open(),
        case(
            "RFC 9110, 15.4.5",
            "fields of a rule in a 304",
            get("/dir/", "If-None-Match: *\r\n"),
        )
        .gives(304)
        .field("Cache-Control", "public, max-age=60")
        .open(),
        case(
            "RFC 9110, 15.3.7",
            "fields of a rule in a 206",
            get("/dir/", "Range: bytes=0-1\r\n"),
        )
        .gives(206)
        .field("Cache-Control", "public, max-age=60")
        .open(),
        case(CACHE, "fields of a rule with HEAD", head("/dir/", ""))
            .gives(200)
            .field("Cache-Control", "public, max-age=60")
            .open(),
        case(
            CACHE,
            "a field that a later rule takes away",
            get("/dir/a%20b.txt", ""),
        )
        .gives(200)
        .lacks("X-Dir")
        .field("Cache-Control", "public, max-age=60")
        .open(),
        case(CACHE, "no field where no rule is", get("/", ""))
            .gives(200)
            .lacks("Cache-Control")
            .open(),
        case("RFC 9110, 8.3", "a type by a rule", get("/data.json", ""))
            .gives(200)
            .field("Content-Type", "application/vnd.example+json")
            .open(),
        case(
            "RFC 9110, 15.5.5",
            "the rules are not served",
            get("/_headers", ""),
        )
        .gives(404)
        .body(MISSING)
        .open(),
        case(
            "RFC 9110, 15.5.5",
            "nor are the others",
            get("/_redirects", ""),
        )
        .gives(404)
        .body(MISSING)
        .open(),
    ]
}

fn redirects() -> Vec<Case> {
    let moved = |section, name, path: &str, status, place: &str| {
        case(section, name, get(path, ""))
            .gives(status)
            .field("Location", place)
            .open()
    };
    const FOUND: &str = "RFC 9110, 15.4.3";
    vec![
        moved(FOUND, "what a star stands for", "/old/a/b", 302, "/new/a/b"),
        moved(FOUND, "with the query", "/old/a?b=c", 302, "/new/a?b=c"),
        moved(FOUND, "with escapes", "/old/a%20b", 302, "/new/a%20b"),
        moved(FOUND, "with nothing", "/old/", 302, "/new/"),
        moved(
            "RFC 9110, 15.4.2",
            "what a name stands for",
            "/blog/2024/x/y",
            301,
            "/archive/2024/x/y",
        ),
        moved(
            "RFC 9110, 15.4.8",
            "to another server",
            "/go",
            307,
            "https://example.org/x",
        ),
        moved(
            "RFC 9110, 15.4.9",
            "a place with its own query",
            "/search?q",
            308,
            "/find?from=search",
        ),
        case("RFC 9110, 15.3.1", "a rewrite", get("/spa/any/thing", ""))
            .gives(200)
            .body(INDEX)
            .field("Content-Type", "text/html; charset=utf-8")
            .open(),
        case(
            "RFC 9110, 13.1.2",
            "a rewrite that the client has",
            get("/spa/any", "If-None-Match: *\r\n"),
        )
        .gives(304)
        .open(),
        case(
            "RFC 9110, 15.5.5",
            "a page for what is gone",
            get("/gone/x", ""),
        )
        .gives(404)
        .body(PAGE)
        .open(),
        case(
            "RFC 9110, 15.3.1",
            "a file comes before a rule",
            get("/style.css", ""),
        )
        .gives(200)
        .body(STYLE)
        .open(),
        moved(
            "RFC 9110, 15.4.2",
            "a rule with a mark comes before a file",
            "/app.js",
            301,
            "/photo.png",
        ),
    ]
}
