//! Other hosts on the link: who asks for our hardware address is answered, and who uses an address
//! of ours is noticed.
//!
//! Nothing is remembered of them, so there is nothing that a stranger could fill: what answers a
//! frame goes back to where that came from. The one cache is smoltcp's, for its DHCP client; only
//! answers of the server and the gateway reach it.

use super::{Addresses, announce};
use crate::context::Context;
use crate::link::Carrier;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, Icmpv6Packet, Icmpv6Repr, Ipv6Packet, NdiscNeighborFlags,
    NdiscRepr,
};

/// Least time between two defences of an address (RFC 5227, 1.1).
const DEFEND_EVERY: Duration = Duration::from_secs(10);

impl Addresses {
    /// A frame of ARP.
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn arp(
        &mut self,
        context: &mut Context,
        frame: &[u8],
        host: &mut dyn Carrier,
        now: Instant,
    ) {
        let packet = ArpPacket::new_checked(&frame[crate::segment::ETHERNET..]);
        let Ok(arp) = packet.and_then(|packet| ArpRepr::parse(&packet)) else {
            context.service.stats.dropped.malformed += 1;
            return;
        };
        let ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: hardware,
            source_protocol_addr: sender,
            target_protocol_addr: target,
            ..
        } = arp
        else {
            return;
        };
        let ours = |context: &Context, address: Ipv4Addr| {
            context.ethernet.has_ip_addr(IpAddr::V4(address))
        };
        if !hardware.is_unicast() || hardware.0 == self.mac {
            context.service.stats.dropped.ignored += 1;
        } else if ours(context, sender) {
            self.conflict(context, sender.into(), now);
            // RFC 5227, 2.4 (b): we keep it, and say so now and then.
            if now >= self.defended + DEFEND_EVERY {
                self.defended = now;
                announce::arp_announce(context, host, self.mac, sender);
            }
        } else if operation == ArpOperation::Request && ours(context, target) {
            // Who asks from 0.0.0.0 looks whether the address is taken (RFC 5227, 2.1.1).
            if self.may_answer(context, now)
                && announce::arp_reply(context, host, self.mac, target, (hardware, sender))
            {
                context.service.stats.neighbors.answered += 1;
            }
        } else if operation == ArpOperation::Reply && self.is_asked_for(sender) {
            context.resolve(frame, host, now);
        } else {
            context.service.stats.dropped.ignored += 1;
        }
    }

    /// A neighbour solicitation or advertisement, whose ICMPv6 message begins at `start`.
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn neighbor(
        &mut self,
        context: &mut Context,
        frame: &[u8],
        start: usize,
        host: &mut dyn Carrier,
        now: Instant,
    ) {
        let Some((source, message)) = parse(frame, start) else {
            context.service.stats.dropped.malformed += 1;
            return;
        };
        let mut peer = [0; 6];
        peer.copy_from_slice(&frame[6..12]);
        let (target, question) = match message {
            NdiscRepr::NeighborSolicit { target_addr, .. } => (target_addr, true),
            NdiscRepr::NeighborAdvert { target_addr, .. } => (target_addr, false),
            _ => return,
        };
        if !context.ethernet.has_ip_addr(IpAddr::V6(target)) || peer == self.mac {
            context.service.stats.dropped.ignored += 1;
            return;
        }
        let tentative = self.is_tentative(target);
        if !question || tentative && source.is_unspecified() {
            // RFC 4862, 5.4.3 and 5.4.4.
            self.conflict(context, target.into(), now);
            if tentative {
                self.withdraw(context, target);
            }
            return;
        }
        if !self.may_answer(context, now) {
            return;
        }
        let mut flags = NdiscNeighborFlags::empty();
        // RFC 4429, 3.3: what may be another's too overrides nothing.
        flags.set(NdiscNeighborFlags::OVERRIDE, !tentative);
        flags.set(NdiscNeighborFlags::SOLICITED, !source.is_unspecified());
        let to = (!source.is_unspecified()).then_some((peer, source));
        if announce::neighbor_advert(context, host, self.mac, target, flags, to) {
            context.service.stats.neighbors.answered += 1;
        }
    }

    fn may_answer(&mut self, context: &mut Context, now: Instant) -> bool {
        let may = self.answers.allows(now);
        context.service.stats.dropped.limited += u64::from(!may);
        may
    }

    /// Whether the DHCP client may have asked for this hardware address.
    fn is_asked_for(&self, address: Ipv4Addr) -> bool {
        let server = self.dhcp.as_ref().and_then(|dhcp| dhcp.server);
        self.dhcp.is_some() && (self.gateway == Some(address) || server == Some(address))
    }

    /// Another uses an address of ours.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn conflict(&mut self, context: &mut Context, address: IpAddr, now: Instant) {
        context.service.stats.neighbors.conflicts += 1;
        if self.complaints.allows(now) {
            log::warn!("another host uses our address {address}");
        }
    }

    /// Whether we may not be the only one with this address.
    fn is_tentative(&self, address: Ipv6Addr) -> bool {
        let mut slots = self.announcements.iter().flatten();
        slots.any(|slot| slot.address == address && slot.is_tentative())
    }

    /// Gives up an address that another has.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn withdraw(&mut self, context: &mut Context, address: Ipv6Addr) {
        log::warn!("gave up the address {address}");
        for slot in &mut self.announcements {
            slot.take_if(|slot| slot.address == address);
        }
        let mut lost = None;
        for cidr in context.ethernet.ip_addrs() {
            if cidr.address() == address.into() {
                lost = Some(*cidr);
            }
        }
        if let Some(lost) = lost {
            context.lose(lost);
        }
    }
}

/// Who sent a message and what it says, if it passes the checks of RFC 4861, 7.1.
#[cfg_attr(target_os = "none", optimize(size))]
fn parse(frame: &[u8], start: usize) -> Option<(Ipv6Addr, NdiscRepr<'_>)> {
    let ip = Ipv6Packet::new_checked(&frame[crate::segment::ETHERNET..]).ok()?;
    let end = start + usize::from(ip.payload_len());
    let icmp = Icmpv6Packet::new_checked(frame.get(start..end)?).ok()?;
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    if ip.hop_limit() != 255 || icmp.msg_code() != 0 {
        return None;
    }
    let checksums = ChecksumCapabilities::default();
    match Icmpv6Repr::parse(&source, &destination, &icmp, &checksums).ok()? {
        Icmpv6Repr::Ndisc(message) => Some((source, message)),
        _ => None,
    }
}
