//! Frames by hand against the booted kernel, beside a Linux client that must not notice: the test
//! is the guest's Ethernet peer (QEMU's dgram device), with a tap behind it.

use crate::harness::guest::{ADDRESS, Served, start};
use crate::harness::network::in_namespace;
use crate::harness::process::success;
use crate::harness::relay::{Relay, Wire};
use crate::harness::{kernel, light, wait_until};
use quartz::machine::{Attachment, Machine};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// QEMU's address for its first device.
const GUEST: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
const STRANGER: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// Sends frames to the guest.
struct Stranger {
    socket: UnixDatagram,
    guest: PathBuf,
    sent: u32,
}

impl Stranger {
    fn say(&mut self, frame: &[u8]) {
        // QEMU stops reading for good after an empty frame, so nobody sends one.
        assert!(!frame.is_empty());
        while self.socket.send_to(frame, &self.guest).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
        self.sent += 1;
    }
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [GUEST, STRANGER].concat();
    frame.extend_from_slice(&kind.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// An IPv4 packet to the guest; `flags` with the offset in units of eight bytes.
fn ipv4(source: [u8; 4], protocol: u8, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 77]);
    packet.extend_from_slice(&flags.to_be_bytes());
    packet.extend_from_slice(&[64, protocol, 0, 0]);
    packet.extend_from_slice(&source);
    packet.extend_from_slice(&ADDRESS.octets());
    let words = packet.chunks(2);
    let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = !((sum >> 16) + (sum & 0xffff)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(payload);
    ethernet(0x0800, &packet)
}

/// Runs `test` with a guest, its Linux client's namespace, and a stranger on the same link.
fn with_stranger(test: impl FnOnce(&mut Served, &mut Stranger) + Send) {
    let directory = tempfile::tempdir().unwrap();
    in_namespace(|| {
        let (wire, words) = Wire::guest(directory.path());
        let Wire::Guest(_, guest) = &wire else {
            unreachable!("that is what was asked for");
        };
        let mut stranger = Stranger {
            socket: UnixDatagram::unbound().unwrap(),
            guest: guest.clone(),
            sent: 0,
        };
        let relay = Relay::start([Wire::tap(), wire], 1);
        let mut machine = Machine::new(kernel());
        machine.attachment = Attachment::None;
        machine.extra = words.into_iter().map(Into::into).collect();
        let mut served = start(&machine, SocketAddr::from((ADDRESS, 80)));
        test(&mut served, &mut stranger);
        served.stop();
        drop(relay);
    });
}

#[test]
fn long_pings_of_linux_are_answered() {
    let _light = light();
    with_stranger(|served, _| {
        for size in ["56", "1472", "1473", "4000", "9000"] {
            let mut ping = Command::new("ping");
            ping.args(["-c", "3", "-i", "0.2", "-W", "5", "-s", size, "10.0.2.15"]);
            let said = success(&mut ping, Duration::from_secs(20));
            assert!(said.contains(" 0% packet loss"), "{size}: {said}");
        }
        let stats = served.stats();
        assert_eq!(stats.number("icmp.echoed"), 15);
        assert_eq!(stats.number("fragments.reassembled"), 9);
    });
}

#[test]
fn a_stranger_s_frames_harm_nobody() {
    let _light = light();
    with_stranger(|served, stranger| {
        let mut client = served.connect();
        assert_eq!(client.request("GET", "/").unwrap().status, 200);
        let rounds = 300;
        for n in 0..rounds {
            let from = [10, 0, 3, n as u8];
            // A virtual LAN, a martian, an overlap, a bad length, a bad checksum.
            stranger.say(&ethernet(0x8100, &[0, 7, 8, 0, 0x45, 0, 0, 20]));
            stranger.say(&ipv4([127, 0, 0, 1], 1, 0, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]));
            stranger.say(&ipv4(from, 17, 0x2000, &[1; 24]));
            stranger.say(&ipv4(from, 17, 0x2001, &[2; 24]));
            stranger.say(&ethernet(0x0800, &[0x45, 0, 9, 9, 0, 0, 0, 0]));
            let mut segment = [0; 20];
            segment[12] = 0x50;
            stranger.say(&ipv4(from, 6, 0, &segment));
            // Who has so many addresses?
            let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, n as u8];
            arp.extend_from_slice(&[10, 0, 2, n as u8 | 0x80, 0, 0, 0, 0, 0, 0, 10, 0, 2, 15]);
            stranger.say(&ethernet(0x0806, &arp));
        }
        wait_until("the guest has seen everything", || {
            served.stats().number("frames.in") >= u64::from(stranger.sent)
        });
        assert_eq!(client.request("GET", "/").unwrap().status, 200);
        let stats = served.stats();
        stats.assert_no_trouble();
        for (path, least) in [
            ("frames.dropped.vlan", rounds),
            ("frames.dropped.martian", rounds),
            ("frames.dropped.malformed", rounds),
            ("frames.dropped.checksum", rounds),
            ("fragments.received", 2 * rounds),
        ] {
            assert!(stats.number(path) >= least, "{path} in {}", stats.0);
        }
        assert!(stats.number("fragments.overlapping") > 0);
        assert!(stats.number("neighbors.answered") > 0);
    });
}
