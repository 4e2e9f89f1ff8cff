//! IP beside TCP: fragments, extension headers, tags, echo, and errors from routers.

mod common;

use common::raw::{SYN, Segment, hear};
use common::{CLIENT, CLIENT_MAC, CLIENT6, Rig, SERVER, SERVER_MAC, SERVER6, pattern};
use quartz_net::Duration;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::*;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [SERVER_MAC, CLIENT_MAC].concat();
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// An IPv4 packet of the client: `flags` with the offset in units of eight bytes.
fn ipv4(protocol: u8, id: u16, flags: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let total = (header + payload.len()) as u16;
    let mut bytes = vec![0x40 | (header / 4) as u8, 0];
    bytes.extend_from_slice(&total.to_be_bytes());
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&[64, protocol, 0, 0]);
    bytes.extend_from_slice(&CLIENT.octets());
    bytes.extend_from_slice(&SERVER.octets());
    bytes.extend_from_slice(options);
    Ipv4Packet::new_unchecked(&mut bytes).fill_checksum();
    bytes.extend_from_slice(payload);
    ethernet(0x0800, &bytes)
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[next, 64]);
    bytes.extend_from_slice(&CLIENT6.octets());
    bytes.extend_from_slice(&SERVER6.octets());
    bytes.extend_from_slice(payload);
    ethernet(0x86dd, &bytes)
}

/// The pieces of an IPv4 datagram.
fn pieces4(protocol: u8, id: u16, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let last = payload.len().div_ceil(size) - 1;
    let piece = |(n, piece): (usize, &[u8])| {
        let more = if n < last { 0x2000 } else { 0 };
        ipv4(protocol, id, more | (n * size / 8) as u16, &[], piece)
    };
    payload.chunks(size).enumerate().map(piece).collect()
}

fn pieces6(next: u8, id: u32, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let last = payload.len().div_ceil(size) - 1;
    let piece = |(n, piece): (usize, &[u8])| {
        let mut bytes = vec![next, 0];
        bytes.extend_from_slice(&((n * size) as u16 | u16::from(n < last)).to_be_bytes());
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(piece);
        ipv6(44, &bytes)
    };
    payload.chunks(size).enumerate().map(piece).collect()
}

fn echo4(data: &[u8]) -> Vec<u8> {
    let echo = Icmpv4Repr::EchoRequest {
        ident: 7,
        seq_no: 9,
        data,
    };
    let mut bytes = vec![0; echo.buffer_len()];
    let mut packet = Icmpv4Packet::new_unchecked(&mut bytes);
    echo.emit(&mut packet, &ChecksumCapabilities::default());
    bytes
}

fn echo6(data: &[u8]) -> Vec<u8> {
    let echo = Icmpv6Repr::EchoRequest {
        ident: 7,
        seq_no: 9,
        data,
    };
    let mut bytes = vec![0; echo.buffer_len()];
    let mut packet = Icmpv6Packet::new_unchecked(&mut bytes);
    let checksums = ChecksumCapabilities::default();
    echo.emit(&CLIENT6, &SERVER6, &mut packet, &checksums);
    bytes
}

/// What the server said by IPv4, its pieces put together.
fn said4(rig: &mut Rig) -> Vec<u8> {
    let mut whole = Vec::new();
    for frame in rig.machine.out.drain(..) {
        assert_eq!(frame[..12], [CLIENT_MAC, SERVER_MAC].concat());
        let packet = Ipv4Packet::new_checked(&frame[14..]).unwrap();
        assert!(packet.verify_checksum());
        assert_eq!((packet.src_addr(), packet.dst_addr()), (SERVER, CLIENT));
        assert_eq!(usize::from(packet.frag_offset()), whole.len());
        whole.extend_from_slice(packet.payload());
    }
    whole
}

