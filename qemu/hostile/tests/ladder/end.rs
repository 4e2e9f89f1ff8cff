//! The last rung: a device that never comes back, and a network that is only quiet.

use crate::guest::Guest;
use crate::machine::Setup;
use crate::{legacy, modern};
use quartz_abi::ExitCode;
use quartz_hostile::{Fault, Order, Queue};
use std::thread;
use std::time::{Duration, Instant};

/// Time in which the guest has to give up.
const END: Duration = Duration::from_secs(40);

fn die(setup: Setup) {
    let mut guest = Guest::boot(setup);
    let mut connection = guest.connect();
    let begun = Instant::now();
    for queue in Queue::ALL {
        let order = Order::until_cleared(Fault::Frozen, queue);
        guest.machine.backend.inject(order);
    }
    connection.send("/");
    let status = guest.machine.wait(END);
    assert_eq!(
        status.and_then(ExitCode::from_qemu_status),
        Some(ExitCode::RingGivenUp),
        "QEMU ended with {status:?}"
    );
    let serial = guest.machine.serial();
    let reason = serial
        .lines()
        .find(|line| line.contains("given up") && line.contains("resets"))
        .expect("no reason on the serial line");
    crate::say(&format!(
        "never comes back: gave up after {} ms: {reason}",
        begun.elapsed().as_millis()
    ));
    assert!(guest.machine.backend.view().starts > 2, "it did not try");
    guest.is_sound();
}

#[test]
fn a_device_that_never_comes_back_is_given_up_with_a_reason() {
    die(legacy());
}

#[test]
fn a_modern_device_that_never_comes_back_is_given_up_with_a_reason() {
    die(modern());
}

/// What arrives proves nothing about the other ring.
#[test]
fn a_device_that_never_sends_again_is_given_up() {
    let mut guest = Guest::boot(legacy());
    let order = Order::until_cleared(Fault::Frozen, Queue::Tx);
    guest.machine.backend.inject(order);
    let begun = Instant::now();
    let mut status = None;
    while status.is_none() && begun.elapsed() < END {
        drop(guest.client.get("/", Duration::from_millis(20)));
        status = guest.machine.wait(Duration::ZERO);
    }
    assert_eq!(status, Some(ExitCode::RingGivenUp.qemu_status()));
}

#[test]
fn a_quiet_network_is_no_dead_ring() {
    let mut guest = Guest::boot(legacy());
    guest.trust_the_gateway();
    let mut connection = guest.connect();
    let before = guest.stats();
    guest.machine.backend.link().cut(true);
    thread::sleep(Duration::from_secs(8));
    assert_eq!(guest.machine.wait(Duration::ZERO), None, "the guest ended");
    guest.machine.backend.link().cut(false);
    let patience = Duration::from_secs(5);
    assert_eq!(connection.get("/", patience).unwrap().status, 200);
    let after = guest.stats();
    // A gateway that falls silent looks like a dead ring once; then it is no evidence any more.
    let resets = after.ring(Queue::Rx, "resets") - before.ring(Queue::Rx, "resets");
    assert!(resets <= 1, "{resets} resets");
    guest.no_descriptor_is_lost();
    guest.is_sound();
}
