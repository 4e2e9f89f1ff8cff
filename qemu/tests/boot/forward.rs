//! The forwarder, between clients and guests that are acted by this test.

use crate::harness::process::Process;
use crate::harness::{STEP, light, soon, wait_until};
use quartz::http::Client;
use quartz::port;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

struct Forwarder {
    address: SocketAddr,
    control: PathBuf,
    _folder: tempfile::TempDir,
    _process: Process,
}

impl Forwarder {
    fn start() -> Forwarder {
        let folder = tempfile::tempdir().unwrap();
        let control = folder.path().join("control.sock");
        let address = SocketAddr::from(([127, 0, 0, 1], port::free(0).unwrap()));
        let process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_quartz"))
                .arg("forward")
                .arg("--control")
                .arg(&control)
                .args(["--listen", &address.to_string()]),
        );
        wait_until("the forwarder listens", || {
            UnixStream::connect(&control).is_ok()
        });
        Forwarder {
            address,
            control,
            _folder: folder,
            _process: process,
        }
    }

    fn say(&self, line: &str) -> String {
        let stream = UnixStream::connect(&self.control).unwrap();
        stream.set_read_timeout(Some(STEP)).unwrap();
        (&stream).write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    fn serve(&self, guest: &Guest) {
        assert_eq!(
            self.say(&format!("serve {}", guest.0.local_addr().unwrap())),
            "ok"
        );
    }

    fn connect(&self) -> Client {
        Client::connect(self.address, soon()).unwrap()
    }
}

/// A guest, acted.
struct Guest(TcpListener);

impl Guest {
    fn new() -> Guest {
        Guest(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// The next connection with its first request.
    fn asked(&self) -> TcpStream {
        let (mut stream, _) = self.0.accept().unwrap();
        take_request(&mut stream);
        stream
    }
}

fn take_request(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(STEP)).unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
}

fn answer(stream: &mut TcpStream, body: &str) {
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).unwrap();
}

fn ask(client: &mut Client) {
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
}

#[test]
fn a_connection_goes_on_with_the_next_guest() {
    let _light = light();
    let (forwarder, one, two) = (Forwarder::start(), Guest::new(), Guest::new());
    forwarder.serve(&one);
    let mut client = forwarder.connect();

    // Between two requests: the guest closes, the client does not notice.
    ask(&mut client);
    let mut stream = one.asked();
    answer(&mut stream, "one");
    assert_eq!(client.answer(false).unwrap().body, b"one");
    forwarder.serve(&two);
    drop(stream);
    ask(&mut client);
    let mut stream = two.asked();
    answer(&mut stream, "two");
    assert_eq!(client.answer(false).unwrap().body, b"two");

    // Before an answer: the request is sent again.
    ask(&mut client);
    take_request(&mut stream);
    forwarder.serve(&one);
    drop(stream);
    let mut stream = one.asked();
    answer(&mut stream, "one again");
    assert_eq!(client.answer(false).unwrap().body, b"one again");

    // Within an answer: nothing can be mended, and nothing is made up.
    ask(&mut client);
    take_request(&mut stream);
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        .unwrap();
    drop(stream);
    assert!(client.answer(false).is_err());
    assert!(
        forwarder.say("status").contains("\"broken\":1"),
        "{}",
        forwarder.say("status")
    );
}

#[test]
fn requests_wait_while_no_guest_serves() {
    let _light = light();
    let (forwarder, one, two) = (Forwarder::start(), Guest::new(), Guest::new());
    // Nobody has been named yet: the connection waits in the socket's queue.
    let mut early = forwarder.connect();
    ask(&mut early);
    forwarder.serve(&one);
    let mut stream = one.asked();
    answer(&mut stream, "one");
    assert_eq!(early.answer(false).unwrap().body, b"one");

    // The guest has died, nobody has said so yet: its port refuses.
    drop(one);
    drop(stream);
    let mut late = forwarder.connect();
    ask(&mut late);
    ask(&mut early);
    std::thread::sleep(Duration::from_millis(200));
    forwarder.say("hold");
    forwarder.serve(&two);
    for _ in 0..2 {
        let mut stream = two.asked();
        answer(&mut stream, "two");
        // Kept open: an end would be one more thing to tell apart.
        std::mem::forget(stream);
    }
    assert_eq!(late.answer(false).unwrap().body, b"two");
    assert_eq!(early.answer(false).unwrap().body, b"two");
}

#[test]
fn what_may_not_be_sent_twice_is_not() {
    let _light = light();
    let (forwarder, one) = (Forwarder::start(), Guest::new());
    forwarder.serve(&one);
    let mut client = forwarder.connect();
    client
        .send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    let stream = one.asked();
    drop(stream);
    assert!(client.answer(false).is_err());
    one.0.set_nonblocking(true).unwrap();
    assert!(one.0.accept().is_err(), "it was sent again");
}
