//! The counters, and the page that shows them.

use crate::host::Snapshot;
use crate::text::Text;
use core::fmt::Write as _;
use quartz_abi::RingStats;
use smoltcp::time::Instant;

/// Frames that were received and not used, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// A length or a field that cannot be right.
    pub malformed: u64,
    /// A wrong checksum of TCP, ICMP or of an IPv4 header.
    pub checksum: u64,
    /// Not for our hardware address, or not for our IP address.
    pub not_for_us: u64,
    /// Of a virtual LAN.
    pub vlan: u64,
    /// From an address that no packet can come from.
    pub martian: u64,
    /// Of a kind that a host ignores.
    pub ignored: u64,
    /// Would have been answered if there were not so many.
    pub limited: u64,
}

/// Datagrams in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragmented {
    /// Pieces received.
    pub received: u64,
    /// Datagrams put together.
    pub reassembled: u64,
    /// Pieces that cannot be true, or of a datagram that is too long.
    pub refused: u64,
    /// Datagrams made void by pieces that overlap.
    pub overlapping: u64,
    /// Datagrams given up for others.
    pub evicted: u64,
    /// Datagrams given up because pieces were missing for too long.
    pub expired: u64,
}

/// What was heard by ICMP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Icmp {
    /// Echo requests answered.
    pub echoed: u64,
    /// Errors about a segment that is on its way.
    pub errors: u64,
    /// Errors about anything else, which anybody could have made up.
    pub disbelieved: u64,
    /// Connections that send shorter packets since.
    pub path_mtu: u64,
}

/// What was heard of other hosts' addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Neighbors {
    /// Questions for our hardware address that were answered.
    pub answered: u64,
    /// Others that use an address of ours.
    pub conflicts: u64,
}

/// Connections that made room for others, by what they were doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Records of closed connections.
    pub time_wait: u64,
    /// Connections whose handshake was not complete.
    pub half_open: u64,
    /// Connections that waited for a request.
    pub idle: u64,
}

/// Handshakes by cookie, when many are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cookies {
    /// Requests for a connection that were answered by one.
    pub sent: u64,
    /// Connections that began by one.
    pub accepted: u64,
}

/// Connections that ran out of time, by what they were doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// The handshake was not completed.
    pub half_open: u64,
    /// No request came.
    pub idle: u64,
    /// A request did not arrive whole.
    pub request: u64,
    /// The peer did not take its answer.
    pub answer: u64,
    /// The peer did not close.
    pub closing: u64,
}

/// What the stack counts. Gauges say so; all else only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Version of the program.
    pub version: &'static str,
    /// Connections accepted: their handshake was complete.
    pub connections_served: u64,
    /// Requests answered.
    pub requests_served: u64,
    /// Answers by the first figure of their status, from 1 to 5.
    pub status: [u64; 5],
    /// Gauge: connections whose handshake is complete.
    pub open: u64,
    /// Gauge: of those the ones with a request or an answer under way. Brought up to date when a
    /// page shows it, as is the next.
    pub busy: u64,
    /// Gauge: of those the ones that we have told everything.
    pub closing: u64,
    /// Gauge: connections whose handshake is not complete.
    pub half_open: u64,
    /// Gauge: records of closed connections.
    pub time_wait: u64,
    /// Gauge: most connections at once.
    pub limit: u64,
    /// Connections that made room for others.
    pub evicted: Evicted,
    /// Connections that ran out of time.
    pub expired: Expired,
    /// Requests for a connection that found no room.
    pub syn_dropped: u64,
    /// Handshakes by cookie.
    pub cookies: Cookies,
    /// Requests for a connection from clients that had enough of them.
    pub source_limited: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Bytes in them.
    pub bytes_in: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Bytes in them.
    pub bytes_out: u64,
    /// Frames received and not used.
    pub dropped: Dropped,
    /// Datagrams in pieces.
    pub fragmented: Fragmented,
    /// What was heard by ICMP.
    pub icmp: Icmp,
    /// What was heard of other hosts' addresses.
    pub neighbors: Neighbors,
    /// Replies dropped because the transmit ring was full.
    pub ring_full: u64,
    /// Segments answered with where we are, because they may have been forged (RFC 5961).
    pub challenged: u64,
    /// Segments that were sent again.
    pub retransmitted: u64,
}

