//! A file to pack, and where its bytes come from.

use super::error::{PackError, unreadable};
use quartz_abi::site::ContentHash;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a file's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In a file.
    File(PathBuf),
    /// In an archive that was read.
    Archive(Arc<Vec<u8>>, Range<usize>),
}

/// A file to pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name in the image.
    pub name: PathBuf,
    /// Where its bytes are.
    pub source: Source,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub modified: u64,
}

impl Entry {
    /// Its name as the guest has it.
    pub fn bytes_of_name(&self) -> &[u8] {
        self.name.as_os_str().as_bytes()
    }

    /// What to call it in a message.
    pub fn place(&self) -> &Path {
        match &self.source {
            Source::File(path) => path,
            Source::Archive(..) => &self.name,
        }
    }

    /// Opens it.
    pub fn open(&self) -> Result<Reader<'_>, PackError> {
        let content: Box<dyn Read> = match &self.source {
            Source::Archive(archive, range) => Box::new(&archive[range.clone()]),
            Source::File(path) => Box::new(File::open(path).map_err(unreadable(path))?),
        };
        Ok(Reader {
            content,
            left: self.size,
            hash: ContentHash::default(),
            changed: false,
        })
    }

    /// All of its bytes.
    pub fn content(&self) -> Result<Vec<u8>, PackError> {
        let mut content = Vec::with_capacity(self.size as usize);
        let mut reader = self.open()?;
        let read = reader.read_to_end(&mut content);
        reader.end(self)?;
        read.map_err(unreadable(self.place()))?;
        Ok(content)
    }

    /// The hash of its bytes, which are not kept.
    pub fn hash(&self) -> Result<u128, PackError> {
        let mut reader = self.open()?;
        let read = io::copy(&mut reader, &mut io::sink());
        let hash = reader.end(self)?;
        read.map_err(unreadable(self.place()))?;
        Ok(hash)
    }
}

/// Reads exactly as many bytes as there were when the file was found; notices if there are not.
pub(super) struct Reader<'a> {
    content: Box<dyn Read + 'a>,
    left: u64,
    hash: ContentHash,
    changed: bool,
}

impl Reader<'_> {
    /// The hash of what was read, which has to be all.
    pub fn end(mut self, entry: &Entry) -> Result<u128, PackError> {
        if self.changed || self.left > 0 || !matches!(self.content.read(&mut [0]), Ok(0)) {
            return Err(PackError::Changed(entry.place().into()));
        }
        Ok(self.hash.finish())
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let n = self.content.read(&mut buffer[..most])?;
        self.left -= n as u64;
        self.hash.update(&buffer[..n]);
        if n == 0 && self.left > 0 && !buffer.is_empty() {
            self.changed = true;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(n)
    }
}
