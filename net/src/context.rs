//! What every connection needs at its turn: the interface, the link and the shared service.

use crate::host::Host;
use crate::link::{Link, Wire};
use crate::segment::Segment;
use crate::service::Service;
use alloc::boxed::Box;
use smoltcp::iface::{Interface, SocketSet};
use smoltcp::time::Instant;

/// What connections share.
pub(crate) struct Context {
    /// smoltcp's addresses, routes and neighbours.
    pub interface: Box<Interface>,
    /// The link.
    pub wire: Wire,
    /// The site and the counters.
    pub service: Service,
    /// Where a frame is put to be changed before smoltcp sees it.
    pub desk: Box<[u8]>,
}

impl Context {
    /// Gives smoltcp a frame that belongs to no connection: it answers ARP, echo requests and
    /// neighbour solicitations, and resets what it does not know.
    pub fn stray<H: Host>(&mut self, frame: &[u8], host: &mut H, now: Instant) {
        let mut nothing = SocketSet::new(&mut [][..]);
        let mut link = Link {
            host,
            wire: &mut self.wire,
            frame: Some(frame),
        };
        let _ = self
            .interface
            .poll_ingress_single(now, &mut link, &mut nothing);
    }

    /// A copy of a frame in which `shift` is taken from the acknowledgement of its segment.
    /// `None`: the frame is longer than the link allows.
    pub fn shifted<'a>(
        desk: &'a mut [u8],
        frame: &[u8],
        segment: &Segment,
        shift: u32,
    ) -> Option<&'a [u8]> {
        let copy = desk.get_mut(..frame.len())?;
        copy.copy_from_slice(frame);
        let ack = segment.ack.wrapping_sub(shift);
        copy[segment.start + 8..segment.start + 12].copy_from_slice(&ack.to_be_bytes());
        Some(copy)
    }
}
