//! A DHCP server's messages, and the client's.

use super::{CLIENT, CLIENT_MAC, SERVER_MAC};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::*;

/// The DHCP message in a frame.
pub fn dhcp(frame: &[u8]) -> Option<(DhcpMessageType, u32, Option<Ipv4Address>)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let udp = UdpPacket::new_checked(packet.payload()).ok()?;
    let message = DhcpPacket::new_checked(udp.payload()).ok()?;
    let repr = DhcpRepr::parse(&message).ok()?;
    Some((repr.message_type, repr.transaction_id, repr.requested_ip))
}

/// A DHCP server's message that gives 10.0.2.99/24 for an hour.
pub fn from_dhcp_server(kind: DhcpMessageType, transaction_id: u32) -> Vec<u8> {
    let message = DhcpRepr {
        message_type: kind,
        transaction_id,
        secs: 0,
        client_hardware_address: EthernetAddress(SERVER_MAC),
        client_ip: Ipv4Address::UNSPECIFIED,
        your_ip: Ipv4Address::new(10, 0, 2, 99),
        server_ip: CLIENT,
        router: Some(CLIENT),
        subnet_mask: Some(Ipv4Address::new(255, 255, 255, 0)),
        relay_agent_ip: Ipv4Address::UNSPECIFIED,
        broadcast: false,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(CLIENT),
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        renew_duration: None,
        rebind_duration: None,
        lease_duration: Some(3600),
        additional_options: &[],
    };
    let udp = UdpRepr {
        src_port: 67,
        dst_port: 68,
    };
    let ip = Ipv4Repr {
        src_addr: CLIENT,
        dst_addr: Ipv4Address::BROADCAST,
        next_header: IpProtocol::Udp,
        payload_len: 8 + message.buffer_len(),
        hop_limit: 64,
    };
    let checksums = ChecksumCapabilities::default();
    let mut bytes = vec![0; 14 + 20 + 8 + message.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_dst_addr(EthernetAddress::BROADCAST);
    frame.set_src_addr(EthernetAddress(CLIENT_MAC));
    frame.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &checksums);
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &ip.src_addr.into(),
        &ip.dst_addr.into(),
        message.buffer_len(),
        |bytes| message.emit(&mut DhcpPacket::new_unchecked(bytes)).unwrap(),
        &checksums,
    );
    bytes
}
