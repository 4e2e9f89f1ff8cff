//! The site: files that lie in a tar image, found by their path, with their heads prepared.
//!
//! Files stay where they are in the image; what is kept per file is its name, its heads and a few
//! numbers. Nothing is parsed per request. Owns no sockets and sends nothing.

mod error;
mod head;
mod index;
mod mime;
pub(crate) mod path;
mod representation;
mod tag;
mod tar;

pub use error::{SiteError, SiteErrorKind};
pub(crate) use head::Head;
pub(crate) use representation::{Coding, File, Representation};

use crate::text::Text;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::ops::Range;
use head::{Fields, Marks};
use index::{Form, Index, Key, Names, PAGE};
use tar::Kind;

/// Most files and directories of an image.
pub const MOST_ENTRIES: usize = 100_000;
/// Longest directory that is redirected to, in bytes: with every byte escaped its head still fits
/// the smallest send buffer.
const LONGEST_REDIRECT: usize = 1024;
/// Longest path of a request that is looked at, in bytes: that of a whole receive buffer.
const LONGEST_PATH: usize = 8192;
/// The page that is shown for a path that leads nowhere.
const NOT_FOUND: &[u8] = b"404.html";
/// Fields against some attacks on a page's readers.
const SECURITY: &[u8] = b"X-Content-Type-Options: nosniff\r\nX-Frame-Options: SAMEORIGIN\r\n\
    Referrer-Policy: strict-origin-when-cross-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n";

/// How a site is served.
#[derive(Clone, Copy, Debug, Default)]
pub struct SiteOptions {
    /// Unix time in seconds, if it is known: no file was changed later.
    pub now: Option<u64>,
    /// Every file's answer carries fields against sniffing, framing and leaking of referrers.
    pub security_fields: bool,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// A file, by its number.
    File(u32),
    /// Elsewhere: the status. [`Site::location`] has the place, without the request's query.
    Redirect(u16),
    /// Nothing; the page that says so, if the site has one.
    Nothing(Option<u32>),
    /// It is not a path.
    Malformed,
}

/// What is kept of a file.
struct Kept {
    /// Its representations in [`Site::representations`].
    representations: Range<u32>,
    content: &'static [u8],
    /// Unix seconds; 0: not known.
    modified: u64,
    /// The name holds a byte that a path has to escape, so no path may name it as it stands.
    escaped: bool,
}

/// A site, ready to be served.
pub struct Site {
    files: Vec<Kept>,
    representations: Vec<Representation>,
    names: Names,
    index: Index,
    /// What is shown for a path that leads nowhere.
    not_found: Option<u32>,
    /// A path is put into its plain form here.
    plain: Vec<u8>,
    /// Where the last redirection led.
    location: Text,
}

impl Site {
    /// Reads a tar image (ustar, GNU or PAX). Files are not copied. `x.css.br` and `x.css.gz` are other
    /// representations of `x.css`.
    ///
    /// Directories and global PAX headers are passed over. Hard links serve the file that they
    /// name. Symbolic links, devices and unknown kinds of entries are passed over with a warning:
    /// a web server that follows them would serve what nobody meant to publish.
    ///
    /// # Errors
    /// [`SiteError`], with the entry's name and place, for an image that is truncated or damaged,
    /// or names that are absolute, climb out, or stand twice.
    pub fn from_tar(image: &'static [u8]) -> Result<Site, SiteError> {
        Site::with_options(image, &SiteOptions::default())
    }

