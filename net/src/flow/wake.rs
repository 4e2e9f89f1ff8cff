//! Making smoltcp know a connection.
//!
//! Most connections consist of requests that are read where they lie, of acknowledgements, and of an
//! end that we begin; for all of that smoltcp is not asked. Its socket sleeps. When something comes
//! that needs it (a request in pieces, a segment out of order or sent twice, an end that the client
//! begins), it is told how the connection came about, as if it had been there.

use super::{Flow, Stage};
use crate::context::Context;
use crate::frame::{self, Head, OPTIONS};
use crate::host::Host;
use crate::link::Link;
use crate::segment::{ETHERNET, Flags, Tuple};
use crate::sequence::Numbering;
use smoltcp::time::Instant;
use smoltcp::wire::IpListenEndpoint;

/// Most bytes of a SYN in its frame.
const SYN: usize = 14 + 40 + 20 + OPTIONS;

impl Flow {
    /// Wakes the socket, if it sleeps: it listens, and hears the client's SYN and, if the handshake is
    /// complete, the acknowledgement. What it answers was said already, and is passed over.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn wake<H: Host>(&mut self, context: &mut Context, host: &mut H, now: Instant) {
        if self.awake {
            return;
        }
        self.awake = true;
        let endpoint = IpListenEndpoint {
            addr: Some(self.tuple.local_address().into()),
            port: self.tuple.local_port,
        };
        let listening = self.socket().listen(endpoint);
        debug_assert!(listening.is_ok(), "the slot's socket was not closed");
        context.wire.numbering = Numbering::From(self.iss);
        self.overhear(context, Flags::SYN, self.irs, 0, host, now);
        self.poll(context, host, now, true);
        self.numbering = context.wire.numbering;
        if self.stage != Stage::HalfOpen {
            let shift = self.numbering.shift().unwrap_or(0);
            self.base = self.iss.wrapping_add(1).wrapping_sub(shift);
            let seq = self.irs.wrapping_add(1);
            self.overhear(context, Flags::ACK, seq, self.base, host, now);
            self.skipped = self.heard.wrapping_sub(seq);
            if self.conn.is_closed() {
                self.socket().close();
            }
        }
        context.wire.numbering = Numbering::Plain;
    }

    /// Gives the socket a segment as the client has sent it.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn overhear<H: Host>(
        &mut self,
        context: &mut Context,
        flags: u8,
        seq: u32,
        ack: u32,
        host: &mut H,
        now: Instant,
    ) {
        // It comes from the other side.
        let tuple = Tuple {
            remote: self.tuple.local,
            local: self.tuple.remote,
            remote_port: self.tuple.local_port,
            local_port: self.tuple.remote_port,
        };
        let options = if flags == Flags::SYN { OPTIONS } else { 0 };
        let head = Head {
            tuple: &tuple,
            to: [0; 6],
            seq,
            ack,
            // The peer's windows are no concern of smoltcp's.
            window: u16::MAX,
            flags: Flags(flags),
            options,
        };
        let mut bytes = [0; SYN];
        let frame = &mut bytes[..frame::data_at(&tuple) + options];
        if options > 0 {
            let peer = self.sender.peer();
            let said = frame::options(peer.segment, peer.scale, peer.sack);
            frame[frame::data_at(&tuple)..].copy_from_slice(&said);
        }
        frame::seal(frame, 0, [0; 6], &head, true);
        context.wire.hold = true;
        let mut link = Link {
            host,
            wire: &mut context.wire,
            input: Some(&frame[ETHERNET..]),
            to: Some(self.peer),
        };
        let _ = context
            .internet
            .poll_ingress_single(now, &mut link, &mut self.set);
        context.wire.hold = false;
    }
}
