//! A first look at a frame: what it is for, and for TCP the numbers that smoltcp keeps to itself.
//!
//! Every length is checked here. A TCP segment that leaves this module is complete, addressed to
//! our hardware address, and has a right checksum; smoltcp then need not sum it again.

use crate::checksum;
use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use siphasher::sip::SipHasher13;

/// Length of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;
/// Length of an IPv6 header.
const IPV6: usize = 40;
/// Prefix of an IPv4 address in mapped form (RFC 4291, 2.5.5.2).
const MAPPED: u128 = 0xffff_0000_0000;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// The two ends of a connection. IPv4 addresses are in mapped form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    /// The peer's address.
    pub remote: u128,
    /// Our address.
    pub local: u128,
    /// The peer's port.
    pub remote_port: u16,
    /// Our port.
    pub local_port: u16,
}

impl Tuple {
    /// Whether both addresses are IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.remote >> 32 == MAPPED >> 32
    }

    /// Whether the peer's address is none that a segment can come from: our own, or one that is
    /// not of a single host (RFC 1122, 3.2.1.3; RFC 4291, 2.5).
    pub fn is_martian(&self) -> bool {
        self.remote == self.local
            || match self.remote_address() {
                IpAddr::V4(remote) => {
                    remote.octets()[0] == 0
                        || remote.is_loopback()
                        || remote.is_multicast()
                        || remote.octets()[0] >= 240
                }
                IpAddr::V6(remote) => {
                    remote.is_unspecified() || remote.is_loopback() || remote.is_multicast()
                }
            }
    }

    /// A keyed hash.
    pub fn hash(&self, key: &SipHasher13) -> u64 {
        let ports = u32::from(self.remote_port) << 16 | u32::from(self.local_port);
        if self.is_ipv4() {
            let mut bytes = [0; 12];
            bytes[..4].copy_from_slice(&(self.remote as u32).to_ne_bytes());
            bytes[4..8].copy_from_slice(&(self.local as u32).to_ne_bytes());
            bytes[8..].copy_from_slice(&ports.to_ne_bytes());
            key.hash(&bytes)
        } else {
            let mut bytes = [0; 36];
            bytes[..16].copy_from_slice(&self.remote.to_ne_bytes());
            bytes[16..32].copy_from_slice(&self.local.to_ne_bytes());
            bytes[32..].copy_from_slice(&ports.to_ne_bytes());
            key.hash(&bytes)
        }
    }

    /// Our address, as smoltcp wants it.
    pub fn local_address(&self) -> IpAddr {
        Ipv6Addr::from_bits(self.local).to_canonical()
    }

    /// The peer's address.
    pub fn remote_address(&self) -> IpAddr {
        Ipv6Addr::from_bits(self.remote).to_canonical()
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.remote_address(), self.remote_port)
    }
}

/// An IPv4 address in mapped form.
pub(crate) const fn mapped(address: [u8; 4]) -> u128 {
    MAPPED | u32::from_be_bytes(address) as u128
}

/// The control bits of a TCP header (RFC 9293, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(pub u8);

impl Flags {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const PSH: u8 = 0x08;
    const ACK: u8 = 0x10;

    pub fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }
    pub fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }
    pub fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }
    pub fn psh(self) -> bool {
        self.0 & Self::PSH != 0
    }
    /// An acknowledgement and nothing else.
    pub fn is_bare_ack(self) -> bool {
        self.0 & (Self::FIN | Self::SYN | Self::RST | Self::PSH | Self::ACK) == Self::ACK
    }
    /// A SYN that asks for a connection.
    pub fn opens(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
    }
}

/// What a TCP header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// The connection that it belongs to.
    pub tuple: Tuple,
    /// Sequence number of its first byte.
    pub seq: u32,
    /// Acknowledgement number, meaningful with the ACK bit.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// Bytes of data.
    pub payload: usize,
    /// Where its header lies in the frame.
    pub start: usize,
    /// Hardware address that it came from.
    pub source: [u8; 6],
}

impl Segment {
    /// The sequence number after this segment, SYN and FIN counted (RFC 9293, 3.4).
    pub fn end(&self) -> u32 {
        self.seq
            .wrapping_add(self.payload as u32)
            .wrapping_add(u32::from(self.flags.syn()))
            .wrapping_add(u32::from(self.flags.fin()))
    }
}

/// Why a frame is not looked at further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A length or a field that cannot be right.
    Malformed,
    /// A wrong TCP checksum.
    Checksum,
    /// Not for our hardware address.
    NotForUs,
    /// A fragment of an IPv4 datagram. There is no reassembly.
    Fragment,
    /// Something that a host ignores: an unknown EtherType, a redirect, a router's question,
    /// whatever was told to everybody.
    Ignored,
}

/// What a frame is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Class {
    /// A TCP segment.
    Tcp(Segment),
    /// A datagram to the DHCP client's port.
    Dhcp,
    /// ARP, or a neighbour solicitation or advertisement.
    Neighbor,
    /// A router advertisement; its ICMPv6 message begins here.
    RouterAdvert(usize),
    /// Another packet for us, which smoltcp answers by itself.
    Other,
    /// Nothing to do.
    Refused(Refusal),
}