    /// The same, served as `options` say.
    ///
    /// # Errors
    /// As [`Site::from_tar`].
    pub fn with_options(image: &'static [u8], options: &SiteOptions) -> Result<Site, SiteError> {
        let size = Size::of(image)?;
        let mut site = Site::with_room(&size)?;
        let mut passed_over = 0u32;
        for entry in tar::entries(image) {
            let entry = entry?;
            let error = |kind| SiteError::new(kind, entry.offset, &entry.name());
            let content = match entry.kind {
                Kind::File(content) => content,
                Kind::Link(target) => match site.find(target) {
                    Some(file) => site.files[file as usize].content,
                    None => return Err(error(SiteErrorKind::BrokenLink)),
                },
                Kind::Directory => continue,
                Kind::Other(kind) => {
                    passed_over += 1;
                    if passed_over <= 10 {
                        log::warn!(
                            "site: passed over `{}`: {}",
                            entry.name().escape_ascii(),
                            tar::describe(kind)
                        );
                    }
                    continue;
                }
            };
            let modified = match (entry.modified, options.now) {
                // RFC 9110, 8.8.2.1: not later than the answer's own date.
                (modified, Some(now)) => modified.min(now),
                (modified, None) => modified,
            };
            site.add(&entry.name(), content, modified).map_err(error)?;
        }
        if passed_over > 10 {
            log::warn!("site: passed over {} entries more", passed_over - 10);
        }
        if site.files.is_empty() {
            return Err(SiteError::new(SiteErrorKind::Empty, 0, b""));
        }
        site.link_directories();
        site.not_found = site.find(NOT_FOUND);
        site.prepare(options)?;
        Ok(site)
    }

