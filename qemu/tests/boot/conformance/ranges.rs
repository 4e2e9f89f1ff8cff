//! Ranges.

use super::case::{Case, case, get, head};
use super::site::{MODIFIED_TEXT, digits};

pub fn cases() -> Vec<Case> {
    let mut cases = single();
    cases.extend(several());
    cases.extend(refused());
    cases.extend(conditional());
    cases
}

fn ask(fields: &str) -> String {
    get("/digits.txt", &format!("{fields}\r\n"))
}

fn part(section: &'static str, name: &'static str, range: &str, start: usize, end: usize) -> Case {
    case(section, name, ask(&format!("Range: {range}")))
        .gives(206)
        .field("Content-Range", &format!("bytes {start}-{}/1000", end - 1))
        .field("Content-Length", &(end - start).to_string())
        .field("Content-Type", "text/plain; charset=utf-8")
        .field("ETag", "$DIGITS")
        .body(&digits()[start..end])
        .open()
}

fn whole(section: &'static str, name: &'static str, range: &str) -> Case {
    case(section, name, ask(&format!("Range: {range}")))
        .gives(200)
        .lacks("Content-Range")
        .body(digits())
        .open()
}

fn single() -> Vec<Case> {
    const RANGE: &str = "RFC 9110, 14.1.2";
    vec![
        part(RANGE, "the first bytes", "bytes=0-9", 0, 10),
        part(RANGE, "one byte", "bytes=0-0", 0, 1),
        part(RANGE, "bytes in the middle", "bytes=500-599", 500, 600),
        part(RANGE, "up to the end", "bytes=990-", 990, 1000),
        part(RANGE, "the last byte", "bytes=999-", 999, 1000),
        part(RANGE, "the last ten bytes", "bytes=-10", 990, 1000),
        part(RANGE, "everything", "bytes=0-", 0, 1000),
        part(RANGE, "beyond the end", "bytes=990-2000", 990, 1000),
        part(
            RANGE,
            "a suffix longer than the file",
            "bytes=-2000",
            0,
            1000,
        ),
        part(
            RANGE,
            "beyond all numbers",
            "bytes=990-99999999999999999999999",
            990,
            1000,
        ),
        part(
            "RFC 9110, 14.1",
            "the unit in any letters",
            "BYTES=0-9",
            0,
            10,
        ),
        part(
            "RFC 9110, 5.6.1.2",
            "empty elements of the list",
            "bytes=,0-9,",
            0,
            10,
        ),
    ]
}

/// A multipart answer with these ranges.
fn parts(ranges: &[(usize, usize)]) -> String {
    let mut text = String::new();
    for (number, (start, end)) in ranges.iter().enumerate() {
        text += if number > 0 { "\r\n" } else { "" };
        text += &format!(
            "--$BOUNDARY\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Range: bytes {start}-{}/1000\r\n\r\n{}",
            end - 1,
            &digits()[*start..*end]
        );
    }
    text + "\r\n--$BOUNDARY--\r\n"
}

fn several() -> Vec<Case> {
    const SEVERAL: &str = "RFC 9110, 15.3.7.2";
    let multipart = |name, range: &str, ranges: &[(usize, usize)]| {
        case(SEVERAL, name, ask(&format!("Range: {range}")))
            .gives(206)
            .field("Content-Type", "multipart/byteranges; boundary=$BOUNDARY")
            .field("ETag", "$DIGITS")
            .lacks("Content-Range")
            .body(parts(ranges))
            .open()
    };
    let many = |count: usize| -> String {
        let ranges: Vec<_> = (0..count).map(|n| format!("{0}-{0}", n * 100)).collect();
        format!("bytes={}", ranges.join(","))
    };
    vec![
        multipart("two ranges", "bytes=0-9,500-509", &[(0, 10), (500, 510)]),
        multipart(
            "in the order of the request",
            "bytes=500-509, 0-9 ,-10",
            &[(500, 510), (0, 10), (990, 1000)],
        ),
        multipart(
            "those that are there",
            "bytes=0-9,2000-,500-509",
            &[(0, 10), (500, 510)],
        ),
        part(SEVERAL, "one that is there", "bytes=0-9,2000-", 0, 10),
        part(
            SEVERAL,
            "ranges that overlap become one",
            "bytes=0-99,50-199",
            0,
            200,
        ),
        part(
            SEVERAL,
            "ranges that touch become one",
            "bytes=100-199,0-99",
            0,
            200,
        ),
        part(
            SEVERAL,
            "ranges that nearly touch become one",
            "bytes=0-99,150-199",
            0,
            200,
        ),
        part(
            SEVERAL,
            "the same again and again",
            "bytes=0-,0-,0-,0-,0-,0-",
            0,
            1000,
        ),
        multipart(
            "eight ranges",
            &many(8),
            &[
                (0, 1),
                (100, 101),
                (200, 201),
                (300, 301),
                (400, 401),
                (500, 501),
                (600, 601),
                (700, 701),
            ],
        ),
        whole(
            "RFC 9110, 14.2",
            "more ranges than eight are ignored",
            &many(9),
        ),
        whole(
            "RFC 9110, 17.15",
            "a thousand ranges are ignored",
            &format!("bytes={}", "0-0,".repeat(1000)),
        ),
    ]
}

