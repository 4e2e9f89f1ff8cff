//! Lies in the used ring, junk in the frames, and what is unusual but legal.

use crate::case::{Case, survive};
use crate::guest::Guest;
use crate::machine::Setup;
use crate::{legacy, modern, modern_event_idx};
use quartz_hostile::{Fault, Order, Queue};

/// Used entries that cannot be true. A stale entry comes first: once the ring has been round, the
/// entry of the last round lies there and may well be true.
const FALSE_IDS: [Fault; 5] = [
    Fault::UsedStale,
    Fault::IdOutOfRange,
    Fault::IdNotOutstanding,
    Fault::IdRepeated,
    Fault::UsedJumpForward,
];

const FALSE_LENGTHS: [Fault; 5] = [
    Fault::LenZero,
    Fault::LenShort,
    Fault::LenBeyond,
    Fault::LenMax,
    Fault::UsedJumpBack,
];

fn lie(setup: Setup, queue: Queue, lies: &[Fault]) {
    let mut guest = Guest::boot(setup);
    for fault in lies {
        let order = Order::once(*fault, queue);
        survive(&mut guest, &Case::reset(order, "bad_used"));
    }
}

#[test]
fn false_ids_in_the_receive_ring_are_found_out() {
    lie(legacy(), Queue::Rx, &FALSE_IDS);
}

#[test]
fn false_ids_in_the_receive_ring_of_a_modern_card_are_found_out() {
    lie(modern(), Queue::Rx, &FALSE_IDS);
}

#[test]
fn false_lengths_in_the_receive_ring_are_found_out() {
    lie(legacy(), Queue::Rx, &FALSE_LENGTHS);
}

#[test]
fn false_lengths_in_the_receive_ring_of_a_modern_card_are_found_out() {
    lie(modern(), Queue::Rx, &FALSE_LENGTHS);
}

#[test]
fn resets_that_help_do_not_add_up() {
    let mut guest = Guest::boot(legacy());
    for fault in FALSE_IDS.iter().chain(&FALSE_LENGTHS) {
        let order = Order::once(*fault, Queue::Rx);
        survive(&mut guest, &Case::reset(order, "bad_used"));
    }
}

#[test]
fn false_ids_in_the_transmit_ring_are_found_out() {
    lie(legacy(), Queue::Tx, &FALSE_IDS);
}

#[test]
fn false_ids_in_the_transmit_ring_of_a_modern_card_are_found_out() {
    lie(modern_event_idx(), Queue::Tx, &FALSE_IDS);
}

#[test]
fn other_lies_in_the_transmit_ring_are_found_out() {
    let lies = [Fault::LenMax, Fault::UsedJumpBack];
    lie(modern(), Queue::Tx, &lies);
}

/// What costs the guest nothing. The device writes nothing into a transmit buffer; old ones tell
/// some length all the same.
const HARMLESS: [Order; 8] = [
    Order::times(Fault::GarbageFrame, Queue::Rx, 30),
    Order::times(Fault::Runt, Queue::Rx, 30),
    Order::times(Fault::Giant, Queue::Rx, 30),
    Order::times(Fault::GarbageHeader, Queue::Rx, 30),
    Order::times(Fault::OutOfOrder, Queue::Rx, 4),
    Order::times(Fault::OutOfOrder, Queue::Tx, 4),
    Order::once(Fault::BurstAfterSilence, Queue::Rx),
    Order::times(Fault::LenShort, Queue::Tx, 4),
];

fn endure(setup: Setup) {
    let mut guest = Guest::boot(setup);
    for order in HARMLESS {
        survive(&mut guest, &Case::harmless(order));
    }
}

#[test]
fn junk_and_oddities_cost_nothing() {
    endure(legacy());
}

#[test]
fn junk_and_oddities_cost_nothing_on_a_modern_card() {
    endure(modern());
}
