//! A site on its way from its image to what is served: files and their forms, without heads.

use super::head::{Fields, Head, Marks};
use super::lookup::{Form, Key, Lookup, Names};
use super::rules::Rules;
use super::{Kept, LONGEST_PATH, LONGEST_REDIRECT, Representation, Site, SiteOptions, no_memory};
use crate::text::Text;
use alloc::vec;
use alloc::vec::Vec;
use quartz_abi::site::{
    Coding, HeaderRules, NOT_FOUND, PAGE, SiteError, SiteErrorKind, hash, headers,
};

/// Fields against some attacks on a page's readers.
const SECURITY: [(&str, &[u8]); 4] = [
    (
        "x-content-type-options",
        b"X-Content-Type-Options: nosniff\r\n",
    ),
    ("x-frame-options", b"X-Frame-Options: SAMEORIGIN\r\n"),
    (
        "referrer-policy",
        b"Referrer-Policy: strict-origin-when-cross-origin\r\n",
    ),
    (
        "cross-origin-opener-policy",
        b"Cross-Origin-Opener-Policy: same-origin\r\n",
    ),
];
/// Bytes that a head takes, about.
const HEAD_ROOM: usize = 320;

/// A file in one coding.
#[derive(Clone, Copy)]
pub(super) struct Content {
    pub coding: Coding,
    pub bytes: &'static [u8],
    /// Hash of the bytes.
    pub hash: u128,
}

/// A file.
pub(super) struct File {
    /// Its content in one or more codings, the best first, the identity last: where they lie in
    /// [`Draft::contents`].
    pub contents: core::ops::Range<u32>,
    /// Its type.
    pub kind: &'static [u8],
    /// The charset behind it.
    pub charset: &'static [u8],
    /// Header fields of its own.
    pub lines: &'static [u8],
    /// When it was changed last, in seconds since 1970; 0: unknown.
    pub modified: u64,
}

/// Files found in an image.
pub(super) struct Draft {
    pub files: Vec<File>,
    pub contents: Vec<Content>,
    pub names: Names,
    pub lookup: Lookup,
    /// Content of `_headers`, unless each file has its lines already.
    pub headers: &'static [u8],
    /// Content of `_redirects`.
    pub redirects: &'static [u8],
}

impl Draft {
    /// Room for so many files: of these so many index pages, with so many bytes of names.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn with_room(files: usize, pages: usize, names: usize) -> Result<Draft, SiteError> {
        let mut list = Vec::new();
        list.try_reserve_exact(files).map_err(|_| no_memory())?;
        // A file, its directory, and that without the slash.
        let lookup = Lookup::with_room(files + 2 * pages).ok_or(no_memory())?;
        Ok(Draft {
            files: list,
            contents: Vec::new(),
            names: Names::with_room(files, names).map_err(|_| no_memory())?,
            lookup,
            headers: b"",
            redirects: b"",
        })
    }

    /// Adds a file, whose name nobody has yet.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn add(&mut self, name: &[u8], file: File) {
        let number = self.files.len() as u32;
        self.names.push(name);
        self.files.push(file);
        let key = Key {
            file: number,
            form: Form::Name,
        };
        self.lookup.insert(key, &self.names);
    }

    /// The file of a name.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.lookup.file(name, &self.names)
    }

    /// A file as it is.
    pub fn identity(&self, file: u32) -> &Content {
        &self.contents[self.files[file as usize].contents.end as usize - 1]
    }

    /// Makes index pages stand for their directories. A file of the directory's own name wins.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn link_directories(&mut self) {
        for file in 0..self.files.len() as u32 {
            let name = self.names.get(file);
            let bare = match name.strip_suffix(PAGE) {
                Some([]) => None,
                Some([bare @ .., b'/']) => Some(bare),
                _ => continue,
            };
            let redirects = bare.is_some_and(|bare| {
                bare.len() <= LONGEST_REDIRECT && self.lookup.find(bare, &self.names).is_none()
            });
            let form = Form::Directory;
            self.lookup.insert(Key { file, form }, &self.names);
            if redirects {
                let form = Form::Bare;
                self.lookup.insert(Key { file, form }, &self.names);
            }
        }
    }

    /// Writes the heads.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn prepare(mut self, options: &SiteOptions) -> Result<Prepared, SiteError> {
        self.link_directories();
        let fail = |kind| SiteError::new(kind, 0, b"");
        let rules = Rules::new(self.redirects, &self.lookup, &self.names)
            .map_err(|error| fail(SiteErrorKind::BadRedirects(error)))?;
        let own = HeaderRules::parse(self.headers)
            .map_err(|error| fail(SiteErrorKind::BadHeaders(error)))?;
        let (mut heads, mut marks, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        heads
            .try_reserve(self.contents.len() * HEAD_ROOM)
            .map_err(|_| no_memory())?;
        marks
            .try_reserve_exact(self.contents.len())
            .map_err(|_| no_memory())?;
        let mut path = Vec::new();
        for number in 0..self.files.len() {
            let file = &mut self.files[number];
            // RFC 9110, 8.8.2.1: not later than the answer's own date.
            file.modified = file.modified.min(options.now.unwrap_or(u64::MAX));
            lines.clear();
            lines.extend_from_slice(file.lines);
            if !own.is_empty() {
                path.clear();
                path.push(b'/');
                path.extend_from_slice(self.names.get(number as u32));
                let folder = path.strip_suffix(PAGE).filter(|path| path.ends_with(b"/"));
                own.write_lines(&[&path, folder.unwrap_or(&path)], &mut lines)
                    .map_err(|error| fail(SiteErrorKind::BadHeaders(error)))?;
            }
            if options.security_fields {
                for (name, line) in SECURITY {
                    if headers::find(&lines, name).is_none() {
                        lines.extend_from_slice(line);
                    }
                }
            }
            let own_kind = take_type(&mut lines);
            let kind: [&[u8]; 2] = match &own_kind {
                Some(kind) => [kind, b""],
                None => [file.kind, file.charset],
            };
            let range = file.contents.start as usize..file.contents.end as usize;
            for content in &self.contents[range.clone()] {
                heads
                    .try_reserve(HEAD_ROOM + lines.len())
                    .map_err(|_| no_memory())?;
                let start = heads.len() as u32;
                let written = Fields {
                    kind: &kind,
                    coding: content.coding,
                    len: content.bytes.len(),
                    tag: &hash::tag(content.hash),
                    modified: (file.modified > 0).then_some(file.modified),
                    varies: range.len() > 1,
                    more: &lines,
                }
                .write(&mut heads);
                marks.push((start, written));
            }
        }
        heads.shrink_to_fit();
        Ok(Prepared {
            draft: self,
            rules,
            heads,
            marks,
        })
    }
}

