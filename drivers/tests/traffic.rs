//! The driver on a device that behaves: frames in both directions, over every wrap, in both
//! layouts and with both ways of suppressing notifications.

use quartz_drivers::model::{Attributes, Fault, Rig, Town, feature, live_regions};
use quartz_drivers::{RxFrame, TransmitError};

/// Each kind of device with its name.
fn devices() -> [(&'static str, Attributes); 4] {
    [
        ("legacy, event indices", Attributes::tap(true)),
        ("modern, event indices", Attributes::tap(false)),
        ("legacy, flags", Attributes::flags(true)),
        ("modern, flags", Attributes::flags(false)),
    ]
}

/// A frame that carries its number, of a length that varies with it.
fn frame(number: u64) -> Vec<u8> {
    let mut frame = vec![0x52; 14];
    frame.extend_from_slice(&number.to_le_bytes());
    let fill = (number * 37 % 1400) as usize;
    frame.resize(frame.len() + fill, number as u8);
    frame
}

fn rig(attributes: &Attributes, size: u16) -> Rig {
    Rig::new(attributes.clone(), size, size).expect("the device is fine")
}

#[test]
fn boots_on_every_device() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 256);
        assert_eq!(rig.net.mac(), attributes.mac, "{name}");
        assert_eq!(rig.net.mtu(), 1500, "{name}");
        assert_eq!(rig.net.rx_stats().size, 256, "{name}");
        assert!(rig.net.tx_checksum_offload(), "{name}");
        rig.assert_whole();
        rig.assert_healthy();
    }
}

#[test]
fn carries_frames_both_ways() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 16);
        rig.settle();
        for number in 0..1000 {
            rig.host.deliver(&frame(number));
            assert!(rig.interrupt(), "{name}: frame {number} is announced");
            assert_eq!(rig.settle(), [frame(number)], "{name}");
            rig.send(&frame(number + 1));
            rig.settle();
            let sent = rig.host.take_sent().expect("it was sent");
            assert_eq!(sent.frame, frame(number + 1), "{name}");
            let header = if attributes.legacy { 10 } else { 12 };
            assert_eq!(sent.header, vec![0; header], "{name}");
        }
        rig.assert_whole();
        rig.assert_healthy();
    }
}

#[test]
fn wraps_again_and_again() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 64);
        let mut received = 0_u64;
        let mut sent = 0_u64;
        let mut posted = 0_u64;
        // Bursts of every length up to the ring's, so that they cross 65,535 → 0 in every way.
        while received < 4 * 65_536 {
            let burst = received % 61 + 1;
            for number in received..received + burst {
                rig.host.deliver(&number_frame(number));
            }
            let mut expected = received;
            rig.interrupt();
            rig.turn(|frame| {
                assert_eq!(frame.bytes(), number_frame(expected), "{name}");
                expected += 1;
            });
            assert!(expected > received, "{name}: nothing comes any more");
            received = expected;
            for number in posted..posted + burst {
                rig.send(&number_frame(number));
            }
            posted += burst;
            rig.settle();
            while let Some(frame) = rig.host.take_sent() {
                assert_eq!(frame.frame, number_frame(sent), "{name}");
                sent += 1;
            }
            assert_eq!(sent, posted, "{name}: a kick is missing");
        }
        assert!(rig.net.tx_stats().harvested > 3 * 65_536);
        rig.assert_whole();
        rig.assert_healthy();
    }
}

fn number_frame(number: u64) -> [u8; 60] {
    let mut frame = [0x52; 60];
    frame[14..22].copy_from_slice(&number.to_le_bytes());
    frame
}

#[test]
fn one_kick_per_batch() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 64);
        rig.settle();
        let before = rig.host.state().kicks;
        for number in 0..40 {
            rig.send(&frame(number));
        }
        rig.net.flush();
        rig.net.flush();
        assert_eq!(rig.host.state().kicks[1], before[1] + 1, "{name}");
        rig.settle();
        assert_eq!(rig.host.state().sent.len(), 40, "{name}");
        rig.assert_whole();
    }
}

