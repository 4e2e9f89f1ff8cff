//! The stack as the kernel sees it: frames in, frames out, deadlines.

use crate::acknowledge;
use crate::address::Addresses;
use crate::config::{Plan, StackConfig, StackError};
use crate::context::Context;
use crate::deadlines::Deadlines;
use crate::flow::{Expiry, Fate, RETRANSMIT, SOONEST, Stage};
use crate::host::Host;
use crate::http::date::Date;
use crate::link::{Nothing, Wire};
use crate::order::Order;
use crate::pool::Pool;
use crate::segment::{self, Class, Refusal, Segment};
use crate::service::{Health, Service};
use crate::site::Site;
use crate::stats::Stats;
use crate::table::{Table, Target};
use crate::text::Text;
use crate::time_wait::{Record, TimeWait, Verdict};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use smoltcp::iface::{Config, Interface};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress};

/// Connections whose deadlines are looked at in one turn.
const TIMERS_PER_TURN: usize = 64;
/// Records that are forgotten in one turn.
const RECORDS_PER_TURN: usize = 256;
/// How long answers under way may take after [`Stack::drain`].
const DRAIN: Duration = Duration::from_secs(5);
/// When connections that wait for the transmit ring are looked at again, if nothing else comes up.
const STALL: Duration = Duration::from_millis(1);
/// Room for a page that is not a file: less than the smallest send buffer.
const TEXT: usize = 4000;

/// The lists of [`Stack::order`].
const HALF_OPEN: usize = 0;
const IDLE: usize = 1;
const BUSY: usize = 2;
const CLOSING: usize = 3;

/// Connections, HTTP and the site behind one Ethernet link.
///
/// The caller gives it each received frame, calls [`Stack::timers`] once per turn of its loop, and
/// otherwise sleeps until a frame comes or [`Stack::deadline`].
pub struct Stack {
    mac: [u8; 6],
    port: u16,
    context: Context,
    addresses: Addresses,
    table: Table,
    pool: Pool,
    deadlines: Deadlines,
    order: Order<4>,
    time_wait: TimeWait,
    most_half_open: usize,
    /// Connections that wait for the transmit ring.
    stalled: VecDeque<u32>,
    /// When they are looked at again.
    stalled_until: Instant,
    /// Connections that wait for a neighbour's address.
    unresolved: VecDeque<u32>,
    drain_by: Option<Instant>,
}

impl Stack {
    /// Reserves all memory and gives the interface its addresses. Nothing is sent before the
    /// first call of [`Stack::timers`], which is due at once.
    ///
    /// # Errors
    /// [`StackError`] when the memory does not suffice or the link is unusable.
    pub fn new(config: StackConfig, site: Site, now: Instant) -> Result<Stack, StackError> {
        if !(1280..=9000).contains(&config.mtu) {
            return Err(StackError::BadMtu(config.mtu));
        }
        if config.mac[0] & 1 != 0 {
            return Err(StackError::BadHardwareAddress(config.mac));
        }
        let plan = Plan::new(config.memory, config.conns)?;
        if config
            .conns
            .is_some_and(|conns| conns as usize > plan.flows)
        {
            log::warn!("memory allows {} connections, not more", plan.flows);
        }
        let wire = Wire::new(usize::from(config.mtu), config.tx_checksum_offload);
        let mut settings = Config::new(HardwareAddress::Ethernet(EthernetAddress(config.mac)));
        let (keys, _) = config.seed.as_chunks::<8>();
        settings.random_seed = u64::from_le_bytes(keys[2]) ^ u64::from_le_bytes(keys[3]);
        let mut interface = Box::new(Interface::new(settings, &mut Nothing(&wire), now));
        let addresses = Addresses::new(config.mac, config.ipv4, config.ipv6, &mut interface, now);
        let mut key = [0; 16];
        key.copy_from_slice(&config.seed[..16]);
        let full = |_| StackError::HeapExhausted;
        let mut stack = Stack {
            mac: config.mac,
            port: config.port,
            context: Context {
                interface,
                wire,
                service: service(&config, site, &plan),
            },
            addresses,
            table: Table::new(plan.flows + plan.records, &key),
            pool: Pool::new(plan.class, plan.flows).map_err(full)?,
            deadlines: Deadlines::new(plan.flows),
            order: Order::new(plan.flows),
            time_wait: TimeWait::new(plan.records, config.time_wait).map_err(full)?,
            most_half_open: (plan.flows / 2).max(1),
            stalled: VecDeque::with_capacity(plan.flows),
            stalled_until: now,
            unresolved: VecDeque::with_capacity(plan.flows),
            drain_by: None,
        };
        stack.tally();
        log::info!(
            "{} connections, {} records of closed ones",
            plan.flows,
            plan.records
        );
        Ok(stack)
    }

