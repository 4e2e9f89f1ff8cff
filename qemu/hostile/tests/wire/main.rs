//! The hostile device against a tiny driver in this process: what it does when it behaves, and
//! what exactly each fault writes. No QEMU.

mod driver;

use driver::{BUFFER, Driver, HEADER, SIZE, Used};
use quartz_hostile::{DeviceConfig, Fault, Order, Queue};
use std::time::Duration;

/// A time in which what is to come has come.
const LONG: Duration = Duration::from_secs(5);
/// A time in which nothing may come.
const SHORT: Duration = Duration::from_millis(60);

fn start() -> Driver {
    Driver::start(DeviceConfig::default())
}

/// Takes an honest received frame and posts its buffer again.
fn take_frame(driver: &mut Driver, expected: &[u8]) {
    let used = driver.expect(Queue::Rx);
    assert_eq!(used.len as usize, HEADER + expected.len());
    let (header, frame) = driver.received(used.id, used.len);
    assert_eq!(frame, expected);
    assert_eq!(header, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    driver.post(Queue::Rx, used.id as u16);
    driver.kick(Queue::Rx);
}

#[test]
fn frames_pass_both_ways_many_times_round_the_rings() {
    let mut driver = start();
    for n in 0..10 * SIZE {
        let frame = [n as u8; 60];
        driver.backend.link().send_to_guest(frame.to_vec());
        take_frame(&mut driver, &frame);
        driver.send(n % SIZE, &frame);
        let id = u32::from(n % SIZE);
        assert_eq!(driver.expect(Queue::Tx), Used { id, len: 0 });
    }
    let view = driver.backend.view();
    assert_eq!(view.breaches, Vec::<String>::new());
    assert_eq!((view.rx.gap, view.rx.owned), (SIZE, SIZE));
    assert_eq!((view.tx.gap, view.tx.owned), (0, 0));
    assert_eq!((view.memory_tables, view.starts), (1, 1));
}

#[test]
fn it_interrupts_only_when_asked_to() {
    for event_idx in [true, false] {
        let mut driver = Driver::start(DeviceConfig {
            event_idx,
            ..DeviceConfig::default()
        });
        let link = driver.backend.link().clone();
        link.send_to_guest(vec![1; 60]);
        assert!(driver.interrupted(Queue::Rx, LONG));
        driver.expect(Queue::Rx);
        link.send_to_guest(vec![2; 60]);
        driver.expect(Queue::Rx);
        // With the event index the driver has not asked again; without it nothing was suppressed.
        assert_eq!(driver.interrupted(Queue::Rx, SHORT), !event_idx);
        driver.rearm(Queue::Rx);
        link.send_to_guest(vec![3; 60]);
        assert!(driver.interrupted(Queue::Rx, LONG));
    }
}

#[test]
fn an_unnotified_buffer_is_not_seen() {
    let mut driver = start();
    driver.send(0, &[1; 60]);
    driver.expect(Queue::Tx);
    let (flags, event) = driver.asks(Queue::Tx);
    assert_eq!((flags, event), (0, 1));
    driver.describe(Queue::Tx, 1, 72, false);
    driver.post(Queue::Tx, 1);
    assert_eq!(driver.used(Queue::Tx, SHORT), None);
    driver.kick(Queue::Tx);
    assert_eq!(driver.expect(Queue::Tx).id, 1);
}

/// What a fault at a used entry makes the driver see: the entries after one received frame of 60
/// bytes into descriptor 0, or else `used.idx`.
#[test]
fn each_lie_in_the_used_ring_is_the_one_that_was_ordered() {
    let (header, whole) = (HEADER as u32, HEADER as u32 + 60);
    let entry = |id, len| Used { id, len };
    let cases: [(Fault, u16, &[Used]); 10] = [
        (Fault::IdOutOfRange, 1, &[entry(u32::from(SIZE) + 7, whole)]),
        (
            Fault::IdNotOutstanding,
            2,
            &[entry(0, whole), entry(0, whole)],
        ),
        (Fault::IdRepeated, 2, &[entry(0, whole), entry(0, whole)]),
        (Fault::LenZero, 1, &[entry(0, 0)]),
        (Fault::LenShort, 1, &[entry(0, header - 1)]),
        (Fault::LenBeyond, 1, &[entry(0, BUFFER + 1)]),
        (Fault::LenMax, 1, &[entry(0, u32::MAX)]),
        // The entry that was not written is what lay there: zeroes.
        (Fault::UsedStale, 2, &[entry(0, whole), entry(0, 0)]),
        // One entry, seven owned, one too many.
        (Fault::UsedJumpForward, 1 + SIZE, &[entry(0, whole)]),
        (
            Fault::UsedJumpBack,
            1u16.wrapping_sub(3),
            &[entry(0, whole)],
        ),
    ];
    for (fault, used_idx, entries) in cases {
        let mut driver = start();
        driver.backend.inject(Order::once(fault, Queue::Rx));
        driver.backend.link().send_to_guest(vec![7; 60]);
        driver.committed(fault, Queue::Rx);
        for expected in entries {
            assert_eq!(driver.expect(Queue::Rx), *expected, "{fault}");
        }
        assert_eq!(driver.used_idx(Queue::Rx), used_idx, "{fault}");
        // A reset heals everything.
        driver.take_down();
        driver.bring_up();
        driver.backend.link().send_to_guest(vec![8; 60]);
        take_frame(&mut driver, &[8; 60]);
        assert_eq!(driver.backend.view().starts, 2);
    }
}

#[test]
fn a_head_that_it_does_not_own_is_neither_the_next_nor_the_last_one() {
    let mut driver = start();
    for n in 0..5 {
        driver.backend.link().send_to_guest(vec![n; 60]);
        assert_eq!(driver.expect(Queue::Rx).id, u32::from(n));
    }
    let order = Order::once(Fault::IdNotOutstanding, Queue::Rx);
    driver.backend.inject(order);
    driver.backend.link().send_to_guest(vec![5; 60]);
    assert_eq!(driver.expect(Queue::Rx).id, 2);
}

#[test]
fn out_of_order_swaps_two_buffers_and_gives_a_lone_one_back() {
    let mut driver = start();
    let order = Order::once(Fault::OutOfOrder, Queue::Rx);
    driver.backend.inject(order);
    driver.backend.link().send_to_guest(vec![1; 60]);
    driver.backend.link().send_to_guest(vec![2; 60]);
    let ids = [driver.expect(Queue::Rx).id, driver.expect(Queue::Rx).id];
    assert_eq!(ids, [1, 0]);
    driver.backend.inject(order);
    driver.backend.link().send_to_guest(vec![3; 60]);
    assert_eq!(driver.expect(Queue::Rx).id, 2);
    assert_eq!(driver.backend.view().breaches, Vec::<String>::new());
}

#[test]
fn interrupts_are_left_out_late_or_too_many() {
    let mut driver = start();
    let link = driver.backend.link().clone();
    let fault = |fault| Order::once(fault, Queue::Rx);
    driver.backend.inject(fault(Fault::NoInterrupt));
    link.send_to_guest(vec![1; 60]);
    driver.expect(Queue::Rx);
    assert!(!driver.interrupted(Queue::Rx, SHORT));
    driver.rearm(Queue::Rx);
    driver.backend.inject(fault(Fault::DelayedInterrupt));
    link.send_to_guest(vec![2; 60]);
    driver.expect(Queue::Rx);
    assert!(!driver.interrupted(Queue::Rx, SHORT));
    assert!(driver.interrupted(Queue::Rx, LONG));
    let storm = Order::times(Fault::InterruptStorm, Queue::Rx, 50);
    driver.backend.inject(storm);
    driver
        .backend
        .wait("the storm", LONG, |v| v.rx.calls >= 51)
        .unwrap();
    assert_eq!(driver.used(Queue::Rx, Duration::ZERO), None);
}

#[test]
fn a_frozen_ring_stands_still_until_the_reset() {
    let mut driver = start();
    for queue in Queue::ALL {
        let order = Order::until_resets(Fault::Frozen, queue, 1);
        driver.backend.inject(order);
    }
    driver.backend.link().send_to_guest(vec![1; 60]);
    driver.send(0, &[2; 60]);
    driver.kick(Queue::Rx);
    assert_eq!(driver.used(Queue::Rx, SHORT), None);
    assert_eq!(driver.used(Queue::Tx, SHORT), None);
    driver.take_down();
    driver.bring_up();
    // What arrived in the meantime waited on the cable.
    take_frame(&mut driver, &[1; 60]);
    driver.send(0, &[3; 60]);
    driver.expect(Queue::Tx);
}

#[test]
fn a_swallowed_kick_is_made_up_for_by_the_next_one() {
    let mut driver = start();
    let order = |queue| Order::once(Fault::SwallowKick, queue);
    driver.backend.inject(order(Queue::Tx));
    driver.send(0, &[1; 60]);
    assert_eq!(driver.used(Queue::Tx, SHORT), None);
    driver.kick(Queue::Tx);
    driver.expect(Queue::Tx);

    // On the receive queue it uses up every buffer first, so that it needs the notification.
    driver.backend.inject(order(Queue::Rx));
    for _ in 0..SIZE {
        let used = driver.expect(Queue::Rx);
        let (_, frame) = driver.received(used.id, used.len);
        assert_eq!(frame[12..14], [0x88, 0xb5]);
        driver.post(Queue::Rx, used.id as u16);
    }
    assert_eq!(driver.asks(Queue::Rx), (0, SIZE));
    driver.kick(Queue::Rx);
    driver.committed(Fault::SwallowKick, Queue::Rx);
    driver.backend.link().send_to_guest(vec![2; 60]);
    assert_eq!(driver.used(Queue::Rx, SHORT), None);
    driver.kick(Queue::Rx);
    take_frame(&mut driver, &[2; 60]);
}

#[test]
fn stale_flags_tell_the_driver_not_to_notify() {
    let mut driver = start();
    let order = Order::once(Fault::StaleFlags, Queue::Tx);
    driver.backend.inject(order);
    driver.send(0, &[1; 60]);
    driver.expect(Queue::Tx);
    driver.committed(Fault::StaleFlags, Queue::Tx);
    assert_eq!(driver.asks(Queue::Tx), (0xffff, 1 + 0x7fff));
}

#[test]
fn junk_comes_before_the_real_frame_and_within_the_buffer() {
    let lengths = [
        (Fault::GarbageFrame, 14..BUFFER as usize - HEADER),
        (Fault::Runt, 0..14),
        (
            Fault::Giant,
            BUFFER as usize - HEADER..BUFFER as usize - HEADER + 1,
        ),
    ];
    for (fault, lengths) in lengths {
        let mut driver = start();
        driver.backend.inject(Order::once(fault, Queue::Rx));
        driver.backend.link().send_to_guest(vec![1; 60]);
        let junk = driver.expect(Queue::Rx);
        let len = junk.len as usize - HEADER;
        assert!(lengths.contains(&len), "{fault}: {len}");
        take_frame(&mut driver, &[1; 60]);
    }
    let mut driver = start();
    let order = Order::once(Fault::GarbageHeader, Queue::Rx);
    driver.backend.inject(order);
    driver.backend.link().send_to_guest(vec![1; 60]);
    let used = driver.expect(Queue::Rx);
    let (header, frame) = driver.received(used.id, used.len);
    assert_eq!((header, frame), (vec![0xff; HEADER], vec![1; 60]));
}

#[test]
fn a_burst_comes_after_silence() {
    let mut driver = start();
    let order = Order::once(Fault::BurstAfterSilence, Queue::Rx);
    driver.backend.inject(order);
    for n in 0..4 {
        driver.backend.link().send_to_guest(vec![n; 60]);
    }
    assert_eq!(driver.used(Queue::Rx, SHORT), None);
    driver.expect(Queue::Rx);
    assert_eq!(driver.used_idx(Queue::Rx), 4);
}

#[test]
fn a_driver_that_breaks_the_rules_is_told_on() {
    type Breach = fn(&mut Driver);
    let cases: [(&str, Breach); 4] = [
        ("twice", |d| {
            d.describe(Queue::Tx, 0, 72, false);
            d.backend
                .inject(Order::until_cleared(Fault::OutOfOrder, Queue::Tx));
            d.post(Queue::Tx, 0);
            d.post(Queue::Tx, 0);
        }),
        ("no memory", |d| d.post(Queue::Tx, SIZE + 1)),
        ("no frame", |d| {
            d.describe(Queue::Tx, 0, HEADER as u32, false);
            d.post(Queue::Tx, 0);
        }),
        ("more than the ring", |d| {
            d.describe(Queue::Tx, 0, 72, false);
            d.queues[1].avail = SIZE;
            d.post(Queue::Tx, 0);
        }),
    ];
    for (what, breach) in cases {
        let mut driver = start();
        breach(&mut driver);
        driver.kick(Queue::Tx);
        let told = |v: &quartz_hostile::View| v.breaches.iter().any(|b| b.contains(what));
        driver.backend.wait(what, LONG, told).unwrap();
    }
}

#[test]
fn it_hangs_up_and_takes_the_next_connection() {
    let mut driver = start();
    let order = Order::once(Fault::Disconnect, Queue::Rx);
    driver.backend.inject(order);
    let stopped = |v: &quartz_hostile::View| !v.running;
    driver.backend.wait("the hang-up", LONG, stopped).unwrap();
    driver.reconnect();
    assert_eq!(driver.backend.view().sessions, 2);
    driver.backend.link().send_to_guest(vec![1; 60]);
    take_frame(&mut driver, &[1; 60]);
}
