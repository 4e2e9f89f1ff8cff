//! QEMU's monitor (QMP): one command at a time, each with a deadline.

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Longest message that is taken; QEMU's answers are far shorter.
const MAX_MESSAGE: usize = 1 << 20;
/// Pause before a full socket is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// No answer before the deadline.
    #[error("QEMU's monitor did not answer in time")]
    Late,
    /// The connection ended or broke.
    #[error("QEMU's monitor is gone: {0}")]
    Gone(io::Error),
    /// What came is not QMP.
    #[error("QEMU's monitor sent something that is no answer")]
    Garbage,
    /// QEMU refused the command.
    #[error("QEMU refused: {0}")]
    Refused(String),
}

/// A connection to the monitor.
pub struct Monitor {
    stream: UnixStream,
    input: Vec<u8>,
    greeted: bool,
    sent: Sent,
}

/// What was sent to a monitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Questions, which change nothing.
    pub queries: u64,
    /// Commands, which may.
    pub writes: u64,
}

impl Sent {
    fn count(&mut self, command: &str) {
        let asks = ["query-", "x-query-", "qom-get", "qmp_capabilities"];
        match asks.iter().any(|prefix| command.starts_with(prefix)) {
            true => self.queries += 1,
            false => self.writes += 1,
        }
    }
}

impl Monitor {
    /// A monitor behind a connected stream. Nothing is exchanged before the first command.
    #[must_use]
    pub fn new(stream: UnixStream) -> Monitor {
        Monitor {
            stream,
            input: Vec::new(),
            greeted: false,
            sent: Sent::default(),
        }
    }

    /// Connects to the socket at `path`. QEMU serves one client at a time, and a QEMU that stands
    /// still accepts nobody: then the queue of the socket is full, and the deadline passes.
    ///
    /// # Errors
    /// There is no such socket, or no room in its queue before the deadline.
    pub fn connect(path: &Path, deadline: Instant) -> Result<Monitor, MonitorError> {
        let gone = |error: rustix::io::Errno| MonitorError::Gone(error.into());
        let address = SocketAddrUnix::new(path).map_err(gone)?;
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
            let socket = socket.map_err(gone)?;
            match connect(&socket, &address) {
                Ok(()) => {
                    let stream = UnixStream::from(socket);
                    stream.set_nonblocking(false).map_err(MonitorError::Gone)?;
                    return Ok(Monitor::new(stream));
                }
                Err(rustix::io::Errno::AGAIN) => {
                    left(deadline)?;
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(gone(error)),
            }
        }
    }

    /// What was sent so far.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Runs a command and gives its result; `arguments` may be `Value::Null`.
    ///
    /// # Errors
    /// No answer in time, a broken connection, or a refusal. After a late answer the connection
    /// is of no more use: the answer may still come.
    pub fn execute(
        &mut self,
        command: &str,
        arguments: Value,
        deadline: Instant,
    ) -> Result<Value, MonitorError> {
        self.sent.count(command);
        if !self.greeted {
            // The greeting, then the negotiation that QMP asks for before any command.
            while self.message(deadline)?.get("QMP").is_none() {}
            self.send(&json!({"execute": "qmp_capabilities"}), deadline)?;
            self.answer(deadline)?;
            self.greeted = true;
        }
        let request = match arguments {
            Value::Null => json!({"execute": command}),
            arguments => json!({"execute": command, "arguments": arguments}),
        };
        self.send(&request, deadline)?;
        self.answer(deadline)
    }

    /// The next message that is an answer; events are passed over.
    fn answer(&mut self, deadline: Instant) -> Result<Value, MonitorError> {
        loop {
            let mut message = self.message(deadline)?;
            if let Some(result) = message.get_mut("return") {
                return Ok(result.take());
            }
            if let Some(error) = message.get("error") {
                let text = error.get("desc").and_then(Value::as_str).unwrap_or("?");
                return Err(MonitorError::Refused(crate::journal::clean(
                    text.as_bytes(),
                )));
            }
        }
    }

    fn send(&mut self, request: &Value, deadline: Instant) -> Result<(), MonitorError> {
        let text = format!("{request}\n");
        self.stream
            .set_write_timeout(Some(left(deadline)?))
            .map_err(MonitorError::Gone)?;
        self.stream.write_all(text.as_bytes()).map_err(late_or_gone)
    }

