//! Clients that ask all the time and count what they get, strictly: a request fails if it gets
//! anything but its whole answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Clients that keep their connections.
const KEEPERS: usize = 4;
/// Clients that take a new connection for each request.
const CLOSERS: usize = 2;
/// Pause between two requests of a client.
const PAUSE: Duration = Duration::from_millis(8);
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was counted.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub answered: u64,
    pub failures: Vec<String>,
    /// Longest time without any answer.
    pub gap: Duration,
    /// Longest time that a request took.
    pub slowest: Duration,
}

struct Shared {
    over: AtomicBool,
    tally: Mutex<(Tally, Instant)>,
}

/// Running clients.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(address: SocketAddr) -> Load {
        let shared = Arc::new(Shared {
            over: AtomicBool::new(false),
            tally: Mutex::new((Tally::default(), Instant::now())),
        });
        let threads = (0..KEEPERS + CLOSERS)
            .map(|n| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || ask(address, n < KEEPERS, &shared))
            })
            .collect();
        Load { shared, threads }
    }

    pub fn answered(&self) -> u64 {
        self.shared.tally.lock().unwrap().0.answered
    }

    pub fn stop(self) -> Tally {
        self.shared.over.store(true, Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.shared.tally.lock().unwrap().0.clone()
    }
}

fn ask(address: SocketAddr, keep: bool, shared: &Shared) {
    let mut kept: Option<TcpStream> = None;
    while !shared.over.load(Relaxed) {
        // A connection that was closed between two requests is closed, no failure (RFC 9112, 9.5).
        kept = kept.take().filter(is_open);
        let began = Instant::now();
        let result = match kept.take() {
            Some(stream) => Ok(stream),
            None => TcpStream::connect_timeout(&address, PATIENCE),
        }
        .and_then(|stream| request(stream, keep));
        let now = Instant::now();
        let mut tally = shared.tally.lock().unwrap();
        let (tally, last) = &mut *tally;
        match result {
            Ok(stream) => {
                tally.answered += 1;
                tally.gap = tally.gap.max(now - *last);
                tally.slowest = tally.slowest.max(now - began);
                *last = now;
                kept = stream;
            }
            Err(error) => tally.failures.push(error.to_string()),
        }
        thread::sleep(PAUSE);
    }
}

/// Whether the server has not closed a connection that waits.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let waits = matches!(stream.peek(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    waits
}

/// Sends a request and takes its answer; the connection, if it can be kept.
fn request(mut stream: TcpStream, keep: bool) -> io::Result<Option<TcpStream>> {
    let connection = if keep { "keep-alive" } else { "close" };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let text = format!("GET / HTTP/1.1\r\nHost: quartz\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(text.as_bytes())?;
    let broken = |what: &str| io::Error::other(what.to_owned());
    let mut answer = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) if answer.is_empty() => return Err(broken("closed without an answer")),
            Ok(0) => return Err(broken("closed within an answer")),
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
            Err(error) => return Err(error),
        }
        let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        if !head.starts_with("http/1.1 200 ") {
            return Err(broken(head.lines().next().unwrap_or("")));
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length
            .and_then(|l| l.parse().ok())
            .ok_or(broken("no length"))?;
        if answer.len() > end + 4 + length {
            return Err(broken("more than the answer"));
        }
        if answer.len() == end + 4 + length {
            let closes = head.contains("connection: close");
            return Ok((keep && !closes).then_some(stream));
        }
    }
}