    /// Takes one Ethernet frame, without frame check sequence, and answers it.
    /// `checksum_verified`: the device has checked its TCP checksum.
    pub fn ingest(
        &mut self,
        frame: &[u8],
        checksum_verified: bool,
        host: &mut impl Host,
        now: Instant,
    ) {
        let stats = &mut self.context.service.stats;
        stats.frames_in += 1;
        stats.bytes_in += frame.len() as u64;
        match segment::classify(frame, checksum_verified, self.mac) {
            Class::Tcp(segment) => self.segment(&segment, frame, host, now),
            Class::Dhcp => self.addresses.dhcp(&mut self.context, frame, host, now),
            Class::Neighbor => {
                self.context.stray(frame, host, now);
                self.retry_unresolved(host, now);
            }
            Class::RouterAdvert(start) => {
                self.addresses
                    .router_advert(&mut self.context, frame, start, now);
            }
            Class::Other => self.context.stray(frame, host, now),
            Class::Refused(refusal) => {
                let dropped = &mut stats.dropped;
                *match refusal {
                    Refusal::Malformed => &mut dropped.malformed,
                    Refusal::Checksum => &mut dropped.checksum,
                    Refusal::NotForUs => &mut dropped.not_for_us,
                    Refusal::Fragment => &mut dropped.fragment,
                    Refusal::Ignored => &mut dropped.ignored,
                } += 1;
            }
        }
        self.tally();
    }

    /// Does what is due, within a bound. True: there is more to do right now.
    pub fn timers(&mut self, host: &mut impl Host, now: Instant) -> bool {
        if now >= self.addresses.next() {
            let busy = self.order.len(IDLE) + self.order.len(BUSY) > 0;
            self.addresses.run(&mut self.context, host, busy, now);
        }
        self.retry_stalled(host, now);
        let mut more = self.forget_records(now);
        more |= self.run_due(host, now);
        more |= self.go_on_draining(host, now);
        self.tally();
        more
    }

    /// When [`Stack::timers`] has to be called next, if no frame comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        [
            Some(self.addresses.next()),
            self.deadlines.next(),
            self.time_wait.next(),
            self.drain_by,
            self.is_stalled().then_some(self.stalled_until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether connections wait: for room in the transmit ring, of which the device should then
    /// tell, or for the frames of this turn to go back to the receive ring.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        !self.stalled.is_empty()
    }

    /// Begins to stop: new connections are refused, idle ones closed, answers under way finished
    /// with `Connection: close`; after 5 s the rest is reset.
    pub fn drain(&mut self, now: Instant) {
        if self.drain_by.is_none() {
            self.context.service.health.draining = true;
            self.drain_by = Some(now + DRAIN);
        }
    }

    /// Whether [`Stack::drain`] has come to its end.
    #[must_use]
    pub fn drained(&self) -> bool {
        let lists = [HALF_OPEN, IDLE, BUSY, CLOSING];
        self.context.service.health.draining
            && lists.into_iter().all(|list| self.order.len(list) == 0)
    }

    /// Lets `/healthz` answer 503 with a reason; `None`: all is well again.
    pub fn degrade(&mut self, reason: Option<&'static str>) {
        self.context.service.health.degraded = reason;
    }

    /// Asks the gateway for its hardware address, so that a frame must come back if the link
    /// works. False: there is no gateway, or no room in the transmit ring.
    pub fn probe(&mut self, host: &mut impl Host, _now: Instant) -> bool {
        let sent = self.addresses.probe(&mut self.context, host);
        self.tally();
        sent
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.context.service.stats
    }

