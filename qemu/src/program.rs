//! Where QEMU is.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The program's usual name.
pub const QEMU: &str = "qemu-system-x86_64";

/// QEMU is not there.
#[derive(Debug, thiserror::Error)]
#[error(
    "QEMU is missing: {0}; install it (Debian: apt-get install qemu-system-x86) or name it with --qemu"
)]
pub struct ProgramError(String);

/// The program `named`, or [`QEMU`] on the search path.
///
/// # Errors
/// There is no such program.
pub fn find(named: Option<&Path>) -> Result<PathBuf, ProgramError> {
    if let Some(path) = named.filter(|p| p.components().count() > 1) {
        return if executable(path) {
            Ok(path.to_path_buf())
        } else {
            Err(ProgramError(format!("{} is no program", path.display())))
        };
    }
    let name = named.map_or(OsStr::new(QEMU), Path::as_os_str);
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| executable(candidate))
        .ok_or_else(|| {
            let name = name.display();
            ProgramError(format!("there is no {name} on the search path"))
        })
}

fn executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        let by_name = find(Some(Path::new("sh"))).unwrap();
        assert!(by_name.ends_with("sh") && by_name.is_absolute());
        assert_eq!(find(Some(&by_name)).unwrap(), by_name);
    }

    #[test]
    fn a_missing_program_says_how_to_get_it() {
        for named in ["quartz-no-such-qemu", "/nonexistent/qemu", "/etc/passwd"] {
            let error = find(Some(Path::new(named))).unwrap_err().to_string();
            assert!(error.contains("apt-get install qemu-system-x86"), "{error}");
        }
    }
}