    /// Files in the site.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is nothing to serve.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// A file's content, by its path without the slash at its front.
    #[must_use]
    pub fn content(&self, name: &[u8]) -> Option<&'static [u8]> {
        self.find(name)
            .map(|file| self.files[file as usize].content)
    }

    /// Finds what the path of a request leads to.
    pub(crate) fn resolve(&mut self, path: &[u8]) -> Resolved {
        let Some(name) = path.strip_prefix(b"/") else {
            return Resolved::Malformed;
        };
        // Most paths are in plain form and name a file: then nothing has to be rewritten.
        if let Some(key) = self.index.find(name, &self.names)
            && !self.files[key.file as usize].escaped
        {
            return self.resolved(key);
        }
        let mut plain = core::mem::take(&mut self.plain);
        let resolved = match path::plain(name, &mut plain) {
            Some(len) => match self.index.find(&plain[..len], &self.names) {
                Some(key) => self.resolved(key),
                None => Resolved::Nothing(self.not_found),
            },
            None => Resolved::Malformed,
        };
        self.plain = plain;
        resolved
    }

    /// A file.
    pub(crate) fn file(&self, number: u32) -> File<'_> {
        let kept = &self.files[number as usize];
        let range = kept.representations.start as usize..kept.representations.end as usize;
        File {
            representations: &self.representations[range],
            modified: (kept.modified > 0).then_some(kept.modified),
        }
    }

    /// Where the last [`Resolved::Redirect`] leads: a path, escaped.
    pub(crate) fn location(&self) -> &[u8] {
        self.location.bytes()
    }

    fn resolved(&mut self, key: Key) -> Resolved {
        match key.form {
            Form::Name | Form::Directory => Resolved::File(key.file),
            Form::Bare => {
                let form = Form::Directory;
                let directory = Key { form, ..key };
                self.location.clear();
                self.location.push(b"/");
                for &byte in directory.path(self.names.get(key.file)) {
                    if path::is_plain(byte) {
                        self.location.push(&[byte]);
                    } else {
                        // Writing into `Text` cannot fail.
                        let _ = write!(self.location, "%{byte:02X}");
                    }
                }
                Resolved::Redirect(301)
            }
        }
    }

    fn with_room(size: &Size) -> Result<Site, SiteError> {
        let full = |_| no_memory();
        let mut files = Vec::new();
        files.try_reserve_exact(size.files).map_err(full)?;
        // A file, its directory, and that without the slash.
        let index = Index::with_room(size.files + 2 * size.pages);
        Ok(Site {
            files,
            representations: Vec::new(),
            names: Names::with_room(size.files, size.names).map_err(full)?,
            index: index.ok_or(no_memory())?,
            not_found: None,
            plain: vec![0; LONGEST_PATH],
            location: Text::new(3 * LONGEST_REDIRECT + 2),
        })
    }

    fn add(
        &mut self,
        name: &[u8],
        content: &'static [u8],
        modified: u64,
    ) -> Result<(), SiteErrorKind> {
        if self.find(name).is_some() {
            return Err(SiteErrorKind::Duplicate);
        }
        self.names.push(name);
        let file = self.files.len() as u32;
        self.files.push(Kept {
            representations: 0..0,
            content,
            modified,
            escaped: name.iter().any(|b| b"%?#".contains(b)),
        });
        let form = Form::Name;
        self.index.insert(Key { file, form }, &self.names);
        Ok(())
    }

    /// Prepares the representations of all files.
    fn prepare(&mut self, options: &SiteOptions) -> Result<(), SiteError> {
        let mut heads = Vec::new();
        let mut drafts: Vec<Draft> = Vec::new();
        let mut coded = Vec::new();
        let full = |_| no_memory();
        for number in 0..self.files.len() as u32 {
            let first = drafts.len() as u32;
            for coding in [Coding::Brotli, Coding::Gzip, Coding::Identity] {
                coded.clear();
                coded.extend_from_slice(self.names.get(number));
                coded.extend_from_slice(coding.suffix());
                if let Some(other) = self.find(&coded) {
                    let content = self.files[other as usize].content;
                    drafts.try_reserve(1).map_err(full)?;
                    drafts.push(Draft::new(coding, content));
                }
            }
            let last = drafts.len() as u32;
            let file = &mut self.files[number as usize];
            file.representations = first..last;
            let kind = mime::of(self.names.get(number));
            for draft in &mut drafts[first as usize..] {
                let mut tag = [0; tag::LEN];
                tag::write(&mut tag, draft.content);
                draft.start = heads.len() as u32;
                heads.try_reserve(HEAD_ROOM).map_err(full)?;
                draft.marks = Fields {
                    kind: &[kind.name, if kind.is_text { "; charset=utf-8" } else { "" }],
                    coding: draft.coding,
                    len: draft.content.len(),
                    tag: &tag,
                    modified: (file.modified > 0).then_some(file.modified),
                    varies: last - first > 1,
                    more: match options.security_fields {
                        true => SECURITY,
                        false => &[],
                    },
                }
                .write(&mut heads);
                draft.end = heads.len() as u32;
            }
        }
        heads.shrink_to_fit();
        let heads: &'static [u8] = heads.leak();
        self.representations
            .try_reserve_exact(drafts.len())
            .map_err(full)?;
        let ready = drafts.iter().map(|draft| Representation {
            coding: draft.coding,
            content: draft.content,
            head: Head::new(
                &heads[draft.start as usize..draft.end as usize],
                draft.marks,
            ),
        });
        self.representations.extend(ready);
        Ok(())
    }

    /// Makes index pages stand for their directories. A file of the directory's own name wins.
    fn link_directories(&mut self) {
        for file in 0..self.files.len() as u32 {
            let name = self.names.get(file);
            let bare = match name.strip_suffix(PAGE) {
                Some([]) => None,
                Some([bare @ .., b'/']) => Some(bare),
                _ => continue,
            };
            let redirects = bare.is_some_and(|bare| {
                bare.len() <= LONGEST_REDIRECT && self.index.find(bare, &self.names).is_none()
            });
            let form = Form::Directory;
            self.index.insert(Key { file, form }, &self.names);
            if redirects {
                let form = Form::Bare;
                self.index.insert(Key { file, form }, &self.names);
            }
        }
    }

    fn find(&self, name: &[u8]) -> Option<u32> {
        self.index
            .find(name, &self.names)
            .filter(|key| key.form == Form::Name)
            .map(|key| key.file)
    }
}

/// A representation whose head has no place yet.
struct Draft {
    coding: Coding,
    content: &'static [u8],
    start: u32,
    end: u32,
    marks: Marks,
}

impl Draft {
    fn new(coding: Coding, content: &'static [u8]) -> Draft {
        Draft {
            coding,
            content,
            start: 0,
            end: 0,
            marks: Marks::default(),
        }
    }
}

fn no_memory() -> SiteError {
    SiteError::new(SiteErrorKind::NoMemory, 0, b"")
}

/// Bytes that a head takes, about.
const HEAD_ROOM: usize = 512;

/// What an image takes, counted before anything is allocated.
struct Size {
    files: usize,
    pages: usize,
    names: usize,
}

impl Size {
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