    /// Our addresses.
    pub fn addresses(&self) -> impl Iterator<Item = smoltcp::wire::IpCidr> + '_ {
        self.context.interface.ip_addrs().iter().copied()
    }

    /// A TCP segment.
    fn segment(&mut self, segment: &Segment, frame: &[u8], host: &mut impl Host, now: Instant) {
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
                    acknowledge::send(&mut self.context.wire, host, self.mac, segment, record);
                }
                Verdict::Reopen => {
                    self.forget(record);
                    self.accept(hash, segment, frame, host, now);
                }
            },
            None if segment.flags.opens() && self.serves(segment) => {
                self.accept(hash, segment, frame, host, now);
            }
            None => self.context.stray(frame, host, now),
        }
    }

    /// Whether a SYN is for a service of ours.
    fn serves(&self, segment: &Segment) -> bool {
        let port = segment.tuple.local_port;
        (port == self.port || self.context.service.admin == Some(port))
            && !self.context.service.health.draining
            && self
                .context
                .interface
                .has_ip_addr(IpAddress::from(segment.tuple.local_address()))
    }

    /// A new connection.
    fn accept(
        &mut self,
        hash: u64,
        segment: &Segment,
        frame: &[u8],
        host: &mut impl Host,
        now: Instant,
    ) {
        let Some(flow) = self.admit(host, now) else {
            self.context.service.stats.syn_dropped += 1;
            return;
        };
        self.pool[flow].open(segment, hash, now);
        self.table.insert(hash, Target::Flow(flow));
        self.order.join(flow, HALF_OPEN);
        self.pool[flow].ingest(&mut self.context, frame, host, now);
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

    /// A segment of a connection.
    fn converse(
        &mut self,
        flow: u32,
        segment: &Segment,
        frame: &[u8],
        host: &mut impl Host,
        now: Instant,
    ) {
        self.pool[flow].ingest(&mut self.context, frame, host, now);
        // An acknowledgement of all that was sent needs no further look, and no deadline comes
        // nearer by it.
        if segment.payload == 0 && segment.flags.is_bare_ack() && self.pool[flow].is_quiet() {
            return;
        }
        self.run(flow, Some(segment), host, now);
    }

    /// Lets a connection speak, and draws the consequences. `segment`: what it has just heard.
    fn run(&mut self, flow: u32, segment: Option<&Segment>, host: &mut impl Host, now: Instant) {
        let before = self.pool[flow].stage;
        let served = self.context.service.stats.requests_served;
        match self.pool[flow].run(&mut self.context, host, segment.is_none(), now) {
            Fate::Lives => {}
            Fate::Lingers => return self.remember(flow, segment, now),
            Fate::Ends => return self.release(flow),
        }
        let stage = self.pool[flow].stage;
        if stage != before || self.context.service.stats.requests_served != served {
            self.order.join(flow, list_of(stage));
        }
        self.plan(flow, now);
    }

    /// Sees to it that a connection comes up when it has to.
    fn plan(&mut self, flow: u32, now: Instant) {
        let state = &mut self.pool[flow];
        if state.stalled && !state.in_stalled {
            state.in_stalled = true;
            self.stalled.push_back(flow);
            self.stalled_until = now + STALL;
        }
        if state.unresolved && !state.in_unresolved {
            state.in_unresolved = true;
            self.unresolved.push_back(flow);
        }
        // Most of the time there is an entry that comes up early enough: what this turn may have
        // started is a retransmission, or the delay of an acknowledgement that is still owed.
        if let Some(at) = self.deadlines.get(flow) {
            let soonest = if state.spoke { RETRANSMIT } else { SOONEST };
            if at <= now + soonest {
                return;
            }
        }
        let mut at = state.next(&mut self.context, now);
        if at <= now {
            // It would speak if it could. The queues bring it back; this is for the rest.
            at = now + STALL.max(SOONEST);
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

    fn forget(&mut self, record: u32) {
        let hash = self.time_wait.get(record).hash;
        self.table.remove(hash, Target::TimeWait(record));
        self.time_wait.remove(record);
    }

    /// Frees a connection's slot.
    fn release(&mut self, flow: u32) {
        let state = &mut self.pool[flow];
        state.vacate();
        self.table.remove(state.hash, Target::Flow(flow));
        self.order.leave(flow);
        self.pool.give_back(flow);
    }

    /// Connections that met a full transmit ring, in the order in which they did.
    fn retry_stalled(&mut self, host: &mut impl Host, now: Instant) {
        for _ in 0..self.stalled.len() {
            if !host.can_transmit() {
                self.stalled_until = now + STALL;
                break;
            }
            let Some(flow) = self.stalled.pop_front() else {
                break;
            };
            let state = &mut self.pool[flow];
            state.in_stalled = false;
            if state.stage != Stage::Free && state.stalled {
                self.run(flow, None, host, now);
            }
        }
    }

    /// Connections that lacked a neighbour's address, now that one may have become known.
    fn retry_unresolved(&mut self, host: &mut impl Host, now: Instant) {
        for _ in 0..self.unresolved.len().min(TIMERS_PER_TURN) {
            let Some(flow) = self.unresolved.pop_front() else {
                break;
            };
            let state = &mut self.pool[flow];
            state.in_unresolved = false;
            if state.stage != Stage::Free && state.unresolved {
                self.run(flow, None, host, now);
            }
        }
    }

    fn forget_records(&mut self, now: Instant) -> bool {
        for _ in 0..RECORDS_PER_TURN {
            match self.time_wait.oldest() {
                Some(record) if self.time_wait.get(record).deadline <= now => self.forget(record),
                _ => return false,
            }
        }
        true
    }

    fn run_due(&mut self, host: &mut impl Host, now: Instant) -> bool {
        for _ in 0..TIMERS_PER_TURN {
            let Some(flow) = self.deadlines.pop(now) else {
                return false;
            };
            let state = &mut self.pool[flow];
            if state.stage == Stage::Free {
                continue;
            }
            if let Some(expiry) = state.expiry(now) {
                let expired = &mut self.context.service.stats.expired;
                match expiry {
                    Expiry::HalfOpen => {
                        expired.half_open += 1;
                        self.release(flow);
                        continue;
                    }
                    Expiry::Idle => expired.idle += 1,
                    Expiry::Request => expired.request += 1,
                    Expiry::Answer => expired.answer += 1,
                    Expiry::Closing => expired.closing += 1,
                }
                state.expire();
            }
            self.run(flow, None, host, now);
        }
        true
    }

    fn go_on_draining(&mut self, host: &mut impl Host, now: Instant) -> bool {
        let Some(by) = self.drain_by else {
            return false;
        };
        for _ in 0..TIMERS_PER_TURN {
            if let Some(flow) = self.order.oldest(HALF_OPEN) {
                self.release(flow);
            } else if let Some(flow) = self.order.oldest(IDLE) {
                self.pool[flow].close();
                self.run(flow, None, host, now);
            } else if now >= by
                && let Some(flow) = self.order.oldest(BUSY).or(self.order.oldest(CLOSING))
            {
                self.pool[flow].reset();
                self.run(flow, None, host, now);
            } else {
                if now >= by {
                    self.drain_by = None;
                }
                return false;
            }
        }
        true
    }

    /// Brings the gauges and the link's counters into the figures that are shown.
    fn tally(&mut self) {
        let Context { wire, service, .. } = &mut self.context;
        let stats = &mut service.stats;
        stats.half_open = self.order.len(HALF_OPEN) as u64;
        stats.open = (self.order.len(IDLE) + self.order.len(BUSY) + self.order.len(CLOSING)) as u64;
        stats.time_wait = self.time_wait.len() as u64;
        stats.frames_out = wire.frames_out;
        stats.bytes_out = wire.bytes_out;
        stats.ring_full = wire.ring_full;
    }
}

fn service(config: &StackConfig, site: Site, plan: &Plan) -> Service {
    Service {
        site,
        stats: Stats {
            version: config.version,
            limit: plan.flows as u64,
            ..Stats::default()
        },
        date: Date::new(config.wall_clock),
        health: Health::default(),
        head: vec![0; plan.class.rx].into_boxed_slice(),
        text: Text::new(TEXT),
        public_endpoints: config.public_endpoints,
        admin: config.admin,
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
