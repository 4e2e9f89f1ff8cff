//! The fields of a request that matter, as they stand (RFC 9110, 5).

use super::request::{Conditions, Framing};
use super::status::Status;
use super::target;
use httparse::Header;

/// Most lines of a list that are kept.
const MOST_LINES: usize = 3;

/// The lines of one field, of which `N` are kept. Each line of a list continues the one before
/// (RFC 9110, 5.3). What is lost of longer lists makes an answer larger than it had to be, or
/// refuses a condition; it is never the other way round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<'a, const N: usize = MOST_LINES> {
    lines: [&'a [u8]; N],
    count: u8,
}

/// A field that may stand once.
pub(crate) type Single<'a> = Lines<'a, 1>;

impl<'a, const N: usize> Lines<'a, N> {
    /// Adds a line.
    fn push(&mut self, line: &'a [u8]) {
        if let Some(place) = self.lines.get_mut(usize::from(self.count)) {
            *place = line;
        }
        self.count = self.count.saturating_add(1);
    }

    /// Whether the field is not there.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The lines.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        self.lines.iter().copied().take(usize::from(self.count))
    }

    /// The value of a field that stands once, if it does.
    pub fn single(&self) -> Option<&'a [u8]> {
        match self.count {
            1 => Some(self.lines[0]),
            _ => None,
        }
    }
}

impl<const N: usize> Default for Lines<'_, N> {
    fn default() -> Self {
        Lines {
            lines: [&[]; N],
            count: 0,
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl<'a, const N: usize> From<&'a [u8]> for Lines<'a, N> {
    fn from(line: &'a [u8]) -> Self {
        let mut lines = Lines::default();
        lines.push(line);
        lines
    }
}

/// The fields.
#[derive(Default)]
pub(super) struct Fields<'a> {
    /// `Host` fields.
    pub hosts: u32,
    /// `Connection: close`.
    pub close: bool,
    /// `Connection: keep-alive`.
    pub keep_alive: bool,
    /// `Expect: 100-continue`.
    pub expects: bool,
    /// `Expect` something else.
    pub unknown_expectation: bool,
    length: Option<u64>,
    coding: Option<Transfer>,
    /// `Accept-Encoding`.
    pub codings: Lines<'a>,
    /// Those of conditional and range requests.
    pub conditions: Conditions<'a>,
}

/// What `Transfer-Encoding` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transfer {
    /// `chunked`.
    Chunked,
    /// Something that ends in chunks.
    UnknownInChunks,
    /// Nobody can tell where the content ends.
    Endless,
}

impl<'a> Fields<'a> {
    /// Reads them.
    pub fn read(headers: &[Header<'a>]) -> Result<Fields<'a>, Status> {
        let mut fields = Fields::default();
        for Header { name, value } in headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            // The length alone rules most fields out.
            match name.len() {
                4 if is("host") => {
                    fields.hosts += 1;
                    if !value.is_empty() && !target::is_authority(value) {
                        return Err(Status::BadRequest);
                    }
                }
                5 if is("range") => fields.conditions.range.push(value),
                6 if is("expect") => {
                    for expectation in value.split(|&b| b == b',') {
                        match expectation
                            .trim_ascii()
                            .eq_ignore_ascii_case(b"100-continue")
                        {
                            true => fields.expects = true,
                            false => fields.unknown_expectation = true,
                        }
                    }
                }
                8 if is("if-match") => fields.conditions.if_match.push(value),
                8 if is("if-range") => fields.conditions.if_range.push(value),
                10 if is("connection") => {
                    for token in value.split(|&b| b == b',') {
                        let token = token.trim_ascii();
                        fields.close |= token.eq_ignore_ascii_case(b"close");
                        fields.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                13 if is("if-none-match") => fields.conditions.if_none_match.push(value),
                14 if is("content-length") => {
                    // Two lengths, even equal ones, are how requests are smuggled.
                    if fields.length.is_some() {
                        return Err(Status::BadRequest);
                    }
                    fields.length = Some(decimal(value).ok_or(Status::BadRequest)?);
                }
                15 if is("accept-encoding") => fields.codings.push(value),
                17 if is("transfer-encoding") => {
                    let before = fields.coding.replace(transfer(value));
                    if before.is_some() {
                        return Err(Status::BadRequest);
                    }
                }
                17 if is("if-modified-since") => fields.conditions.if_modified_since.push(value),
                19 if is("if-unmodified-since") => {
                    fields.conditions.if_unmodified_since.push(value);
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    /// RFC 9112, 6.1 and 6.3: what could be read in two ways is refused.
    pub fn framing(&self, old: bool) -> Result<Framing, Status> {
        match (self.coding, self.length) {
            (None, None | Some(0)) => Ok(Framing::Empty),
            (None, Some(length)) => Ok(Framing::Sized(length)),
            (Some(_), Some(_)) => Err(Status::BadRequest),
            (Some(_), None) if old => Err(Status::BadRequest),
            (Some(Transfer::Chunked), None) => Ok(Framing::Chunked),
            (Some(Transfer::UnknownInChunks), None) => Err(Status::NotImplemented),
            (Some(Transfer::Endless), None) => Err(Status::BadRequest),
        }
    }
}

fn transfer(value: &[u8]) -> Transfer {
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let mut codings = value.rsplit(|&b| b == b',');
    match codings.next() {
        Some(last) if is_chunked(last) => {}
        _ => return Transfer::Endless,
    }
    let mut transfer = Transfer::Chunked;
    for coding in codings {
        // Chunks in chunks may not be (RFC 9112, 6.1).
        if is_chunked(coding) || coding.trim_ascii().is_empty() {
            return Transfer::Endless;
        }
        transfer = Transfer::UnknownInChunks;
    }
    transfer
}

/// Decimal figures and nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let figure = byte.checked_sub(b'0').filter(|figure| *figure < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(figure))
    })
}
