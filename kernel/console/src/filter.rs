//! Which frames are wanted.

use crate::packet::Packet;
use core::fmt;
use core::net::IpAddr;
use smoltcp::wire::{ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol};

/// A choice of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
    #[default]
    All,
    /// Those from or to an address, ARP included.
    Address(IpAddr),
    /// Those from or to a port of TCP or UDP.
    Port(u16),
}

impl Filter {
    /// Reads an address or a port.
    #[must_use]
    pub fn parse(text: &str) -> Option<Filter> {
        if let Ok(address) = text.parse() {
            return Some(Filter::Address(address));
        }
        let port = text.parse().ok().filter(|port| *port > 0)?;
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then_some(Filter::Port(port))
    }

    /// Whether a frame is wanted.
    #[must_use]
    pub fn takes(&self, frame: &[u8]) -> bool {
        match self {
            Filter::All => true,
            Filter::Address(address) => addresses(frame).is_some_and(|both| both.contains(address)),
            Filter::Port(port) => EthernetFrame::new_checked(frame)
                .ok()
                .and_then(|frame| packet(&frame)?.ports())
                .is_some_and(|both| both.contains(port)),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::All => f.write_str("all frames"),
            Filter::Address(address) => write!(f, "frames from and to {address}"),
            Filter::Port(port) => write!(f, "frames from and to port {port}"),
        }
    }
}

fn addresses(frame: &[u8]) -> Option<[IpAddr; 2]> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() == EthernetProtocol::Arp {
        let packet = ArpPacket::new_checked(frame.payload()).ok()?;
        return match ArpRepr::parse(&packet).ok()? {
            ArpRepr::EthernetIpv4 {
                source_protocol_addr,
                target_protocol_addr,
                ..
            } => Some([source_protocol_addr.into(), target_protocol_addr.into()]),
            _ => None,
        };
    }
    let packet = packet(&frame)?;
    Some([packet.source, packet.destination])
}

/// The packet in a frame, wherever its end lies.
fn packet<'a>(frame: &EthernetFrame<&'a [u8]>) -> Option<Packet<'a>> {
    Packet::read(frame.ethertype(), frame.payload(), usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::{ARP, SEGMENT, SOLICITATION};

    #[test]
    fn filters_are_an_address_or_a_port() {
        let address = |text: &str| Some(Filter::Address(text.parse().unwrap()));
        assert_eq!(Filter::parse("10.0.2.2"), address("10.0.2.2"));
        assert_eq!(Filter::parse("fe80::1"), address("fe80::1"));
        assert_eq!(Filter::parse("80"), Some(Filter::Port(80)));
        for text in ["0", "65536", "+80", "host", "10.0.2", "", "80x"] {
            assert_eq!(Filter::parse(text), None, "{text}");
        }
    }

    #[test]
    fn frames_are_taken_by_what_is_in_them() {
        for (filter, taken) in [
            ("10.0.2.2", [true, true, false]),
            ("10.0.2.15", [true, true, false]),
            ("10.0.2.3", [false; 3]),
            ("80", [false, true, false]),
            ("40422", [false, true, false]),
            ("81", [false; 3]),
            ("fe80::2", [false, false, true]),
        ] {
            let parsed = Filter::parse(filter).unwrap();
            let took = [ARP, SEGMENT, SOLICITATION].map(|frame| parsed.takes(frame));
            assert_eq!(took, taken, "{filter}");
            for frame in [ARP, SEGMENT, SOLICITATION] {
                for len in 0..frame.len() {
                    let _ = parsed.takes(&frame[..len]);
                }
            }
        }
        assert!(Filter::All.takes(b""));
    }
}