/// The same by IPv6.
fn said6(rig: &mut Rig) -> Vec<u8> {
    let mut whole = Vec::new();
    for frame in rig.machine.out.drain(..) {
        let packet = Ipv6Packet::new_checked(&frame[14..]).unwrap();
        assert_eq!((packet.src_addr(), packet.dst_addr()), (SERVER6, CLIENT6));
        let payload = packet.payload();
        if u8::from(packet.next_header()) == 44 {
            let at = usize::from(u16::from_be_bytes([payload[2], payload[3]]) & !7);
            assert_eq!((payload[0], at), (ICMPV6, whole.len()));
            whole.extend_from_slice(&payload[8..]);
        } else {
            whole.extend_from_slice(payload);
        }
    }
    whole
}

/// Its answer to an echo request.
fn answered(mut request: Vec<u8>, kind: u8) -> Vec<u8> {
    request[0] = kind;
    request
}

/// Compares but for the checksum, which is verified.
fn same_message(heard: &[u8], wanted: &[u8], v6: bool) {
    assert_eq!(heard.len(), wanted.len());
    assert_eq!((heard[0], &heard[4..]), (wanted[0], &wanted[4..]));
    match v6 {
        true => assert!(Icmpv6Packet::new_unchecked(heard).verify_checksum(&SERVER6, &CLIENT6)),
        false => assert!(Icmpv4Packet::new_unchecked(heard).verify_checksum()),
    }
}

#[test]
fn long_echo_requests_come_in_pieces_and_so_do_the_answers() {
    let mut rig = Rig::by_hand();
    for len in [0, 1, 1472, 1473, 3000, 8000, 9208] {
        let request = echo4(&pattern(len));
        let mut frames = pieces4(ICMP, len as u16, &request, 1480);
        frames.reverse();
        for frame in &frames {
            rig.inject(frame);
        }
        same_message(&said4(&mut rig), &answered(request, 0), false);

        let request = echo6(&pattern(len));
        for frame in &pieces6(ICMPV6, len as u32, &request, 1448) {
            rig.inject(frame);
        }
        same_message(&said6(&mut rig), &answered(request, 129), true);
    }
    let stats = rig.stack.stats();
    assert_eq!(stats.icmp.echoed, 14);
    // An IPv6 fragment that is the whole is none (RFC 6946): two of the lengths.
    assert_eq!(stats.fragmented.reassembled, 4 + 5);
    // More than there is room for.
    for frame in &pieces4(ICMP, 99, &echo4(&pattern(9300)), 1480) {
        rig.inject(frame);
    }
    assert_eq!(rig.machine.out.len(), 0);
    assert!(rig.stack.stats().fragmented.refused > 0);
}

#[test]
fn a_connection_whose_segments_come_in_pieces() {
    let mut rig = Rig::by_hand();
    let in_pieces = |rig: &mut Rig, segment: Segment<'_>, id: u16| {
        let frame = segment.frame();
        for piece in &pieces4(6, id, &frame[34..], 16) {
            rig.inject(piece);
        }
        rig.heard()
    };
    let heard = in_pieces(&mut rig, SYN, 1);
    assert_eq!(heard[0].control, TcpControl::Syn);
    let request = Segment {
        control: TcpControl::Psh,
        seq: 1001,
        ack: Some(heard[0].seq.wrapping_add(1)),
        payload: b"GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n",
        ..SYN
    };
    // A wrong checksum is found in what was put together too.
    let mut damaged = request.frame();
    *damaged.last_mut().unwrap() ^= 1;
    for piece in &pieces4(6, 2, &damaged[34..], 16) {
        rig.inject(piece);
    }
    assert_eq!(rig.stack.stats().dropped.checksum, 1);
    let heard = in_pieces(&mut rig, request, 3);
    assert!(heard[0].payload.ends_with(b"body{}\n"));
}

#[test]
fn overlapping_pieces_are_no_datagram() {
    let mut rig = Rig::by_hand();
    let request = echo4(&pattern(64));
    let frames = pieces4(ICMP, 5, &request, 24);
    rig.inject(&frames[0]);
    rig.inject(&ipv4(ICMP, 5, 0x2000 | 2, &[], &request[16..40]));
    rig.inject(&frames[1]);
    rig.inject(&frames[2]);
    assert_eq!(rig.machine.out.len(), 0);
    assert_eq!(rig.stack.stats().fragmented.overlapping, 1);
}

