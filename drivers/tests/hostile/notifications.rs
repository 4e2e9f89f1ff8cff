//! Notifications and interrupts.

use crate::{Class, Cost, Counter, all, class};
use quartz_drivers::Cause;
use quartz_drivers::model::{Fault, Town};

pub const CLASSES: &[Class] = &[
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

/// Half a second without a frame that could make up for a lost kick.
fn alone(town: &mut Town) {
    (town.clients, town.asks_gateway) = (false, false);
    town.beats(5).expect("it goes on");
    (town.clients, town.asks_gateway) = (true, true);
}

#[test]
fn notifications_that_go_wrong() {
    all(CLASSES);
}
