//! The site image that a guest is given: an open file, never a name that could go stale.

use crate::error::Error;
use crate::pack::{Choice, PackError, Plan};
use std::fs::File;
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
