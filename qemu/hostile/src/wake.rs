//! An eventfd, to wake a thread that sleeps in `poll`.

use rustix::event::{EventfdFlags, eventfd};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A counter in the kernel that is readable while it is not zero.
#[derive(Debug)]
pub(crate) struct Wake(File);

impl Wake {
    /// A new one.
    pub fn new() -> io::Result<Wake> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Wake(File::from(fd)))
    }

    /// One that came from elsewhere. It is polled before it is drained, so it may block.
    pub fn from_fd(fd: OwnedFd) -> Wake {
        Wake(File::from(fd))
    }

    /// Adds one.
    pub fn signal(&self) -> io::Result<()> {
        (&self.0).write_all(&1u64.to_ne_bytes())
    }

    /// Sets it to zero and says what it was; 0 if there was nothing.
    pub fn drain(&self) -> u64 {
        let mut count = [0; 8];
        match (&self.0).read(&mut count) {
            Ok(8) => u64::from_ne_bytes(count),
            _ => 0,
        }
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
