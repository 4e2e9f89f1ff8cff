//! A frame in one line, as tcpdump writes it, with sequence numbers as they stand on the wire
//! (`tcpdump -S`). What is cut off or makes no sense is said so, never guessed.

use crate::packet::Packet;
use core::fmt::{self, Display};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet, IpProtocol, TcpPacket, UdpPacket,
};

/// An Ethernet frame without frame check sequence, to be shown, and how many bytes of it follow
/// elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(pub &'a [u8], pub usize);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(frame) = EthernetFrame::new_checked(self.0) else {
            return write!(f, "[|ether], length {}", self.0.len() + self.1);
        };
        match frame.ethertype() {
            EthernetProtocol::Arp => arp(f, frame.payload()),
            kind @ (EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6) => {
                match Packet::read(kind, frame.payload(), self.1) {
                    Some(packet) => transport(f, &packet),
                    None => {
                        let name = match kind {
                            EthernetProtocol::Ipv4 => "ip",
                            _ => "ip6",
                        };
                        write!(f, "[|{name}], length {}", frame.payload().len())
                    }
                }
            }
            EthernetProtocol::Unknown(kind) => write!(
                f,
                "{} > {}, ethertype {kind:#06x}, length {}",
                Mac(frame.src_addr()),
                Mac(frame.dst_addr()),
                self.0.len() + self.1
            ),
        }
    }
}

/// A hardware address as it is usually written.
struct Mac(EthernetAddress);

impl Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

fn arp(f: &mut fmt::Formatter<'_>, packet: &[u8]) -> fmt::Result {
    let read = ArpPacket::new_checked(packet)
        .and_then(|packet| ArpRepr::parse(&packet).map(|repr| (packet.operation(), repr)));
    let Ok((
        operation,
        ArpRepr::EthernetIpv4 {
            source_hardware_addr: hardware,
            source_protocol_addr: source,
            target_protocol_addr: target,
            ..
        },
    )) = read
    else {
        return write!(f, "[|arp], length {}", packet.len());
    };
    match operation {
        ArpOperation::Request => write!(f, "ARP, Request who-has {target} tell {source}"),
        ArpOperation::Reply => write!(f, "ARP, Reply {source} is-at {}", Mac(hardware)),
        ArpOperation::Unknown(number) => write!(f, "ARP, operation {number}"),
    }?;
    write!(f, ", length {}", packet.len())
}

/// Both ends of a packet.
struct Ends<'a>(&'a Packet<'a>, Option<[u16; 2]>);

impl Display for Ends<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.0.ipv4 { "IP" } else { "IP6" };
        let (from, to) = (self.0.source, self.0.destination);
        match self.1 {
            Some([source, target]) => write!(f, "{name} {from}.{source} > {to}.{target}"),
            None => write!(f, "{name} {from} > {to}"),
        }
    }
}

fn transport(f: &mut fmt::Formatter<'_>, packet: &Packet<'_>) -> fmt::Result {
    write!(f, "{}: ", Ends(packet, packet.ports()))?;
    let payload = packet.payload;
    let len = payload.len() + packet.missing;
    if let Some((ident, offset)) = packet.piece {
        write!(f, "{} fragment of {ident}", packet.protocol)?;
        return write!(f, ", offset {offset}, length {len}");
    }
    match packet.protocol {
        IpProtocol::Tcp => match TcpPacket::new_checked(payload) {
            Ok(segment) => tcp(f, &segment, packet.missing),
            Err(_) => write!(f, "[|tcp], length {len}"),
        },
        IpProtocol::Udp => match UdpPacket::new_checked(payload) {
            Ok(udp) => write!(f, "UDP, length {}", udp.payload().len()),
            Err(_) => write!(f, "[|udp], length {len}"),
        },
        IpProtocol::Icmp => {
            match Icmpv4Packet::new_checked(payload) {
                Ok(icmp) => icmpv4(f, &icmp)?,
                Err(_) => f.write_str("[|icmp]")?,
            }
            write!(f, ", length {len}")
        }
        IpProtocol::Icmpv6 => {
            match Icmpv6Packet::new_checked(payload) {
                Ok(icmp) => icmpv6(f, &icmp)?,
                Err(_) => f.write_str("[|icmp6]")?,
            }
            write!(f, ", length {len}")
        }
        other => write!(f, "protocol {}, length {len}", u8::from(other)),
    }
}

/// A segment of which `missing` bytes follow elsewhere.
fn tcp(f: &mut fmt::Formatter<'_>, segment: &TcpPacket<&[u8]>, missing: usize) -> fmt::Result {
    f.write_str("Flags [")?;
    let flags = [
        (segment.fin(), 'F'),
        (segment.syn(), 'S'),
        (segment.rst(), 'R'),
        (segment.psh(), 'P'),
        (segment.ack(), '.'),
        (segment.urg(), 'U'),
        (segment.ece(), 'E'),
        (segment.cwr(), 'W'),
    ];
    if flags.iter().all(|(set, _)| !set) {
        f.write_str("none")?;
    }
    for (_, letter) in flags.into_iter().filter(|(set, _)| *set) {
        write!(f, "{letter}")?;
    }
    f.write_str("]")?;
    let len = segment.payload().len() + missing;
    let seq = segment.seq_number().0 as u32;
    if len > 0 {
        write!(f, ", seq {seq}:{}", seq.wrapping_add(len as u32))?;
    } else if segment.fin() || segment.syn() || segment.rst() || !segment.ack() {
        write!(f, ", seq {seq}")?;
    }
    if segment.ack() {
        write!(f, ", ack {}", segment.ack_number().0 as u32)?;
    }
    write!(f, ", win {}, length {len}", segment.window_len())
}

fn icmpv4(f: &mut fmt::Formatter<'_>, icmp: &Icmpv4Packet<&[u8]>) -> fmt::Result {
    match icmp.msg_type() {
        kind @ (Icmpv4Message::EchoRequest | Icmpv4Message::EchoReply) => {
            let name = match kind {
                Icmpv4Message::EchoRequest => "request",
                _ => "reply",
            };
            let (id, seq) = (icmp.echo_ident(), icmp.echo_seq_no());
            write!(f, "ICMP echo {name}, id {id}, seq {seq}")
        }
        kind => write!(f, "ICMP {kind}, code {}", icmp.msg_code()),
    }
}

fn icmpv6(f: &mut fmt::Formatter<'_>, icmp: &Icmpv6Packet<&[u8]>) -> fmt::Result {
    match icmp.msg_type() {
        Icmpv6Message::EchoRequest => write!(
            f,
            "ICMP6, echo request, id {}, seq {}",
            icmp.echo_ident(),
            icmp.echo_seq_no()
        ),
        Icmpv6Message::EchoReply => write!(
            f,
            "ICMP6, echo reply, id {}, seq {}",
            icmp.echo_ident(),
            icmp.echo_seq_no()
        ),
        Icmpv6Message::NeighborSolicit => {
            write!(
                f,
                "ICMP6, neighbor solicitation, who has {}",
                icmp.target_addr()
            )
        }
        Icmpv6Message::NeighborAdvert => {
            write!(
                f,
                "ICMP6, neighbor advertisement, tgt is {}",
                icmp.target_addr()
            )
        }
        Icmpv6Message::RouterSolicit => f.write_str("ICMP6, router solicitation"),
        Icmpv6Message::RouterAdvert => f.write_str("ICMP6, router advertisement"),
        kind => write!(f, "ICMP6, {kind}, code {}", icmp.msg_code()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
