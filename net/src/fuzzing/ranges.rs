//! The range parser: what is sent is what was asked for, and not much more.

use crate::http::range::{self, Asked, MOST, Span};
use core::str;

/// Reads one `Range` field about content of `len` bytes.
///
/// # Panics
/// A range lies outside of the content, is missing, or overlaps another one.
pub fn ranges(len: u32, field: &[u8]) {
    let Asked::Spans(spans) = range::read(&field.into(), len as usize) else {
        return;
    };
    let spans = spans.as_slice();
    assert!((1..=MOST).contains(&spans.len()));
    for (number, span) in spans.iter().enumerate() {
        assert!(
            span.start < span.end && span.end <= len,
            "{span:?} of {len}"
        );
        for other in &spans[number + 1..] {
            assert!(span.end < other.start || other.end < span.start);
        }
    }
    // The same in the plainest way: each range that was asked for is in one that is sent, and
    // each that is sent begins and ends with one that was asked for.
    let text = str::from_utf8(field).expect("a field that was understood is ASCII");
    let (_, set) = text.split_once('=').expect("a unit");
    let asked = || {
        set.split(',')
            .filter_map(|range| plainly(range.trim(), u64::from(len)))
    };
    for (start, end) in asked() {
        let within = |s: &&Span| u64::from(s.start) <= start && end <= u64::from(s.end);
        assert!(spans.iter().any(|s| within(&s)), "{start}..{end}");
    }
    for span in spans {
        assert!(asked().any(|(start, _)| start == u64::from(span.start)));
        assert!(asked().any(|(_, end)| end == u64::from(span.end)));
    }
}

fn plainly(range: &str, len: u64) -> Option<(u64, u64)> {
    let number = |text: &str| -> u64 { text.parse().unwrap_or(u64::MAX) };
    let (first, last) = range.split_once('-')?;
    let (start, end) = match (first, last) {
        ("", last) => (len - number(last).min(len), len),
        (first, "") => (number(first), len),
        (first, last) => (number(first), number(last).saturating_add(1).min(len)),
    };
    (start < end).then_some((start, end))
}
