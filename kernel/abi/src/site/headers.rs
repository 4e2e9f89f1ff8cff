//! `_headers`: a path, and under it indented header fields for what it matches, as Netlify and
//! Cloudflare Pages have it.
//!
//! ```text
//! /*
//!   X-Content-Type-Options: nosniff
//! /assets/*
//!   Cache-Control: public, max-age=31536000, immutable
//! /assets/plain.txt
//!   ! X-Content-Type-Options
//! ```
//!
//! Every path that matches counts, in order; fields of one name are joined by commas (not
//! `Set-Cookie`); `! Name` takes away what came before.

use super::pattern::Pattern;
use super::rule::{self, MOST_PATTERNS, MOST_RULES, RuleError, RuleFault};
use alloc::vec::Vec;

/// Most bytes of header fields for one file: with them its head still fits a send buffer.
pub const MOST_FIELD_BYTES: usize = 2048;

/// What the server itself writes.
const RESERVED: [&str; 17] = [
    "accept-ranges",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "date",
    "etag",
    "keep-alive",
    "last-modified",
    "location",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "content-location",
];

/// The rules, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules<'a> {
    rules: Vec<Rule<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule<'a> {
    path: Pattern<'a>,
    line: u32,
    fields: Vec<Field<'a>>,
}

/// A field to add, or without a value one to take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field<'a> {
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> HeaderRules<'a> {
    /// Reads the file.
    ///
    /// # Errors
    /// The first line that cannot be followed.
    pub fn parse(text: &'a [u8]) -> Result<HeaderRules<'a>, RuleError> {
        let mut rules: Vec<Rule<'a>> = Vec::new();
        let (mut patterns, mut fields) = (0, 0);
        for line in rule::lines(text) {
            let (line, text) = line?;
            let fail = |fault| RuleError { line, fault };
            if !text[0].is_ascii_whitespace() {
                let path = Pattern::new(text).map_err(fail)?;
                patterns += usize::from(!path.is_static());
                if rules.len() == MOST_RULES {
                    return Err(fail(RuleFault::TooManyRules));
                }
                if patterns > MOST_PATTERNS {
                    return Err(fail(RuleFault::TooManyPatterns));
                }
                rules.push(Rule {
                    path,
                    line,
                    fields: Vec::new(),
                });
                continue;
            }
            let rule = rules.last_mut().ok_or(fail(RuleFault::FieldWithoutPath))?;
            fields += 1;
            if fields > MOST_RULES {
                return Err(fail(RuleFault::TooManyRules));
            }
            rule.fields
                .push(Field::parse(text.trim_ascii()).map_err(fail)?);
        }
        Ok(HeaderRules { rules })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Appends the field lines for a file that is served at `paths`, each with its line end.
    ///
    /// # Errors
    /// They take more than [`MOST_FIELD_BYTES`].
    pub fn write_lines(&self, paths: &[&[u8]], lines: &mut Vec<u8>) -> Result<(), RuleError> {
        let matching = self
            .rules
            .iter()
            .filter(|rule| paths.iter().any(|path| rule.path.matches(path).is_some()));
        let mut live: Vec<(&[u8], &[u8])> = Vec::new();
        let mut bytes = 0;
        for rule in matching {
            for field in &rule.fields {
                let Some(value) = field.value else {
                    live.retain(|(name, _)| !name.eq_ignore_ascii_case(field.name));
                    continue;
                };
                bytes += field.name.len() + value.len() + 4;
                if bytes > MOST_FIELD_BYTES {
                    return Err(RuleError {
                        line: rule.line,
                        fault: RuleFault::TooManyFields,
                    });
                }
                live.push((field.name, value));
            }
        }
        for (at, (name, value)) in live.iter().enumerate() {
            let same = |(other, _): &&(&[u8], &[u8])| other.eq_ignore_ascii_case(name);
            let alone = name.eq_ignore_ascii_case(b"set-cookie");
            if !alone && live[..at].iter().any(|other| same(&other)) {
                continue;
            }
            lines.extend_from_slice(name);
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value);
            for (_, value) in live[at + 1..].iter().filter(|other| !alone && same(other)) {
                lines.extend_from_slice(b", ");
                lines.extend_from_slice(value);
            }
            lines.extend_from_slice(b"\r\n");
        }
        Ok(())
    }
}

impl<'a> Field<'a> {
    fn parse(text: &'a [u8]) -> Result<Field<'a>, RuleFault> {
        let (name, value) = match text.strip_prefix(b"!") {
            Some(name) => (name.trim_ascii(), None),
            None => {
                let colon = text.iter().position(|&b| b == b':');
                let colon = colon.ok_or(RuleFault::NoField)?;
                (&text[..colon], Some(text[colon + 1..].trim_ascii()))
            }
        };
        if !is_field_name(name) {
            return Err(RuleFault::BadFieldName);
        }
        if RESERVED
            .iter()
            .any(|r| name.eq_ignore_ascii_case(r.as_bytes()))
        {
            return Err(RuleFault::ReservedField);
        }
        if value.is_some_and(|value| value.is_empty() || !is_field_value(value)) {
            return Err(RuleFault::BadFieldValue);
        }
        Ok(Field { name, value })
    }
}

/// RFC 9110, 5.6.2: a token.
fn is_field_name(name: &[u8]) -> bool {
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !name.is_empty() && name.iter().all(token)
}

/// RFC 9110, 5.5, without what is obsolete.
fn is_field_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|b| b.is_ascii_graphic() || b" \t".contains(b))
}

