//! Who gets in.
//!
//! A request for a connection gets a slot at once while there is one and not too many handshakes
//! are open. Otherwise it is answered by a cookie, which takes no memory, and who acknowledges the
//! cookie has proved to be there: for him others make room, in this order.
//!
//! 1. The oldest connection whose handshake is not complete.
//! 2. The oldest connection that waits for a request.
//!
//! So a flood of requests from made-up addresses ends nobody's connection. When nobody could make
//! room, the request is dropped without a word, and the client tries again. Records of closed
//! connections have places of their own; when those are full, the oldest goes.

use super::{HALF_OPEN, IDLE, Stack};
use crate::flow::Opening;
use crate::frame::{self, Head, OPTIONS};
use crate::host::Host;
use crate::segment::{self, Flags, Segment};
use crate::table::Target;
use smoltcp::time::Instant;
use smoltcp::wire::IpAddress;

impl Stack {
    /// Whether a SYN is for a service of ours.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn serves(&self, segment: &Segment) -> bool {
        let port = segment.tuple.local_port;
        (port == self.port || self.context.service.admin == Some(port))
            && !self.context.service.health.draining
            && self
                .context
                .internet
                .has_ip_addr(IpAddress::from(segment.tuple.local_address()))
    }

    /// A request for a connection. `above`: the last number of ours on one that had its tuple
    /// before.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn accept(
        &mut self,
        hash: u64,
        above: Option<u32>,
        segment: &Segment,
        frame: &[u8],
        host: &mut impl Host,
        now: Instant,
    ) {
        if !self.admits_source(segment) {
            return;
        }
        let slot = match self.order.len(HALF_OPEN) < self.most_half_open {
            true => self.pool.take(),
            false => None,
        };
        let Some(flow) = slot else {
            return self.offer(segment, frame, host, now);
        };
        let iss = self.sequence.initial(&segment.tuple, above, now);
        let mtu = self.context.wire.mtu();
        let opening = Opening {
            hash,
            irs: segment.seq,
            iss,
            peer: segment::peer(frame, segment),
        };
        self.pool[flow].open(segment, &opening, mtu, now);
        self.enter(flow, hash, segment);
        self.pool[flow].ingest(&mut self.context, segment, frame, host, now);
        self.run(flow, None, host, now);
    }

    /// Answers a request for a connection by a cookie.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn offer(&mut self, segment: &Segment, frame: &[u8], host: &mut impl Host, now: Instant) {
        let stats = &mut self.context.service.stats;
        let hopeless =
            self.pool.is_full() && self.order.len(HALF_OPEN) == 0 && self.order.len(IDLE) == 0;
        if hopeless {
            stats.syn_dropped += 1;
            return;
        }
        stats.cookies.sent += 1;
        let peer = segment::peer(frame, segment);
        let (cookie, peer) = self.cookies.issue(segment, peer, now);
        let most = self.context.wire.mtu() - frame::overhead(&segment.tuple);
        // Our windows need no shift.
        let options = frame::options(most as u16, peer.scale.map(|_| 0), peer.sack);
        let head = Head {
            tuple: &segment.tuple,
            to: segment.source,
            seq: cookie,
            ack: segment.seq.wrapping_add(1),
            window: self.window,
            flags: Flags(Flags::SYN | Flags::ACK),
            options: OPTIONS,
        };
        self.context.wire.say(host, &head, OPTIONS, |target| {
            target.copy_from_slice(&options);
        });
    }

    /// A segment that belongs to nothing: whether it acknowledges a cookie. Then it is dealt with.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn redeem(
        &mut self,
        hash: u64,
        segment: &Segment,
        frame: &[u8],
        host: &mut impl Host,
        now: Instant,
    ) -> bool {
        if !segment.flags.answers() || !self.serves(segment) {
            return false;
        }
        let Some(peer) = self.cookies.check(segment, now) else {
            return false;
        };
        if !self.admits_source(segment) {
            return true;
        }
        let Some(flow) = self.admit(host, now) else {
            self.context.service.stats.syn_dropped += 1;
            return true;
        };
        self.context.service.stats.cookies.accepted += 1;
        let opening = Opening {
            hash,
            irs: segment.seq.wrapping_sub(1),
            iss: segment.ack.wrapping_sub(1),
            peer,
        };
        let mtu = self.context.wire.mtu();
        self.pool[flow].open(segment, &opening, mtu, now);
        self.enter(flow, hash, segment);
        self.pool[flow].ingest(&mut self.context, segment, frame, host, now);
        self.run(flow, Some(segment), host, now);
        true
    }

    /// Whether the client may have one more connection.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn admits_source(&mut self, segment: &Segment) -> bool {
        let admits = match &mut self.sources {
            Some(sources) => sources.admits(&segment.tuple),
            None => true,
        };
        self.context.service.stats.source_limited += u64::from(!admits);
        admits
    }

    /// Makes a slot known.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn enter(&mut self, flow: u32, hash: u64, segment: &Segment) {
        self.table.insert(hash, Target::Flow(flow));
        self.order.join(flow, HALF_OPEN);
        if let Some(sources) = &mut self.sources {
            sources.enter(&segment.tuple);
        }
    }

    /// A free slot. When there is none, one is made free: of the oldest connection whose
    /// handshake is not complete, else of the oldest that waits for a request.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn admit(&mut self, host: &mut impl Host, now: Instant) -> Option<u32> {
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
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn release(&mut self, flow: u32) {
        let state = &mut self.pool[flow];
        state.vacate(&mut self.context.blocks);
        self.table.remove(state.hash, Target::Flow(flow));
        if let Some(sources) = &mut self.sources {
            sources.leave(&state.tuple);
        }
        self.order.leave(flow);
        self.pool.give_back(flow);
    }
}
