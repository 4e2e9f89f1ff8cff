//! Ranges of bytes (RFC 9110, 14).

use super::fields::{self, Lines};

/// Most ranges of one request: of more, all are ignored and the whole is sent.
pub(crate) const MOST: usize = 8;
/// Ranges nearer to each other than this are sent as one, since the head of another part takes
/// about as much (RFC 9110, 15.3.7.2).
const NEAR: u32 = 80;

/// Bytes of a file, by the first and the one behind the last. Never empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// First byte.
    pub start: u32,
    /// Byte behind the last.
    pub end: u32,
}

impl Span {
    /// Its bytes.
    pub fn of(self, content: &'static [u8]) -> &'static [u8] {
        &content[self.start as usize..self.end as usize]
    }
}

/// The ranges that a request asks for, in the order in which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spans {
    spans: [Span; MOST],
    count: u8,
}

impl Spans {
    /// None.
    pub const NONE: Spans = Spans {
        spans: [Span { start: 0, end: 0 }; MOST],
        count: 0,
    };

    /// The ranges.
    pub fn as_slice(&self) -> &[Span] {
        &self.spans[..usize::from(self.count)]
    }

    /// Adds one, and makes one of those that overlap or nearly touch. It takes the place of the
    /// first of them.
    fn add(&mut self, span: Span) {
        let mut at = usize::from(self.count);
        self.spans[at] = span;
        self.count += 1;
        while let Some(other) = self.near(at) {
            let (into, from) = (at.min(other), at.max(other));
            let (a, b) = (self.spans[into], self.spans[from]);
            self.spans[into] = Span {
                start: a.start.min(b.start),
                end: a.end.max(b.end),
            };
            self.spans
                .copy_within(from + 1..usize::from(self.count), from);
            self.count -= 1;
            at = into;
        }
    }

    /// Another one that is near to this.
    fn near(&self, at: usize) -> Option<usize> {
        let span = self.spans[at];
        self.as_slice().iter().enumerate().position(|(n, other)| {
            n != at
                && span.start <= other.end.saturating_add(NEAR)
                && other.start <= span.end.saturating_add(NEAR)
        })
    }
}

/// What a `Range` field asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nothing that is understood: the whole is sent.
    Whole,
    /// These.
    Spans(Spans),
    /// Nothing that is there (416).
    Nothing,
}

/// Reads a `Range` field about content of `len` bytes. A field that is malformed, repeated, of
/// another unit, or asks for more than [`MOST`] ranges is ignored, as it may be (RFC 9110, 14.2).
#[cfg_attr(target_os = "none", optimize(size))]
pub(crate) fn read(range: &Lines<'_>, len: usize) -> Asked {
    let (Some(value), Ok(len)) = (range.single(), u32::try_from(len)) else {
        return Asked::Whole;
    };
    match spans(value, len) {
        None => Asked::Whole,
        Some(spans) if spans.count == 0 => Asked::Nothing,
        Some(spans) => Asked::Spans(spans),
    }
}

#[cfg_attr(target_os = "none", optimize(size))]
fn spans(value: &[u8], len: u32) -> Option<Spans> {
    let equals = value.iter().position(|&b| b == b'=')?;
    let (unit, set) = (&value[..equals], &value[equals + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut spans = Spans::NONE;
    let mut count = 0;
    for range in set.split(|&b| b == b',') {
        let range = range.trim_ascii();
        // Empty elements of a list do not count (RFC 9110, 5.6.1.2).
        if range.is_empty() {
            continue;
        }
        count += 1;
        if count > MOST {
            return None;
        }
        if let Some(span) = span(range, len)? {
            spans.add(span);
        }
    }
    (count > 0).then_some(spans)
}

/// One range; `None` inside: there is nothing of it.
#[cfg_attr(target_os = "none", optimize(size))]
fn span(range: &[u8], len: u32) -> Option<Option<Span>> {
    let dash = range.iter().position(|&b| b == b'-')?;
    let (first, last) = (&range[..dash], &range[dash + 1..]);
    let (start, end) = match (first, last) {
        ([], last) => {
            let suffix = number(last)?;
            (len - suffix.min(len), len)
        }
        (first, []) => (number(first)?, len),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(len))
        }
    };
    Some((start < end).then_some(Span { start, end }))
}

