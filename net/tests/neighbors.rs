//! Other hosts on the link: questions for our hardware address, floods of them, and hosts that use
//! an address of ours.

mod common;

use common::dhcp::{dhcp, from_dhcp_server};
use common::raw::SYN;
use common::{CLIENT, CLIENT_MAC, CLIENT6, Rig, SERVER, SERVER_MAC, SERVER6};
use quartz_abi::cmdline::{Ipv4Setup, Ipv6Setup};
use quartz_net::{Duration, Stack};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::*;

fn arp(operation: ArpOperation, mac: [u8; 6], sender: Ipv4Address, target: Ipv4Address) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(mac),
        source_protocol_addr: sender,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    let mut bytes = vec![0; 42];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_dst_addr(EthernetAddress::BROADCAST);
    frame.set_src_addr(EthernetAddress(mac));
    frame.set_ethertype(EthernetProtocol::Arp);
    repr.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    bytes
}

/// What was answered by ARP: whom, with which addresses.
fn arp_answers(rig: &mut Rig) -> Vec<(EthernetAddress, ArpRepr)> {
    let frames = rig.machine.out.drain(..);
    frames
        .map(|frame| {
            let frame = EthernetFrame::new_checked(&frame[..]).unwrap();
            let packet = ArpPacket::new_checked(frame.payload()).unwrap();
            (frame.dst_addr(), ArpRepr::parse(&packet).unwrap())
        })
        .collect()
}

fn arp_reply(mac: [u8; 6], address: Ipv4Address) -> (EthernetAddress, ArpRepr) {
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(SERVER_MAC),
        source_protocol_addr: SERVER,
        target_hardware_addr: EthernetAddress(mac),
        target_protocol_addr: address,
    };
    (EthernetAddress(mac), reply)
}

/// A message of neighbour discovery from a host with this hardware address.
fn ndisc(mac: [u8; 6], from: Ipv6Address, to: Ipv6Address, message: NdiscRepr<'_>) -> Vec<u8> {
    let icmp = Icmpv6Repr::Ndisc(message);
    let ip = Ipv6Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Icmpv6,
        payload_len: icmp.buffer_len(),
        hop_limit: 255,
    };
    let mut bytes = vec![0; 54 + icmp.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_dst_addr(EthernetAddress(match to.is_multicast() {
        true => [0x33, 0x33, 0xff, 0x12, 0x34, 0x56],
        false => SERVER_MAC,
    }));
    frame.set_src_addr(EthernetAddress(mac));
    frame.set_ethertype(EthernetProtocol::Ipv6);
    let mut packet = Ipv6Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet);
    let mut message = Icmpv6Packet::new_unchecked(packet.payload_mut());
    icmp.emit(&from, &to, &mut message, &ChecksumCapabilities::default());
    bytes
}

const GROUP: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 1, 0xff12, 0x3456);

fn solicit() -> NdiscRepr<'static> {
    NdiscRepr::NeighborSolicit {
        target_addr: SERVER6,
        lladdr: None,
    }
}

/// What was answered by neighbour discovery: whom, and with which flags.
fn adverts(rig: &mut Rig) -> Vec<(EthernetAddress, Ipv6Address, NdiscNeighborFlags)> {
    let frames = rig.machine.out.drain(..);
    frames
        .map(|frame| {
            let frame = EthernetFrame::new_checked(&frame[..]).unwrap();
            let packet = Ipv6Packet::new_checked(frame.payload()).unwrap();
            assert_eq!((packet.src_addr(), packet.hop_limit()), (SERVER6, 255));
            let icmp = Icmpv6Packet::new_checked(packet.payload()).unwrap();
            let checksums = ChecksumCapabilities::default();
            let message = Icmpv6Repr::parse(&SERVER6, &packet.dst_addr(), &icmp, &checksums);
            match message.unwrap() {
                Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
                    flags, target_addr, ..
                }) => {
                    assert_eq!(target_addr, SERVER6);
                    (frame.dst_addr(), packet.dst_addr(), flags)
                }
                other => panic!("{other:?}"),
            }
        })
        .collect()
}

/// A rig that has been alone with its addresses for a while.
fn settled() -> Rig {
    let mut rig = Rig::by_hand();
    rig.wait(Duration::from_secs(10));
    rig.machine.out.clear();
    rig
}

