//! A directory becomes a site image: a plain tar, the same bytes for the same directory.
//!
//! Names are sorted, owners and modes are levelled out. Modification times stay, since the guest
//! serves them as `Last-Modified`; with SOURCE_DATE_EPOCH set none is later than that
//! (<https://reproducible-builds.org/specs/source-date-epoch/>). Only files stand in the image:
//! `tar cf` of the same directory serves the same site.

use crate::cli::PackArgs;
use crate::error::Error;
use crate::outcome;
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Hidden names that are part of a site all the same (RFC 8615).
const WELL_KNOWN: &str = ".well-known";
/// Names that a note shows; the rest is counted.
const SHOWN: usize = 5;

/// Why a directory cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// There is nothing.
    #[error("the site {} does not exist", .0.display())]
    Missing(PathBuf),
    /// It is something else.
    #[error("the site {} is no directory", .0.display())]
    NotADirectory(PathBuf),
    /// There is no file in it.
    #[error("the site {} is empty: there is no file to serve in it", .0.display())]
    Empty(PathBuf),
    /// A file or directory in it cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A symbolic link leads out of the site, in a circle, or nowhere.
    #[error("{} is a symbolic link {problem}; only links to something inside the site are followed", path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        problem: String,
    },
    /// A name that no address can spell without trouble.
    #[error(
        "the name {path:?} has a control character in it, which no web address carries; rename the file"
    )]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// A file has another size than before.
    #[error("{} changed while it was read", .0.display())]
    Changed(PathBuf),
    /// The image cannot be written.
    #[error("cannot write the site image: {0}")]
    Write(#[source] io::Error),
}

/// A file to pack.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// Its name in the image.
    name: PathBuf,
    /// Where its bytes are.
    source: PathBuf,
    size: u64,
    /// Seconds since 1970.
    modified: u64,
}

/// A directory that was looked through.
#[derive(Debug)]
pub struct Plan {
    entries: Vec<Entry>,
    /// Hidden names that were left out.
    pub hidden: Vec<PathBuf>,
    /// Sockets, devices and pipes that were left out.
    pub special: Vec<PathBuf>,
    /// Links that were followed.
    pub links: Vec<PathBuf>,
}

/// What is in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Number of files.
    pub files: u64,
    /// Their bytes, without the tar's own.
    pub bytes: u64,
}

impl fmt::Display for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.files == 1 { "" } else { "s" };
        write!(f, "{} file{s}, {} bytes", self.files, self.bytes)
    }
}

/// What to take.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Hidden files too (names that begin with a dot).
    pub hidden: bool,
    /// A file to leave out: the image itself, if it lies in the directory. Canonical.
    pub except: Option<PathBuf>,
}