/// Looks at a frame. `verified` says that the device has checked its checksum.
pub(crate) fn classify(frame: &[u8], verified: bool, mac: [u8; 6]) -> Class {
    let Some(header) = frame.first_chunk::<ETHERNET>() else {
        return Class::Refused(Refusal::Malformed);
    };
    let to_us = header[..6] == mac;
    if !to_us && header[0] & 1 == 0 {
        return Class::Refused(Refusal::NotForUs);
    }
    if header[6] & 1 != 0 {
        return Class::Refused(Refusal::Malformed);
    }
    match [header[12], header[13]] {
        [0x08, 0x00] => ipv4(frame, verified, to_us),
        [0x86, 0xdd] => ipv6(frame, verified, to_us),
        [0x08, 0x06] => Class::Neighbor,
        _ => Class::Refused(Refusal::Ignored),
    }
}

fn ipv4(frame: &[u8], verified: bool, to_us: bool) -> Class {
    const MALFORMED: Class = Class::Refused(Refusal::Malformed);
    let Some(ip) = frame[ETHERNET..].first_chunk::<20>() else {
        return MALFORMED;
    };
    let header = usize::from(ip[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    // The frame may be longer: Ethernet pads to 60 bytes.
    if ip[0] >> 4 != 4 || header < 20 || total < header || ETHERNET + total > frame.len() {
        return MALFORMED;
    }
    // More fragments follow, or this one does not begin the datagram.
    if (ip[6] & 0x3f) | ip[7] != 0 {
        return Class::Refused(Refusal::Fragment);
    }
    let body = &frame[ETHERNET + header..ETHERNET + total];
    match ip[9] {
        TCP if to_us => {
            let source = mapped([ip[12], ip[13], ip[14], ip[15]]);
            let local = mapped([ip[16], ip[17], ip[18], ip[19]]);
            tcp(frame, ETHERNET + header, body, source, local, verified)
        }
        TCP => Class::Refused(Refusal::NotForUs),
        UDP if body.get(2..4) == Some(&[0, 68]) => Class::Dhcp,
        _ if to_us => Class::Other,
        _ => Class::Refused(Refusal::Ignored),
    }
}

fn ipv6(frame: &[u8], verified: bool, to_us: bool) -> Class {
    const MALFORMED: Class = Class::Refused(Refusal::Malformed);
    let Some(ip) = frame[ETHERNET..].first_chunk::<IPV6>() else {
        return MALFORMED;
    };
    let start = ETHERNET + IPV6;
    let end = start + usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    if ip[0] >> 4 != 6 || end > frame.len() {
        return MALFORMED;
    }
    let body = &frame[start..end];
    match ip[6] {
        TCP if to_us => {
            let address = |at: usize| {
                let mut bytes = [0; 16];
                bytes.copy_from_slice(&ip[at..at + 16]);
                u128::from_be_bytes(bytes)
            };
            let (source, local) = (address(8), address(24));
            // A mapped address on the wire (RFC 4291, 2.5.5.2 knows it inside hosts only) would be
            // taken for IPv4 from here on.
            if source >> 32 == MAPPED >> 32 || local >> 32 == MAPPED >> 32 {
                return MALFORMED;
            }
            tcp(frame, start, body, source, local, verified)
        }
        TCP => Class::Refused(Refusal::NotForUs),
        ICMPV6 => match body.first() {
            None => MALFORMED,
            Some(134) => Class::RouterAdvert(start),
            Some(135 | 136) => Class::Neighbor,
            // Router solicitations and redirects.
            Some(133 | 137) => Class::Refused(Refusal::Ignored),
            Some(_) if to_us => Class::Other,
            Some(_) => Class::Refused(Refusal::Ignored),
        },
        // smoltcp would look behind hop-by-hop options, find TCP, and reset a connection that it
        // does not know in an empty set. Nobody sends that.
        0 if body.first() == Some(&TCP) => Class::Refused(Refusal::Ignored),
        _ if to_us => Class::Other,
        _ => Class::Refused(Refusal::Ignored),
    }
}

fn tcp(
    frame: &[u8],
    start: usize,
    body: &[u8],
    remote: u128,
    local: u128,
    verified: bool,
) -> Class {
    let Some(head) = body.first_chunk::<20>() else {
        return Class::Refused(Refusal::Malformed);
    };
    let header = usize::from(head[12] >> 4) * 4;
    if header < 20 || header > body.len() {
        return Class::Refused(Refusal::Malformed);
    }
    if !verified && !checksum::verify(body, remote, local) {
        return Class::Refused(Refusal::Checksum);
    }
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Class::Tcp(Segment {
        tuple: Tuple {
            remote,
            local,
            remote_port: u16::from_be_bytes([head[0], head[1]]),
            local_port: u16::from_be_bytes([head[2], head[3]]),
        },
        seq: word(4),
        ack: word(8),
        flags: Flags(head[13]),
        payload: body.len() - header,
        start,
        source: [frame[6], frame[7], frame[8], frame[9], frame[10], frame[11]],
    })
}

/// The EtherType of a packet.
pub(crate) fn ether_type(packet: &[u8]) -> &'static [u8; 2] {
    match packet.first() {
        Some(first) if first >> 4 == 6 => &[0x86, 0xdd],
        _ => &[0x08, 0x00],
    }
}

/// A TCP segment that we are about to send, in a frame that smoltcp wrote: no IP options, no
/// extension headers. `None` for other frames.
pub(crate) fn outgoing(frame: &[u8]) -> Option<(usize, u128, u128)> {
    if frame.len() >= 54 && frame[12..14] == [0x08, 0x00] && frame[23] == TCP {
        let address = |at: usize| mapped([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
        Some((34, address(26), address(30)))
    } else if frame.len() >= 74 && frame[12..14] == [0x86, 0xdd] && frame[20] == TCP {
        let address = |at: usize| {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&frame[at..at + 16]);
            u128::from_be_bytes(bytes)
        };
        Some((54, address(22), address(38)))
    } else {
        None
    }
}