    fn message(&mut self, deadline: Instant) -> Result<Value, MonitorError> {
        loop {
            if let Some(end) = self.input.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|_| MonitorError::Garbage);
            }
            if self.input.len() > MAX_MESSAGE {
                return Err(MonitorError::Garbage);
            }
            self.stream
                .set_read_timeout(Some(left(deadline)?))
                .map_err(MonitorError::Gone)?;
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(MonitorError::Gone(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => self.input.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(late_or_gone(e)),
            }
        }
    }
}

fn left(deadline: Instant) -> Result<Duration, MonitorError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(MonitorError::Late)
    } else {
        Ok(left)
    }
}

fn late_or_gone(error: io::Error) -> MonitorError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => MonitorError::Late,
        _ => MonitorError::Gone(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    /// A QEMU that answers each request with the next of `answers`; gives what was asked.
    fn with_qemu(answers: &'static [&'static str], test: impl FnOnce(&mut Monitor)) -> Vec<String> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let qemu = thread::spawn(move || {
            let mut out = theirs.try_clone().unwrap();
            out.write_all(b"{\"QMP\": {\"version\": {}}}\r\n").unwrap();
            let mut asked = Vec::new();
            let mut lines = BufReader::new(theirs).lines();
            for answer in answers {
                let Some(Ok(line)) = lines.next() else { break };
                asked.push(line);
                out.write_all(answer.as_bytes()).unwrap();
            }
            // Asked more than it answers: it stays silent until the other side has gone.
            asked.extend(lines.map_while(Result::ok));
            asked
        });
        let mut monitor = Monitor::new(ours);
        test(&mut monitor);
        drop(monitor);
        qemu.join().unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn a_command_is_answered_over_events() {
        let asked = with_qemu(
            &[
                "{\"return\": {}}\r\n",
                "{\"event\": \"RESUME\"}\r\n{\"return\": {\"status\": \"running\"}}\r\n",
            ],
            |monitor| {
                let result = monitor
                    .execute("query-status", Value::Null, soon())
                    .unwrap();
                assert_eq!(result["status"], "running");
            },
        );
        assert_eq!(
            asked,
            [
                "{\"execute\":\"qmp_capabilities\"}",
                "{\"execute\":\"query-status\"}"
            ]
        );
    }

    #[test]
    fn a_refusal_is_told() {
        with_qemu(
            &[
                "{\"return\": {}}\n",
                "{\"error\": {\"desc\": \"no such thing\"}}\n",
            ],
            |monitor| {
                let error = monitor.execute("fly", json!({"high": true}), soon());
                assert!(matches!(error, Err(MonitorError::Refused(t)) if t == "no such thing"));
            },
        );
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        with_qemu(&["{\"return\": {}}\n"], |monitor| {
            let deadline = Instant::now() + Duration::from_millis(50);
            let error = monitor.execute("query-status", Value::Null, deadline);
            assert!(matches!(error, Err(MonitorError::Late)), "{error:?}");
            assert!(Instant::now() >= deadline);
        });
    }

    #[test]
    fn a_monitor_that_accepts_nobody_is_late_and_a_missing_one_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("monitor.sock");
        let soon = || Instant::now() + Duration::from_millis(100);
        let error = Monitor::connect(&path, soon()).err();
        assert!(matches!(error, Some(MonitorError::Gone(_))), "{error:?}");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let deadline = soon();
        let mut waiting = Vec::new();
        let error = loop {
            match Monitor::connect(&path, deadline) {
                Ok(monitor) => waiting.push(monitor),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, MonitorError::Late), "{error:?}");
        // One that is in the queue and never served is late too.
        let error = waiting[0].execute("query-status", Value::Null, soon());
        assert!(matches!(error, Err(MonitorError::Late)), "{error:?}");
    }

    #[test]
    fn questions_and_commands_are_counted_apart() {
        let mut sent = Sent::default();
        for command in ["query-status", "x-query-virtio", "quit", "system_powerdown"] {
            sent.count(command);
        }
        assert_eq!((sent.queries, sent.writes), (2, 2));
    }

    #[test]
    fn garbage_and_a_closed_connection_are_errors() {
        with_qemu(&["lalala\n"], |monitor| {
            let error = monitor.execute("stop", Value::Null, soon());
            assert!(matches!(error, Err(MonitorError::Garbage)), "{error:?}");
        });
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let error = Monitor::new(ours).execute("stop", Value::Null, soon());
        assert!(matches!(error, Err(MonitorError::Gone(_))), "{error:?}");
    }
}
