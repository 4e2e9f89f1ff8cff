//! Where nginx 1.22 does something else than the table says, what it does, and why.

use super::case::Case;
use super::site::{INDEX, STYLE, STYLE_GZIP, digits};

/// Rows in which nginx differs for one reason.
pub struct Difference {
    /// The reason.
    pub why: &'static str,
    /// The rows, by their titles.
    pub rows: &'static [&'static str],
    /// What nginx does, said of a row that expects nothing yet.
    pub nginx: fn(Case) -> Case,
}

pub const DIFFERENCES: &[Difference] = &[
    // Heads.
    Difference {
        why: "nginx takes LF alone for the end of a line, as RFC 9112, 2.2 lets it; Quartz does not, \
              since a proxy in front of it may see one line where it would see two",
        rows: &[
            "RFC 9112, 2.2: lines that end with LF alone",
            "RFC 9112, 2.2: one field line that ends with LF alone",
            "RFC 9112, 7.1: a size line that ends with LF alone",
            "RFC 9112, 7.1: a chunk that ends with LF alone",
        ],
        nginx: |case| case.gives(200).body(INDEX).open(),
    },
    Difference {
        why: "nginx serves HTTP/0.9, without a head",
        rows: &["RFC 9112, 3: no version"],
        nginx: |case| case.bare(INDEX),
    },
    Difference {
        why: "nginx reads any number of figures as the minor version",
        rows: &["RFC 9112, 2.3: a version of two figures"],
        nginx: |case| case.gives(200).body(INDEX).open(),
    },
    Difference {
        why: "nginx stumbles over the target `*` before it comes to the version",
        rows: &["RFC 9113, 3.4: the preface of HTTP/2"],
        nginx: |case| case.gives(400),
    },
    Difference {
        why: "nginx says 505 of versions above 1 only",
        rows: &["RFC 9112, 2.3: HTTP/0.9 in words"],
        nginx: |case| case.gives(400),
    },
    Difference {
        why: "nginx takes any scheme for its own: which one it is, is its configuration's affair",
        rows: &[
            "RFC 9110, 7.4: a scheme that is not served here",
            "RFC 9112, 3.2.2: a scheme of something else",
        ],
        nginx: |case| case.gives(200).body(STYLE).open(),
    },
    Difference {
        why: "nginx cuts a fragment off",
        rows: &["RFC 9110, 7.1: a fragment"],
        nginx: |case| case.gives(200).body(STYLE).open(),
    },
    Difference {
        why: "nginx wants a name in Host, although RFC 9110, 7.2 knows an empty one",
        rows: &["RFC 9112, 3.2: an empty one"],
        nginx: |case| case.gives(400),
    },
    Difference {
        why: "nginx checks of Host only what could harm a file's name",
        rows: &[
            "RFC 9112, 3.2: a user's name in it",
            "RFC 9112, 3.2: a port of letters",
        ],
        nginx: |case| case.gives(200).open(),
    },
    Difference {
        why: "nginx leaves out a field line that it does not understand (ignore_invalid_headers)",
        rows: &[
            "RFC 9112, 5.1: no colon",
            "RFC 9112, 5.1: a name that is no token",
            "RFC 9110, 5.5: a control character in a value",
        ],
        nginx: |case| case.gives(200).open(),
    },
    Difference {
        why: "nginx says 400 for a head that is too large (its own status 494, which it hides)",
        rows: &["RFC 6585, 5: a field longer than the buffer"],
        nginx: |case| case.gives(400),
    },
    Difference {
        why: "nginx bounds the bytes of a head and not the number of its fields",
        rows: &["RFC 6585, 5: seventy fields"],
        nginx: |case| case.gives(200).open(),
    },
    // Content.
    Difference {
        why: "nginx answers first and drops the content afterwards, so that content which never \
              ends is answered too",
        rows: &["RFC 9112, 6.3: content that ends too early"],
        nginx: |case| case.gives(200).body(INDEX),
    },
    Difference {
        why: "nginx answers first and drops the content afterwards, and then closes without a word",
        rows: &["RFC 9110, 15.5.9: content that does not end"],
        nginx: |case| case.gives(200).body(INDEX).silent(),
    },
    Difference {
        why: "nginx closes without an answer when a head does not end: it only logs 408",
        rows: &["RFC 9110, 15.5.9: a request that does not end"],
        nginx: |case| case,
    },
    Difference {
        why: "nginx says 501 of every Transfer-Encoding but `chunked`, where RFC 9112, 6.3 wants 400 \
              if the content's end cannot be known",
        rows: &[
            "RFC 9112, 6.3: chunks in a coding",
            "RFC 9112, 6.3: a coding that does not end with chunks",
            "RFC 9112, 6.1: chunks in chunks",
            "RFC 9112, 7: the identity, which is no transfer coding",
            "RFC 9112, 11.2: something that only looks like chunked",
            "RFC 9112, 11.2: a control character before the coding",
            "RFC 9112, 11.2: a quoted coding",
        ],
        nginx: |case| case.gives(501),
    },
    Difference {
        why: "nginx says 100 without looking whether there will be content",
        rows: &["RFC 9110, 10.1.1: not without content"],
        nginx: |case| case.gives(100).gives(200).open(),
    },
    Difference {
        why: "nginx goes on reading, and drops the content that the client may not send",
        rows: &["RFC 9110, 10.1.1: a refusal comes at once"],
        nginx: |case| case.gives(405).silent(),
    },
    Difference {
        why: "nginx passes over expectations that it does not know, as RFC 9110, 10.1.1 lets it",
        rows: &["RFC 9110, 15.5.18: another expectation"],
        nginx: |case| case.gives(200).open(),
    },
    // Methods.
    Difference {
        why: "nginx knows OPTIONS only where it is configured",
        rows: &[
            "RFC 9112, 3.2.4: OPTIONS of the server in absolute form",
            "RFC 9110, 9.3.7: OPTIONS of a file",
        ],
        nginx: |case| case.gives(405).open(),
    },
    Difference {
        why: "nginx does not take `*` for a target",
        rows: &["RFC 9110, 9.3.7: OPTIONS of the server"],
        nginx: |case| case.gives(400),
    },
    Difference {
        why: "nginx leaves Allow out, which RFC 9110, 15.5.6 wants",
        rows: &[
            "RFC 9110, 15.5.6: POST with its content",
            "RFC 9110, 15.5.6: PUT",
            "RFC 9110, 15.5.6: DELETE",
            "RFC 9110, 15.5.6: PATCH",
        ],
        nginx: |case| case.gives(405).lacks("Allow").open(),
    },
    Difference {
        why: "nginx refuses TRACE before it reads on",
        rows: &["RFC 9110, 15.5.6: TRACE"],
        nginx: |case| case.gives(405).lacks("Allow"),
    },
    Difference {
        why: "nginx says 405 of methods that it does not know either",
        rows: &[
            "RFC 9110, 15.6.2: a method that is not known",
            "RFC 4918, 9.1: a method of WebDAV",
            "RFC 9110, 5.6.2: a long method",
        ],
        nginx: |case| case.gives(405).open(),
    },
    Difference {
        why: "nginx takes no method in small letters",
        rows: &["RFC 9110, 9.1: a method in small letters"],
        nginx: |case| case.gives(400),
    },
    Difference {
        why: "nginx looks at the length before it looks at the method",
        rows: &["RFC 9110, 15.5.6: POST with more content than is read"],
        nginx: |case| case.gives(413),
    },
    Difference {
        why: "nginx does not take a host and port for a target",
        rows: &["RFC 9110, 9.3.6: CONNECT"],
        nginx: |case| case.gives(400),
    },
    // Connections.
    Difference {
        why: "nginx says keep-alive in HTTP/1.1 too, where it goes without saying",
        rows: &["RFC 9112, 9.3: HTTP/1.1 goes on"],
        nginx: |case| case.gives(200).field("Connection", "keep-alive").open(),
    },
    // Paths.
    Difference {
        why: "nginx calls a path that climbs above the root malformed, where RFC 3986, 5.2.4 drops \
              the dots",
        rows: &[
            "RFC 9110, 17.3: out of the root",
            "RFC 9110, 17.3: out of the root by escapes",
        ],
        nginx: |case| case.gives(400),
    },
    Difference {
        why: "nginx asks the file system, to which two slashes are one",
        rows: &["RFC 9110, 15.5.5: two slashes are not one"],
        nginx: |case| case.gives(200).body(STYLE).open(),
    },
    Difference {
        why: "nginx closes after every 400, also where the next request could be found",
        rows: &[
            "RFC 3986, 2.1: a zero byte at the end of a name",
            "RFC 3986, 2.1: a percent sign alone",
            "RFC 3986, 2.1: half an escape",
            "RFC 3986, 2.1: an escape of no figures",
        ],
        nginx: |case| case.gives(400),
    },
    Difference {
        why: "nginx finds the directory and says that it may not be listed",
        rows: &["RFC 9110, 15.5.5: a directory without a page"],
        nginx: |case| case.gives(403).open(),
    },
    // Negotiation.
    Difference {
        why: "Debian's nginx knows no brotli, and no `*` in Accept-Encoding",
        rows: &["RFC 9110, 12.5.3: what browsers say"],
        nginx: |case| {
            case.gives(200)
                .field("Content-Encoding", "gzip")
                .body(STYLE_GZIP)
                .open()
        },
    },
    Difference {
        why: "nginx looks for the word gzip in one line, and knows neither `*` nor `x-gzip`",
        rows: &[
            "RFC 9110, 12.5.3: by another name",
            "RFC 9110, 12.5.3: everything",
            "RFC 9110, 12.5.3: everything but",
            "RFC 9110, 12.5.3: in two lines",
        ],
        nginx: |case| case.gives(200).lacks("Content-Encoding").body(STYLE).open(),
    },
    Difference {
        why: "nginx knows weights of gzip, and none of the identity",
        rows: &["RFC 9110, 12.5.3: the file as it is by weight"],
        nginx: |case| case.gives(200).body(STYLE_GZIP).open(),
    },
    Difference {
        why: "nginx never says 406: it sends the file as it is",
        rows: &[
            "RFC 9110, 12.5.3: nothing at all",
            "RFC 9110, 12.5.3: nothing at all in short",
        ],
        nginx: |case| case.gives(200).body(STYLE).open(),
    },
    Difference {
        why: "nginx never says 406, not for a file of one form either",
        rows: &["RFC 9110, 12.5.3: not as it is, when there is no other form"],
        nginx: |case| case.gives(200).body(digits()).open(),
    },
    Difference {
        why: "nginx sends compressed files without ranges",
        rows: &["RFC 9110, 14.2: ranges are those of the form that is sent"],
        nginx: |case| {
            case.gives(200)
                .body(STYLE_GZIP)
                .lacks("Accept-Ranges")
                .open()
        },
    },
    // Conditions.
    Difference {
        why: "nginx takes these fields for such that stand once",
        rows: &["RFC 9110, 13.1.2: in another line"],
        nginx: |case| case.gives(400),
    },
    Difference {
        why: "nginx closes after a 412",
        rows: &[
            "RFC 9110, 13.1.1: something else",
            "RFC 9110, 13.1.1: compared strongly",
            "RFC 9110, 13.1.4: changed since",
            "RFC 9110, 13.2.2: If-Match comes before If-None-Match",
            "RFC 9110, 13.1.5: a condition that fails comes first",
        ],
        nginx: |case| case.gives(412).silent(),
    },
    Difference {
        why: "nginx takes a date that is none for one that has passed, where RFC 9110, 13.1.4 wants \
              it ignored",
        rows: &["RFC 9110, 13.1.4: what is no date does not count"],
        nginx: |case| case.gives(412).silent(),
    },
    Difference {
        why: "nginx looks at the date of If-Unmodified-Since even beside If-Match, against RFC 9110, \
              13.2.2",
        rows: &["RFC 9110, 13.2.2: If-Match comes before its date"],
        nginx: |case| case.gives(412).silent(),
    },
    Difference {
        why: "nginx wants both conditions to hold, where RFC 9110, 13.2.2 ignores the date beside a \
              tag",
        rows: &["RFC 9110, 13.2.2: and the other way round"],
        nginx: |case| case.gives(200).body(digits()).open(),
    },
    // Ranges.
    Difference {
        why: "nginx says 416 of a range that it cannot read, where RFC 9110, 14.2 also lets it be \
              ignored",
        rows: &[
            "RFC 9110, 14.1.2: beyond all numbers",
            "RFC 9110, 5.6.1.2: empty elements of the list",
            "RFC 9110, 14.2: the last before the first",
            "RFC 9110, 14.2: no numbers",
            "RFC 9110, 14.2: no dash",
            "RFC 9110, 14.2: one bad among good ones",
        ],
        nginx: |case| {
            case.gives(416)
                .field("Content-Range", "bytes */1000")
                .open()
        },
    },
    Difference {
        why: "nginx does not put ranges together, and sends parts that overlap",
        rows: &[
            "RFC 9110, 15.3.7.2: ranges that overlap become one",
            "RFC 9110, 15.3.7.2: ranges that touch become one",
            "RFC 9110, 15.3.7.2: ranges that nearly touch become one",
        ],
        nginx: |case| case.gives(206).lacks("Content-Range").open(),
    },
    Difference {
        why: "nginx ignores ranges that are longer together than the file",
        rows: &["RFC 9110, 15.3.7.2: the same again and again"],
        nginx: |case| case.gives(200).body(digits()).open(),
    },
    Difference {
        why: "nginx sends an empty file whatever was asked of it",
        rows: &["RFC 9110, 15.5.17: of an empty file"],
        nginx: |case| case.gives(200).body("").open(),
    },
    Difference {
        why: "nginx lets blanks stand inside of a range",
        rows: &["RFC 9110, 14.2: blanks inside"],
        nginx: |case| case.gives(206).body(&digits()[..10]).open(),
    },
    Difference {
        why: "nginx applies ranges to HEAD too, against RFC 9110, 14.2",
        rows: &["RFC 9110, 14.2: with HEAD it is nothing"],
        nginx: |case| case.gives(206).field("Content-Length", "10").open(),
    },
];
