//! A guest: one QEMU process, from its start to its end, which always comes.

use crate::journal::Journal;
use crate::machine::{Machine, Wires};
use crate::monitor::Monitor;
use crate::outcome;
use crate::port;
use crate::signals::wait_any;
use crate::spawn;
use quartz_abi::ExitCode;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::io::{self, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of the serial log that may wait to be read.
const SERIAL_BUFFER: usize = 1 << 20;
/// How often the journal is looked at for the prompt.
const LOOK: Duration = Duration::from_millis(10);
/// The longest that a killed process may take to go.
const KILL: Duration = Duration::from_secs(5);
/// The longest that the last words of an ended process may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a guest could not be started or watched.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// QEMU could not be started.
    #[error("cannot start QEMU ({program}): {source}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The process could not be watched.
    #[error("cannot watch QEMU: {0}")]
    Watch(#[from] io::Error),
    /// The process did not even go when it was killed.
    #[error("QEMU (process {0}) does not end although it was killed; the system holds it")]
    Stuck(u32),
}

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The guest said so itself.
    Code(ExitCode),
    /// QEMU ended with a status of its own.
    Qemu(i32),
    /// QEMU was ended by a signal.
    Signal(i32),
}

impl Ending {
    /// From the status that QEMU's process left.
    #[must_use]
    pub fn from_status(status: ExitStatus) -> Ending {
        match status.code() {
            Some(code) => match ExitCode::from_qemu_status(code) {
                Some(code) => Ending::Code(code),
                None => Ending::Qemu(code),
            },
            None => Ending::Signal(status.signal().unwrap_or(0)),
        }
    }

    /// The exit status of a command that ends because of this.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Ending::Code(code) => outcome::status(code),
            Ending::Qemu(_) | Ending::Signal(_) => outcome::QEMU_ENDED,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Code(code) => write!(f, "{code} (code {})", *code as u32),
            Ending::Qemu(0) => f.write_str(
                "QEMU ended without a word from the guest: the machine reset itself or was told to quit",
            ),
            Ending::Qemu(status) => write!(f, "QEMU ended by itself (status {status})"),
            Ending::Signal(signal) => write!(f, "QEMU was ended by signal {signal}"),
        }
    }
}

/// What made a guest stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Means {
    /// It had ended before it was asked.
    Itself,
    /// `drain` on its console.
    Drain,
    /// The power button (`system_powerdown`), for kernels that have ACPI.
    PowerDown,
    /// `quit` on QEMU's monitor.
    Quit,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

impl Means {
    /// As a person would call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Means::Itself => "itself",
            Means::Drain => "the drain command",
            Means::PowerDown => "the power button",
            Means::Quit => "QEMU's quit command",
            Means::Terminate => "SIGTERM",
            Means::Kill => "SIGKILL",
        }
    }
}

/// How long each means is given to work.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the guest to drain.
    pub drain: Duration,
    /// For QEMU to quit.
    pub quit: Duration,
    /// For QEMU to go after SIGTERM.
    pub terminate: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            drain: Duration::from_secs(10),
            quit: Duration::from_secs(2),
            terminate: Duration::from_secs(2),
        }
    }
}

/// A running guest. Dropping it kills it.
pub struct Guest {
    child: Child,
    pidfd: OwnedFd,
    console: PipeWriter,
    monitor: Monitor,
    journal: Arc<Journal>,
    complaints: Arc<Journal>,
    ending: Option<Ending>,
}

impl Guest {
    /// Starts QEMU. With `echo`, what the guest and QEMU say is printed as it comes.
    /// The process ends at the latest with the calling thread.
    ///
    /// # Errors
    /// The program cannot be started or watched.
    pub fn start(machine: &Machine, echo: bool) -> Result<Guest, GuestError> {
        Guest::start_with(machine, Journal::new(echo), echo)
    }

