//! A long answer over a bad link, from the guest and from Linux.

use super::guest::{packed, start};
use super::kernel;
use super::network::{in_namespace, ip};
use super::relay::{Relay, Weather, Wire};
use quartz::http;
use quartz::machine::{Attachment, Machine};
use rustix::net::sockopt::set_tcp_congestion;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Where the server is, in every case.
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 2, 15)), 80);
/// How the dice fall.
const SEED: u64 = 1;
/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(100);

/// Bytes that say where they are.
pub fn content(len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(8) as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    bytes
}

/// One answer: how long it took, and whether every byte was right.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub time: Duration,
    pub right: bool,
}

/// Fetches the answer once for each seed while the weather is bad.
fn fetch(relay: &Relay, content: &[u8], times: usize) -> Vec<Run> {
    let run = || {
        relay.set(Weather::BAD);
        let began = Instant::now();
        let answer = http::get(SERVER, "/big.bin", began + PATIENCE);
        let time = began.elapsed();
        relay.set(Weather::default());
        let right = answer.is_ok_and(|a| a.status == 200 && a.body == content);
        Run { time, right }
    };
    (0..times).map(|_| run()).collect()
}

/// Fetches `len` bytes from a guest over a bad link, so many times.
pub fn from_guest(len: usize, times: usize) -> Vec<Run> {
    let content = content(len);
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path().join("site");
    fs::create_dir(&site).unwrap();
    fs::write(site.join("index.html"), "index").unwrap();
    fs::write(site.join("big.bin"), &content).unwrap();
    in_namespace(|| {
        let (guest, words) = Wire::guest(directory.path());
        let relay = Relay::start([Wire::tap(), guest], SEED);
        let mut machine = Machine::new(kernel());
        machine.attachment = Attachment::None;
        machine.extra = words.into_iter().map(Into::into).collect();
        machine.site = packed(&site);
        let served = start(&machine, SERVER);
        let runs = fetch(&relay, &content, times);
        served.stats().assert_no_trouble();
        served.stop();
        runs
    })
}

/// The same from Linux to Linux, with one of its congestion controls.
pub fn from_linux(len: usize, times: usize, control: &str) -> Vec<Run> {
    let content = content(len);
    let (give, take) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    let (done, is_done) = mpsc::channel::<()>();
    let content = &content;
    thread::scope(|scope| {
        scope.spawn(|| {
            in_namespace(move || {
                ip("addr del 10.0.2.2/24 dev tap0");
                ip("addr add 10.0.2.15/24 dev tap0");
                give.send(Wire::tap()).unwrap();
                let listener = TcpListener::bind(SERVER).unwrap();
                set_tcp_congestion(&listener, control).unwrap();
                ready.send(()).unwrap();
                serve(&listener, content, &is_done);
            });
        });
        in_namespace(move || {
            let server = take.recv().unwrap();
            let relay = Relay::start([Wire::tap(), server], SEED);
            is_ready.recv().unwrap();
            let runs = fetch(&relay, content, times);
            drop(done);
            runs
        })
    })
}

/// Answers every request with `content`, until the other end is gone.
fn serve(listener: &TcpListener, content: &[u8], done: &mpsc::Receiver<()>) {
    listener.set_nonblocking(true).unwrap();
    while done.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
        let Ok((mut client, _)) = listener.accept() else {
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        client.set_nonblocking(false).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        let _ = client.read(&mut [0; 4096]);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            content.len()
        );
        let sent = client.write_all(head.as_bytes());
        sent.and_then(|()| client.write_all(content)).unwrap();
    }
}
