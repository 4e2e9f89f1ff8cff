//! Telling the forwarder which guest serves, and telling it again when it was started anew.

use super::life::Millis;
use super::process::now;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the forwarder may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked after.
const LOOK: Duration = Duration::from_secs(1);
/// Pause before it is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// What is known and wanted.
#[derive(Debug, Default)]
struct State {
    /// `Some(None)`: hold. `None`: nothing was said yet, and the forwarder is left as it is.
    wanted: Option<Option<SocketAddr>>,
    /// What the forwarder has confirmed.
    confirmed: Option<Option<SocketAddr>>,
    /// Its figures, and when it told them.
    figures: Option<(Millis, Value)>,
    trouble: Option<String>,
}

/// The forwarder, as the supervisor sees it.
#[derive(Clone, Debug)]
pub struct Switch {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Switch {
    /// Looks after the forwarder behind the socket at `path`, on a thread of its own.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn begin(path: PathBuf) -> io::Result<Switch> {
        let switch = Switch {
            shared: Arc::default(),
        };
        let own = switch.clone();
        thread::Builder::new()
            .name("switch".into())
            .spawn(move || {
                loop {
                    let ended = own.converse(&path);
                    let mut state = own.lock();
                    state.confirmed = None;
                    state.trouble = ended.err().map(|e| e.to_string());
                    drop(state);
                    thread::sleep(PAUSE);
                }
            })?;
        Ok(switch)
    }

    /// From now on new connections go to `address`; without one they wait.
    pub fn set(&self, address: Option<SocketAddr>) {
        self.lock().wanted = Some(address);
        self.shared.1.notify_all();
    }

    /// Waits until the forwarder has confirmed what was last wanted; whether it has.
    #[must_use]
    pub fn confirmed(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while state.wanted.is_some() && state.confirmed != state.wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.1.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// What the forwarder last told, for programs.
    #[must_use]
    pub fn figures(&self) -> Value {
        let state = self.lock();
        let (at, mut figures) = state.figures.clone().unwrap_or_default();
        if figures.is_object() {
            figures["ms_ago"] = now().saturating_sub(at).into();
            figures["trouble"] = state.trouble.clone().into();
            figures
        } else {
            serde_json::json!({ "trouble": state.trouble })
        }
    }

    fn converse(&self, path: &Path) -> io::Result<()> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut out = stream.try_clone()?;
        let mut lines = BufReader::new(stream);
        let mut say = |line: String| -> io::Result<String> {
            out.write_all(line.as_bytes())?;
            let mut answer = String::new();
            match lines.read_line(&mut answer)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(answer),
            }
        };
        loop {
            let wanted = self.lock().wanted;
            if let Some(address) = wanted {
                let line = match address {
                    Some(address) => format!("serve {address}\n"),
                    None => "hold\n".into(),
                };
                let answer = say(line)?;
                if answer.trim() != "ok" {
                    return Err(io::Error::other(answer));
                }
            }
            let figures: Value = serde_json::from_str(&say("status\n".into())?)?;
            let mut state = self.lock();
            state.confirmed = wanted;
            state.figures = Some((now(), figures));
            state.trouble = None;
            self.shared.1.notify_all();
            let until = Instant::now() + LOOK;
            while state.wanted == wanted {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                let waited = self.shared.1.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each field is whole between any two statements.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A forwarder that takes `lines` lines; gives what it was told.
    fn forwarder(path: &Path, lines: usize) -> Vec<String> {
        let _ = std::fs::remove_file(path);
        let (stream, _) = UnixListener::bind(path).unwrap().accept().unwrap();
        let mut out = stream.try_clone().unwrap();
        let mut told = Vec::new();
        for line in BufReader::new(stream).lines().take(lines) {
            let line = line.unwrap();
            let answer = if line == "status" { "{}" } else { "ok" };
            out.write_all(format!("{answer}\n").as_bytes()).unwrap();
            told.push(line);
        }
        told
    }

    #[test]
    fn a_forwarder_that_was_started_anew_is_told_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let switch = Switch::begin(path.clone()).unwrap();
        // Nothing was said yet: it is asked, and left as it is.
        assert_eq!(forwarder(&path, 1), ["status"]);
        switch.set(Some(([127, 0, 0, 1], 4000).into()));
        for _ in 0..2 {
            assert_eq!(forwarder(&path, 2), ["serve 127.0.0.1:4000", "status"]);
        }
        switch.set(None);
        assert!(!switch.confirmed(Instant::now()));
        let again = thread::spawn({
            let path = path.clone();
            move || forwarder(&path, 2)
        });
        assert!(switch.confirmed(Instant::now() + Duration::from_secs(20)));
        assert_eq!(again.join().unwrap(), ["hold", "status"]);
    }
}
