//! The address `metrics` of a guest's configuration: the supervisor's figures and the guest's admin
//! port at one place that stays the same, whichever guest serves.
//!
//! `/metrics` has the figures of both. Anything else is passed to the guest, one request to a
//! connection. Who looks in here is a person or Prometheus, not a crowd: few connections at once,
//! each with a deadline.

use super::metrics::Metrics;
use crate::http;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// How long a reader may take for each step, and the guest for its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a connection may take in all: a black box is 130 KiB.
const LONGEST: Duration = Duration::from_secs(10);
/// Most connections at once. Browsers open some that they do not use.
const MOST: usize = 32;
/// Longest head of a request.
const HEAD: usize = 8192;
const PLAIN: &str = "text/plain; charset=utf-8";

/// Serves at `address`, on threads of its own.
///
/// # Errors
/// The address cannot be listened on.
pub fn serve(address: SocketAddr, name: String, metrics: Arc<Metrics>) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    let (name, open) = (Arc::<str>::from(name), Arc::new(AtomicUsize::new(0)));
    thread::Builder::new()
        .name("window".into())
        .spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else {
                    // No descriptor is free, or the like: nothing that gets better at once.
                    thread::sleep(Duration::from_millis(100));
                    continue;
                };
                if open.fetch_add(1, Relaxed) >= MOST {
                    open.fetch_sub(1, Relaxed);
                    continue;
                }
                let (name, metrics, done) = (name.clone(), metrics.clone(), open.clone());
                let visitor = thread::Builder::new().name("visitor".into());
                let started = visitor.spawn(move || {
                    // A reader that goes away comes again.
                    let _ = answer(stream, &name, &metrics);
                    done.fetch_sub(1, Relaxed);
                });
                if started.is_err() {
                    open.fetch_sub(1, Relaxed);
                }
            }
        })?;
    Ok(())
}

fn answer(mut stream: TcpStream, name: &str, metrics: &Metrics) -> io::Result<()> {
    let until = Instant::now() + LONGEST;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = read_head(&mut stream, until)?;
    let Some(asked) = Asked::read(&head) else {
        return say(
            &mut stream,
            "400 Bad Request",
            PLAIN,
            b"not a request\n",
            false,
        );
    };
    let head_only = asked.method == "HEAD";
    if !head_only && asked.method != "GET" {
        let body = b"only GET and HEAD\n";
        return say(
            &mut stream,
            "405 Method Not Allowed\r\nAllow: GET, HEAD",
            PLAIN,
            body,
            false,
        );
    }
    let admin = metrics.admin();
    if asked.path() == "/metrics" {
        let guest = admin.and_then(|admin| figures(admin).ok());
        let mut text = metrics.text(name, guest.is_some());
        text.push_str(guest.as_deref().unwrap_or_default());
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        return say(&mut stream, "200 OK", kind, text.as_bytes(), head_only);
    }
    match admin.map(|admin| pass(&mut stream, admin, &asked, until)) {
        Some(Ok(())) => Ok(()),
        Some(Err(Broken::Reader(error))) => Err(error),
        Some(Err(Broken::Guest)) => {
            let body = b"the guest does not answer\n";
            say(&mut stream, "504 Gateway Timeout", PLAIN, body, head_only)
        }
        None => {
            let body = b"there is no guest with an admin port\n";
            say(
                &mut stream,
                "503 Service Unavailable",
                PLAIN,
                body,
                head_only,
            )
        }
    }
}

/// The guest's own figures.
fn figures(admin: SocketAddr) -> io::Result<String> {
    let answer = http::get(admin, "/metrics", Instant::now() + PATIENCE)?;
    match answer.status {
        200 => String::from_utf8(answer.body).map_err(io::Error::other),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Who has gone.
enum Broken {
    /// The guest, before a byte of its answer has come.
    Guest,
    /// The reader; or the guest in the middle, of which the reader sees a short answer.
    Reader(io::Error),
}

/// Passes a request to the guest, and its answer back.
fn pass(
    stream: &mut TcpStream,
    admin: SocketAddr,
    asked: &Asked<'_>,
    until: Instant,
) -> Result<(), Broken> {
    let guest = |_| Broken::Guest;
    let mut inner = TcpStream::connect_timeout(&admin, PATIENCE).map_err(guest)?;
    inner.set_read_timeout(Some(PATIENCE)).map_err(guest)?;
    inner.set_write_timeout(Some(PATIENCE)).map_err(guest)?;
    let request = format!(
        "{} {} HTTP/1.1\r\nHost: quartz\r\nConnection: close\r\nAccept-Encoding: {}\r\n\r\n",
        asked.method, asked.target, asked.codings
    );
    inner.write_all(request.as_bytes()).map_err(guest)?;
    let mut buffer = [0; 16 * 1024];
    let mut begun = false;
    loop {
        let read = match inner.read(&mut buffer) {
            Ok(0) | Err(_) if !begun => return Err(Broken::Guest),
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) => return Err(Broken::Reader(error)),
        };
        begun = true;
        stream.write_all(&buffer[..read]).map_err(Broken::Reader)?;
        if Instant::now() > until {
            return Err(Broken::Reader(io::ErrorKind::TimedOut.into()));
        }
    }
}

/// What is asked for.
struct Asked<'a> {
    method: &'a str,
    target: &'a str,
    codings: &'a str,
}

