//! The site: files that lie in a tar image, found by their path, with their heads prepared.
//!
//! Files stay where they are in the image; what is kept per file is its name, its head and a few
//! numbers. Nothing is parsed per request. Owns no sockets and sends nothing.

mod error;
mod index;
mod mime;
mod path;
mod tag;
mod tar;

pub use error::{SiteError, SiteErrorKind};

use crate::text::Text;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::ops::Range;
use index::{Form, Index, Key, Names, PAGE};
use tar::Kind;

/// Most files and directories of an image.
pub const MOST_ENTRIES: usize = 100_000;
/// Longest directory that is redirected to, in bytes: with every byte escaped its head still fits
/// the smallest send buffer.
const LONGEST_REDIRECT: usize = 1024;
/// Longest path of a request that is looked at, in bytes: that of a whole receive buffer.
const LONGEST_PATH: usize = 8192;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// A file, by its number.
    File(u32),
    /// A directory without the slash at its end, by the number of its index page.
    Directory(u32),
    /// Nothing.
    Nothing,
    /// It is not a path.
    Malformed,
}

struct File {
    /// Where its head lies in [`Site::heads`].
    head: Range<u32>,
    content: &'static [u8],
    /// Where in the head its tag begins; 0: it has none.
    tag_at: u16,
    /// The tag has been computed.
    tagged: bool,
    /// The name holds a byte that a path has to escape, so no path may name it as it stands.
    escaped: bool,
}

/// A site, ready to be served.
pub struct Site {
    files: Vec<File>,
    names: Names,
    heads: Vec<u8>,
    index: Index,
    /// A path is put into its plain form here.
    plain: Vec<u8>,
}

