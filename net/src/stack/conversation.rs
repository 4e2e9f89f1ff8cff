//! A segment's way to its connection, and what follows from it: the next deadline, a record, or a
//! free slot.

use super::{BUSY, CLOSING, HALF_OPEN, IDLE, STALL, Stack};
use crate::acknowledge;
use crate::flow::{Fate, Stage};
use crate::host::Host;
use crate::segment::{Refusal, Segment};
use crate::table::Target;
use crate::time_wait::{Record, Verdict};
use smoltcp::time::Instant;

impl Stack {
    /// A TCP segment.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn segment(
        &mut self,
        segment: &Segment,
        frame: &[u8],
        host: &mut impl Host,
        now: Instant,
    ) {
        let hash = self.table.hash(&segment.tuple);
        let found = self.table.find(hash, |target| match target {
            Target::Flow(flow) => self.pool[flow].tuple == segment.tuple,
            Target::TimeWait(record) => self.time_wait.get(record).tuple == segment.tuple,
        });
        match found {
            Some(Target::Flow(flow)) => self.converse(flow, segment, frame, host, now),
            Some(Target::TimeWait(record)) => match self.time_wait.receive(record, segment, now) {
                Verdict::Ignore => {}
                Verdict::Acknowledge => {
                    let record = self.time_wait.get(record);
                    acknowledge::send(&mut self.context.wire, host, segment, record);
                }
                Verdict::Reopen if self.serves(segment) => {
                    let last = self.time_wait.get(record).snd_nxt;
                    self.forget(record);
                    self.accept(hash, Some(last), segment, frame, host, now);
                }
                Verdict::Reopen => self.stray(frame, host, now),
            },
            None if self.is_broadcast(segment.tuple.remote) => self.refuse(Refusal::Martian),
            None if segment.flags.opens() && self.serves(segment) => {
                self.accept(hash, None, segment, frame, host, now);
            }
            // A reset is not answered (RFC 9293, 3.10.7.1).
            None if segment.flags.rst() => self.refuse(Refusal::Ignored),
            None if self.redeem(hash, segment, frame, host, now) => {}
            None => self.stray(frame, host, now),
        }
    }

    /// A segment of a connection.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn converse(
        &mut self,
        flow: u32,
        segment: &Segment,
        frame: &[u8],
        host: &mut impl Host,
        now: Instant,
    ) {
        // An acknowledgement of all that was sent needs no further look, and no deadline comes
        // nearer by it.
        if self.pool[flow].ingest(&mut self.context, segment, frame, host, now) {
            self.run(flow, Some(segment), host, now);
        }
    }

    /// Lets a connection speak, and draws the consequences. `segment`: what it has just heard.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn run(
        &mut self,
        flow: u32,
        segment: Option<&Segment>,
        host: &mut impl Host,
        now: Instant,
    ) {
        if segment.is_none() {
            self.take_stock(flow, now);
        }
        match self.pool[flow].run(&mut self.context, host, segment.is_none(), now) {
            Fate::Lives => {}
            Fate::Lingers => return self.remember(flow, segment, now),
            Fate::Ends => return self.release(flow),
        }
        let list = list_of(self.pool[flow].stage);
        if !self.order.holds(flow, list) {
            self.order.join(flow, list);
        }
        self.plan(flow, now);
    }

    /// Brings up to date what a page about the guest may show: a connection cannot look at others
    /// while it writes its answer.
    fn take_stock(&mut self, flow: u32, now: Instant) {
        let service = &mut self.context.service;
        service.stats.busy = self.order.len(BUSY) as u64;
        service.stats.closing = self.order.len(CLOSING) as u64;
        service.flows.from = None;
        if let Some(from) = self.pool[flow].asks_for_flows() {
            let slots = from..self.pool.used();
            service
                .flows
                .take(slots, |slot| self.pool[slot].snapshot(slot, now));
        }
    }

    /// Sees to it that a connection comes up when it has to.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn plan(&mut self, flow: u32, now: Instant) {
        let state = &mut self.pool[flow];
        if state.stalled && !state.in_stalled {
            state.in_stalled = true;
            self.stalled.push_back(flow);
            self.stalled_until = now + STALL;
        }
        let mut at = state.next(&mut self.context, now);
        if at <= now {
            // It would speak if it could. The queues bring it back; this is for the rest.
            at = now + STALL;
        }
        self.deadlines.by(flow, at);
    }

    /// Turns a connection into a record.
    fn remember(&mut self, flow: u32, segment: Option<&Segment>, now: Instant) {
        let state = &self.pool[flow];
        let (tuple, hash, irs) = (state.tuple, state.hash, state.irs);
        self.release(flow);
        let Some(segment) = segment else {
            debug_assert!(false, "only a segment leads to TIME-WAIT");
            return;
        };
        if self.time_wait.is_full()
            && let Some(oldest) = self.time_wait.oldest()
        {
            self.context.service.stats.evicted.time_wait += 1;
            self.forget(oldest);
        }
        let record = Record {
            tuple,
            hash,
            irs,
            snd_nxt: segment.ack,
            rcv_nxt: segment.end(),
            deadline: now,
            answered: now,
        };
        let record = self.time_wait.insert(record, now);
        self.table.insert(hash, Target::TimeWait(record));
    }

    pub(super) fn forget(&mut self, record: u32) {
        let hash = self.time_wait.get(record).hash;
        self.table.remove(hash, Target::TimeWait(record));
        self.time_wait.remove(record);
    }
}

fn list_of(stage: Stage) -> usize {
    match stage {
        Stage::HalfOpen => HALF_OPEN,
        Stage::Idle => IDLE,
        Stage::Free | Stage::Busy => BUSY,
        Stage::Closing => CLOSING,
    }
}