#[test]
fn questions_are_answered_to_whom_asks() {
    let mut rig = settled();
    let mac = [2, 0, 0, 0, 0, 9];
    let peer = Ipv4Address::new(10, 0, 2, 9);
    rig.inject(&arp(ArpOperation::Request, mac, peer, SERVER));
    assert_eq!(arp_answers(&mut rig), [arp_reply(mac, peer)]);
    // One who looks whether the address is taken.
    let nobody = Ipv4Address::UNSPECIFIED;
    rig.inject(&arp(ArpOperation::Request, mac, nobody, SERVER));
    assert_eq!(arp_answers(&mut rig), [arp_reply(mac, nobody)]);
    // Others' business.
    rig.inject(&arp(ArpOperation::Request, mac, peer, CLIENT));
    rig.inject(&arp(ArpOperation::Reply, mac, peer, SERVER));
    assert_eq!(rig.machine.out.len(), 0);

    let both = NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE;
    // By multicast at first, directly later (RFC 4861, 7.3.3).
    for to in [GROUP, SERVER6] {
        rig.inject(&ndisc(mac, CLIENT6, to, solicit()));
        assert_eq!(adverts(&mut rig), [(EthernetAddress(mac), CLIENT6, both)]);
    }
    rig.inject(&ndisc(mac, Ipv6Address::UNSPECIFIED, GROUP, solicit()));
    let all = EthernetAddress([0x33, 0x33, 0, 0, 0, 1]);
    let everybody = (all, IPV6_LINK_LOCAL_ALL_NODES, NdiscNeighborFlags::OVERRIDE);
    assert_eq!(adverts(&mut rig), [everybody]);
    assert_eq!(rig.stack.stats().neighbors.answered, 5);
    // From beyond a router.
    let mut far = ndisc(mac, CLIENT6, SERVER6, solicit());
    far[21] = 254;
    rig.inject(&far);
    assert_eq!(rig.machine.out.len(), 0);
    assert_eq!(rig.stack.stats().dropped.malformed, 1);
}

#[test]
fn a_crowd_of_neighbours_harms_nobody() {
    let mut rig = settled();
    let mut answers = 0;
    for n in 0..100_000u32 {
        let [_, a, b, c] = n.to_be_bytes();
        let mac = [2, 0, 0, a, b, c];
        let from = Ipv4Address::new(10, 0, b, c);
        let from6 = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, n as u16, 1);
        rig.inject(&match n % 4 {
            0 => arp(ArpOperation::Request, mac, from, SERVER),
            1 => arp(ArpOperation::Reply, mac, from, SERVER),
            2 => ndisc(mac, from6, GROUP, solicit()),
            _ => {
                let advert = NdiscRepr::NeighborAdvert {
                    flags: NdiscNeighborFlags::OVERRIDE,
                    target_addr: from6,
                    lladdr: None,
                };
                ndisc(mac, from6, SERVER6, advert)
            }
        });
        rig.now += Duration::from_micros(10);
        answers += rig.machine.out.drain(..).count();
    }
    // A second: two hundred at once and a thousand by and by.
    assert!((1100..=1300).contains(&answers), "{answers}");
    assert_eq!(rig.stack.stats().dropped.limited, 50_000 - answers as u64);
    // The gateway is asked and served as before.
    assert!(rig.stack.probe(&mut rig.machine, rig.now));
    rig.machine.out.clear();
    assert_eq!(rig.say(SYN)[0].control, TcpControl::Syn);
    rig.now += Duration::from_secs(1);
    rig.inject(&arp(ArpOperation::Request, CLIENT_MAC, CLIENT, SERVER));
    assert_eq!(arp_answers(&mut rig).len(), 1);
}

#[test]
fn an_ipv4_address_is_defended_now_and_then() {
    let mut rig = settled();
    let mac = [2, 0, 0, 0, 0, 9];
    let announcement = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(SERVER_MAC),
        source_protocol_addr: SERVER,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: SERVER,
    };
    for round in 0..3 {
        for operation in [ArpOperation::Request, ArpOperation::Reply] {
            rig.inject(&arp(operation, mac, SERVER, SERVER));
        }
        let told = arp_answers(&mut rig);
        assert_eq!(told, [(EthernetAddress::BROADCAST, announcement)]);
        assert_eq!(rig.stack.stats().neighbors.conflicts, 2 * (round + 1));
        rig.now += Duration::from_secs(10);
    }
    // What comes back of our own is no conflict.
    rig.inject(&arp(ArpOperation::Request, SERVER_MAC, SERVER, SERVER));
    assert_eq!(rig.stack.stats().neighbors.conflicts, 6);
    assert!(rig.stack.addresses().any(|a| a.address() == SERVER.into()));
}

