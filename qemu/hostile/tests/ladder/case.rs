//! One fault, committed against a serving guest, and what has to be true afterwards.

use crate::guest::{Guest, PATIENCE};
use crate::say;
use quartz_hostile::{ClientError, Connection, Fault, Order, Queue};
use std::thread;
use std::time::{Duration, Instant};

/// In what time requests have to flow again.
pub const RECOVERY: Duration = Duration::from_secs(2);
/// Time for a connection from before to serve the next request: TCP's own retransmissions of what
/// was lost come at 1, 3 and 7 seconds.
const SURVIVAL: Duration = Duration::from_secs(9);
/// Time between two attempts at a new connection.
const PULSE: Duration = Duration::from_millis(50);

/// What the recovery may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// The device was not reset.
    NoReset,
    /// The device was reset at least this often.
    Resets(u64),
}

/// A fault and how it shows.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub order: Order,
    /// The counter of the fault's queue that names it.
    pub counter: Option<&'static str>,
    pub cost: Cost,
    /// In what time, if not [`RECOVERY`].
    pub within: Duration,
}

impl Case {
    /// A fault that costs nothing and is not counted.
    pub const fn harmless(order: Order) -> Case {
        Case {
            order,
            counter: None,
            cost: Cost::NoReset,
            within: RECOVERY,
        }
    }

    /// A fault that is counted and costs no reset.
    pub const fn counted(order: Order, counter: &'static str) -> Case {
        Case {
            order,
            counter: Some(counter),
            cost: Cost::NoReset,
            within: RECOVERY,
        }
    }

    /// A fault that only a reset ends.
    pub const fn reset(order: Order, counter: &'static str) -> Case {
        Case {
            order,
            counter: Some(counter),
            cost: Cost::Resets(1),
            within: RECOVERY,
        }
    }
}

/// Commits the fault and checks that the guest recovers.
pub fn survive(guest: &mut Guest, case: &Case) {
    let Order { fault, queue, .. } = case.order;
    let silences = [Fault::Frozen, Fault::SwallowKick, Fault::StaleFlags];
    if queue == Queue::Rx && silences.contains(&fault) && case.within == RECOVERY {
        guest.trust_the_gateway();
    }
    if [Fault::NoInterrupt, Fault::DelayedInterrupt].contains(&fault) {
        // For a second after a missed interrupt the driver looks by itself and misses none.
        thread::sleep(Duration::from_millis(1300));
    }
    // A storm of one is none.
    let least = if fault == Fault::InterruptStorm {
        500
    } else {
        1
    };
    let name = format!("{fault} on {queue}");
    let begin = |guest: &mut Guest| {
        let board = guest.machine.backend.board().clone();
        let before = board.committed(fault, queue);
        guest.machine.backend.inject(case.order);
        Box::new(move || board.committed(fault, queue) >= before + least) as Box<dyn Fn() -> bool>
    };
    let counters: Vec<(Queue, &str)> = case.counter.iter().map(|c| (queue, *c)).collect();
    // A swallowed kick that another one follows at once, as that of a question to the gateway may be,
    // costs nothing: then once more.
    let tries = if fault == Fault::SwallowKick { 6 } else { 1 };
    let climbed = (0..tries).any(|_| trial(guest, &name, case.cost, case.within, &counters, begin));
    assert!(climbed, "{name}: {counters:?} did not grow");
}