#[test]
fn many_frames_are_announced_twice_where_that_is_wanted() {
    for (name, attributes) in devices() {
        let rig = Rig::notifying_twice(attributes, 64, 8);
        let mut rig = rig.expect("the device is fine");
        rig.settle();
        for (frames, kicks) in [(7, 1), (8, 2), (40, 2)] {
            let before = rig.host.state().kicks[1];
            for number in 0..frames {
                rig.send(&frame(number));
            }
            rig.net.flush();
            rig.net.flush();
            let kicked = rig.host.state().kicks[1] - before;
            assert_eq!(kicked, kicks, "{name}, {frames} frames");
            rig.settle();
        }
        assert_eq!(rig.host.state().sent.len(), 55, "{name}");
        rig.assert_whole();
    }
}

#[test]
fn an_awake_device_is_not_kicked() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 64);
        rig.settle();
        // The device takes its buffers without having run dry, so it never asked for a kick.
        for round in 0..100 {
            rig.host.deliver(&frame(round));
            rig.settle();
        }
        let kicks = rig.net.rx_stats().kicks;
        assert!(kicks <= 2, "{name}: {kicks} kicks for 100 reposts");
        rig.assert_whole();
    }
}

#[test]
fn a_device_that_ran_dry_is_kicked() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 8);
        for number in 0..20 {
            rig.host.deliver(&frame(number));
        }
        assert_eq!(rig.host.backlog(), 12, "{name}");
        rig.interrupt();
        let frames = rig.settle();
        assert_eq!(frames, (0..20).map(frame).collect::<Vec<_>>(), "{name}");
        rig.assert_whole();
        rig.assert_healthy();
    }
}

#[test]
fn transmit_full_and_back() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 8);
        for number in 0..8 {
            rig.send(&frame(number));
        }
        assert!(!rig.net.can_transmit(), "{name}");
        let mut called = false;
        let refused = rig.net.transmit(60, |_| called = true);
        assert_eq!(
            (refused, called),
            (Err(TransmitError::Full), false),
            "{name}"
        );
        rig.net.flush();
        assert!(!rig.net.rearm(), "{name}: nothing was sent yet");
        rig.host.run();
        assert!(rig.interrupt(), "{name}: the interrupt that was asked for");
        assert!(rig.net.rearm(), "{name}: there is room again");
        assert!(rig.net.can_transmit(), "{name}");
        rig.send(&frame(8));
        rig.settle();
        assert_eq!(rig.host.state().sent.len(), 9, "{name}");
        rig.assert_whole();
        rig.assert_healthy();
    }
}

#[test]
fn no_transmit_interrupts_while_there_is_room() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 64);
        rig.send(&frame(0));
        rig.settle();
        let before = rig.host.state().interrupts;
        for round in 0..70_000_u64 {
            rig.send(&number_frame(round));
            rig.settle();
            let _ = rig.host.take_sent();
        }
        let interrupts = rig.host.state().interrupts - before;
        assert!(interrupts == 0, "{name}: {interrupts} interrupts");
    }
}

#[test]
fn frames_dropped_late_and_in_any_order() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 16);
        let mut held: Vec<RxFrame<_>> = Vec::new();
        for number in 0..16 {
            rig.host.deliver(&frame(number));
        }
        rig.interrupt();
        rig.turn(|frame| held.push(frame));
        let stats = rig.net.rx_stats();
        assert_eq!((held.len(), stats.gap, stats.free), (16, 0, 0), "{name}");
        assert!(rig.net.harvest().is_none());
        // Every second one, then the rest backwards; each is intact until it is dropped.
        for number in (0..16).step_by(2).rev() {
            let gone = held.remove(number);
            assert_eq!(gone.bytes(), frame(number as u64), "{name}");
        }
        rig.net.flush();
        assert_eq!(rig.net.rx_stats().gap, 8, "{name}");
        for number in 100..108 {
            rig.host.deliver(&frame(number));
        }
        for (at, old) in held.iter().enumerate() {
            assert_eq!(old.bytes(), frame(at as u64 * 2 + 1), "{name}: overwritten");
        }
        held.clear();
        rig.settle();
        rig.assert_whole();
        rig.assert_healthy();
    }
}

#[test]
fn a_frame_that_is_never_dropped_is_accounted_for() {
    let mut rig = rig(&Attributes::tap(false), 16);
    rig.host.deliver(&frame(0));
    rig.interrupt();
    rig.turn(core::mem::forget);
    rig.settle();
    rig.tick()
        .expect("one buffer less is no fault of the device");
    let stats = rig.net.rx_stats();
    // Neither the device's nor free: somebody holds it.
    assert_eq!((stats.size, stats.gap, stats.free), (16, 15, 0));
    rig.host.deliver(&frame(1));
    rig.interrupt();
    assert_eq!(rig.settle(), [frame(1)]);
}

