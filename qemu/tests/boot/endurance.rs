//! Load: the counts of both sides agree, the rings wrap and nothing is lost. Speed is not judged.

use crate::harness::guest::boot;
use crate::harness::heavy;
use crate::harness::load::{Mode, drive};
use crate::harness::network::{boot_on_tap, in_namespace};
use crate::harness::stats::wait_for_idle_rings;

/// Seconds of load in each test. The full figures are those of `make acceptance`.
const SECONDS: u64 = 4;

#[test]
fn keep_alive_load_on_a_tap_is_accounted_for() {
    let _heavy = heavy();
    in_namespace(|| {
        let mut served = boot_on_tap(|_| {});
        let load = drive(&mut served, Mode::KeepAlive, SECONDS);
        assert_eq!(load.fault(), None);
        served.stop();
    });
}

#[test]
fn close_load_on_a_tap_is_accounted_for() {
    let _heavy = heavy();
    in_namespace(|| {
        let mut served = boot_on_tap(|_| {});
        let load = drive(&mut served, Mode::Close, SECONDS);
        assert_eq!(load.fault(), None);
        served.stop();
    });
}

#[test]
fn keep_alive_load_by_user_networking_is_accounted_for() {
    let _heavy = heavy();
    let mut served = boot(|_| {});
    let load = drive(&mut served, Mode::KeepAlive, SECONDS);
    assert_eq!(load.fault(), None);
    served.stop();
}

#[test]
fn rings_wrap_several_times_and_nothing_is_lost() {
    const REQUESTS: u64 = 200_000;
    const WRAP: u64 = 1 << 16;
    let _heavy = heavy();
    in_namespace(|| {
        let mut served = boot_on_tap(|_| {});
        let mut requests = 0;
        // As many rounds as it takes on this machine, but not for ever.
        for _ in 0..30 {
            let load = drive(&mut served, Mode::KeepAlive, 5);
            assert_eq!(load.fault(), None);
            requests += load.wrk("requests");
            if requests >= REQUESTS {
                break;
            }
        }
        assert!(requests >= REQUESTS, "only {requests} requests in 150 s");
        wait_for_idle_rings(&mut served);
        let stats = served.stats();
        for ring in ["rx", "tx"] {
            let posted = stats.number(&format!("{ring}.posted"));
            assert!(posted > 2 * WRAP, "{ring} posted {posted}");
        }
        stats.assert_no_trouble();
        served.stop();
    });
}