impl Stats {
    /// Counts an answer.
    pub(crate) fn answered(&mut self, code: u16) {
        self.requests_served += 1;
        if let Some(class) = self.status.get_mut(usize::from(code / 100).wrapping_sub(1)) {
            *class += 1;
        }
    }

    /// Connections that made room, in all.
    #[must_use]
    pub fn evicted_total(&self) -> u64 {
        self.evicted.time_wait + self.evicted.half_open + self.evicted.idle
    }

    /// Writes `/stats.json`.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(crate) fn write(&self, text: &mut Text, machine: &Snapshot, now: Instant) {
        // Writing into `Text` cannot fail.
        let _ = write!(
            text,
            "{{\"version\":\"{}\",\"uptime_ms\":{},\"boot_us\":{},\
             \"connections_served\":{},\"requests_served\":{},\
             \"connections\":{{\"open\":{},\"busy\":{},\"closing\":{},\"half_open\":{},\"time_wait\":{},\"limit\":{},\
             \"evicted\":{},\"syn_dropped\":{},\"source_limited\":{},\
             \"cookies_sent\":{},\"cookies_accepted\":{}}},",
            self.version,
            now.total_millis(),
            machine.boot_us,
            self.connections_served,
            self.requests_served,
            self.open,
            self.busy,
            self.closing,
            self.half_open,
            self.time_wait,
            self.limit,
            self.evicted_total(),
            self.syn_dropped,
            self.source_limited,
            self.cookies.sent,
            self.cookies.accepted,
        );
        let _ = write!(
            text,
            "\"evicted\":{{\"time_wait\":{},\"half_open\":{},\"idle\":{}}},\
             \"expired\":{{\"half_open\":{},\"idle\":{},\"request\":{},\"answer\":{},\"closing\":{}}},\
             \"status\":{{\"2xx\":{},\"3xx\":{},\"4xx\":{},\"5xx\":{}}},",
            self.evicted.time_wait,
            self.evicted.half_open,
            self.evicted.idle,
            self.expired.half_open,
            self.expired.idle,
            self.expired.request,
            self.expired.answer,
            self.expired.closing,
            self.status[1],
            self.status[2],
            self.status[3],
            self.status[4],
        );
        let _ = write!(
            text,
            "\"frames\":{{\"in\":{},\"out\":{},\"bytes_in\":{},\"bytes_out\":{},\
             \"retransmitted\":{},\"challenged\":{},\"ring_full\":{},\"dropped\":{{\"malformed\":{},\"checksum\":{},\
             \"not_for_us\":{},\"vlan\":{},\"martian\":{},\"ignored\":{},\"limited\":{}}}}},",
            self.frames_in,
            self.frames_out,
            self.bytes_in,
            self.bytes_out,
            self.retransmitted,
            self.challenged,
            self.ring_full,
            self.dropped.malformed,
            self.dropped.checksum,
            self.dropped.not_for_us,
            self.dropped.vlan,
            self.dropped.martian,
            self.dropped.ignored,
            self.dropped.limited,
        );
        let _ = write!(
            text,
            "\"fragments\":{{\"received\":{},\"reassembled\":{},\"refused\":{},\
             \"overlapping\":{},\"evicted\":{},\"expired\":{}}},\
             \"icmp\":{{\"echoed\":{},\"errors\":{},\"disbelieved\":{},\"path_mtu\":{}}},\
             \"neighbors\":{{\"answered\":{},\"conflicts\":{}}},",
            self.fragmented.received,
            self.fragmented.reassembled,
            self.fragmented.refused,
            self.fragmented.overlapping,
            self.fragmented.evicted,
            self.fragmented.expired,
            self.icmp.echoed,
            self.icmp.errors,
            self.icmp.disbelieved,
            self.icmp.path_mtu,
            self.neighbors.answered,
            self.neighbors.conflicts,
        );
        ring(text, "rx", &machine.rx);
        ring(text, "tx", &machine.tx);
        let _ = writeln!(
            text,
            "\"heap\":{{\"used\":{},\"total\":{},\"allocations\":{}}}}}",
            machine.heap_used, machine.heap_total, machine.heap_allocations
        );
    }
}

