//! A small HTTP/1.1 client for what a guest serves: health, figures, files.
//!
//! It reads answers with a `Content-Length` or up to the end of the connection (RFC 9112, 6.3),
//! never without a deadline and never more than its bounds.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest head of an answer.
const MAX_HEAD: usize = 64 * 1024;
/// Longest body.
const MAX_BODY: usize = 1 << 30;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Field names in lower case, with their values.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a field, by its name in lower case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A connection to a guest.
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    deadline: Instant,
}

impl Client {
    /// Connects; every later wait ends at `deadline` too, until [`Client::set_deadline`].
    ///
    /// # Errors
    /// What the system says.
    pub fn connect(address: SocketAddr, deadline: Instant) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream,
            input: Vec::new(),
            deadline,
        })
    }

    /// Sets the end of every wait from now on.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// The connection itself.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(left(self.deadline)?))?;
        self.stream.write_all(bytes)
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// What the system says, or that the answer is none.
    pub fn request(&mut self, method: &str, target: &str) -> io::Result<Response> {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: quartz\r\n\r\n").as_bytes())?;
        self.answer(method == "HEAD")
    }

    /// Reads the next answer; that to a HEAD request has no body.
    ///
    /// # Errors
    /// What the system says, or that what came is no answer.
    pub fn answer(&mut self, head_only: bool) -> io::Result<Response> {
        let head_len = loop {
            if let Some(at) = self.input.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if self.input.len() > MAX_HEAD {
                return Err(malformed("its head is too long"));
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head: Vec<u8> = self.input.drain(..head_len).collect();
        let mut response = parse_head(&head)?;
        // RFC 9112, 6.3: these have no content.
        if head_only || response.status < 200 || matches!(response.status, 204 | 304) {
            return Ok(response);
        }
        let length = match response.field("content-length") {
            Some(text) => Some(text.parse::<usize>().map_err(|_| malformed("bad length"))?),
            None => None,
        };
        if length.is_some_and(|length| length > MAX_BODY) {
            return Err(malformed("its body is too long"));
        }
        while length.is_none_or(|length| self.input.len() < length) {
            if self.fill()? == 0 {
                match length {
                    Some(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    None => break,
                }
            }
            if self.input.len() > MAX_BODY {
                return Err(malformed("its body is too long"));
            }
        }
        let rest = self.input.split_off(length.unwrap_or(self.input.len()));
        response.body = std::mem::replace(&mut self.input, rest);
        Ok(response)
    }

    /// Everything up to the end of the connection.
    ///
    /// # Errors
    /// What the system says: no end before the deadline.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.input.len() <= MAX_BODY && self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.input))
    }

    /// Whether the other side has closed the connection, without more bytes.
    ///
    /// # Errors
    /// What the system says: no end before the deadline.
    pub fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.input.is_empty() && self.fill()? == 0)
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        loop {
            self.stream.set_read_timeout(Some(left(self.deadline)?))?;
            match self.stream.read(&mut buffer) {
                Ok(n) => {
                    self.input.extend_from_slice(&buffer[..n]);
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(e) => return Err(e),
            }
        }
    }
}

/// Fetches one target on a connection of its own.
///
/// # Errors
/// What the system says, or that the answer is none.
pub fn get(address: SocketAddr, target: &str, deadline: Instant) -> io::Result<Response> {
    Client::connect(address, deadline)?.request("GET", target)
}

fn parse_head(head: &[u8]) -> io::Result<Response> {
    let head = std::str::from_utf8(head).map_err(|_| malformed("its head is no text"))?;
    let mut lines = head.trim_end().split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| malformed("no HTTP/1.1 status line"))?;
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| malformed("a field without a colon"))?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Response {
        status,
        fields,
        body: Vec::new(),
    })
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("not an HTTP answer: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// A server that says `answer` to the first connection, then closes it.
    fn with_server(answer: &'static [u8], test: impl FnOnce(&mut Client)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).unwrap();
            stream.write_all(answer).unwrap();
        });
        let deadline = Instant::now() + Duration::from_secs(5);
        test(&mut Client::connect(address, deadline).unwrap());
        server.join().unwrap();
    }

    #[test]
    fn answers_in_a_row_are_told_apart() {
        let answers = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\
                        HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n\
                        HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\
                        HTTP/1.1 200 OK\r\n\r\nto the end";
        with_server(answers, |client| {
            let first = client.request("GET", "/").unwrap();
            assert_eq!((first.status, first.body.as_slice()), (200, &b"abc"[..]));
            assert_eq!(first.field("content-length"), Some("3"));
            assert_eq!(client.answer(false).unwrap().status, 404);
            assert!(client.answer(true).unwrap().body.is_empty());
            assert_eq!(client.answer(false).unwrap().body, b"to the end");
            assert!(client.at_end().unwrap());
        });
    }

    #[test]
    fn a_short_body_is_an_error() {
        with_server(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            |client| {
                let error = client.request("GET", "/").unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            },
        );
    }

    #[test]
    fn what_is_no_http_is_refused() {
        for answer in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        ] {
            with_server(answer, |client| {
                let error = client.request("GET", "/").unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            });
        }
    }
}
