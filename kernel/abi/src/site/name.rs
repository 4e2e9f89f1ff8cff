//! Names of files in an image: relative, without a way out, one spelling for each.

use super::error::SiteErrorKind;

/// Longest name, in bytes.
pub const LONGEST: usize = 4096;

/// Checks the name of a file.
///
/// # Errors
/// What is wrong with it.
pub fn check(name: &[u8]) -> Result<(), SiteErrorKind> {
    checked(&[], name)
}

/// Checks the name of something that is not a directory.
pub(super) fn checked(prefix: &[u8], name: &[u8]) -> Result<(), SiteErrorKind> {
    let len = match prefix.len() {
        0 => name.len(),
        len => len + 1 + name.len(),
    };
    if name.is_empty() || name == b"." || len > LONGEST {
        return Err(SiteErrorKind::BadName);
    }
    if !prefix.is_empty() && name.first() == Some(&b'/') {
        return Err(SiteErrorKind::BadName);
    }
    checked_parts(prefix)?;
    checked_parts(name)
}

pub(super) fn checked_parts(name: &[u8]) -> Result<(), SiteErrorKind> {
    if name.is_empty() || name == b"." {
        return Ok(());
    }
    if name[0] == b'/' {
        return Err(SiteErrorKind::AbsoluteName);
    }
    if name.contains(&0) {
        return Err(SiteErrorKind::BadName);
    }
    for part in name.split(|&b| b == b'/') {
        match part {
            b".." => return Err(SiteErrorKind::ClimbingName),
            b"" | b"." => return Err(SiteErrorKind::BadName),
            _ => {}
        }
    }
    Ok(())
}
