//! Reads the counters that the plugin keeps of a guest.

use super::sheet::{MAGIC, ROW, ROWS, ROWS_AT, Word};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The plugin, beside this program in `target/release`.
#[must_use]
pub fn plugin() -> PathBuf {
    let name = "libquartz_plugin.so";
    match std::env::current_exe() {
        Ok(program) => program.with_file_name(name),
        Err(_) => name.into(),
    }
}

/// A running guest's counters.
#[derive(Debug)]
pub struct Meter {
    file: File,
}

/// The counters at one moment, or what they grew by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Word::COUNT + 1]);

impl Counts {
    /// A counter.
    #[must_use]
    pub fn get(&self, word: Word) -> u64 {
        self.0[word as usize]
    }

    /// What they grew by since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Counts) -> Counts {
        let mut grown = *self;
        for (now, before) in grown.0.iter_mut().zip(earlier.0) {
            *now = now.wrapping_sub(before);
        }
        grown
    }
}

impl Meter {
    /// The counters in the file at `path`.
    ///
    /// # Errors
    /// QEMU has not made the file.
    pub fn open(path: &Path) -> io::Result<Meter> {
        let meter = Meter {
            file: File::open(path)?,
        };
        if meter.read()?.0[0] != MAGIC {
            return Err(io::Error::other("the plugin left no counters"));
        }
        Ok(meter)
    }

    /// Reads them.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self) -> io::Result<Counts> {
        let mut bytes = [0; (Word::COUNT + 1) * 8];
        self.file.read_exact_at(&mut bytes, 0)?;
        let mut counts = Counts::default();
        for (count, word) in counts.0.iter_mut().zip(bytes.chunks_exact(8)) {
            *count = u64::from_le_bytes(word.try_into().unwrap_or_default());
        }
        Ok(counts)
    }

    /// The profile: address and executions of every instruction that ran.
    ///
    /// # Errors
    /// What the system says.
    pub fn rows(&self) -> io::Result<Vec<(u64, u64)>> {
        let used = usize::try_from(self.read()?.get(Word::Rows)).unwrap_or(ROWS);
        let mut bytes = vec![0; used.min(ROWS) * ROW];
        self.file.read_exact_at(&mut bytes, ROWS_AT as u64)?;
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        Ok(bytes
            .chunks_exact(ROW)
            .map(|row| (word(&row[..8]), word(&row[8..])))
            .collect())
    }
}