impl<'a> Asked<'a> {
    fn read(head: &'a [u8]) -> Option<Asked<'a>> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut fields);
        let whole = request.parse(head).ok()?.is_complete();
        let target = request.path.filter(|path| whole && path.starts_with('/'))?;
        let codings = request
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case("accept-encoding"));
        Some(Asked {
            method: request.method?,
            target,
            codings: codings.map_or(Some("identity"), |field| {
                std::str::from_utf8(field.value).ok()
            })?,
        })
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

fn read_head(stream: &mut TcpStream, until: Instant) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let read = stream.read(&mut buffer)?;
        if read == 0 || head.len() + read > HEAD || Instant::now() > until {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.extend_from_slice(&buffer[..read]);
    }
    Ok(head)
}

fn say(
    stream: &mut TcpStream,
    status: &str,
    kind: &str,
    body: &[u8],
    head_only: bool,
) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    if !head_only {
        stream.write_all(body)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Client;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn window(metrics: &Arc<Metrics>) -> SocketAddr {
        let address = SocketAddr::from(([127, 0, 0, 1], crate::port::free(0).unwrap()));
        serve(address, "www".into(), Arc::clone(metrics)).unwrap();
        address
    }

    /// A guest that answers each connection with its request's first line.
    fn guest() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let head = read_head(&mut stream, soon()).unwrap();
                let asked = Asked::read(&head).unwrap();
                let body = format!("{} {} {}\n", asked.method, asked.target, asked.codings);
                say(&mut stream, "200 OK", PLAIN, body.as_bytes(), false).unwrap();
            }
        });
        address
    }

    fn body(address: SocketAddr, target: &str) -> (u16, String) {
        let answer = http::get(address, target, soon()).unwrap();
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    #[test]
    fn the_figures_of_both_are_on_one_page() {
        let metrics = Arc::new(Metrics::default());
        let address = window(&metrics);
        let (status, text) = body(address, "/metrics");
        assert_eq!(status, 200);
        assert!(
            text.contains("quartz_host_guest_scraped{guest=\"www\"} 0\n"),
            "{text}"
        );
        metrics.set_admin(Some(guest()));
        let (_, text) = body(address, "/metrics?x");
        assert!(
            text.contains("quartz_host_guest_scraped{guest=\"www\"} 1\n"),
            "{text}"
        );
        assert!(text.ends_with("GET /metrics identity\n"), "{text}");
        let answer = http::get(address, "/metrics", soon()).unwrap();
        let kind = answer.field("content-type");
        assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    }

    #[test]
    fn other_pages_are_the_guests() {
        let metrics = Arc::new(Metrics::default());
        let address = window(&metrics);
        assert_eq!(body(address, "/").0, 503);
        metrics.set_admin(Some(guest()));
        assert_eq!(
            body(address, "/flows.json?from=64"),
            (200, "GET /flows.json?from=64 identity\n".into())
        );
        let mut client = Client::connect(address, soon()).unwrap();
        client
            .send(b"GET / HTTP/1.1\r\nHost: x\r\naccept-encoding: gzip, br\r\n\r\n")
            .unwrap();
        assert_eq!(client.answer(false).unwrap().body, b"GET / gzip, br\n");
        // A guest that is gone.
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        metrics.set_admin(gone.local_addr().ok());
        drop(gone);
        assert_eq!(body(address, "/stats.json").0, 504);
        for (request, status) in [
            (&b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"[..], 405),
            (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
            (b"\x16\x03\x01\r\n\r\n", 400),
        ] {
            let mut client = Client::connect(address, soon()).unwrap();
            client.send(request).unwrap();
            assert_eq!(client.answer(false).unwrap().status, status);
        }
    }

    #[test]
    fn those_who_say_nothing_do_not_keep_others_away() {
        let metrics = Arc::new(Metrics::default());
        let address = window(&metrics);
        let silent: Vec<_> = (0..MOST - 1)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        assert_eq!(body(address, "/metrics").0, 200);
        drop(silent);
    }
}