fn refused() -> Vec<Case> {
    const UNSATISFIABLE: &str = "RFC 9110, 15.5.17";
    const INVALID: &str = "RFC 9110, 14.2";
    let nothing = |name, range: &str| {
        case(UNSATISFIABLE, name, ask(&format!("Range: {range}")))
            .gives(416)
            .field("Content-Range", "bytes */1000")
            .open()
    };
    vec![
        nothing("behind the end", "bytes=1000-"),
        nothing("far behind the end", "bytes=5000-6000"),
        nothing("a suffix of nothing", "bytes=-0"),
        nothing("several that are not there", "bytes=1000-,2000-3000"),
        case(
            UNSATISFIABLE,
            "of an empty file",
            get("/empty.txt", "Range: bytes=0-\r\n"),
        )
        .gives(416)
        .field("Content-Range", "bytes */0")
        .open(),
        whole(INVALID, "another unit", "lines=0-9"),
        whole(INVALID, "the last before the first", "bytes=9-0"),
        whole(INVALID, "no numbers", "bytes=a-b"),
        whole(INVALID, "no range", "bytes="),
        whole(INVALID, "no dash", "bytes=5"),
        whole(INVALID, "blanks inside", "bytes=0 - 9"),
        whole(INVALID, "one bad among good ones", "bytes=0-9,x"),
        case(
            "RFC 9110, 14.2",
            "with HEAD it is nothing",
            head("/digits.txt", "Range: bytes=0-9\r\n"),
        )
        .gives(200)
        .field("Content-Length", "1000")
        .open(),
        case(
            "RFC 9110, 14.2",
            "for what is missing it is nothing",
            get("/nothing", "Range: bytes=0-9\r\n"),
        )
        .gives(404)
        .open(),
    ]
}

fn conditional() -> Vec<Case> {
    const IF_RANGE: &str = "RFC 9110, 13.1.5";
    let both = |name, if_range: &str| {
        case(
            IF_RANGE,
            name,
            ask(&format!("Range: bytes=0-9\r\nIf-Range: {if_range}")),
        )
    };
    vec![
        both("of what the client has", "$DIGITS")
            .gives(206)
            .body(&digits()[..10])
            .open(),
        both("of something else", "\"a\"")
            .gives(200)
            .body(digits())
            .open(),
        both("of a weak tag", "W/$DIGITS")
            .gives(200)
            .body(digits())
            .open(),
        both("of the same date", MODIFIED_TEXT)
            .gives(206)
            .body(&digits()[..10])
            .open(),
        both("of a later date", "Sun, 06 Nov 1994 08:49:38 GMT")
            .gives(200)
            .body(digits())
            .open(),
        both("of what is neither", "yesterday")
            .gives(200)
            .body(digits())
            .open(),
        case(
            IF_RANGE,
            "without a range it is nothing",
            ask("If-Range: \"a\""),
        )
        .gives(200)
        .body(digits())
        .open(),
        case(
            IF_RANGE,
            "a condition that fails comes first",
            ask("Range: bytes=0-9\r\nIf-Match: \"a\""),
        )
        .gives(412)
        .open(),
    ]
}
