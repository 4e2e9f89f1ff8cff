//! A first look at a frame: what it is for, and for TCP the numbers that smoltcp keeps to itself.
//!
//! Every length is checked here. A TCP segment that leaves this module is complete, addressed to
//! our hardware address, and has a right checksum; smoltcp then need not sum it again.

use crate::checksum;
use crate::internet::is_extension;
use crate::sender::{BLOCKS, Peer, Sack};
use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use siphasher::sip::SipHasher13;

/// Length of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;
/// Length of an IPv6 header.
pub(crate) const IPV6: usize = 40;
/// Prefix of an IPv4 address in mapped form (RFC 4291, 2.5.5.2).
pub(crate) const MAPPED: u128 = 0xffff_0000_0000;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
/// IPv4 options that tell the route: loose and strict (RFC 791, 3.1).
const SOURCE_ROUTES: [u8; 2] = [131, 137];

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

    /// A keyed hash.
    #[cfg_attr(target_os = "none", optimize(speed))]
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

/// The address at `at` of an IPv4 header, in mapped form.
pub(crate) fn ipv4_address(ip: &[u8; 20], at: usize) -> u128 {
    mapped([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]])
}

/// The address at `at` of an IPv6 header.
pub(crate) fn ipv6_address(ip: &[u8; IPV6], at: usize) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&ip[at..at + 16]);
    u128::from_be_bytes(bytes)
}

/// Whether no packet can come from `source` to `destination`: it is that address itself, or not
/// of a single host (RFC 1122, 3.2.1.3; RFC 4291, 2.5).
fn is_martian(source: u128, destination: u128) -> bool {
    source == destination
        || if source >> 32 == MAPPED >> 32 {
            matches!(source as u32 >> 24, 0 | 127 | 224..)
        } else {
            source <= 1 || source >> 120 == 0xff
        }
}

/// The control bits of a TCP header (RFC 9293, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(pub u8);

impl Flags {
    /// The sender has said everything.
    pub const FIN: u8 = 0x01;
    /// The connection begins.
    pub const SYN: u8 = 0x02;
    /// The connection is no more.
    pub const RST: u8 = 0x04;
    /// What was sent so far is worth looking at.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    const URG: u8 = 0x20;

    pub fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }
    pub fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }
    pub fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }
    /// An acknowledgement, with or without something.
    pub fn answers(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST) == Self::ACK
    }
    pub fn acknowledges(self) -> bool {
        self.0 & Self::ACK != 0
    }
    /// An acknowledgement and nothing else.
    pub fn is_bare_ack(self) -> bool {
        self.0 & (Self::FIN | Self::SYN | Self::RST | Self::PSH | Self::ACK) == Self::ACK
    }
    /// Data, which may be worth looking at, and an acknowledgement.
    pub fn is_data(self) -> bool {
        self.0 & (Self::FIN | Self::SYN | Self::RST | Self::ACK | Self::URG) == Self::ACK
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
    /// The peer's window, not shifted.
    pub window: u16,
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
    /// A wrong checksum of TCP or of an IPv4 header.
    Checksum,
    /// Not for our hardware address.
    NotForUs,
    /// Of a virtual LAN.
    Vlan,
    /// From an address that no packet can come from.
    Martian,
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
    /// ARP.
    Arp,
    /// A neighbour solicitation or advertisement; its ICMPv6 message begins here.
    Neighbor(usize),
    /// A router advertisement; its ICMPv6 message begins here.
    RouterAdvert(usize),
    /// Another message of ICMP or ICMPv6 to our hardware address; where it begins and ends.
    Icmp(usize, usize),
    /// Another packet to our hardware address, which smoltcp answers by itself.
    Other,
    /// One that has to be made plain first: with a tag, extension headers, or in pieces.
    Dressed,
    /// Nothing to do.
    Refused(Refusal),
}

