//! What the driver tells the black box.

use quartz_abi::{Event, EventKind};
use quartz_drivers::model::{Attributes, Fault, Tamper, Town};
use std::cell::RefCell;
use virtio_drivers::transport::DeviceStatus;

thread_local! {
    static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
}

fn record(event: Event) {
    EVENTS.with_borrow_mut(|events| events.push(event));
}

fn town() -> Town {
    let mut town = Town::new(Attributes::tap(false), 16, 16).expect("the device is fine");
    town.beats(51).expect("all is well");
    town.rig.net.set_recorder(record);
    town
}

fn take() -> Vec<Event> {
    EVENTS.take()
}

fn of(kind: EventKind, events: &[Event]) -> Vec<Event> {
    events.iter().filter(|e| e.kind == kind).copied().collect()
}

#[test]
fn a_frame_and_its_answer() {
    let mut town = town();
    town.beat().expect("all is well");
    let events = take();
    for kind in [
        EventKind::Interrupt,
        EventKind::Harvest,
        EventKind::Publish,
        EventKind::Kick,
    ] {
        assert!(!of(kind, &events).is_empty(), "{kind:?}: {events:?}");
    }
    let rx = town.rig.net.rx_stats();
    let harvests = of(EventKind::Harvest, &events);
    let last = harvests.last().expect("there is one");
    assert_eq!((last.queue, last.a), (0, u64::from(rx.used_idx)));
    let published = of(EventKind::Publish, &events);
    let last = published.iter().rfind(|e| e.queue == 0).expect("a repost");
    assert_eq!(last.a, u64::from(rx.avail_idx));
    // What was told adds up to what was counted.
    let count = |events: &[Event]| events.iter().map(|e| u64::from(e.count)).sum::<u64>();
    let before = rx.harvested;
    town.beats(10).expect("all is well");
    let harvested = town.rig.net.rx_stats().harvested - before;
    assert_eq!(count(&of(EventKind::Harvest, &take())), harvested);
}

#[test]
fn a_lie_and_its_reset() {
    let mut town = town();
    town.rig.host.tamper(0, Tamper::Id(0xdead_beef));
    town.beats(5).expect("it comes back");
    let events = take();
    let [bad] = of(EventKind::BadUsed, &events)[..] else {
        panic!("{events:?}");
    };
    assert_eq!((bad.queue, bad.a), (0, 0xdead_beef));
    let [reset] = of(EventKind::Reset, &events)[..] else {
        panic!("{events:?}");
    };
    assert_eq!((reset.a, reset.b), (1, 1));
}

#[test]
fn a_reset_tells_why() {
    type Commit = fn(&mut Town);
    let causes: [(u64, Commit); 6] = [
        (1, |t| t.rig.host.tamper(1, Tamper::Len(u32::MAX))),
        (2, |t| {
            t.rig.host.set_status_bits(DeviceStatus::DEVICE_NEEDS_RESET)
        }),
        (3, |t| t.rig.host.reset_itself()),
        (4, |t| t.rig.host.inflict(Fault::Gone)),
        (5, |t| t.rig.host.inflict(Fault::TransmitFrozen)),
        (6, |t| t.rig.host.inflict(Fault::ReceiveFrozen)),
    ];
    for (code, commit) in causes {
        let mut town = town();
        commit(&mut town);
        let first = (0..20).find_map(|_| {
            town.beat().expect("one reset is not the end");
            of(EventKind::Reset, &take()).first().copied()
        });
        let reset = first.unwrap_or_else(|| panic!("{code}: no reset"));
        assert_eq!((reset.a, reset.b), (code, 1));
    }
}

#[test]
fn the_rungs_and_the_end() {
    let mut town = town();
    town.rig.host.inflict(Fault::TransmitFrozen);
    let given_up = (0..200).find_map(|_| town.beat().err()).expect("an end");
    let events = take();
    assert!(of(EventKind::Rekick, &events).iter().all(|e| e.queue == 1));
    assert_eq!(of(EventKind::Rekick, &events).len(), 2 * 7);
    assert_eq!(of(EventKind::Reset, &events).len(), 6);
    let [end] = of(EventKind::GivenUp, &events)[..] else {
        panic!("{events:?}");
    };
    assert_eq!(end.a, given_up.cause.code());
    // Once is enough.
    assert!(town.beat().is_err());
    assert!(take().is_empty());
}

#[test]
fn a_missed_interrupt_and_a_probe() {
    let mut town = town();
    town.clients = false;
    town.rig.host.inflict(Fault::Mute);
    town.rig.host.deliver(&[0x52; 60]);
    town.rig.host.heal();
    town.beats(20).expect("it goes on");
    let events = take();
    let [missed] = of(EventKind::MissedInterrupt, &events)[..] else {
        panic!("{events:?}");
    };
    assert_eq!((missed.queue, missed.count), (0, 1));
    assert!(!of(EventKind::Probe, &events).is_empty());
}
