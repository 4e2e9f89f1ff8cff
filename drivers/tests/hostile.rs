//! A device that misbehaves: each class of fault with what it may cost.
//!
//! Every fault is committed on every kind of device, against a server with clients. Afterwards
//! either requests flow again within two seconds, or the driver gave the device up and says why.
//! In no case is there a panic, a hang, or a descriptor lost.

use quartz_drivers::model::{Attributes, Fault, Tamper, Town, feature};
use quartz_drivers::{Cause, GivenUp, NetError};
use virtio_drivers::transport::DeviceStatus;

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

struct Class {
    name: &'static str,
    cost: Cost,
    commit: fn(&mut Town),
}

const fn class(name: &'static str, cost: Cost, commit: fn(&mut Town)) -> Class {
    Class { name, cost, commit }
}

const LIE: Cost = Cost::Reset(Some(Counter::BadUsed));

/// Used entries that cannot be true.
const LIES: &[Class] = &[
    class("rx id beyond the ring", LIE, |t| {
        lie(t, RX, Tamper::Id(SIZE.into()))
    }),
    class("tx id beyond the ring", LIE, |t| {
        lie(t, TX, Tamper::Id(SIZE.into()))
    }),
    class("rx id whose low bits are right", LIE, |t| {
        lie(t, RX, Tamper::Id(0x0001_0003))
    }),
    class("tx id whose low bits are right", LIE, |t| {
        lie(t, TX, Tamper::Id(0x0001_0003))
    }),
    class("rx id 0xdeadbeef", LIE, |t| {
        lie(t, RX, Tamper::Id(0xdead_beef))
    }),
    class("rx id of a frame that the server holds", LIE, |t| {
        t.hoards = true;
        assert_eq!(t.beat(), Ok(true));
        t.hoards = false;
        for id in 0..SIZE {
            if t.held.iter().any(|f| slot(f) == id) {
                lie(t, RX, Tamper::Id(id.into()));
                return;
            }
        }
        panic!("a frame is held");
    }),
    class("tx id that was never given", LIE, |t| {
        lie(t, TX, Tamper::Id(SIZE as u32 - 1))
    }),
    class("rx id repeated", LIE, |t| {
        t.rig.host.state_mut().tampers[0].extend([None, Some(Tamper::Repeat)]);
        for _ in 0..2 {
            t.rig.host.deliver(&[0x52; 60]);
        }
    }),
    class("tx id repeated", LIE, |t| {
        t.rig.host.state_mut().tampers[1].extend([None, Some(Tamper::Repeat)]);
        for _ in 0..2 {
            t.rig.send(&[0x52; 60]);
        }
    }),
    class("rx length zero", LIE, |t| lie(t, RX, Tamper::Len(0))),
    class("rx length below the header", LIE, |t| {
        lie(t, RX, Tamper::Len(9))
    }),
    class("rx length beyond the buffer by one", LIE, |t| {
        lie(t, RX, Tamper::Len(2049))
    }),
    class("rx length 0xffffffff", LIE, |t| {
        lie(t, RX, Tamper::Len(u32::MAX))
    }),
    class("rx length whose low bits are right", LIE, |t| {
        lie(t, RX, Tamper::Len(0x0001_0040))
    }),
    class("tx length 0xffffffff", LIE, |t| {
        lie(t, TX, Tamper::Len(u32::MAX))
    }),
    class("rx used.idx ahead by a ring", LIE, |t| {
        lie(t, RX, Tamper::Skip(SIZE))
    }),
    class("tx used.idx ahead by one", LIE, |t| {
        lie(t, TX, Tamper::Skip(1))
    }),
    class("rx used.idx ahead by half of all", LIE, |t| {
        lie(t, RX, Tamper::Skip(0x8000))
    }),
    class("rx used.idx back by one", LIE, |t| {
        lie(t, RX, Tamper::Skip(0xfffe))
    }),
    class("tx used.idx back by two", LIE, |t| {
        lie(t, TX, Tamper::Skip(0xfffd))
    }),
    class("rx used.idx ahead on an idle ring", LIE, |t| {
        forge(t, RX, 100)
    }),
    class("rx used.idx back on an idle ring", LIE, |t| {
        forge(t, RX, 0xffff)
    }),
    class("tx used.idx ahead on an idle ring", LIE, |t| {
        forge(t, TX, 1)
    }),
    class("tx used.idx back on an idle ring", LIE, |t| {
        forge(t, TX, 0xffff)
    }),
    class(
        "rx entry forged for what is outstanding",
        Cost::Reset(None),
        |t| {
            // True by itself: the driver takes it. The device uses the buffer again later.
            for _ in 0..SIZE {
                t.rig.host.forge_used(RX, 0, 60);
            }
        },
    ),
    class(
        "lies after each reset, twice",
        Cost::Reset(Some(Counter::BadUsed)),
        |t| {
            lie(t, RX, Tamper::Id(77));
            lie(t, RX, Tamper::Id(78));
        },
    ),
];

