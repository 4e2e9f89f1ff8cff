//! Many connections: held open, opened anew on few ports, and asked for by nobody.

use crate::harness::crowd::Crowd;
use crate::harness::flood::Flood;
use crate::harness::guest::ADDRESS;
use crate::harness::heavy;
use crate::harness::load::{Mode, drive};
use crate::harness::network::{boot_on_tap, in_namespace};
use crate::harness::{soon, wait_until};
use std::fs;
use std::thread::sleep;
use std::time::Duration;

#[test]
fn idle_connections_stay_while_others_are_served() {
    const CROWD: usize = 1500;
    let _heavy = heavy();
    in_namespace(|| {
        let mut served = boot_on_tap(|_| {});
        let mut crowd = Crowd::gather(served.site, CROWD);
        let load = drive(&mut served, Mode::KeepAlive, 2);
        assert_eq!(load.fault(), None);
        assert!(load.after.number("connections.open") > CROWD as u64);
        assert_eq!(crowd.ask_again(), 0);
        assert_eq!(served.stats().number("connections.evicted"), 0);
        drop(crowd);
        served.stop();
    });
}

#[test]
fn ports_come_again_while_their_last_connection_is_remembered() {
    const PORTS: u64 = 500;
    let _heavy = heavy();
    in_namespace(|| {
        let range = format!("40000 {}", 40_000 + PORTS - 1);
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", range).unwrap();
        let mut served = boot_on_tap(|_| {});
        let mut closed = 0;
        // Until each port was used some times, whatever this machine's speed.
        while closed < 4 * PORTS {
            let load = drive(&mut served, Mode::Close, 1);
            assert_eq!(load.fault(), None);
            closed += load.wrk("requests");
        }
        let records = served.stats().number("connections.time_wait");
        assert!((1..=PORTS).contains(&records), "{records} records");
        served.stop();
    });
}

#[test]
fn a_flood_keeps_nobody_out_and_leaves_nothing() {
    const RATE: u64 = 4000;
    let _heavy = heavy();
    in_namespace(|| {
        let served = boot_on_tap(|_| {});
        let before = served.stats();
        let flood = Flood::start(ADDRESS, RATE);
        wait_until("the flood has filled what it may", || {
            served.stats().number("connections.cookies_sent") > 0
        });
        for _ in 0..30 {
            let answer = quartz::http::get(served.site, "/", soon()).unwrap();
            assert_eq!(answer.status, 200);
            sleep(Duration::from_millis(20));
        }
        let during = served.stats();
        flood.stop();
        assert!(during.number("connections.cookies_accepted") > 0);
        assert!(during.number("connections.half_open") <= 1024);
        assert_eq!(during.number("connections.syn_dropped"), 0);
        wait_until("the flood is forgotten", || {
            served.stats().number("connections.half_open") == 0
        });
        let after = served.stats();
        assert_eq!(after.number("heap.used"), before.number("heap.used"));
        assert_eq!(after.number("connections.evicted"), 0);
        served.stop();
    });
}
