//! Many connections, and many that are asked for: the table at its full size.

use crate::Row;
use crate::harness::crowd::Crowd;
use crate::harness::flood::Flood;
use crate::harness::guest::ADDRESS;
use crate::harness::load::{Mode, drive};
use crate::harness::network::{boot_on_tap, in_namespace};
use crate::harness::stats::Stats;
use crate::harness::{kernel, soon, target, wait_until};
use crate::processor_time;
use quartz::bench::sheet::Word;
use quartz::bench::subject::{Count, Kit, Subject, Wire, files};
use quartz::http::{self, Client};
use quartz::site::Site;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Idle connections that are held open.
const CROWD: usize = 10_000;
/// Seconds of load beside them.
const LOAD: u64 = 20;
/// Most that a frame may cost with that many connections, in costs of one with ten.
const RATIO: f64 = 1.3;
/// Connections of one request from one address.
const CLOSES: u64 = 100_000;
/// SYNs in a second, and for how long.
const SYNS: u64 = 20_000;
const FLOOD: Duration = Duration::from_secs(10);
/// Within this time a client wants its answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Share of its requests that must succeed, in percent.
const SUCCESSES: f64 = 95.0;
/// How long after the flood the guest is idle again.
const REST: Duration = Duration::from_secs(10);
/// Most of a core that it then takes, in percent.
const IDLE_PERCENT: f64 = 3.0;

/// Idle connections at `-m 256M` while others are served.
pub fn idle() -> Row {
    in_namespace(|| {
        let mut served = boot_on_tap(|machine| machine.memory = "256M".parse().unwrap());
        let limit = served.stats().number("connections.limit");
        let mut crowd = Crowd::gather(served.site, CROWD);
        let load = drive(&mut served, Mode::KeepAlive, LOAD);
        let lost = crowd.ask_again();
        let stats = served.stats();
        drop(crowd);
        served.stop();
        let open = load.after.number("connections.open");
        let evicted = stats.number("connections.evicted");
        let whole = lost == 0 && evicted == 0 && open > CROWD as u64;
        Row {
            what: "10,000 idle connections, -m 256M",
            figure: format!(
                "{open} open of {limit}, {lost} lost, {evicted} evicted; beside them {} requests \
                 ({}/s, -c64), p99 {} us",
                load.wrk("requests"),
                load.rate(),
                load.wrk("p99_us"),
            ),
            fault: load.fault().or((!whole).then(|| "connections lost".into())),
        }
    })
}

/// Guest instructions for a frame with few and with many connections, with requests in turns on
/// all of them. Frames and not requests are counted: who does not ask again soon acknowledges the
/// answer in a frame of its own.
pub fn cost() -> Row {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path()).unwrap();
    let kit = Kit {
        qemu: quartz::program::find(None).unwrap(),
        kernel: kernel(),
        site: Arc::new(Site::open(folder.path()).unwrap()),
        peers: folder.path().into(),
        plugin: target("release/libquartz_plugin.so"),
    };
    let each = |connections: usize| {
        in_namespace(|| {
            let guest = kit
                .start(Subject::Quartz, Wire::Tap, 3, Count::Instructions)
                .unwrap();
            let mut crowd = Crowd::gather(guest.address, connections);
            let frames = || {
                let answer = http::get(guest.address, "/stats.json", soon()).unwrap();
                let stats = Stats::from(&answer);
                stats.number("frames.in") + stats.number("frames.out")
            };
            let meter = guest.meter.as_ref().unwrap();
            let (before, frames_before) = (meter.read().unwrap(), frames());
            for _ in 0..CROWD / connections {
                assert_eq!(crowd.ask_again(), 0);
            }
            let grown = meter.read().unwrap().since(&before);
            let frames = frames() - frames_before;
            drop(crowd);
            guest.stop().unwrap();
            grown.get(Word::Instructions) as f64 / frames as f64
        })
    };
    let (few, many) = (each(10), each(CROWD));
    let ratio = many / few;
    Row {
        what: "cost at 10,000 connections, tap",
        figure: format!("{many:.0} instructions a frame, {few:.0} at 10: {ratio:.2} times"),
        fault: (ratio > RATIO).then(|| format!("over {RATIO} times")),
    }
}

