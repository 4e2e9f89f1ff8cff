//! Looks through a directory for the files of a site, without reading any.

use super::entry::{Entry, Source};
use super::error::{PackError, unreadable};
use super::{Choice, Plan};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Hidden names that are part of a site all the same (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// Adds the files below `root` to `plan`.
pub(super) fn walk(root: &Path, choice: &Choice, plan: &mut Plan) -> Result<(), PackError> {
    let canonical = match fs::canonicalize(root) {
        Ok(path) => path,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(PackError::Missing(root.into()));
        }
        Err(source) => return Err(unreadable(root)(source)),
    };
    if !canonical.is_dir() {
        return Err(PackError::NotADirectory(root.into()));
    }
    let mut walk = Walk {
        root: &canonical,
        choice,
        plan,
        above: Vec::new(),
    };
    walk.directory(root, Path::new(""))
}

struct Walk<'a> {
    /// The site, canonical.
    root: &'a Path,
    choice: &'a Choice,
    plan: &'a mut Plan,
    /// The directories that the current one lies in, canonical, to see circles.
    above: Vec<PathBuf>,
}

impl Walk<'_> {
    fn directory(&mut self, path: &Path, name: &Path) -> Result<(), PackError> {
        self.above
            .push(fs::canonicalize(path).map_err(unreadable(path))?);
        for child in fs::read_dir(path).map_err(unreadable(path))? {
            let child = child.map_err(unreadable(path))?;
            self.entry(&child.path(), name, &child.file_name())?;
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, path: &Path, parent: &Path, name: &OsStr) -> Result<(), PackError> {
        let full_name = parent.join(name);
        if name.as_bytes().starts_with(b".") && name != WELL_KNOWN && !self.choice.hidden {
            self.plan.hidden.push(full_name);
            return Ok(());
        }
        if name.as_bytes().iter().any(u8::is_ascii_control) {
            return Err(PackError::Name { path: full_name });
        }
        let mut metadata = fs::symlink_metadata(path).map_err(unreadable(path))?;
        if metadata.is_symlink() {
            metadata = self.follow(path)?;
            self.plan.links.push(full_name.clone());
        }
        if metadata.is_dir() {
            return self.directory(path, &full_name);
        }
        if !metadata.is_file() {
            self.plan.special.push(full_name);
            return Ok(());
        }
        if let Some(except) = &self.choice.except
            && fs::canonicalize(path).is_ok_and(|p| p == *except)
        {
            return Ok(());
        }
        self.plan.entries.push(Entry {
            name: full_name,
            source: Source::File(path.to_path_buf()),
            size: metadata.len(),
            modified: modified(&metadata),
        });
        Ok(())
    }

    /// What a symbolic link leads to, if that is inside the site and no circle.
    fn follow(&self, path: &Path) -> Result<Metadata, PackError> {
        let wrong = |problem: String| PackError::Link {
            path: path.into(),
            problem,
        };
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(wrong("that leads nowhere".into()));
            }
            Err(source) => return Err(unreadable(path)(source)),
        };
        if !target.starts_with(self.root) {
            let to = target.display();
            return Err(wrong(format!("that leads out of the site, to {to}")));
        }
        if self.above.contains(&target) {
            return Err(wrong("to a directory that it lies in".into()));
        }
        fs::metadata(&target).map_err(unreadable(path))
    }
}

fn modified(metadata: &Metadata) -> u64 {
    // Before 1970 is as good as 1970.
    u64::try_from(metadata.mtime()).unwrap_or(0)
}
