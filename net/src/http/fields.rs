//! The fields of a request that matter, as they stand (RFC 9110, 5).

use super::request::Framing;
use super::status::Status;
use super::target;
use httparse::Header;

/// The lines of one field. Each line of a list continues the one before (RFC 9110, 5.3).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines<'a> {
    first: Option<&'a [u8]>,
    fields: &'a [Header<'a>],
    /// Which of the fields follow the first: a bit for each.
    rest: u64,
}

impl<'a> Lines<'a> {
    /// Those of `fields` that have a bit in `mask`.
    pub fn new(fields: &'a [Header<'a>], mask: u64) -> Lines<'a> {
        let first = fields.get(mask.trailing_zeros() as usize);
        Lines {
            first: first.map(|field| field.value),
            fields,
            rest: mask & mask.wrapping_sub(1),
        }
    }

    /// Whether the field is not there.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The lines.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter().enumerate();
        let rest = self.rest;
        let others = fields.filter(move |(at, _)| rest >> at & 1 != 0);
        self.first
            .into_iter()
            .chain(others.map(|(_, field)| field.value))
    }

    /// The value of a field that stands once, if it does.
    pub fn single(&self) -> Option<&'a [u8]> {
        match self.rest {
            0 => self.first,
            _ => None,
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl<'a> From<&'a [u8]> for Lines<'a> {
    fn from(line: &'a [u8]) -> Self {
        Lines {
            first: Some(line),
            ..Lines::default()
        }
    }
}

/// Which lines of a head belong to each of the fields that are read later: a bit for each line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    /// `Accept-Encoding`.
    pub codings: u64,
    /// `If-Match`.
    pub if_match: u64,
    /// `If-None-Match`.
    pub if_none_match: u64,
    /// `If-Modified-Since`.
    pub if_modified_since: u64,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: u64,
    /// `If-Range`.
    pub if_range: u64,
    /// `Range`.
    pub range: u64,
}

/// The fields.
#[derive(Default)]
pub(super) struct Fields {
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
    /// Those that are read later.
    pub marks: Marks,
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

impl Fields {
    /// Reads them, of which there are 64 at most.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn read(headers: &[Header<'_>]) -> Result<Fields, Status> {
        let mut fields = Fields::default();
        for (number, Header { name, value }) in headers.iter().enumerate() {
            let bit = 1 << number;
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            // The length alone rules most fields out.
            match name.len() {
                4 if is("host") => {
                    fields.hosts += 1;
                    if !value.is_empty() && !target::is_authority(value) {
                        return Err(Status::BadRequest);
                    }
                }
                5 if is("range") => fields.marks.range |= bit,
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
                8 if is("if-match") => fields.marks.if_match |= bit,
                8 if is("if-range") => fields.marks.if_range |= bit,
                10 if is("connection") => {
                    for token in value.split(|&b| b == b',') {
                        let token = token.trim_ascii();
                        fields.close |= token.eq_ignore_ascii_case(b"close");
                        fields.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                13 if is("if-none-match") => fields.marks.if_none_match |= bit,
                14 if is("content-length") => {
                    // Two lengths, even equal ones, are how requests are smuggled.
                    if fields.length.is_some() {
                        return Err(Status::BadRequest);
                    }
                    fields.length = Some(decimal(value).ok_or(Status::BadRequest)?);
                }
                15 if is("accept-encoding") => fields.marks.codings |= bit,
                17 if is("transfer-encoding") => {
                    let before = fields.coding.replace(transfer(value));
                    if before.is_some() {
                        return Err(Status::BadRequest);
                    }
                }
                17 if is("if-modified-since") => fields.marks.if_modified_since |= bit,
                19 if is("if-unmodified-since") => {
                    fields.marks.if_unmodified_since |= bit;
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    /// RFC 9112, 6.1 and 6.3: what could be read in two ways is refused.
    #[cfg_attr(target_os = "none", optimize(size))]
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

#[cfg_attr(target_os = "none", optimize(size))]
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