#[test]
fn an_ipv6_address_that_another_has_is_given_up() {
    let mac = [2, 0, 0, 0, 0, 9];
    let advert = NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::OVERRIDE,
        target_addr: SERVER6,
        lladdr: None,
    };
    let has = |rig: &Rig| rig.stack.addresses().any(|a| a.address() == SERVER6.into());
    for objection in [
        ndisc(mac, SERVER6, IPV6_LINK_LOCAL_ALL_NODES, advert),
        // Two who ask at the same time both go.
        ndisc(mac, Ipv6Address::UNSPECIFIED, GROUP, solicit()),
    ] {
        let mut rig = Rig::by_hand();
        assert!(has(&rig));
        // It is in use meanwhile, but overrides nobody's memory.
        rig.inject(&ndisc(CLIENT_MAC, CLIENT6, GROUP, solicit()));
        let flags = adverts(&mut rig)[0].2;
        assert_eq!(flags, NdiscNeighborFlags::SOLICITED);
        // Our own question, as a switch may send it back.
        rig.inject(&ndisc(
            SERVER_MAC,
            Ipv6Address::UNSPECIFIED,
            GROUP,
            solicit(),
        ));
        assert!(has(&rig));
        rig.inject(&objection);
        assert!(!has(&rig));
        assert_eq!(rig.stack.stats().neighbors.conflicts, 1);
        assert!(rig.machine.out.is_empty());
    }
    // Later it is ours.
    let mut rig = settled();
    rig.inject(&ndisc(mac, SERVER6, IPV6_LINK_LOCAL_ALL_NODES, advert));
    assert!(has(&rig));
    assert_eq!(rig.stack.stats().neighbors.conflicts, 1);
}

/// Lets time pass up to the next frame of the stack, which has to come within an hour.
fn next_frame(rig: &mut Rig) -> Vec<u8> {
    let end = rig.now + Duration::from_secs(3600);
    loop {
        rig.stack.timers(&mut rig.machine, rig.now);
        if let Some(frame) = rig.machine.out.pop_front() {
            return frame;
        }
        let next = rig.stack.deadline().expect("a lease ends");
        assert!(next <= end);
        rig.now = next.max(rig.now + Duration::from_micros(1));
    }
}

#[test]
fn strangers_do_not_come_between_us_and_the_dhcp_server() {
    let own = Ipv4Address::new(10, 0, 2, 99);
    let mut rig = Rig::by_hand();
    let mut config = common::config();
    (config.ipv4, config.ipv6) = (Ipv4Setup::Dhcp, Ipv6Setup::Off);
    rig.stack = Stack::new(config, common::site(), rig.now).unwrap();
    for kind in [DhcpMessageType::Offer, DhcpMessageType::Ack] {
        let (_, id, _) = dhcp(&next_frame(&mut rig)).expect("a DHCP message");
        rig.inject(&from_dhcp_server(kind, id));
    }
    // Announcements, then the renewal: the server's hardware address is asked for.
    let asked = loop {
        let frame = next_frame(&mut rig);
        let frame = EthernetFrame::new_checked(&frame[..]).unwrap();
        let arp = ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).unwrap());
        let ArpRepr::EthernetIpv4 {
            target_protocol_addr,
            ..
        } = arp.unwrap()
        else {
            panic!("another kind of ARP");
        };
        if target_protocol_addr != own {
            break target_protocol_addr;
        }
    };
    assert_eq!(asked, CLIENT);
    // The server answers, and a crowd tells us of itself.
    let to_us = |mut frame: Vec<u8>| {
        frame[..6].copy_from_slice(&SERVER_MAC);
        frame
    };
    rig.inject(&to_us(arp(ArpOperation::Reply, CLIENT_MAC, CLIENT, own)));
    for n in 0..10_000u32 {
        let [_, _, b, c] = n.to_be_bytes();
        let from = Ipv4Address::new(10, 0, 2, 100 + c % 100);
        let mac = [2, 0, 0, 0, b, c];
        rig.inject(&to_us(arp(ArpOperation::Reply, mac, from, own)));
    }
    rig.machine.out.clear();
    // The renewal goes to the server alone.
    let frame = loop {
        let frame = next_frame(&mut rig);
        if dhcp(&frame).is_some() {
            break frame;
        }
    };
    assert_eq!(dhcp(&frame).unwrap().0, DhcpMessageType::Request);
    assert_eq!(frame[..6], CLIENT_MAC);
}