/// A connection for each request, all from one address.
pub fn closes() -> Row {
    in_namespace(|| {
        let mut served = boot_on_tap(|_| {});
        let (mut requests, mut fault) = (0, None);
        let began = Instant::now();
        let mut spent = Duration::ZERO;
        while requests < CLOSES && fault.is_none() {
            let load = drive(&mut served, Mode::Close, 10);
            requests += load.wrk("requests");
            spent += Duration::from_secs(10);
            fault = load.fault();
            if began.elapsed() > Duration::from_secs(600) {
                fault = fault.or(Some(format!("only {requests} in ten minutes")));
            }
        }
        let stats = served.stats();
        served.stop();
        let dropped = stats.number("connections.syn_dropped");
        Row {
            what: "100,000 connections, one address",
            figure: format!(
                "{requests} requests ({}/s), none failed; {} records kept, {} evicted, {dropped} \
                 requests for connections dropped",
                requests / spent.as_secs(),
                stats.number("connections.time_wait"),
                stats.number("evicted.time_wait"),
            ),
            fault: fault.or((dropped != 0).then(|| "requests dropped".into())),
        }
    })
}

/// A client's requests during a flood of SYNs, and what is left of it.
pub fn flood() -> Row {
    in_namespace(|| {
        let served = boot_on_tap(|machine| machine.memory = "256M".parse().unwrap());
        let before = served.stats();
        // An idle connection from before must live through it.
        let mut patient = Client::connect(served.site, Instant::now() + 4 * FLOOD).unwrap();
        assert_eq!(patient.request("GET", "/").unwrap().status, 200);
        let flood = Flood::start(ADDRESS, SYNS);
        let (mut asked, mut answered) = (0u32, 0u32);
        let end = Instant::now() + FLOOD;
        while Instant::now() < end {
            asked += 1;
            let answer = http::get(served.site, "/", Instant::now() + PATIENCE);
            answered += u32::from(answer.is_ok_and(|answer| answer.status == 200));
            sleep(Duration::from_millis(20));
        }
        let sent = flood.stop();
        let during = served.stats();
        sleep(REST);
        let from = processor_time(&served);
        let began = Instant::now();
        sleep(Duration::from_secs(5));
        let used = (processor_time(&served) - from).as_secs_f64();
        let idle = 100.0 * used / began.elapsed().as_secs_f64();
        wait_until("the handshakes are forgotten", || {
            served.stats().number("connections.half_open") == 0
        });
        let after = served.stats();
        let patient = patient.request("GET", "/").is_ok_and(|a| a.status == 200);
        served.stop();
        let successes = 100.0 * f64::from(answered) / f64::from(asked);
        let number = |path| after.number(path);
        let faults = [
            (successes < SUCCESSES).then(|| format!("under {SUCCESSES} %")),
            (idle > IDLE_PERCENT).then(|| format!("not idle: over {IDLE_PERCENT} % of a core")),
            (!patient).then(|| "an idle connection was lost".into()),
            (number("heap.used") != before.number("heap.used")).then(|| "the heap grew".into()),
            (number("connections.evicted") != 0).then(|| "connections evicted".into()),
        ];
        Row {
            what: "20,000 SYNs/s for 10 s",
            figure: format!(
                "{sent} SYNs, {answered} of {asked} requests answered within {PATIENCE:?} \
                 ({successes:.1} %); {} half-open at most of {}, {} cookies sent, {} accepted; \
                 {idle:.2} % of a core {REST:?} later",
                during.number("connections.half_open"),
                during.number("connections.limit"),
                number("connections.cookies_sent"),
                number("connections.cookies_accepted"),
            ),
            fault: faults.into_iter().flatten().next(),
        }
    })
}
