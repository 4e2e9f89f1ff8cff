//! Missed interrupts, swallowed notifications, frozen rings.

use crate::case::{Case, Cost, survive};
use crate::guest::Guest;
use crate::machine::Setup;
use crate::{legacy, modern, modern_event_idx};
use quartz_abi::EventKind;
use quartz_abi::blackbox::{BlackBox, Record};
use quartz_hostile::{Fault, Order, Queue};
use std::thread;
use std::time::Duration;

fn climb(setup: Setup, cases: &[Case]) {
    let mut guest = Guest::boot(setup);
    for case in cases {
        survive(&mut guest, case);
    }
}

/// First rung: used entries without an interrupt. With the event index the driver gets one
/// interrupt for each time that it asks; without it any later frame brings one.
const INTERRUPTS: [Case; 4] = [
    Case::counted(
        Order::once(Fault::NoInterrupt, Queue::Rx),
        "missed_interrupts",
    ),
    Case::counted(
        Order::times(Fault::NoInterrupt, Queue::Rx, 20),
        "missed_interrupts",
    ),
    Case::counted(
        Order::once(Fault::DelayedInterrupt, Queue::Rx),
        "missed_interrupts",
    ),
    STORM,
];

const INTERRUPTS_BY_FLAG: [Case; 3] = [
    Case::counted(
        Order::times(Fault::NoInterrupt, Queue::Rx, 40),
        "missed_interrupts",
    ),
    Case::counted(
        Order::times(Fault::DelayedInterrupt, Queue::Rx, 40),
        "missed_interrupts",
    ),
    STORM,
];

const STORM: Case = Case::counted(
    Order::times(Fault::InterruptStorm, Queue::Rx, 2000),
    "spurious",
);

#[test]
fn a_missed_interrupt_is_made_up_for() {
    climb(legacy(), &INTERRUPTS);
}

#[test]
fn a_missed_interrupt_is_made_up_for_on_a_modern_card() {
    climb(modern(), &INTERRUPTS_BY_FLAG);
}

/// Second rung: published entries that the device does not take. With the event index the driver
/// notifies once; without it every later frame does.
const KICKS: [Case; 5] = [
    Case::counted(Order::once(Fault::SwallowKick, Queue::Tx), "rekicks"),
    Case::counted(Order::times(Fault::SwallowKick, Queue::Tx, 2), "rekicks"),
    Case::counted(Order::once(Fault::SwallowKick, Queue::Rx), "rekicks"),
    Case::counted(Order::once(Fault::StaleFlags, Queue::Tx), "rekicks"),
    Case::counted(Order::once(Fault::StaleFlags, Queue::Rx), "rekicks"),
];

const KICKS_BY_FLAG: [Case; 3] = [
    Case::counted(Order::times(Fault::SwallowKick, Queue::Tx, 12), "rekicks"),
    Case::counted(Order::once(Fault::StaleFlags, Queue::Tx), "rekicks"),
    Case::counted(Order::once(Fault::StaleFlags, Queue::Rx), "rekicks"),
];

#[test]
fn a_swallowed_kick_is_repeated() {
    climb(legacy(), &KICKS);
}

#[test]
fn a_swallowed_kick_is_repeated_on_a_modern_card() {
    climb(modern(), &KICKS_BY_FLAG);
}

/// Third rung: nothing helps but a reset.
const FROZEN: [Case; 3] = [
    Case::reset(Order::until_resets(Fault::Frozen, Queue::Tx, 1), "rekicks"),
    Case::reset(Order::until_resets(Fault::Frozen, Queue::Rx, 1), "rekicks"),
    Case {
        cost: Cost::Resets(2),
        within: Duration::from_secs(5),
        ..Case::reset(Order::until_resets(Fault::Frozen, Queue::Tx, 2), "rekicks")
    },
];

/// Half a second after the first answer the gateway has been asked often enough. Judged by the
/// guest's own clock and with time to spare: without its replies it would take ten seconds.
fn freeze_early(setup: Setup) {
    const SILENCE: Duration = Duration::from_secs(5);
    let mut guest = Guest::boot(setup);
    thread::sleep(Duration::from_millis(500));
    let case = Case {
        within: SILENCE,
        ..Case::reset(Order::until_resets(Fault::Frozen, Queue::Rx, 1), "rekicks")
    };
    survive(&mut guest, &case);
    let bytes = guest.black_box();
    let events: Vec<Record> = BlackBox::parse(&bytes).unwrap().events().collect();
    let is = |event: &Record, kind: EventKind| event.kind == kind as u16;
    let reset = events.iter().position(|e| is(e, EventKind::Reset)).unwrap();
    let harvest = |e: &&Record| is(e, EventKind::Harvest);
    let last = events[..reset].iter().rfind(harvest).unwrap();
    let next = events[reset..].iter().find(harvest).unwrap();
    let silent = Duration::from_micros(next.time_us - last.time_us);
    assert!(silent < SILENCE, "nothing was received for {silent:?}");
    crate::say(&format!(
        "frozen {} ms after boot, for {} ms as the guest counts",
        last.time_us / 1000,
        silent.as_millis()
    ));
}

#[test]
fn a_receive_ring_that_freezes_right_after_boot_is_reset() {
    freeze_early(legacy());
}

#[test]
fn a_receive_ring_that_freezes_right_after_boot_is_reset_on_a_modern_card() {
    freeze_early(modern());
}

/// The first reset, on good evidence, does not help; the second one needs patience.
#[test]
fn a_receive_ring_that_stays_frozen_is_reset_again() {
    let mut guest = Guest::boot(modern());
    guest.trust_the_gateway();
    let order = Order::until_resets(Fault::Frozen, Queue::Rx, 2);
    let case = Case {
        cost: Cost::Resets(2),
        within: Duration::from_secs(15),
        ..Case::reset(order, "rekicks")
    };
    survive(&mut guest, &case);
}

#[test]
fn a_swallowed_kick_right_after_boot_is_repeated() {
    let order = Order::once(Fault::SwallowKick, Queue::Rx);
    let case = Case {
        within: Duration::from_secs(3),
        ..Case::counted(order, "rekicks")
    };
    climb(legacy(), &[case]);
}

#[test]
fn a_frozen_ring_is_reset() {
    climb(legacy(), &FROZEN);
}

#[test]
fn a_frozen_ring_is_reset_on_a_modern_card() {
    climb(modern_event_idx(), &FROZEN);
}
