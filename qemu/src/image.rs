//! The kernel's image: where it lies, and how much memory it takes.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The name that the build gives it.
pub const NAME: &str = "quartz-unikernel.elf";

/// Where a package installs it.
const INSTALLED: &str = "/usr/lib/quartz/quartz-unikernel.elf";

/// Program headers that are read at most; the kernel has a handful.
const MAX_HEADERS: u16 = 64;

/// Why the kernel's image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Nothing where it is looked for.
    #[error("the kernel is not built: there is no {}; build it with `make kernel`, or name one with --kernel", .0.display())]
    NotBuilt(PathBuf),
    /// Nothing where a person said that it is.
    #[error("there is no kernel {}; `make kernel` builds target/{NAME}", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("cannot read the kernel {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no 64-bit ELF image with something to load.
    #[error("{} is no kernel: {reason}", path.display())]
    NotAKernel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A kernel image that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The file.
    pub path: PathBuf,
    /// End of what it loads, as a guest physical address: memory below it is taken.
    pub end: u64,
}

impl Image {
    /// The image at `path`, or the one that belongs to this program: two directories up
    /// (`target/`, when this is `target/release/quartz`), then where a package installs it.
    ///
    /// # Errors
    /// It is missing, unreadable, or no kernel.
    pub fn find(path: Option<&Path>) -> Result<Image, ImageError> {
        match path {
            Some(path) => Image::read(path.to_path_buf()),
            None => Image::read(default_path()).map_err(|error| match error {
                ImageError::Missing(path) => ImageError::NotBuilt(path),
                other => other,
            }),
        }
    }

    fn read(path: PathBuf) -> Result<Image, ImageError> {
        let mut head = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(64 * 1024).read_to_end(&mut head));
        match read {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(ImageError::Missing(path)),
            Err(source) => return Err(ImageError::Unreadable { path, source }),
        }
        match extent(&head) {
            Ok(end) => Ok(Image { path, end }),
            Err(reason) => Err(ImageError::NotAKernel { path, reason }),
        }
    }
}

fn default_path() -> PathBuf {
    let built = env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.parent()?.join(NAME)));
    match built {
        Some(built) if built.exists() || !Path::new(INSTALLED).exists() => built,
        _ => PathBuf::from(INSTALLED),
    }
}

/// The end of the highest loaded segment (ELF-64 object file format, program header).
fn extent(head: &[u8]) -> Result<u64, &'static str> {
    const CUT: &str = "it is cut short";
    let bytes = |at: usize, len: usize| head.get(at..at.checked_add(len)?);
    let u16_at = |at| Some(u16::from_le_bytes(bytes(at, 2)?.try_into().ok()?));
    let u32_at = |at| Some(u32::from_le_bytes(bytes(at, 4)?.try_into().ok()?));
    let u64_at = |at| Some(u64::from_le_bytes(bytes(at, 8)?.try_into().ok()?));
    // Magic, 64-bit, little-endian.
    if bytes(0, 6) != Some(b"\x7fELF\x02\x01") {
        return Err("it is no 64-bit ELF file");
    }
    if u16_at(18) != Some(62) {
        return Err("it is not for x86-64");
    }
    let table = usize::try_from(u64_at(32).ok_or(CUT)?).map_err(|_| CUT)?;
    let size = usize::from(u16_at(54).ok_or(CUT)?);
    let count = u16_at(56).ok_or(CUT)?.min(MAX_HEADERS);
    let mut end = 0;
    for i in 0..usize::from(count) {
        let header = table.checked_add(i * size).ok_or(CUT)?;
        // PT_LOAD
        if u32_at(header).ok_or(CUT)? == 1 {
            let address = u64_at(header + 24).ok_or(CUT)?;
            let len = u64_at(header + 40).ok_or(CUT)?;
            end = end.max(address.saturating_add(len));
        }
    }
    if end == 0 {
        return Err("it loads nothing");
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header with program headers of (type, physical address, size in memory).
    fn elf(segments: &[(u32, u64, u64)]) -> Vec<u8> {
        let mut image = vec![0; 64];
        image[..6].copy_from_slice(b"\x7fELF\x02\x01");
        image[18] = 62;
        image[32] = 64;
        image[54] = 56;
        image[56] = segments.len() as u8;
        for (kind, address, len) in segments {
            let mut header = [0; 56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            header[24..32].copy_from_slice(&address.to_le_bytes());
            header[40..48].copy_from_slice(&len.to_le_bytes());
            image.extend_from_slice(&header);
        }
        image
    }

    #[test]
    fn the_extent_is_the_end_of_the_highest_loaded_segment() {
        let image = elf(&[
            (1, 0x100000, 0x1000),
            (1, 0x200000, 0x5000),
            (4, 0x900000, 0x1000),
        ]);
        assert_eq!(extent(&image), Ok(0x205000));
    }

    #[test]
    fn other_files_are_refused() {
        assert!(extent(b"").is_err());
        assert!(extent(b"#!/bin/sh\n").is_err());
        assert_eq!(extent(&elf(&[])), Err("it loads nothing"));
        let image = elf(&[(1, 0x100000, 0x1000)]);
        for len in 0..image.len() - 1 {
            // The last eight bytes of a program header (its alignment) are not looked at.
            if len < image.len() - 8 {
                assert!(extent(&image[..len]).is_err(), "accepted {len} bytes");
            }
        }
    }

    #[test]
    fn a_missing_kernel_says_how_to_build_it() {
        let error = Image::find(Some(Path::new("/nonexistent/kernel.elf"))).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("there is no kernel /nonexistent/kernel.elf"));
        assert!(text.contains("make kernel"), "{text}");
    }
}