/// Looks at a frame. `verified` says that the device has checked its checksum.
#[cfg_attr(target_os = "none", optimize(speed))]
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
        [0x08, 0x06] => Class::Arp,
        // IEEE 802.1Q, 9.6: the VLAN is the tag's lower 12 bits, and 0 is none.
        [0x81, 0x00] => match frame[ETHERNET..] {
            [a, b, _, _, ..] if a & 0x0f == 0 && b == 0 => Class::Dressed,
            [_, _, _, _, ..] => Class::Refused(Refusal::Vlan),
            _ => Class::Refused(Refusal::Malformed),
        },
        [0x88, 0xa8] => Class::Refused(Refusal::Vlan),
        _ => Class::Refused(Refusal::Ignored),
    }
}

#[cfg_attr(target_os = "none", optimize(speed))]
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
    let start = ETHERNET + header;
    let sum = match header {
        20 => checksum::ipv4(ip),
        _ => checksum::plain(&frame[ETHERNET..start]),
    };
    if sum != 0 {
        return Class::Refused(Refusal::Checksum);
    }
    let body = &frame[start..ETHERNET + total];
    // More fragments follow, or this one does not begin the datagram.
    let piece = (ip[6] & 0x3f) | ip[7] != 0;
    if ip[9] == UDP && !piece && body.get(2..4) == Some(&[0, 68]) {
        return Class::Dhcp;
    }
    let (source, local) = (ipv4_address(ip, 12), ipv4_address(ip, 16));
    if is_martian(source, local) {
        return Class::Refused(Refusal::Martian);
    }
    // RFC 7126, 4.3 and 4.4.
    if header > 20 && has_source_route(&frame[ETHERNET + 20..start]) {
        return Class::Refused(Refusal::Ignored);
    }
    match ip[9] {
        TCP if !to_us => Class::Refused(Refusal::NotForUs),
        _ if !to_us => Class::Refused(Refusal::Ignored),
        _ if piece => Class::Dressed,
        TCP => tcp(frame, start, body, source, local, verified),
        ICMP => Class::Icmp(start, ETHERNET + total),
        _ => Class::Other,
    }
}

fn has_source_route(mut options: &[u8]) -> bool {
    loop {
        options = match options {
            [kind, ..] if SOURCE_ROUTES.contains(kind) => return true,
            // The end of the list, or no operation.
            [] | [0, ..] => return false,
            [1, rest @ ..] => rest,
            [_, len, ..] if *len >= 2 && usize::from(*len) <= options.len() => {
                &options[usize::from(*len)..]
            }
            _ => return false,
        };
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
    let (source, local) = (ipv6_address(ip, 8), ipv6_address(ip, 24));
    // Mapped addresses on the wire (RFC 4291, 2.5.5.2 knows them inside hosts only) would be
    // taken for IPv4 from here on.
    if source >> 32 == MAPPED >> 32 || local >> 32 == MAPPED >> 32 {
        return MALFORMED;
    }
    // Who has no address yet asks whether his own is taken (RFC 4862, 5.4.2).
    let kind = body.first().filter(|_| ip[6] == ICMPV6);
    if is_martian(source, local) && !(source == 0 && kind == Some(&135)) {
        return Class::Refused(Refusal::Martian);
    }
    match (ip[6], kind) {
        (TCP, _) if to_us => tcp(frame, start, body, source, local, verified),
        (TCP, _) => Class::Refused(Refusal::NotForUs),
        (ICMPV6, None) => MALFORMED,
        (ICMPV6, Some(134)) => Class::RouterAdvert(start),
        (ICMPV6, Some(135 | 136)) => Class::Neighbor(start),
        _ if !to_us => Class::Refused(Refusal::Ignored),
        (ICMPV6, _) => Class::Icmp(start, end),
        (next, _) if is_extension(next) => Class::Dressed,
        _ => Class::Other,
    }
}

#[cfg_attr(target_os = "none", optimize(speed))]
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
        window: u16::from_be_bytes([head[14], head[15]]),
        payload: body.len() - header,
        start,
        source: [frame[6], frame[7], frame[8], frame[9], frame[10], frame[11]],
    })
}

