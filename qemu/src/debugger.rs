//! The way for a debugger into a guest: QEMU's gdb stub, and the words that attach gdb to it.
//!
//! Whoever reaches the stub owns the guest, so it is a socket in the file system, or a port of
//! 127.0.0.1, which every user of this machine reaches.

use crate::error::Error;
use crate::port;
use crate::symbols;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tempfile::TempDir;

/// Longest path of a socket, in bytes (unix(7): `sun_path` with its end).
const LONGEST: usize = 107;
/// The script that knows the kernel's types, below the sources.
const SCRIPT: &str = "qemu/gdb/quartz.py";
/// The same in a release.
const RELEASED: &str = "quartz.py";
/// Where a package installs it.
const INSTALLED: &str = "/usr/lib/quartz/quartz.py";

/// Where a debugger is to attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A socket that the command makes, for this user alone.
    Own,
    /// A port of 127.0.0.1; 0 takes a free one.
    Port(u16),
    /// A socket with this path.
    Socket(PathBuf),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Wanted, String> {
        if text.is_empty() {
            return Ok(Wanted::Own);
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let port = text
                .parse()
                .map_err(|_| "no port is that high".to_owned())?;
            return Ok(Wanted::Port(port));
        }
        if text.contains(',') {
            return Err("QEMU takes no comma in the path of a socket".into());
        }
        if text.len() > LONGEST {
            return Err(format!(
                "the path of a socket is {LONGEST} bytes at most, this one {}",
                text.len()
            ));
        }
        Ok(Wanted::Socket(text.into()))
    }
}

/// A stub about to be opened. Its files go with it.
#[derive(Debug)]
pub struct Stub {
    address: Address,
    /// Holds the socket of [`Wanted::Own`].
    _folder: Option<TempDir>,
}

#[derive(Debug)]
enum Address {
    Port(u16),
    Socket(PathBuf),
}

impl Stub {
    /// Finds a place for the stub.
    ///
    /// # Errors
    /// The port is taken, something else lies where the socket is to be, or there is no room for
    /// one.
    pub fn new(wanted: &Wanted) -> Result<Stub, Error> {
        let (address, folder) = match wanted {
            Wanted::Port(port) => (Address::Port(port::free(*port)?), None),
            Wanted::Socket(path) => {
                // QEMU would remove whatever lies there.
                if let Ok(found) = fs::symlink_metadata(path)
                    && !found.file_type().is_socket()
                {
                    let path = path.display();
                    return Err(Error::Refused(format!(
                        "--debug: {path} exists and is no socket"
                    )));
                }
                (Address::Socket(path.clone()), None)
            }
            Wanted::Own => {
                let folder = tempfile::Builder::new()
                    .prefix("quartz-")
                    .permissions(Permissions::from_mode(0o700))
                    .tempdir()
                    .map_err(Error::system("cannot make a directory for the debugger"))?;
                (
                    Address::Socket(folder.path().join("gdb.sock")),
                    Some(folder),
                )
            }
        };
        Ok(Stub {
            address,
            _folder: folder,
        })
    }

    /// QEMU's words: it opens the stub and waits with the guest's first instruction.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let address = match &self.address {
            Address::Port(port) => format!("tcp:127.0.0.1:{port},server=on,wait=off").into(),
            Address::Socket(path) => {
                let mut word = OsString::from("unix:");
                word.push(path);
                word.push(",server=on,wait=off");
                word
            }
        };
        vec!["-S".into(), "-gdb".into(), address]
    }

    /// What a person types to attach gdb to a guest with this kernel.
    #[must_use]
    pub fn command(&self, kernel: &Path) -> String {
        let mut words = vec!["gdb".to_owned()];
        if let Some(script) = script() {
            words.extend(["-x".to_owned(), quoted(&near(&script))]);
        }
        words.extend(["-ex".to_owned(), format!("'target remote {self}'")]);
        words.push(quoted(&near(&symbols::beside(kernel))));
        words.join(" ")
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        // A guest that ends QEMU leaves its socket behind.
        if let Address::Socket(path) = &self.address
            && fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        {
            let _ = fs::remove_file(path);
        }
    }
}

impl fmt::Display for Stub {
    /// As gdb's `target remote` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Port(port) => write!(f, "127.0.0.1:{port}"),
            Address::Socket(path) => path.display().fmt(f),
        }
    }
}

/// The script that belongs to this program: in the sources that it was built from, three
/// directories above `target/release/quartz`; beside the kernel of a release, two above
/// `bin/quartz`; or where a package installs it.
fn script() -> Option<PathBuf> {
    let exe = env::current_exe().ok();
    let above = |levels: usize, name: &str| Some(exe.as_ref()?.ancestors().nth(levels)?.join(name));
    [above(3, SCRIPT), above(2, RELEASED), Some(INSTALLED.into())]
        .into_iter()
        .flatten()
        .find(|path| path.exists())
}

/// A path from the current directory on, if it lies below.
fn near(path: &Path) -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@%:,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ports_and_paths() {
        let own = "".parse();
        assert_eq!(own, Ok(Wanted::Own));
        assert_eq!("1234".parse(), Ok(Wanted::Port(1234)));
        let socket = Wanted::Socket("target/gdb.sock".into());
        assert_eq!("target/gdb.sock".parse(), Ok(socket));
        let long = "x".repeat(LONGEST + 1);
        for (bad, why) in [("65536", "port"), ("a,b", "comma"), (&*long, "108")] {
            let error = bad.parse::<Wanted>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn only_this_machine_reaches_the_stub() {
        let stub = Stub::new(&Wanted::Port(0)).unwrap();
        let words = stub.arguments();
        assert_eq!(words[0], "-S");
        let address = words[2].to_str().unwrap();
        assert!(address.starts_with("tcp:127.0.0.1:"), "{address}");
        let stub = Stub::new(&Wanted::Own).unwrap();
        let folder = stub._folder.as_ref().unwrap().path().to_owned();
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&folder).unwrap());
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        drop(stub);
        assert!(!folder.exists());
    }

    #[test]
    fn a_file_that_lies_there_stays() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Stub::new(&Wanted::Socket(file.path().into())).unwrap_err();
        assert!(error.to_string().contains("is no socket"), "{error}");
        assert!(file.path().exists());
    }

    #[test]
    fn the_command_can_be_pasted() {
        let stub = Stub::new(&Wanted::Socket("/tmp/x/gdb.sock".into())).unwrap();
        let command = stub.command(Path::new("/a b/quartz-unikernel.elf"));
        let end = "-ex 'target remote /tmp/x/gdb.sock' '/a b/quartz-unikernel.debug'";
        assert!(command.ends_with(end), "{command}");
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
    }
}
