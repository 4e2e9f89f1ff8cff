//! The index that `quartz pack` puts in front of an image, as a file of its own: what the guest
//! would otherwise find out by reading everything.
//!
//! All numbers are little-endian; `at` counts bytes from the start of the image, or for text from
//! the start of the texts.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `QUARTZIX` |
//! | 4 | version, [`VERSION`] |
//! | 4 | number of files |
//! | 8 | length of the whole image |
//! | 8, 8 | where the content of `_redirects` lies, and its length; zeros: there is none |
//! | 4 | length of the texts |
//! | 20 | zeros |
//! | 128 each | the files, sorted by name |
//! | rest | texts: names, content types, header fields |
//!
//! A file:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4, 4 | its name: where, length |
//! | 4, 4 | its content type with charset |
//! | 4, 4 | header fields of the site's own, each line with CR LF |
//! | 8 | when it was changed last, in seconds since 1970; 0: unknown |
//! | 8, 8, 16 | its content: where, length, and a hash of it that serves as entity tag |
//! | 8, 8, 16 | its content in gzip; zeros: there is none |
//! | 8, 8, 16 | its content in brotli; zeros: there is none |

use super::{Coding, MOST_ENTRIES, headers, name};
use alloc::vec::Vec;
use core::fmt;

/// The name that it has in the archive.
pub const NAME: &str = ".quartz-index";
/// The version of the layout.
pub const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"QUARTZIX";
const HEADER: usize = 64;
const RECORD: usize = 128;

/// Why an index cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexError {
    /// It is of another version, or for an image of another length: the image was changed after it
    /// was packed. The archive itself may be sound.
    Stale,
    /// It is not laid out as it should be.
    Malformed,
    /// The record of this file, counted from 0, is wrong.
    BadRecord {
        /// Which file.
        file: u32,
        /// What of it.
        what: &'static str,
    },
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexError::Stale => f.write_str("the index belongs to another image"),
            IndexError::Malformed => f.write_str("the index is damaged"),
            IndexError::BadRecord { file, what } => {
                write!(f, "the index is wrong about {what} of file {file}")
            }
        }
    }
}

impl core::error::Error for IndexError {}

/// Where content lies in the image, and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub at: u64,
    /// Bytes.
    pub len: u64,
    /// Hash of the content.
    pub hash: u128,
}

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its content type with charset.
    pub content_type: &'a [u8],
    /// Header fields of the site's own.
    pub lines: &'a [u8],
    /// When it was changed last, in seconds since 1970; 0: unknown.
    pub modified: u64,
    /// Its content in each coding, by the order of [`Coding::ALL`]. The first is always there.
    pub extents: [Option<Extent>; 3],
}

/// An index whose bounds were checked.
#[derive(Clone, Copy, Debug)]
pub struct Index<'a> {
    records: &'a [u8],
    texts: &'a [u8],
    image_len: u64,
    redirects: Option<(u64, u64)>,
}

impl<'a> Index<'a> {
    /// Reads the index that is the content of the image's first file.
    ///
    /// # Errors
    /// It does not fit an image of `image_len` bytes, or is damaged.
    pub fn read(bytes: &'a [u8], image_len: u64) -> Result<Index<'a>, IndexError> {
        let (header, rest) = bytes
            .split_at_checked(HEADER)
            .ok_or(IndexError::Malformed)?;
        if header[..8] != *MAGIC {
            return Err(IndexError::Malformed);
        }
        if u32_at(header, 8) != VERSION || u64_at(header, 16) != image_len {
            return Err(IndexError::Stale);
        }
        let count = u32_at(header, 12) as usize;
        let texts = u32_at(header, 40) as usize;
        if count == 0 || count > MOST_ENTRIES || rest.len() != count * RECORD + texts {
            return Err(IndexError::Malformed);
        }
        let (records, texts) = rest.split_at(count * RECORD);
        let redirects = match (u64_at(header, 24), u64_at(header, 32)) {
            (0, 0) => None,
            (at, len) if fits(at, len, image_len) => Some((at, len)),
            _ => return Err(IndexError::Malformed),
        };
        Ok(Index {
            records,
            texts,
            image_len,
            redirects,
        })
    }

    /// Number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len() / RECORD
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all texts: no name is longer than that.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    /// Where the content of `_redirects` lies, and its length.
    #[must_use]
    pub fn redirects(&self) -> Option<(u64, u64)> {
        self.redirects
    }

    /// The files. Each is checked: its content lies in the image, its name is sound and follows
    /// the one before, its texts can stand in a head.
    pub fn records(&self) -> impl Iterator<Item = Result<Record<'a>, IndexError>> {
        let index = *self;
        let mut last: &'a [u8] = b"";
        let records = self.records.chunks_exact(RECORD).enumerate();
        records.map(move |(file, bytes)| {
            let wrong = |what| IndexError::BadRecord {
                file: file as u32,
                what,
            };
            let record = index.record(bytes).map_err(wrong)?;
            if record.name <= last {
                return Err(wrong("the order"));
            }
            last = record.name;
            Ok(record)
        })
    }

