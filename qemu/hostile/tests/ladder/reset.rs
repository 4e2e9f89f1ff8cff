//! The device resets itself, asks for a reset, loses its link, or loses its back end.

use crate::attach::{CARD, STATUS};
use crate::case::{Cost, RECOVERY, trial};
use crate::guest::Guest;
use crate::machine::Setup;
use crate::{legacy, modern};
use quartz_hostile::{Fault, Order, Queue, View};
use std::time::Duration;

/// `DEVICE_NEEDS_RESET` (VIRTIO 1.2, 2.1).
const NEEDS_RESET: u32 = 64;
const RESETS: [(Queue, &str); 1] = [(Queue::Rx, "resets")];

/// Behind the guest's back the device forgets everything, as a broken one does.
fn reset_itself(guest: &mut Guest) -> Box<dyn Fn() -> bool> {
    guest.machine.qtest().write32(STATUS, 0);
    Box::new(|| true)
}

/// The device says that it cannot go on.
fn ask_for_reset(guest: &mut Guest) -> Box<dyn Fn() -> bool> {
    let mut bus = guest.machine.qtest();
    let status = bus.read32(STATUS);
    bus.write32(STATUS, status | NEEDS_RESET);
    Box::new(|| true)
}

/// It forgets everything, and then interrupts over and over for what is forgotten.
fn interrupt_after_reset(guest: &mut Guest) -> Box<dyn Fn() -> bool> {
    let board = guest.machine.backend.board().clone();
    let committed = move || board.committed(Fault::InterruptStorm, Queue::Rx);
    let before = committed();
    guest.machine.qtest().write32(STATUS, 0);
    let order = Order::times(Fault::InterruptStorm, Queue::Rx, 2000);
    guest.machine.backend.inject(order);
    Box::new(move || committed() >= before + 500)
}

fn reset(setup: Setup) {
    let mut guest = Guest::boot(setup);
    for _ in 0..2 {
        let cost = Cost::Resets(1);
        let name = "device that resets itself";
        assert!(trial(
            &mut guest,
            name,
            cost,
            RECOVERY,
            &RESETS,
            reset_itself
        ));
        let name = "device that asks for a reset";
        assert!(trial(
            &mut guest,
            name,
            cost,
            RECOVERY,
            &RESETS,
            ask_for_reset
        ));
        let name = "interrupts after a reset";
        let counters = [(Queue::Rx, "resets"), (Queue::Rx, "spurious")];
        assert!(trial(
            &mut guest,
            name,
            cost,
            RECOVERY,
            &counters,
            interrupt_after_reset,
        ));
    }
    assert_eq!(guest.machine.qtest().read32(CARD + 8), 1);
    let serial = guest.machine.serial();
    for reason in ["the device reset itself", "the device asks for a reset"] {
        assert!(
            serial.contains(&format!("reset, since {reason}")),
            "{reason}"
        );
    }
}

#[test]
fn a_device_that_resets_itself_is_brought_up_again() {
    reset(legacy());
}

#[test]
fn a_modern_device_that_resets_itself_is_brought_up_again() {
    reset(modern());
}

/// QEMU takes the card's link away and gives it back.
fn bounce_link(guest: &mut Guest) -> Box<dyn Fn() -> bool> {
    let set = |up| format!(r#"{{"execute":"set_link","arguments":{{"name":"n0","up":{up}}}}}"#);
    guest.machine.qmp(&set(false));
    let stopped = |v: &View| !v.running;
    let backend = &guest.machine.backend;
    backend
        .wait("the link to go down", RECOVERY, stopped)
        .unwrap();
    guest.machine.qmp(&set(true));
    Box::new(|| true)
}

/// The back end hangs up; QEMU connects again by itself, a second later.
fn hang_up(guest: &mut Guest) -> Box<dyn Fn() -> bool> {
    let sessions = guest.machine.backend.view().sessions;
    let order = Order::once(Fault::Disconnect, Queue::Rx);
    guest.machine.backend.inject(order);
    let back = move |v: &View| v.running && v.sessions > sessions;
    let backend = &guest.machine.backend;
    let patience = Duration::from_secs(5);
    backend
        .wait("QEMU to connect again", patience, back)
        .unwrap();
    Box::new(|| true)
}

fn lose_link(setup: Setup) {
    let mut guest = Guest::boot(Setup {
        reconnect: true,
        ..setup
    });
    for _ in 0..2 {
        let cost = Cost::Resets(0);
        assert!(trial(
            &mut guest,
            "link lost",
            cost,
            RECOVERY,
            &[],
            bounce_link
        ));
        assert!(trial(
            &mut guest,
            "back end lost",
            cost,
            RECOVERY,
            &[],
            hang_up
        ));
    }
}

#[test]
fn a_lost_link_comes_back() {
    lose_link(legacy());
}

#[test]
fn a_lost_link_comes_back_on_a_modern_card() {
    lose_link(modern());
}
