//! A process by its number and the moment it began, so that a number used again is not mistaken.

use super::life::Millis;
use crate::guest::Ending;
use crate::signals::wait_any;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

/// Milliseconds since the host booted, sleep included.
#[must_use]
pub fn now() -> Millis {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}

/// Which boot of the host this is.
#[must_use]
pub fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// Who a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its number.
    pub pid: i32,
    /// When it began, in ticks since boot.
    pub began: u64,
}

/// A process that was found, held so that its number stays its own.
#[derive(Debug)]
pub struct Process {
    identity: Identity,
    pidfd: OwnedFd,
}

impl Process {
    /// The process with this number.
    ///
    /// # Errors
    /// There is none.
    pub fn find(pid: i32) -> io::Result<Process> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let number = Pid::from_raw(pid).ok_or_else(missing)?;
        let pidfd = pidfd_open(number, PidfdFlags::empty())?;
        // After it is held: what is read now is about it or about nobody.
        let began = match stat(pid) {
            Some((_, began)) => began,
            None if wait_any(&[pidfd.as_fd()], Some(Instant::now()))?[0] => return Err(missing()),
            None => {
                let text = format!("process {pid} runs and cannot be looked at");
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
        };
        let identity = Identity { pid, began };
        Ok(Process { identity, pidfd })
    }

    /// The very process that was noted, if it still runs.
    ///
    /// # Errors
    /// A process with that number runs, and this one may not look at it: whether it is the one is
    /// not known, so nobody may take it for gone.
    pub fn again(identity: Identity) -> io::Result<Option<Process>> {
        let found = match Process::find(identity.pid) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(_) => return Ok(None),
        };
        let same = found.identity == identity;
        Ok((same && found.state().is_some()).then_some(found))
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Its state as `/proc` shows it (R, S, D, T, ...); `None` when it has ended.
    #[must_use]
    pub fn state(&self) -> Option<char> {
        let (state, began) = stat(self.identity.pid)?;
        (began == self.identity.began && !matches!(state, 'Z' | 'X')).then_some(state)
    }

    /// How it ended, if it was a child of this process. To be asked when it has.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        let wait = WaitId::PidFd(self.pidfd.as_fd());
        let status = waitid(wait, WaitIdOptions::EXITED).ok()??;
        let raw = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => code << 8,
            (None, signal) => signal?,
        };
        Some(Ending::from_status(ExitStatus::from_raw(raw)))
    }

    /// Another handle on the same process.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_clone(&self) -> io::Result<Process> {
        Ok(Process {
            identity: self.identity,
            pidfd: self.pidfd.try_clone()?,
        })
    }
}

impl AsFd for Process {
    /// Can be read when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// State and start time of a process (proc(5): fields 3 and 22).
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let rest = text.rsplit_once(") ")?.1;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_known_by_number_and_beginning() {
        let me = Process::find(std::process::id() as i32).unwrap();
        assert!(Process::again(me.identity()).unwrap().is_some());
        assert!(me.state().is_some());
        let other = Identity {
            began: me.identity().began + 1,
            ..me.identity()
        };
        assert!(Process::again(other).unwrap().is_none());
    }

    #[test]
    fn the_end_of_a_child_is_told() {
        for (script, ending) in [
            ("exit 0", Ending::Qemu(0)),
            ("exit 35", Ending::Code(quartz_abi::ExitCode::Panic)),
            ("kill -9 $$", Ending::Signal(9)),
        ] {
            #[expect(clippy::zombie_processes, reason = "it is waited for by its pidfd")]
            let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let process = Process::find(child.id() as i32).unwrap();
            let soon = std::time::Instant::now() + std::time::Duration::from_secs(20);
            assert!(crate::signals::wait_any(&[process.as_fd()], Some(soon)).unwrap()[0]);
            assert_eq!(process.ending(), Some(ending), "{script}");
            assert_eq!(process.state(), None);
            assert!(Process::again(process.identity()).unwrap().is_none());
        }
    }
}
