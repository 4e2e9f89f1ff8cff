//! Addresses, neighbours, and a link that is full or bad.

mod common;

use common::dhcp::{dhcp, from_dhcp_server};
use common::raw::{SYN, Segment};
use common::{
    CLIENT, CLIENT_MAC, CLIENT6, Rig, SERVER, SERVER_MAC, SERVER6, Weather, config, pattern,
};
use quartz_abi::cmdline::{Ipv4Setup, Ipv6Setup};
use quartz_net::{Duration, Stack};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{icmp, tcp};
use smoltcp::wire::*;

/// The frames that the stack sends by itself up to `rig.now + duration`, with their times in
/// milliseconds after now. Nobody answers.
fn alone(rig: &mut Rig, duration: Duration) -> Vec<(i64, Vec<u8>)> {
    let (start, end) = (rig.now, rig.now + duration);
    let mut frames = Vec::new();
    let mut turns = 0;
    loop {
        rig.stack.timers(&mut rig.machine, rig.now);
        let at = (rig.now - start).total_millis() as i64;
        frames.extend(rig.machine.out.drain(..).map(|frame| (at, frame)));
        turns += 1;
        assert!(turns < 10_000, "the stack spins");
        match rig.stack.deadline() {
            Some(next) if next <= end => {
                rig.now = next.max(rig.now + Duration::from_micros(1));
            }
            _ => break,
        }
    }
    rig.now = end;
    frames
}

/// A rig that has said nothing yet.
fn fresh(ipv4: Ipv4Setup, ipv6: Ipv6Setup) -> Rig {
    let mut rig = Rig::new();
    let mut config = config();
    (config.ipv4, config.ipv6) = (ipv4, ipv6);
    rig.stack = Stack::new(config, common::site(), rig.now).unwrap();
    rig.machine.out.clear();
    rig
}

fn fixed() -> Ipv4Setup {
    config().ipv4
}

fn arp(frame: &[u8]) -> Option<(EthernetAddress, ArpRepr)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    (frame.ethertype() == EthernetProtocol::Arp).then(|| {
        let arp = ArpPacket::new_checked(frame.payload()).unwrap();
        (frame.dst_addr(), ArpRepr::parse(&arp).unwrap())
    })
}

fn request(own: Ipv4Address, target: Ipv4Address) -> ArpRepr {
    ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(SERVER_MAC),
        source_protocol_addr: own,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    }
}

#[test]
fn an_address_is_announced_at_boot() {
    let mut rig = fresh(fixed(), Ipv6Setup::Off);
    let frames = alone(&mut rig, Duration::from_secs(60));
    let announced: Vec<_> = frames
        .iter()
        .map(|(at, frame)| (*at, arp(frame).expect("nothing but ARP")))
        .collect();
    let announcement = (EthernetAddress::BROADCAST, request(SERVER, SERVER));
    assert_eq!(announced, [(0, announcement), (2000, announcement)]);
}

