//! Text in memory of a fixed size: what does not fit is cut off.

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

/// The text.
pub(crate) struct Text {
    memory: Box<[u8]>,
    len: usize,
    /// Most bytes that are taken.
    most: usize,
}

impl Text {
    /// Room for `size` bytes.
    pub fn new(size: usize) -> Text {
        Text {
            memory: vec![0; size].into_boxed_slice(),
            len: 0,
            most: size,
        }
    }

    /// Begins anew; from now on at most `most` bytes are taken.
    pub fn restrict(&mut self, most: usize) {
        self.most = most.min(self.memory.len());
        self.clear();
    }

    /// Bytes that still fit.
    pub fn room(&self) -> usize {
        self.most - self.len
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// What has been written.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[..self.len]
    }

    /// Bytes that have been written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no room: something may have been cut off.
    pub fn is_full(&self) -> bool {
        self.len == self.most
    }

    /// Takes back what was written behind the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let run = bytes.len().min(self.room());
        self.memory[self.len..self.len + run].copy_from_slice(&bytes[..run]);
        self.len += run;
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