#[test]
fn frames_outlive_the_driver() {
    let before = live_regions();
    let mut rig = rig(&Attributes::tap(true), 16);
    rig.host.deliver(&frame(7));
    rig.interrupt();
    let mut held = None;
    rig.turn(|frame| held = Some(frame));
    drop(rig);
    let held = held.expect("a frame came");
    assert_eq!(held.bytes(), frame(7));
    assert_eq!(live_regions(), before + 1);
    drop(held);
    assert_eq!(live_regions(), before);
}

#[test]
fn rearm_finds_what_came_in_between() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 16);
        rig.settle();
        assert!(!rig.net.rearm(), "{name}: asleep");
        rig.host.deliver(&frame(0));
        assert!(rig.interrupt(), "{name}");
        assert_eq!(rig.turn(drop), 1, "{name}");
        // Now awake, with interrupts off: this one is announced by the look alone.
        let before = rig.host.state().interrupts;
        rig.host.deliver(&frame(1));
        assert_eq!(rig.host.state().interrupts, before, "{name}: suppressed");
        assert!(rig.net.rearm(), "{name}: the look after arming");
        assert_eq!(rig.turn(drop), 1, "{name}");
        assert!(!rig.net.rearm(), "{name}");
        rig.assert_healthy();
    }
}

#[test]
fn runts_and_empty_frames_lose_nothing() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 8);
        for round in 0..50 {
            rig.host.deliver(&vec![0; round % 14]);
        }
        rig.host.deliver(&frame(3));
        rig.interrupt();
        assert_eq!(rig.settle(), [frame(3)], "{name}");
        assert_eq!(rig.net.runts(), 50, "{name}");
        rig.assert_whole();
        rig.assert_healthy();
    }
}

#[test]
fn lengths_that_are_no_frame_are_refused() {
    let mut rig = rig(&Attributes::tap(false), 8);
    for len in [0, 1, 13, 2037, 4096, usize::MAX] {
        let refused = rig.net.transmit(len, |_| ());
        assert_eq!(refused, Err(TransmitError::Length), "{len}");
    }
    for len in [14, 2036] {
        rig.net.transmit(len, |b| b.fill(1)).expect("it fits");
    }
    rig.settle();
    rig.assert_whole();
}

#[test]
fn interrupts_are_explained() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 64);
        rig.settle();
        for round in 0..100 {
            rig.host.deliver(&frame(round));
            assert!(rig.interrupt(), "{name}");
            rig.settle();
        }
        let rx = rig.net.rx_stats();
        assert_eq!((rx.interrupts, rx.spurious), (100, 0), "{name}");
        rig.host.interrupt(1);
        rig.settle();
        assert_eq!(rig.net.rx_stats().spurious, 1, "{name}");
        // A change of the configuration is a reason.
        rig.host.interrupt(2);
        rig.settle();
        assert_eq!(rig.net.rx_stats().spurious, 1, "{name}");
        assert_eq!(rig.net.tx_stats().spurious, 0, "{name}");
    }
}

#[test]
fn an_idle_healthy_device_is_left_alone() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 64);
        rig.settle();
        for _ in 0..10_000 {
            rig.tick().expect("nothing is wrong");
            rig.settle();
        }
        rig.assert_whole();
        rig.assert_healthy();
        assert_eq!(rig.host.state().resets, 1, "{name}: the one of boot");
        let rx = rig.net.rx_stats();
        assert_eq!((rx.spurious, rx.kicks), (0, 1), "{name}");
    }
}

#[test]
fn small_and_odd_queues() {
    for (max, expected) in [(2, 2), (3, 2), (7, 4), (200, 128), (u32::MAX, 256)] {
        let mut attributes = Attributes::tap(false);
        attributes.queue_max = [max; 2];
        let mut rig = rig(&attributes, 256);
        assert_eq!(rig.net.rx_stats().size, expected);
        for number in 0..100 {
            rig.host.deliver(&frame(number));
            rig.interrupt();
            assert_eq!(rig.settle(), [frame(number)]);
            rig.send(&frame(number));
            rig.settle();
        }
        rig.assert_whole();
    }
}

