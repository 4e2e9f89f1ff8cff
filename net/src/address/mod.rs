//! The addresses of this host: how they are got, kept, announced and lost.
//!
//! IPv4 is fixed or comes by DHCP (RFC 2131, smoltcp's client); IPv6 has a link-local address and
//! others by router advertisements or fixed. What is gained is announced, so that the first
//! client does not wait for an address resolution of its own. An IPv6 address is used at once and
//! looked for elsewhere meanwhile (RFC 4429).

mod announce;
mod neighbor;
mod slaac;

use crate::context::Context;
use crate::internet::Limit;
use crate::link::Carrier;
use crate::link::Link;
use alloc::boxed::Box;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use quartz_abi::cmdline::{Ipv4Setup, Ipv6Setup};
use slaac::Slaac;
use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::dhcpv4;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr, Ipv6Cidr, NdiscNeighborFlags,
};

/// Announcements of one address (RFC 5227, 2.3; RFC 4861, 7.2.6).
const ANNOUNCEMENTS: u8 = 2;
/// Time between them.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(2);
/// How long another has to object to an address of ours (RFC 4861, 10: RETRANS_TIMER).
const OBJECTION: Duration = Duration::from_secs(1);
/// Answers to who asks for our hardware address: a thousand in a second.
const ANSWERS: Limit = Limit::new(Duration::from_millis(1), 200);
/// Lines in the log about other hosts.
const COMPLAINTS: Limit = Limit::new(Duration::from_secs(60), 2);
/// Time to the next attempt when the transmit ring was full.
const RETRY: Duration = Duration::from_millis(10);
/// Announcements that can be due at once: as many as smoltcp holds addresses.
const MOST: usize = 8;

/// An address to be announced.
#[derive(Clone, Copy)]
struct Announcement {
    address: IpAddr,
    /// Others are to be asked first whether they have it.
    asks: bool,
    left: u8,
    at: Instant,
}

impl Announcement {
    /// Another may still object.
    fn is_tentative(&self) -> bool {
        self.address.is_ipv6() && self.left == ANNOUNCEMENTS
    }
}

struct Dhcp {
    set: SocketSet<'static>,
    handle: SocketHandle,
    lease: Option<Ipv4Cidr>,
    server: Option<Ipv4Addr>,
}

/// The addresses.
pub(crate) struct Addresses {
    mac: [u8; 6],
    gateway: Option<Ipv4Addr>,
    dhcp: Option<Dhcp>,
    slaac: Option<Slaac>,
    announcements: [Option<Announcement>; MOST],
    answers: Limit,
    complaints: Limit,
    /// When our IPv4 address was defended last.
    defended: Instant,
    /// When there is something to do, if ever.
    next: Option<Instant>,
}

