//! Why an image is no site.

use super::index::IndexError;
use super::rule::RuleError;
use core::fmt;

/// Bytes of an entry's name that an error keeps.
const NAME: usize = 80;

/// Why an image was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteErrorKind {
    /// The image ends before its end mark, or inside an entry.
    Truncated,
    /// A header's checksum is wrong: this is no tar archive, or it is damaged.
    BadChecksum,
    /// A number in a header is no number, or out of range.
    BadNumber,
    /// An extended header is damaged, or a long name stands alone.
    BadExtension,
    /// A name is empty, too long, holds a zero byte, or has an empty or `.` part inside.
    BadName,
    /// A name begins with a slash.
    AbsoluteName,
    /// A name has a `..` part.
    ClimbingName,
    /// Two files have the same name.
    Duplicate,
    /// A hard link names a file that has not come before it.
    BrokenLink,
    /// There are more than [`super::MOST_ENTRIES`] entries.
    TooManyEntries,
    /// There is no file in it.
    Empty,
    /// The table of its files does not fit the memory.
    NoMemory,
    /// The index in front cannot be true.
    BadIndex(IndexError),
    /// A rule in `_redirects` cannot be followed.
    BadRedirects(RuleError),
    /// A rule in `_headers` cannot be followed.
    BadHeaders(RuleError),
}

/// Why an image was refused, and where.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SiteError {
    /// What is wrong.
    pub kind: SiteErrorKind,
    /// Where the entry's header lies in the image, in bytes.
    pub offset: usize,
    name: [u8; NAME],
    len: u8,
}

impl SiteError {
    /// An error of the entry whose header lies at `offset`; `name` is cut off after 80 bytes.
    #[must_use]
    pub fn new(kind: SiteErrorKind, offset: usize, name: &[u8]) -> SiteError {
        let mut error = SiteError {
            kind,
            offset,
            name: [0; NAME],
            len: name.len().min(NAME) as u8,
        };
        let len = usize::from(error.len);
        error.name[..len].copy_from_slice(&name[..len]);
        error
    }

    /// The entry's name, cut off after 80 bytes; empty if the error is not one entry's.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name[..usize::from(self.len)]
    }
}

impl fmt::Display for SiteErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SiteErrorKind::BadIndex(error) => return write!(f, "{error}"),
            SiteErrorKind::BadRedirects(error) => return write!(f, "`_redirects`, {error}"),
            SiteErrorKind::BadHeaders(error) => return write!(f, "`_headers`, {error}"),
            SiteErrorKind::Truncated => "the archive is cut off",
            SiteErrorKind::BadChecksum => {
                "a header's checksum is wrong: not a tar archive, or damaged"
            }
            SiteErrorKind::BadNumber => "a header holds a bad number",
            SiteErrorKind::BadExtension => "an extended header is damaged",
            SiteErrorKind::BadName => "a name is empty, too long or malformed",
            SiteErrorKind::AbsoluteName => "a name begins with a slash",
            SiteErrorKind::ClimbingName => "a name has a `..` in it",
            SiteErrorKind::Duplicate => "a name stands twice",
            SiteErrorKind::BrokenLink => "a hard link names no earlier file",
            SiteErrorKind::TooManyEntries => "there are more than 100000 entries",
            SiteErrorKind::Empty => "there is no file in it",
            SiteErrorKind::NoMemory => "the table of its files does not fit the memory",
        })
    }
}

impl fmt::Display for SiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.len > 0 {
            write!(f, ": `{}`", self.name().escape_ascii())?;
        }
        match self.kind {
            SiteErrorKind::Empty
            | SiteErrorKind::NoMemory
            | SiteErrorKind::BadIndex(_)
            | SiteErrorKind::BadRedirects(_)
            | SiteErrorKind::BadHeaders(_) => Ok(()),
            _ => write!(f, " at byte {}", self.offset),
        }
    }
}

impl fmt::Debug for SiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteError({self})")
    }
}

impl core::error::Error for SiteError {}