/// Least segment size that a peer may ask for, as in Linux: less only costs.
const LEAST_MSS: u16 = 48;

/// What the options of a SYN say (RFC 9293, 3.2; RFC 7323, 2). `frame` holds `segment`.
pub(crate) fn peer(frame: &[u8], segment: &Segment) -> Peer {
    let mut peer = Peer {
        // RFC 9293, 3.7.1.
        segment: if segment.tuple.is_ipv4() { 536 } else { 1220 },
        scale: None,
        sack: false,
    };
    let header = usize::from(frame[segment.start + 12] >> 4) * 4;
    let mut options = &frame[segment.start + 20..segment.start + header];
    loop {
        options = match *options {
            [1, ref rest @ ..] => rest,
            [2, 4, high, low, ref rest @ ..] => {
                match u16::from_be_bytes([high, low]) {
                    0 => {}
                    size => peer.segment = size.max(LEAST_MSS),
                }
                rest
            }
            [3, 3, scale, ref rest @ ..] => {
                peer.scale = Some(scale.min(14));
                rest
            }
            [4, 2, ref rest @ ..] => {
                peer.sack = true;
                rest
            }
            [kind, len, ..] if kind >= 2 && len >= 2 && usize::from(len) <= options.len() => {
                &options[usize::from(len)..]
            }
            // The end of the list, or something malformed.
            _ => return peer,
        };
    }
}

/// The data of a segment. `frame` holds it.
pub(crate) fn payload<'a>(frame: &'a [u8], segment: &Segment) -> &'a [u8] {
    let header = usize::from(frame[segment.start + 12] >> 4) * 4;
    let start = segment.start + header;
    &frame[start..start + segment.payload]
}

/// What the options of an acknowledgement tell of gaps (RFC 2018, 3); `None`: there are no options.
#[inline]
pub(crate) fn blocks(frame: &[u8], segment: &Segment) -> Option<Sack> {
    match frame[segment.start + 12] >> 4 {
        5 => None,
        _ => Some(blocks_among(frame, segment)),
    }
}

fn blocks_among(frame: &[u8], segment: &Segment) -> Sack {
    let mut blocks = Sack::default();
    let header = usize::from(frame[segment.start + 12] >> 4) * 4;
    let mut options = &frame[segment.start + 20..segment.start + header];
    loop {
        options = match *options {
            [1, ref rest @ ..] => rest,
            [5, len, ..] if len >= 10 && usize::from(len) <= options.len() => {
                let (words, _) = options[2..usize::from(len)].as_chunks::<4>();
                let (pairs, _) = words.as_chunks::<2>();
                for (target, [start, end]) in blocks.blocks.iter_mut().zip(pairs) {
                    *target = (u32::from_be_bytes(*start), u32::from_be_bytes(*end));
                }
                blocks.count = pairs.len().min(BLOCKS) as u8;
                return blocks;
            }
            [kind, len, ..] if kind > 1 && len >= 2 && usize::from(len) <= options.len() => {
                &options[usize::from(len)..]
            }
            _ => return blocks,
        };
    }
}

/// The EtherType of a packet.
pub(crate) fn ether_type(packet: &[u8]) -> &'static [u8; 2] {
    match packet.first() {
        Some(first) if first >> 4 == 6 => &[0x86, 0xdd],
        _ => &[0x08, 0x00],
    }
}

/// The TCP segment in a packet that smoltcp wrote for a connection.
pub(crate) fn held(packet: &[u8]) -> Option<&[u8]> {
    match packet.first()? >> 4 {
        4 if packet.len() >= 40 => Some(&packet[20..]),
        6 if packet.len() >= 60 => Some(&packet[40..]),
        _ => None,
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
