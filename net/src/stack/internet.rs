//! What comes by IP and is no segment: pieces of datagrams, ICMP, and what nobody here takes.

use super::{HALF_OPEN, Stack};
use crate::checksum;
use crate::host::Host;
use crate::internet::{self, Complaint, Fault, Form, Fragments, LARGEST, Limit, Message};
use crate::internet::{Route, Sender};
use crate::segment::{self, ETHERNET, ICMP, ICMPV6, IPV6, MAPPED};
use crate::table::Target;
use alloc::boxed::Box;
use alloc::vec;
use core::mem;
use core::net::Ipv6Addr;
use siphasher::sip::SipHasher13;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::IpAddress;

/// Echo replies: a thousand in a second.
const ECHOES: Limit = Limit::new(Duration::from_millis(1), 200);
/// ICMP errors and resets to nobody's segments: both tell a stranger that he is wrong, and cost us
/// as much as him (RFC 1812, 4.3.2.8; RFC 4443, 2.4 f).
const COMPLAINTS: Limit = Limit::new(Duration::from_millis(2), 200);
/// The shortest packets that a router can ask for: by IPv4 as in Linux, by IPv6 as in RFC 8200, 5.
const LEAST_MTU: u32 = 552;
const LEAST_MTU6: u32 = 1280;
/// The most that an error carries of what it is about: a packet of 576 bytes (RFC 1812, 4.3.2.3).
const QUOTE: usize = 548;

/// What IP needs beside TCP.
pub(super) struct Internet {
    fragments: Fragments,
    sender: Sender,
    /// Where a packet is made plain.
    plain: Box<[u8]>,
    echoes: Limit,
    complaints: Limit,
}

impl Internet {
    /// `places` for datagrams in pieces; `key` is random.
    pub fn new(places: usize, key: SipHasher13) -> Internet {
        Internet {
            fragments: Fragments::new(places),
            sender: Sender::new(key),
            plain: vec![0; ETHERNET + IPV6 + LARGEST].into_boxed_slice(),
            echoes: ECHOES,
            complaints: COMPLAINTS,
        }
    }

    /// When a datagram is given up, if there is one.
    pub fn next(&self) -> Option<Instant> {
        self.fragments.next()
    }
}

impl Stack {
    /// A frame that has to be made plain before it can be sorted.
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn undress(
        &mut self,
        frame: &[u8],
        verified: bool,
        host: &mut impl Host,
        now: Instant,
    ) {
        let mut plain = mem::take(&mut self.internet.plain);
        let mut verified = verified;
        let mut form = match plain.is_empty() {
            // This is the plain form of another.
            true => Form::Refused(segment::Refusal::Ignored),
            false => internet::plain(frame, &mut plain),
        };
        if let Form::Fragment(piece) = form {
            if !self.is_ours(piece.key.destination) {
                form = Form::Refused(segment::Refusal::NotForUs);
            } else {
                let stats = &mut self.context.service.stats.fragmented;
                let whole = self.internet.fragments.add(&piece, &plain, now, stats);
                let Some(whole) = whole else {
                    self.internet.plain = plain;
                    return;
                };
                verified = false;
                form = internet::plain(whole, &mut plain);
            }
        }
        match form {
            Form::Frame(len) => self.sort(&plain[..len], verified, host, now),
            // Pieces in pieces.
            Form::Fragment(_) => self.refuse(segment::Refusal::Ignored),
            Form::Refused(refusal) => self.refuse(refusal),
        }
        self.internet.plain = plain;
    }

    /// A message of ICMP.
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn icmp(
        &mut self,
        frame: &[u8],
        (start, end): (usize, usize),
        host: &mut impl Host,
        now: Instant,
    ) {
        let (v4, source, destination) = ends(frame);
        if !self.is_ours(destination) {
            return self.refuse(segment::Refusal::NotForUs);
        }
        let message = &frame[start..end];
        match internet::parse(message, v4, source, destination) {
            None => self.refuse(segment::Refusal::Checksum),
            Some(Message::Other) => self.refuse(segment::Refusal::Ignored),
            Some(Message::Error(complaint)) => self.hear(&complaint, host, now),
            Some(Message::Echo) if self.is_broadcast(source) => {
                self.refuse(segment::Refusal::Martian);
            }
            Some(Message::Echo) if !self.internet.echoes.allows(now) => {
                self.context.service.stats.dropped.limited += 1;
            }
            Some(Message::Echo) => {
                let reply = &mut self.context.desk[..message.len()];
                reply.copy_from_slice(message);
                reply[0] = if v4 { 0 } else { 129 };
                let route = self.back(frame);
                let context = &mut self.context;
                let reply = finish(&mut context.desk[..message.len()], v4, &route);
                let (sender, wire) = (&mut self.internet.sender, &mut context.wire);
                let protocol = if v4 { ICMP } else { ICMPV6 };
                if sender.send(wire, host, &route, protocol, reply) {
                    context.service.stats.icmp.echoed += 1;
                }
            }
        }
    }

    /// A segment or packet that nobody here takes: smoltcp says so.
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn stray(&mut self, frame: &[u8], host: &mut impl Host, now: Instant) {
        let (_, source, destination) = ends(frame);
        if !self.is_ours(destination) {
            self.refuse(segment::Refusal::NotForUs);
        } else if self.is_broadcast(source) {
            self.refuse(segment::Refusal::Martian);
        } else if !self.internet.complaints.allows(now) {
            self.context.service.stats.dropped.limited += 1;
        } else {
            self.context.stray(frame, host, now);
        }
    }

