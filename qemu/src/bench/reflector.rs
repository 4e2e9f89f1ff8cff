//! The limit that the driver and the host set: frames that go back by the shortest way, beside
//! those of the way through the protocol stack.

use super::BenchError;
use super::cost::Figures;
use super::sheet::Word;
use super::subject::{Count, Kit, Running, Subject, Wire};
use super::wrk::Run;
use crate::error::Error;
use crate::namespace;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// The echo port (RFC 862), which the reflector answers for.
const ECHO: u16 = 7;
/// Datagrams on their way at once.
const WINDOW: u32 = 64;
/// Bytes in each.
const LEN: usize = 1024;
/// A reply that takes longer is lost.
const LOST: Duration = Duration::from_millis(200);

/// Keeps datagrams going back and forth for `time`. How many came back.
///
/// # Errors
/// The socket fails.
pub fn drive(guest: SocketAddr, time: Duration) -> io::Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((guest.ip(), ECHO))?;
    socket.set_read_timeout(Some(LOST))?;
    let (mut bytes, deadline) = ([0x52; LEN], Instant::now() + time);
    let (mut away, mut back) = (0, 0);
    while Instant::now() < deadline {
        while away < WINDOW {
            socket.send(&bytes)?;
            away += 1;
        }
        // As many as are there, then the window is filled again.
        loop {
            match socket.recv(&mut bytes) {
                Ok(_) => {
                    back += 1;
                    away -= 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    away = 0;
                    break;
                }
                Err(error) => return Err(error),
            }
            if away <= WINDOW / 2 {
                break;
            }
        }
    }
    Ok(back)
}

/// Frames in a second on the tap of network `net`, both ways, while `work` goes on.
fn frames<R>(
    net: u8,
    work: impl FnOnce() -> Result<R, BenchError>,
) -> Result<(f64, u64, R), BenchError> {
    let tap = format!("bench{net}");
    let (before, began) = (namespace::frames(&tap), Instant::now());
    let result = work()?;
    let (now, took) = (namespace::frames(&tap), began.elapsed().as_secs_f64());
    let count = (now.to_guest - before.to_guest) + (now.from_guest - before.from_guest);
    Ok((count as f64 / took, count, result))
}

fn reflected(guest: &Running, net: u8, seconds: u64) -> Result<(f64, u64, u64), BenchError> {
    frames(net, || {
        drive(guest.address, Duration::from_secs(seconds)).map_err(BenchError::Request)
    })
}

/// Frames in a second with 64 in flight: reflected, and of keep-alive requests over 64
/// connections; and the instructions of a reflected frame, in and out.
///
/// # Errors
/// A guest cannot be started, or does not answer.
pub fn measure(kit: &Kit, rounds: u32, seconds: u64) -> Result<Figures, Error> {
    let mirror = kit.start(Subject::Reflector, Wire::Tap, 40, Count::Nothing)?;
    let site = kit.start(Subject::Quartz, Wire::Tap, 41, Count::Nothing)?;
    let (mut limits, mut ours, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (limit, _, back) = reflected(&mirror, 40, seconds)?;
        if back == 0 {
            return Err(BenchError::Request(io::ErrorKind::TimedOut.into()).into());
        }
        let run = Run {
            connections: 64,
            seconds,
            path: "/",
            close: false,
        };
        let (rate, _, _) = frames(41, || run.against(site.address))?;
        limits.push(limit);
        ours.push(rate);
        shares.push(limit / rate);
    }
    mirror.stop()?;
    site.stop()?;
    let counted = kit.start(Subject::Reflector, Wire::Tap, 42, Count::Instructions)?;
    let meter = counted.meter.as_ref().ok_or(BenchError::NoMeter)?;
    let before = meter.read().map_err(BenchError::Counters)?;
    let (_, _, back) = reflected(&counted, 42, seconds)?;
    let grown = meter.read().map_err(BenchError::Counters)?.since(&before);
    let each = grown.get(Word::Instructions) as f64 / back.max(1) as f64;
    counted.stop()?;
    let median = |figures: Vec<f64>| super::statistics::Spread::of(figures).median();
    Ok(vec![
        ("reflector, frames/s both ways".into(), median(limits)),
        (
            "keep-alive requests, frames/s both ways".into(),
            median(ours),
        ),
        ("reflector to requests, times".into(), median(shares)),
        (
            "reflector, instructions of a datagram and its reply".into(),
            each,
        ),
    ])
}