/// `quartz pack`.
///
/// # Errors
/// The directory cannot be packed, or the image cannot be written.
pub fn main(args: &PackArgs) -> Result<(), Error> {
    let to_stdout = args.output.as_os_str() == "-";
    let choice = Choice {
        hidden: args.hidden,
        except: fs::canonicalize(&args.output).ok(),
    };
    let plan = Plan::of(&args.directory, &choice)?;
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
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(output)?;
        let packed = plan.write(file.as_file_mut())?;
        readable_by_all(file.as_file()).map_err(output)?;
        file.persist(&args.output).map_err(|e| output(e.error))?;
        packed
    };
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
    /// Looks through `root`, without reading any file.
    ///
    /// # Errors
    /// It is missing, no directory, empty, or something in it cannot be packed.
    pub fn of(root: &Path, choice: &Choice) -> Result<Plan, PackError> {
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
        let mut plan = Plan {
            entries: Vec::new(),
            hidden: Vec::new(),
            special: Vec::new(),
            links: Vec::new(),
        };
        let mut walk = Walk {
            root: &canonical,
            choice,
            plan: &mut plan,
            above: Vec::new(),
        };
        walk.directory(root, Path::new(""))?;
        if plan.entries.is_empty() {
            return Err(PackError::Empty(root.into()));
        }
        plan.entries
            .sort_by(|a, b| a.name.as_os_str().cmp(b.name.as_os_str()));
        let latest = env::var("SOURCE_DATE_EPOCH")
            .ok()
            .and_then(|t| t.parse().ok());
        if let Some(latest) = latest {
            for entry in &mut plan.entries {
                entry.modified = entry.modified.min(latest);
            }
        }
        Ok(plan)
    }

    /// Prints what was left out and what was followed.
    pub fn tell(&self) {
        for (what, names) in [
            ("left out (hidden; --hidden takes them in)", &self.hidden),
            ("left out (neither file nor directory)", &self.special),
            ("followed (symbolic links inside the site)", &self.links),
        ] {
            if !names.is_empty() {
                let shown: Vec<_> = names.iter().take(SHOWN).map(|n| format!("{n:?}")).collect();
                let rest = match names.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    n => format!(" and {n} more"),
                };
                outcome::say(&format_args!("{what}: {}{rest}", shown.join(", ")));
            }
        }
    }

    /// Writes the image.
    ///
    /// # Errors
    /// A file cannot be read or has changed, or the image cannot be written.
    pub fn write(&self, to: impl Write) -> Result<Packed, PackError> {
        let mut archive = tar::Builder::new(BufWriter::with_capacity(256 * 1024, to));
        let mut packed = Packed { files: 0, bytes: 0 };
        for entry in &self.entries {
            let file = File::open(&entry.source).map_err(unreadable(&entry.source))?;
            let mut exact = Exact {
                file,
                left: entry.size,
                changed: false,
            };
            let mut header = tar::Header::new_gnu();
            header.set_size(entry.size);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(entry.modified);
            let appended = archive.append_data(&mut header, &entry.name, &mut exact);
            if exact.changed || exact.has_more() {
                return Err(PackError::Changed(entry.source.clone()));
            }
            appended.map_err(PackError::Write)?;
            packed.files += 1;
            packed.bytes += entry.size;
        }
        let mut buffer = archive.into_inner().map_err(PackError::Write)?;
        buffer.flush().map_err(PackError::Write)?;
        Ok(packed)
    }
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
            source: path.to_path_buf(),
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

/// Exactly as many bytes as the header says; a shorter file is noticed, not padded silently.
struct Exact {
    file: File,
    left: u64,
    changed: bool,
}

impl Exact {
    fn has_more(&mut self) -> bool {
        !matches!(self.file.read(&mut [0]), Ok(0))
    }
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = (&self.file).take(self.left).read(buffer)?;
        self.left -= n as u64;
        if n == 0 && self.left > 0 && !buffer.is_empty() {
            self.changed = true;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(n)
    }
}

