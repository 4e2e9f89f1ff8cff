//! The site: files that lie in a tar image, found by their path, with their heads prepared.
//!
//! Files stay where they are in the image; what is kept per file is its name, its heads and a few
//! numbers. Nothing is parsed per request. Owns no sockets and sends nothing.

mod draft;
mod head;
mod lookup;
mod packed;
pub(crate) mod path;
mod representation;
mod rules;
mod scan;

#[cfg(test)]
pub(crate) use head::Head;
pub use quartz_abi::site::{MOST_ENTRIES, SiteError, SiteErrorKind};
pub(crate) use representation::{Coding, File, Representation};

use crate::text::Text;
use alloc::vec::Vec;
use core::ops::Range;
use draft::{Draft, Prepared};
use lookup::{Form, Key, Lookup, Names};
use rules::{Found, Rules};

/// Longest directory that is redirected to, in bytes: with every byte escaped its head still fits
/// the smallest send buffer.
const LONGEST_REDIRECT: usize = 1024;
/// Longest path of a request that is looked at, in bytes: that of a whole receive buffer.
const LONGEST_PATH: usize = 8192;
/// Room for the place that a redirection leads to; a longer one is cut, and then refused.
const LOCATION: usize = 3 * LONGEST_REDIRECT + 2;

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
    lookup: Lookup,
    rules: Rules,
    /// What is shown for a path that leads nowhere.
    not_found: Option<u32>,
    /// A path is put into its plain form here, behind a slash.
    plain: Vec<u8>,
    /// Where the last redirection led.
    location: Text,
}

impl Site {
    /// Reads an image: by the index that `quartz pack` has put in front, or entry by entry (ustar,
    /// GNU or PAX). Files are not copied. `x.css.br` and `x.css.gz` are other representations of
    /// `x.css`; `_headers` and `_redirects` are the site's own rules.
    ///
    /// Directories and global PAX headers are passed over. Hard links serve the file that they
    /// name. Symbolic links, devices and unknown kinds of entries are passed over with a warning:
    /// a web server that follows them would serve what nobody meant to publish.
    ///
    /// # Errors
    /// [`SiteError`], with the entry's name and place, for an image that is truncated or damaged,
    /// names that are absolute, climb out, or stand twice, an index that cannot be true, or rules
    /// that cannot be followed.
    pub fn from_tar(image: &'static [u8]) -> Result<Site, SiteError> {
        Site::with_options(image, &SiteOptions::default())
    }

    /// The same, served as `options` say.
    ///
    /// # Errors
    /// As [`Site::from_tar`].
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn with_options(image: &'static [u8], options: &SiteOptions) -> Result<Site, SiteError> {
        Site::prepare(image, options)?.settle()
    }

    /// A site without a file.
    #[must_use]
    pub fn empty() -> Site {
        let nothing = Draft::with_room(0, 0, 0)
            .and_then(|draft| draft.prepare(&SiteOptions::default())?.settle());
        nothing.expect("nothing takes no memory")
    }

    /// All of it but what stays for ever.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn check(image: &'static [u8], options: &SiteOptions) -> Result<(), SiteError> {
        Site::prepare(image, options).map(drop)
    }

    fn prepare(image: &'static [u8], options: &SiteOptions) -> Result<Prepared, SiteError> {
        let draft: Draft = match packed::read(image)? {
            Some(draft) => draft,
            None => scan::read(image)?,
        };
        if draft.files.is_empty() {
            return Err(SiteError::new(SiteErrorKind::Empty, 0, b""));
        }
        draft.prepare(options)
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
        let file = self.lookup.file(name, &self.names)?;
        let last = self.file(file).representations.last()?;
        Some(last.content)
    }

    /// Finds what the path of a request leads to.
    pub(crate) fn resolve(&mut self, path: &[u8]) -> Resolved {
        let Some(name) = path.strip_prefix(b"/") else {
            return Resolved::Malformed;
        };
        // Most paths are in plain form and name a file: then nothing has to be rewritten.
        if !self.rules.forced
            && let Some(key) = self.lookup.find(name, &self.names)
            && !self.files[key.file as usize].escaped
        {
            return self.resolved(key);
        }
        let mut plain = core::mem::take(&mut self.plain);
        plain[0] = b'/';
        let resolved = match path::plain(name, &mut plain[1..]) {
            Some(len) => self.resolve_plain(&plain[..=len]),
            None => Resolved::Malformed,
        };
        self.plain = plain;
        resolved
    }

    /// The same for a path in plain form. A file wins over a rule that is not forced.
    fn resolve_plain(&mut self, path: &[u8]) -> Resolved {
        let found = match self.rules.forced {
            true => self.rules.find(path, true, &mut self.location),
            false => None,
        };
        let key = || self.lookup.find(&path[1..], &self.names);
        let found = match found {
            Some(found) => found,
            None => match key() {
                Some(key) => return self.resolved(key),
                None if self.rules.is_empty() => return Resolved::Nothing(self.not_found),
                None => match self.rules.find(path, false, &mut self.location) {
                    Some(found) => found,
                    None => return Resolved::Nothing(self.not_found),
                },
            },
        };
        match found {
            Found::File(file) => Resolved::File(file),
            Found::Missing(file) => Resolved::Nothing(Some(file)),
            Found::Place(_) if self.location.is_full() => Resolved::Nothing(self.not_found),
            Found::Place(status) => Resolved::Redirect(status),
        }
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

    /// Where the last [`Resolved::Redirect`] leads: a path or an address, escaped.
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
                rules::escape(directory.path(self.names.get(key.file)), &mut self.location);
                Resolved::Redirect(301)
            }
        }
    }
}

fn no_memory() -> SiteError {
    SiteError::new(SiteErrorKind::NoMemory, 0, b"")
}
