//! Finds a site's files by the index that `quartz pack` puts in front of an archive.

use super::draft::{Content, Draft, File};
use super::no_memory;
use quartz_abi::site::index::{self, Extent, IndexError};
use quartz_abi::site::tar::{self, Kind};
use quartz_abi::site::{Coding, Index, PAGE, SiteError, SiteErrorKind};

/// Reads the index. `None`: there is none, or it belongs to another image.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn read(image: &'static [u8]) -> Result<Option<Draft>, SiteError> {
    let Some(Ok(first)) = tar::entries(image).next() else {
        return Ok(None);
    };
    let Kind::File(content) = first.kind else {
        return Ok(None);
    };
    if &*first.name() != index::NAME.as_bytes() {
        return Ok(None);
    }
    let bad = |error| SiteError::new(SiteErrorKind::BadIndex(error), 0, index::NAME.as_bytes());
    let index = match Index::read(content, image.len() as u64) {
        Ok(index) => index,
        Err(IndexError::Stale) => {
            log::warn!("site: the index belongs to another image: the archive itself is read");
            return Ok(None);
        }
        Err(error) => return Err(bad(error)),
    };
    // Checked with the index: it lies in the image.
    let bytes = |extent: Extent| &image[extent.at as usize..(extent.at + extent.len) as usize];
    let (mut pages, mut contents) = (0, 0);
    for record in index.records() {
        let record = record.map_err(bad)?;
        pages += usize::from(record.name.ends_with(PAGE));
        contents += record.extents.iter().flatten().count();
    }
    let mut draft = Draft::with_room(index.len(), pages, index.text_bytes())?;
    draft
        .contents
        .try_reserve_exact(contents)
        .map_err(|_| no_memory())?;
    for record in index.records() {
        let record = record.map_err(bad)?;
        let start = draft.contents.len() as u32;
        for coding in [Coding::Brotli, Coding::Gzip, Coding::Identity] {
            if let Some(extent) = record.extents[coding as usize] {
                draft.contents.push(Content {
                    coding,
                    bytes: bytes(extent),
                    hash: extent.hash,
                });
            }
        }
        let file = File {
            contents: start..draft.contents.len() as u32,
            kind: record.content_type,
            charset: b"",
            lines: record.lines,
            modified: record.modified,
        };
        draft.add(record.name, file);
    }
    if let Some((at, len)) = index.redirects() {
        draft.redirects = &image[at as usize..(at + len) as usize];
    }
    Ok(Some(draft))
}