#[test]
fn memory_is_what_was_announced() {
    use quartz_drivers::VirtioNet;
    use quartz_drivers::model::{ModelHal, ModelTransport};
    let bytes = VirtioNet::<ModelHal, ModelTransport>::dma_bytes(256, 256);
    // Per ring: 256 slots of 2 KiB, two pages of descriptors and driver area, one of device area.
    assert_eq!(bytes, 2 * (256 * 2048 + 3 * 4096));
    let before = live_regions();
    let rig = rig(&Attributes::tap(true), 256);
    assert_eq!(live_regions(), before + 4);
    drop(rig);
    assert_eq!(live_regions(), before);
}

#[test]
fn a_device_without_checksums() {
    let mut attributes = Attributes::tap(false);
    attributes.features &= !(feature::CSUM | feature::GUEST_CSUM);
    let mut rig = rig(&attributes, 8);
    assert!(!rig.net.tx_checksum_offload() && !rig.net.rx_checksum_offload());
    // A header that vouches although that was not agreed on is not believed.
    rig.host.state_mut().header_flags = 3;
    rig.host.deliver(&frame(0));
    rig.interrupt();
    rig.turn(|frame| assert!(!frame.checksum_verified()));
}

#[test]
fn checksums_that_the_device_vouches_for() {
    let mut rig = rig(&Attributes::tap(false), 8);
    for (flags, verified) in [(0, false), (1, true), (2, true), (4, false)] {
        rig.host.state_mut().header_flags = flags;
        rig.host.deliver(&frame(0));
        rig.interrupt();
        rig.turn(|frame| assert_eq!(frame.checksum_verified(), verified, "{flags}"));
        rig.settle();
    }
}

#[test]
fn rearm_publishes_what_is_left() {
    for (name, attributes) in devices() {
        let mut rig = rig(&attributes, 16);
        rig.settle();
        rig.send(&frame(1));
        assert!(!rig.net.rearm(), "{name}");
        rig.host.run();
        assert_eq!(rig.host.state().sent.len(), 1, "{name}: asleep on it");
    }
}

/// A device that does not confirm its reset may still write: its memory is never used again.
#[test]
fn memory_of_a_device_that_does_not_stop() {
    use quartz_drivers::model::Fault;
    let before = live_regions();
    let rig = rig(&Attributes::tap(true), 4);
    rig.host.inflict(Fault::ResetHangs);
    drop(rig);
    assert_eq!(live_regions(), before + 4);
}

#[test]
fn a_quiet_ring_is_looked_at_seldom_and_a_busy_one_often() {
    for (name, attributes) in devices() {
        let mut town = Town::new(attributes, 64, 64).expect("the device is fine");
        town.clients = false;
        town.beats(50).expect("nothing is wrong");
        let (ticks, probes) = (town.rig.ticks, town.probes());
        town.beats(100).expect("nothing is wrong");
        let ticks = town.rig.ticks - ticks;
        assert!((20..=50).contains(&ticks), "{name}: {ticks} in ten seconds");
        let probes = town.probes() - probes;
        assert!((7..=10).contains(&probes), "{name}: {probes} questions");
        town.clients = true;
        let before = town.rig.ticks;
        assert_eq!(town.beats(20), Ok(20), "{name}");
        assert_eq!(town.rig.ticks - before, 20, "{name}");
    }
}

#[test]
fn a_lost_interrupt_on_a_quiet_ring_is_made_up_for_in_time() {
    for (name, attributes) in devices() {
        let mut town = Town::new(attributes, 64, 64).expect("the device is fine");
        town.clients = false;
        // Nor is there a reply whose interrupt would help.
        town.asks_gateway = false;
        town.beats(50).expect("nothing is wrong");
        for _ in 0..12 {
            // Whenever it comes between two ticks.
            town.beats(7).expect("nothing is wrong");
            let before = town.rig.net.rx_stats();
            town.rig.host.inflict(Fault::Mute);
            town.rig.host.deliver(&frame(3));
            town.rig.host.heal();
            let mut beats = 0;
            while town.rig.net.rx_stats().harvested == before.harvested {
                town.beat().expect("nothing is wrong");
                beats += 1;
            }
            assert!(beats <= 8, "{name}: {beats} tenths of a second");
        }
    }
}