    /// The same with a journal of the caller's.
    ///
    /// # Errors
    /// As [`Guest::start`].
    pub fn start_with(
        machine: &Machine,
        journal: Arc<Journal>,
        echo: bool,
    ) -> Result<Guest, GuestError> {
        let (monitor, monitor_end) = UnixStream::pair()?;
        let (console_end, console) = io::pipe()?;
        let (serial, serial_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        // Typing must not wait for a guest that does not read.
        fcntl_setfl(&console, OFlags::WRONLY | OFlags::NONBLOCK).map_err(io::Error::from)?;
        // A reader that is late must not hold the guest up. The system may allow less.
        let _ = fcntl_setpipe_size(&serial, SERIAL_BUFFER);
        let wires = Wires {
            monitor: monitor_end.as_raw_fd(),
        };
        let mut command = Command::new(&machine.qemu);
        command
            .args(machine.arguments(wires))
            .stdin(console_end)
            .stdout(serial_end)
            .stderr(stderr_end);
        let mut child = spawn::bound(&mut command, machine.inherited(wires)).map_err(|source| {
            GuestError::Start {
                program: machine.qemu.display().to_string(),
                source,
            }
        })?;
        let pidfd = match watch(&child) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error.into());
            }
        };
        let guest = Guest {
            child,
            pidfd,
            monitor: Monitor::new(monitor),
            journal,
            complaints: Journal::new(echo),
            ending: None,
            console,
        };
        // This program's copies of QEMU's ends: with them open, no stream would ever end.
        drop(command);
        guest.journal.follow(serial)?;
        guest.complaints.follow(stderr)?;
        Ok(guest)
    }

    /// The id of the QEMU process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the guest has said on its serial line.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// What QEMU has complained about.
    #[must_use]
    pub fn complaints(&self) -> &Arc<Journal> {
        &self.complaints
    }

    /// QEMU's monitor.
    pub fn monitor(&mut self) -> &mut Monitor {
        &mut self.monitor
    }

    /// Types a line on the guest's console.
    ///
    /// # Errors
    /// The guest is gone, or has not read what was typed before.
    pub fn type_line(&mut self, line: &str) -> io::Result<()> {
        self.console.write_all(format!("{line}\n").as_bytes())
    }

    /// Types keys on the guest's console; how many it takes now.
    ///
    /// # Errors
    /// The guest is gone.
    pub fn type_keys(&mut self, keys: &[u8]) -> io::Result<usize> {
        match self.console.write(keys) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// Lets more connections wait on a port that user networking forwards; see [`port::widen`].
    ///
    /// # Errors
    /// QEMU does not listen there, or this process may not have a copy of its socket.
    pub fn widen(&self, port: u16) -> io::Result<()> {
        port::widen(self.pidfd.as_fd(), self.pid(), port)
    }

    /// Waits until the guest has ended, at most until `deadline`; `None` if it still runs.
    ///
    /// # Errors
    /// The process cannot be watched.
    pub fn wait(&mut self, deadline: Instant) -> Result<Option<Ending>, GuestError> {
        if self.ending.is_none() && wait_any(&[self.pidfd.as_fd()], Some(deadline))?[0] {
            self.ending = Some(Ending::from_status(self.child.wait()?));
            let words = Instant::now() + LAST_WORDS;
            self.journal.wait_closed(words);
            self.complaints.wait_closed(words);
        }
        Ok(self.ending)
    }

    /// Stops the guest: by `drain`, then each harder means when the patience for the one before
    /// is over, or at once when `hurry` can be read (`hurried` then takes what is there).
    ///
    /// # Errors
    /// The process cannot be watched, or does not even go when killed.
    pub fn stop(
        &mut self,
        patience: Patience,
        hurry: Option<&dyn Hurry>,
    ) -> Result<(Ending, Means), GuestError> {
        let soon = Instant::now();
        if let Some(ending) = self.wait(soon)? {
            return Ok((ending, Means::Itself));
        }
        let means = [
            (Means::Drain, patience.drain),
            (Means::Quit, patience.quit),
            (Means::Terminate, patience.terminate),
            (Means::Kill, KILL),
        ];
        for (means, patience) in means {
            let deadline = Instant::now() + patience;
            // A means that cannot even be tried gives way to the next at once.
            let tried = match means {
                Means::Itself | Means::PowerDown => false,
                Means::Drain => self.type_when_up("drain", deadline, hurry)?,
                Means::Quit => self.monitor.execute("quit", Value::Null, deadline).is_ok(),
                Means::Terminate => pidfd_send_signal(&self.pidfd, Signal::TERM).is_ok(),
                Means::Kill => pidfd_send_signal(&self.pidfd, Signal::KILL).is_ok(),
            };
            let deadline = if tried { deadline } else { Instant::now() };
            if self.wait_or_hurry(deadline, hurry)? == Waited::Ended
                && let Some(ending) = self.wait(deadline)?
            {
                return Ok((ending, means));
            }
        }
        Err(GuestError::Stuck(self.pid()))
    }

    /// Types a line as soon as the guest listens, which its prompt tells: what is typed before
    /// may be lost. Whether it could.
    fn type_when_up(
        &mut self,
        line: &str,
        deadline: Instant,
        hurry: Option<&dyn Hurry>,
    ) -> Result<bool, GuestError> {
        while !self.journal.prompted() {
            let look = deadline.min(Instant::now() + LOOK);
            if self.wait_or_hurry(look, hurry)? != Waited::Late || look == deadline {
                return Ok(false);
            }
        }
        Ok(self.type_line(line).is_ok())
    }

    /// Waits for the end, the hurry or the deadline, whichever comes first.
    fn wait_or_hurry(
        &self,
        deadline: Instant,
        hurry: Option<&dyn Hurry>,
    ) -> Result<Waited, GuestError> {
        let mut fds = vec![self.pidfd.as_fd()];
        fds.extend(hurry.map(|h| h.as_fd()));
        let ready = wait_any(&fds, Some(deadline))?;
        if ready[0] {
            return Ok(Waited::Ended);
        }
        match hurry {
            Some(hurry) if ready[1] => {
                hurry.take();
                Ok(Waited::Hurried)
            }
            _ => Ok(Waited::Late),
        }
    }

    /// Ends the guest at once, without asking.
    ///
    /// # Errors
    /// The process cannot be watched, or does not even go when killed.
    pub fn kill(&mut self) -> Result<Ending, GuestError> {
        if self.ending.is_none() {
            // It may have ended just now: then there is nothing to send to.
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        }
        match self.wait(Instant::now() + KILL)? {
            Some(ending) => Ok(ending),
            None => Err(GuestError::Stuck(self.pid())),
        }
    }
}

