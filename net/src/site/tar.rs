//! Reads tar archives where they lie: ustar and PAX (POSIX.1-2001, `pax`), and GNU tar's long
//! names. Nothing is copied but names that come in two parts.

use super::error::{SiteError, SiteErrorKind};
use alloc::borrow::Cow;
use alloc::vec::Vec;

const BLOCK: usize = 512;
/// Longest name, in bytes.
const LONGEST: usize = 4096;

/// What an entry is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A file with its content.
    File(&'static [u8]),
    /// A second name of the file with this name.
    Link(&'static [u8]),
    /// A directory.
    Directory,
    /// Something else, by its type flag.
    Other(u8),
}

/// An entry of an archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where its header lies.
    pub offset: usize,
    /// What it is.
    pub kind: Kind,
    /// When it was last changed, in seconds since 1970; 0 if that is not known.
    pub modified: u64,
    prefix: &'static [u8],
    name: &'static [u8],
}

impl Entry {
    /// Its name, checked, without a `./` at its front.
    pub fn name(&self) -> Cow<'static, [u8]> {
        if self.prefix.is_empty() {
            return Cow::Borrowed(self.name);
        }
        let mut whole = Vec::with_capacity(self.prefix.len() + 1 + self.name.len());
        whole.extend_from_slice(self.prefix);
        whole.push(b'/');
        whole.extend_from_slice(self.name);
        Cow::Owned(whole)
    }
}

/// A type flag in words.
pub(super) fn describe(kind: u8) -> &'static str {
    match kind {
        b'2' => "a symbolic link",
        b'3' | b'4' => "a device",
        b'6' => "a pipe",
        b'S' => "a sparse file",
        _ => "of an unknown kind",
    }
}

/// The entries of an archive. After an error there are no more.
pub(super) fn entries(image: &'static [u8]) -> Entries {
    Entries {
        image,
        at: 0,
        ended: false,
    }
}

/// Goes through an archive.
pub(super) struct Entries {
    image: &'static [u8],
    at: usize,
    ended: bool,
}

/// What the extended headers in front of an entry say.
#[derive(Default)]
struct Extension {
    name: Option<&'static [u8]>,
    link: Option<&'static [u8]>,
    size: Option<u64>,
    modified: Option<u64>,
}

impl Iterator for Entries {
    type Item = Result<Entry, SiteError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.entry().transpose();
        self.ended = !matches!(entry, Some(Ok(_)));
        entry
    }
}

impl Entries {
    /// The next entry; `None` at the end mark.
    fn entry(&mut self) -> Result<Option<Entry>, SiteError> {
        let mut extension = Extension::default();
        loop {
            let offset = self.at;
            let image = self.image;
            let fail = |kind| SiteError::new(kind, offset, b"");
            let header = image
                .get(offset..)
                .and_then(|rest| rest.first_chunk::<BLOCK>())
                .ok_or(fail(SiteErrorKind::Truncated))?;
            if header.iter().all(|&b| b == 0) {
                return match extension {
                    Extension {
                        name: None,
                        link: None,
                        size: None,
                        modified: None,
                    } => Ok(None),
                    _ => Err(fail(SiteErrorKind::BadExtension)),
                };
            }
            check(header).map_err(fail)?;
            let flag = header[156];
            let own_size = number(&header[124..136]).ok_or(fail(SiteErrorKind::BadNumber))?;
            let size = match flag {
                // Extended headers have their own size; links and the like have no content,
                // whatever is written there.
                b'L' | b'K' | b'x' | b'g' => own_size,
                b'1' | b'2' | b'3' | b'4' | b'5' | b'6' => 0,
                _ => extension.size.unwrap_or(own_size),
            };
            let start = offset + BLOCK;
            let size = usize::try_from(size).map_err(|_| fail(SiteErrorKind::Truncated))?;
            let content = start
                .checked_add(size)
                .and_then(|end| image.get(start..end))
                .ok_or_else(|| {
                    let name = text(&header[..100]);
                    SiteError::new(SiteErrorKind::Truncated, offset, name)
                })?;
            // The last block may be cut short only if the end mark is missing too, which is seen
            // when the next header is read.
            self.at = start.saturating_add(size.next_multiple_of(BLOCK));
            match flag {
                b'L' => extension.name = Some(text(content)),
                b'K' => extension.link = Some(text(content)),
                b'x' => pax(content, &mut extension).ok_or(fail(SiteErrorKind::BadExtension))?,
                b'g' => {}
                _ => return self.finish(offset, flag, content, &extension).map(Some),
            }
        }
    }

    fn finish(
        &self,
        offset: usize,
        flag: u8,
        content: &'static [u8],
        extension: &Extension,
    ) -> Result<Entry, SiteError> {
        let header: &'static [u8] = &self.image[offset..offset + BLOCK];
        let (prefix, name) = match extension.name {
            Some(name) => (&[][..], name),
            // Only POSIX archives have a prefix; GNU tar keeps times there.
            None if header[257..263] == *b"ustar\0" => {
                (text(&header[345..500]), text(&header[..100]))
            }
            None => (&[][..], text(&header[..100])),
        };
        // A time that is none, or before 1970, is no reason to refuse a file.
        let modified = match extension.modified {
            Some(modified) => modified,
            None => number(&header[136..148]).unwrap_or(0),
        };
        let directory = flag == b'5' || (matches!(flag, 0 | b'0') && name.ends_with(b"/"));
        let (prefix, name) = trimmed(prefix, name);
        let fail = |kind| {
            let raw = if prefix.is_empty() { name } else { prefix };
            SiteError::new(kind, offset, raw)
        };
        if directory {
            // A directory's name never becomes a path, so it may be anything that is not a trap.
            let parts = [prefix, name.strip_suffix(b"/").unwrap_or(name)];
            for part in parts {
                checked_parts(part).map_err(fail)?;
            }
            return Ok(Entry {
                offset,
                kind: Kind::Directory,
                modified,
                prefix,
                name,
            });
        }
        checked(prefix, name).map_err(fail)?;
        let kind = match flag {
            0 | b'0' | b'7' => Kind::File(content),
            b'1' => {
                let target = extension.link.unwrap_or(text(&header[157..257]));
                let (_, target) = trimmed(&[], target);
                Kind::Link(target)
            }
            other => Kind::Other(other),
        };
        Ok(Entry {
            offset,
            kind,
            modified,
            prefix,
            name,
        })
    }
}

