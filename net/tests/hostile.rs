//! Frames that nobody should send: changed, cut, glued together. The stack must neither fall over
//! nor stop serving.

mod common;

use common::raw::{SYN, Segment};
use common::{CLIENT, CLIENT_MAC, CLIENT6, INDEX, Random, Rig, SERVER, SERVER_MAC, SERVER6};
use quartz_abi::cmdline::Ipv4Setup;
use quartz_net::{Duration, Stack};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::*;

/// Rounds, and with `HOSTILE_ROUNDS` in the environment as many as one has time for.
fn rounds() -> u64 {
    let wish = std::env::var("HOSTILE_ROUNDS").ok();
    wish.and_then(|wish| wish.parse().ok()).unwrap_or(20_000)
}

fn ethernet(kind: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_dst_addr(EthernetAddress(SERVER_MAC));
    frame.set_src_addr(EthernetAddress(CLIENT_MAC));
    frame.set_ethertype(kind);
    bytes.extend_from_slice(payload);
    bytes
}

fn ipv4(protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let ip = Ipv4Repr {
        src_addr: CLIENT,
        dst_addr: SERVER,
        next_header: protocol,
        payload_len: payload.len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; 20];
    ip.emit(
        &mut Ipv4Packet::new_unchecked(&mut bytes),
        &ChecksumCapabilities::default(),
    );
    bytes.extend_from_slice(payload);
    ethernet(EthernetProtocol::Ipv4, &bytes)
}

fn ipv6(protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let ip = Ipv6Repr {
        src_addr: CLIENT6,
        dst_addr: SERVER6,
        next_header: protocol,
        payload_len: payload.len(),
        hop_limit: 255,
    };
    let mut bytes = vec![0; 40];
    ip.emit(&mut Ipv6Packet::new_unchecked(&mut bytes));
    bytes.extend_from_slice(payload);
    ethernet(EthernetProtocol::Ipv6, &bytes)
}

fn tcp(control: TcpControl, payload: &[u8], options: bool) -> Vec<u8> {
    let segment = Segment {
        control,
        ack: (control != TcpControl::Syn).then_some(1),
        payload,
        ..SYN
    };
    let mut repr = segment.repr();
    if options {
        repr.window_scale = Some(7);
        repr.sack_permitted = control == TcpControl::Syn;
        repr.timestamp = Some(TcpTimestampRepr::new(5, 6));
    }
    common::raw::frame(CLIENT, &repr)
}

/// One frame of each kind that the stack knows.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        tcp(TcpControl::Syn, b"", true),
        tcp(TcpControl::None, b"", false),
        tcp(TcpControl::Psh, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
        tcp(TcpControl::Fin, b"", false),
        tcp(TcpControl::Rst, b"", false),
        ipv4(IpProtocol::Icmp, &[8, 0, 0, 0, 0, 1, 0, 2, 9, 9, 9, 9]),
        ipv4(
            IpProtocol::Icmp,
            &[[3, 4, 0, 0, 0, 0, 5, 0].as_slice(), &[0x45; 28]].concat(),
        ),
        ipv4(IpProtocol::Udp, &[0, 67, 0, 68, 0, 12, 0, 0, 1, 2, 3, 4]),
        ipv4(IpProtocol::Udp, &[1, 67, 1, 68, 0, 12, 0, 0, 1, 2, 3, 4]),
        ipv4(IpProtocol::Unknown(99), &[1; 40]),
        ipv6(IpProtocol::Tcp, &tcp(TcpControl::Syn, b"", true)[34..]),
        ipv6(
            IpProtocol::HopByHop,
            &[58, 0, 5, 2, 0, 0, 1, 0, 128, 0, 0, 0, 0, 1, 0, 2],
        ),
        ipv6(IpProtocol::Ipv6Route, &[6; 32]),
        ipv6(IpProtocol::Ipv6Frag, &[58; 32]),
        ethernet(
            EthernetProtocol::Arp,
            &[
                0, 1, 8, 0, 6, 4, 0, 1, 2, 2, 2, 2, 2, 2, 10, 0, 2, 2, 0, 0, 0, 0, 0, 0, 10, 0, 2,
                15,
            ],
        ),
        ethernet(EthernetProtocol::Unknown(0x8100), &[0; 60]),
    ];
    for kind in [
        1, 2, 3, 4, 128, 129, 130, 131, 133, 134, 135, 136, 137, 143, 155,
    ] {
        let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&SERVER6.octets());
        message.extend_from_slice(&[1, 1, 2, 2, 2, 2, 2, 2, 3, 4, 64, 0xc0]);
        message.extend_from_slice(&[7; 40]);
        seeds.push(ipv6(IpProtocol::Icmpv6, &message));
    }
    seeds
}

/// Makes the checksums of a changed frame right again, as far as it still has them.
fn mend(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(14..) else {
        return;
    };
    if let Ok(mut ip) = Ipv4Packet::new_checked(&mut packet[..]) {
        ip.fill_checksum();
        let (source, destination) = (ip.src_addr(), ip.dst_addr());
        let protocol = ip.next_header();
        let payload = ip.payload_mut();
        match protocol {
            IpProtocol::Tcp if payload.len() >= 20 => {
                TcpPacket::new_unchecked(payload).fill_checksum(&source.into(), &destination.into())
            }
            IpProtocol::Icmp if payload.len() >= 8 => {
                Icmpv4Packet::new_unchecked(payload).fill_checksum();
            }
            _ => {}
        }
    } else if let Ok(mut ip) = Ipv6Packet::new_checked(&mut packet[..]) {
        let (source, destination) = (ip.src_addr(), ip.dst_addr());
        let protocol = ip.next_header();
        let payload = ip.payload_mut();
        match protocol {
            IpProtocol::Tcp if payload.len() >= 20 => {
                TcpPacket::new_unchecked(payload).fill_checksum(&source.into(), &destination.into())
            }
            IpProtocol::Icmpv6 if payload.len() >= 4 => {
                Icmpv6Packet::new_unchecked(payload).fill_checksum(&source, &destination);
            }
            _ => {}
        }
    }
}

