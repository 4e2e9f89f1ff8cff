//! A first look into an IP packet. Its end may lie elsewhere: a segment that the device cuts is
//! only seen up to where the file's bytes begin.

use core::net::IpAddr;
use smoltcp::wire::{EthernetProtocol, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket};

/// Bytes of an IPv4 header without options, and of an IPv6 header.
const IPV4: usize = 20;
const IPV6: usize = 40;

/// An IP packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    /// By IPv4, else by IPv6.
    pub ipv4: bool,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: IpProtocol,
    /// What of its content is here.
    pub payload: &'a [u8],
    /// Bytes that follow elsewhere.
    pub missing: usize,
    /// Of a piece that is not the first: identification and offset.
    pub piece: Option<(u16, u16)>,
}

impl<'a> Packet<'a> {
    /// Reads a packet of which `behind` bytes are not here. `None`: it is none, or cut off.
    pub fn read(kind: EthernetProtocol, bytes: &'a [u8], behind: usize) -> Option<Packet<'a>> {
        match kind {
            EthernetProtocol::Ipv4 => ipv4(bytes, behind),
            EthernetProtocol::Ipv6 => ipv6(bytes, behind),
            _ => None,
        }
    }

    /// The ports of TCP and UDP.
    pub fn ports(&self) -> Option<[u16; 2]> {
        match self.protocol {
            _ if self.piece.is_some() => None,
            IpProtocol::Tcp => {
                let tcp = TcpPacket::new_checked(self.payload).ok()?;
                Some([tcp.src_port(), tcp.dst_port()])
            }
            IpProtocol::Udp => {
                let udp = UdpPacket::new_checked(self.payload).ok()?;
                Some([udp.src_port(), udp.dst_port()])
            }
            _ => None,
        }
    }
}

/// What lies between `from` and `to`, and how much of it is not here.
fn payload(bytes: &[u8], from: usize, to: usize, behind: usize) -> Option<(&[u8], usize)> {
    let here = bytes.get(from..to.min(bytes.len()))?;
    let missing = to - from - here.len();
    (to >= from && missing <= behind).then_some((here, missing))
}

fn ipv4(bytes: &[u8], behind: usize) -> Option<Packet<'_>> {
    let ip = Ipv4Packet::new_unchecked(bytes.get(..IPV4)?);
    let (from, to) = (usize::from(ip.header_len()), usize::from(ip.total_len()));
    if from < IPV4 || ip.version() != 4 || to < from {
        return None;
    }
    let (payload, missing) = payload(bytes, from, to, behind)?;
    let offset = ip.frag_offset();
    Some(Packet {
        ipv4: true,
        source: ip.src_addr().into(),
        destination: ip.dst_addr().into(),
        protocol: ip.next_header(),
        payload,
        missing,
        piece: (offset > 0).then_some((ip.ident(), offset)),
    })
}

fn ipv6(bytes: &[u8], behind: usize) -> Option<Packet<'_>> {
    let ip = Ipv6Packet::new_unchecked(bytes.get(..IPV6)?);
    if ip.version() != 6 {
        return None;
    }
    let to = IPV6 + usize::from(ip.payload_len());
    let (payload, missing) = payload(bytes, IPV6, to, behind)?;
    Some(Packet {
        ipv4: false,
        source: ip.src_addr().into(),
        destination: ip.dst_addr().into(),
        protocol: ip.next_header(),
        payload,
        missing,
        piece: None,
    })
}
