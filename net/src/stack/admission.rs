//! Who gets in: a slot for each new connection while there is one, and the order in which others
//! make room when there is none.
//!
//! 1. A record of a closed connection, if those are full.
//! 2. The oldest connection whose handshake is not complete.
//! 3. The oldest connection that waits for a request.
//!
//! Else the request is dropped without a word, and the client tries again.

use super::{HALF_OPEN, IDLE, Stack};
use crate::host::Host;
use crate::segment::Segment;
use crate::table::Target;
use smoltcp::time::Instant;
use smoltcp::wire::IpAddress;

impl Stack {
    /// Whether a SYN is for a service of ours.
    pub(super) fn serves(&self, segment: &Segment) -> bool {
        let port = segment.tuple.local_port;
        (port == self.port || self.context.service.admin == Some(port))
            && !self.context.service.health.draining
            && self
                .context
                .internet
                .has_ip_addr(IpAddress::from(segment.tuple.local_address()))
    }

    /// A new connection. `above`: the last number of ours on one that had its tuple before.
    pub(super) fn accept(
        &mut self,
        hash: u64,
        above: Option<u32>,
        segment: &Segment,
        frame: &[u8],
        host: &mut impl Host,
        now: Instant,
    ) {
        let Some(flow) = self.admit(host, now) else {
            self.context.service.stats.syn_dropped += 1;
            return;
        };
        let iss = self.sequence.initial(&segment.tuple, above, now);
        let mtu = self.context.wire.mtu();
        self.pool[flow].open(segment, frame, hash, iss, mtu, now);
        self.table.insert(hash, Target::Flow(flow));
        self.order.join(flow, HALF_OPEN);
        self.pool[flow].ingest(&mut self.context, segment, frame, host, now);
        self.run(flow, None, host, now);
    }

    /// A free slot. When there is none, one is made free: of the oldest connection whose
    /// handshake is not complete, else of the oldest that waits for a request.
    fn admit(&mut self, host: &mut impl Host, now: Instant) -> Option<u32> {
        if self.order.len(HALF_OPEN) >= self.most_half_open {
            self.evict_half_open();
        }
        if let Some(flow) = self.pool.take() {
            return Some(flow);
        }
        if !self.evict_half_open() {
            // A peer that sends its next request meanwhile must not wait for an answer, so it is
            // told by a reset; a FIN would need the slot for another round trip.
            let flow = self.order.oldest(IDLE)?;
            self.context.service.stats.evicted.idle += 1;
            self.pool[flow].reset();
            let _ = self.pool[flow].run(&mut self.context, host, true, now);
            self.release(flow);
        }
        self.pool.take()
    }

    fn evict_half_open(&mut self) -> bool {
        let Some(flow) = self.order.oldest(HALF_OPEN) else {
            return false;
        };
        self.context.service.stats.evicted.half_open += 1;
        self.release(flow);
        true
    }

    /// Frees a connection's slot.
    pub(super) fn release(&mut self, flow: u32) {
        let state = &mut self.pool[flow];
        state.vacate(&mut self.context.blocks);
        self.table.remove(state.hash, Target::Flow(flow));
        self.order.leave(flow);
        self.pool.give_back(flow);
    }
}
