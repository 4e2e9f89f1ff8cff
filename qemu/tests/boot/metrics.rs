//! The guest's `/metrics`, read by Prometheus' own tool, and compared with `/stats.json`.

use crate::harness::exposition::{Exposition, check_metrics};
use crate::harness::guest::ADDRESS;
use crate::harness::light;
use crate::harness::network::{boot_on_tap, in_namespace};
use crate::harness::soon;
use crate::harness::stats::Stats;
use quartz::http;
use std::net::SocketAddr;

/// Each counter of the page, and where `/stats.json` has it.
const COUNTERS: &str = r#"
http_requests_total{code="2xx"} status.2xx
http_requests_total{code="3xx"} status.3xx
http_requests_total{code="4xx"} status.4xx
http_requests_total{code="5xx"} status.5xx
connections_accepted_total connections_served
connections_evicted_total{state="half_open"} evicted.half_open
connections_evicted_total{state="idle"} evicted.idle
connections_evicted_total{state="time_wait"} evicted.time_wait
connections_expired_total{waiting_for="handshake"} expired.half_open
connections_expired_total{waiting_for="next_request"} expired.idle
connections_expired_total{waiting_for="request"} expired.request
connections_expired_total{waiting_for="answer"} expired.answer
connections_expired_total{waiting_for="close"} expired.closing
syns_dropped_total{reason="full"} connections.syn_dropped
syns_dropped_total{reason="source_limit"} connections.source_limited
syn_cookies_sent_total connections.cookies_sent
syn_cookies_accepted_total connections.cookies_accepted
frames_total{queue="rx"} frames.in
frames_total{queue="tx"} frames.out
frame_bytes_total{queue="rx"} frames.bytes_in
frame_bytes_total{queue="tx"} frames.bytes_out
frames_dropped_total{queue="rx",reason="malformed"} frames.dropped.malformed
frames_dropped_total{queue="rx",reason="checksum"} frames.dropped.checksum
frames_dropped_total{queue="rx",reason="not_for_us"} frames.dropped.not_for_us
frames_dropped_total{queue="rx",reason="vlan"} frames.dropped.vlan
frames_dropped_total{queue="rx",reason="martian"} frames.dropped.martian
frames_dropped_total{queue="rx",reason="ignored"} frames.dropped.ignored
frames_dropped_total{queue="rx",reason="limited"} frames.dropped.limited
frames_dropped_total{queue="tx",reason="ring_full"} frames.ring_full
tcp_segments_retransmitted_total frames.retransmitted
tcp_challenges_total frames.challenged
ip_fragments_received_total fragments.received
ip_fragments_refused_total fragments.refused
ip_datagrams_reassembled_total fragments.reassembled
ip_datagrams_discarded_total{reason="overlapping"} fragments.overlapping
ip_datagrams_discarded_total{reason="evicted"} fragments.evicted
ip_datagrams_discarded_total{reason="expired"} fragments.expired
icmp_echo_replies_total icmp.echoed
icmp_errors_total icmp.errors
icmp_errors_disbelieved_total icmp.disbelieved
path_mtu_reductions_total icmp.path_mtu
neighbor_replies_total neighbors.answered
address_conflicts_total neighbors.conflicts
"#;
const RING: [&str; 9] = [
    "harvested",
    "posted",
    "kicks",
    "interrupts",
    "spurious_interrupts spurious",
    "missed_interrupts",
    "rekicks",
    "bad_used",
    "resets",
];

/// The table above with the counters of both rings.
fn counters() -> Vec<(String, String)> {
    let fixed = COUNTERS.trim().lines().map(|line| {
        let (series, path) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), path.to_owned())
    });
    let rings = RING.iter().flat_map(|names| {
        let (name, path) = names.split_once(' ').unwrap_or((names, names));
        ["rx", "tx"].map(|queue| {
            let series = format!("ring_{name}_total{{queue=\"{queue}\"}}");
            (series, format!("{queue}.{path}"))
        })
    });
    fixed.chain(rings).collect()
}

#[test]
fn the_metrics_of_a_guest_are_those_of_its_stats() {
    let _light = light();
    in_namespace(|| {
        let served = boot_on_tap(|_| {});
        let admin = SocketAddr::from((ADDRESS, 9100));
        for target in ["/", "/style.css", "/nowhere", "/index"] {
            served.get(target);
        }
        // Counters only grow, so what was read in between lies in between.
        let before = served.stats();
        let answer = http::get(admin, "/metrics", soon()).unwrap();
        let after = Stats::from(&http::get(admin, "/stats.json", soon()).unwrap());
        check_metrics(&answer.body);
        let page = Exposition::from(&answer);
        let counters = counters();
        for (series, path) in &counters {
            let value = page.value(&format!("quartz_{series}"));
            let (low, high) = (before.number(path) as f64, after.number(path) as f64);
            assert!(
                (low..=high).contains(&value),
                "{series} is {value}, not {low} to {high}"
            );
        }
        // There is none that the table does not know.
        let known = counters.len() + 1; // 1xx is no status of /stats.json
        let kinds = &page.families;
        let shown = page.samples.keys();
        let shown = shown
            .filter(|series| kinds[&series.name] == "counter")
            .count();
        assert_eq!(shown, known, "{:?}", page.samples.keys());
        assert!(page.value("quartz_http_requests_total{code=\"4xx\"}") >= 1.0);
        assert!(page.value("quartz_ring_harvested_total{queue=\"rx\"}") > 10.0);

        // Gauges.
        assert_eq!(page.value("quartz_healthy"), 1.0);
        assert_eq!(page.value("quartz_draining"), 0.0);
        let version = env!("CARGO_PKG_VERSION");
        let build = format!("quartz_build_info{{version=\"{version}\"}}");
        assert_eq!(page.value(&build), 1.0);
        let up = page.value("quartz_uptime_seconds") * 1000.0;
        let (low, high) = (before.number("uptime_ms"), after.number("uptime_ms") + 1);
        assert!((low as f64..=high as f64).contains(&up), "up {up} ms");
        let boot = page.value("quartz_boot_seconds") * 1e6;
        assert_eq!(boot.round() as u64, before.number("boot_us"));
        for (series, path) in [
            ("quartz_connections_limit", "connections.limit"),
            ("quartz_heap_size_bytes", "heap.total"),
            ("quartz_ring_size{queue=\"rx\"}", "rx.size"),
            ("quartz_ring_size{queue=\"tx\"}", "tx.size"),
            // Nobody holds a buffer while the page is written.
            ("quartz_ring_gap{queue=\"rx\"}", "rx.size"),
        ] {
            assert_eq!(page.value(series) as u64, before.number(path), "{series}");
        }
        assert_eq!(page.value("quartz_connections{state=\"busy\"}"), 1.0);
        served.stop();
    });
}
