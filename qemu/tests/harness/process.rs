//! Programs that the tests run: each with a deadline, none left behind.

use quartz::signals::wait_any;
use quartz::spawn;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A running program. Dropping it kills it and what it started.
pub struct Process {
    child: Child,
    pidfd: OwnedFd,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    ended: bool,
}

impl Process {
    /// Starts a program.
    pub fn start(command: &mut Command) -> Process {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = spawn::bound(command, Vec::new())
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let pidfd = pidfd_open(pid(&child), PidfdFlags::empty()).unwrap();
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        Process {
            child,
            pidfd,
            stdout,
            stderr,
            ended: false,
        }
    }

    /// Its process id.
    pub fn id(&self) -> Pid {
        pid(&self.child)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        rustix::process::pidfd_send_signal(&self.pidfd, signal).unwrap();
    }

    /// Waits for its end, which must come within the limit.
    pub fn finish(mut self, within: Duration) -> Output {
        let deadline = Instant::now() + within;
        let in_time = wait_any(&[self.pidfd.as_fd()], Some(deadline)).unwrap()[0];
        if !in_time {
            self.kill();
        }
        let status = self.child.wait().unwrap();
        self.ended = true;
        let take = |output: &mut Option<JoinHandle<Vec<u8>>>| {
            let bytes = output.take().unwrap().join().unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let output = Output {
            status,
            stdout: take(&mut self.stdout),
            stderr: take(&mut self.stderr),
        };
        assert!(in_time, "not done within {within:?}: {output:?}");
        output
    }

    fn kill(&self) {
        // It leads a process group of its own, so this reaches what it started too.
        let _ = kill_process_group(self.id(), Signal::KILL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command, within: Duration) -> Output {
    Process::start(command).finish(within)
}

/// Runs a program that must succeed; gives what it printed.
pub fn success(command: &mut Command, within: Duration) -> String {
    let output = run(command, within);
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap()).unwrap()
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}
