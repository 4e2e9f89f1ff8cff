//! The counters, in a file that is mapped for as long as QEMU runs.

use crate::sheet::{MAGIC, ROW, ROWS, ROWS_AT, Word};
use core::ffi::c_void;
use rustix::fs::{Mode, OFlags, ftruncate, open};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use std::collections::HashMap;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// The mapped file.
pub struct Counters {
    words: &'static [AtomicU64],
    /// The row of each address that was seen.
    rows: Mutex<HashMap<u64, usize>>,
}

impl Counters {
    /// Makes the file at `path`.
    pub fn create(path: &str) -> rustix::io::Result<Counters> {
        let bytes = ROWS_AT + ROWS * ROW;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
        let file = open(path, flags, Mode::RUSR | Mode::WUSR)?;
        ftruncate(&file, bytes as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place of the system's choice. It is never unmapped, and is
        // page-aligned and `bytes` long.
        let words = unsafe {
            let start = mmap(null_mut(), bytes, protection, MapFlags::SHARED, &file, 0)?;
            std::slice::from_raw_parts(start.cast::<AtomicU64>(), bytes / 8)
        };
        words[0].store(MAGIC, Relaxed);
        Ok(Counters {
            words,
            rows: Mutex::default(),
        })
    }

    /// Counts once more.
    pub fn add(&self, word: Word) {
        self.words[word as usize].fetch_add(1, Relaxed);
    }

    /// Where QEMU may count by itself.
    pub fn place(&self, word: Word) -> *mut c_void {
        self.words[word as usize].as_ptr().cast()
    }

    /// Where the executions of the instruction at `address` are counted; `None`: every row is
    /// taken.
    pub fn row(&self, address: u64) -> Option<*mut c_void> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let next = rows.len();
        let row = *rows.entry(address).or_insert(next);
        if row >= ROWS {
            rows.remove(&address);
            self.add(Word::RowsLost);
            return None;
        }
        let at = (ROWS_AT + row * ROW) / 8;
        if row == next {
            self.words[at].store(address, Relaxed);
            self.words[Word::Rows as usize].store(rows.len() as u64, Relaxed);
        }
        Some(self.words[at + 1].as_ptr().cast())
    }
}