impl AsFd for Guest {
    /// Can be read when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Nothing is left to do about a process that the system holds.
        let _ = self.kill();
    }
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    Ended,
    Hurried,
    Late,
}

/// Something that makes a stop go on to the next means: readable when it does.
pub trait Hurry: AsFd {
    /// Takes what was there to read.
    fn take(&self);
}

impl Hurry for crate::signals::Signals {
    fn take(&self) {
        crate::signals::Signals::take(self);
    }
}

fn watch(child: &Child) -> io::Result<OwnedFd> {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("no process id"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::PROMPT;
    use std::thread;

    const SHORT: Patience = Patience {
        drain: Duration::from_millis(100),
        quit: Duration::from_millis(100),
        terminate: Duration::from_millis(100),
    };

    /// A process that behaves as `tests/fake-qemu` describes.
    fn fake(behaviour: &str) -> Guest {
        let mut machine = Machine::new("no-kernel".into());
        machine.qemu = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake-qemu").into();
        machine.append = behaviour.into();
        Guest::start(&machine, false).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    fn up(guest: &Guest) {
        let prompt = guest.journal().wait_for(0, soon(), |line| line == PROMPT);
        assert!(prompt.is_some(), "no prompt");
    }

    #[test]
    fn a_guest_that_drains_stops_cleanly() {
        let mut guest = fake("drains");
        up(&guest);
        let stopped = guest.stop(Patience::default(), None).unwrap();
        assert_eq!(stopped, (Ending::Code(ExitCode::CleanStop), Means::Drain));
        assert!(guest.journal().since(0).contains(&"drained".to_owned()));
        let again = guest.stop(Patience::default(), None).unwrap();
        assert_eq!(again, (Ending::Code(ExitCode::CleanStop), Means::Itself));
    }

    #[test]
    fn harder_means_follow_when_the_softer_fail() {
        for (behaviour, expected) in [
            ("deaf", (Ending::Qemu(0), Means::Quit)),
            ("mute", (Ending::Signal(15), Means::Terminate)),
            ("stubborn", (Ending::Signal(9), Means::Kill)),
        ] {
            let mut guest = fake(behaviour);
            up(&guest);
            assert_eq!(guest.stop(SHORT, None).unwrap(), expected, "{behaviour}");
        }
    }

    #[test]
    fn a_hurry_does_not_wait_for_the_patience() {
        struct Now(UnixStream);
        impl AsFd for Now {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }
        impl Hurry for Now {
            fn take(&self) {
                let _ = io::Read::read(&mut &self.0, &mut [0; 8]);
            }
        }
        let (hurry, mut person) = UnixStream::pair().unwrap();
        let mut guest = fake("deaf");
        up(&guest);
        person.write_all(b"x").unwrap();
        let before = Instant::now();
        let patience = Patience {
            drain: Duration::from_secs(60),
            ..SHORT
        };
        let (_, means) = guest.stop(patience, Some(&Now(hurry))).unwrap();
        assert!(means > Means::Drain);
        assert!(before.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn every_ending_is_told() {
        for (behaviour, ending, status) in [
            ("panics", Ending::Code(ExitCode::Panic), 0x11),
            ("resets", Ending::Qemu(0), outcome::QEMU_ENDED),
            ("fails", Ending::Qemu(1), outcome::QEMU_ENDED),
        ] {
            let mut guest = fake(behaviour);
            assert_eq!(guest.wait(soon()).unwrap(), Some(ending), "{behaviour}");
            assert_eq!(ending.status(), status);
            if behaviour == "panics" {
                assert_eq!(guest.journal().since(0), ["last words"]);
            }
            if behaviour == "fails" {
                assert_eq!(guest.complaints().since(0), ["fake-qemu: no such thing"]);
            }
        }
    }

    #[test]
    fn a_dropped_guest_is_gone() {
        let guest = fake("stubborn");
        up(&guest);
        let process = format!("/proc/{}", guest.pid());
        assert!(std::path::Path::new(&process).exists());
        drop(guest);
        assert!(!std::path::Path::new(&process).exists());
    }

    #[test]
    fn a_guest_ends_with_the_thread_that_started_it() {
        let guest = thread::spawn(|| {
            let guest = fake("stubborn");
            up(&guest);
            guest
        });
        let mut guest = guest.join().unwrap();
        assert_eq!(guest.wait(soon()).unwrap(), Some(Ending::Signal(9)));
    }

    #[test]
    fn a_program_that_cannot_start_is_told() {
        let mut machine = Machine::new("no-kernel".into());
        machine.qemu = "/nonexistent/qemu".into();
        let error = Guest::start(&machine, false).err().unwrap().to_string();
        assert!(error.contains("/nonexistent/qemu"), "{error}");
    }
}
