//! QEMU and the back end alone: no guest runs, the test drives the card's registers itself.

use crate::machine::{Machine, Setup};
use quartz_hostile::View;
use std::time::Duration;

/// Registers of the first network card of a microvm with ACPI: slot 23 (see the architecture page).
pub const CARD: u64 = 0xfeb0_0000 + 23 * 512;
/// `Status` of virtio-mmio (VIRTIO 1.2, 4.2.2).
pub const STATUS: u64 = CARD + 0x70;
const PATIENCE: Duration = Duration::from_secs(10);
/// Where the test lays its rings, a 64 KiB apart.
const RINGS: u64 = 0x10_0000;
const SIZE: u32 = 64;

/// Writes a frame's descriptor and makes it available on the transmit queue.
fn post_frame(bus: &mut crate::machine::Qtest, header: usize) {
    let ring = RINGS + 0x1_0000;
    let mut frame = vec![0; header];
    frame.extend_from_slice(&[0xaa; 60]);
    let at = ring + 0x8000;
    bus.write(at, &frame);
    let mut descriptor = at.to_le_bytes().to_vec();
    descriptor.extend_from_slice(&(frame.len() as u32).to_le_bytes());
    descriptor.extend_from_slice(&[0; 4]);
    bus.write(ring, &descriptor);
    bus.write(ring + 16 * u64::from(SIZE) + 2, &[1, 0]);
    bus.write32(CARD + 0x50, 1);
}

fn set_up_legacy(bus: &mut crate::machine::Qtest) {
    bus.write32(CARD + 0x28, 4096);
    for queue in 0..2 {
        bus.write32(CARD + 0x30, queue);
        bus.write32(CARD + 0x38, SIZE);
        bus.write32(CARD + 0x3c, 4096);
        let page = (RINGS + 0x1_0000 * u64::from(queue)) >> 12;
        bus.write32(CARD + 0x40, page as u32);
    }
}

fn set_up_modern(bus: &mut crate::machine::Qtest) {
    bus.write32(CARD + 0x24, 1);
    bus.write32(CARD + 0x20, 1);
    bus.write32(STATUS, 1 | 2 | 8);
    for queue in 0..2 {
        let ring = (RINGS + 0x1_0000 * u64::from(queue)) as u32;
        bus.write32(CARD + 0x30, queue);
        bus.write32(CARD + 0x38, SIZE);
        bus.write32(CARD + 0x80, ring);
        bus.write32(CARD + 0x90, ring + 16 * SIZE);
        bus.write32(CARD + 0xa0, ring + 0x1000);
        bus.write32(CARD + 0x44, 1);
    }
}

/// The whole life of the device, three times over: set-up, a frame, reset.
fn live(modern: bool) {
    let machine = Machine::start(&Setup {
        modern,
        ..Setup::default()
    });
    let mut bus = machine.qtest();
    assert_eq!(bus.read32(CARD), 0x7472_6976, "no virtio-mmio device");
    assert_eq!(bus.read32(CARD + 4), if modern { 2 } else { 1 });
    assert_eq!(bus.read32(CARD + 8), 1, "not a network card");
    for life in 1..=3 {
        for queue in 0..2 {
            bus.write(RINGS + 0x1_0000 * queue, &[0; 0x2000]);
        }
        bus.write32(STATUS, 0);
        bus.write32(STATUS, 1);
        bus.write32(STATUS, 3);
        if modern {
            set_up_modern(&mut bus);
            bus.write32(STATUS, 15);
        } else {
            set_up_legacy(&mut bus);
            bus.write32(STATUS, 7);
        }
        let running = |v: &View| v.running && v.starts == life;
        let view = machine
            .backend
            .wait("DRIVER_OK", PATIENCE, running)
            .unwrap();
        // QEMU serves the card itself, silently, if it does not like the back end.
        assert!(view.memory_tables >= life, "{view:?}");
        assert_eq!(view.features & 1 << 32 != 0, modern);
        assert_eq!(u32::from(view.tx.size), SIZE);
        post_frame(&mut bus, if modern { 12 } else { 10 });
        let sent = |v: &View| v.tx.used_idx == 1;
        machine.backend.wait("the frame", PATIENCE, sent).unwrap();
        bus.write32(STATUS, 0);
        let stopped = |v: &View| !v.running;
        machine
            .backend
            .wait("the reset", PATIENCE, stopped)
            .unwrap();
    }
    let view = machine.backend.view();
    assert_eq!(view.errors, Vec::<String>::new());
    assert_eq!(view.breaches, Vec::<String>::new());
    assert_eq!(view.tx.returned, 3);
}

#[test]
fn qemu_attaches_a_legacy_card() {
    live(false);
}

#[test]
fn qemu_attaches_a_modern_card() {
    live(true);
}
