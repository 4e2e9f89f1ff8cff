//! A long answer over a bad link, from the guest and from Linux.

use super::guest::{packed, start};
use super::kernel;
use super::network::{in_namespace, ip};
use super::relay::{Relay, Weather, Wire};
use quartz::http;
use quartz::machine::{Attachment, Machine};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Where the server is, in every case.
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 2, 15)), 80);
/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(100);

/// Bytes that say where they are.
pub fn content(len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(8) as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    bytes
}

/// Fetches `len` bytes from a guest over a bad link, once for each seed; the time of each, and
/// what the guest sent again.
pub fn from_guest(len: usize, seeds: std::ops::Range<u64>) -> Vec<Duration> {
    let content = content(len);
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path().join("site");
    fs::create_dir(&site).unwrap();
    fs::write(site.join("index.html"), "index").unwrap();
    fs::write(site.join("big.bin"), &content).unwrap();
    in_namespace(|| {
        let (guest, words) = Wire::guest(directory.path());
        let relay = Relay::start([Wire::tap(), guest], seeds.start);
        let mut machine = Machine::new(kernel());
        machine.attachment = Attachment::None;
        machine.extra = words.into_iter().map(Into::into).collect();
        machine.site = packed(&site);
        let served = start(&machine, SERVER);
        let times = seeds.map(|_| {
            relay.set(Weather::BAD);
            let began = Instant::now();
            let answer = http::get(SERVER, "/big.bin", began + PATIENCE).unwrap();
            let time = began.elapsed();
            relay.set(Weather::default());
            assert_eq!(answer.status, 200);
            assert!(answer.body == content, "{} bytes", answer.body.len());
            time
        });
        let times = times.collect();
        served.stats().assert_no_trouble();
        served.stop();
        times
    })
}

/// The same from Linux to Linux.
pub fn from_linux(len: usize, seeds: std::ops::Range<u64>) -> Vec<Duration> {
    let content = content(len);
    let (give, take) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(|| {
            in_namespace(move || {
                ip("addr del 10.0.2.2/24 dev tap0");
                ip("addr add 10.0.2.15/24 dev tap0");
                give.send(Wire::tap()).unwrap();
                let listener = TcpListener::bind(SERVER).unwrap();
                ready.send(()).unwrap();
                serve(&listener, &content, &is_done);
            });
        });
        let content = self::content(len);
        in_namespace(move || {
            let server = take.recv().unwrap();
            let relay = Relay::start([Wire::tap(), server], seeds.start);
            is_ready.recv().unwrap();
            let times = seeds.map(|_| {
                relay.set(Weather::BAD);
                let began = Instant::now();
                let answer = http::get(SERVER, "/big.bin", began + PATIENCE).unwrap();
                let time = began.elapsed();
                relay.set(Weather::default());
                assert!(answer.body == content, "{} bytes", answer.body.len());
                time
            });
            let times = times.collect();
            drop(done);
            times
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
