//! Starting a process that cannot outlive this one, or one that is meant to.
//!
//! Owns the code that runs between fork and exec, the only unsafe code of the crate.
#![allow(unsafe_code)]

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// Starts `command` so that the kernel kills it when the calling *thread* ends, in a process
/// group of its own, so that a Ctrl-C at the terminal reaches this process alone. The child
/// inherits the descriptors in `inherit`, under the same numbers.
///
/// # Errors
/// What `Command::spawn` says, or that this process ended meanwhile.
pub fn bound(command: &mut Command, inherit: Vec<RawFd>) -> io::Result<Child> {
    let parent = getpid();
    start(command, inherit, move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above: then nobody would send the signal.
        if getppid() != Some(parent) {
            return Err(io::Error::from(rustix::io::Errno::CHILD));
        }
        Ok(())
    })
}

/// Starts `command` in a process group of its own; it lives on when this process ends. It inherits
/// descriptors as for [`bound`].
///
/// # Errors
/// What `Command::spawn` says.
pub fn free(command: &mut Command, inherit: Vec<RawFd>) -> io::Result<Child> {
    start(command, inherit, || Ok(()))
}

fn start(
    command: &mut Command,
    inherit: Vec<RawFd>,
    first: impl Fn() -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<Child> {
    let prepare = move || {
        first()?;
        for &fd in &inherit {
            // SAFETY: the caller keeps the descriptors open until `spawn` returns, and the child
            // has a copy of each.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            fcntl_setfd(fd, FdFlags::empty())?;
        }
        Ok(())
    };
    command.process_group(0);
    // SAFETY: `prepare` runs between fork and exec: it makes system calls only, which are safe
    // there, and does not allocate.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}