#[test]
fn a_missing_piece_is_missed_after_a_minute_and_told() {
    let mut rig = Rig::by_hand();
    rig.wait(Duration::from_secs(10));
    rig.machine.out.clear();
    let request = echo4(&pattern(100));
    let frames = pieces4(ICMP, 5, &request, 48);
    // With the first piece; without it nobody is told.
    rig.inject(&frames[0]);
    rig.inject(&pieces4(ICMP, 6, &request, 48)[1]);
    rig.now += Duration::from_secs(59);
    rig.stack.timers(&mut rig.machine, rig.now);
    assert_eq!(rig.machine.out.len(), 0);
    assert!(rig.stack.deadline().unwrap() <= rig.now + Duration::from_secs(1));
    rig.now += Duration::from_secs(1);
    rig.stack.timers(&mut rig.machine, rig.now);
    let told = said4(&mut rig);
    assert_eq!(told[..2], [11, 1], "time exceeded in reassembly");
    assert_eq!(told[8..36], frames[0][14..42]);
    assert!(Icmpv4Packet::new_unchecked(&told[..]).verify_checksum());
    assert_eq!(rig.stack.stats().fragmented.expired, 2);
    // The rest comes too late.
    rig.inject(&frames[1]);
    assert_eq!(rig.machine.out.len(), 0);
}

#[test]
fn a_flood_of_pieces_is_bounded_and_leaves_room() {
    let mut rig = Rig::by_hand();
    let request = echo4(&pattern(100));
    for id in 0..10_000 {
        let mut frame = pieces4(ICMP, id, &request, 48).swap_remove(0);
        // Many senders.
        frame[28] = (id >> 8) as u8;
        frame[29] = id as u8 | 1;
        Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
        rig.inject(&frame);
    }
    for frame in &pieces4(ICMP, 7, &request, 48) {
        rig.inject(frame);
    }
    same_message(&said4(&mut rig), &answered(request, 0), false);
    rig.now += Duration::from_secs(61);
    rig.stack.timers(&mut rig.machine, rig.now);
    // Two of the senders had our own address.
    assert_eq!(rig.stack.stats().dropped.martian, 2);
    let stats = rig.stack.stats().fragmented;
    assert_eq!(stats.evicted + stats.expired + stats.reassembled, 9_999);
    assert!(stats.expired <= 8);
}

#[test]
fn options_are_skipped_and_routes_refused() {
    let mut rig = Rig::by_hand();
    let request = echo4(b"data");
    // No operation, a timestamp, the end.
    rig.inject(&ipv4(ICMP, 0, 0, &[1, 68, 4, 5, 0, 1, 0, 0], &request));
    assert_eq!(rig.machine.out.len(), 1);
    rig.machine.out.clear();
    for route in [131, 137] {
        let options = [1, route, 7, 4, 192, 0, 2, 1];
        rig.inject(&ipv4(ICMP, 0, 0, &options, &request));
    }
    assert_eq!(
        (rig.machine.out.len(), rig.stack.stats().dropped.ignored),
        (0, 2)
    );
    // TCP too.
    let syn = SYN.frame();
    rig.inject(&ipv4(6, 0, 0, &[1, 1, 1, 1], &syn[34..]));
    assert_eq!(rig.heard()[0].control, TcpControl::Syn);
}

