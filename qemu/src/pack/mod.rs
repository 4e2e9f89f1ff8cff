//! A directory, or a tar archive, becomes a site image: a tar with an index in front, the same
//! bytes for the same files.
//!
//! Names are sorted, owners and modes are levelled out. Modification times stay, since the guest
//! serves them as `Last-Modified`; with SOURCE_DATE_EPOCH set none is later than that
//! (<https://reproducible-builds.org/specs/source-date-epoch/>). Text is compressed with gzip and
//! brotli where that makes it smaller. Only files stand in the image: `tar cf` of the same
//! directory serves the same site.

mod archive;
mod compress;
mod entry;
mod error;
mod image;
pub mod links;
mod names;
mod progress;
mod report;
mod rules;
mod walk;

pub use error::PackError;
pub use report::Packed;

use crate::cli::PackArgs;
use crate::error::Error;
use crate::outcome;
use entry::Entry;
use image::Image;
use progress::Progress;
use quartz_abi::site::{MOST_ENTRIES, index, name};
use rules::{Rules, Texts, are_rules};
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Names that a note shows; the rest is counted.
const SHOWN: usize = 5;

/// A site that was looked through.
#[derive(Debug, Default)]
pub struct Plan {
    entries: Vec<Entry>,
    compress: bool,
    /// Hidden names that were left out.
    pub hidden: Vec<PathBuf>,
    /// Sockets, devices, pipes and an archive's symbolic links: they were left out.
    pub special: Vec<PathBuf>,
    /// Links that were followed.
    pub links: Vec<PathBuf>,
}

/// What to take.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Hidden files too (names that begin with a dot).
    pub hidden: bool,
    /// Compress what gets smaller by it.
    pub compress: bool,
    /// A file to leave out: the image itself, if it lies in the directory. Canonical.
    pub except: Option<PathBuf>,
}

/// `quartz pack`.
///
/// # Errors
/// The site cannot be packed, or the image cannot be written.
pub fn main(args: &PackArgs) -> Result<(), Error> {
    let to_stdout = args.output.as_os_str() == "-";
    let choice = Choice {
        hidden: args.hidden,
        compress: !args.no_compress,
        except: fs::canonicalize(&args.output).ok(),
    };
    let plan = Plan::of(&args.site, &choice)?;
    plan.tell();
    let packed = if to_stdout {
        plan.write(io::stdout().lock())?
    } else {
        // Another name first, then renamed: whoever reads the image never sees half of it.
        let folder = match args.output.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let output = |source| Error::Output {
            path: args.output.clone(),
            source,
        };
        if !folder.is_dir() {
            let none = format!("there is no directory {}", folder.display());
            return Err(output(io::Error::new(io::ErrorKind::NotFound, none)));
        }
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(output)?;
        let packed = plan.write(file.as_file_mut())?;
        readable_by_all(file.as_file()).map_err(output)?;
        file.persist(&args.output).map_err(|e| output(e.error))?;
        packed
    };
    packed.tell();
    if args.json {
        report::print(&packed.json(), to_stdout);
    } else {
        report::print(&packed.table(), true);
    }
    let to = if to_stdout {
        String::new()
    } else {
        format!(" into {}", args.output.display())
    };
    outcome::say(&format_args!("packed {packed}{to}"));
    Ok(())
}

/// Temporary files are private; an image is as readable as other files.
fn readable_by_all(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

impl Plan {
    /// Looks through `site`, a directory or a tar archive.
    ///
    /// # Errors
    /// It is missing, neither of both, empty, or something in it cannot be packed.
    pub fn of(site: &Path, choice: &Choice) -> Result<Plan, PackError> {
        let mut plan = Plan {
            compress: choice.compress,
            ..Plan::default()
        };
        if site.is_file() {
            archive::read(site, &mut plan)?;
        } else {
            walk::walk(site, choice, &mut plan)?;
        }
        let entries = &mut plan.entries;
        if entries.iter().all(|entry| are_rules(entry.bytes_of_name())) {
            return Err(PackError::Empty(site.into()));
        }
        if entries.len() > MOST_ENTRIES {
            return Err(PackError::TooManyFiles {
                files: entries.len(),
            });
        }
        entries.sort_by(|a, b| a.bytes_of_name().cmp(b.bytes_of_name()));
        let latest = env::var("SOURCE_DATE_EPOCH")
            .ok()
            .and_then(|t| t.parse().ok());
        for entry in entries {
            if entry.bytes_of_name() == index::NAME.as_bytes() {
                return Err(PackError::OwnName);
            }
            if name::check(entry.bytes_of_name()).is_err() {
                let path = entry.name.clone();
                return Err(PackError::LongName { path });
            }
            entry.modified = latest.map_or(entry.modified, |t| entry.modified.min(t));
        }
        Ok(plan)
    }

    /// Prints what was left out and what was followed, and names that will be trouble.
    pub fn tell(&self) {
        for (what, names) in [
            ("left out (hidden; --hidden takes them in)", &self.hidden),
            ("left out (neither file nor directory)", &self.special),
            ("followed (symbolic links inside the site)", &self.links),
        ] {
            note(what, names.iter().map(|name| format!("{name:?}")).collect());
        }
        for (what, names) in names::odd(&self.entries) {
            note(what, names);
        }
    }

    /// Writes the image.
    ///
    /// # Errors
    /// A file cannot be read or has changed, a rule cannot be followed, or the image cannot be
    /// written.
    pub fn write(&self, to: impl Write) -> Result<Packed, PackError> {
        let texts = Texts::read(&self.entries)?;
        let rules = Rules::new(&texts, &self.entries)?;
        let bytes: u64 = self.entries.iter().map(|entry| entry.size).sum();
        let progress = Progress::new(bytes);
        let prepared = compress::prepare(&self.entries, self.compress, &progress)?;
        let image = Image::new(&self.entries, &prepared, &rules)?;
        image.write(to, &progress)?;
        Ok(Packed::new(&self.entries, &prepared, &rules, image.len))
    }
}

/// Says something about some names, if there are any.
fn note(what: &str, names: Vec<String>) {
    if names.is_empty() {
        return;
    }
    let rest = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let shown = &names[..names.len().min(SHOWN)];
    outcome::say(&format_args!("{what}: {}{rest}", shown.join(", ")));
}

#[cfg(test)]
mod tests;
