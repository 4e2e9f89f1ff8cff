//! Names for addresses of the kernel, out of the `.debug` file that the build leaves beside it.
//!
//! It never guesses: symbols of another build name the wrong functions, so they are refused.

use addr2line::Loader;
use object::{Object, ObjectSection};
use quartz_abi::BuildId;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Section of the linker's build id.
const NOTE: &str = ".note.gnu.build-id";

/// Why there are no names.
#[derive(Debug, thiserror::Error)]
pub enum SymbolsError {
    /// There is no file with symbols.
    #[error("no names: there is no {} (`make kernel` leaves it beside the kernel)", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("no names: cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It belongs to another build.
    #[error("no names: {} is of build {}, the kernel of build {kernel}", path.display(), named(*symbols))]
    OtherBuild {
        /// The file.
        path: PathBuf,
        /// Its build.
        symbols: Option<BuildId>,
        /// The build of the kernel.
        kernel: BuildId,
    },
    /// Nothing tells which build the kernel is of.
    #[error("no names: the kernel does not say of which build it is")]
    UnknownBuild,
}

fn named(build: Option<BuildId>) -> String {
    build.map_or_else(|| "unknown".into(), |build| build.to_string())
}

/// Where the symbols of a kernel lie: `target/quartz-unikernel.debug` for
/// `target/quartz-unikernel.elf`.
#[must_use]
pub fn beside(kernel: &Path) -> PathBuf {
    kernel.with_extension("debug")
}

/// The build of an ELF file; `None` if it has no id.
///
/// # Errors
/// It cannot be read, or is no ELF file.
pub fn build_of(path: &Path) -> io::Result<Option<BuildId>> {
    let bytes = fs::read(path)?;
    let file = object::File::parse(&*bytes).map_err(io::Error::other)?;
    let Some(note) = file.section_by_name(NOTE) else {
        return Ok(None);
    };
    Ok(BuildId::from_note(note.data().map_err(io::Error::other)?))
}

/// A function that an address belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its name with its path, without hashes.
    pub function: String,
    /// File and line, where known.
    pub place: Option<(String, u32)>,
}

/// The symbols of one build.
pub struct Symbols {
    loader: Loader,
    /// The file.
    pub path: PathBuf,
}

impl Symbols {
    /// The symbols beside `kernel`, which must be of this `build`.
    ///
    /// # Errors
    /// There are none, they cannot be read, or are of another build.
    pub fn of(kernel: &Path, build: Option<BuildId>) -> Result<Symbols, SymbolsError> {
        let path = beside(kernel);
        let kernel = build.ok_or(SymbolsError::UnknownBuild)?;
        let symbols = match build_of(&path) {
            Ok(symbols) => symbols,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SymbolsError::Missing(path));
            }
            Err(error) => {
                let reason = error.to_string();
                return Err(SymbolsError::Unreadable { path, reason });
            }
        };
        if symbols != Some(kernel) {
            return Err(SymbolsError::OtherBuild {
                path,
                symbols,
                kernel,
            });
        }
        Symbols::open(path)
    }

    /// The symbols in a file, of whatever build it is.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: PathBuf) -> Result<Symbols, SymbolsError> {
        match Loader::new(&path) {
            Ok(loader) => Ok(Symbols { loader, path }),
            Err(error) => {
                let reason = error.to_string();
                Err(SymbolsError::Unreadable { path, reason })
            }
        }
    }

    /// The functions that an address belongs to, what was inlined first; none if it is no code of
    /// the kernel.
    #[must_use]
    pub fn frames(&self, address: u64) -> Vec<Frame> {
        let mut all = Vec::new();
        // What cannot be read has no name.
        if let Ok(mut frames) = self.loader.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame
                    .function
                    .as_ref()
                    .and_then(|f| Some(f.demangle().ok()?.into_owned()));
                all.push(Frame {
                    function: name.map_or_else(|| "?".into(), |name| without_hashes(&name)),
                    place: frame
                        .location
                        .and_then(|at| Some((at.file?.to_owned(), at.line?))),
                });
            }
        }
        // The symbol has the function's whole path, which line tables alone do not.
        if let Some(symbol) = self.loader.find_symbol(address) {
            let function = without_hashes(&addr2line::demangle_auto(symbol.into(), None));
            match all.last_mut() {
                Some(outermost) => outermost.function = function,
                None => all.push(Frame {
                    function,
                    place: None,
                }),
            }
        }
        all
    }
}

/// A function's name without the hashes of crates.
#[must_use]
pub fn without_hashes(name: &str) -> String {
    let mut text = String::new();
    let mut rest = name;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        text += before;
        match from.find(']') {
            Some(end) if from[1..end].bytes().all(|b| b.is_ascii_hexdigit()) => {
                rest = &from[end + 1..];
            }
            _ => {
                text.push('[');
                rest = &from[1..];
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_hashes() {
        assert_eq!(
            without_hashes("core[1f2e]::slice::<impl [T]>::len"),
            "core::slice::<impl [T]>::len"
        );
        assert_eq!(
            without_hashes("<[u8; 6] as core[ab]::Clone>"),
            "<[u8; 6] as core::Clone>"
        );
    }

    #[test]
    fn symbols_of_another_build_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let kernel = folder.path().join("kernel.elf");
        let build = Some(BuildId([7; 16]));
        let refused = |build| Symbols::of(&kernel, build).err().unwrap().to_string();
        assert!(refused(build).contains("there is no"), "{}", refused(build));
        assert!(refused(None).contains("does not say"), "{}", refused(None));
        fs::write(beside(&kernel), "no ELF file").unwrap();
        assert!(refused(build).contains("cannot read"), "{}", refused(build));
        // This test's own program has symbols, and is of another build than any kernel.
        fs::copy(std::env::current_exe().unwrap(), beside(&kernel)).unwrap();
        let said = refused(build);
        assert!(said.contains("the kernel of build 0707070707"), "{said}");
    }
}
