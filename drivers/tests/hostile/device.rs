//! The device as a whole: it comes and goes, and changes over a reset.

use crate::{Class, Cost, RX, SIZE, TX, all, class, trial};
use quartz_drivers::model::{Attributes, Fault, Town, feature};
use quartz_drivers::{Cause, NetError};
use virtio_drivers::transport::DeviceStatus;

pub const CLASSES: &[Class] = &[
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

#[test]
fn devices_that_come_and_go() {
    all(CLASSES);
}

/// Only a modern device has `FEATURES_OK` and `VERSION_1`.
pub const MODERN: &[Class] = &[
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

#[test]
fn modern_devices_that_refuse() {
    for class in MODERN {
        trial("modern", &Attributes::tap(false), class);
    }
}
