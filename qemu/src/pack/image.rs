//! Lays the image out and writes it: the index first, then each file with its compressed forms.

use super::compress::{CODINGS, Prepared};
use super::entry::Entry;
use super::error::PackError;
use super::progress::Progress;
use super::rules::{Rules, are_rules};
use quartz_abi::site::index::{self, Extent, Writer};
use quartz_abi::site::tar::BLOCK;
use quartz_abi::site::{Coding, REDIRECTS, mime};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The end mark of an archive.
const END: u64 = 2 * BLOCK as u64;
/// Longest name that fits a header.
const SHORT: usize = 100;

/// An image before it is written.
pub(super) struct Image<'a> {
    entries: &'a [Entry],
    prepared: &'a [Prepared],
    index: Vec<u8>,
    /// The time of the index: that of the youngest file.
    modified: u64,
    /// Bytes of all.
    pub len: u64,
}

/// Where a file comes in the image.
fn place(at: &mut u64, name_len: usize, len: u64) -> u64 {
    // A long name is an entry of its own, with a zero byte behind it.
    if name_len > SHORT {
        *at += BLOCK as u64 + (name_len as u64 + 1).next_multiple_of(BLOCK as u64);
    }
    let content = *at + BLOCK as u64;
    *at = content + len.next_multiple_of(BLOCK as u64);
    content
}

impl<'a> Image<'a> {
    /// Decides where everything goes.
    pub fn new(
        entries: &'a [Entry],
        prepared: &'a [Prepared],
        rules: &Rules<'_>,
    ) -> Result<Image<'a>, PackError> {
        let mut writer = Writer::default();
        for entry in entries.iter().filter(|e| !are_rules(e.bytes_of_name())) {
            let name = entry.bytes_of_name();
            let kind = mime::of(name);
            let charset = if kind.is_text { "; charset=utf-8" } else { "" };
            let lines = rules.lines(name)?;
            writer.push(
                name,
                [kind.name, charset].concat().as_bytes(),
                &lines,
                entry.modified,
            );
        }
        let mut at = 0;
        place(&mut at, index::NAME.len(), writer.len() as u64);
        let mut redirects = None;
        let mut number = 0;
        // Where the contents of the site's own files begin: their compressed forms may be such.
        let mut starts = Vec::with_capacity(entries.len());
        let mut made = Vec::new();
        for (entry, prepared) in entries.iter().zip(prepared) {
            let name = entry.bytes_of_name();
            let start = place(&mut at, name.len(), entry.size);
            starts.push(start);
            if name == REDIRECTS {
                redirects = Some((start, entry.size));
            }
            for (form, coding) in prepared.made.iter().zip(CODINGS) {
                if let Some(form) = form {
                    let len = form.bytes.len() as u64;
                    let at = place(&mut at, name.len() + coding.suffix().len(), len);
                    let hash = form.hash;
                    made.push((number, coding, Extent { at, len, hash }));
                }
            }
            number += usize::from(!are_rules(name));
        }
        let extent = |entry: usize| Extent {
            at: starts[entry],
            len: entries[entry].size,
            hash: prepared[entry].hash,
        };
        for (number, coding, extent) in made {
            writer.place(number, coding, extent);
        }
        let served = (0..entries.len()).filter(|&entry| !are_rules(entries[entry].bytes_of_name()));
        for (number, entry) in served.enumerate() {
            writer.place(number, Coding::Identity, extent(entry));
            for (own, coding) in prepared[entry].own.iter().zip(CODINGS) {
                if let Some(own) = own {
                    writer.place(number, coding, extent(*own));
                }
            }
        }
        let len = at + END;
        Ok(Image {
            entries,
            prepared,
            index: writer.finish(len, redirects),
            modified: entries
                .iter()
                .map(|entry| entry.modified)
                .max()
                .unwrap_or(0),
            len,
        })
    }

    /// Writes it.
    pub fn write(&self, to: impl Write, progress: &Progress) -> Result<(), PackError> {
        let to = BufWriter::with_capacity(256 * 1024, to);
        let mut archive = tar::Builder::new(Counted { to, bytes: 0 });
        let name = Path::new(index::NAME);
        append(&mut archive, name, self.modified, &self.index).map_err(PackError::Write)?;
        for (entry, prepared) in self.entries.iter().zip(self.prepared) {
            let mut content = entry.open()?;
            let mut header = header(entry.size, entry.modified);
            let appended = archive.append_data(&mut header, &entry.name, &mut content);
            if content.end(entry)? != prepared.hash {
                return Err(PackError::Changed(entry.place().into()));
            }
            appended.map_err(PackError::Write)?;
            for (form, coding) in prepared.made.iter().zip(CODINGS) {
                if let Some(form) = form {
                    let mut name = entry.name.clone().into_os_string();
                    name.push(coding.suffix());
                    append(&mut archive, name.as_ref(), entry.modified, &form.bytes)
                        .map_err(PackError::Write)?;
                }
            }
            progress.advance(entry.size);
        }
        let mut to = archive.into_inner().map_err(PackError::Write)?;
        to.to.flush().map_err(PackError::Write)?;
        assert_eq!(
            to.bytes, self.len,
            "the image is not laid out as its index says"
        );
        Ok(())
    }
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &Path,
    modified: u64,
    content: &[u8],
) -> io::Result<()> {
    archive.append_data(&mut header(content.len() as u64, modified), name, content)
}

fn header(size: u64, modified: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(modified);
    header
}

/// Counts what is written.
struct Counted<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
