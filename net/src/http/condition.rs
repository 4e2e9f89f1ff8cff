//! Conditional requests (RFC 9110, 13).

use super::date;
use super::fields::Lines;
use super::request::Conditions;

/// What the conditions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer is that of a request without them.
    Proceed,
    /// The client has it (304).
    NotModified,
    /// It is not what the client thinks (412).
    Failed,
}

/// What a representation is compared by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'a> {
    /// Its entity tag with the quotes; a strong one.
    pub tag: &'a [u8],
    /// When it was last changed, in seconds since 1970, if that is known.
    pub modified: Option<u64>,
}

/// Evaluates the conditions of a GET or HEAD, in the order of RFC 9110, 13.2.2.
pub(super) fn evaluate(conditions: &Conditions<'_>, own: Validators<'_>) -> Outcome {
    if !conditions.if_match.is_empty() {
        // A tag that is compared strongly is one of the same letters: a weak one never is.
        if !has(&conditions.if_match, |tag| tag == own.tag) {
            return Outcome::Failed;
        }
    } else if let (Some(since), Some(modified)) =
        (time(&conditions.if_unmodified_since), own.modified)
        && modified > since
    {
        return Outcome::Failed;
    }
    if !conditions.if_none_match.is_empty() {
        let weakly = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag) == own.tag;
        if has(&conditions.if_none_match, weakly) {
            return Outcome::NotModified;
        }
    } else if let (Some(since), Some(modified)) =
        (time(&conditions.if_modified_since), own.modified)
        && modified <= since
    {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Whether the range is wanted of this representation (RFC 9110, 13.1.5).
pub(super) fn range_applies(if_range: &Lines<'_>, own: Validators<'_>) -> bool {
    if if_range.is_empty() {
        return true;
    }
    let Some(value) = if_range.single() else {
        return false;
    };
    // The image does not change while it is served, so its dates are strong (8.8.2.2).
    value == own.tag
        || own
            .modified
            .is_some_and(|own| date::parse(value) == Some(own))
}

/// The date of a field; one that is none, or several, does not count.
fn time(lines: &Lines<'_>) -> Option<u64> {
    lines.single().and_then(date::parse)
}

/// Whether a list of tags is `*`, or has one that is `wanted`. Behind what is no tag nothing
/// counts.
fn has(lines: &Lines<'_>, wanted: impl Fn(&[u8]) -> bool) -> bool {
    lines
        .iter()
        .any(|line| line == b"*" || Tags(line).any(&wanted))
}

/// Goes through a list of tags (RFC 9110, 8.8.3): their letters may be commas.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b' ' | b'\t' | b',', rest @ ..] = self.0 {
            self.0 = rest;
        }
        let quote = match self.0 {
            [b'"', ..] => 0,
            [b'W', b'/', b'"', ..] => 2,
            _ => return None,
        };
        let letters = &self.0[quote + 1..];
        let end = letters.iter().position(|&b| b == b'"')?;
        if letters[..end].contains(&b' ') || letters[..end].contains(&b'\t') {
            return None;
        }
        let (tag, rest) = self.0.split_at(quote + 1 + end + 1);
        self.0 = rest;
        Some(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: u64 = 784_111_777;
    const OWN: Validators<'_> = Validators {
        tag: b"\"a,b\"",
        modified: Some(THEN),
    };
    const BEFORE: &[u8] = b"Sun, 06 Nov 1994 08:49:36 GMT";
    const EXACTLY: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &[u8] = b"Sun, 06 Nov 1994 08:49:38 GMT";

    fn none_match(text: &str) -> Outcome {
        let conditions = Conditions {
            if_none_match: text.as_bytes().into(),
            ..Conditions::default()
        };
        evaluate(&conditions, OWN)
    }

    fn matches(text: &str) -> Outcome {
        let conditions = Conditions {
            if_match: text.as_bytes().into(),
            ..Conditions::default()
        };
        evaluate(&conditions, OWN)
    }

    #[test]
    fn lists_of_tags() {
        for text in [
            "\"a,b\"",
            "W/\"a,b\"",
            "*",
            "\"x\", \"a,b\"",
            "\"x\",W/\"a,b\"",
            ",, \"x\" ,,\t\"a,b\",",
            "\"\", \"a,b\"",
        ] {
            assert_eq!(none_match(text), Outcome::NotModified, "{text}");
        }
        for text in [
            "",
            "a,b",
            "\"x\"",
            "\"a\", \"b\"",
            "\"a,b",
            "a, \"a,b\"",
            "w/\"a,b\"",
            "W\"a,b\"",
            "\"x y\", \"a,b\"",
            "*, \"x\"",
        ] {
            assert_eq!(none_match(text), Outcome::Proceed, "{text}");
        }
    }

    #[test]
    fn if_match_compares_strongly() {
        assert_eq!(matches("\"a,b\""), Outcome::Proceed);
        assert_eq!(matches("\"x\", \"a,b\""), Outcome::Proceed);
        assert_eq!(matches("*"), Outcome::Proceed);
        assert_eq!(matches("W/\"a,b\""), Outcome::Failed);
        assert_eq!(matches("\"x\""), Outcome::Failed);
        assert_eq!(matches(""), Outcome::Failed);
    }

    #[test]
    fn dates() {
        let modified_since = |text: &'static [u8]| {
            let conditions = Conditions {
                if_modified_since: text.into(),
                ..Conditions::default()
            };
            evaluate(&conditions, OWN)
        };
        assert_eq!(modified_since(BEFORE), Outcome::Proceed);
        assert_eq!(modified_since(EXACTLY), Outcome::NotModified);
        assert_eq!(modified_since(AFTER), Outcome::NotModified);
        assert_eq!(modified_since(b"yesterday"), Outcome::Proceed);
        let unmodified_since = |text: &'static [u8]| {
            let conditions = Conditions {
                if_unmodified_since: text.into(),
                ..Conditions::default()
            };
            evaluate(&conditions, OWN)
        };
        assert_eq!(unmodified_since(BEFORE), Outcome::Failed);
        assert_eq!(unmodified_since(EXACTLY), Outcome::Proceed);
        assert_eq!(unmodified_since(AFTER), Outcome::Proceed);
        assert_eq!(unmodified_since(b"yesterday"), Outcome::Proceed);
    }

    #[test]
    fn tags_come_before_dates() {
        let conditions = Conditions {
            if_match: b"\"a,b\""[..].into(),
            if_unmodified_since: BEFORE.into(),
            if_none_match: b"\"x\""[..].into(),
            if_modified_since: AFTER.into(),
            ..Conditions::default()
        };
        assert_eq!(evaluate(&conditions, OWN), Outcome::Proceed);
        let conditions = Conditions {
            if_match: b"\"x\""[..].into(),
            if_none_match: b"\"a,b\""[..].into(),
            ..Conditions::default()
        };
        assert_eq!(evaluate(&conditions, OWN), Outcome::Failed);
        let unknown = Validators {
            modified: None,
            ..OWN
        };
        let conditions = Conditions {
            if_unmodified_since: BEFORE.into(),
            if_modified_since: AFTER.into(),
            ..Conditions::default()
        };
        assert_eq!(evaluate(&conditions, unknown), Outcome::Proceed);
    }

    #[test]
    fn ranges_of_what_the_client_has() {
        let applies = |text: &'static [u8]| range_applies(&text.into(), OWN);
        assert!(range_applies(&Lines::default(), OWN));
        assert!(applies(b"\"a,b\""));
        assert!(!applies(b"W/\"a,b\""));
        assert!(!applies(b"\"x\""));
        assert!(!applies(b"*"));
        assert!(applies(EXACTLY));
        assert!(!applies(BEFORE));
        assert!(!applies(AFTER));
        assert!(!applies(b"\"a,b\", \"x\""));
    }
}
