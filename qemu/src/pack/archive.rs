//! Takes the files of a site out of a tar archive: what the guest would accept, no more.

use super::Plan;
use super::entry::{Entry, Source};
use super::error::{PackError, unreadable};
use quartz_abi::site::tar::{self, Kind};
use quartz_abi::site::{Index, SiteErrorKind, index};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, ops::Range};

/// A file of the archive.
struct Found {
    range: Range<usize>,
    modified: u64,
}

/// Adds the files of the archive at `path` to `plan`. Of an image that `quartz pack` has made, the
/// compressed forms that it added are left out: they are made anew.
pub(super) fn read(path: &Path, plan: &mut Plan) -> Result<(), PackError> {
    let archive = Arc::new(fs::read(path).map_err(unreadable(path))?);
    let refuse = |error| PackError::Archive {
        path: path.into(),
        error: Box::new(error),
    };
    let mut found: BTreeMap<Vec<u8>, Found> = BTreeMap::new();
    let mut own: Option<BTreeSet<&[u8]>> = None;
    for entry in tar::entries(&archive) {
        let entry = entry.map_err(refuse)?;
        let name = entry.name().into_owned();
        let error = |kind| refuse(quartz_abi::site::SiteError::new(kind, entry.offset, &name));
        let range = match entry.kind {
            Kind::File(content) => {
                if entry.offset == 0 && name == index::NAME.as_bytes() {
                    own = names(content, archive.len() as u64);
                    continue;
                }
                let start = content.as_ptr() as usize - archive.as_ptr() as usize;
                start..start + content.len()
            }
            Kind::Link(target) => match found.get(target) {
                Some(first) => first.range.clone(),
                None => return Err(error(SiteErrorKind::BrokenLink)),
            },
            Kind::Directory => continue,
            Kind::Other(_) => {
                plan.special.push(PathBuf::from(OsStr::from_bytes(&name)));
                continue;
            }
        };
        let modified = entry.modified;
        if found
            .insert(name.clone(), Found { range, modified })
            .is_some()
        {
            return Err(error(SiteErrorKind::Duplicate));
        }
    }
    let is_own = |name: &Vec<u8>| {
        let rules = [quartz_abi::site::HEADERS, quartz_abi::site::REDIRECTS];
        match &own {
            Some(own) => own.contains(&name[..]) || rules.contains(&&name[..]),
            None => true,
        }
    };
    for (name, file) in found.into_iter().filter(|(name, _)| is_own(name)) {
        let path = PathBuf::from(OsStr::from_bytes(&name));
        if name.iter().any(u8::is_ascii_control) {
            return Err(PackError::Name { path });
        }
        plan.entries.push(Entry {
            name: path,
            size: file.range.len() as u64,
            source: Source::Archive(archive.clone(), file.range),
            modified: file.modified,
        });
    }
    Ok(())
}

/// The names of the site's own files, if the index fits the archive.
fn names(content: &[u8], image_len: u64) -> Option<BTreeSet<&[u8]>> {
    let index = Index::read(content, image_len).ok()?;
    index
        .records()
        .map(|record| Some(record.ok()?.name))
        .collect()
}