impl Site {
    /// Reads a tar image (ustar, GNU or PAX). Files are not copied and not read.
    ///
    /// Directories and global PAX headers are passed over. Hard links serve the file that they
    /// name. Symbolic links, devices and unknown kinds of entries are passed over with a warning:
    /// a web server that follows them would serve what nobody meant to publish.
    ///
    /// # Errors
    /// [`SiteError`], with the entry's name and place, for an image that is truncated or damaged,
    /// or names that are absolute, climb out, or stand twice.
    pub fn from_tar(image: &'static [u8]) -> Result<Site, SiteError> {
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
            site.add(&entry.name(), content).map_err(error)?;
        }
        if passed_over > 10 {
            log::warn!("site: passed over {} entries more", passed_over - 10);
        }
        if site.files.is_empty() {
            return Err(SiteError::new(SiteErrorKind::Empty, 0, b""));
        }
        site.link_directories();
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
            return key.resolved();
        }
        let mut plain = core::mem::take(&mut self.plain);
        let resolved = match path::plain(name, &mut plain) {
            Some(len) => match self.index.find(&plain[..len], &self.names) {
                Some(key) => key.resolved(),
                None => Resolved::Nothing,
            },
            None => Resolved::Malformed,
        };
        self.plain = plain;
        resolved
    }

    /// A file's head, without `Date`, `Connection` and the empty line, and its content.
    pub(crate) fn file(&mut self, number: u32) -> (&[u8], &'static [u8]) {
        if !self.files[number as usize].tagged {
            self.tag(number);
        }
        let file = &self.files[number as usize];
        let head = file.head.start as usize..file.head.end as usize;
        (&self.heads[head], file.content)
    }

    /// A file's entity tag with its quotes, if it has one (RFC 9110, 8.8.3).
    pub(crate) fn tag(&mut self, number: u32) -> Option<&[u8]> {
        let file = &mut self.files[number as usize];
        if file.tag_at == 0 {
            return None;
        }
        let at = file.head.start as usize + usize::from(file.tag_at);
        let tag = &mut self.heads[at..at + tag::LEN];
        if !file.tagged {
            file.tagged = true;
            tag::write(tag, file.content);
        }
        Some(tag)
    }

    /// The head of a 304 answer (RFC 9110, 15.4.5).
    pub(crate) fn not_modified<'a>(&mut self, number: u32, text: &'a mut Text) -> &'a [u8] {
        text.clear();
        text.push(b"HTTP/1.1 304 Not Modified\r\nServer: Quartz\r\nETag: ");
        text.push(self.tag(number).unwrap_or(b"\"\""));
        text.push(b"\r\n");
        text.bytes()
    }

    /// The head of a 301 answer that adds the slash to a directory's path.
    pub(crate) fn redirect<'a>(&self, number: u32, text: &'a mut Text) -> &'a [u8] {
        text.clear();
        text.push(
            b"HTTP/1.1 301 Moved Permanently\r\nServer: Quartz\r\nContent-Length: 0\r\nLocation: /",
        );
        let directory = Key {
            file: number,
            form: Form::Directory,
        };
        for &byte in directory.path(self.names.get(number)) {
            if path::is_plain(byte) {
                text.push(&[byte]);
            } else {
                // Writing into `Text` cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text.push(b"\r\n");
        text.bytes()
    }

    fn with_room(size: &Size) -> Result<Site, SiteError> {
        let full = |_| SiteError::new(SiteErrorKind::NoMemory, 0, b"");
        let (mut files, mut heads) = (Vec::new(), Vec::new());
        files.try_reserve_exact(size.files).map_err(full)?;
        heads
            .try_reserve_exact(size.files * HEAD_ROOM)
            .map_err(full)?;
        // A file, its directory, and that without the slash.
        let index = Index::with_room(size.files + 2 * size.pages);
        Ok(Site {
            files,
            names: Names::with_room(size.files, size.names).map_err(full)?,
            heads,
            index: index.ok_or(SiteError::new(SiteErrorKind::NoMemory, 0, b""))?,
            plain: vec![0; LONGEST_PATH],
        })
    }

    fn add(&mut self, name: &[u8], content: &'static [u8]) -> Result<(), SiteErrorKind> {
        if self.find(name).is_some() {
            return Err(SiteErrorKind::Duplicate);
        }
        self.names.push(name);
        let tagged = content.len() <= tag::MOST;
        let (head, tag_at) = self.head(name, content.len(), tagged);
        let file = self.files.len() as u32;
        self.files.push(File {
            head,
            content,
            tag_at,
            // A file without a tag needs none.
            tagged: !tagged,
            escaped: name.iter().any(|b| b"%?#".contains(b)),
        });
        let form = Form::Name;
        self.index.insert(Key { file, form }, &self.names);
        Ok(())
    }

    /// Prepares a file's head; also says where its tag goes.
    fn head(&mut self, name: &[u8], len: usize, tagged: bool) -> (Range<u32>, u16) {
        let start = self.heads.len();
        let kind = mime::of(name);
        let put = |heads: &mut Vec<u8>, text: &str| heads.extend_from_slice(text.as_bytes());
        put(
            &mut self.heads,
            "HTTP/1.1 200 OK\r\nServer: Quartz\r\nContent-Type: ",
        );
        put(&mut self.heads, kind.name);
        if kind.is_text {
            put(&mut self.heads, "; charset=utf-8");
        }
        put(&mut self.heads, "\r\nContent-Length: ");
        let mut figures = Text::new(20);
        let _ = write!(figures, "{len}");
        self.heads.extend_from_slice(figures.bytes());
        put(&mut self.heads, "\r\n");
        let mut tag_at = 0;
        if tagged {
            put(&mut self.heads, "ETag: ");
            tag_at = self.heads.len() - start;
            self.heads.extend_from_slice(&[b'"'; tag::LEN]);
            put(&mut self.heads, "\r\n");
        }
        (start as u32..self.heads.len() as u32, tag_at as u16)
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

impl Key {
    fn resolved(self) -> Resolved {
        match self.form {
            Form::Name | Form::Directory => Resolved::File(self.file),
            Form::Bare => Resolved::Directory(self.file),
        }
    }
}

/// Bytes reserved for each head.
const HEAD_ROOM: usize = 256;

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
