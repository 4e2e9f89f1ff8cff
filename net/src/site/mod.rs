//! The site: files that lie in a tar image, found by their path, with their heads prepared.
//!
//! Files stay where they are in the image; what is kept per file is its name, its head and a few
//! numbers. Nothing is parsed per request. Owns no sockets and sends nothing.

mod error;
mod mime;
mod path;
mod tag;
mod tar;

pub use error::{SiteError, SiteErrorKind};

use crate::text::Text;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;
use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use tar::Kind;

/// Most files and directories of an image.
pub const MOST_ENTRIES: usize = 100_000;
/// The file that stands for its directory.
const INDEX: &[u8] = b"index.html";
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

/// A part of [`Site::names`] or [`Site::heads`].
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u32,
    len: u16,
}

impl Part {
    fn of(self, memory: &[u8]) -> &[u8] {
        &memory[self.start as usize..][..usize::from(self.len)]
    }
}

struct File {
    name: Part,
    head: Part,
    content: &'static [u8],
    /// Where in the head its tag begins; 0: it has none.
    tag_at: u16,
    /// The tag has been computed.
    tagged: bool,
    /// The name holds a byte that a path has to escape, so no path may name it as it stands.
    escaped: bool,
}

/// How a key of the index is made from a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The name itself.
    Name,
    /// An index page's directory, with the slash.
    Directory,
    /// The same without the slash.
    Bare,
}

#[derive(Clone, Copy)]
struct Key {
    file: u32,
    form: Form,
}

/// A site, ready to be served.
pub struct Site {
    files: Vec<File>,
    names: Vec<u8>,
    heads: Vec<u8>,
    index: HashTable<Key>,
    hasher: SipHasher13,
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
                Kind::Link(target) => match site.find(target, Form::Name) {
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
        self.find(name, Form::Name)
            .map(|file| self.files[file as usize].content)
    }

    /// Finds what the path of a request leads to.
    pub(crate) fn resolve(&mut self, path: &[u8]) -> Resolved {
        let Some(name) = path.strip_prefix(b"/") else {
            return Resolved::Malformed;
        };
        // Most paths are in plain form and name a file: then nothing has to be rewritten.
        if let Some(key) = self.lookup(name)
            && !self.files[key.file as usize].escaped
        {
            return key.resolved();
        }
        let mut plain = core::mem::take(&mut self.plain);
        let resolved = match path::plain(name, &mut plain) {
            Some(len) => match self.lookup(&plain[..len]) {
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
        self.tag(number);
        let file = &self.files[number as usize];
        (file.head.of(&self.heads), file.content)
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
        let name = self.key(Key {
            file: number,
            form: Form::Directory,
        });
        for &byte in name {
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
        let (mut files, mut names, mut heads) = (Vec::new(), Vec::new(), Vec::new());
        files.try_reserve_exact(size.files).map_err(full)?;
        names.try_reserve_exact(size.names).map_err(full)?;
        heads
            .try_reserve_exact(size.files * HEAD_ROOM)
            .map_err(full)?;
        let mut index = HashTable::new();
        // A file, its directory, and that without the slash.
        index
            .try_reserve(size.files + 2 * size.indexes, |_: &Key| 0)
            .map_err(|_| full_table())?;
        Ok(Site {
            files,
            names,
            heads,
            index,
            // The table does not change, so nobody can fill it with names that collide.
            hasher: SipHasher13::new(),
            plain: vec![0; LONGEST_PATH],
        })
    }

    fn add(&mut self, name: &[u8], content: &'static [u8]) -> Result<(), SiteErrorKind> {
        if self.find(name, Form::Name).is_some() {
            return Err(SiteErrorKind::Duplicate);
        }
        let start = self.names.len();
        self.names.extend_from_slice(name);
        let tagged = content.len() <= tag::MOST;
        let (head, tag_at) = self.head(name, content.len(), tagged);
        let file = self.files.len() as u32;
        self.files.push(File {
            name: Part {
                start: start as u32,
                len: name.len() as u16,
            },
            head,
            content,
            tag_at,
            tagged: false,
            escaped: name.iter().any(|b| b"%?#".contains(b)),
        });
        self.enter(Key {
            file,
            form: Form::Name,
        });
        Ok(())
    }

    /// Prepares a file's head; also says where its tag goes.
    fn head(&mut self, name: &[u8], len: usize, tagged: bool) -> (Part, u16) {
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
        let part = Part {
            start: start as u32,
            len: (self.heads.len() - start) as u16,
        };
        (part, tag_at as u16)
    }

    /// Makes index pages stand for their directories. A file of the directory's own name wins.
    fn link_directories(&mut self) {
        for file in 0..self.files.len() as u32 {
            let name = self.files[file as usize].name.of(&self.names);
            let Some(directory) = name.strip_suffix(INDEX) else {
                continue;
            };
            let bare = match directory {
                [] => None,
                [bare @ .., b'/'] => {
                    Some(bare.len() <= LONGEST_REDIRECT && self.lookup(bare).is_none())
                }
                _ => continue,
            };
            self.enter(Key {
                file,
                form: Form::Directory,
            });
            if bare == Some(true) {
                self.enter(Key {
                    file,
                    form: Form::Bare,
                });
            }
        }
    }

    fn enter(&mut self, key: Key) {
        let hash = self.hasher.hash(self.key(key));
        let Site {
            files,
            names,
            index,
            hasher,
            ..
        } = self;
        index.insert_unique(hash, key, |key| hasher.hash(text_of(files, names, *key)));
    }

    fn lookup(&self, text: &[u8]) -> Option<Key> {
        self.index
            .find(self.hasher.hash(text), |key| self.key(*key) == text)
            .copied()
    }

    fn find(&self, name: &[u8], form: Form) -> Option<u32> {
        self.lookup(name)
            .filter(|key| key.form == form)
            .map(|key| key.file)
    }

    fn key(&self, key: Key) -> &[u8] {
        text_of(&self.files, &self.names, key)
    }
}

fn text_of<'a>(files: &[File], names: &'a [u8], key: Key) -> &'a [u8] {
    let name = files[key.file as usize].name.of(names);
    match key.form {
        Form::Name => name,
        Form::Directory => &name[..name.len() - INDEX.len()],
        Form::Bare => &name[..name.len() - INDEX.len() - 1],
    }
}

fn full_table() -> SiteError {
    SiteError::new(SiteErrorKind::NoMemory, 0, b"")
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
    indexes: usize,
    names: usize,
}

impl Size {
    fn of(image: &'static [u8]) -> Result<Size, SiteError> {
        let mut size = Size {
            files: 0,
            indexes: 0,
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
                size.indexes += usize::from(name.ends_with(INDEX));
                size.names += name.len();
            }
        }
        Ok(size)
    }
}