#[test]
fn ipv6_asks_whether_it_is_alone_announces_itself_and_asks_for_a_router_three_times() {
    let mut rig = fresh(fixed(), Ipv6Setup::Slaac);
    let mut questions = Vec::new();
    let mut solicitations = Vec::new();
    let mut announcements = Vec::new();
    for (at, frame) in alone(&mut rig, Duration::from_secs(60)) {
        let frame = EthernetFrame::new_checked(&frame[..]).unwrap();
        if frame.ethertype() != EthernetProtocol::Ipv6 {
            continue;
        }
        let packet = Ipv6Packet::new_checked(frame.payload()).unwrap();
        assert_eq!(packet.hop_limit(), 255);
        let icmp = Icmpv6Packet::new_checked(packet.payload()).unwrap();
        let parsed = Icmpv6Repr::parse(
            &packet.src_addr(),
            &packet.dst_addr(),
            &icmp,
            &ChecksumCapabilities::default(),
        );
        match parsed.unwrap() {
            Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit {
                target_addr,
                lladdr: None,
            }) => {
                let asked = Ipv6Address::new(0xff02, 0, 0, 0, 0, 1, 0xff12, 0x3456);
                let ends = (Ipv6Address::UNSPECIFIED, asked);
                assert_eq!((packet.src_addr(), packet.dst_addr()), ends);
                assert_eq!(target_addr, SERVER6);
                questions.push(at);
            }
            Icmpv6Repr::Ndisc(NdiscRepr::RouterSolicit { lladdr: Some(_) }) => {
                assert_eq!(packet.src_addr(), SERVER6);
                assert_eq!(packet.dst_addr(), IPV6_LINK_LOCAL_ALL_ROUTERS);
                solicitations.push(at);
            }
            Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { target_addr, .. }) => {
                assert_eq!(packet.dst_addr(), IPV6_LINK_LOCAL_ALL_NODES);
                assert_eq!(target_addr, SERVER6);
                announcements.push(at);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(solicitations, [0, 4000, 8000]);
    assert_eq!(questions, [0]);
    assert_eq!(announcements, [1000, 3000]);
}

/// A frame with an ICMPv6 message from fe80::1, a router.
fn from_router(message: &[u8], hop_limit: u8) -> Vec<u8> {
    let router = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let ip = Ipv6Repr {
        src_addr: router,
        dst_addr: IPV6_LINK_LOCAL_ALL_NODES,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.len(),
        hop_limit,
    };
    let mut bytes = vec![0; 14 + 40 + message.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_dst_addr(EthernetAddress([0x33, 0x33, 0, 0, 0, 1]));
    frame.set_src_addr(EthernetAddress(CLIENT_MAC));
    frame.set_ethertype(EthernetProtocol::Ipv6);
    let mut packet = Ipv6Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet);
    packet.payload_mut().copy_from_slice(message);
    Icmpv6Packet::new_unchecked(packet.payload_mut())
        .fill_checksum(&router, &IPV6_LINK_LOCAL_ALL_NODES);
    bytes
}

/// A router advertisement of 2001:db8:N::/64 for each given N.
fn advert(router_lifetime: u16, prefixes: &[(u16, u32)]) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, 0];
    message.extend_from_slice(&router_lifetime.to_be_bytes());
    message.extend_from_slice(&[0; 8]);
    // An option that nobody knows.
    message.extend_from_slice(&[200, 1, 0, 0, 0, 0, 0, 0]);
    for (n, lifetime) in prefixes {
        message.extend_from_slice(&[3, 4, 64, 0xc0]);
        message.extend_from_slice(&lifetime.to_be_bytes());
        message.extend_from_slice(&(lifetime / 2).to_be_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&Ipv6Address::new(0x2001, 0xdb8, *n, 0, 0, 0, 0, 0).octets());
    }
    message
}

fn global(n: u16) -> IpCidr {
    let address = Ipv6Address::new(0x2001, 0xdb8, n, 0, 0x5054, 0x00ff, 0xfe12, 0x3456);
    IpCidr::new(address.into(), 64)
}

#[test]
fn router_advertisements_give_addresses_and_take_them() {
    let mut rig = fresh(fixed(), Ipv6Setup::Slaac);
    alone(&mut rig, Duration::from_millis(1));
    let frame = from_router(&advert(1800, &[(1, 20_000), (2, 10_000)]), 255);
    rig.inject(&frame);
    let has = |rig: &Rig, n| rig.stack.addresses().any(|a| a == global(n));
    assert!(has(&rig, 1) && has(&rig, 2));
    let sent = alone(&mut rig, Duration::from_secs(30));
    // Both are asked for and announced twice, and no router is asked for any more; the link-local
    // address is announced too.
    assert_eq!(
        sent.iter().filter(|(_, frame)| frame[13] == 0xdd).count(),
        8
    );
    // Nobody can shorten a lifetime below two hours, but the router can be gone at once.
    rig.inject(&from_router(&advert(0, &[(1, 0), (2, 0)]), 255));
    assert!(has(&rig, 1) && has(&rig, 2));
    alone(&mut rig, Duration::from_secs(7100));
    assert!(has(&rig, 1) && has(&rig, 2));
    alone(&mut rig, Duration::from_secs(200));
    assert!(!has(&rig, 1) && !has(&rig, 2));
    // The link-local one stays.
    assert!(rig.stack.addresses().any(|a| a.address() == SERVER6.into()));
}

