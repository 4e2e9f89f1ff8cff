//! A device that misbehaves: each class of fault with what it may cost.
//!
//! Every fault is committed on every kind of device, against a server with clients. Afterwards
//! either requests flow again within two seconds, or the driver gave the device up and says why.
//! In no case is there a panic, a hang, or a descriptor lost.

mod boot;
mod device;
mod lies;
mod notifications;
mod rings;

use quartz_drivers::GivenUp;
use quartz_drivers::model::{Attributes, Fault, Town};

/// Beats of 100 ms within which requests have to flow again.
const RECOVERY: usize = 20;
/// Beats within which the driver gives up.
const END: usize = 200;
/// Register reads that one call may cost.
const READS: u64 = 25_000;

const RX: u16 = 0;
const TX: u16 = 1;
const SIZE: u16 = 16;

fn devices() -> [(&'static str, Attributes); 4] {
    [
        ("legacy, event indices", Attributes::tap(true)),
        ("modern, event indices", Attributes::tap(false)),
        ("legacy, flags", Attributes::flags(true)),
        ("modern, flags", Attributes::flags(false)),
    ]
}

/// What a fault may cost.
#[derive(Clone, Copy, Debug)]
enum Cost {
    /// Nothing at all.
    Nothing,
    /// This counter grows, and there is no reset.
    Counted(Counter),
    /// The device is reset, and this counter grows, if one is named.
    Reset(Option<Counter>),
    /// The driver gives up.
    End(fn(GivenUp) -> bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counter {
    BadUsed,
    Missed,
    Rekicks,
    Spurious,
}

fn count(town: &Town, counter: Counter) -> u64 {
    [town.rig.net.rx_stats(), town.rig.net.tx_stats()]
        .iter()
        .map(|ring| match counter {
            Counter::BadUsed => ring.bad_used,
            Counter::Missed => ring.missed_interrupts,
            Counter::Rekicks => ring.rekicks,
            Counter::Spurious => ring.spurious,
        })
        .sum()
}

#[derive(Clone, Copy)]
struct Class {
    name: &'static str,
    cost: Cost,
    commit: fn(&mut Town),
}

const fn class(name: &'static str, cost: Cost, commit: fn(&mut Town)) -> Class {
    Class { name, cost, commit }
}

/// A town that has served for a while, long enough to trust its gateway.
fn town(attributes: &Attributes) -> Town {
    let mut town = Town::new(attributes.clone(), SIZE, SIZE).expect("the device is fine");
    town.beats(1).expect("all is well");
    assert_eq!(town.beats(50), Ok(50));
    town
}

/// Commits one fault and holds the driver to its cost.
fn trial(name: &str, attributes: &Attributes, class: &Class) {
    let what = format!("{} ({name})", class.name);
    let mut town = town(attributes);
    let before = |c| count(&town, c);
    let counters = [
        Counter::BadUsed,
        Counter::Missed,
        Counter::Rekicks,
        Counter::Spurious,
    ];
    let before = counters.map(before);
    (class.commit)(&mut town);
    let mut beats = 0;
    let ended = loop {
        let before = town.rig.host.state().reads.get();
        let beat = town.beat();
        let cost = town.rig.host.state().reads.get() - before;
        assert!(cost < READS, "{what}: {cost} reads in one beat");
        beats += 1;
        match (beat, class.cost) {
            (Err(given_up), _) => break Some(given_up),
            (Ok(served), Cost::End(_)) => {
                assert!(beats < END, "{what}: no end, served: {served}");
            }
            (Ok(true), _) => break None,
            (Ok(false), _) => assert!(beats < RECOVERY, "{what}: {:?}", town.rig.net),
        }
    };
    let grown = |counter: Counter| {
        let at = counters.iter().position(|c| *c == counter).expect("known");
        count(&town, counter) - before[at]
    };
    let rx = town.rig.net.rx_stats();
    match (class.cost, ended) {
        (Cost::End(fits), Some(given_up)) => {
            assert!(fits(given_up), "{what}: {given_up:?}");
            assert!(!format!("{given_up}").is_empty());
            // It stays so, and nothing moves any more.
            assert_eq!(town.beat(), Err(given_up), "{what}");
            assert!(town.rig.net.harvest().is_none() && !town.rig.net.can_transmit());
            return;
        }
        (_, Some(given_up)) => panic!("{what}: {given_up}"),
        (Cost::End(_), None) => unreachable!("the loop goes on"),
        (Cost::Nothing, None) => {
            let trouble = counters[..3].iter().map(|c| grown(*c)).sum::<u64>();
            assert_eq!((trouble, rx.resets), (0, 0), "{what}: {rx:?}");
        }
        (Cost::Counted(counter), None) => {
            assert!(grown(counter) > 0, "{what}: {counter:?} did not grow");
            assert_eq!(rx.resets, 0, "{what}");
        }
        (Cost::Reset(counter), None) => {
            assert!(rx.resets > 0, "{what}");
            assert!(counter.is_none_or(|c| grown(c) > 0), "{what}: {counter:?}");
        }
    }
    // It goes on serving, and gives everything back.
    town.held.clear();
    let served = town.beats(50).expect("it goes on");
    assert!(
        served >= 48 || town.rig.host.state().has(Fault::Mute),
        "{what}: {served}"
    );
    town.clients = false;
    town.beats(5).expect("it goes on");
    let (rx, tx) = (town.rig.net.rx_stats(), town.rig.net.tx_stats());
    assert_eq!((rx.gap, rx.free), (SIZE, 0), "{what}: {rx:?}");
    assert_eq!((tx.gap, tx.free), (0, SIZE), "{what}: {tx:?}");
}

fn all(classes: &[Class]) {
    for (name, attributes) in devices() {
        for class in classes {
            trial(name, &attributes, class);
        }
    }
}

/// The page that lists the classes knows each of them, and no more than there are.
#[test]
fn the_page_is_true() {
    let page = include_str!("../../../docs/ring.md");
    let classes: Vec<&str> = [
        lies::CLASSES,
        notifications::CLASSES,
        rings::CLASSES,
        device::CLASSES,
        device::MODERN,
    ]
    .concat()
    .iter()
    .map(|class| class.name)
    .collect();
    assert!(classes.len() >= 30, "{}", classes.len());
    assert!(page.contains(&format!("\n{} classes", classes.len())));
    let cells = page.lines().filter(|line| line.starts_with("| "));
    let listed: Vec<&str> = cells
        .flat_map(|line| line.split(" | ").skip(1).take(1))
        .flat_map(|cell| cell.split("; "))
        .collect();
    for class in classes {
        let times = listed.iter().filter(|name| **name == class).count();
        assert_eq!(times, 1, "{class}");
    }
}
