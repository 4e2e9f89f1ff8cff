//! The site image that a guest is given: an open file, never a name that could go stale.

use crate::error::Error;
use crate::pack::{Choice, PackError, Plan};
use quartz_abi::site::{SiteErrorKind, tar};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A site image, ready to be handed to QEMU.
#[derive(Debug)]
pub struct Site {
    /// The tar. QEMU inherits it and opens it by its number.
    pub file: File,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Site {
    /// The image for `path`: a tar as it is, or a directory, packed into a file without a name,
    /// which goes away with the last process that holds it.
    ///
    /// # Errors
    /// The path is missing or unreadable, or cannot be packed.
    pub fn open(path: &Path) -> Result<Site, Error> {
        if path.is_file() {
            return Ok(Site::from_tar(path)?);
        }
        let plan = Plan::of(path, &Choice::default())?;
        plan.tell();
        let mut file =
            tempfile::tempfile().map_err(Error::system("cannot make a temporary file"))?;
        plan.write(&mut file)?;
        let metadata = file
            .metadata()
            .map_err(Error::system("cannot read a temporary file"))?;
        Ok(Site {
            file,
            bytes: metadata.len(),
        })
    }

    /// Checks that the image begins as a tar does, so that a file that was never meant to be one is
    /// told before a guest is started with it.
    ///
    /// # Errors
    /// It does not, or cannot be read.
    pub fn check_start(&self, path: &Path) -> Result<(), PackError> {
        let mut head = [0; tar::BLOCK];
        let len = (self.bytes as usize).min(head.len());
        let read = self.file.read_exact_at(&mut head[..len], 0);
        read.map_err(|source| PackError::Unreadable {
            path: path.into(),
            source,
        })?;
        match tar::entries(&head[..len]).next() {
            Some(Err(error)) if len < head.len() || error.kind == SiteErrorKind::BadChecksum => {
                Err(PackError::Archive {
                    path: path.into(),
                    error: Box::new(error),
                })
            }
            _ => Ok(()),
        }
    }

    /// A tar, or whatever the file holds: what is in it, the guest judges.
    ///
    /// # Errors
    /// It is missing, unreadable or empty.
    pub fn from_tar(path: &Path) -> Result<Site, PackError> {
        let unreadable = |source| PackError::Unreadable {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        if bytes == 0 {
            return Err(PackError::Empty(path.into()));
        }
        Ok(Site { file, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_is_no_tar_is_told_by_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site");
        for content in [&b"#!/bin/sh\n"[..], &[b'x'; 2000]] {
            fs::write(&path, content).unwrap();
            let site = Site::from_tar(&path).unwrap();
            let error = site.check_start(&path).unwrap_err().to_string();
            assert!(error.contains("is no site"), "{error}");
        }
        fs::write(folder.path().join("index.html"), "x".repeat(2000)).unwrap();
        let mut archive = tar_of(&folder.path().join("index.html"));
        fs::write(&path, &archive).unwrap();
        assert!(Site::from_tar(&path).unwrap().check_start(&path).is_ok());
        // What comes after, the guest judges.
        archive.truncate(700);
        fs::write(&path, &archive).unwrap();
        assert!(Site::from_tar(&path).unwrap().check_start(&path).is_ok());
    }

    fn tar_of(file: &Path) -> Vec<u8> {
        let mut archive = ::tar::Builder::new(Vec::new());
        archive.append_path_with_name(file, "index.html").unwrap();
        archive.into_inner().unwrap()
    }
}
