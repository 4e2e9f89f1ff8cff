//! What every connection needs at its turn: smoltcp's interfaces, the link and the shared service.

use crate::http::Memo;
use crate::internet::LARGEST;
use crate::link::{Carrier, Link, Nothing, Wire};
use crate::outbox::Blocks;
use crate::segment::{ETHERNET, IPV6, Segment};
use crate::service::Service;
use alloc::boxed::Box;
use alloc::vec;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::Medium;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

/// What connections share.
pub(crate) struct Context {
    /// Speaks DHCP, and to the neighbours on its behalf.
    pub ethernet: Box<Interface>,
    /// Speaks IP, by packets that go back where their cause came from. It has the same addresses.
    pub internet: Box<Interface>,
    /// The link.
    pub wire: Wire,
    /// The site and the counters.
    pub service: Service,
    /// What heads were read lately.
    pub memo: Memo,
    /// Memory for what connections generate.
    pub blocks: Blocks,
    /// Where a packet is put to be changed before smoltcp sees it.
    pub desk: Box<[u8]>,
}

impl Context {
    /// Interfaces without addresses.
    pub fn new(
        wire: Wire,
        service: Service,
        memo: Memo,
        blocks: Blocks,
        seed: u64,
        now: Instant,
    ) -> Context {
        let interface = |address, medium| {
            let mut config = Config::new(address);
            config.random_seed = seed;
            Box::new(Interface::new(config, &mut Nothing(&wire, medium), now))
        };
        let mac = HardwareAddress::Ethernet(EthernetAddress(wire.mac()));
        let desk = vec![0; wire.mtu().max(IPV6 + LARGEST)].into_boxed_slice();
        Context {
            ethernet: interface(mac, Medium::Ethernet),
            internet: interface(HardwareAddress::Ip, Medium::Ip),
            wire,
            service,
            memo,
            blocks,
            desk,
        }
    }

    /// Gives smoltcp a packet that belongs to no connection: it says what is unreachable, and
    /// resets what it does not know.
    pub fn stray(&mut self, frame: &[u8], host: &mut dyn Carrier, now: Instant) {
        let (Some(header), Some(packet)) = (frame.first_chunk::<ETHERNET>(), frame.get(ETHERNET..))
        else {
            return;
        };
        let mut from = [0; 6];
        from.copy_from_slice(&header[6..12]);
        let mut nothing = SocketSet::new(&mut [][..]);
        let mut link = Link {
            host,
            wire: &mut self.wire,
            input: Some(packet),
            to: Some(from),
        };
        let _ = self
            .internet
            .poll_ingress_single(now, &mut link, &mut nothing);
    }

    /// Gives smoltcp an answer to a question that its DHCP client has asked by ARP.
    pub fn resolve(&mut self, frame: &[u8], host: &mut dyn Carrier, now: Instant) {
        let mut nothing = SocketSet::new(&mut [][..]);
        let mut link = Link {
            host,
            wire: &mut self.wire,
            input: Some(frame),
            to: None,
        };
        let _ = self
            .ethernet
            .poll_ingress_single(now, &mut link, &mut nothing);
    }

    /// Gives us an address. False: there is no room for it.
    pub fn gain(&mut self, address: IpCidr) -> bool {
        let mut kept = true;
        for interface in [&mut self.ethernet, &mut self.internet] {
            interface.update_ip_addrs(|addresses| kept &= addresses.push(address).is_ok());
        }
        kept
    }

    /// Takes an address from us.
    pub fn lose(&mut self, address: IpCidr) {
        for interface in [&mut self.ethernet, &mut self.internet] {
            interface.update_ip_addrs(|addresses| addresses.retain(|own| *own != address));
        }
    }

    /// A copy of a frame's packet with other numbers in its segment. `None`: it is longer than the
    /// link allows.
    pub fn renumbered<'a>(
        desk: &'a mut [u8],
        frame: &[u8],
        segment: &Segment,
        seq: u32,
        ack: u32,
    ) -> Option<&'a [u8]> {
        let packet = &frame[ETHERNET..];
        let copy = desk.get_mut(..packet.len())?;
        copy.copy_from_slice(packet);
        let at = segment.start - ETHERNET + 4;
        copy[at..at + 4].copy_from_slice(&seq.to_be_bytes());
        copy[at + 4..at + 8].copy_from_slice(&ack.to_be_bytes());
        Some(copy)
    }
}
