//! Devices that cannot be used from the start.

use crate::SIZE;
use quartz_drivers::NetError;
use quartz_drivers::model::{Attributes, Fault, feature};

/// Each is refused with its reason.
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