    fn record(&self, bytes: &[u8]) -> Result<Record<'a>, &'static str> {
        let text = |at| {
            let start = u32_at(bytes, at) as usize;
            let len = u32_at(bytes, at + 4) as usize;
            self.texts.get(start..start.checked_add(len)?)
        };
        let name = text(0).filter(|name| name::check(name).is_ok());
        let content_type = text(8).filter(|kind| is_content_type(kind));
        let lines = text(16).filter(|lines| headers::are_lines(lines));
        let mut extents = [None; 3];
        for (number, extent) in extents.iter_mut().enumerate() {
            let at = 32 + 32 * number;
            let (start, len) = (u64_at(bytes, at), u64_at(bytes, at + 8));
            if start == 0 {
                continue;
            }
            if !fits(start, len, self.image_len) {
                return Err("the place");
            }
            let hash = bytes[at + 16..].first_chunk::<16>().ok_or("the hash")?;
            *extent = Some(Extent {
                at: start,
                len,
                hash: u128::from_le_bytes(*hash),
            });
        }
        if extents[Coding::Identity as usize].is_none() {
            return Err("the place");
        }
        Ok(Record {
            name: name.ok_or("the name")?,
            content_type: content_type.ok_or("the content type")?,
            lines: lines.ok_or("the header fields")?,
            modified: u64_at(bytes, 24).min(1 << 40),
            extents,
        })
    }
}

/// Whether so many bytes lie in an image, behind its first block.
fn fits(at: u64, len: u64, image_len: u64) -> bool {
    at >= super::tar::BLOCK as u64 && at.checked_add(len).is_some_and(|end| end <= image_len)
}

/// Whether text can stand behind `Content-Type:`.
fn is_content_type(text: &[u8]) -> bool {
    (1..=255).contains(&text.len()) && text.iter().all(|b| b.is_ascii_graphic() || *b == b' ')
}

/// The length of an index for so many files with so many bytes of texts.
#[must_use]
pub fn len(files: usize, texts: usize) -> usize {
    HEADER + files * RECORD + texts
}

/// Writes an index. Texts that are equal are stored once.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    records: Vec<[u8; RECORD]>,
    texts: Vec<u8>,
    /// Where content types and header fields lie already.
    known: Vec<(u32, u32)>,
}

impl Writer {
    /// Adds the texts of a file; files come sorted by name. Its place in the image is told by
    /// [`Writer::place`], when the length of the index is known.
    pub fn push(&mut self, name: &[u8], content_type: &[u8], lines: &[u8], modified: u64) {
        let mut record = [0; RECORD];
        let at = self.texts.len() as u32;
        self.texts.extend_from_slice(name);
        put32(&mut record, 0, at, name.len() as u32);
        for (place, text) in [(8, content_type), (16, lines)] {
            let (at, len) = self.shared(text);
            put32(&mut record, place, at, len);
        }
        record[24..32].copy_from_slice(&modified.to_le_bytes());
        self.records.push(record);
    }

    /// Says where a file's content in one coding lies.
    pub fn place(&mut self, file: usize, coding: Coding, extent: Extent) {
        let at = 32 + 32 * coding as usize;
        let record = &mut self.records[file];
        record[at..at + 8].copy_from_slice(&extent.at.to_le_bytes());
        record[at + 8..at + 16].copy_from_slice(&extent.len.to_le_bytes());
        record[at + 16..at + 32].copy_from_slice(&extent.hash.to_le_bytes());
    }

    /// Bytes of the index.
    #[must_use]
    pub fn len(&self) -> usize {
        len(self.records.len(), self.texts.len())
    }

    /// Whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The index of an image of `image_len` bytes.
    #[must_use]
    pub fn finish(&self, image_len: u64, redirects: Option<(u64, u64)>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.records.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&image_len.to_le_bytes());
        let (at, len) = redirects.unwrap_or_default();
        bytes.extend_from_slice(&at.to_le_bytes());
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&(self.texts.len() as u32).to_le_bytes());
        bytes.resize(HEADER, 0);
        for record in &self.records {
            bytes.extend_from_slice(record);
        }
        bytes.extend_from_slice(&self.texts);
        bytes
    }

    fn shared(&mut self, text: &[u8]) -> (u32, u32) {
        if text.is_empty() {
            return (0, 0);
        }
        let stored = |&(at, len): &(u32, u32)| &self.texts[at as usize..(at + len) as usize];
        if let Some(known) = self.known.iter().find(|known| stored(known) == text) {
            return *known;
        }
        let new = (self.texts.len() as u32, text.len() as u32);
        self.texts.extend_from_slice(text);
        self.known.push(new);
        new
    }
}