fn lie(town: &mut Town, queue: u16, tamper: Tamper) {
    town.rig.host.tamper(queue, tamper);
}

fn forge(town: &mut Town, queue: u16, by: u16) {
    let stats = match queue {
        RX => town.rig.net.rx_stats(),
        _ => town.rig.net.tx_stats(),
    };
    town.rig
        .host
        .forge_used_idx(queue, stats.used_idx.wrapping_add(by));
    // Found by the tick, without a frame that comes to it.
    town.clients = false;
    town.beat().expect("it goes on");
    town.clients = true;
}

/// Half a second without a frame that could make up for a lost kick.
fn alone(town: &mut Town) {
    (town.clients, town.asks_gateway) = (false, false);
    town.beats(5).expect("it goes on");
    (town.clients, town.asks_gateway) = (true, true);
}

/// Number of the buffer that a frame lies in, as its `Debug` form tells.
fn slot(frame: &impl core::fmt::Debug) -> u16 {
    let text = format!("{frame:?}");
    let digits = text.split("slot: ").nth(1).expect("it has a slot");
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// Notifications and interrupts.
const NOTIFICATIONS: &[Class] = &[
    class("an interrupt lost", Cost::Counted(Counter::Missed), |t| {
        t.clients = false;
        t.rig.host.inflict(Fault::Mute);
        t.rig.host.deliver(&[0x52; 60]);
        t.rig.host.heal();
        assert_eq!(t.beats(4), Ok(4));
        t.clients = true;
    }),
    class(
        "every interrupt lost for a while",
        Cost::Counted(Counter::Missed),
        |t| {
            t.rig.host.inflict(Fault::Mute);
            t.beats(30).expect("it goes on");
            t.rig.host.heal();
        },
    ),
    class(
        "every interrupt lost for good",
        Cost::Counted(Counter::Missed),
        |t| {
            t.rig.host.inflict(Fault::Mute);
        },
    ),
    class("an interrupt with every entry", Cost::Nothing, |t| {
        t.rig.host.inflict(Fault::Noisy);
    }),
    class("no suppression in either direction", Cost::Nothing, |t| {
        t.rig.host.inflict(Fault::Eager);
    }),
    class(
        "interrupts for nothing",
        Cost::Counted(Counter::Spurious),
        |t| {
            for _ in 0..2000 {
                t.rig.host.interrupt(1);
                t.work();
            }
        },
    ),
    class("interrupts with every status bit", Cost::Nothing, |t| {
        for _ in 0..100 {
            t.rig.host.interrupt(u32::MAX);
            t.work();
        }
    }),
    class("a kick lost", Cost::Counted(Counter::Rekicks), |t| {
        t.rig.host.inflict(Fault::Deaf);
        t.rig.send(&[0x52; 60]);
        t.rig.net.flush();
        t.rig.host.heal();
        alone(t);
    }),
    class(
        "a device that sleeps without asking for kicks",
        Cost::Counted(Counter::Rekicks),
        |t| {
            t.rig.host.inflict(Fault::Sulky);
            t.beat().expect("it goes on");
            // It sleeps with the wrong wish in memory, and will say the right one when it wakes.
            t.rig.host.heal();
            alone(t);
        },
    ),
    class(
        "kicks lost for good",
        Cost::End(|g| g.cause == Cause::TransmitStalled),
        |t| {
            t.rig.host.inflict(Fault::Deaf);
        },
    ),
];

/// Rings that stand still, and order that is none.
const RINGS: &[Class] = &[
    class("used entries in reverse", Cost::Nothing, |t| {
        t.rig.host.inflict(Fault::Reversed);
    }),
    class(
        "receive ring frozen until a reset",
        Cost::Reset(Some(Counter::Rekicks)),
        |t| {
            t.rig.host.inflict_until_reset(Fault::ReceiveFrozen);
        },
    ),
    class(
        "receive ring frozen until a kick",
        Cost::Counted(Counter::Rekicks),
        |t| {
            t.rig.host.inflict(Fault::ReceiveFrozen);
            while count(t, Counter::Rekicks) == 0 {
                t.beat().expect("it goes on");
            }
            t.rig.host.heal();
        },
    ),
    class(
        "receive ring frozen for a minute",
        Cost::Reset(Some(Counter::Rekicks)),
        |t| {
            t.rig.host.inflict(Fault::ReceiveFrozen);
            t.beats(600).expect("silence alone is no end");
            t.rig.host.heal();
        },
    ),
    class(
        "transmit ring frozen until a kick",
        Cost::Counted(Counter::Rekicks),
        |t| {
            t.rig.host.inflict(Fault::TransmitFrozen);
            while count(t, Counter::Rekicks) == 0 {
                t.beat().expect("it goes on");
            }
            t.rig.host.heal();
        },
    ),
    class(
        "transmit ring frozen until a reset",
        Cost::Reset(Some(Counter::Rekicks)),
        |t| {
            t.rig.host.inflict_until_reset(Fault::TransmitFrozen);
        },
    ),
    class(
        "both rings frozen until a reset",
        Cost::Reset(Some(Counter::Rekicks)),
        |t| {
            t.rig.host.inflict(Fault::ReceiveFrozen);
            t.rig.host.inflict_until_reset(Fault::TransmitFrozen);
        },
    ),
    class(
        "transmit ring frozen for good",
        Cost::End(|g| g.cause == Cause::TransmitStalled && g.error.is_none()),
        |t| t.rig.host.inflict(Fault::TransmitFrozen),
    ),
    class("frames as long as the buffer", Cost::Nothing, |t| {
        t.request_extra = 1976
    }),
    class("every header flag set", Cost::Nothing, |t| {
        t.rig.host.state_mut().header_flags = 0xff;
    }),
    class("a storm of runts", Cost::Nothing, |t| {
        for len in 0..200 {
            t.rig.host.deliver(&vec![0xee; len % 14]);
            t.work();
        }
    }),
    class(
        "the server holds every frame for a while",
        Cost::Nothing,
        |t| {
            t.hoards = true;
            t.beats(8).expect("it goes on");
            t.hoards = false;
            t.held.clear();
        },
    ),
];

/// The device as a whole.
const DEVICE: &[Class] = &[
    class("it asks for a reset", Cost::Reset(None), |t| {
        t.rig.host.set_status_bits(DeviceStatus::DEVICE_NEEDS_RESET);
    }),
    class("it says that it failed", Cost::Reset(None), |t| {
        t.rig.host.set_status_bits(DeviceStatus::FAILED);
    }),
    class("it resets itself", Cost::Reset(None), |t| {
        t.rig.host.reset_itself()
    }),
    class("it resets itself again and again", Cost::Reset(None), |t| {
        for _ in 0..20 {
            t.rig.host.reset_itself();
            t.beats(110).expect("each time it comes back for good");
        }
        t.rig.host.reset_itself();
    }),
    class(
        "it resets itself while the server holds frames",
        Cost::Reset(None),
        |t| {
            t.hoards = true;
            t.beat().expect("it goes on");
            t.hoards = false;
            t.rig.host.reset_itself();
        },
    ),
    class("it is gone for a second", Cost::Reset(None), |t| {
        t.rig.host.inflict(Fault::Gone);
        t.beats(10).expect("a second is not the end");
        t.rig.host.heal();
        t.rig.host.reset_itself();
    }),
    class(
        "it is gone for good",
        Cost::End(|g| g.cause == Cause::Gone && g.error == Some(NetError::Gone)),
        |t| t.rig.host.inflict(Fault::Gone),
    ),
    class("its reset hangs for a second", Cost::Reset(None), |t| {
        t.rig.host.inflict(Fault::ResetHangs);
        t.rig.host.set_status_bits(DeviceStatus::DEVICE_NEEDS_RESET);
        t.beats(10).expect("a second is not the end");
        t.rig.host.heal();
    }),
    class(
        "its reset hangs for good",
        Cost::End(|g| g.error == Some(NetError::ResetRefused)),
        |t| {
            t.rig.host.inflict(Fault::ResetHangs);
            t.rig.host.set_status_bits(DeviceStatus::DEVICE_NEEDS_RESET);
        },
    ),
    class(
        "it does not start again",
        Cost::End(|g| g.error == Some(NetError::NotLive)),
        |t| break_then_reset(t, Fault::RefusesToStart),
    ),
    class(
        "its queues survive a reset",
        Cost::End(|g| g.error == Some(NetError::QueueInUse(0))),
        |t| break_then_reset(t, Fault::QueuesStay),
    ),
    class(
        "its configuration never stands still",
        Cost::End(|g| g.error == Some(NetError::Configuration)),
        |t| break_then_reset(t, Fault::RestlessConfiguration),
    ),
    class(
        "its configuration cannot be read",
        Cost::End(|g| g.error == Some(NetError::Configuration)),
        |t| break_then_reset(t, Fault::NoConfiguration),
    ),
    class(
        "it has no queues any more",
        Cost::End(|g| g.error == Some(NetError::QueueTooSmall(0))),
        |t| change(t, |a| a.queue_max = [0; 2]),
    ),
    class(
        "its transmit queue shrank",
        Cost::End(|g| g.error == Some(NetError::QueueTooSmall(1))),
        |t| change(t, |a| a.queue_max[1] = u32::from(SIZE) / 2),
    ),
    class("its queues grew to an odd size", Cost::Reset(None), |t| {
        change(t, |a| a.queue_max = [1000; 2]);
    }),
    class("it gains or loses event indices", Cost::Reset(None), |t| {
        change(t, |a| a.features ^= feature::EVENT_IDX);
    }),
    class("it offers no checksums any more", Cost::Reset(None), |t| {
        change(t, |a| a.features &= !(feature::CSUM | feature::GUEST_CSUM));
    }),
    class("it offers every feature there is", Cost::Reset(None), |t| {
        change(t, |a| a.features |= !feature::EVENT_IDX);
    }),
    class(
        "it has no address any more",
        Cost::End(|g| g.error == Some(NetError::Configuration)),
        |t| change(t, |a| a.features &= !feature::MAC),
    ),
    class(
        "its address became a group's",
        Cost::End(|g| g.error == Some(NetError::Configuration)),
        |t| change(t, |a| a.mac[0] = 1),
    ),
    class("its address changed", Cost::Reset(None), |t| {
        change(t, |a| a.mac[5] ^= 1)
    }),
    class("its MTU became absurd", Cost::Reset(None), |t| {
        change(t, |a| a.mtu = 9)
    }),
    class("its MTU became too large", Cost::Reset(None), |t| {
        change(t, |a| a.mtu = 65_535)
    }),
    class(
        "it became another kind of device",
        Cost::End(|g| g.error == Some(NetError::NotNetwork)),
        |t| {
            change(t, |a| {
                a.device_type = virtio_drivers::transport::DeviceType::Block
            })
        },
    ),
    class("its link goes down and up", Cost::Nothing, |t| {
        t.rig.host.state_mut().attributes.link_up = false;
        t.rig.host.inflict(Fault::ReceiveFrozen);
        t.rig.host.inflict(Fault::TransmitFrozen);
        t.rig.send(&[0x52; 60]);
        t.rig.host.interrupt(2);
        t.beats(100).expect("a link may be down");
        t.rig.host.heal();
        t.rig.host.state_mut().attributes.link_up = true;
        t.rig.host.wake();
        t.rig.host.interrupt(2);
    }),
    class(
        "it scribbles over descriptors and asks for a reset",
        Cost::Reset(None),
        |t| {
            for id in 0..SIZE {
                t.rig.host.scribble(RX, id, [0xa5; 16]);
                t.rig.host.scribble(TX, id, [0x5a; 16]);
            }
            t.rig.host.set_status_bits(DeviceStatus::DEVICE_NEEDS_RESET);
        },
    ),
    class("interrupts after a reset", Cost::Reset(None), |t| {
        t.rig.host.reset_itself();
        t.beat().expect("it goes on");
        for _ in 0..50 {
            t.rig.host.interrupt(1);
            t.work();
        }
    }),
];

fn break_then_reset(town: &mut Town, fault: Fault) {
    town.rig.host.inflict(fault);
    town.rig
        .host
        .set_status_bits(DeviceStatus::DEVICE_NEEDS_RESET);
}

/// Changes what the device is like, which shows after its next reset.
fn change(town: &mut Town, how: fn(&mut Attributes)) {
    how(&mut town.rig.host.state_mut().attributes);
    town.rig
        .host
        .set_status_bits(DeviceStatus::DEVICE_NEEDS_RESET);
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

#[test]
fn lies_in_the_used_rings() {
    all(LIES);
}

#[test]
fn notifications_that_go_wrong() {
    all(NOTIFICATIONS);
}

#[test]
fn rings_that_stand_still() {
    all(RINGS);
}

#[test]
fn devices_that_come_and_go() {
    all(DEVICE);
}

/// Only a modern device has `FEATURES_OK` and `VERSION_1`.
#[test]
fn modern_devices_that_refuse() {
    let classes = [
        class(
            "it refuses the features",
            Cost::End(|g| g.error == Some(NetError::FeaturesRefused)),
            |t| break_then_reset(t, Fault::RefusesFeatures),
        ),
        class(
            "it is not modern any more",
            Cost::End(|g| g.error == Some(NetError::NotModern)),
            |t| change(t, |a| a.features &= !feature::VERSION_1),
        ),
    ];
    for class in &classes {
        trial("modern", &Attributes::tap(false), class);
    }
}

#[test]
fn there_are_enough_classes() {
    let classes = LIES.len() + NOTIFICATIONS.len() + RINGS.len() + DEVICE.len() + 2;
    assert!(classes >= 30, "{classes}");
}

/// Devices that cannot be used from the start are refused with a reason.
#[test]
fn devices_that_are_refused_at_boot() {
    type Prepare = fn(&mut Attributes, &mut Vec<Fault>);
    let cases: [(NetError, bool, Prepare); 11] = [
        (NetError::Gone, true, |_, f| f.push(Fault::Gone)),
        (NetError::ResetRefused, true, |_, f| {
            f.push(Fault::ResetHangs)
        }),
        (NetError::FeaturesRefused, false, |_, f| {
            f.push(Fault::RefusesFeatures)
        }),
        (NetError::NotLive, true, |_, f| {
            f.push(Fault::RefusesToStart)
        }),
        (NetError::NoQueue(0), true, |a, _| a.queue_max = [0; 2]),
        (NetError::NoQueue(1), true, |a, _| a.queue_max[1] = 1),
        (NetError::NotModern, false, |a, _| {
            a.features &= !feature::VERSION_1
        }),
        (NetError::Configuration, true, |a, _| {
            a.features &= !feature::MAC
        }),
        (NetError::Configuration, true, |a, _| a.mac = [0; 6]),
        (NetError::Configuration, true, |_, f| {
            f.push(Fault::RestlessConfiguration)
        }),
        (NetError::NotNetwork, true, |a, _| {
            a.device_type = virtio_drivers::transport::DeviceType::Console;
        }),
    ];
    for (expected, legacy_too, prepare) in cases {
        for legacy in [true, false] {
            if legacy && !legacy_too {
                continue;
            }
            let mut attributes = Attributes::tap(legacy);
            let mut faults = Vec::new();
            prepare(&mut attributes, &mut faults);
            let (host, transport) = quartz_drivers::model::Model::new(attributes);
            faults.into_iter().for_each(|fault| host.inflict(fault));
            let rig = quartz_drivers::model::Rig::with(host, transport, SIZE, SIZE);
            assert_eq!(rig.map(|_| ()), Err(expected), "legacy: {legacy}");
        }
    }
}
