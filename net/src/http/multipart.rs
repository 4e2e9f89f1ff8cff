//! Several ranges of a file in one answer: `multipart/byteranges` (RFC 9110, 14.6; RFC 2046, 5.1.1).
//!
//! The boundary is the file's entity tag, a hash of its content: nothing that the content itself
//! could hold but by intent of who wrote it.

use super::range::{Span, Spans};
use crate::site::Representation;
use crate::text::Text;
use core::fmt::Write as _;

/// The end of the answer, around the boundary.
const END: [&[u8]; 2] = [b"\r\n--", b"--\r\n"];

/// Adds the fields that tell type and length.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn fields(spans: &Spans, representation: &Representation, text: &mut Text) {
    let mut len = END[0].len() + boundary(representation).len() + END[1].len();
    let before = text.len();
    for number in 0..spans.as_slice().len() {
        let span = spans.as_slice()[number];
        // Written to be counted, and taken back.
        part_head(number, span, representation, text);
        len += text.len() - before + (span.end - span.start) as usize;
        text.truncate(before);
    }
    // Writing into `Text` cannot fail.
    let _ = write!(
        text,
        "Content-Length: {len}\r\nContent-Type: multipart/byteranges; boundary="
    );
    text.push(boundary(representation));
    text.push(b"\r\n");
}

/// Adds the head of a part.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn part_head(
    number: usize,
    span: Span,
    representation: &Representation,
    text: &mut Text,
) {
    if number > 0 {
        text.push(b"\r\n");
    }
    text.push(b"--");
    text.push(boundary(representation));
    text.push(b"\r\n");
    text.push(representation.head.kind());
    content_range(span, representation.content.len(), text);
    text.push(b"\r\n");
}

/// Adds what stands behind the last part.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn end(representation: &Representation, text: &mut Text) {
    text.push(END[0]);
    text.push(boundary(representation));
    text.push(END[1]);
}

/// Adds the field that says which bytes these are (RFC 9110, 14.4).
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn content_range(span: Span, len: usize, text: &mut Text) {
    // Writing into `Text` cannot fail.
    let (first, last) = (span.start, span.end - 1);
    let _ = write!(text, "Content-Range: bytes {first}-{last}/{len}\r\n");
}

/// The tag without its quotes.
fn boundary(representation: &Representation) -> &'static [u8] {
    let tag = representation.head.tag();
    tag.strip_prefix(b"\"")
        .and_then(|tag| tag.strip_suffix(b"\""))
        .unwrap_or(tag)
}
