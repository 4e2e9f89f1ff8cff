//! Faults in the middle of a transfer, and many of them, one after the other.

use crate::guest::{Guest, PATIENCE};
use crate::machine::Setup;
use crate::{legacy, modern, say};
use quartz_hostile::{Connection, Fault, Order, Queue};
use std::time::{Duration, Instant};

/// Bytes of the large file.
const LARGE: usize = 3 << 20;
/// Time for a transfer with a fault in it.
const TRANSFER: Duration = Duration::from_secs(20);

/// Bytes that are different everywhere.
fn content() -> Vec<u8> {
    let word = |n: usize| (n as u32).wrapping_mul(0x9e37_79b9).to_le_bytes();
    (0..LARGE / 4).flat_map(word).collect()
}

fn site() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    add("index.html", b"<!doctype html><title>small</title>");
    add("large.bin", &content());
    tar.into_inner().unwrap()
}

fn boot(setup: Setup) -> Guest {
    Guest::boot(Setup {
        site: Some(site()),
        ..setup
    })
}

/// Transfers run while the fault strikes, after some frames; every byte has to arrive.
fn transfer(setup: Setup) {
    let mut guest = boot(setup);
    // Frames, or for what concerns a whole turn of the device (interrupts, kicks, freezing) turns:
    // a turn may carry a ring full of frames.
    let faults = [
        Order::once(Fault::IdOutOfRange, Queue::Rx).after(100),
        Order::once(Fault::IdRepeated, Queue::Tx).after(700),
        Order::times(Fault::NoInterrupt, Queue::Rx, 5).after(10),
        Order::once(Fault::SwallowKick, Queue::Tx).after(20),
        Order::until_resets(Fault::Frozen, Queue::Tx, 1).after(10),
        Order::times(Fault::OutOfOrder, Queue::Tx, 400).after(100),
        Order::times(Fault::GarbageFrame, Queue::Rx, 100).after(100),
    ];
    let expected = content();
    for order in faults {
        let Order { fault, queue, .. } = order;
        let mut connections = [guest.connect(), guest.connect()];
        let before = guest.machine.backend.board().committed(fault, queue);
        guest.machine.backend.inject(order);
        let begun = Instant::now();
        for connection in &mut connections {
            connection.send("/large.bin");
        }
        for response in all(&mut connections) {
            let same = response == expected;
            assert!(same, "{fault} on {queue}: {} bytes", response.len());
        }
        let committed = guest.machine.backend.board().committed(fault, queue);
        assert!(committed > before, "{fault} on {queue} never happened");
        guest.machine.backend.clear();
        say(&format!(
            "2 x {LARGE} bytes through {fault} on {queue}: {} ms",
            begun.elapsed().as_millis()
        ));
        guest.no_descriptor_is_lost();
        guest.is_sound();
    }
}

/// The bodies of the responses, read side by side.
fn all(connections: &mut [Connection]) -> Vec<Vec<u8>> {
    let begun = Instant::now();
    let mut bodies = vec![None; connections.len()];
    while bodies.iter().any(Option::is_none) {
        assert!(begun.elapsed() < TRANSFER, "a transfer did not end");
        for (body, connection) in bodies.iter_mut().zip(connections.iter_mut()) {
            if body.is_none() {
                *body = connection.poll().unwrap().map(|r| r.body);
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    bodies.into_iter().flatten().collect()
}

#[test]
fn a_transfer_survives_every_fault_on_its_way() {
    transfer(legacy());
}

#[test]
fn a_transfer_survives_every_fault_on_its_way_through_a_modern_card() {
    transfer(modern());
}

/// A seeded sequence of faults against a few connections that keep asking.
#[test]
fn one_fault_after_the_other_is_survived() {
    let mut guest = boot(modern());
    let mut connections = [guest.connect(), guest.connect(), guest.connect()];
    let faults = [
        (Fault::NoInterrupt, Queue::Rx),
        (Fault::SwallowKick, Queue::Tx),
        (Fault::IdNotOutstanding, Queue::Rx),
        (Fault::OutOfOrder, Queue::Rx),
        (Fault::GarbageFrame, Queue::Rx),
        (Fault::LenMax, Queue::Rx),
        (Fault::StaleFlags, Queue::Tx),
        (Fault::Giant, Queue::Rx),
        (Fault::OutOfOrder, Queue::Tx),
        (Fault::InterruptStorm, Queue::Rx),
    ];
    let mut state = 7u32;
    for round in 0..30 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (fault, queue) = faults[(state >> 16) as usize % faults.len()];
        let after = (state >> 8) % 7;
        guest
            .machine
            .backend
            .inject(Order::once(fault, queue).after(after));
        for connection in &mut connections {
            let response = connection.get("/", PATIENCE);
            let response = response.unwrap_or_else(|e| panic!("round {round}, {fault}: {e}"));
            assert_eq!(response.status, 200);
        }
    }
    guest.machine.backend.clear();
    guest.no_descriptor_is_lost();
    let stats = guest.stats();
    assert!(stats.ring(Queue::Rx, "bad_used") > 0);
    guest.is_sound();
}
