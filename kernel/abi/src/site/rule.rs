//! What `_redirects` and `_headers` have in common: lines, bounds, errors with a line number.

use core::fmt;

/// Longest line, in bytes.
pub const LONGEST_LINE: usize = 2000;
/// Most rules of one file.
pub const MOST_RULES: usize = 2000;
/// Most rules with a `*` or a `:name` in one file: each is looked at in turn.
pub const MOST_PATTERNS: usize = 100;

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleFault {
    /// The line is longer than `LONGEST_LINE`.
    LongLine,
    /// There are more than `MOST_RULES` rules.
    TooManyRules,
    /// There are more than `MOST_PATTERNS` rules with a pattern.
    TooManyPatterns,
    /// A path does not begin with a slash.
    NoPath,
    /// A path has an escape, a query or a fragment.
    EscapedPath,
    /// A path has two `*`, or a `:name` behind one.
    TwoSplats,
    /// A `:name` is empty, stands twice, or is only a part of its path segment.
    BadPlaceholder,
    /// A path has more than four `:name`.
    TooManyPlaceholders,
    /// There is no target.
    NoTarget,
    /// The target is neither a path nor an `http://` or `https://` address, or has characters that
    /// no address may have.
    BadTarget,
    /// The target uses a `:name` that the path does not have.
    UnknownPlaceholder,
    /// The target is the path itself.
    Circle,
    /// The status is none of 200, 301, 302, 303, 307, 308 and 404.
    BadStatus,
    /// A condition on query, country, language or role.
    Condition,
    /// Something stands behind the status.
    Surplus,
    /// The target of a 200 or 404 is not a file of the site.
    NoSuchFile,
    /// A header field stands before the first path.
    FieldWithoutPath,
    /// A line is neither a path nor a header field.
    NoField,
    /// A header field's name has characters that no name may have.
    BadFieldName,
    /// A header field's value has characters that no value may have.
    BadFieldValue,
    /// A header field that the server itself is responsible for.
    ReservedField,
    /// The fields for one file take more than [`super::headers::MOST_FIELD_BYTES`].
    TooManyFields,
}

/// A rule that cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Its line, counted from 1; 0: no single line is to blame.
    pub line: u32,
    /// What is wrong.
    pub fault: RuleFault,
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleFault::LongLine => "the line is longer than 2000 bytes",
            RuleFault::TooManyRules => "there are more than 2000 rules",
            RuleFault::TooManyPatterns => "there are more than 100 rules with a `*` or a `:name`",
            RuleFault::NoPath => "a path has to begin with a slash",
            RuleFault::EscapedPath => {
                "a path has no escapes, query or fragment here: `%`, `?` and `#` match nothing"
            }
            RuleFault::TwoSplats => "a path has one `*` at most, and no `:name` behind it",
            RuleFault::BadPlaceholder => {
                "a `:name` is letters and figures, stands once, and is all of its path segment"
            }
            RuleFault::TooManyPlaceholders => "a path has at most four `:name`",
            RuleFault::NoTarget => "there is no target",
            RuleFault::BadTarget => {
                "the target has to be a path or an http:// or https:// address, properly escaped"
            }
            RuleFault::UnknownPlaceholder => "the target uses a `:name` that the path has not",
            RuleFault::Circle => "the target is the path itself",
            RuleFault::BadStatus => "the status has to be 200, 301, 302, 303, 307, 308 or 404",
            RuleFault::Condition => {
                "conditions on query, country, language or role are not supported"
            }
            RuleFault::Surplus => "there is something behind the status",
            RuleFault::NoSuchFile => "the target of a 200 or 404 has to be a file of the site",
            RuleFault::FieldWithoutPath => "a header field stands before the first path",
            RuleFault::NoField => "the line is neither a path nor `Name: value`",
            RuleFault::BadFieldName => {
                "a header field's name has a character that no name may have"
            }
            RuleFault::BadFieldValue => {
                "a header field's value has a character that no value may have"
            }
            RuleFault::ReservedField => "the server itself is responsible for this header field",
            RuleFault::TooManyFields => "the header fields for one file take more than 2048 bytes",
        })
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.fault),
            line => write!(f, "line {line}: {}", self.fault),
        }
    }
}

impl core::error::Error for RuleError {}

/// The lines of a file with their numbers; without the line ends, comments and empty lines.
/// A line that begins with `#` is a comment.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = Result<(u32, &[u8]), RuleError>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut number = 0;
    text.split(|&b| b == b'\n').filter_map(move |line| {
        number += 1;
        let trimmed = line.trim_ascii();
        if trimmed.is_empty() || trimmed[0] == b'#' {
            return None;
        }
        Some(match line.len() {
            0..=LONGEST_LINE => Ok((number, line.trim_ascii_end())),
            _ => Err(RuleError {
                line: number,
                fault: RuleFault::LongLine,
            }),
        })
    })
}
