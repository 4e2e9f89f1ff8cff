//! IPv6 addresses from router advertisements (RFC 4862). A default router is not kept: everything
//! that is sent off the link answers something, and goes back the way that came.
//!
//! smoltcp has this too, but with it its `poll_at` is wrong for every socket: it forgets a socket's
//! deadline when no advertisement is due, and stays in the past when no router answers.

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, Icmpv6Message, Icmpv6Packet, IpCidr, Ipv6Cidr, Ipv6Packet,
    NdiscOption, NdiscOptionRepr, NdiscPrefixInfoFlags, NdiscPrefixInformation,
};

/// Solicitations before we wait for a router to speak by itself (RFC 4861, 10).
const SOLICITATIONS: u8 = 3;
/// Time between them.
const SOLICIT_EVERY: Duration = Duration::from_secs(4);
/// Most prefixes.
const MOST: usize = 4;
/// An unauthenticated advertisement does not shorten a lifetime below this (RFC 4862, 5.5.3 e).
const TWO_HOURS: Duration = Duration::from_secs(7200);

/// A router advertisement that passed the checks of RFC 4861, 6.1.2.
pub(super) struct Advert<'a> {
    options: &'a [u8],
}

impl<'a> Advert<'a> {
    /// Reads a frame's ICMPv6 message that begins at `start`.
    pub fn parse(frame: &'a [u8], start: usize) -> Option<Advert<'a>> {
        let ip = Ipv6Packet::new_checked(&frame[crate::segment::ETHERNET..]).ok()?;
        let router = ip.src_addr();
        if ip.hop_limit() != 255 || !router.is_unicast_link_local() {
            return None;
        }
        let end = start + usize::from(ip.payload_len());
        let message = frame.get(start..end)?;
        let icmp = Icmpv6Packet::new_checked(message).ok()?;
        let options = message.get(16..)?;
        let valid = icmp.msg_type() == Icmpv6Message::RouterAdvert
            && icmp.msg_code() == 0
            && icmp.verify_checksum(&router, &ip.dst_addr());
        valid.then_some(Advert { options })
    }

    /// The prefixes that addresses can be made of.
    pub fn prefixes(&self) -> impl Iterator<Item = NdiscPrefixInformation> + use<'a> {
        let mut rest = self.options;
        core::iter::from_fn(move || {
            loop {
                let option = NdiscOption::new_checked(rest).ok()?;
                let len = usize::from(option.data_len()) * 8;
                let parsed = NdiscOptionRepr::parse(&option);
                rest = rest.get(len..)?;
                if let Ok(NdiscOptionRepr::PrefixInformation(prefix)) = parsed {
                    return Some(prefix);
                }
            }
        })
    }
}

#[derive(Clone, Copy)]
struct Held {
    address: Ipv6Cidr,
    until: Instant,
}

/// What routers have told.
pub(super) struct Slaac {
    left: u8,
    solicit_at: Instant,
    held: [Option<Held>; MOST],
}

impl Slaac {
    /// Nothing is known yet.
    pub fn new(now: Instant) -> Slaac {
        Slaac {
            left: SOLICITATIONS,
            solicit_at: now,
            held: [None; MOST],
        }
    }

    /// When there is something to do, if ever.
    pub fn next(&self) -> Option<Instant> {
        let solicit = (self.left > 0).then_some(self.solicit_at);
        let held = self.held.iter().flatten().map(|held| held.until);
        held.chain(solicit).min()
    }

    /// Whether a solicitation is due.
    pub fn solicits(&self, now: Instant) -> bool {
        self.left > 0 && now >= self.solicit_at
    }

    /// One was sent.
    pub fn solicited(&mut self, now: Instant) {
        self.left -= 1;
        self.solicit_at = now + SOLICIT_EVERY;
    }

    /// Takes out addresses whose lifetime has ended.
    pub fn expired(&mut self, now: Instant) -> impl Iterator<Item = IpCidr> + '_ {
        self.held
            .iter_mut()
            .filter_map(move |slot| slot.take_if(|held| held.until <= now))
            .map(|held| IpCidr::Ipv6(held.address))
    }

    /// A router has spoken: nobody has to be asked.
    pub fn heard(&mut self) {
        self.left = 0;
    }

    /// Takes a prefix in (RFC 4862, 5.5.3). The address, if it is new.
    pub fn take_prefix(
        &mut self,
        prefix: &NdiscPrefixInformation,
        mac: [u8; 6],
        now: Instant,
    ) -> Option<Ipv6Cidr> {
        if !prefix.flags.contains(NdiscPrefixInfoFlags::ADDRCONF)
            || prefix.prefix.is_unicast_link_local()
            || prefix.prefix.is_multicast()
            || prefix.preferred_lifetime > prefix.valid_lifetime
        {
            return None;
        }
        let link = Ipv6Cidr::new(prefix.prefix, prefix.prefix_len);
        let hardware = HardwareAddress::Ethernet(EthernetAddress(mac));
        let address = Ipv6Cidr::from_link_prefix(&link, hardware)?;
        let until = now + prefix.valid_lifetime;
        let known = self
            .held
            .iter_mut()
            .flatten()
            .find(|held| held.address == address);
        if let Some(held) = known {
            if prefix.valid_lifetime > TWO_HOURS || until > held.until {
                held.until = until;
            } else if held.until > now + TWO_HOURS {
                held.until = now + TWO_HOURS;
            }
            return None;
        }
        if prefix.valid_lifetime == Duration::ZERO {
            return None;
        }
        let slot = self.held.iter_mut().find(|slot| slot.is_none())?;
        *slot = Some(Held { address, until });
        Some(address)
    }
}