#[test]
fn extension_headers_are_looked_behind() {
    let mut rig = Rig::by_hand();
    let request = echo6(b"data");
    let behind = |headers: &[u8]| ipv6(headers[0], &[&headers[1..], &request].concat());
    let pad = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let good: [&[u8]; 4] = [
        &[&[0][..], &pad(ICMPV6)].concat(),
        &[&[0][..], &pad(60), &pad(ICMPV6)].concat(),
        // A routing header that has been followed to its end.
        &[&[43][..], &[ICMPV6, 0, 0, 0, 0, 0, 0, 0]].concat(),
        &[&[60][..], &pad(44), &[ICMPV6, 0, 0, 0, 0, 0, 0, 9]].concat(),
    ];
    for headers in good {
        rig.inject(&behind(headers));
        same_message(&said6(&mut rig), &answered(request.clone(), 129), true);
    }
    let bad: [&[u8]; 5] = [
        // An option that must be known.
        &[&[0][..], &[ICMPV6, 0, 0x80, 4, 0, 0, 0, 0]].concat(),
        // Not the first.
        &[&[60][..], &pad(0), &pad(ICMPV6)].concat(),
        // A route that is not at its end (RFC 5095).
        &[&[43][..], &[ICMPV6, 0, 0, 1, 0, 0, 0, 0]].concat(),
        // Longer than the packet.
        &[&[60][..], &[ICMPV6, 200, 1, 4, 0, 0, 0, 0]].concat(),
        // Without end.
        &[&[60][..], &pad(60).repeat(9), &pad(ICMPV6)].concat(),
    ];
    for headers in bad {
        rig.inject(&behind(headers));
        assert_eq!(rig.machine.out.len(), 0);
    }
    let dropped = rig.stack.stats().dropped;
    assert_eq!((dropped.ignored, dropped.malformed), (3, 2));
}

/// `frame` with an 802.1Q tag.
fn tagged(frame: &[u8], tag: u16) -> Vec<u8> {
    let tag = [0x81, 0x00, (tag >> 8) as u8, tag as u8];
    [&frame[..12], &tag, &frame[12..]].concat()
}

#[test]
fn priority_tags_are_ignored_and_virtual_lans_are_not_ours() {
    let mut rig = Rig::by_hand();
    // The highest priority, VLAN 0.
    rig.inject(&tagged(&SYN.frame(), 0xe000));
    assert_eq!(rig.heard()[0].control, TcpControl::Syn);
    let request = ipv4(ICMP, 0, 0, &[], &echo4(b"data"));
    rig.inject(&tagged(&request, 0));
    assert_eq!(rig.machine.out.len(), 1);
    rig.machine.out.clear();
    for frame in [
        tagged(&request, 1),
        tagged(&request, 0xe000 | 4095),
        tagged(&tagged(&request, 0), 0),
    ] {
        rig.inject(&frame);
    }
    let mut service = tagged(&request, 0);
    service[12..14].copy_from_slice(&[0x88, 0xa8]);
    rig.inject(&service);
    let dropped = rig.stack.stats().dropped;
    assert_eq!((rig.machine.out.len(), dropped.vlan), (0, 4));
    for end in 14..18 {
        rig.inject(&tagged(&request, 0)[..end]);
    }
    assert_eq!(rig.stack.stats().dropped.malformed, 4);
}

#[test]
fn who_floods_is_answered_at_a_rate() {
    let mut rig = Rig::by_hand();
    rig.machine.ring = usize::MAX;
    let request = ipv4(ICMP, 0, 0, &[], &echo4(b"data"));
    let datagram = ipv4(17, 0, 0, &[], &[0, 9, 0, 9, 0, 8, 0, 0]);
    let stray = Segment {
        control: TcpControl::None,
        ack: Some(7),
        ..SYN
    };
    for (frame, rate) in [(&request, 1000), (&datagram, 500), (&stray.frame(), 500)] {
        rig.now += Duration::from_secs(1);
        let before = rig.stack.stats().dropped.limited;
        // Half a second of a flood of 100,000 in a second.
        for _ in 0..50_000 {
            rig.inject(frame);
            rig.now += Duration::from_micros(10);
        }
        let answers = rig.machine.out.drain(..).count();
        assert!((rate / 2..=rate / 2 + 201).contains(&answers), "{answers}");
        let limited = rig.stack.stats().dropped.limited - before;
        assert_eq!(limited, 50_000 - answers as u64);
    }
}

