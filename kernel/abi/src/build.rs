//! Which build of the kernel this is: the linker's build id, a hash of all that it wrote.
//!
//! The image carries it as a note (`NT_GNU_BUILD_ID`), the file with the symbols the same one; a
//! report of a failure and the black box repeat it. Symbols of another build name the wrong
//! functions, and nothing but this number tells.

use core::fmt;

/// Bytes of an id (`--build-id=md5`).
pub const LEN: usize = 16;

/// What stands before the id in the line of a report.
pub const LABEL: &str = "build ";

/// A build id. Shown as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BuildId(pub [u8; LEN]);

impl BuildId {
    /// The id in a note section: name size, value size, type 3, `GNU`, the value (System V ABI,
    /// chapter 5, "Note Section"). `None` if the first note is none of ours.
    #[must_use]
    pub fn from_note(note: &[u8]) -> Option<BuildId> {
        const HEAD: &[u8] = b"\x04\0\0\0\x10\0\0\0\x03\0\0\0GNU\0";
        let value = note.strip_prefix(HEAD)?.get(..LEN)?;
        Some(BuildId(value.try_into().ok()?))
    }

    /// The id whose digits `text` is.
    #[must_use]
    pub fn parse(text: &str) -> Option<BuildId> {
        let digits = text.as_bytes();
        if digits.len() != 2 * LEN || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut id = [0; LEN];
        for (at, byte) in (0..).step_by(2).zip(&mut id) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(BuildId(id))
    }

    /// The id in a line of a report.
    #[must_use]
    pub fn from_line(line: &str) -> Option<BuildId> {
        BuildId::parse(line.trim().strip_prefix(LABEL)?)
    }

    /// As words of the black box.
    #[must_use]
    pub fn words(self) -> [u64; 2] {
        let value = u128::from_le_bytes(self.0);
        [value as u64, (value >> 64) as u64]
    }

    /// From the words of a black box; `None` for zeros.
    #[must_use]
    pub fn from_words(words: [u64; 2]) -> Option<BuildId> {
        let value = u128::from(words[0]) | u128::from(words[1]) << 64;
        (value != 0).then(|| BuildId(value.to_le_bytes()))
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    const ID: BuildId = BuildId([0x0f, 0xe1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff]);

    #[test]
    fn digits_words_and_lines_give_the_id_back() {
        assert_eq!(format!("{ID}"), "0fe102030405060708090a0b0c0d0eff");
        assert_eq!(BuildId::parse(&format!("{ID}")), Some(ID));
        assert_eq!(BuildId::from_line(&format!("  {LABEL}{ID}\r\n")), Some(ID));
        assert_eq!(BuildId::from_words(ID.words()), Some(ID));
        assert_eq!(BuildId::from_words([0, 0]), None);
        for bad in ["", "0fe1", "0fe102030405060708090a0b0c0d0efg", "ü"] {
            assert_eq!(BuildId::parse(bad), None, "{bad}");
        }
        assert_eq!(BuildId::from_line("a build of something"), None);
    }

    #[test]
    fn only_a_note_of_the_linker_has_one() {
        let mut note = b"\x04\0\0\0\x10\0\0\0\x03\0\0\0GNU\0".to_vec();
        note.extend(ID.0);
        assert_eq!(BuildId::from_note(&note), Some(ID));
        assert_eq!(BuildId::from_note(&note[..31]), None);
        note[8] = 4;
        assert_eq!(BuildId::from_note(&note), None);
    }
}