impl Addresses {
    /// Gives the interfaces what is fixed, and begins to ask for the rest.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn new(
        mac: [u8; 6],
        ipv4: Ipv4Setup,
        ipv6: Ipv6Setup,
        context: &mut Context,
        now: Instant,
    ) -> Addresses {
        let mut addresses = Addresses {
            mac,
            gateway: None,
            dhcp: None,
            slaac: None,
            announcements: [None; MOST],
            answers: ANSWERS,
            complaints: COMPLAINTS,
            defended: Instant::ZERO,
            next: Some(now),
        };
        match ipv4 {
            Ipv4Setup::Static {
                address,
                prefix_len,
                gateway,
            } => addresses.gain_ipv4(context, Ipv4Cidr::new(address, prefix_len), gateway, now),
            Ipv4Setup::Dhcp => {
                let storage = Box::leak(Box::new([SocketStorage::EMPTY]));
                let mut set = SocketSet::new(&mut storage[..]);
                let handle = set.add(dhcpv4::Socket::new());
                addresses.dhcp = Some(Dhcp {
                    set,
                    handle,
                    lease: None,
                    server: None,
                });
            }
        }
        if ipv6 != Ipv6Setup::Off {
            let hardware = HardwareAddress::Ethernet(EthernetAddress(mac));
            let local = Ipv6Cidr::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 64);
            if let Some(local) = Ipv6Cidr::from_link_prefix(&local, hardware) {
                addresses.gain(context, IpCidr::Ipv6(local), now);
            }
        }
        match ipv6 {
            Ipv6Setup::Off => {}
            Ipv6Setup::Slaac => addresses.slaac = Some(Slaac::new(now)),
            // A gateway is not needed: see `slaac`.
            Ipv6Setup::Static {
                address,
                prefix_len,
                gateway: _,
            } => {
                let address = IpCidr::Ipv6(Ipv6Cidr::new(address, prefix_len));
                addresses.gain(context, address, now);
            }
        }
        addresses
    }

    /// When [`Addresses::run`] wants to be called, if ever.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Does what is due.
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn run(&mut self, context: &mut Context, host: &mut dyn Carrier, now: Instant) {
        self.ask(context, host, now);
        if let Some(slaac) = &mut self.slaac {
            for lost in slaac.expired(now) {
                log::info!("address {lost} is no longer ours");
                context.lose(lost);
            }
            if slaac.solicits(now) && announce::router_solicit(context, host, self.mac) {
                slaac.solicited(now);
            }
        }
        self.announce(context, host, now);
        self.plan(context, now);
    }

    /// Gives the DHCP client a frame.
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn dhcp(
        &mut self,
        context: &mut Context,
        frame: &[u8],
        host: &mut dyn Carrier,
        now: Instant,
    ) {
        let Some(dhcp) = &mut self.dhcp else {
            context.service.stats.dropped.ignored += 1;
            return;
        };
        let mut link = Link {
            host,
            wire: &mut context.wire,
            input: Some(frame),
            to: None,
        };
        let _ = context
            .ethernet
            .poll_ingress_single(now, &mut link, &mut dhcp.set);
        self.next = Some(now);
    }

    /// Takes a router advertisement in, whose ICMPv6 message begins at `start`.
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn router_advert(
        &mut self,
        context: &mut Context,
        frame: &[u8],
        start: usize,
        now: Instant,
    ) {
        let Some(slaac) = &mut self.slaac else {
            return;
        };
        let Some(advert) = slaac::Advert::parse(frame, start) else {
            context.service.stats.dropped.malformed += 1;
            return;
        };
        slaac.heard();
        for prefix in advert.prefixes() {
            if let Some(gained) = self
                .slaac
                .as_mut()
                .and_then(|slaac| slaac.take_prefix(&prefix, self.mac, now))
            {
                self.gain(context, IpCidr::Ipv6(gained), now);
            }
        }
        self.next = Some(now);
    }

    /// Asks the gateway for its hardware address: something that has to be answered. Whether
    /// there is one to ask, and room for the question.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn probe(&self, context: &mut Context, host: &mut dyn Carrier) -> bool {
        match (context.ethernet.ipv4_addr(), self.gateway) {
            (Some(own), Some(gateway)) => {
                announce::arp_request(context, host, self.mac, own, gateway)
            }
            _ => false,
        }
    }

    /// Lets the DHCP client speak, and takes over what it has got.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn ask(&mut self, context: &mut Context, host: &mut dyn Carrier, now: Instant) {
        let Some(dhcp) = &mut self.dhcp else {
            return;
        };
        let mut link = Link {
            host,
            wire: &mut context.wire,
            input: None,
            to: None,
        };
        let _ = context.ethernet.poll_egress(now, &mut link, &mut dhcp.set);
        let socket = dhcp.set.get_mut::<dhcpv4::Socket<'_>>(dhcp.handle);
        let lease = match socket.poll() {
            None => return,
            Some(dhcpv4::Event::Deconfigured) => None,
            Some(dhcpv4::Event::Configured(config)) => {
                dhcp.server = Some(config.server.address);
                Some((config.address, config.router))
            }
        };
        let old = dhcp.lease.take();
        dhcp.lease = lease.map(|lease| lease.0);
        if let Some(old) = old
            && Some(old) != dhcp.lease
        {
            log::warn!("lost the address {old}");
            context.lose(IpCidr::Ipv4(old));
            context.ethernet.routes_mut().remove_default_ipv4_route();
            self.gateway = None;
        }
        if let Some((address, router)) = lease {
            self.gain_ipv4(context, address, router, now);
        }
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn announce(&mut self, context: &mut Context, host: &mut dyn Carrier, now: Instant) {
        for slot in &mut self.announcements {
            let Some(announcement) = slot else { continue };
            if now < announcement.at {
                continue;
            }
            if !context.ethernet.has_ip_addr(announcement.address) {
                *slot = None;
                continue;
            }
            let mac = self.mac;
            let sent = match announcement.address {
                IpAddr::V4(own) => announce::arp_announce(context, host, mac, own),
                IpAddr::V6(own) if announcement.asks => {
                    let sent = announce::duplicate_solicit(context, host, mac, own);
                    announcement.asks = !sent;
                    announcement.at = now + if sent { OBJECTION } else { RETRY };
                    continue;
                }
                IpAddr::V6(own) => {
                    let flags = NdiscNeighborFlags::OVERRIDE;
                    announce::neighbor_advert(context, host, mac, own, flags, None)
                }
            };
            announcement.at = now + if sent { ANNOUNCE_EVERY } else { RETRY };
            announcement.left -= u8::from(sent);
            if announcement.left == 0 {
                *slot = None;
            }
        }
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn plan(&mut self, context: &mut Context, now: Instant) {
        let dhcp = self
            .dhcp
            .as_ref()
            .and_then(|dhcp| context.ethernet.poll_at(now, &dhcp.set));
        let slaac = self.slaac.as_ref().and_then(Slaac::next);
        let announcements = self.announcements.iter().flatten().map(|a| a.at);
        let next = announcements.chain(dhcp).chain(slaac).min();
        // What is due and could not be done waits for room in the transmit ring.
        self.next = next.map(|next| next.max(now + RETRY));
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn gain_ipv4(
        &mut self,
        context: &mut Context,
        address: Ipv4Cidr,
        gateway: Option<Ipv4Addr>,
        now: Instant,
    ) {
        self.gain(context, IpCidr::Ipv4(address), now);
        self.gateway = gateway;
        if let Some(gateway) = gateway {
            log::info!("gateway {gateway}");
            // For the DHCP client alone, which may have to reach its server.
            let _ = context
                .ethernet
                .routes_mut()
                .add_default_ipv4_route(gateway);
        }
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn gain(&mut self, context: &mut Context, gained: IpCidr, now: Instant) {
        if context.ethernet.ip_addrs().contains(&gained) {
            return;
        }
        if !context.gain(gained) {
            log::warn!("no room for the address {gained}");
            return;
        }
        log::info!("address {gained}");
        if let Some(slot) = self.announcements.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(Announcement {
                address: gained.address().into(),
                asks: matches!(gained, IpCidr::Ipv6(_)),
                left: ANNOUNCEMENTS,
                at: now,
            });
        }
        self.next = Some(now);
    }
}
