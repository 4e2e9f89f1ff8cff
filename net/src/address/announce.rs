//! Frames that say who we are or ask who others are, written without smoltcp's sockets.

use crate::context::Context;
use crate::link::Carrier;
use core::net::{Ipv4Addr, Ipv6Addr};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, HardwareAddress, IPV6_LINK_LOCAL_ALL_NODES, IPV6_LINK_LOCAL_ALL_ROUTERS,
    Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
};

/// Tells all hosts our IPv4 address (RFC 5227, 1.1: an ARP announcement). Whether there was room.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn arp_announce(
    context: &mut Context,
    host: &mut dyn Carrier,
    mac: [u8; 6],
    own: Ipv4Addr,
) -> bool {
    arp_request(context, host, mac, own, own)
}

/// Asks for a hardware address (RFC 826). Whether there was room.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn arp_request(
    context: &mut Context,
    host: &mut dyn Carrier,
    mac: [u8; 6],
    own: Ipv4Addr,
    target: Ipv4Addr,
) -> bool {
    let request = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(mac),
        source_protocol_addr: own,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    arp(context, host, mac, EthernetAddress::BROADCAST, &request)
}

/// Answers who asks for our hardware address (RFC 826). Whether there was room.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn arp_reply(
    context: &mut Context,
    host: &mut dyn Carrier,
    mac: [u8; 6],
    own: Ipv4Addr,
    (hardware, address): (EthernetAddress, Ipv4Addr),
) -> bool {
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(mac),
        source_protocol_addr: own,
        target_hardware_addr: hardware,
        target_protocol_addr: address,
    };
    arp(context, host, mac, hardware, &reply)
}

#[cfg_attr(target_os = "none", optimize(size))]
fn arp(
    context: &mut Context,
    host: &mut dyn Carrier,
    mac: [u8; 6],
    to: EthernetAddress,
    arp: &ArpRepr,
) -> bool {
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(mac),
        dst_addr: to,
        ethertype: EthernetProtocol::Arp,
    };
    let len = ethernet.buffer_len() + arp.buffer_len();
    context.wire.send(host, len, |frame| {
        let mut frame = EthernetFrame::new_unchecked(frame);
        ethernet.emit(&mut frame);
        arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    })
}

/// Tells our IPv6 address: to `to`, or to all hosts (RFC 4861, 7.2.4 and 7.2.6). Whether there was
/// room.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn neighbor_advert(
    context: &mut Context,
    host: &mut dyn Carrier,
    mac: [u8; 6],
    own: Ipv6Addr,
    flags: NdiscNeighborFlags,
    to: Option<([u8; 6], Ipv6Addr)>,
) -> bool {
    let advert = NdiscRepr::NeighborAdvert {
        flags,
        target_addr: own,
        lladdr: Some(HardwareAddress::Ethernet(EthernetAddress(mac)).into()),
    };
    let (hardware, to) = to.unwrap_or_else(|| group(IPV6_LINK_LOCAL_ALL_NODES));
    neighbor_discovery(context, host, (mac, hardware), (own, to), advert)
}

/// Asks whether somebody has an address already (RFC 4862, 5.4.2). Whether there was room.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn duplicate_solicit(
    context: &mut Context,
    host: &mut dyn Carrier,
    mac: [u8; 6],
    own: Ipv6Addr,
) -> bool {
    let solicit = NdiscRepr::NeighborSolicit {
        target_addr: own,
        lladdr: None,
    };
    // RFC 4291, 2.7.1: the group of those whose addresses end like this.
    let prefix = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).to_bits();
    let asked = Ipv6Addr::from_bits(prefix | own.to_bits() & 0xff_ffff);
    let (hardware, to) = group(asked);
    let ends = (Ipv6Addr::UNSPECIFIED, to);
    neighbor_discovery(context, host, (mac, hardware), ends, solicit)
}

/// A multicast group's hardware address (RFC 2464, 7), and itself.
fn group(to: Ipv6Addr) -> ([u8; 6], Ipv6Addr) {
    let [.., a, b, c, d] = to.octets();
    ([0x33, 0x33, a, b, c, d], to)
}

/// Asks routers for an advertisement (RFC 4861, 6.3.7). Whether there was room.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn router_solicit(context: &mut Context, host: &mut dyn Carrier, mac: [u8; 6]) -> bool {
    let Some(own) = context.ethernet.ipv6_addr() else {
        return true;
    };
    let solicit = NdiscRepr::RouterSolicit {
        lladdr: Some(HardwareAddress::Ethernet(EthernetAddress(mac)).into()),
    };
    let (hardware, to) = group(IPV6_LINK_LOCAL_ALL_ROUTERS);
    neighbor_discovery(context, host, (mac, hardware), (own, to), solicit)
}

/// Sends a message between two hardware addresses and two IPv6 addresses.
#[cfg_attr(target_os = "none", optimize(size))]
fn neighbor_discovery(
    context: &mut Context,
    host: &mut dyn Carrier,
    (from, hardware): ([u8; 6], [u8; 6]),
    (own, to): (Ipv6Addr, Ipv6Addr),
    message: NdiscRepr<'_>,
) -> bool {
    let icmp = Icmpv6Repr::Ndisc(message);
    let ip = Ipv6Repr {
        src_addr: own,
        dst_addr: to,
        next_header: IpProtocol::Icmpv6,
        payload_len: icmp.buffer_len(),
        hop_limit: 255,
    };
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(from),
        dst_addr: EthernetAddress(hardware),
        ethertype: EthernetProtocol::Ipv6,
    };
    let len = ethernet.buffer_len() + ip.buffer_len() + icmp.buffer_len();
    context.wire.send(host, len, |frame| {
        let mut frame = EthernetFrame::new_unchecked(frame);
        ethernet.emit(&mut frame);
        let mut packet = Ipv6Packet::new_unchecked(frame.payload_mut());
        ip.emit(&mut packet);
        icmp.emit(
            &ip.src_addr,
            &ip.dst_addr,
            &mut Icmpv6Packet::new_unchecked(packet.payload_mut()),
            &ChecksumCapabilities::default(),
        );
    })
}
