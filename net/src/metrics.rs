//! `/metrics`: the counters for Prometheus, in its text format, version 0.0.4.
//!
//! The same figures as in [`crate::stats`], in base units. Each part of the page is a table in text,
//! one family to a line: type, name, labels of its samples, help; the values come in its order.

use crate::host::Snapshot;
use crate::service::Health;
use crate::stats::Stats;
use crate::text::Text;
use core::fmt::Write as _;
use quartz_abi::RingStats;
use smoltcp::time::Instant;

/// What the page is sent as.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `seconds` is a gauge whose value is given in microseconds.
const MACHINE: &str = r#"
seconds uptime_seconds - Time since boot.
seconds boot_seconds - Time from the first instruction to the main loop.
gauge healthy - 1 while /healthz answers 200.
gauge draining - 1 while the guest finishes its work to stop.
gauge heap_used_bytes - Bytes of the heap in use.
gauge heap_size_bytes - Bytes of the heap.
"#;

const HTTP: &str = r#"
counter http_requests_total code="1xx"|code="2xx"|code="3xx"|code="4xx"|code="5xx" Requests answered, by class of status.
"#;

const CONNECTIONS: &str = r#"
gauge connections state="half_open"|state="idle"|state="busy"|state="closing"|state="time_wait" Connections, by what they are doing.
gauge connections_limit - Most connections at once.
counter connections_accepted_total - Connections whose handshake was completed.
counter connections_evicted_total state="half_open"|state="idle"|state="time_wait" Connections that made room for others.
counter connections_expired_total waiting_for="handshake"|waiting_for="next_request"|waiting_for="request"|waiting_for="answer"|waiting_for="close" Connections that ran out of time.
counter syns_dropped_total reason="full"|reason="source_limit" Requests for a connection that were not answered.
counter syn_cookies_sent_total - Requests for a connection that were answered by a cookie.
counter syn_cookies_accepted_total - Connections that began by a cookie.
"#;

const FRAMES: &str = r#"
counter frames_total queue="rx"|queue="tx" Ethernet frames received and sent.
counter frame_bytes_total queue="rx"|queue="tx" Bytes in frames received and sent.
counter frames_dropped_total queue="rx",reason="malformed"|queue="rx",reason="checksum"|queue="rx",reason="not_for_us"|queue="rx",reason="vlan"|queue="rx",reason="martian"|queue="rx",reason="ignored"|queue="rx",reason="limited"|queue="tx",reason="ring_full" Frames received and not used, or not sent.
"#;

const INTERNET: &str = r#"
counter tcp_segments_retransmitted_total - Segments sent again.
counter tcp_challenges_total - Segments that may have been forged, answered with where we are.
counter ip_fragments_received_total - Pieces of datagrams received.
counter ip_fragments_refused_total - Pieces of datagrams that cannot be true.
counter ip_datagrams_reassembled_total - Datagrams put together.
counter ip_datagrams_discarded_total reason="overlapping"|reason="evicted"|reason="expired" Datagrams in pieces that were given up.
counter icmp_echo_replies_total - Echo requests answered.
counter icmp_errors_total - ICMP errors about a segment that is on its way.
counter icmp_errors_disbelieved_total - ICMP errors about anything else.
counter path_mtu_reductions_total - Connections that send shorter packets since an ICMP error.
counter neighbor_replies_total - Questions for our hardware address answered.
counter address_conflicts_total - Others that use an address of ours.
"#;

const RINGS: &str = r#"
gauge ring_size queue="rx"|queue="tx" Descriptors in the ring.
gauge ring_avail_index queue="rx"|queue="tx" Index of the available ring, modulo 65536.
gauge ring_used_index queue="rx"|queue="tx" Index of the used ring as last read, modulo 65536.
gauge ring_gap queue="rx"|queue="tx" Descriptors that the device owns.
gauge ring_free queue="rx"|queue="tx" Descriptors that nobody holds.
counter ring_harvested_total queue="rx"|queue="tx" Used entries taken in.
counter ring_posted_total queue="rx"|queue="tx" Buffers made available to the device.
counter ring_kicks_total queue="rx"|queue="tx" Notifications sent to the device.
counter ring_interrupts_total queue="rx"|queue="tx" Interrupts that the queue's work explains.
counter ring_spurious_interrupts_total queue="rx"|queue="tx" Interrupts that found nothing to do.
counter ring_missed_interrupts_total queue="rx"|queue="tx" Used entries found without an interrupt.
counter ring_rekicks_total queue="rx"|queue="tx" Notifications repeated because the device had not moved.
counter ring_bad_used_total queue="rx"|queue="tx" Used entries that cannot be true.
counter ring_resets_total queue="rx"|queue="tx" Device resets that the queue went through.
"#;

