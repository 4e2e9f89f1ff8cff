//! A seeded simulator: the same few conversations over a grid of loss, reordering, duplication,
//! delay and client buffers. Every byte must arrive, every connection must end.

mod common;

use common::{Answer, Rig, SERVER, Weather, pattern};
use quartz_net::Duration;
use smoltcp::socket::tcp;
use std::hash::{DefaultHasher, Hash, Hasher};

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Two clients at once, each with four requests on one connection, the last one closing.
fn converse(weather: Weather, seed: u64, window: usize) {
    let name = format!(
        "loss {} duplicate {} reorder {} delay {} window {window} seed {seed}",
        weather.loss, weather.duplicate, weather.reorder, weather.delay
    );
    let mut rig = Rig::new();
    rig.random.0 = seed;
    rig.weather = weather;
    let paths = ["/style.css", "/kib.bin", "/big.bin", "/docs/"];
    let expected = [
        hash(b"body{}\n"),
        hash(&pattern(1024)),
        hash(&pattern(300_000)),
        hash(b"docs\n"),
    ];
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let handle = rig.socket(window, 4096);
            let own = rig.port();
            rig.dial(handle, SERVER.into(), 80, own);
            (handle, Vec::new(), 0, false)
        })
        .collect();
    let clients = std::cell::RefCell::new(clients);
    let done = rig.until(Duration::from_secs(900), |rig| {
        let mut clients = clients.borrow_mut();
        for (handle, bytes, answered, asked) in clients.iter_mut() {
            let socket = rig.tcp(*handle);
            if *answered == paths.len() {
                continue;
            }
            if !*asked && socket.may_send() {
                let close = if *answered == 3 {
                    "Connection: close\r\n"
                } else {
                    ""
                };
                let path = paths[*answered];
                let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{close}\r\n");
                assert_eq!(socket.send_slice(request.as_bytes()), Ok(request.len()));
                *asked = true;
            }
            while socket.can_recv() {
                let _ = socket.recv(|b| {
                    bytes.extend_from_slice(b);
                    (b.len(), ())
                });
            }
            if let Some((answer, len)) = Answer::parse(bytes, false) {
                assert_eq!(len, bytes.len(), "{name}");
                assert!(
                    hash(&answer.body) == expected[*answered],
                    "{name}: {}",
                    paths[*answered]
                );
                bytes.clear();
                *answered += 1;
                *asked = false;
                if *answered == paths.len() {
                    socket.close();
                }
            }
        }
        // What was read opens a window again, and what was asked goes out.
        rig.settle();
        clients.iter().all(|client| client.2 == paths.len())
    });
    assert!(done, "{name}: {:?}", rig.stack.stats());
    let clients = clients.into_inner();
    let ended = rig.until(Duration::from_secs(120), |rig| {
        rig.stack.stats().open == 0
            && clients
                .iter()
                .all(|c| rig.tcp(c.0).state() == tcp::State::Closed)
    });
    assert!(ended, "{name}: {:?}", rig.stack.stats());
    let stats = *rig.stack.stats();
    assert_eq!((stats.requests_served, stats.half_open), (8, 0), "{name}");
}

fn grid(delays: &[u64], losses: &[u64]) {
    let mut seed = 1;
    for &delay in delays {
        for &loss in losses {
            for (duplicate, reorder) in [(0, 0), (10, 50), (200, 300)] {
                for window in [3000, 65_535] {
                    seed += 1;
                    let delay = Duration::from_millis(delay);
                    converse(
                        Weather {
                            loss,
                            duplicate,
                            reorder,
                            delay,
                        },
                        seed,
                        window,
                    );
                }
            }
        }
    }
}

#[test]
fn a_short_link() {
    grid(&[0], &[0, 20, 50]);
}

#[test]
fn a_long_link() {
    grid(&[40, 200], &[0, 20, 50]);
}