/// Takes `./` from the front of a name.
fn trimmed(mut prefix: &'static [u8], mut name: &'static [u8]) -> (&'static [u8], &'static [u8]) {
    while let Some(rest) = prefix.strip_prefix(b"./") {
        prefix = rest;
    }
    if prefix == b"." {
        prefix = &[];
    }
    while prefix.is_empty()
        && let Some(rest) = name.strip_prefix(b"./")
    {
        name = rest;
    }
    (prefix, name)
}

/// Checks the name of something that is not a directory.
fn checked(prefix: &[u8], name: &[u8]) -> Result<(), SiteErrorKind> {
    if name.is_empty() || prefix.len() + name.len() > LONGEST {
        return Err(SiteErrorKind::BadName);
    }
    if !prefix.is_empty() && name.first() == Some(&b'/') {
        return Err(SiteErrorKind::BadName);
    }
    checked_parts(prefix)?;
    checked_parts(name)
}

fn checked_parts(name: &[u8]) -> Result<(), SiteErrorKind> {
    if name.is_empty() || name == b"." {
        return Ok(());
    }
    if name[0] == b'/' {
        return Err(SiteErrorKind::AbsoluteName);
    }
    if name.contains(&0) {
        return Err(SiteErrorKind::BadName);
    }
    for part in name.split(|&b| b == b'/') {
        match part {
            b".." => return Err(SiteErrorKind::ClimbingName),
            b"" | b"." => return Err(SiteErrorKind::BadName),
            _ => {}
        }
    }
    Ok(())
}

/// Checks a header's checksum: the sum of its bytes, with blanks for the sum itself. Very old
/// archives summed signed bytes.
fn check(header: &[u8; BLOCK]) -> Result<(), SiteErrorKind> {
    let stored = number(&header[148..156]).ok_or(SiteErrorKind::BadChecksum)?;
    let (mut plain, mut signed) = (8 * u64::from(b' '), 8 * i64::from(b' '));
    for (at, &byte) in header.iter().enumerate() {
        if !(148..156).contains(&at) {
            plain += u64::from(byte);
            signed += i64::from(byte as i8);
        }
    }
    if stored == plain || i64::try_from(stored) == Ok(signed) {
        Ok(())
    } else {
        Err(SiteErrorKind::BadChecksum)
    }
}

/// A number: octal figures between blanks or zero bytes, or GNU tar's base 256.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        // Negative numbers have the next bit set too.
        let (first, rest) = (field[0] & 0x7f, &field[1..]);
        return rest.iter().try_fold(u64::from(first), |number, &byte| {
            Some(number.checked_mul(256)? + u64::from(byte))
        });
    }
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let Some(start) = field.iter().position(|b| !blank(b)) else {
        return Some(0);
    };
    let end = field[start..]
        .iter()
        .position(blank)
        .map_or(field.len(), |at| start + at);
    if field[end..].iter().any(|b| !blank(b)) {
        return None;
    }
    field[start..end].iter().try_fold(0u64, |number, byte| {
        let figure = byte.checked_sub(b'0').filter(|figure| *figure < 8)?;
        Some(number.checked_mul(8)? + u64::from(figure))
    })
}

/// Text up to its first zero byte.
fn text(field: &'static [u8]) -> &'static [u8] {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    &field[..end]
}

/// Reads PAX records: `LENGTH KEY=VALUE\n`, the length in figures and counting all of it.
fn pax(mut records: &'static [u8], extension: &mut Extension) -> Option<()> {
    while !records.is_empty() && records[0] != 0 {
        let blank = records.iter().take(20).position(|&b| b == b' ')?;
        let len = decimal(&records[..blank])?;
        let len = usize::try_from(len).ok()?;
        let record = records.get(..len)?;
        let body = record.get(blank + 1..)?.strip_suffix(b"\n")?;
        let equals = body.iter().position(|&b| b == b'=')?;
        let (key, value) = (&body[..equals], &body[equals + 1..]);
        match key {
            b"path" => extension.name = Some(value),
            b"linkpath" => extension.link = Some(value),
            b"size" => extension.size = Some(decimal(value)?),
            // Seconds, with a fraction; before 1970 it has a minus sign.
            b"mtime" => {
                let whole = value.split(|&b| b == b'.').next().unwrap_or(value);
                extension.modified = Some(decimal(whole).unwrap_or(0));
            }
            _ => {}
        }
        records = &records[len..];
    }
    Some(())
}

fn decimal(figures: &[u8]) -> Option<u64> {
    if figures.is_empty() {
        return None;
    }
    figures.iter().try_fold(0u64, |number, byte| {
        let figure = byte.checked_sub(b'0').filter(|figure| *figure < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(figure))
    })
}
