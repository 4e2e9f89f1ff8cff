//! The stack as the kernel sees it: frames in, frames out, deadlines.

mod admission;
mod census;
mod conversation;
mod internet;
mod timers;

use crate::address::Addresses;
use crate::app::Application;
use crate::config::{Plan, StackConfig, StackError};
use crate::context::Context;
use crate::cookie::Cookies;
use crate::deadlines::{Deadlines, earlier};
use crate::flows::FlowPage;
use crate::host::Host;
use crate::http::Memo;
use crate::http::date::Date;
use crate::internet::Fragments;
use crate::link::Wire;
use crate::order::Order;
use crate::outbox::Blocks;
use crate::pool::Pool;
use crate::segment::{self, Class, Refusal};
use crate::sequence::Sequence;
use crate::service::{Health, Service};
use crate::site::Site;
use crate::sources::Sources;
use crate::stats::Stats;
use crate::table::Table;
use crate::text::Text;
use crate::time_wait::TimeWait;
use alloc::collections::VecDeque;
use alloc::vec;
use internet::Internet;
use siphasher::sip::SipHasher13;
use siphasher::sip128::SipHasher13 as SipHasher13_128;
use smoltcp::time::{Duration, Instant};

/// How long answers under way may take after [`Stack::drain`].
const DRAIN: Duration = Duration::from_secs(5);
/// When connections that wait for the transmit ring are looked at again, if nothing else comes up.
const STALL: Duration = Duration::from_millis(1);
/// Room for a page that is not a file.
pub(crate) const TEXT: usize = 16 << 10;
/// Most handshakes that are open at once. What comes beyond is answered by cookies.
const MOST_HALF_OPEN: usize = 1024;

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
    internet: Internet,
    table: Table,
    sequence: Sequence,
    pool: Pool,
    deadlines: Deadlines,
    order: Order<4>,
    time_wait: TimeWait,
    /// From here on requests for connections are answered by cookies.
    most_half_open: usize,
    cookies: Cookies,
    /// Connections of each client, if they are limited.
    sources: Option<Sources>,
    /// The window that a cookie is sent with.
    window: u16,
    /// Connections that wait for the transmit ring.
    stalled: VecDeque<u32>,
    /// When they are looked at again.
    stalled_until: Instant,
    drain_by: Option<Instant>,
}

impl Stack {
    /// Reserves all memory and gives the interface its addresses. Nothing is sent before the
    /// first call of [`Stack::timers`], which is due at once.
    ///
    /// # Errors
    /// [`StackError`] when the memory does not suffice or the link is unusable.
    pub fn new(config: StackConfig, site: Site, now: Instant) -> Result<Stack, StackError> {
        Stack::with_application(config, site, Application::new(), now)
    }

    /// The same with an application's handlers in front of the site.
    ///
    /// # Errors
    /// As [`Stack::new`].
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn with_application(
        config: StackConfig,
        site: Site,
        application: Application,
        now: Instant,
    ) -> Result<Stack, StackError> {
        if !(1280..=9000).contains(&config.mtu) {
            return Err(StackError::BadMtu(config.mtu));
        }
        if config.mac[0] & 1 != 0 {
            return Err(StackError::BadHardwareAddress(config.mac));
        }
        let plan = Plan::new(&config)?;
        if config
            .conns
            .is_some_and(|conns| conns as usize > plan.flows)
        {
            log::warn!("memory allows {} connections, not more", plan.flows);
        }
        let ([table_key, sequence_key], _) = config.seed.as_chunks::<16>() else {
            unreachable!("32 bytes are two keys");
        };
        let full = |_| StackError::HeapExhausted;
        let mut context = Context::new(
            Wire::new(
                config.mac,
                usize::from(config.mtu),
                config.tx_checksum_offload,
            ),
            service(&config, site, application, &plan),
            Memo::new(Memo::places(config.memory)).map_err(full)?,
            Blocks::new(plan.flows, plan.spare).map_err(full)?,
            // What smoltcp draws from this is seen in DHCP's transaction numbers alone.
            SipHasher13::new_with_key(sequence_key).hash(b"smoltcp"),
            now,
        );
        let addresses = Addresses::new(config.mac, config.ipv4, config.ipv6, &mut context, now);
        let stack = Stack {
            mac: config.mac,
            port: config.port,
            context,
            addresses,
            internet: Internet::new(
                Fragments::places(config.memory),
                SipHasher13::new_with_key(sequence_key),
            ),
            table: Table::new(plan.flows + plan.records, table_key),
            sequence: Sequence::new(sequence_key),
            pool: Pool::new(plan.buffer, plan.flows).map_err(full)?,
            deadlines: Deadlines::new(plan.flows),
            order: Order::new(plan.flows),
            time_wait: TimeWait::new(plan.records, config.time_wait).map_err(full)?,
            most_half_open: (plan.flows / 4).clamp(1, MOST_HALF_OPEN),
            cookies: Cookies::new(&derived(sequence_key, b"cookies")),
            sources: config
                .conns_per_source
                .map(|most| Sources::new(plan.flows, most, &derived(table_key, b"sources"))),
            window: plan.buffer as u16,
            stalled: VecDeque::with_capacity(plan.flows),
            stalled_until: now,
            drain_by: None,
        };
        log::info!(
            "{} connections, {} records of closed ones",
            plan.flows,
            plan.records
        );
        Ok(stack)
    }