/// A number; one that is too large is as large as any place can be.
fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = fields::decimal(text).unwrap_or(u64::MAX);
    Some(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    fn asked(text: &str, len: usize) -> Asked {
        read(&text.as_bytes().into(), len)
    }

    fn spans_of(text: &str, len: usize) -> Vec<(u32, u32)> {
        match asked(text, len) {
            Asked::Spans(spans) => spans.as_slice().iter().map(|s| (s.start, s.end)).collect(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn single_ranges() {
        for (text, start, end) in [
            ("bytes=0-0", 0, 1),
            ("bytes=0-499", 0, 500),
            ("bytes=500-", 500, 10_000),
            ("bytes=-500", 9500, 10_000),
            ("bytes=-20000", 0, 10_000),
            ("bytes=9999-", 9999, 10_000),
            ("bytes=0-99999999999999999999999", 0, 10_000),
            ("bytes=0-4294967295", 0, 10_000),
            ("Bytes=0-0", 0, 1),
            ("bytes= 0-0 ", 0, 1),
            ("bytes=,0-0,,", 0, 1),
            ("bytes=0-0,10000-", 0, 1),
        ] {
            assert_eq!(spans_of(text, 10_000), [(start, end)], "{text}");
        }
    }

    #[test]
    fn what_is_not_there() {
        for (text, len) in [
            ("bytes=10000-", 10_000),
            ("bytes=10000-10001", 10_000),
            ("bytes=-0", 10_000),
            ("bytes=99999999999999999999999-", 10_000),
            ("bytes=0-", 0),
            ("bytes=-1", 0),
            ("bytes=10000-,-0", 10_000),
        ] {
            assert_eq!(asked(text, len), Asked::Nothing, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=2-1",
            "bytes=0-0,2-1",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "bytes=1 -2",
            "bytes =0-1",
            "pages=0-1",
            "0-1",
        ] {
            assert_eq!(asked(text, 10_000), Asked::Whole, "{text}");
        }
        assert_eq!(read(&Lines::default(), 10_000), Asked::Whole);
    }

    #[test]
    fn several_ranges_keep_their_order() {
        assert_eq!(
            spans_of("bytes=5000-5099, 0-99 ,-100", 10_000),
            [(5000, 5100), (0, 100), (9900, 10_000)]
        );
    }

    #[test]
    fn ranges_that_touch_become_one() {
        assert_eq!(spans_of("bytes=0-99,100-199", 10_000), [(0, 200)]);
        assert_eq!(spans_of("bytes=0-99,50-60", 10_000), [(0, 100)]);
        assert_eq!(spans_of("bytes=200-299,150-", 10_000), [(150, 10_000)]);
        assert_eq!(spans_of("bytes=0-99,180-199", 10_000), [(0, 200)]);
        assert_eq!(
            spans_of("bytes=0-99,181-199", 10_000),
            [(0, 100), (181, 200)]
        );
        // The third joins the other two.
        assert_eq!(
            spans_of("bytes=5000-5099,0-99,100-4999,9000-", 10_000),
            [(0, 5100), (9000, 10_000)]
        );
        assert_eq!(spans_of("bytes=0-,0-,0-,0-,0-,0-,0-,0-", 10), [(0, 10)]);
    }

    #[test]
    fn many_ranges_are_ignored() {
        let many = |count: usize| {
            let ranges: Vec<String> = (0..count).map(|n| format!("{0}-{0}", n * 1000)).collect();
            format!("bytes={}", ranges.join(","))
        };
        assert_eq!(spans_of(&many(MOST), 100_000).len(), MOST);
        assert_eq!(asked(&many(MOST + 1), 100_000), Asked::Whole);
        assert_eq!(asked(&many(500), 100), Asked::Whole);
    }
}