    /// Gives up datagrams of which something is missing, and tells who sent them (RFC 1122,
    /// 3.3.2; RFC 8200, 4.5).
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn give_up_pieces(&mut self, host: &mut impl Host, now: Instant) {
        loop {
            let stats = &mut self.context.service.stats;
            let fragments = &mut self.internet.fragments;
            let Some(expired) = fragments.expire(now, &mut stats.fragmented) else {
                return;
            };
            let Some(first) = expired.first else {
                continue;
            };
            if !self.internet.complaints.allows(now) {
                stats.dropped.limited += 1;
                continue;
            }
            let packet = &first[ETHERNET..];
            let quote = &packet[..packet.len().min(QUOTE)];
            let (v4, ..) = ends(first);
            let route = route(self.mac, first);
            let context = &mut self.context;
            let message = &mut context.desk[..8 + quote.len()];
            message[..8].fill(0);
            message[..2].copy_from_slice(if v4 { &[11, 1] } else { &[3, 1] });
            message[8..].copy_from_slice(quote);
            let message = finish(message, v4, &route);
            let protocol = if v4 { ICMP } else { ICMPV6 };
            let (sender, wire) = (&mut self.internet.sender, &mut context.wire);
            sender.send(wire, host, &route, protocol, message);
        }
    }

    /// An error about a segment of ours. Only what names a number that is on its way is believed
    /// (RFC 5927, 4.1); and once both ends have spoken, no error ends a connection (RFC 5927, 5.2).
    #[cfg_attr(target_os = "none", optimize(size))]
    fn hear(&mut self, complaint: &Complaint, host: &mut impl Host, now: Instant) {
        let hash = self.table.hash(&complaint.tuple);
        let found = self.table.find(hash, |target| match target {
            Target::Flow(flow) => self.pool[flow].tuple == complaint.tuple,
            Target::TimeWait(_) => false,
        });
        let stats = &mut self.context.service.stats;
        match found {
            Some(Target::Flow(flow)) if self.pool[flow].awaits(complaint.seq) => {
                stats.icmp.errors += 1;
                match complaint.fault {
                    Fault::Hard if self.order.holds(flow, HALF_OPEN) => self.release(flow),
                    Fault::TooBig(mtu) => self.shorten(flow, mtu, host, now),
                    Fault::Hard | Fault::Soft => {}
                }
            }
            _ => stats.icmp.disbelieved += 1,
        }
    }

    /// A router does not let through packets of more than `mtu` bytes (RFC 1191, RFC 8201).
    #[cfg_attr(target_os = "none", optimize(size))]
    fn shorten(&mut self, flow: u32, mtu: u32, host: &mut impl Host, now: Instant) {
        let state = &mut self.pool[flow];
        let mtu = match state.tuple.is_ipv4() {
            true => mtu.max(LEAST_MTU),
            false if mtu < LEAST_MTU6 => return,
            false => mtu,
        };
        if state.shorten(mtu, now) {
            self.context.service.stats.icmp.path_mtu += 1;
            self.run(flow, None, host, now);
        }
    }

    /// Whether an address is one of ours. IPv4 addresses are in mapped form.
    fn is_ours(&self, address: u128) -> bool {
        let address = Ipv6Addr::from_bits(address).to_canonical();
        self.context.internet.has_ip_addr(IpAddress::from(address))
    }

    /// Whether an address stands for all hosts of a network of ours.
    pub(super) fn is_broadcast(&self, address: u128) -> bool {
        let addresses = self.context.internet.ip_addrs().iter();
        address >> 32 == MAPPED >> 32
            && addresses
                .filter_map(|cidr| match cidr {
                    smoltcp::wire::IpCidr::Ipv4(cidr) => cidr.broadcast(),
                    smoltcp::wire::IpCidr::Ipv6(_) => None,
                })
                .any(|broadcast| broadcast.to_bits() == address as u32)
    }

    /// The way back.
    fn back(&self, frame: &[u8]) -> Route {
        route(self.mac, frame)
    }
}

/// The way back to where a frame came from.
fn route(mac: [u8; 6], frame: &[u8]) -> Route {
    let (_, source, destination) = ends(frame);
    let mut peer = [0; 6];
    peer.copy_from_slice(&frame[6..12]);
    Route {
        hardware: (mac, peer),
        source: destination,
        destination: source,
    }
}

/// Whether a plain frame is of IPv4, and its addresses.
fn ends(frame: &[u8]) -> (bool, u128, u128) {
    let packet = &frame[ETHERNET..];
    match (packet.first_chunk::<20>(), packet.first_chunk::<IPV6>()) {
        (_, Some(ip)) if ip[0] >> 4 == 6 => (
            false,
            segment::ipv6_address(ip, 8),
            segment::ipv6_address(ip, 24),
        ),
        (Some(ip), _) => (
            true,
            segment::ipv4_address(ip, 12),
            segment::ipv4_address(ip, 16),
        ),
        _ => unreachable!("a sorted frame has a whole IP header"),
    }
}

/// Writes the checksum of a message that goes by `route`.
fn finish<'a>(message: &'a mut [u8], v4: bool, route: &Route) -> &'a [u8] {
    message[2..4].fill(0);
    let sum = match v4 {
        true => checksum::plain(message),
        false => checksum::icmpv6(message, route.source, route.destination),
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}