#[test]
fn false_advertisements_are_ignored() {
    let mut rig = fresh(fixed(), Ipv6Setup::Slaac);
    let before = rig.stack.addresses().count();
    let good = advert(1800, &[(1, 20_000)]);
    rig.inject(&from_router(&good, 254));
    let mut damaged = from_router(&good, 255);
    *damaged.last_mut().unwrap() ^= 1;
    rig.inject(&damaged);
    for end in 4..good.len() {
        // Options that are cut off end the list.
        rig.inject(&from_router(&good[..end], 255));
    }
    let mut empty = good.clone();
    empty[17] = 0;
    rig.inject(&from_router(&empty, 255));
    assert_eq!(rig.stack.addresses().count(), before);
    rig.inject(&from_router(&good, 255));
    assert_eq!(rig.stack.addresses().count(), before + 1);
}

#[test]
fn dhcp_gives_an_address_and_the_end_of_the_lease_takes_it() {
    let mut rig = fresh(Ipv4Setup::Dhcp, Ipv6Setup::Off);
    let frames = alone(&mut rig, Duration::from_secs(1));
    let (kind, id, _) = dhcp(&frames[0].1).unwrap();
    assert_eq!((frames.len(), kind), (1, DhcpMessageType::Discover));
    // Until there is an address, nothing is answered.
    assert_eq!(rig.say(SYN), []);
    assert_eq!(rig.stack.addresses().count(), 0);

    rig.inject(&from_dhcp_server(DhcpMessageType::Offer, id));
    let frames = alone(&mut rig, Duration::from_millis(100));
    let (kind, id, wanted) = dhcp(&frames[0].1).unwrap();
    assert_eq!(
        (kind, wanted),
        (
            DhcpMessageType::Request,
            Some(Ipv4Address::new(10, 0, 2, 99))
        )
    );
    rig.inject(&from_dhcp_server(DhcpMessageType::Ack, id));
    let frames = alone(&mut rig, Duration::from_secs(5));
    let own = Ipv4Address::new(10, 0, 2, 99);
    let announced: Vec<_> = frames.iter().filter_map(|(_, frame)| arp(frame)).collect();
    assert_eq!(
        announced,
        [(EthernetAddress::BROADCAST, request(own, own)); 2]
    );
    assert!(rig.stack.addresses().eq([IpCidr::new(own.into(), 24)]));

    // Nobody renews the lease.
    let frames = alone(&mut rig, Duration::from_secs(3700));
    assert!(
        frames
            .iter()
            .any(|(_, f)| matches!(dhcp(f), Some((DhcpMessageType::Request, ..))))
    );
    // The server's hardware address is asked for once a second while it does not answer.
    assert!(frames.len() < 2000);
    assert_eq!(rig.stack.addresses().count(), 0);
}

#[test]
fn a_probe_asks_the_gateway() {
    let mut rig = fresh(fixed(), Ipv6Setup::Off);
    alone(&mut rig, Duration::from_secs(10));
    assert!(rig.stack.probe(&mut rig.machine, rig.now));
    let frame = rig.machine.out.pop_front().unwrap();
    assert_eq!(
        arp(&frame),
        Some((EthernetAddress::BROADCAST, request(SERVER, CLIENT)))
    );
    rig.machine.ring = 0;
    assert!(!rig.stack.probe(&mut rig.machine, rig.now));
}

#[test]
fn echo_requests_are_answered() {
    for (own, server) in [
        (IpAddress::from(CLIENT), IpAddress::from(SERVER)),
        (CLIENT6.into(), SERVER6.into()),
    ] {
        let mut rig = Rig::new();
        let buffer =
            || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 4000]);
        let handle = rig.sockets.add(icmp::Socket::new(buffer(), buffer()));
        let socket = rig.sockets.get_mut::<icmp::Socket<'_>>(handle);
        socket.bind(icmp::Endpoint::Ident(7)).unwrap();
        let mut answered = 0;
        for _ in 0..3 {
            let data = pattern(1000);
            echo(rig.sockets.get_mut(handle), own, server, &data);
            rig.wait(Duration::from_secs(1));
            let socket = rig.sockets.get_mut::<icmp::Socket<'_>>(handle);
            if let Ok((reply, from)) = socket.recv() {
                assert_eq!(from, server);
                assert!(reply.ends_with(&data));
                answered += 1;
            }
        }
        assert_eq!(answered, 3, "{server}");
    }
}

