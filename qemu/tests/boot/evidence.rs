//! The black box, read in each of the ways that `docs/ring.md` names.

use crate::harness::guest::{ADDRESS, boot, boot_to_end, start};
use crate::harness::{kernel, light, soon};
use quartz::autopsy;
use quartz::guest::Ending;
use quartz::http;
use quartz::machine::{Attachment, Forward, Machine};
use quartz::port;
use quartz_abi::{BlackBox, EventKind, ExitCode};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddrV4;

fn kinds(found: &BlackBox<'_>) -> Vec<u16> {
    found.events().map(|event| event.kind).collect()
}

/// What any guest has lived through that has answered a request.
const LIFE: [EventKind; 5] = [
    EventKind::Boot,
    EventKind::Interrupt,
    EventKind::Harvest,
    EventKind::Publish,
    EventKind::Kick,
];

#[test]
fn the_admin_port_sends_the_black_box() {
    let _light = light();
    let admin = port::free(0).unwrap();
    let mut machine = Machine::new(kernel());
    let guest = SocketAddrV4::new(ADDRESS, 9100);
    machine.attachment = Attachment::User(vec![Forward { host: admin, guest }]);
    let served = start(&machine, ([127, 0, 0, 1], admin).into());
    let answer = http::get(served.site, "/blackbox", soon()).unwrap();
    assert_eq!(answer.status, 200);

    let found = BlackBox::parse(&answer.body).unwrap();
    assert_eq!(found.exit_code(), None);
    assert_eq!(found.rx().resets, 0);
    let kinds = kinds(&found);
    for kind in LIFE {
        assert!(kinds.contains(&(kind as u16)), "no {kind:?} in {kinds:?}");
    }
    let text = autopsy::report(&found, 1000);
    assert!(text.starts_with("verdict: no failure recorded"), "{text}");
    served.stop();
}

#[test]
fn the_console_shows_the_last_events() {
    let _light = light();
    let mut served = boot(|_| {});
    let mark = served.guest.journal().mark();
    served.guest.type_line("events").unwrap();
    let journal = served.guest.journal();
    let shown = journal.wait_for(mark, soon(), |line| line.contains(" harvest "));
    assert!(shown.is_some(), "{:?}", served.log());
    served.stop();
}

#[test]
fn the_memory_of_a_dead_guest_tells_why_it_died() {
    let _light = light();
    let directory = tempfile::tempdir().unwrap();
    let memory = directory.path().join("memory");
    let (ending, _) = boot_to_end(|machine| {
        machine.append = "provoke=panic".into();
        machine.board = "microvm,memory-backend=ram".into();
        let backend = format!(
            "memory-backend-file,id=ram,size=64M,share=on,mem-path={}",
            memory.display()
        );
        machine.extra = vec!["-object".into(), backend.into()];
    });
    assert_eq!(ending, Ending::Code(ExitCode::Panic));

    let bytes = autopsy::find(&memory).unwrap();
    let found = BlackBox::parse(&bytes).unwrap();
    assert_eq!(found.exit_code(), Some(ExitCode::Panic));
    assert!(found.failure().contains("provoked"), "{}", found.failure());
    assert_eq!(kinds(&found).last(), Some(&(EventKind::Failure as u16)));
    let text = autopsy::report(&found, 10);
    let verdict = "verdict: the guest's kernel panicked: ";
    assert!(text.starts_with(verdict), "{text}");
}

#[test]
fn a_dump_of_a_guest_that_stands_still_is_read() {
    let _light = light();
    let directory = tempfile::tempdir().unwrap();
    let dump = directory.path().join("dump");
    let mut served = boot(|_| {});
    let monitor = served.guest.monitor();
    monitor.execute("stop", Value::Null, soon()).unwrap();
    let to = json!({"paging": false, "protocol": format!("file:{}", dump.display())});
    monitor.execute("dump-guest-memory", to, soon()).unwrap();

    // An ELF core: the memory does not begin at its start.
    assert_eq!(fs::read(&dump).unwrap()[..4], *b"\x7fELF");
    let bytes = autopsy::find(&dump).unwrap();
    let found = BlackBox::parse(&bytes).unwrap();
    assert!(kinds(&found).contains(&(EventKind::Harvest as u16)));
    assert_eq!(found.kernel_version(), env!("CARGO_PKG_VERSION"));

    let monitor = served.guest.monitor();
    monitor.execute("cont", Value::Null, soon()).unwrap();
    served.stop();
}