/// Whether `lines` are field lines with their ends, none of them the server's own, as
/// [`HeaderRules::write_lines`] makes them.
#[must_use]
pub fn are_lines(lines: &[u8]) -> bool {
    let mut rest = lines;
    if rest.len() > MOST_FIELD_BYTES {
        return false;
    }
    while !rest.is_empty() {
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else {
            return false;
        };
        match Field::parse(&rest[..end]) {
            Ok(Field { value: Some(_), .. }) => rest = &rest[end + 2..],
            _ => return false,
        }
    }
    true
}

/// The value of the first field of this name (in small letters) in field lines.
#[must_use]
pub fn find<'a>(lines: &'a [u8], name: &str) -> Option<&'a [u8]> {
    lines.split(|&b| b == b'\n').find_map(|line| {
        let colon = line.iter().position(|&b| b == b':')?;
        line[..colon]
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| line[colon + 1..].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn lines(rules: &str, path: &str) -> String {
        let rules = HeaderRules::parse(rules.as_bytes()).unwrap();
        let mut lines = Vec::new();
        rules.write_lines(&[path.as_bytes()], &mut lines).unwrap();
        assert!(are_lines(&lines), "{lines:?}");
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn fields_are_joined_and_taken_away() {
        let rules = "# all\n/*\n  X-A: 1\n  Set-Cookie: a=1\n/b/*\n  x-a: 2\n\tX-B: b: c\n  Set-Cookie: b=2\n\n/b/plain\n  ! X-A\n  X-C:3\n";
        assert_eq!(lines(rules, "/a"), "X-A: 1\r\nSet-Cookie: a=1\r\n");
        assert_eq!(
            lines(rules, "/b/x"),
            "X-A: 1, 2\r\nSet-Cookie: a=1\r\nX-B: b: c\r\nSet-Cookie: b=2\r\n"
        );
        assert_eq!(
            lines(rules, "/b/plain"),
            "Set-Cookie: a=1\r\nX-B: b: c\r\nSet-Cookie: b=2\r\nX-C: 3\r\n"
        );
        assert_eq!(lines("/x\n  A: b\n  ! A\n  A: c\n", "/x"), "A: c\r\n");
        assert_eq!(lines("", "/x"), "");
    }

    #[test]
    fn faults_have_their_line() {
        for (text, line, fault) in [
            ("  X-A: 1\n", 1, RuleFault::FieldWithoutPath),
            ("/a\n  X-A\n", 2, RuleFault::NoField),
            ("/a\n\n  X A: 1\n", 3, RuleFault::BadFieldName),
            ("/a\n  : 1\n", 2, RuleFault::BadFieldName),
            ("/a\n  X: \u{fc}\n", 2, RuleFault::BadFieldValue),
            ("/a\n  X: a\rb\n", 2, RuleFault::BadFieldValue),
            ("/a\n  X:\n", 2, RuleFault::BadFieldValue),
            ("/a\n  Content-Length: 1\n", 2, RuleFault::ReservedField),
            (
                "/a\n  transfer-encoding: chunked\n",
                2,
                RuleFault::ReservedField,
            ),
            ("X-A: 1\n", 1, RuleFault::NoPath),
            ("https://x.example/*\n  X: 1\n", 1, RuleFault::NoPath),
        ] {
            let error = HeaderRules::parse(text.as_bytes()).unwrap_err();
            assert_eq!((error.line, error.fault), (line, fault), "{text}");
        }
    }

    #[test]
    fn too_many_bytes_for_one_file() {
        let long = std::format!("/*\n  X: {}\n", "y".repeat(1500)).repeat(2);
        let rules = HeaderRules::parse(long.as_bytes()).unwrap();
        let error = rules.write_lines(&[b"/a"], &mut Vec::new()).unwrap_err();
        assert_eq!(error.fault, RuleFault::TooManyFields);
        assert_eq!(rules.write_lines(&[b"-"], &mut Vec::new()), Ok(()));
    }

    #[test]
    fn lines_from_outside_are_checked() {
        for bad in [
            &b"X: 1"[..],
            b"X: 1\n",
            b"X: 1\r\n\r\n",
            b"\r\n",
            b"X: a\nb\r\n",
            b"Content-Length: 5\r\n",
            b"! X\r\n",
        ] {
            assert!(!are_lines(bad), "{}", bad.escape_ascii());
        }
        assert!(are_lines(b"X: 1\r\nY: 2\r\n"));
        assert_eq!(
            find(b"X: 1\r\nCache-Control: a\r\n", "cache-control"),
            Some(&b"a"[..])
        );
        assert_eq!(find(b"X: 1\r\n", "cache-control"), None);
    }
}