fn put32(record: &mut [u8; RECORD], place: usize, at: u32, len: u32) {
    record[place..place + 4].copy_from_slice(&at.to_le_bytes());
    record[place + 4..place + 8].copy_from_slice(&len.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: u64 = 1 << 20;

    fn extent(at: u64, len: u64) -> Extent {
        Extent { at, len, hash: 7 }
    }

    fn two_files() -> Writer {
        let mut writer = Writer::default();
        writer.push(b"a.css", b"text/css", b"", 5);
        writer.push(b"b.css", b"text/css", b"X: 1\r\n", 6);
        writer.place(0, Coding::Identity, extent(1024, 10));
        writer.place(1, Coding::Identity, extent(2048, 0));
        writer.place(1, Coding::Brotli, extent(512, IMAGE - 512));
        writer
    }

    fn first_error(bytes: &[u8]) -> Option<IndexError> {
        match Index::read(bytes, IMAGE) {
            Ok(index) => index.records().find_map(Result::err),
            Err(error) => Some(error),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let writer = two_files();
        let bytes = writer.finish(IMAGE, Some((4096, 100)));
        assert_eq!(bytes.len(), writer.len());
        let index = Index::read(&bytes, IMAGE).unwrap();
        assert_eq!((index.len(), index.redirects()), (2, Some((4096, 100))));
        let records: Vec<_> = index.records().map(Result::unwrap).collect();
        assert_eq!(records[0].name, b"a.css");
        assert_eq!(records[0].extents, [Some(extent(1024, 10)), None, None]);
        assert_eq!(
            (records[1].content_type, records[1].lines),
            (&b"text/css"[..], &b"X: 1\r\n"[..])
        );
        assert_eq!(records[1].modified, 6);
        assert_eq!(records[1].extents[2], Some(extent(512, IMAGE - 512)));
        // The type is stored once.
        assert_eq!(bytes.windows(8).filter(|w| w == b"text/css").count(), 1);
    }

    #[test]
    fn an_index_that_lies_is_noticed() {
        let good = two_files().finish(IMAGE, None);
        assert_eq!(first_error(&good), None);
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            first_error(&bytes)
        };
        let bad = |file, what| Some(IndexError::BadRecord { file, what });
        let set = |bytes: &mut Vec<u8>, at: usize, value: u64| {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        let second = HEADER + RECORD;
        assert_eq!(with(&|b| b[0] = 0), Some(IndexError::Malformed));
        assert_eq!(with(&|b| b[8] = 2), Some(IndexError::Stale));
        assert_eq!(with(&|b| b[16] ^= 1), Some(IndexError::Stale));
        assert_eq!(with(&|b| b[12] = 0), Some(IndexError::Malformed));
        assert_eq!(with(&|b| b[12] = 3), Some(IndexError::Malformed));
        assert_eq!(with(&|b| b[15] = 0xff), Some(IndexError::Malformed));
        assert_eq!(
            with(&|b| b.truncate(HEADER - 1)),
            Some(IndexError::Malformed)
        );
        assert_eq!(
            with(&|b| b.truncate(HEADER + 5)),
            Some(IndexError::Malformed)
        );
        assert_eq!(with(&|b| b.push(0)), Some(IndexError::Malformed));
        assert_eq!(
            with(&|b| set(b, 24, IMAGE + 1)),
            Some(IndexError::Malformed)
        );
        for lie in [0, 511, IMAGE + 1, u64::MAX - 4] {
            assert_eq!(
                with(&|b| set(b, HEADER + 32, lie)),
                bad(0, "the place"),
                "{lie}"
            );
        }
        for lie in [IMAGE, u64::MAX] {
            assert_eq!(
                with(&|b| set(b, HEADER + 40, lie)),
                bad(0, "the place"),
                "{lie}"
            );
        }
        assert_eq!(with(&|b| set(b, HEADER, u64::MAX)), bad(0, "the name"));
        assert_eq!(with(&|b| set(b, HEADER, 0)), bad(0, "the name"));
        assert_eq!(with(&|b| set(b, second, 5 << 32)), bad(1, "the order"));
        assert_eq!(with(&|b| set(b, second + 8, 0)), bad(1, "the content type"));
        assert_eq!(
            with(&|b| set(b, second + 16, 5 << 32)),
            bad(1, "the header fields")
        );
        let texts = HEADER + 2 * RECORD;
        assert_eq!(
            with(&|b| b[texts..texts + 5].copy_from_slice(b"../ab")),
            bad(0, "the name")
        );
        assert_eq!(
            with(&|b| b[texts..texts + 5].copy_from_slice(b"/abcd")),
            bad(0, "the name")
        );
        assert_eq!(with(&|b| b[texts + 6] = b'\n'), bad(0, "the content type"));
    }
}