/// Sends an echo request.
fn echo(socket: &mut icmp::Socket<'_>, own: IpAddress, server: IpAddress, data: &[u8]) {
    let checksums = ChecksumCapabilities::default();
    let (ident, seq_no) = (7, 1);
    match (own, server) {
        (IpAddress::Ipv4(_), _) => {
            let echo = Icmpv4Repr::EchoRequest {
                ident,
                seq_no,
                data,
            };
            let bytes = socket.send(echo.buffer_len(), server).unwrap();
            echo.emit(&mut Icmpv4Packet::new_unchecked(bytes), &checksums);
        }
        (IpAddress::Ipv6(own), IpAddress::Ipv6(to)) => {
            let echo = Icmpv6Repr::EchoRequest {
                ident,
                seq_no,
                data,
            };
            let bytes = socket.send(echo.buffer_len(), server).unwrap();
            echo.emit(
                &own,
                &to,
                &mut Icmpv6Packet::new_unchecked(bytes),
                &checksums,
            );
        }
        _ => unreachable!("both ends are of one family"),
    }
}

#[test]
fn answers_go_back_the_way_that_the_question_came() {
    // Two routers that nobody has been introduced to; the second takes the connection over.
    let mut rig = fresh(fixed(), Ipv6Setup::Off);
    alone(&mut rig, Duration::from_secs(3));
    let client = Ipv4Address::new(192, 0, 2, 77);
    let routers = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
    let through = |segment: Segment<'_>, router: [u8; 6], rig: &mut Rig| {
        let mut frame = segment.frame();
        frame[6..12].copy_from_slice(&router);
        rig.inject(&frame);
        assert!(rig.machine.out.iter().all(|frame| frame[..6] == router));
        assert!(
            rig.machine
                .out
                .iter()
                .all(|frame| frame[6..12] == SERVER_MAC)
        );
        rig.heard()
    };
    let syn = Segment { client, ..SYN };
    let heard = through(syn, routers[0], &mut rig);
    assert_eq!(heard[0].control, TcpControl::Syn);
    let request = Segment {
        control: TcpControl::Psh,
        seq: 1001,
        ack: Some(heard[0].seq.wrapping_add(1)),
        payload: b"GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n",
        ..syn
    };
    let heard = through(request, routers[1], &mut rig);
    assert!(heard[0].payload.ends_with(b"body{}\n"));
    // What is sent again goes there too.
    rig.now += Duration::from_secs(2);
    rig.stack.timers(&mut rig.machine, rig.now);
    assert_eq!(rig.machine.out[0][..6], routers[1]);
    rig.machine.out.clear();
    // And so do resets.
    let unknown = Segment {
        client_port: 9,
        ack: Some(3),
        ..syn
    };
    assert_eq!(
        through(unknown, routers[0], &mut rig)[0].control,
        TcpControl::Rst
    );
}

#[test]
fn nobody_answers_martians_and_crowds() {
    let mut rig = Rig::new();
    let before = rig.machine.sent;
    for client in [
        SERVER,
        Ipv4Address::new(127, 0, 0, 1),
        Ipv4Address::new(0, 0, 0, 1),
        Ipv4Address::new(224, 0, 0, 1),
        Ipv4Address::BROADCAST,
        Ipv4Address::new(240, 0, 0, 1),
    ] {
        rig.inject(&Segment { client, ..SYN }.frame());
        rig.inject(
            &Segment {
                client,
                ack: Some(1),
                ..SYN
            }
            .frame(),
        );
    }
    assert_eq!(rig.stack.stats().dropped.martian, 12);
    // To everybody, or from a group.
    let mut frame = SYN.frame();
    frame[..6].fill(0xff);
    rig.inject(&frame);
    let mut frame = SYN.frame();
    frame[6] |= 1;
    rig.inject(&frame);
    assert_eq!(rig.stack.stats().dropped.not_for_us, 1);
    assert_eq!(rig.stack.stats().dropped.malformed, 1);
    assert_eq!(rig.machine.sent, before);
    assert_eq!(rig.stack.stats().half_open, 0);
}