/// Does something to a serving guest and checks that it recovers. Whether all of the counters grew.
/// `begin` does it and gives what
/// says that it has happened: from then on the time is taken.
#[must_use]
pub fn trial(
    guest: &mut Guest,
    name: &str,
    cost: Cost,
    within: Duration,
    counters: &[(Queue, &str)],
    begin: impl FnOnce(&mut Guest) -> Box<dyn Fn() -> bool>,
) -> bool {
    let (mut busy, mut idle) = (guest.connect(), guest.connect());
    guest.no_descriptor_is_lost();
    let before = guest.stats();
    // The last segments of that answer have to be through.
    thread::sleep(Duration::from_millis(20));
    guest.is_idle();
    let starts = guest.machine.backend.view().starts;
    let starts = match cost {
        Cost::NoReset => starts,
        Cost::Resets(count) => starts + count,
    };
    let happened = begin(guest);
    busy.send("/");
    let committed = wait_for(name, &happened);
    let recovery = first_answer(guest, committed, starts, within)
        .unwrap_or_else(|error| panic!("{name}: no answer within {within:?}: {error}"));

    let survived = Instant::now();
    let response = busy.wait(SURVIVAL).unwrap_or_else(|error| {
        panic!("{name}: the connection that was busy did not survive: {error}")
    });
    assert_eq!(response.status, 200, "{name}");
    let busy_after = recovery + survived.elapsed();
    let response = idle.get("/", SURVIVAL).unwrap_or_else(|error| {
        panic!("{name}: the connection that was idle did not survive: {error}")
    });
    assert_eq!(response.status, 200, "{name}");

    // What was ordered for more chances than there were.
    guest.machine.backend.board().clear();
    guest.no_descriptor_is_lost();
    let after = guest.stats();
    let growth = |queue, counter| after.ring(queue, counter) - before.ring(queue, counter);
    let mut told = String::new();
    for (queue, counter) in counters {
        let grown = growth(*queue, counter);
        if grown == 0 {
            guest.is_sound();
            return false;
        }
        told.push_str(&format!("  {queue}.{counter} +{grown}"));
    }
    if cost == Cost::NoReset && counters.is_empty() {
        // What is harmless does not need the ladder either.
        for queue in Queue::ALL {
            for counter in ["missed_interrupts", "rekicks", "bad_used"] {
                let grown = growth(queue, counter);
                assert_eq!(grown, 0, "{name}: {queue}.{counter} grew");
            }
        }
    }
    let resets = growth(Queue::Rx, "resets");
    match cost {
        Cost::NoReset => assert_eq!(resets, 0, "{name}: the device was reset"),
        Cost::Resets(least) => assert!(resets >= least, "{name}: {resets} resets"),
    }
    guest.is_sound();
    say(&format!(
        "{name:<28} recovered in {:>5} ms, busy connection in {:>5} ms, resets +{resets}{told}",
        recovery.as_millis(),
        busy_after.as_millis(),
    ));
    true
}

/// Waits for the fault; when it was committed.
fn wait_for(name: &str, happened: &dyn Fn() -> bool) -> Instant {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "{name}: it never happened");
        thread::sleep(Duration::from_micros(200));
    }
    Instant::now()
}

/// Tries a new connection every now and then until one has its answer. How long that took from
/// `since` on: only what was sent after the fault counts, and what is answered once the rings have
/// been started `starts` times.
fn first_answer(
    guest: &Guest,
    since: Instant,
    starts: u64,
    within: Duration,
) -> Result<Duration, String> {
    let mut attempts: Vec<Connection> = Vec::new();
    let mut last: Option<Instant> = None;
    let mut errors = String::new();
    while since.elapsed() < within {
        let started = guest.machine.backend.view().starts >= starts;
        if last.is_none_or(|at| at.elapsed() >= PULSE) {
            let mut attempt = guest.client.connect(80);
            attempt.send("/");
            attempts.push(attempt);
            last = Some(Instant::now());
        }
        let mut answered = false;
        attempts.retain_mut(|attempt| match attempt.poll() {
            Ok(None) => true,
            Ok(Some(response)) => {
                answered |= started && response.status == 200;
                errors = format!("status {}", response.status);
                false
            }
            Err(error @ ClientError::Http(_)) => panic!("{error}"),
            Err(error) => {
                errors = error.to_string();
                false
            }
        });
        if answered {
            return Ok(since.elapsed());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Err(format!("{} attempts are open; {errors}", attempts.len()))
}
