//! Conditional requests.

use super::case::{Case, case, get, head};
use super::site::{MODIFIED_TEXT, digits};

const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

pub fn cases() -> Vec<Case> {
    let mut cases = tags();
    cases.extend(dates());
    cases.extend(precedence());
    cases
}

fn ask(fields: &str) -> String {
    get("/digits.txt", &format!("{fields}\r\n"))
}

fn unchanged(section: &'static str, name: &'static str, fields: &str) -> Case {
    case(section, name, ask(fields)).gives(304).open()
}

fn whole(section: &'static str, name: &'static str, fields: &str) -> Case {
    case(section, name, ask(fields))
        .gives(200)
        .body(digits())
        .open()
}

fn failed(section: &'static str, name: &'static str, fields: &str) -> Case {
    case(section, name, ask(fields)).gives(412).open()
}

fn tags() -> Vec<Case> {
    const NONE_MATCH: &str = "RFC 9110, 13.1.2";
    const MATCH: &str = "RFC 9110, 13.1.1";
    vec![
        unchanged(NONE_MATCH, "the client has it", "If-None-Match: $DIGITS")
            .field("ETag", "$DIGITS")
            .lacks("Content-Type")
            .lacks("Content-Length"),
        unchanged(NONE_MATCH, "compared weakly", "If-None-Match: W/$DIGITS"),
        unchanged(
            NONE_MATCH,
            "in a list",
            "If-None-Match: \"a\", \"b,c\" ,$DIGITS",
        ),
        unchanged(
            NONE_MATCH,
            "in another line",
            "If-None-Match: \"a\"\r\nIf-None-Match: $DIGITS",
        ),
        unchanged(NONE_MATCH, "anything", "If-None-Match: *"),
        whole(NONE_MATCH, "something else", "If-None-Match: \"a\""),
        whole(NONE_MATCH, "a tag without quotes", "If-None-Match: a"),
        case(
            NONE_MATCH,
            "with HEAD",
            head("/digits.txt", "If-None-Match: $DIGITS\r\n"),
        )
        .gives(304)
        .open(),
        case(
            "RFC 9110, 13.2.1",
            "not for what is missing",
            get("/nothing", "If-None-Match: *\r\n"),
        )
        .gives(404)
        .open(),
        case(
            "RFC 9110, 13.2.1",
            "not for a redirection",
            get("/dir", "If-None-Match: *\r\n"),
        )
        .gives(301)
        .open(),
        whole(MATCH, "what the client knows", "If-Match: $DIGITS"),
        whole(MATCH, "anything, since it is there", "If-Match: *"),
        whole(MATCH, "one of a list", "If-Match: \"a\", $DIGITS"),
        failed(MATCH, "something else", "If-Match: \"a\""),
        failed(MATCH, "compared strongly", "If-Match: W/$DIGITS"),
    ]
}

fn dates() -> Vec<Case> {
    const SINCE: &str = "RFC 9110, 13.1.3";
    const UNMODIFIED: &str = "RFC 9110, 13.1.4";
    const DATE: &str = "RFC 9110, 5.6.7";
    vec![
        unchanged(
            SINCE,
            "of the same time",
            &format!("If-Modified-Since: {MODIFIED_TEXT}"),
        )
        .field("Last-Modified", MODIFIED_TEXT),
        unchanged(
            SINCE,
            "a later time",
            &format!("If-Modified-Since: {AFTER}"),
        ),
        whole(
            SINCE,
            "an earlier time",
            &format!("If-Modified-Since: {BEFORE}"),
        ),
        whole(SINCE, "what is no date", "If-Modified-Since: yesterday"),
        whole(
            SINCE,
            "a date that does not exist",
            "If-Modified-Since: Mon, 30 Feb 2015 08:49:37 GMT",
        ),
        unchanged(
            DATE,
            "in the form of RFC 850",
            "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT",
        ),
        unchanged(
            DATE,
            "in the form of asctime",
            "If-Modified-Since: Sun Nov  6 08:49:37 1994",
        ),
        whole(
            UNMODIFIED,
            "of the same time still",
            &format!("If-Unmodified-Since: {MODIFIED_TEXT}"),
        ),
        whole(
            UNMODIFIED,
            "a later time still",
            &format!("If-Unmodified-Since: {AFTER}"),
        ),
        failed(
            UNMODIFIED,
            "changed since",
            &format!("If-Unmodified-Since: {BEFORE}"),
        ),
        whole(
            UNMODIFIED,
            "what is no date does not count",
            "If-Unmodified-Since: yesterday",
        ),
    ]
}

fn precedence() -> Vec<Case> {
    const ORDER: &str = "RFC 9110, 13.2.2";
    vec![
        whole(
            ORDER,
            "a tag comes before a date",
            &format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {AFTER}"),
        ),
        unchanged(
            ORDER,
            "and the other way round",
            &format!("If-None-Match: $DIGITS\r\nIf-Modified-Since: {BEFORE}"),
        ),
        whole(
            ORDER,
            "If-Match comes before its date",
            &format!("If-Match: $DIGITS\r\nIf-Unmodified-Since: {BEFORE}"),
        ),
        failed(
            ORDER,
            "If-Match comes before If-None-Match",
            "If-Match: \"a\"\r\nIf-None-Match: $DIGITS",
        ),
        unchanged(
            ORDER,
            "both hold",
            "If-Match: $DIGITS\r\nIf-None-Match: $DIGITS",
        ),
        unchanged(
            ORDER,
            "conditions come before ranges",
            "If-None-Match: $DIGITS\r\nRange: bytes=0-9",
        ),
    ]
}
