//! Rings that stand still, order that is none, and frames out of the ordinary.

use crate::{Class, Cost, Counter, all, class, count};
use quartz_drivers::Cause;
use quartz_drivers::model::Fault;

pub const CLASSES: &[Class] = &[
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

#[test]
fn rings_that_stand_still() {
    all(CLASSES);
}