fn modified(metadata: &Metadata) -> u64 {
    // Before 1970 is as good as 1970.
    u64::try_from(metadata.mtime()).unwrap_or(0)
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> PackError {
    move |source| PackError::Unreadable {
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn site(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn plan(dir: &Path) -> Result<Plan, PackError> {
        Plan::of(dir, &Choice::default())
    }

    fn image(dir: &Path) -> Vec<u8> {
        let mut image = Vec::new();
        plan(dir).unwrap().write(&mut image).unwrap();
        image
    }

    fn unpack(image: &[u8]) -> BTreeMap<String, String> {
        let mut archive = tar::Archive::new(image);
        let files = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!(header.mode().unwrap(), 0o644);
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (name, text)
        });
        files.collect()
    }

    #[test]
    fn every_file_is_in_the_image() {
        let long = format!("{}/{}.html", "d".repeat(90), "f".repeat(200));
        let dir = site(&[
            ("index.html", "hello"),
            ("a/b/c.css", "x"),
            ("empty", ""),
            ("grüße & co.txt", "?"),
            (".well-known/security.txt", "contact"),
            (&long, "long"),
        ]);
        let files = unpack(&image(dir.path()));
        assert_eq!(files.len(), 6);
        assert_eq!(files["index.html"], "hello");
        assert_eq!(files["a/b/c.css"], "x");
        assert_eq!(files["empty"], "");
        assert_eq!(files["grüße & co.txt"], "?");
        assert_eq!(files[&long], "long");
    }

    #[test]
    fn the_same_directory_gives_the_same_bytes() {
        let names = ["b", "a/z", "a.html", "a-b", "c/d/e"];
        let forward: Vec<_> = names.iter().map(|n| (*n, "text")).collect();
        let backward: Vec<_> = names.iter().rev().map(|n| (*n, "text")).collect();
        let (one, two) = (site(&forward), site(&backward));
        for dir in [&one, &two] {
            for name in names {
                let file = File::open(dir.path().join(name)).unwrap();
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
                file.set_modified(time).unwrap();
            }
        }
        let image_one = image(one.path());
        assert_eq!(image_one, image(two.path()));
        let mut archive = tar::Archive::new(image_one.as_slice());
        for entry in archive.entries().unwrap() {
            assert_eq!(entry.unwrap().header().mtime().unwrap(), 1_000_000);
        }
    }

    #[test]
    fn hidden_files_are_left_out_unless_asked_for() {
        let dir = site(&[
            ("index.html", "x"),
            (".git/config", "secret"),
            (".env", "secret"),
        ]);
        let found = plan(dir.path()).unwrap();
        assert_eq!(found.entries.len(), 1);
        assert_eq!(found.hidden.len(), 2);
        let choice = Choice {
            hidden: true,
            except: None,
        };
        assert_eq!(Plan::of(dir.path(), &choice).unwrap().entries.len(), 3);
    }

    #[test]
    fn links_inside_the_site_are_followed() {
        let dir = site(&[("v2/index.html", "new"), ("v2/a.css", "css")]);
        symlink("v2", dir.path().join("current")).unwrap();
        symlink("current/index.html", dir.path().join("index.html")).unwrap();
        let found = plan(dir.path()).unwrap();
        assert_eq!(found.links.len(), 2);
        let files = unpack(&image(dir.path()));
        assert_eq!(files["index.html"], "new");
        assert_eq!(files["current/a.css"], "css");
    }

    #[test]
    fn links_out_of_the_site_in_circles_and_to_nowhere_are_refused() {
        for (target, word) in [
            ("/etc/passwd", "out of"),
            ("..", "out of"),
            (".", "lies in"),
            ("gone", "nowhere"),
        ] {
            let dir = site(&[("index.html", "x")]);
            symlink(target, dir.path().join("link")).unwrap();
            let error = plan(dir.path()).unwrap_err().to_string();
            assert!(error.contains(word), "{target}: {error}");
        }
    }

    #[test]
    fn a_neighbour_with_a_longer_name_is_outside() {
        let parent = tempfile::tempdir().unwrap();
        let (root, beside) = (
            parent.path().join("site"),
            parent.path().join("site-secret"),
        );
        fs::create_dir(&root).unwrap();
        fs::write(&beside, "secret").unwrap();
        symlink("../site-secret", root.join("link")).unwrap();
        assert!(matches!(plan(&root), Err(PackError::Link { .. })));
    }

    #[test]
    fn sockets_are_left_out() {
        let dir = site(&[("index.html", "x")]);
        let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
        assert_eq!(plan(dir.path()).unwrap().special, [Path::new("socket")]);
    }

    #[test]
    fn names_with_control_characters_are_refused() {
        let dir = site(&[("index.html", "x"), ("two\nlines", "x")]);
        assert!(matches!(plan(dir.path()), Err(PackError::Name { .. })));
    }

    #[test]
    fn missing_empty_and_no_directory_are_told_apart() {
        let dir = site(&[("index.html", "x")]);
        assert!(matches!(
            plan(&dir.path().join("no")),
            Err(PackError::Missing(_))
        ));
        assert!(matches!(
            plan(&dir.path().join("index.html")),
            Err(PackError::NotADirectory(_))
        ));
        let empty = site(&[]);
        fs::create_dir(empty.path().join("sub")).unwrap();
        assert!(matches!(plan(empty.path()), Err(PackError::Empty(_))));
    }

    #[test]
    fn a_file_that_changes_is_noticed() {
        for text in ["longer than before", "x"] {
            let dir = site(&[("index.html", "before")]);
            let found = plan(dir.path()).unwrap();
            fs::write(dir.path().join("index.html"), text).unwrap();
            let error = found.write(io::sink()).unwrap_err();
            assert!(matches!(error, PackError::Changed(_)), "{error}");
        }
    }

    #[test]
    fn the_image_itself_is_left_out() {
        let dir = site(&[("index.html", "x"), ("site.tar", "old")]);
        let choice = Choice {
            hidden: false,
            except: Some(fs::canonicalize(dir.path().join("site.tar")).unwrap()),
        };
        assert_eq!(Plan::of(dir.path(), &choice).unwrap().entries.len(), 1);
    }
}
