//! A frame in one line, as tcpdump writes it, with sequence numbers as they stand on the wire
//! (`tcpdump -S`). What is cut off or makes no sense is said so, never guessed.

use core::fmt::{self, Display};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet, IpProtocol, Ipv4Packet, Ipv6Packet,
    TcpPacket, UdpPacket,
};

/// An Ethernet frame without frame check sequence, to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(pub &'a [u8]);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(frame) = EthernetFrame::new_checked(self.0) else {
            return write!(f, "[|ether], length {}", self.0.len());
        };
        match frame.ethertype() {
            EthernetProtocol::Arp => arp(f, frame.payload()),
            EthernetProtocol::Ipv4 => ipv4(f, frame.payload()),
            EthernetProtocol::Ipv6 => ipv6(f, frame.payload()),
            EthernetProtocol::Unknown(kind) => write!(
                f,
                "{} > {}, ethertype {kind:#06x}, length {}",
                Mac(frame.src_addr()),
                Mac(frame.dst_addr()),
                self.0.len()
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

fn ipv4(f: &mut fmt::Formatter<'_>, packet: &[u8]) -> fmt::Result {
    let Ok(ip) = Ipv4Packet::new_checked(packet) else {
        return write!(f, "[|ip], length {}", packet.len());
    };
    let ends = Ends {
        name: "IP",
        source: &ip.src_addr(),
        destination: &ip.dst_addr(),
    };
    if ip.frag_offset() > 0 {
        let (at, len) = (ip.frag_offset(), ip.payload().len());
        write!(f, "{ends}: {} fragment of {}", ip.next_header(), ip.ident())?;
        return write!(f, ", offset {at}, length {len}");
    }
    transport(f, &ends, ip.next_header(), ip.payload())
}

fn ipv6(f: &mut fmt::Formatter<'_>, packet: &[u8]) -> fmt::Result {
    let Ok(ip) = Ipv6Packet::new_checked(packet) else {
        return write!(f, "[|ip6], length {}", packet.len());
    };
    let ends = Ends {
        name: "IP6",
        source: &ip.src_addr(),
        destination: &ip.dst_addr(),
    };
    transport(f, &ends, ip.next_header(), ip.payload())
}

/// Both ends of a packet.
struct Ends<'a> {
    name: &'static str,
    source: &'a dyn Display,
    destination: &'a dyn Display,
}

impl Display for Ends<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} > {}", self.name, self.source, self.destination)
    }
}

impl Ends<'_> {
    fn with_ports(&self, f: &mut fmt::Formatter<'_>, source: u16, target: u16) -> fmt::Result {
        let (from, to) = (self.source, self.destination);
        write!(f, "{} {from}.{source} > {to}.{target}: ", self.name)
    }
}

fn transport(
    f: &mut fmt::Formatter<'_>,
    ends: &Ends<'_>,
    protocol: IpProtocol,
    payload: &[u8],
) -> fmt::Result {
    let len = payload.len();
    match protocol {
        IpProtocol::Tcp => match TcpPacket::new_checked(payload) {
            Ok(segment) => tcp(f, ends, &segment),
            Err(_) => write!(f, "{ends}: [|tcp], length {len}"),
        },
        IpProtocol::Udp => match UdpPacket::new_checked(payload) {
            Ok(udp) => {
                ends.with_ports(f, udp.src_port(), udp.dst_port())?;
                write!(f, "UDP, length {}", udp.payload().len())
            }
            Err(_) => write!(f, "{ends}: [|udp], length {len}"),
        },
        IpProtocol::Icmp => {
            write!(f, "{ends}: ")?;
            match Icmpv4Packet::new_checked(payload) {
                Ok(icmp) => icmpv4(f, &icmp)?,
                Err(_) => f.write_str("[|icmp]")?,
            }
            write!(f, ", length {len}")
        }
        IpProtocol::Icmpv6 => {
            write!(f, "{ends}: ")?;
            match Icmpv6Packet::new_checked(payload) {
                Ok(icmp) => icmpv6(f, &icmp)?,
                Err(_) => f.write_str("[|icmp6]")?,
            }
            write!(f, ", length {len}")
        }
        other => write!(f, "{ends}: protocol {}, length {len}", u8::from(other)),
    }
}

fn tcp(f: &mut fmt::Formatter<'_>, ends: &Ends<'_>, segment: &TcpPacket<&[u8]>) -> fmt::Result {
    ends.with_ports(f, segment.src_port(), segment.dst_port())?;
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
    let len = segment.payload().len();
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