/// Writes a table with its values.
#[inline(never)]
fn part(text: &mut Text, table: &str, values: &[u64]) {
    let mut values = values.iter();
    let mut rest = table.as_bytes().trim_ascii_start();
    while !rest.is_empty() {
        let kind = word(&mut rest, b' ');
        let name = word(&mut rest, b' ');
        let mut labels = word(&mut rest, b' ');
        let help = word(&mut rest, b'\n');
        let shown = if kind == b"counter" { kind } else { b"gauge" };
        say(
            text,
            &[
                b"# HELP quartz_",
                name,
                b" ",
                help,
                b"\n# TYPE quartz_",
                name,
                b" ",
                shown,
                b"\n",
            ],
        );
        while !labels.is_empty() {
            let value = values.next();
            debug_assert!(value.is_some(), "more labels than values");
            let value = value.copied().unwrap_or_default();
            match word(&mut labels, b'|') {
                b"-" => say(text, &[b"quartz_", name]),
                one => say(text, &[b"quartz_", name, b"{", one, b"}"]),
            }
            // Writing into `Text` cannot fail.
            let _ = match kind {
                b"seconds" => writeln!(text, " {}.{:06}", value / 1_000_000, value % 1_000_000),
                _ => writeln!(text, " {value}"),
            };
        }
    }
    debug_assert!(values.next().is_none(), "values without a name");
}

/// What comes before `end`, which is taken off the front of `rest`.
#[inline(never)]
fn word<'a>(rest: &mut &'a [u8], end: u8) -> &'a [u8] {
    let at = rest.iter().position(|&b| b == end).unwrap_or(rest.len());
    let word = &rest[..at];
    *rest = rest.get(at + 1..).unwrap_or_default();
    word
}

#[inline(never)]
fn say(text: &mut Text, words: &[&[u8]]) {
    for word in words {
        text.push(word);
    }
}

/// Writes the page.
pub(crate) fn write(
    text: &mut Text,
    stats: &Stats,
    health: &Health,
    machine: &Snapshot,
    now: Instant,
) {
    let _ = write!(
        text,
        "# HELP quartz_build_info Version of the kernel.\n# TYPE quartz_build_info gauge\n\
         quartz_build_info{{version=\"{}\"}} 1\n",
        stats.version
    );
    let values = [
        now.total_micros() as u64,
        machine.boot_us,
        u64::from(!health.draining && health.degraded.is_none()),
        health.draining.into(),
        machine.heap_used,
        machine.heap_total,
    ];
    part(text, MACHINE, &values);
    part(text, HTTP, &stats.status);
    let values = [
        stats.half_open,
        stats.open.saturating_sub(stats.busy + stats.closing),
        stats.busy,
        stats.closing,
        stats.time_wait,
        stats.limit,
        stats.connections_served,
        stats.evicted.half_open,
        stats.evicted.idle,
        stats.evicted.time_wait,
        stats.expired.half_open,
        stats.expired.idle,
        stats.expired.request,
        stats.expired.answer,
        stats.expired.closing,
        stats.syn_dropped,
        stats.source_limited,
        stats.cookies.sent,
        stats.cookies.accepted,
    ];
    part(text, CONNECTIONS, &values);
    let dropped = &stats.dropped;
    let values = [
        stats.frames_in,
        stats.frames_out,
        stats.bytes_in,
        stats.bytes_out,
        dropped.malformed,
        dropped.checksum,
        dropped.not_for_us,
        dropped.vlan,
        dropped.martian,
        dropped.ignored,
        dropped.limited,
        stats.ring_full,
    ];
    part(text, FRAMES, &values);
    let (pieces, icmp) = (&stats.fragmented, &stats.icmp);
    let values = [
        stats.retransmitted,
        stats.challenged,
        pieces.received,
        pieces.refused,
        pieces.reassembled,
        pieces.overlapping,
        pieces.evicted,
        pieces.expired,
        icmp.echoed,
        icmp.errors,
        icmp.disbelieved,
        icmp.path_mtu,
        stats.neighbors.answered,
        stats.neighbors.conflicts,
    ];
    part(text, INTERNET, &values);
    let (rx, tx) = (figures(&machine.rx), figures(&machine.tx));
    let mut values = [0; 2 * RING];
    for (pair, values_of) in values.chunks_exact_mut(2).zip(rx.into_iter().zip(tx)) {
        pair.copy_from_slice(&[values_of.0, values_of.1]);
    }
    part(text, RINGS, &values);
}

/// Figures of a ring.
const RING: usize = 14;

fn figures(ring: &RingStats) -> [u64; RING] {
    [
        ring.size.into(),
        ring.avail_idx.into(),
        ring.used_idx.into(),
        ring.gap.into(),
        ring.free.into(),
        ring.harvested,
        ring.posted,
        ring.kicks,
        ring.interrupts,
        ring.spurious,
        ring.missed_interrupts,
        ring.rekicks,
        ring.bad_used,
        ring.resets,
    ]
}
