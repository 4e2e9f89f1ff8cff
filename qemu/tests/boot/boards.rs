//! The kernel finds its network device wherever the machine puts it.

use crate::harness::guest::{Served, boot, boot_to_end, machine, start};
use crate::harness::light;
use quartz::guest::Ending;
use quartz::machine::{Attachment, Machine};
use quartz_abi::ExitCode;

/// Each variant of the machine's interrupt routing.
const BOARDS: [&str; 3] = [
    "microvm,acpi=off",
    "microvm,acpi=on",
    "microvm,acpi=on,ioapic2=off",
];

/// Two more virtio-mmio devices.
const OTHERS: [&str; 8] = [
    "-object",
    "rng-random,id=r0,filename=/dev/urandom",
    "-device",
    "virtio-rng-device,rng=r0",
    "-blockdev",
    "driver=null-co,node-name=b0,size=1048576",
    "-device",
    "virtio-blk-device,drive=b0",
];

fn serves(configure: impl FnOnce(&mut Machine)) {
    let _light = light();
    let served = boot(configure);
    assert_eq!(served.get("/").status, 200);
    served.stats().assert_no_trouble();
    served.stop();
}

#[test]
fn every_board_serves_with_one_device() {
    for board in BOARDS {
        println!("{board}");
        serves(|machine| machine.board = board.into());
    }
}

#[test]
fn every_board_serves_with_three_devices() {
    for board in BOARDS {
        println!("{board}, network first");
        serves(|machine| {
            machine.board = board.into();
            machine.extra = OTHERS.map(Into::into).to_vec();
        });
    }
}

#[test]
fn every_board_serves_with_the_network_as_the_last_device() {
    for board in BOARDS {
        println!("{board}, network last");
        let _light = light();
        let (mut machine, site) = machine();
        machine.board = board.into();
        machine.extra = OTHERS.map(Into::into).to_vec();
        let Attachment::User(forwards) = &machine.attachment else {
            unreachable!("the machine has user networking");
        };
        let port = forwards[0].host;
        machine.attachment = Attachment::None;
        let netdev = format!("user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:80");
        for word in ["-netdev", &netdev, "-device", "virtio-net-device,netdev=n0"] {
            machine.extra.push(word.into());
        }
        let served = start(&machine, site);
        assert_eq!(served.get("/").status, 200);
        served.stop();
    }
}

#[test]
fn version_2_of_virtio_mmio_serves() {
    for board in BOARDS {
        serves(|machine| {
            machine.board = board.into();
            machine.extra = ["-global", "virtio-mmio.force-legacy=false"]
                .map(Into::into)
                .to_vec();
        });
    }
}

#[test]
fn a_machine_without_a_network_device_says_so() {
    let _light = light();
    for board in ["microvm", "microvm,acpi=off", "pc", "q35"] {
        let (ending, said) = boot_to_end(|machine| {
            machine.board = board.into();
            machine.attachment = Attachment::None;
        });
        let log = said.join("\n");
        assert_eq!(ending, Ending::Code(ExitCode::NoDevice), "{board}:\n{log}");
        assert!(log.contains("virtio"), "{board}:\n{log}");
    }
}

#[test]
fn without_a_random_generator_the_guest_serves_and_says_where_its_keys_come_from() {
    let _light = light();
    let warned = |served: &Served| served.log().iter().any(|line| line.contains("no RDRAND"));
    let plain = boot(|_| {});
    assert!(!warned(&plain));
    plain.stop();
    let poor = boot(|machine| machine.extra = ["-cpu", "qemu64"].map(Into::into).into());
    assert!(warned(&poor));
    assert_eq!(poor.get("/").status, 200);
    poor.stop();
}
