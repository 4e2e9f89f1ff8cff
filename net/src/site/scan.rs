//! Finds a site's files by reading an archive entry by entry.

use super::draft::{Content, Draft, File};
use super::no_memory;
use alloc::vec::Vec;
use quartz_abi::site::tar::{self, Kind};
use quartz_abi::site::{
    Coding, ContentHash, HEADERS, MOST_ENTRIES, PAGE, REDIRECTS, SiteError, SiteErrorKind, index,
    mime,
};

/// Entries passed over that are named; of the rest the number is told.
const NAMED: u32 = 10;

/// Reads an archive. Every file is hashed, which takes its time with a large one; the index of
/// `quartz pack` saves it.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn read(image: &'static [u8]) -> Result<Draft, SiteError> {
    let size = Size::of(image)?;
    let mut draft = Draft::with_room(size.files, size.pages, size.names)?;
    let full = |_| no_memory();
    // At most three codings of each, but most files have one.
    draft.contents.try_reserve(size.files).map_err(full)?;
    let mut passed_over = 0u32;
    for entry in tar::entries(image) {
        let entry = entry?;
        let name = entry.name();
        let error = |kind| SiteError::new(kind, entry.offset, &name);
        let (bytes, hash) = match entry.kind {
            Kind::File(_) if &*name == index::NAME.as_bytes() => continue,
            Kind::File(content) if &*name == HEADERS => {
                draft.headers = content;
                continue;
            }
            Kind::File(content) if &*name == REDIRECTS => {
                draft.redirects = content;
                continue;
            }
            Kind::File(content) => (content, ContentHash::of(content)),
            Kind::Link(target) => match draft.find(target) {
                Some(file) => (draft.identity(file).bytes, draft.identity(file).hash),
                None => return Err(error(SiteErrorKind::BrokenLink)),
            },
            Kind::Directory => continue,
            Kind::Other(kind) => {
                passed_over += 1;
                if passed_over <= NAMED {
                    let what = tar::describe(kind);
                    log::warn!("site: passed over `{}`: {what}", name.escape_ascii());
                }
                continue;
            }
        };
        if draft.find(&name).is_some() {
            return Err(error(SiteErrorKind::Duplicate));
        }
        let kind = mime::of(&name);
        let at = draft.contents.len() as u32;
        draft.contents.push(Content {
            coding: Coding::Identity,
            bytes,
            hash,
        });
        draft.add(
            &name,
            File {
                contents: at..at + 1,
                kind: kind.name.as_bytes(),
                charset: if kind.is_text {
                    b"; charset=utf-8"
                } else {
                    b""
                },
                lines: b"",
                modified: entry.modified,
            },
        );
    }
    if passed_over > NAMED {
        log::warn!("site: passed over {} entries more", passed_over - NAMED);
    }
    find_forms(&mut draft)?;
    Ok(draft)
}

/// Takes `x.css.br` and `x.css.gz` for other forms of `x.css`, if they are smaller.
#[cfg_attr(target_os = "none", optimize(size))]
fn find_forms(draft: &mut Draft) -> Result<(), SiteError> {
    let full = |_| no_memory();
    let (mut all, mut name) = (Vec::new(), Vec::new());
    all.try_reserve(draft.contents.len()).map_err(full)?;
    // File by file: what is looked for lies in the list as it was.
    let mut ranges = Vec::new();
    ranges.try_reserve_exact(draft.files.len()).map_err(full)?;
    for number in 0..draft.files.len() as u32 {
        let own = *draft.identity(number);
        let start = all.len() as u32;
        all.try_reserve(Coding::ALL.len()).map_err(full)?;
        for coding in [Coding::Brotli, Coding::Gzip] {
            name.clear();
            name.extend_from_slice(draft.names.get(number));
            name.extend_from_slice(coding.suffix().as_bytes());
            let Some(other) = draft.find(&name) else {
                continue;
            };
            let other = *draft.identity(other);
            if other.bytes.len() < own.bytes.len() && looks_like(coding, other.bytes) {
                all.push(Content { coding, ..other });
            }
        }
        all.push(own);
        ranges.push(start..all.len() as u32);
    }
    draft.contents = all;
    for (file, range) in draft.files.iter_mut().zip(ranges) {
        file.contents = range;
    }
    Ok(())
}

/// Whether content can be in a coding. Brotli has no mark.
#[cfg_attr(target_os = "none", optimize(size))]
fn looks_like(coding: Coding, content: &[u8]) -> bool {
    match coding {
        // RFC 1952, 2.3.1.
        Coding::Gzip => content.starts_with(&[0x1f, 0x8b, 8]),
        Coding::Identity | Coding::Brotli => true,
    }
}

/// What an archive takes, counted before anything is allocated.
struct Size {
    files: usize,
    pages: usize,
    names: usize,
}

impl Size {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn of(image: &'static [u8]) -> Result<Size, SiteError> {
        let mut size = Size {
            files: 0,
            pages: 0,
            names: 0,
        };
        let mut entries = 0;
        for entry in tar::entries(image) {
            let entry = entry?;
            entries += 1;
            if entries > MOST_ENTRIES {
                let kind = SiteErrorKind::TooManyEntries;
                return Err(SiteError::new(kind, entry.offset, &entry.name()));
            }
            if let Kind::File(_) | Kind::Link(_) = entry.kind {
                let name = entry.name();
                size.files += 1;
                size.pages += usize::from(name.ends_with(PAGE));
                size.names += name.len();
            }
        }
        Ok(size)
    }
}