/// A seed with a few changes.
fn changed(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random, of: usize| (random.next() % of as u64) as usize;
    let mut frame = seeds[pick(random, seeds.len())].clone();
    for _ in 0..pick(random, 4) {
        // Mostly the headers, and mostly values at the edges.
        let at = pick(random, frame.len().min(80));
        frame[at] = match random.next() % 4 {
            0 => 0,
            1 => 0xff,
            2 => frame[at] ^ 1 << (random.next() % 8),
            _ => random.next() as u8,
        };
    }
    if random.happens(100) {
        frame.truncate(pick(random, frame.len() + 1));
    }
    if random.happens(100) {
        let other = &seeds[pick(random, seeds.len())];
        frame.extend_from_slice(&other[pick(random, other.len())..]);
    }
    if random.happens(700) {
        mend(&mut frame);
    }
    frame
}

fn storm(rig: &mut Rig, seed: u64) {
    let seeds = seeds();
    let mut random = Random(seed);
    for _ in 0..rounds() {
        let frame = changed(&seeds, &mut random);
        rig.inject(&frame);
        if random.happens(50) {
            rig.now += Duration::from_micros(random.next() % 3_000_000);
            rig.stack.timers(&mut rig.machine, rig.now);
        }
        assert!(rig.machine.out.iter().all(|frame| frame.len() <= 1514));
        rig.machine.out.clear();
    }
}

/// Segments in and around a living connection: any order, any numbers near the right ones, any
/// flags and windows.
fn converse(rig: &mut Rig, random: &mut Random) {
    const REQUESTS: &[u8] = b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\nGET /style.css HTTP/1.1\r\n\
        Host: x\r\nContent-Length: 9\r\n\r\n123456789HEAD / HTTP/1.0\r\n\r\n";
    let near = |random: &mut Random| match random.next() % 8 {
        0 => random.next() as u32,
        1 => (random.next() % 20_000) as u32,
        2 => (random.next() % 20_000).wrapping_neg() as u32,
        3 => (random.next() % 4).wrapping_sub(2) as u32,
        _ => 0,
    };
    let client_port = 30_000 + (random.next() % 200) as u16;
    let mut base = Segment {
        client_port,
        seq: random.next() as u32,
        ..SYN
    };
    let heard = rig.say(base);
    // What a record or a live connection has said instead of SYN|ACK will do as well.
    let mut theirs = heard.first().map_or(0, |heard| heard.seq.wrapping_add(1));
    base.control = TcpControl::None;
    base.seq = base.seq.wrapping_add(1);
    for _ in 0..random.next() % 40 {
        let from = (random.next() % REQUESTS.len() as u64) as usize;
        let segment = Segment {
            control: match random.next() % 16 {
                0 => TcpControl::Syn,
                1 => TcpControl::Fin,
                2 if random.happens(100) => TcpControl::Rst,
                3..8 => TcpControl::Psh,
                _ => TcpControl::None,
            },
            seq: base.seq.wrapping_add(near(random)),
            ack: (!random.happens(50)).then(|| theirs.wrapping_add(near(random))),
            window: match random.next() % 4 {
                0 => 0,
                1 => random.next() as u16,
                _ => 64_000,
            },
            payload: match random.next() % 3 {
                0 => b"",
                1 => REQUESTS,
                _ => &REQUESTS[from..],
            },
            ..base
        };
        for heard in rig.say(segment) {
            if heard.port == client_port {
                theirs = heard.seq.wrapping_add(heard.payload.len() as u32);
                base.seq = heard.ack.unwrap_or(base.seq);
            }
        }
        if random.happens(200) {
            rig.now += Duration::from_micros(random.next() % 5_000_000);
            rig.stack.timers(&mut rig.machine, rig.now);
            rig.machine.out.clear();
        }
    }
}

#[test]
fn a_connection_gone_mad_hurts_nobody() {
    let mut rig = Rig::new();
    rig.machine.ring = usize::MAX;
    let mut random = Random(77);
    for _ in 0..rounds() / 20 {
        converse(&mut rig, &mut random);
    }
    assert!(rig.stack.stats().requests_served > 100);
    assert_eq!(rig.get("/").body, INDEX);
    rig.wait(Duration::from_secs(300));
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.half_open, stats.time_wait), (0, 0, 0));
}

#[test]
fn a_storm_of_bad_frames_passes() {
    let mut rig = Rig::new();
    for seed in 1..4 {
        storm(&mut rig, seed);
        let stats = rig.stack.stats();
        assert!(stats.open + stats.half_open <= stats.limit);
        assert_eq!(
            rig.get("/").body,
            INDEX,
            "seed {seed}: {stats:?}",
            stats = rig.stack.stats()
        );
    }
    // And what it left behind goes by itself.
    rig.wait(Duration::from_secs(200));
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.half_open, stats.time_wait), (0, 0, 0));
}

#[test]
fn a_storm_before_there_is_an_address_passes() {
    let mut rig = Rig::new();
    let mut config = common::config();
    config.ipv4 = Ipv4Setup::Dhcp;
    rig.stack = Stack::new(config, common::site(), rig.now).unwrap();
    storm(&mut rig, 9);
}
