//! The load: wrk with keep-alive, wrk with a connection for each request, and clients that go
//! away in the middle.

use super::{GUEST, SoakError};
use crate::spawn;
use rustix::net::sockopt::set_socket_linger;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Pause between two clients that go away: some dozens in a second.
const PAUSE: Duration = Duration::from_millis(20);
/// Deadline of every wait of such a client.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the load came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Requests that wrk counted.
    pub requests: u64,
    /// What wrk counted as errors, one line each.
    pub errors: Vec<String>,
    /// Clients that went away on purpose.
    pub aborted: u64,
}

/// A running load.
pub struct Load {
    wrks: Vec<(&'static str, Child)>,
    stop: Arc<AtomicBool>,
    aborted: Arc<AtomicU64>,
    aborter: JoinHandle<()>,
}

impl Load {
    /// Starts everything, for `time`.
    ///
    /// # Errors
    /// wrk cannot be started.
    pub fn start(time: Duration) -> Result<Load, SoakError> {
        let duration = format!("-d{}s", time.as_secs());
        // With its port: a host without a list of services cannot tell what http means.
        let url = format!("http://{GUEST}/");
        let mut wrks = Vec::new();
        for (name, words) in [
            ("keep-alive", &["-c32"][..]),
            ("close", &["-c16", "-H", "Connection: close"]),
        ] {
            let mut command = Command::new("wrk");
            command
                .args(["-t1", &duration, "--timeout", "5s"])
                .args(words)
                .arg(&url)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            let child =
                spawn::bound(&mut command, Vec::new()).map_err(|source| SoakError::Load {
                    program: "wrk",
                    source,
                })?;
            wrks.push((name, child));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let aborted = Arc::new(AtomicU64::new(0));
        let aborter = {
            let (stop, aborted) = (stop.clone(), aborted.clone());
            thread::spawn(move || {
                let mut turn = 0u64;
                while !stop.load(Relaxed) {
                    if go_away(turn).is_some() {
                        aborted.fetch_add(1, Relaxed);
                    }
                    turn += 1;
                    thread::sleep(PAUSE);
                }
            })
        };
        Ok(Load {
            wrks,
            stop,
            aborted,
            aborter,
        })
    }

    /// Ends the load (wrk is at its end by itself, unless the soak was cut short) and counts.
    pub fn stop(self) -> Outcome {
        self.stop.store(true, Relaxed);
        let mut outcome = Outcome::default();
        for (name, mut wrk) in self.wrks {
            if let Ok(pid) = i32::try_from(wrk.id())
                && let Some(pid) = rustix::process::Pid::from_raw(pid)
            {
                // wrk prints what it has on SIGINT; it may have ended already.
                thread::sleep(Duration::from_millis(500));
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
            }
            let mut text = String::new();
            if let Some(mut out) = wrk.stdout.take() {
                let _ = out.read_to_string(&mut text);
            }
            let _ = wrk.wait();
            let (requests, errors) = read(&text);
            outcome.requests += requests;
            outcome
                .errors
                .extend(errors.into_iter().map(|e| format!("wrk ({name}): {e}")));
            if requests == 0 {
                outcome
                    .errors
                    .push(format!("wrk ({name}): not one request"));
            }
        }
        // The thread's waits are bounded.
        let _ = self.aborter.join();
        outcome.aborted = self.aborted.load(Relaxed);
        outcome
    }
}

/// Requests and complaints in wrk's report.
fn read(text: &str) -> (u64, Vec<String>) {
    let mut requests = 0;
    let mut errors = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some((count, _)) = line.split_once(" requests in ") {
            requests = count.parse().unwrap_or(0);
        }
        if line.starts_with("Socket errors:") || line.starts_with("Non-2xx") {
            errors.push(line.to_owned());
        }
    }
    (requests, errors)
}

/// A client that goes away, each time in another way. `None`: it did not even come in.
fn go_away(turn: u64) -> Option<()> {
    let mut stream = TcpStream::connect_timeout(&GUEST, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let whole = b"GET /style.css HTTP/1.1\r\nHost: quartz\r\n\r\n";
    match turn % 5 {
        // A reset right after the handshake.
        0 => set_socket_linger(&stream, Some(Duration::ZERO)).ok()?,
        // A reset in the middle of the request.
        1 => {
            stream.write_all(&whole[..20]).ok()?;
            set_socket_linger(&stream, Some(Duration::ZERO)).ok()?;
        }
        // A reset while the answer is on its way.
        2 => {
            stream.write_all(whole).ok()?;
            set_socket_linger(&stream, Some(Duration::ZERO)).ok()?;
        }
        // An end of the sending side in the middle of the request.
        3 => {
            stream.write_all(&whole[..20]).ok()?;
            stream.shutdown(Shutdown::Write).ok()?;
            let mut rest = Vec::new();
            let _ = stream.take(65_536).read_to_end(&mut rest);
        }
        // Pipelined requests whose answers nobody reads.
        _ => {
            for _ in 0..8 {
                stream.write_all(whole).ok()?;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn wrk_s_report_is_read() {
        let text = "Running 4s test @ http://x/\n  1 threads and 8 connections\n  \
            8784 requests in 4.01s, 351.70KB read\n  \
            Socket errors: connect 0, read 1, write 0, timeout 2\n  \
            Non-2xx or 3xx responses: 7\nRequests/sec:   2191.91\n";
        let (requests, errors) = read(text);
        assert_eq!(requests, 8784);
        assert_eq!(
            errors,
            [
                "Socket errors: connect 0, read 1, write 0, timeout 2",
                "Non-2xx or 3xx responses: 7"
            ]
        );
        assert_eq!(read("lalala"), (0, vec![]));
    }
}