#[test]
fn what_nobody_takes_is_said_to_be_unreachable() {
    let mut rig = Rig::by_hand();
    rig.inject(&ipv4(17, 0, 0, &[], &[0, 9, 0, 9, 0, 8, 0, 0]));
    assert_eq!(said4(&mut rig)[..2], [3, 3], "port");
    rig.inject(&ipv4(99, 0, 0, &[], &[1; 40]));
    assert_eq!(said4(&mut rig)[..2], [3, 2], "protocol");
    // Not to another's address, and not from all hosts of the network.
    let mut frame = ipv4(17, 0, 0, &[], &[0, 9, 0, 9, 0, 8, 0, 0]);
    frame[33] ^= 1;
    Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
    rig.inject(&frame);
    for request in [ipv4(ICMP, 0, 0, &[], &echo4(b"")), SYN.frame()] {
        let mut frame = request;
        frame[29] = 255;
        Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
        let (source, destination) = (Ipv4Address::new(10, 0, 2, 255), SERVER);
        if frame[23] == 6 {
            TcpPacket::new_unchecked(&mut frame[34..])
                .fill_checksum(&source.into(), &destination.into());
        }
        rig.inject(&frame);
    }
    let dropped = rig.stack.stats().dropped;
    assert_eq!((dropped.not_for_us, dropped.martian), (1, 2));
    assert_eq!(rig.machine.out.len(), 0);
}

/// An ICMP error of a router about a segment that the server has sent.
fn complaint(kind: u8, code: u8, field: u32, about: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend_from_slice(&field.to_be_bytes());
    bytes.extend_from_slice(&about[14..42]);
    Icmpv4Packet::new_unchecked(&mut bytes).fill_checksum();
    let mut frame = ipv4(ICMP, 0, 0, &[], &bytes);
    // A router has an address of its own.
    frame[26..30].copy_from_slice(&[10, 0, 2, 1]);
    Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
    frame
}

#[test]
fn an_error_ends_a_handshake_and_nothing_else() {
    let mut rig = Rig::by_hand();
    let syn_ack = |rig: &mut Rig| {
        rig.inject(&SYN.frame());
        rig.machine.out.pop_back().unwrap()
    };
    let frame = syn_ack(&mut rig);
    // Not about a number that is under way.
    let mut forged = frame.clone();
    forged[41] ^= 0x55;
    rig.inject(&complaint(3, 3, 0, &forged));
    // What may pass.
    rig.inject(&complaint(3, 1, 0, &frame));
    rig.inject(&complaint(11, 0, 0, &frame));
    let stats = rig.stack.stats();
    assert_eq!((stats.icmp.disbelieved, stats.icmp.errors), (1, 2));
    assert_eq!(stats.half_open, 1);
    rig.inject(&complaint(3, 3, 0, &frame));
    assert_eq!(
        (rig.stack.stats().half_open, rig.stack.stats().icmp.errors),
        (0, 3)
    );

    let iss = rig.open(SYN);
    rig.inject(
        &Segment {
            control: TcpControl::Psh,
            seq: 1001,
            ack: Some(iss.wrapping_add(1)),
            payload: b"GET /kib.bin HTTP/1.1\r\nHost: x\r\n\r\n",
            ..SYN
        }
        .frame(),
    );
    let frame = rig.machine.out.pop_back().unwrap();
    assert!(hear(&frame).unwrap().payload.len() > 1000);
    for code in [2, 3] {
        rig.inject(&complaint(3, code, 0, &frame));
    }
    // Source quench is of the past (RFC 6633), and so are redirects.
    rig.inject(&complaint(4, 0, 0, &frame));
    rig.inject(&complaint(5, 1, 0, &frame));
    let stats = rig.stack.stats();
    assert_eq!(
        (stats.open, stats.icmp.errors, stats.icmp.disbelieved),
        (1, 5, 1)
    );
    // Damaged.
    let mut damaged = complaint(3, 3, 0, &frame);
    *damaged.last_mut().unwrap() ^= 1;
    rig.inject(&damaged);
    assert_eq!(rig.stack.stats().dropped.checksum, 1);
}
