//! Writes IP packets of our own, in pieces if they are longer than the link allows.

use crate::checksum;
use crate::link::Carrier;
use crate::link::Wire;
use crate::segment::{ETHERNET, IPV6, MAPPED};
use siphasher::sip::SipHasher13;

/// Hop limit of what we send.
const HOPS: u8 = 64;
const FRAGMENT: u8 = 44;

/// Who a packet goes to, and from which of our addresses. IPv4 addresses are in mapped form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// Our hardware address and the next hop's.
    pub hardware: ([u8; 6], [u8; 6]),
    /// Our address.
    pub source: u128,
    /// The other's address.
    pub destination: u128,
}

/// Writes packets.
pub(crate) struct Sender {
    key: SipHasher13,
    sent: u64,
}

impl Sender {
    /// `key` is random: the numbers of fragmented datagrams follow from it (RFC 7739).
    pub fn new(key: SipHasher13) -> Sender {
        Sender { key, sent: 0 }
    }

    /// Sends `content`. False: the transmit ring is full, and what was left is dropped.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn send(
        &mut self,
        wire: &mut Wire,
        host: &mut dyn Carrier,
        route: &Route,
        protocol: u8,
        content: &[u8],
    ) -> bool {
        let v4 = route.source >> 32 == MAPPED >> 32;
        let header = if v4 { 20 } else { IPV6 };
        if header + content.len() <= wire.mtu() {
            return one(wire, host, route, protocol, content, None);
        }
        self.sent += 1;
        let id = self.key.hash(&self.sent.to_ne_bytes()) as u32;
        let room = wire.mtu() - header - if v4 { 0 } else { 8 };
        let run = room / 8 * 8;
        let last = content.len().div_ceil(run) - 1;
        for (n, piece) in content.chunks(run).enumerate() {
            let field = (n * run) as u16 | u16::from(n < last);
            if !one(wire, host, route, protocol, piece, Some((field, id))) {
                return false;
            }
        }
        true
    }
}

/// Sends one packet. `piece`: its place in the datagram in bytes, with bit 0 for "others follow",
/// and the datagram's number.
#[cfg_attr(target_os = "none", optimize(size))]
fn one(
    wire: &mut Wire,
    host: &mut dyn Carrier,
    route: &Route,
    protocol: u8,
    content: &[u8],
    piece: Option<(u16, u32)>,
) -> bool {
    let v4 = route.source >> 32 == MAPPED >> 32;
    let header = match (v4, piece) {
        (true, _) => 20,
        (false, None) => IPV6,
        (false, Some(_)) => IPV6 + 8,
    };
    let len = ETHERNET + header + content.len();
    let sent = wire.send(host, len, |frame| {
        frame[..6].copy_from_slice(&route.hardware.1);
        frame[6..12].copy_from_slice(&route.hardware.0);
        let (ip, body) = frame[12..].split_at_mut(2 + header);
        body.copy_from_slice(content);
        if v4 {
            let total = (header + content.len()) as u16;
            let (field, id) = piece.unwrap_or((0, 0));
            // Whole packets must not be fragmented on their way.
            let flags = match piece {
                None => 0x4000,
                Some(_) => field >> 3 | (field & 1) << 13,
            };
            ip[..4].copy_from_slice(&[0x08, 0x00, 0x45, 0]);
            ip[4..6].copy_from_slice(&total.to_be_bytes());
            ip[6..8].copy_from_slice(&(id as u16).to_be_bytes());
            ip[8..10].copy_from_slice(&flags.to_be_bytes());
            ip[10..14].copy_from_slice(&[HOPS, protocol, 0, 0]);
            ip[14..18].copy_from_slice(&(route.source as u32).to_be_bytes());
            ip[18..22].copy_from_slice(&(route.destination as u32).to_be_bytes());
            let sum = checksum::plain(&ip[2..]);
            ip[12..14].copy_from_slice(&sum.to_be_bytes());
        } else {
            let total = (header - IPV6 + content.len()) as u16;
            let next = if piece.is_some() { FRAGMENT } else { protocol };
            ip[..6].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
            ip[6..8].copy_from_slice(&total.to_be_bytes());
            ip[8..10].copy_from_slice(&[next, HOPS]);
            ip[10..26].copy_from_slice(&route.source.to_be_bytes());
            ip[26..42].copy_from_slice(&route.destination.to_be_bytes());
            if let Some((field, id)) = piece {
                ip[42..44].copy_from_slice(&[protocol, 0]);
                ip[44..46].copy_from_slice(&field.to_be_bytes());
                ip[46..50].copy_from_slice(&id.to_be_bytes());
            }
        }
    });
    if !sent {
        wire.ring_full += 1;
    }
    sent
}