#[test]
fn a_full_ring_delays_and_loses_nothing() {
    let mut rig = Rig::new();
    let handles: Vec<_> = (0..20).map(|_| rig.connect()).collect();
    for &handle in &handles {
        rig.tcp(handle)
            .send_slice(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
    }
    let mut got = vec![Vec::new(); handles.len()];
    // The ring has room for three frames at a time, then for none for a while.
    for round in 0..200_000u32 {
        rig.machine.ring = if round % 5 == 0 { 0 } else { 3 };
        rig.now += Duration::from_micros(100);
        rig.turn();
        for (&handle, got) in handles.iter().zip(&mut got) {
            let _ = rig.tcp(handle).recv(|b| {
                got.extend_from_slice(b);
                (b.len(), ())
            });
        }
        if got.iter().all(|got| got.len() > 300_000) {
            break;
        }
    }
    let expected = pattern(300_000);
    for got in &got {
        assert!(got.ends_with(&expected));
    }
    rig.machine.ring = 256;
    rig.settle();
    assert!(!rig.stack.is_stalled());
    assert_eq!(rig.stack.stats().open, 20);
}

#[test]
fn a_dead_ring_is_no_reason_to_spin() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    rig.machine.ring = 0;
    rig.tcp(handle)
        .send_slice(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    rig.turn();
    assert!(rig.stack.is_stalled());
    let mut turns = 0;
    let end = rig.now + Duration::from_secs(10);
    while rig.now < end {
        assert!(
            !rig.stack.timers(&mut rig.machine, rig.now),
            "there is nothing to do"
        );
        let next = rig.stack.deadline().unwrap();
        assert!(next > rig.now);
        rig.now = next;
        turns += 1;
    }
    assert!(turns <= 20_000, "{turns} turns in ten seconds");
    // The ring lives again.
    rig.machine.ring = 256;
    let bytes = rig.read(handle, |bytes| bytes.len() > 300_000);
    assert!(bytes.ends_with(&pattern(300_000)));
}

#[test]
fn a_quiet_stack_sleeps() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    rig.ask(handle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut turns = 0;
    let end = rig.now + Duration::from_secs(50);
    while let Some(next) = rig.next().filter(|next| *next <= end) {
        rig.now = next.max(rig.now + Duration::from_micros(1));
        rig.settle();
        turns += 1;
    }
    assert!(turns < 20, "{turns} turns in 50 s of silence");
    // Without connections only what announces addresses comes up.
    rig.tcp(handle).close();
    rig.wait(Duration::from_secs(1));
    let mut turns = 0;
    let end = rig.now + Duration::from_secs(3600);
    while let Some(next) = rig.stack.deadline().filter(|next| *next <= end) {
        rig.now = next.max(rig.now + Duration::from_micros(1));
        rig.stack.timers(&mut rig.machine, rig.now);
        turns += 1;
    }
    assert!(turns < 5, "{turns} turns in an hour");
}

#[test]
fn a_bad_link_loses_nothing() {
    for (seed, weather) in [
        (
            1,
            Weather {
                loss: 100,
                ..Weather::default()
            },
        ),
        (
            2,
            Weather {
                duplicate: 300,
                reorder: 300,
                ..Weather::default()
            },
        ),
        (
            3,
            Weather {
                loss: 50,
                duplicate: 50,
                reorder: 200,
                delay: Duration::from_millis(20),
            },
        ),
    ] {
        let mut rig = Rig::new();
        rig.random.0 = seed;
        rig.weather = weather;
        let handle = rig.connect();
        rig.send(
            handle,
            b"GET /big.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        );
        let bytes = rig.read(handle, |bytes| bytes.len() > 300_300);
        assert!(
            bytes.ends_with(&pattern(300_000)),
            "seed {seed}: {} bytes",
            bytes.len()
        );
        rig.tcp(handle).close();
        let ended = rig.until(Duration::from_secs(60), |rig| {
            rig.tcp(handle).state() == tcp::State::Closed && rig.stack.stats().open == 0
        });
        assert!(ended, "seed {seed}: {}", rig.tcp(handle).state());
    }
}

#[test]
fn checksums_can_be_left_to_the_host() {
    let mut config = config();
    config.tx_checksum_offload = true;
    let mut rig = Rig::with(config, common::site());
    // The machine completes what was begun; a client that checks is none the wiser.
    assert!(rig.get("/big.bin").body == pattern(300_000));
    assert!(rig.machine.completed > 200);
    assert_eq!(rig.machine.cut, 0);
}