/// Takes the type of the content out of field lines: it has its own place in a head.
#[cfg_attr(target_os = "none", optimize(size))]
fn take_type(lines: &mut Vec<u8>) -> Option<Vec<u8>> {
    const NAME: &str = "content-type";
    let kind = headers::find(lines, NAME)?.to_vec();
    let kept = lines.split_inclusive(|&b| b == b'\n').filter(|line| {
        let name = line.get(..NAME.len()).unwrap_or_default();
        !(name.eq_ignore_ascii_case(NAME.as_bytes()) && line.get(NAME.len()) == Some(&b':'))
    });
    *lines = kept.flatten().copied().collect();
    Some(kind)
}

/// A site with its heads, before these stay for good.
pub(super) struct Prepared {
    draft: Draft,
    rules: Rules,
    heads: Vec<u8>,
    /// Where each content's head begins.
    marks: Vec<(u32, Marks)>,
}

impl Prepared {
    /// The site. Its heads stay in memory for ever, as its image does.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn settle(self) -> Result<Site, SiteError> {
        let full = |_| no_memory();
        let Prepared {
            draft,
            rules,
            heads,
            marks,
        } = self;
        let heads: &'static [u8] = heads.leak();
        let mut representations = Vec::new();
        representations
            .try_reserve_exact(draft.contents.len())
            .map_err(full)?;
        let ends = marks.iter().skip(1).map(|(start, _)| *start as usize);
        let ends = ends.chain([heads.len()]);
        for ((content, (start, marks)), end) in draft.contents.iter().zip(&marks).zip(ends) {
            representations.push(Representation {
                coding: content.coding,
                content: content.bytes,
                head: Head::new(&heads[*start as usize..end], *marks),
            });
        }
        let mut files = Vec::new();
        files.try_reserve_exact(draft.files.len()).map_err(full)?;
        for (number, file) in draft.files.iter().enumerate() {
            let name = draft.names.get(number as u32);
            files.push(Kept {
                representations: file.contents.clone(),
                modified: file.modified,
                escaped: name.iter().any(|b| b"%?#".contains(b)),
            });
        }
        Ok(Site {
            not_found: draft.find(NOT_FOUND),
            files,
            representations,
            names: draft.names,
            lookup: draft.lookup,
            rules,
            plain: vec![0; 1 + LONGEST_PATH],
            location: Text::new(super::LOCATION),
        })
    }
}
