//! The supervisor's own socket: a request a line, as JSON, answered by a line.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Longest request.
const MAX_REQUEST: u64 = 4096;
/// In an answer: the connection carries the guest's serial line from now on.
pub const ATTACHED: &str = "attached";
/// Clients at once.
const MAX_CLIENTS: usize = 32;
/// The longest that any request takes: a successor's start, and the stop of who it replaces.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a client may take to say something or to read it.
const CLIENT: Duration = Duration::from_secs(30);

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Request {
    /// Everything about the guest.
    Status,
    /// Stop it, and end.
    Stop,
    /// Read the configuration; if it changed, let a successor take over.
    Reload {
        /// Even if nothing changed.
        always: bool,
    },
    /// Take an autopsy of the living guest.
    Autopsy,
    /// Type a line on the guest's console.
    Type {
        /// The line.
        line: String,
    },
    /// Be at the guest's serial line: after the answer the connection carries its bytes, both ways.
    Attach,
    /// The lines that the guest said from this number on.
    Lines {
        /// The number.
        from: u64,
    },
}

/// A request with where its answer goes, and for [`Request::Attach`] the connection itself.
pub type Asked = (Request, SyncSender<Value>, Option<UnixStream>);

/// Serves the socket at `path` on threads of its own; requests go to `ask`.
///
/// # Errors
/// The socket cannot be made.
pub fn serve(path: &Path, ask: impl Fn(Asked) + Send + Sync + 'static) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    let (ask, clients) = (Arc::new(ask), Arc::new(AtomicUsize::new(0)));
    thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                if clients.fetch_add(1, Relaxed) >= MAX_CLIENTS {
                    clients.fetch_sub(1, Relaxed);
                    continue;
                }
                let (ask, clients) = (Arc::clone(&ask), Arc::clone(&clients));
                // Without a thread the client is left alone, and says so.
                let _ = thread::Builder::new().spawn(move || {
                    let _ = converse(&stream, &*ask);
                    clients.fetch_sub(1, Relaxed);
                });
            }
        })?;
    Ok(())
}

fn converse(stream: &UnixStream, ask: &dyn Fn(Asked)) -> io::Result<()> {
    stream.set_read_timeout(Some(CLIENT))?;
    stream.set_write_timeout(Some(CLIENT))?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if (&mut lines).take(MAX_REQUEST).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(request) => {
                let (answer, answered) = sync_channel(1);
                let line = match request {
                    Request::Attach => Some(stream.try_clone()?),
                    _ => None,
                };
                ask((request, answer, line));
                let late =
                    || json!({"ok": false, "error": "the supervisor did not answer in time"});
                answered.recv_timeout(PATIENCE).unwrap_or_else(|_| late())
            }
            Err(error) => json!({"ok": false, "error": format!("no request: {error}")}),
        };
        if answer[ATTACHED] == true {
            // It was told so, and belongs to somebody else.
            return Ok(());
        }
        (&*stream).write_all(format!("{answer}\n").as_bytes())?;
    }
}

/// Gets to the serial line of the guest whose supervisor is behind the socket at `path`.
///
/// # Errors
/// Nobody is there, nobody answers in time, or the request is refused.
pub fn attach(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(patience))?;
    let text = serde_json::to_string(&Request::Attach)?;
    (&stream).write_all(format!("{text}\n").as_bytes())?;
    // Byte by byte: what follows the answer is the guest's.
    let mut answer = Vec::new();
    while answer.last() != Some(&b'\n') && answer.len() < MAX_REQUEST as usize {
        let mut byte = [0];
        (&stream).read_exact(&mut byte)?;
        answer.extend(byte);
    }
    let answer: Value = serde_json::from_slice(&answer)?;
    match answer["ok"] == true {
        true => Ok(stream),
        false => Err(io::Error::other(
            answer["error"]
                .as_str()
                .unwrap_or("no reason was given")
                .to_owned(),
        )),
    }
}

/// Asks the supervisor behind the socket at `path`.
///
/// # Errors
/// Nobody is there, or nobody answers in time.
pub fn ask(path: &Path, request: &Request, patience: Duration) -> io::Result<Value> {
    let stream = UnixStream::connect(path)?;
    stream.set_write_timeout(Some(CLIENT))?;
    stream.set_read_timeout(Some(patience))?;
    let text = serde_json::to_string(request)?;
    (&stream).write_all(format!("{text}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&answer)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_and_garbage_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        serve(&path, |(request, answer, _)| {
            let text = format!("{request:?}");
            answer.send(json!({"ok": true, "request": text})).unwrap();
        })
        .unwrap();
        let patience = Duration::from_secs(20);
        let answer = ask(
            &path,
            &Request::Type {
                line: "help".into(),
            },
            patience,
        )
        .unwrap();
        assert_eq!(answer["request"], "Type { line: \"help\" }");
        let stream = UnixStream::connect(&path).unwrap();
        (&stream).write_all(b"{\"op\":\"fly\"}\n").unwrap();
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("no request"), "{answer}");
        assert!(ask(Path::new("/nonexistent"), &Request::Status, patience).is_err());
    }
}
