//! Ctrl-C and its relatives, as something that can be waited for together with other things.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// SIGINT, SIGTERM and SIGHUP of this process: each asks to stop.
pub struct Signals {
    pipe: UnixStream,
}

impl Signals {
    /// From now on these signals no longer end the process; they are found here.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Signals> {
        let (pipe, writer) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Signals { pipe })
    }

    /// Takes the signals that have come in; whether there was any.
    pub fn take(&self) -> bool {
        let mut any = false;
        let mut buffer = [0; 16];
        while matches!((&self.pipe).read(&mut buffer), Ok(n) if n > 0) {
            any = true;
        }
        any
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Waits until one of `fds` can be read or is closed, at most until `deadline`; says which are.
///
/// # Errors
/// What the system says; an interrupted wait goes on.
pub fn wait_any(fds: &[BorrowedFd<'_>], deadline: Option<Instant>) -> io::Result<Vec<bool>> {
    loop {
        let mut polled: Vec<PollFd<'_>> = fds
            .iter()
            .map(|fd| PollFd::new(fd, PollFlags::IN))
            .collect();
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        // Rounded up: a wait must not end just before its deadline, again and again.
        let timeout = left.map(|left| left + Duration::from_micros(1));
        let timeout = timeout.map(|t| Timespec {
            tv_sec: t.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: t.subsec_nanos().into(),
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(0) if left.is_some_and(|left| !left.is_zero()) => {}
            Ok(_) => return Ok(polled.iter().map(|p| !p.revents().is_empty()).collect()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn waiting_tells_which_is_ready() {
        let (a, _keep) = UnixStream::pair().unwrap();
        let (b, mut other) = UnixStream::pair().unwrap();
        let deadline = Some(Instant::now() + Duration::from_millis(20));
        assert_eq!(
            wait_any(&[a.as_fd(), b.as_fd()], deadline).unwrap(),
            [false, false]
        );
        other.write_all(b"x").unwrap();
        assert_eq!(
            wait_any(&[a.as_fd(), b.as_fd()], None).unwrap(),
            [false, true]
        );
    }
}