    /// Takes one Ethernet frame, without frame check sequence, and answers it.
    /// `checksum_verified`: the device has checked its TCP checksum.
    #[cfg_attr(target_os = "none", optimize(speed))]
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
        self.sort(frame, checksum_verified, host, now);
    }

    /// Gives a frame to whom it is for.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn sort(&mut self, frame: &[u8], verified: bool, host: &mut impl Host, now: Instant) {
        match segment::classify(frame, verified, self.mac) {
            Class::Tcp(segment) => self.segment(&segment, frame, host, now),
            Class::Dhcp => self.addresses.dhcp(&mut self.context, frame, host, now),
            Class::Arp => self.addresses.arp(&mut self.context, frame, host, now),
            Class::Neighbor(start) => {
                self.addresses
                    .neighbor(&mut self.context, frame, start, host, now);
            }
            Class::RouterAdvert(start) => {
                self.addresses
                    .router_advert(&mut self.context, frame, start, now);
            }
            Class::Icmp(start, end) => self.icmp(frame, (start, end), host, now),
            Class::Other => self.stray(frame, host, now),
            Class::Dressed => self.undress(frame, verified, host, now),
            Class::Refused(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        let dropped = &mut self.context.service.stats.dropped;
        *match refusal {
            Refusal::Malformed => &mut dropped.malformed,
            Refusal::Checksum => &mut dropped.checksum,
            Refusal::NotForUs => &mut dropped.not_for_us,
            Refusal::Vlan => &mut dropped.vlan,
            Refusal::Martian => &mut dropped.martian,
            Refusal::Ignored => &mut dropped.ignored,
        } += 1;
    }

    /// Does what is due, within a bound. True: there is more to do right now.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn timers(&mut self, host: &mut impl Host, now: Instant) -> bool {
        if self.addresses.next().is_some_and(|next| next <= now) {
            self.addresses.run(&mut self.context, host, now);
        }
        if self.internet.next().is_some_and(|next| next <= now) {
            self.give_up_pieces(host, now);
        }
        // Pages about the guest are written now, and what handlers say.
        self.tally();
        self.retry_stalled(host, now);
        let mut more = self.forget_records(now);
        more |= self.run_due(host, now);
        more |= self.go_on_draining(host, now);
        more
    }

    /// When [`Stack::timers`] has to be called next, if no frame comes before.
    #[must_use]
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn deadline(&self) -> Option<Instant> {
        let stalled = self.is_stalled().then_some(self.stalled_until);
        let own = earlier(self.deadlines.next(), self.time_wait.next());
        let others = earlier(self.addresses.next(), self.internet.next());
        earlier(earlier(own, others), earlier(self.drain_by, stalled))
    }

    /// Whether connections wait: for room in the transmit ring, of which the device should then
    /// tell, or for the frames of this turn to go back to the receive ring.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        !self.stalled.is_empty()
    }

    /// Begins to stop: new connections are refused, idle ones closed, answers under way finished
    /// with `Connection: close`; after 5 s the rest is reset.
    #[cfg_attr(target_os = "none", optimize(size))]
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
        self.addresses.probe(&mut self.context, host)
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.context.service.stats;
        fill_in(&mut stats, &self.order, &self.time_wait, &self.context.wire);
        stats
    }

    /// Our addresses.
    pub fn addresses(&self) -> impl Iterator<Item = smoltcp::wire::IpCidr> + '_ {
        self.context.ethernet.ip_addrs().iter().copied()
    }

    /// Brings the figures that are shown up to date.
    fn tally(&mut self) {
        let Context { wire, service, .. } = &mut self.context;
        fill_in(&mut service.stats, &self.order, &self.time_wait, wire);
    }
}

/// Brings the gauges and the link's counters into the figures that are shown.
#[inline]
fn fill_in(stats: &mut Stats, order: &Order<4>, time_wait: &TimeWait, wire: &Wire) {
    stats.half_open = order.len(HALF_OPEN) as u64;
    stats.open = (order.len(IDLE) + order.len(BUSY) + order.len(CLOSING)) as u64;
    stats.time_wait = time_wait.len() as u64;
    stats.frames_out = wire.frames_out;
    stats.bytes_out = wire.bytes_out;
    stats.ring_full = wire.ring_full;
}

/// Another key, out of one.
fn derived(key: &[u8; 16], purpose: &[u8]) -> [u8; 16] {
    SipHasher13_128::new_with_key(key).hash(purpose).as_bytes()
}

#[cfg_attr(target_os = "none", optimize(size))]
fn service(config: &StackConfig, site: Site, application: Application, plan: &Plan) -> Service {
    Service {
        page: Text::new(if application.is_empty() { 0 } else { TEXT }),
        application,
        site,
        stats: Stats {
            version: config.version,
            limit: plan.flows as u64,
            ..Stats::default()
        },
        date: Date::new(config.wall_clock),
        health: Health::default(),
        head: vec![0; plan.buffer].into_boxed_slice(),
        text: Text::new(TEXT),
        flows: FlowPage::new(),
        public_endpoints: config.public_endpoints,
        admin: config.admin,
    }
}
