//! One frame of each kind that the stack knows, to be changed, and checksums that are made right
//! again.

use super::raw::{SYN, Segment};
use super::{CLIENT, CLIENT_MAC, CLIENT6, SERVER, SERVER_MAC, SERVER6};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::*;

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

/// A piece of an IPv4 datagram.
fn piece4(flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = ipv4(IpProtocol::Icmp, payload);
    frame[18..22].copy_from_slice(&[0, 7, (flags >> 8) as u8, flags as u8]);
    Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
    frame
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
    super::raw::frame(CLIENT, &repr)
}

/// One frame of each kind that the stack knows.
pub fn seeds() -> Vec<Vec<u8>> {
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
        // Pieces of one datagram, an overlap, and a header that says the end.
        piece4(0x2000, &[8; 24]),
        piece4(3, &[8; 24]),
        piece4(0x2002, &[9; 24]),
        ipv6(
            IpProtocol::Ipv6Frag,
            &[&[58, 0, 0, 1, 0, 0, 0, 7][..], &[128; 24]].concat(),
        ),
        ipv6(
            IpProtocol::Ipv6Frag,
            &[&[58, 0, 0, 24, 0, 0, 0, 7][..], &[1; 9]].concat(),
        ),
        ipv6(
            IpProtocol::HopByHop,
            &[
                &[6, 0, 1, 4, 0, 0, 0, 0][..],
                &tcp(TcpControl::Syn, b"", true)[34..],
            ]
            .concat(),
        ),
        // Too big, about a segment of ours.
        ipv4(
            IpProtocol::Icmp,
            &[
                &[3, 4, 0, 0, 0, 0, 5, 0][..],
                &[
                    0x45, 0, 5, 220, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2,
                ],
                &[0, 80, 0x9c, 0x40, 0, 0, 0, 1],
            ]
            .concat(),
        ),
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
pub fn mend(frame: &mut [u8]) {
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
