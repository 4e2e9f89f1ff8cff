//! An amount of guest memory, as people write it: `64M`, `1G`, `65536K`, or `64` for MiB.

use std::fmt;
use std::str::FromStr;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Guest memory in bytes, a whole number of KiB from 1 MiB to 1 TiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory(u64);

/// The text is no amount of memory.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected an amount of memory from 1M to 1024G, such as 64M")]
pub struct MemoryError;

impl Memory {
    /// That many MiB.
    #[must_use]
    pub const fn mib(n: u32) -> Memory {
        Memory(n as u64 * MIB)
    }

    /// The amount in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The least amount that holds `bytes`, rounded up to what a person would type: a multiple
    /// of 8 MiB.
    #[must_use]
    pub fn holding(bytes: u64) -> Memory {
        Memory(bytes.max(1).next_multiple_of(8 * MIB))
    }
}

impl FromStr for Memory {
    type Err = MemoryError;

    fn from_str(text: &str) -> Result<Memory, MemoryError> {
        let (digits, unit) = match text.as_bytes().last() {
            Some(b'k' | b'K') => (&text[..text.len() - 1], KIB),
            Some(b'm' | b'M') => (&text[..text.len() - 1], MIB),
            Some(b'g' | b'G') => (&text[..text.len() - 1], GIB),
            _ => (text, MIB),
        };
        // `parse` alone would take "+5".
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(MemoryError);
        }
        let n: u64 = digits.parse().map_err(|_| MemoryError)?;
        let bytes = n.checked_mul(unit).ok_or(MemoryError)?;
        if (MIB..=1024 * GIB).contains(&bytes) {
            Ok(Memory(bytes))
        } else {
            Err(MemoryError)
        }
    }
}

/// As QEMU's `-m` and this type itself read it.
impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(MIB) {
            write!(f, "{}M", self.0 / MIB)
        } else {
            write!(f, "{}K", self.0 / KIB)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_printed() {
        for (text, bytes, printed) in [
            ("64", 64 * MIB, "64M"),
            ("64M", 64 * MIB, "64M"),
            ("64m", 64 * MIB, "64M"),
            ("1G", GIB, "1024M"),
            ("1536K", 1536 * KIB, "1536K"),
            ("1024g", 1024 * GIB, "1048576M"),
        ] {
            let memory: Memory = text.parse().unwrap();
            assert_eq!(memory.bytes(), bytes, "{text}");
            assert_eq!(memory.to_string(), printed);
            assert_eq!(printed.parse(), Ok(memory), "the printed form is read back");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "M",
            "0",
            "-1",
            "+64",
            "64MB",
            "6 4",
            "1023K",
            "1025G",
            "18446744073709551615G",
            "0x40",
        ] {
            assert_eq!(text.parse::<Memory>(), Err(MemoryError), "accepted {text}");
        }
    }

    #[test]
    fn holding_rounds_up() {
        assert_eq!(Memory::holding(0), Memory::mib(8));
        assert_eq!(Memory::holding(8 * MIB), Memory::mib(8));
        assert_eq!(Memory::holding(8 * MIB + 1), Memory::mib(16));
    }
}
