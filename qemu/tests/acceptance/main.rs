//! `make acceptance`: the figures that the project promises, measured on this machine, in one
//! table. The boot tests judge what is right or wrong; this judges speed too.

mod badlink;
mod crowds;
#[path = "../harness/mod.rs"]
mod harness;
mod sites;

use harness::guest::{Served, boot};
use harness::load::{CONNECTIONS, Load, Mode, drive};
use harness::network::{boot_on_tap, in_namespace};
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Seconds of each load.
const LOAD: u64 = 30;
/// Requests that one boot must survive: both rings wrap several times.
const REQUESTS: u64 = 200_000;
/// How long the idle guest is watched.
const IDLE: Duration = Duration::from_secs(20);
/// Most of a core that an idle guest may take, in percent.
const IDLE_PERCENT: f64 = 2.0;
/// Longest time from starting QEMU to the first answer.
const FIRST_ANSWER: Duration = Duration::from_millis(150);

struct Row {
    what: &'static str,
    figure: String,
    fault: Option<String>,
}

fn main() -> ExitCode {
    let measurements: [fn() -> Row; 16] = [
        first_answer,
        small_memory,
        idle,
        || load("tap, keep-alive", Mode::KeepAlive, true),
        || load("tap, close", Mode::Close, true),
        || load("user networking, keep-alive", Mode::KeepAlive, false),
        || load("user networking, close", Mode::Close, false),
        crowds::cost,
        crowds::idle,
        crowds::closes,
        crowds::flood,
        badlink::row,
        || sites::pages(true),
        || sites::pages(false),
        || sites::large(true),
        || sites::large(false),
    ];
    // Numbers of rows, if not all are wanted.
    let chosen: Vec<usize> = std::env::args().filter_map(|w| w.parse().ok()).collect();
    let mut failed = 0;
    println!("{:<34} {:<7} figures", "what", "verdict");
    let wanted = |number: &usize| chosen.is_empty() || chosen.contains(number);
    let rows = (1..).zip(&measurements).filter(|(n, _)| wanted(n));
    for (_, measure) in rows.clone() {
        let row = measure();
        let verdict = if row.fault.is_none() { "ok" } else { "FAILED" };
        println!("{:<34} {verdict:<7} {}", row.what, row.figure);
        if let Some(fault) = row.fault {
            println!("{:<34} {:<7} {fault}", "", "");
            failed += 1;
        }
    }
    println!("{} ok, {failed} failed", rows.count() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn first_answer() -> Row {
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let served = boot(|_| {});
            let time = served.first_answer;
            served.stop();
            time
        })
        .collect();
    times.sort_unstable();
    let all: Vec<_> = times.iter().map(|t| t.as_millis().to_string()).collect();
    Row {
        what: "spawn to first answer, TCG",
        figure: format!(
            "median {} ms of {} ms",
            times[2].as_millis(),
            all.join(", ")
        ),
        fault: (times[2] > FIRST_ANSWER).then(|| format!("over {FIRST_ANSWER:?}")),
    }
}

fn small_memory() -> Row {
    let served = boot(|machine| machine.memory = "16M".parse().unwrap());
    let status = served.get("/").status;
    let stats = served.stats();
    let figure = format!(
        "answer {status}, heap {} of {} KiB, {} connections at most",
        stats.number("heap.used") / 1024,
        stats.number("heap.total") / 1024,
        stats.number("connections.limit")
    );
    served.stop();
    Row {
        what: "the demo with -m 16M",
        figure,
        fault: (status != 200).then(|| "not served".into()),
    }
}

fn idle() -> Row {
    let served = boot(|_| {});
    // Boot and first answer are over.
    std::thread::sleep(Duration::from_secs(1));
    let before = processor_time(&served);
    let began = Instant::now();
    std::thread::sleep(IDLE);
    let used = processor_time(&served) - before;
    let percent = 100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64();
    served.stop();
    Row {
        what: "idle guest, share of a core",
        figure: format!("{percent:.2} % over {} s", IDLE.as_secs()),
        fault: (percent >= IDLE_PERCENT).then(|| format!("not under {IDLE_PERCENT} %")),
    }
}

/// Processor time that QEMU has taken, of all its threads.
fn processor_time(served: &Served) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", served.guest.pid())).unwrap();
    // The name in parentheses may hold blanks; user and system time are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let mut fields = fields.split(' ').skip(11);
    let ticks: u64 = (0..2)
        .map(|_| fields.next().unwrap().parse::<u64>().unwrap())
        .sum();
    Duration::from_secs(ticks) / rustix::param::clock_ticks_per_second() as u32
}

fn load(what: &'static str, mode: Mode, tap: bool) -> Row {
    let measure = |mut served: Served| {
        let load = drive(&mut served, mode, LOAD);
        served.stop();
        load
    };
    let load = if tap {
        in_namespace(|| measure(boot_on_tap(|_| {})))
    } else {
        measure(boot(|_| {}))
    };
    let mut fault = load.fault();
    if tap && mode == Mode::KeepAlive && load.wrk("requests") < REQUESTS {
        fault = fault.or(Some(format!("fewer than {REQUESTS} requests")));
    }
    Row {
        what,
        figure: figures(&load),
        fault,
    }
}

fn figures(load: &Load) -> String {
    format!(
        "{} requests ({}/s, -c{CONNECTIONS}), p50 {} us, p99 {} us; {} socket errors, {} non-2xx; \
         served - counted {}; gap back at {}, wraps rx {} tx {}, spurious {}, rekicks {}",
        load.wrk("requests"),
        load.rate(),
        load.wrk("p50_us"),
        load.wrk("p99_us"),
        load.socket_errors(),
        load.wrk("status"),
        load.grown("requests_served") as i64 - load.wrk("requests") as i64,
        load.after.number("rx.size"),
        load.after.number("rx.posted") >> 16,
        load.after.number("tx.posted") >> 16,
        load.after.number("rx.spurious") + load.after.number("tx.spurious"),
        load.after.number("rx.rekicks") + load.after.number("tx.rekicks"),
    )
}