#[cfg_attr(target_os = "none", optimize(size))]
fn ring(text: &mut Text, name: &str, ring: &RingStats) {
    let _ = write!(
        text,
        "\"{name}\":{{\"size\":{},\"avail_idx\":{},\"used_idx\":{},\"gap\":{},\"free\":{},\
         \"harvested\":{},\"posted\":{},\"kicks\":{},\"interrupts\":{},\"spurious\":{},\
         \"missed_interrupts\":{},\"rekicks\":{},\"bad_used\":{},\"resets\":{}}},",
        ring.size,
        ring.avail_idx,
        ring.used_idx,
        ring.gap,
        ring.free,
        ring.harvested,
        ring.posted,
        ring.kicks,
        ring.interrupts,
        ring.spurious,
        ring.missed_interrupts,
        ring.rekicks,
        ring.bad_used,
        ring.resets,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Health;

    #[test]
    fn the_largest_figures_fit_the_smallest_buffer() {
        let most = u64::MAX;
        let ring = RingStats {
            size: u16::MAX,
            avail_idx: u16::MAX,
            used_idx: u16::MAX,
            gap: u16::MAX,
            free: u16::MAX,
            harvested: most,
            posted: most,
            kicks: most,
            interrupts: most,
            spurious: most,
            missed_interrupts: most,
            rekicks: most,
            bad_used: most,
            resets: most,
        };
        let machine = Snapshot {
            rx: ring,
            tx: ring,
            heap_used: most,
            heap_total: most,
            heap_allocations: most,
            boot_us: most,
        };
        let mut stats = Stats {
            version: "a version of forty characters, or nearly",
            connections_served: most,
            requests_served: most,
            status: [most; 5],
            open: most,
            busy: most,
            closing: most,
            half_open: most,
            time_wait: most,
            limit: most,
            evicted: Evicted {
                // Their sum is shown too.
                time_wait: most - 2,
                half_open: 1,
                idle: 1,
            },
            expired: Expired {
                half_open: most,
                idle: most,
                request: most,
                answer: most,
                closing: most,
            },
            syn_dropped: most,
            cookies: Cookies {
                sent: most,
                accepted: most,
            },
            source_limited: most,
            frames_in: most,
            bytes_in: most,
            frames_out: most,
            bytes_out: most,
            dropped: Dropped {
                malformed: most,
                checksum: most,
                not_for_us: most,
                vlan: most,
                martian: most,
                ignored: most,
                limited: most,
            },
            fragmented: Fragmented {
                received: most,
                reassembled: most,
                refused: most,
                overlapping: most,
                evicted: most,
                expired: most,
            },
            icmp: Icmp {
                echoed: most,
                errors: most,
                disbelieved: most,
                path_mtu: most,
            },
            neighbors: Neighbors {
                answered: most,
                conflicts: most,
            },
            ring_full: most,
            challenged: most,
            retransmitted: most,
        };
        let mut text = Text::new(8192);
        let now = Instant::from_micros(i64::MAX);
        stats.write(&mut text, &machine, now);
        assert!(text.bytes().ends_with(b"}\n"));
        // A head, `Date` and `Connection` go with it.
        let len = text.bytes().len();
        assert!(len + 300 < crate::stack::TEXT, "{len}");

        let mut text = Text::new(1 << 16);
        stats.open = most;
        stats.busy = 0;
        stats.closing = 0;
        crate::metrics::write(&mut text, &stats, &Health::default(), &machine, now);
        assert!(text.bytes().ends_with(b"\n"));
        let len = text.bytes().len();
        assert!(len + 300 < crate::stack::TEXT, "{len}");
    }
}
