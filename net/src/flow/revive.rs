//! A connection out of a cookie.

use super::Flow;
use crate::context::Context;
use crate::frame::{self, Head, OPTIONS};
use crate::host::Host;
use crate::segment::{Flags, Segment, Tuple};
use crate::sender::Peer;
use smoltcp::time::Instant;

/// Most bytes of a SYN in its frame.
const SYN: usize = 14 + 40 + 20 + OPTIONS;

impl Flow {
    /// Makes the slot ready for the acknowledgement of a cookie in `segment`: smoltcp is given a
    /// SYN as the peer has sent it, and its SYN|ACK is passed over. `peer`: what the cookie says.
    pub fn revive<H: Host>(
        &mut self,
        context: &mut Context,
        segment: &Segment,
        hash: u64,
        peer: Peer,
        host: &mut H,
        now: Instant,
    ) {
        // It comes from the other side.
        let tuple = Tuple {
            remote: segment.tuple.local,
            local: segment.tuple.remote,
            remote_port: segment.tuple.local_port,
            local_port: segment.tuple.remote_port,
        };
        let syn = Segment {
            seq: segment.seq.wrapping_sub(1),
            ack: 0,
            flags: Flags(Flags::SYN),
            payload: 0,
            start: frame::data_at(&tuple) - 20,
            ..*segment
        };
        let head = Head {
            tuple: &tuple,
            to: [0; 6],
            seq: syn.seq,
            ack: 0,
            window: segment.window,
            flags: syn.flags,
            options: OPTIONS,
        };
        let mut bytes = [0; SYN];
        let frame = &mut bytes[..frame::data_at(&tuple) + OPTIONS];
        let options = frame::options(peer.segment, peer.scale, peer.sack);
        frame[frame::data_at(&tuple)..].copy_from_slice(&options);
        frame::seal(frame, 0, [0; 6], &head, true);

        let mtu = context.wire.mtu();
        self.open(&syn, frame, hash, segment.ack.wrapping_sub(1), mtu, now);
        // Nobody knows when the cookie was sent.
        self.sender.opened_again();
        self.feed(context, &syn, frame, None, host, now);
        context.wire.numbering = self.numbering;
        self.poll(context, host, now, true);
        self.numbering = context.wire.numbering;
        context.wire.numbering = crate::sequence::Numbering::Plain;
        self.note_synced(context);
        self.note_told();
    }
}
